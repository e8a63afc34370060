"""References between elements: which ones changes would leave dangling, and which types it takes to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from opensdm.core.effective import apply_changes
from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.staging import PendingChange
from opensdm.core.validation import element_type, items, key_of


@dataclass(frozen=True, slots=True)
class DanglingReference:
    """An attribute that names an element which is not there."""

    path: str
    key: tuple[str, ...]
    attribute: str
    value: str
    refers_to: str


def top_of(path: str) -> str:
    """The type of the top-level element that holds elements of this type."""
    return path.split("/")[0]


def types_concerned(schema: Schema, changes: Iterable[PendingChange]) -> tuple[str, ...]:
    """The types of top-level elements it takes to check changes: theirs, those they refer to, and, where something
    is deleted, those that may refer to it.
    """
    changed = {c.path for c in changes}
    deleted = {c.path for c in changes if c.after is None}
    wanted = dict.fromkeys(sorted(changed))
    for path, kind in sorted(schema.types.items()):
        for attribute in kind.attributes:
            target = attribute.refers_to
            if target is None:
                continue
            if top_of(path) in changed:
                wanted[top_of(target)] = None
            if target in deleted:
                wanted[top_of(path)] = None
    return tuple(wanted)


def newly_dangling(
    schema: Schema, elements: Sequence[Element], changes: Sequence[PendingChange]
) -> list[DanglingReference]:
    """References to what is not there that the changes would leave in the configuration, and that are not there yet.

    Only references to types with a single key are looked at: how others are spelled is the device's affair.
    """
    already = set(_dangling(schema, elements))
    return [d for d in _dangling(schema, apply_changes(schema, elements, changes)) if d not in already]


def _dangling(schema: Schema, elements: Sequence[Element]) -> Iterator[DanglingReference]:
    names: dict[str, set[str]] = {path: set() for path, kind in schema.types.items() if len(kind.keys) == 1}
    for element in elements:
        if element.path in names:
            names[element.path].add(key_of(schema, element)[1][0])
    referring = {path: found for path, kind in schema.types.items() if (found := _referring(kind, names))}
    for top in elements:
        for element in top.walk():
            yield from _dangling_in(schema, element, referring, names)


def _referring(kind: ElementType, names: Mapping[str, set[str]]) -> tuple[AttributeType, ...]:
    return tuple(a for a in kind.attributes if a.refers_to is not None and a.refers_to in names)


def _dangling_in(
    schema: Schema,
    element: Element,
    referring: Mapping[str, tuple[AttributeType, ...]],
    names: Mapping[str, set[str]],
) -> Iterator[DanglingReference]:
    for attribute in referring.get(element_type(schema, element.path).path, ()):
        refers_to = attribute.refers_to or ""
        for value in items(attribute, element.attributes.get(attribute.name, "")):
            if value and value != "*" and value not in names[refers_to]:
                path, key = key_of(schema, element)
                yield DanglingReference(path, key, attribute.name, value, refers_to)


def in_order_of_reference(schema: Schema, changes: Sequence[PendingChange]) -> list[PendingChange]:
    """What goes before what comes; what is referred to comes before what refers to it, and goes after it."""
    depth = _depths(schema)
    goes = sorted((c for c in changes if c.after is None), key=lambda c: -depth.get(c.path, 0))
    comes = sorted((c for c in changes if c.after is not None), key=lambda c: depth.get(c.path, 0))
    return [*goes, *comes]


def _depths(schema: Schema) -> dict[str, int]:
    """How long the longest chain of references from each top-level type is; circles count once."""
    targets: dict[str, set[str]] = {}
    for path, kind in schema.types.items():
        found = {top_of(a.refers_to) for a in kind.attributes if a.refers_to is not None}
        targets.setdefault(top_of(path), set()).update(found - {top_of(path)})
    depth = dict.fromkeys(targets, 0)
    for _ in range(len(targets)):
        deeper = {p: max((depth.get(t, 0) + 1 for t in targets[p]), default=0) for p in targets}
        deeper = {p: min(d, len(targets)) for p, d in deeper.items()}
        if deeper == depth:
            break
        depth = deeper
    return depth
