"""What differs between two versions of an element, and how an element is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opensdm.core.element import AttributeType, Element, Schema
from opensdm.core.inventory import MASKED
from opensdm.core.validation import comparable, element_type, is_hidden, is_secret, key_of


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute that two versions of an element disagree on; secrets are masked.

    `attribute` None: the element itself is on one side only, which reads `present`.
    """

    path: str
    key: tuple[str, ...]
    attribute: str | None
    old: str | None
    new: str | None


def differences(schema: Schema, old: Element | None, new: Element | None) -> list[Difference]:
    """What differs between two versions of one element, sub-elements included, attribute by attribute."""
    if old is None and new is None:
        return []
    if old is None or new is None:
        path, key = key_of(schema, new if old is None else old)  # type: ignore[arg-type]
        sides = (None, "present") if old is None else ("present", None)
        return [Difference(path, key, None, *sides)]
    return [*_attribute_differences(schema, old, new), *_child_differences(schema, old, new)]


def same(schema: Schema, one: Element | None, other: Element | None) -> bool:
    """Whether two versions say the same to the device; the order of attributes and sub-elements does not."""
    if one is None or other is None:
        return one is other
    return one == other or not _disagree(schema, one, other)


def missing_from(schema: Schema, wanted: Element, found: Element | None) -> list[Difference]:
    """Where `found` falls short of `wanted`. What a device adds by itself, such as defaults, is no difference.

    Secrets are not compared: a device does not show them.
    """
    return differences(schema, wanted, None) if found is None else list(_shortfalls(schema, wanted, found))


def _shortfalls(schema: Schema, wanted: Element, found: Element) -> Iterator[Difference]:
    kind = element_type(schema, wanted.path)
    path, key = key_of(schema, wanted)
    for name, value in wanted.attributes.items():
        attribute = kind.attribute(name)
        shown = found.attributes.get(name, "")
        if not is_secret(attribute) and comparable(attribute, value) != comparable(attribute, shown):
            yield Difference(path, key, name, value, shown)
    theirs = {key_of(schema, c): c for c in found.children}
    for child in wanted.children:
        yield from missing_from(schema, child, theirs.pop(key_of(schema, child), None))
    for left_over in theirs.values():
        if not element_type(schema, left_over.path).singleton:
            yield from differences(schema, None, left_over)


def kept_from(schema: Schema, before: Element, wanted: Element, found: Element) -> Iterator[Difference]:
    """What `wanted` no longer says of `before`, and `found` still does. A default is no sign that something stayed."""
    kind = element_type(schema, before.path)
    path, key = key_of(schema, before)
    for name, value in before.attributes.items():
        attribute, shown = kind.attribute(name), found.attributes.get(name, "")
        if name in wanted.attributes or is_secret(attribute) or _is_default(attribute, shown):
            continue
        if comparable(attribute, shown) == comparable(attribute, value):
            yield Difference(path, key, name, None, shown)
    ours, theirs = ({key_of(schema, c): c for c in e.children} for e in (wanted, found))
    for child in before.children:
        own = key_of(schema, child)
        if own in theirs and own in ours:
            yield from kept_from(schema, child, ours[own], theirs[own])
        elif own in theirs and same(schema, child, theirs[own]) and not _all_defaults(schema, child):
            yield from differences(schema, None, theirs[own])


def _is_default(attribute: AttributeType | None, value: str) -> bool:
    default = "" if attribute is None else attribute.default or ""
    return not value or comparable(attribute, value) == comparable(attribute, default)


def _all_defaults(schema: Schema, element: Element) -> bool:
    kind = element_type(schema, element.path)
    said = element.attributes.items()
    return not element.children and all(_is_default(kind.attribute(name), value) for name, value in said)


def _attribute_differences(schema: Schema, old: Element, new: Element) -> Iterator[Difference]:
    kind = element_type(schema, old.path)
    path, key = key_of(schema, old)
    for name in {**old.attributes, **new.attributes}:
        attribute = kind.attribute(name)
        was, now = old.attributes.get(name), new.attributes.get(name)
        if comparable(attribute, was or "") == comparable(attribute, now or ""):
            continue
        if is_hidden(attribute):
            was, now = was and MASKED, now and MASKED
        yield Difference(path, key, name, was, now)


def _child_differences(schema: Schema, old: Element, new: Element) -> Iterator[Difference]:
    ours = {key_of(schema, c): c for c in old.children}
    theirs = {key_of(schema, c): c for c in new.children}
    for key in {**ours, **theirs}:
        yield from differences(schema, ours.get(key), theirs.get(key))


def _disagree(schema: Schema, one: Element, other: Element) -> bool:
    if next(_attribute_differences(schema, one, other), None) is not None:
        return True
    return next(_child_differences(schema, one, other), None) is not None


def masked(schema: Schema, element: Element) -> Element:
    """The element as it is shown to people: secrets as `xxxx`."""
    kind = element_type(schema, element.path)
    attributes = {
        name: MASKED if value and is_hidden(kind.attribute(name)) else value
        for name, value in element.attributes.items()
    }
    return Element(element.path, attributes, tuple(masked(schema, c) for c in element.children))
