"""Staged changes onto a new base: what merges by itself, and where two sides changed the same attribute.

A merge of three versions: the base that a change was staged on, mine, and theirs, which is what is there now. An
attribute is one value, also where it is a list. Whoever left something as it was gives way to who changed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from opensdm.core.configuration_operations import Prefer
from opensdm.core.difference import same
from opensdm.core.element import Element, Schema
from opensdm.core.inventory import MASKED
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key, comparable, element_type, is_hidden, key_of

PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Clash:
    """One attribute that both sides changed to different values; secrets are masked.

    `attribute` None: one side deleted the element that the other changed; a side reads `present` or None.
    """

    path: str
    key: tuple[str, ...]
    attribute: str | None
    base: str | None
    mine: str | None
    theirs: str | None


@dataclass(frozen=True, slots=True)
class Rebased:
    """The changes on their new base. A clash took the preferred side, mine where none was named.

    `dropped`: changes that come to nothing, because the new base says what they wanted.
    """

    changes: tuple[PendingChange, ...]
    clashes: tuple[Clash, ...]
    dropped: tuple[PendingChange, ...] = ()


def rebase(schema: Schema, elements: Iterable[Element], changes: Sequence[PendingChange], prefer: Prefer) -> Rebased:
    """Base the changes on these elements, which need to be of the changed types only."""
    touched = {c.path for c in changes}
    present = {key_of(schema, e): e for e in elements if e.path in touched}
    merge = _Merge(schema, prefer)
    kept, dropped = [], []
    for change in changes:
        theirs = present.get((change.path, change.key))
        merged = merge.element(change.before, change.after, theirs)
        if same(schema, merged, theirs):
            dropped.append(replace(change, before=theirs, after=theirs))
        else:
            kept.append(replace(change, before=theirs, after=merged))
    return Rebased(tuple(kept), tuple(merge.clashes), tuple(dropped))


class _Merge:
    """One merge on its way; `clashes` gathers what both sides changed."""

    def __init__(self, schema: Schema, prefer: Prefer) -> None:
        self._schema = schema
        self._theirs_win = prefer is Prefer.THEIRS
        self.clashes: list[Clash] = []

    def element(self, base: Element | None, mine: Element | None, theirs: Element | None) -> Element | None:
        if same(self._schema, base, theirs):
            return mine
        if same(self._schema, base, mine) or same(self._schema, mine, theirs):
            return theirs
        if mine is None or theirs is None:
            return self._one_deleted(base, mine, theirs)
        return self._both_there(base, mine, theirs)

    def _one_deleted(self, base: Element | None, mine: Element | None, theirs: Element | None) -> Element | None:
        known = next(e for e in (mine, theirs, base) if e is not None)
        sides = (PRESENT if e is not None else None for e in (base, mine, theirs))
        self.clashes.append(Clash(*key_of(self._schema, known), None, *sides))
        return theirs if self._theirs_win else mine

    def _both_there(self, base: Element | None, mine: Element, theirs: Element) -> Element:
        """Created by both reads as changed by both, from nothing."""
        old = base if base is not None else Element(mine.path)
        children = self._children(old, mine, theirs)
        return Element(mine.path, self._attributes(old, mine, theirs), children)

    def _attributes(self, base: Element, mine: Element, theirs: Element) -> Mapping[str, str]:
        merged: dict[str, str] = {}
        for name in {**theirs.attributes, **mine.attributes}:
            value = self._attribute(name, base, mine, theirs)
            if value is not None:
                merged[name] = value
        return merged

    def _attribute(self, name: str, base: Element, mine: Element, theirs: Element) -> str | None:
        attribute = element_type(self._schema, mine.path).attribute(name)
        values = [e.attributes.get(name) for e in (base, mine, theirs)]
        was, ours, other = (comparable(attribute, value or "") for value in values)
        if other == was:
            return values[1]
        if ours in (was, other):
            return values[2]
        if is_hidden(attribute):
            values = [value and MASKED for value in values]
        self.clashes.append(Clash(*key_of(self._schema, mine), name, *values))
        return theirs.attributes.get(name) if self._theirs_win else mine.attributes.get(name)

    def _children(self, base: Element, mine: Element, theirs: Element) -> tuple[Element, ...]:
        """In their order; what only I have comes last."""
        old, ours, other = (self._by_key(e.children) for e in (base, mine, theirs))
        merged = (self.element(old.get(key), ours.get(key), other.get(key)) for key in {**other, **ours})
        return tuple(child for child in merged if child is not None)

    def _by_key(self, elements: Iterable[Element]) -> dict[Key, Element]:
        return {key_of(self._schema, e): e for e in elements}
