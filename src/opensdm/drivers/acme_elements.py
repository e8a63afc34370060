"""Between the SBC's elements and ours: names, lists, and rows of sub-elements that the device spells as lists."""

from __future__ import annotations

from collections.abc import Mapping

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import Rejected
from opensdm.core.validation import NUMERIC_TYPE, SECRET_TYPE, element_type, items, joined
from opensdm.drivers.acme_xml import DeviceAttribute, DeviceElement, DeviceType, Envelope, Values
from opensdm.drivers.names import Definition, ListRule, TypeNames

DELIMITER = ","
_VALUE_TYPES = {"integer": NUMERIC_TYPE, "number": NUMERIC_TYPE, "password": SECRET_TYPE, "secret": SECRET_TYPE}


def build_schema(definition: Definition, version: str, device_types: list[DeviceType]) -> Schema:
    """Our schema of what the device said; raises Rejected when two of its names become one."""
    known = {t.name: definition.type_names(t.name).north for t in device_types}
    types: dict[str, ElementType] = {}
    for device_type in device_types:
        names = definition.type_names(device_type.name)
        for built in _flattened(_build_type(device_type, names, names.north, known)):
            if built.path in types:
                raise Rejected(f"two element types of the device are called {built.path} here")
            types[built.path] = built
    return Schema(definition.platform, version, types)


def _flattened(kind: ElementType) -> list[ElementType]:
    return [kind, *(below for child in kind.children for below in _flattened(child))]


def _build_type(device_type: DeviceType, names: TypeNames, path: str, known: Mapping[str, str]) -> ElementType:
    attributes, children = [], []
    for attribute in device_type.attributes:
        rule = names.lists.get(attribute.name)
        if rule is not None and attribute.multiple:
            children.append(_row_type(rule, attribute, path, known))
        else:
            attributes.append(_build_attribute(attribute, names, known))
    for child in device_type.children:
        below = names.child(child.name)
        children.append(_build_type(child, below, f"{path}/{below.north}", known))
    _refuse_twins(path, [a.name for a in attributes])
    _refuse_twins(path, [c.path for c in children])
    return ElementType(path, device_type.name, tuple(attributes), tuple(children))


def _build_attribute(device: DeviceAttribute, names: TypeNames, known: Mapping[str, str]) -> AttributeType:
    default = joined(DELIMITER, device.default) if device.multiple else "".join(device.default[:1])
    return AttributeType(
        name=names.attribute(device.name),
        cli_name=device.name,
        key=device.key,
        required=device.required,
        value_type=_VALUE_TYPES.get(device.value_type, device.value_type),
        default=default or None,
        delimiter=DELIMITER if device.multiple else None,
        choices=device.choices,
        minimum=device.minimum,
        maximum=device.maximum,
        pattern=device.pattern,
        refers_to=known.get(device.references or ""),
    )


def _row_type(rule: ListRule, attribute: DeviceAttribute, path: str, known: Mapping[str, str]) -> ElementType:
    """A list of the device as a type of sub-elements. What its values refer to is kept where a value is one part."""
    refers_to = known.get(attribute.references or "") if len(rule.parts) == 1 else None
    parts = tuple(
        AttributeType(
            name=part.name, cli_name=part.name, key=part.key, required=part.key, value_type=part.type,
            choices=part.choices, refers_to=refers_to,
        )
        for part in rule.parts
    )  # fmt: skip
    return ElementType(f"{path}/{rule.north}", attribute.name, parts)


def _refuse_twins(path: str, names: list[str]) -> None:
    twins = {name for name in names if names.count(name) > 1}
    if twins:
        raise Rejected(f"two names of the device's {path} are one here: {', '.join(sorted(twins))}")


