"""Whether staged changes still fit what they were based on, and what may never be sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opensdm.core.difference import Difference
from opensdm.core.effective import stale, validate_change
from opensdm.core.element import Element, Schema
from opensdm.core.errors import InvalidRequest, StaleConfiguration
from opensdm.core.inventory import MASKED
from opensdm.core.references import newly_dangling
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key, describe_key, element_type, is_secret, key_of
from opensdm.handlers.loaded import Loaded

MAX_DIFFERENCES = 100
MAX_NAMED = 5
WAY_OUT = {
    "device": "check the sync to see what differs, load the configuration, then rebase the staged changes onto it",
    "copy": "rebase them onto it; a sync check shows what differs",
}


def check_changes(view: Loaded, changes: Sequence[PendingChange]) -> None:
    """Against our own copy: still valid, and still based on what is stored. Raises before anything is sent."""
    for change in changes:
        validate_change(view.schema, change)
    found = stale(view.schema, view.configuration.elements, changes)
    refuse_stale(found, "since they were staged, our copy changed", base="copy")
    if changes and view.configuration.loaded_us > min(change.at_us for change in changes):
        dangling = newly_dangling(view.schema, view.configuration.elements, changes)
        if dangling:
            first = dangling[0]
            raise StaleConfiguration(
                f"{describe_key((first.path, first.key))}: {first.attribute} refers to {first.refers_to} "
                f"{first.value}, which is gone since the changes were staged; stage another value, or discard",
                references=[f"{d.refers_to} {d.value}" for d in dangling[:MAX_DIFFERENCES]],
            )


def refuse_stale(found: Sequence[Difference], why: str, base: str = "device") -> None:
    """`base`: whether our copy, or only the device, holds something else; it says what has to be done first."""
    if not found:
        return
    raise StaleConfiguration(
        f"the staged changes are not based on the present configuration: {why} "
        f"({named((d.path, d.key) for d in found)}); {WAY_OUT[base]}",
        base=base,
        differences=shown_differences(found),
        total=len(found),
    )


def shown_differences(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """The first of them, as the typed fact of an error."""
    return [
        {"elementTypePath": d.path, "key": list(d.key), "attribute": d.attribute, "old": d.old, "new": d.new}
        for d in found[:MAX_DIFFERENCES]
    ]


def named(keys: Iterable[Key]) -> str:
    """The first few elements by name."""
    names = [*dict.fromkeys(describe_key(key) for key in keys)]
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")


def refuse_masked(schema: Schema, changes: Iterable[PendingChange]) -> None:
    """A mask stands for a secret that nobody here knows; sent, it would become the secret."""
    for change in changes:
        known = {} if change.before is None else {key_of(schema, e): e for e in change.before.walk()}
        for element in () if change.after is None else change.after.walk():
            _refuse_masked_values(schema, element, known)


def _refuse_masked_values(schema: Schema, element: Element, known: dict[Key, Element]) -> None:
    kind = element_type(schema, element.path)
    for name, value in element.attributes.items():
        if value != MASKED or not is_secret(kind.attribute(name)):
            continue
        was = known.get(key_of(schema, element))
        if was is None or was.attributes.get(name) != MASKED:
            raise InvalidRequest(
                f"{element.path}: {name}: {MASKED!r} stands for a secret that is not known; nothing was sent",
                elementTypePath=element.path, attribute=name,
            )  # fmt: skip
