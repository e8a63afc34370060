"""Configurations with staged changes: find an element, edit it, fold the edit, compare, tell what is stale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from opensdm.core.difference import Difference, differences, same
from opensdm.core.element import Element, ElementType, Schema
from opensdm.core.errors import AlreadyExists, InvalidRequest, NotFound
from opensdm.core.inventory import MASKED
from opensdm.core.staging import PendingChange
from opensdm.core.validation import (
    describe_key,
    element_type,
    is_secret,
    key_of,
    require_keys,
    validate,
    validate_values,
)

Trail = tuple[Element, ...]
"""An element with all that contains it: the top-level element first, itself last."""


# ------------------------------------------------------------------------------------------- finding


def locate(schema: Schema, elements: Iterable[Element], wanted: Element, parent: Element | None = None) -> Trail:
    """The one element that the keys of `wanted`, and of `parent` for a sub-element, name.

    `parent` may be the top-level element with the ones between as its children, or just the nearest one.
    Raises NotFound, or InvalidRequest when keys are missing or several elements fit.
    """
    guides = _guides(schema, wanted, parent)
    found = list(_search(schema, elements, wanted.path, guides))
    if not found:
        raise NotFound(
            f"there is no {describe_key(key_of(schema, wanted))}{_inside(schema, parent)} in this configuration",
            elementTypePath=wanted.path,
        )
    if len(found) > 1:
        raise InvalidRequest(
            f"{describe_key(key_of(schema, wanted))} is there {len(found)} times under different elements; "
            "say which one with parentElement",
            elementTypePath=wanted.path,
        )
    return found[0]


def _guides(schema: Schema, wanted: Element, parent: Element | None) -> dict[str, Element]:
    guides = {} if parent is None else {e.path: e for e in parent.walk() if wanted.path.startswith(e.path + "/")}
    guides[wanted.path] = wanted
    for guide in guides.values():
        require_keys(element_type(schema, guide.path), guide)
    if parent is not None and parent.path not in guides:
        raise InvalidRequest(f"{parent.path} cannot be the parent of a {wanted.path}", elementTypePath=wanted.path)
    return guides


def _search(
    schema: Schema, elements: Iterable[Element], path: str, guides: dict[str, Element], above: Trail = ()
) -> Iterator[Trail]:
    for element in elements:
        if element.path != path and not path.startswith(element.path + "/"):
            continue
        guide = guides.get(element.path)
        if guide is not None and key_of(schema, guide) != key_of(schema, element):
            continue
        if element.path == path:
            yield (*above, element)
        else:
            yield from _search(schema, element.children, path, guides, (*above, element))


def _inside(schema: Schema, parent: Element | None) -> str:
    return "" if parent is None else f" in {describe_key(key_of(schema, parent))}"


# ------------------------------------------------------------------------------------------- editing


def added(
    schema: Schema, elements: Iterable[Element], new: Element, parent: Element | None
) -> tuple[Element | None, Element]:
    """The top-level element before and after adding `new`, which is itself top-level or a sub-element.

    Raises AlreadyExists, NotFound for the parent, InvalidRequest for a sub-element without its parent.
    """
    for part in new.walk():
        _refuse_masked(element_type(schema, part.path), part)
    require_keys(element_type(schema, new.path), new)
    if "/" not in new.path:
        if any(e.path == new.path and key_of(schema, e) == key_of(schema, new) for e in elements):
            raise _already_there(schema, new, None)
        return None, new
    if parent is None:
        raise InvalidRequest(f"{new.path} is a sub-element: name the element it goes into with parentElement")
    nearest = _nearest(new, parent)
    trail = locate(schema, elements, nearest, None if nearest is parent else parent)
    inner = trail[-1]
    if any(key_of(schema, c) == key_of(schema, new) for c in inner.children if c.path == new.path):
        raise _already_there(schema, new, parent)
    return trail[0], _rebuilt(trail, replace(inner, children=(*inner.children, new)))


def updated(
    schema: Schema, elements: Iterable[Element], update: Element, parent: Element | None
) -> tuple[Trail, Trail]:
    """The trail before and after laying the attributes of `update` over the element it names."""
    trail = locate(schema, elements, update, parent)
    after = _overlaid(schema, trail[-1], update)
    return trail, _trail_of(trail, after)


def replaced(schema: Schema, elements: Iterable[Element], new: Element, parent: Element | None) -> tuple[Trail, Trail]:
    """The trail before and after putting `new`, whole, in the place of the element it names; `xxxx` keeps a secret."""
    trail = locate(schema, elements, new, parent)
    return trail, _trail_of(trail, _with_secrets(schema, trail[-1], new))


def _with_secrets(schema: Schema, old: Element | None, new: Element) -> Element:
    kind = element_type(schema, new.path)
    if old is None:
        for part in new.walk():
            _refuse_masked(element_type(schema, part.path), part)
        return new
    kept = {
        n: old.attributes.get(n, "") for n, v in new.attributes.items() if v == MASKED and is_secret(kind.attribute(n))
    }
    was = {key_of(schema, child): child for child in old.children}
    children = tuple(_with_secrets(schema, was.get(key_of(schema, child)), child) for child in new.children)
    return Element(new.path, {**new.attributes, **kept}, children)


def removed(
    schema: Schema, elements: Iterable[Element], wanted: Element, parent: Element | None
) -> tuple[Element, Element | None]:
    """The top-level element before and after removing the element `wanted` names (None: all of it)."""
    trail = locate(schema, elements, wanted, parent)
    if len(trail) == 1:
        return trail[0], None
    inner = trail[-2]
    left = tuple(c for c in inner.children if c is not trail[-1])
    return trail[0], _rebuilt(trail[:-1], replace(inner, children=left))


def _nearest(new: Element, parent: Element) -> Element:
    """The element that will directly contain `new`, found in what the caller said of its ancestors."""
    path = new.path.rpartition("/")[0]
    nearest = next((e for e in parent.walk() if e.path == path), None)
    if nearest is None:
        raise InvalidRequest(
            f"{new.path} goes into a {path}, which parentElement does not name", elementTypePath=new.path
        )
    return nearest


def _already_there(schema: Schema, new: Element, parent: Element | None) -> AlreadyExists:
    return AlreadyExists(
        f"{describe_key(key_of(schema, new))} exists already{_inside(schema, parent)}", elementTypePath=new.path
    )


def _overlaid(schema: Schema, old: Element, update: Element) -> Element:
    kind = element_type(schema, old.path)
    validate_values(kind, update.attributes)
    keep = {n for n, v in update.attributes.items() if v == MASKED and is_secret(kind.attribute(n))}
    keep.update(kind.keys)
    attributes = {**old.attributes, **{n: v for n, v in update.attributes.items() if n not in keep}}
    children = list(old.children)
    for child in update.children:
        key = key_of(schema, child)
        at = next((i for i, c in enumerate(children) if key_of(schema, c) == key), None)
        if at is None:
            raise InvalidRequest(
                f"{describe_key(key_of(schema, old))} has no sub-element {describe_key(key)}; "
                "an update changes what is there: add sub-elements one by one",
                elementTypePath=child.path,
            )
        children[at] = _overlaid(schema, children[at], child)
    return Element(old.path, attributes, tuple(children))


def _refuse_masked(kind: ElementType, new: Element) -> None:
    for name, value in new.attributes.items():
        if value == MASKED and is_secret(kind.attribute(name)):
            raise InvalidRequest(f"{new.path}: {name}: {MASKED!r} keeps a secret that is there; a new element has none")


def _trail_of(trail: Trail, last: Element) -> Trail:
    """The same trail with another last element, every container made anew around it."""
    made = [last]
    for outer, inner in zip(reversed(trail[:-1]), reversed(trail[1:]), strict=True):
        children = tuple(made[-1] if child is inner else child for child in outer.children)
        made.append(replace(outer, children=children))
    return tuple(reversed(made))


def _rebuilt(trail: Trail, last: Element) -> Element:
    return _trail_of(trail, last)[0]


# ------------------------------------------------------------------------------------ pending changes


def fold(
    schema: Schema, changes: Iterable[PendingChange], before: Element | None, after: Element | None, at_us: int
) -> PendingChange:
    """One pending change for the edited top-level element, on top of what is staged for it already.

    `before` and `after` are the effective element; the result is based on the stored one.
    """
    shown = after if after is not None else before
    if shown is None:
        raise ValueError("an edit has an element before it, or after it, or both")
    key = key_of(schema, shown)
    earlier = next((c for c in changes if (c.path, c.key) == key), None)
    base = before if earlier is None else earlier.before
    if base is not None and after is not None and same(schema, base, after):
        after = base
    return PendingChange(key[0], key[1], base, after, at_us)


def apply_changes(schema: Schema, elements: Sequence[Element], changes: Iterable[PendingChange]) -> tuple[Element, ...]:
    """The configuration as its owner sees it: changed elements in place, created ones last."""
    staged = {(c.path, c.key): c for c in changes}
    if not staged:
        return tuple(elements)
    touched = {path for path, _ in staged}
    shown: list[Element] = []
    for element in elements:
        change = staged.pop(key_of(schema, element), None) if element.path in touched else None
        if change is None:
            shown.append(element)
        elif change.after is not None:
            shown.append(change.after)
    shown.extend(c.after for c in staged.values() if c.after is not None)
    return tuple(shown)


# --------------------------------------------------------------------------------------------- stale


def stale(schema: Schema, elements: Iterable[Element], changes: Sequence[PendingChange]) -> list[Difference]:
    """What changed in the stored elements since the changes were staged on them; empty: nothing."""
    touched = {c.path for c in changes}
    present = {key_of(schema, e): e for e in elements if e.path in touched}
    found: list[Difference] = []
    for change in changes:
        found.extend(differences(schema, change.before, present.get((change.path, change.key))))
    return found


def validate_change(schema: Schema, change: PendingChange) -> None:
    """What the change brings is valid; what was on the device before is the device's business.

    Raises as `core.validation.validate` does.
    """
    if change.after is None:
        return
    if change.before is None:
        validate(schema, change.after)
        return
    _validate_against(schema, change.before, change.after)


def _validate_against(schema: Schema, before: Element, after: Element) -> None:
    kind = element_type(schema, after.path)
    validate_values(kind, {n: v for n, v in after.attributes.items() if before.attributes.get(n) != v})
    was = {key_of(schema, c): c for c in before.children}
    for child in after.children:
        earlier = was.get(key_of(schema, child))
        if earlier is None:
            validate(schema, child)
        else:
            _validate_against(schema, earlier, child)
