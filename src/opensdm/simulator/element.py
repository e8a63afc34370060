"""Configuration elements of the virtual SBC: building, changing and checking one element against its type."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensdm.simulator.schema import SECRET, ElementSpec, Values
from opensdm.simulator.secret import kept_form

# Each key attribute's values, sorted: the order of a list does not make another element.
Key = tuple[Values, ...]


class ElementFault(Exception):
    """An element that its type does not allow; the text names the element type and the attribute."""


@dataclass(frozen=True)
class Draft:
    """An element as a client sent it: only what was given, nothing checked yet."""

    type: str
    attributes: Mapping[str, Values]
    children: tuple["Draft", ...] = ()


@dataclass(frozen=True)
class Element:
    """A stored element: every attribute of its type has its values. Never changed in place."""

    type: str
    attributes: Mapping[str, Values]
    children: tuple["Element", ...] = ()

    def key(self, spec: ElementSpec) -> Key:
        return tuple(tuple(sorted(self.attributes[name])) for name in spec.keys)

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "attributes": {name: list(values) for name, values in self.attributes.items()},
            "children": [child.as_json() for child in self.children],
        }


def template(spec: ElementSpec, optional: Iterable[str] = ()) -> Element:
    """An element with the defaults of its type, its mandatory sub-elements and the named optional ones."""
    wanted = set(optional)
    children = tuple(template(child) for child in spec.children.values() if child.mandatory or child.name in wanted)
    return Element(spec.name, {name: each.default for name, each in spec.attributes.items()}, children)


def create(spec: ElementSpec, draft: Draft) -> Element:
    """A new element from what was given and the defaults of its type; `ElementFault` when the type forbids it."""
    return _merged(spec, template(spec), draft)


def change(spec: ElementSpec, element: Element, draft: Draft) -> Element:
    """The element with what was given put in place of what it had.

    Attributes that were not given stay. Sub-elements of a type that was given become exactly those given (each
    keeping the attributes it had and the client left out); sub-elements of other types stay.
    """
    return _merged(spec, element, draft)


def missing_keys(spec: ElementSpec, draft: Draft) -> list[str]:
    """The key attributes that the draft does not give."""
    return [name for name in spec.keys if not draft.attributes.get(name)]


def draft_key(spec: ElementSpec, draft: Draft) -> Key:
    return tuple(tuple(sorted(draft.attributes.get(name, spec.attributes[name].default))) for name in spec.keys)


def key_text(spec: ElementSpec, key: Key) -> str:
    """A key for people: `name=s0p0 sub-port-id=0`."""
    return " ".join(f"{name}={','.join(values)}" for name, values in zip(spec.keys, key, strict=True))


def _merged(spec: ElementSpec, base: Element, draft: Draft) -> Element:
    attributes = dict(base.attributes)
    for name, values in draft.attributes.items():
        attribute = spec.attributes.get(name)
        if attribute is None:
            raise ElementFault(f"{spec.name}: unknown attribute {name}")
        attributes[name] = tuple(filter(None, values)) if attribute.multiple else (values or ("",))
    for name, attribute in spec.attributes.items():
        if problem := attribute.problem(attributes[name]):
            raise ElementFault(f"{spec.name}: attribute {name} {problem}")
        if attribute.type == SECRET:
            attributes[name] = tuple(map(kept_form, attributes[name]))
    return Element(spec.name, attributes, _children(spec, base.children, draft.children))


def _children(spec: ElementSpec, had: Sequence[Element], given: Sequence[Draft]) -> tuple[Element, ...]:
    for draft in given:
        if draft.type not in spec.children:
            raise ElementFault(f"{spec.name}: unknown sub-element {draft.type}")
    children: list[Element] = []
    for child_spec in spec.children.values():
        before = [child for child in had if child.type == child_spec.name]
        named = [draft for draft in given if draft.type == child_spec.name]
        children += _siblings(child_spec, before, named) if named else before
    return tuple(children)


def _siblings(spec: ElementSpec, before: Sequence[Element], given: Sequence[Draft]) -> list[Element]:
    known = {child.key(spec): child for child in before}
    siblings: dict[Key, Element] = {}
    for draft in given:
        key = draft_key(spec, draft)
        if key in siblings:
            raise ElementFault(f"{spec.name}: sub-element given twice {key_text(spec, key)}".rstrip())
        siblings[key] = _merged(spec, known.get(key) or template(spec), draft)
    return list(siblings.values())