class Translator:
    """Translates elements of one schema; a row type is known by its rule in the definition."""

    def __init__(self, definition: Definition, schema: Schema) -> None:
        self._definition = definition
        self._schema = schema
        self._attributes: dict[str, dict[str, AttributeType]] = {}
        self._paths = {kind.cli_name: kind.path for path, kind in schema.types.items() if "/" not in path}

    def device_type(self, path: str) -> str:
        return element_type(self._schema, path).cli_name

    def path(self, device_type: str) -> str | None:
        """Our path of a top-level type of the device."""
        return self._paths.get(device_type)

    def to_north(self, device: DeviceElement) -> Element:
        path = self._paths.get(device.type)
        if path is None:
            raise Rejected(f"the device sent a {device.type}, a type it did not list")
        return self._north(device, self._schema.types[path], self._definition.type_names(device.type))

    def page_to_north(self, page: Envelope) -> list[Element]:
        """All elements of one answer."""
        return [self.to_north(element) for element in page.elements()]

    def _north(self, device: DeviceElement, kind: ElementType, names: TypeNames) -> Element:
        by_cli = self._attributes.get(kind.path)
        if by_cli is None:
            by_cli = self._attributes[kind.path] = {a.cli_name: a for a in kind.attributes}
        attributes, children = {}, []
        for name, values in device.attributes.items():
            attribute = by_cli.get(name)
            if attribute is not None:
                attributes[attribute.name] = _as_text(attribute, values)
            elif (rule := names.lists.get(name)) is not None:
                children += [Element(f"{kind.path}/{rule.north}", rule.split(value)) for value in values if value]
        below = {child.cli_name: child for child in kind.children}
        for child in device.children:
            if child.type in below:
                children.append(self._north(child, below[child.type], names.child(child.type)))
        return Element(kind.path, attributes, tuple(children))

    def to_device(self, element: Element) -> DeviceElement:
        """The whole element in the device's terms, as it is created."""
        return self._device(element, self._names(element.path), empty_rows=False)

    def keys(self, element: Element) -> dict[str, Values]:
        """The key attributes alone, as they name the element to the device."""
        kind = element_type(self._schema, element.path)
        return {a.cli_name: _as_values(a, element.attributes.get(a.name, "")) for a in kind.attributes if a.key}

    def changed(self, before: Element, after: Element) -> DeviceElement:
        """Keys, changed attributes and changed kinds of sub-elements: what a change sends, and nothing else."""
        names = self._names(after.path)
        whole, was = (self._device(e, names, empty_rows=True) for e in (after, before))
        attributes = dict(self.keys(after))
        attributes.update({n: v for n, v in whole.attributes.items() if was.attributes.get(n) != v})
        moved = {c.type for c in (*whole.children, *was.children) if _of_type(whole, c.type) != _of_type(was, c.type)}
        return DeviceElement(whole.type, attributes, tuple(c for c in whole.children if c.type in moved))

    def vanished(self, before: Element, after: Element) -> bool:
        """Whether a kind of sub-element is to lose its last one, or an attribute more than its default is to go: a
        change cannot say that to the device.
        """
        was, whole = self.to_device(before), self.to_device(after)
        if {c.type for c in was.children} - {c.type for c in whole.children}:
            return True
        return any(
            value and value != (attribute.default or "") and attribute.name not in after.attributes
            for attribute in element_type(self._schema, before.path).attributes
            if (value := before.attributes.get(attribute.name, ""))
        )

    def _device(self, element: Element, names: TypeNames, *, empty_rows: bool) -> DeviceElement:
        kind = element_type(self._schema, element.path)
        attributes: dict[str, Values] = {}
        for attribute in kind.attributes:
            if attribute.name in element.attributes:
                attributes[attribute.cli_name] = _as_values(attribute, element.attributes[attribute.name])
        rows = {path: r for r in names.lists.values() if (path := f"{element.path}/{r.north}") in self._schema.types}
        if empty_rows:
            attributes.update({rule.device_name: () for rule in rows.values()})
        children = []
        for child in element.children:
            if rule := rows.get(child.path):
                attributes[rule.device_name] = (*attributes.get(rule.device_name, ()), rule.join(child.attributes))
            else:
                below = names.child(element_type(self._schema, child.path).cli_name)
                children.append(self._device(child, below, empty_rows=empty_rows))
        return DeviceElement(kind.cli_name, attributes, tuple(children))

    def _names(self, path: str) -> TypeNames:
        return self._definition.type_names(self.device_type(path))


def _of_type(element: DeviceElement, device_type: str) -> list[DeviceElement]:
    return [child for child in element.children if child.type == device_type]


def _as_text(attribute: AttributeType, values: Values) -> str:
    if attribute.delimiter is None:
        return values[0] if values else ""
    return joined(attribute.delimiter, values)


def _as_values(attribute: AttributeType, text: str) -> Values:
    return (text,) if attribute.delimiter is None else tuple(items(attribute, text))
