"""The published interfaces as the files beside this module say them: served as they are, and read and written by.

The WSDL and XSD files in `wsdl/` are the one description. A request is first put into their order and form, then
validated, then read; a reply is written in their order. Clients differ in what was never published, so on the way in
namespaces, the order of elements, both list forms and both spellings of a name are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from opensdm.doors import xml
from opensdm.doors.soap.names import DATA, FAULTS, SERVICES, Names

FOLDER = Path(__file__).parent / "wsdl"
Values = Mapping[str, Any]

_XSD = "{http://www.w3.org/2001/XMLSchema}"
_PROLOG = re.compile(r"^<\?xml[^>]*\?>\s*")
_IMPORTS = re.compile(r"(?<=<wsdl:types>).*?(?=</wsdl:types>)", re.DOTALL)
_ADDRESS = re.compile(r'(?<=<soap:address location=)"[^"]*"')
_OTHER_SPELLINGS = {
    "targetName": ("targetDevice", "deviceName"),
    "soapBatch": ("wsBatch",),
    "devicetGroupPath": ("deviceGroupPath",),
    "deviceGroupPath": ("devicetGroupPath", "devicesGroupPath"),
    "arg0": ("userName", "username"),
    "Password": ("password",),
    "webServicesProtcol": ("webServicesProtocol",),
    "wsConfigElement": ("configElement",),
}
"""Where sources differ: what a field is also called. Only names that its message does not have are taken so."""


@dataclass(frozen=True, slots=True)
class Field:
    """One element of a message or type. `kind`: the local name of its type."""

    name: str
    kind: str
    many: bool


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Message:
    """A published operation of one interface: what it takes, and what it returns (`None`: nothing)."""

    service: str
    name: str
    takes: Fields
    returns: Field | None


# ----------------------------------------------------------------------------------- from the files


@cache
def _parsed(name: str) -> xml.Node:
    return xml.parse((FOLDER / f"{name}.xsd").read_bytes(), max_bytes=1 << 20, max_attributes=20_000)


@cache
def _types() -> dict[str, Fields]:
    return {
        node.attributes["name"]: _fields(node)
        for schema in (DATA, FAULTS)
        for node in _parsed(schema)
        if node.tag == _XSD + "complexType"
    }


def _fields(complex_type: xml.Node) -> Fields:
    sequence = next(iter(complex_type))
    found = [
        Field(
            each.attributes["name"],
            each.attributes["type"].partition(":")[2],
            each.attributes.get("maxOccurs") == "unbounded",
        )
        for each in sequence
        if each.tag == _XSD + "element"
    ]
    return {each.name: each for each in found}


@cache
def messages() -> dict[str, tuple[Message, ...]]:
    """Every operation by name; one that two interfaces have is there twice."""
    found: dict[str, tuple[Message, ...]] = {}
    for service in SERVICES:
        elements = {n.attributes["name"]: _fields(next(iter(n))) for n in _parsed(service) if n.tag == _XSD + "element"}
        for name, takes in elements.items():
            if f"{name}Response" in elements:
                returns = elements[f"{name}Response"].get("return")
                found[name] = (*found.get(name, ()), Message(service, name, takes, returns))
    return found


@cache
def _schema(service: str) -> xml.BodySchema:
    return xml.BodySchema(FOLDER / f"{service}.xsd")


# ------------------------------------------------------------------------------------------ reading


def read(message: Message, node: xml.Node) -> dict[str, Any]:
    """A request's parameters by name: text, numbers, booleans, dictionaries, lists. Raises MalformedBody."""
    tidy = _tidied(node, message.takes)
    tidy.tag = f"{{{_parsed(message.service).attributes['targetNamespace']}}}{message.name}"
    _schema(message.service).check(tidy)
    return _values(tidy, message.takes)


def _tidied(node: xml.Node, fields: Fields | None) -> xml.Node:
    """The same without namespaces and attributes, in the declared order, lists flat, under the published names.

    `fields` None: a plain value.
    """
    bare = bool(node.children) or (fields is not None and not node.text.strip())
    made = xml.Node(node.name, "" if bare else node.text, node.line)
    fields = fields or {}
    children = [_renamed(child, fields) for child in node if not child.nil]
    order = {name: at for at, name in enumerate(fields)}
    for child in sorted(children, key=lambda each: order.get(each.name, len(order))):
        made.children.extend(_items(child, fields.get(child.name)))
    return made


def _renamed(node: xml.Node, fields: Fields) -> xml.Node:
    name = node.name
    if name not in fields:
        name = next((known for known in fields if name in _OTHER_SPELLINGS.get(known, ())), name)
    made = xml.Node(name, node.text, node.line)
    made.children = node.children
    return made


def _items(node: xml.Node, field: Field | None) -> Iterable[xml.Node]:
    """One node, or where a list was sent as one element that holds its items, these."""
    inner = None if field is None else _types().get(field.kind)
    if field is None or not field.many or not node.children or any(child.name in (inner or {}) for child in node):
        yield _tidied(node, inner)
        return
    for child in node:
        item = xml.Node(field.name, child.text, child.line)
        item.children = child.children
        yield _tidied(item, inner)


def _values(node: xml.Node, fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in node:
        field = fields.get(child.name)
        if field is None:
            continue
        value = _value(child, field)
        if field.many:
            found.setdefault(field.name, []).append(value)
        else:
            found[field.name] = value
    return found


def _value(node: xml.Node, field: Field) -> Any:
    if field.kind in _types():
        return _values(node, _types()[field.kind])
    if field.kind in ("int", "long"):
        return int(node.text)
    return node.text.strip() in ("true", "1") if field.kind == "boolean" else node.text


# ------------------------------------------------------------------------------------------ writing


def written(field: Field, value: Any) -> list[xml.Element]:
    """A value as elements: of a list one for each item, of None none."""
    if value is None:
        return []
    items: Sequence[Any] = value if field.many else [value]
    return [(field.name, _content(field.kind, item)) for item in items]


def written_type(kind: str, values: Values) -> list[xml.Element]:
    """The fields of a type that have a value, in its order. KeyError for a field it does not have."""
    fields = _types()[kind]
    if odd := values.keys() - fields.keys():
        raise KeyError(f"{kind} has no {', '.join(sorted(odd))}")
    return [element for field in fields.values() for element in written(field, values.get(field.name))]


def _content(kind: str, value: Any) -> xml.Content:
    if kind in _types():
        return written_type(kind, value)
    return str(value).lower() if isinstance(value, bool) else str(value)


# ------------------------------------------------------------------------------------------ serving


class Contract:
    """What is served to clients: the files under the names of this server."""

    def __init__(self, names: Names) -> None:
        self.names = names
        ours = {name: _parsed(name).attributes["targetNamespace"] for name in (*SERVICES, DATA, FAULTS)}
        self.namespaces = ours | dict(names.namespaces)
        self._changes = [(ours[name], self.namespaces[name]) for name in ours]
        self._wsdl = {service: self._embedded(service) for service in SERVICES}

    def wsdl(self, service: str, location: str) -> bytes:
        """The WSDL of a service with its schemas inside; `location`: where the caller reaches it."""
        return _ADDRESS.sub(lambda _: xml.quoted(location), self._wsdl[service]).encode("utf-8")

    def _embedded(self, service: str) -> str:
        text = (FOLDER / f"{service}.wsdl").read_text(encoding="utf-8")
        schemas = "\n".join(self._schema_text(name) for name in (DATA, FAULTS, service))
        return self._under_our_names(_IMPORTS.sub(lambda _: f"\n{schemas}", text))

    def _schema_text(self, name: str) -> str:
        text = _PROLOG.sub("", (FOLDER / f"{name}.xsd").read_text(encoding="utf-8"))
        return re.sub(r' schemaLocation="[^"]*"', "", text)

    def _under_our_names(self, text: str) -> str:
        """All at once: a namespace given to one schema may be that of another in the files."""
        known = dict(self._changes)
        return re.sub("|".join(map(re.escape, known)), lambda found: known[found[0]], text)
