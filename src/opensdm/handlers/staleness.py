"""Whether staged changes still fit what they were based on."""

from __future__ import annotations

from collections.abc import Sequence

from opensdm.core.difference import Difference
from opensdm.core.effective import newly_dangling, stale, validate_change
from opensdm.core.errors import StaleConfiguration
from opensdm.core.staging import PendingChange
from opensdm.core.validation import describe_key
from opensdm.handlers.loaded import Loaded

MAX_DIFFERENCES = 100
MAX_NAMED = 5


def check_changes(view: Loaded, changes: Sequence[PendingChange]) -> None:
    """Against our own copy: still valid, and still based on what is stored. Raises before anything is sent."""
    for change in changes:
        validate_change(view.schema, change)
    refuse_stale(stale(view.schema, view.configuration.elements, changes), "since they were staged, our copy changed")
    if changes and view.configuration.loaded_us > min(change.at_us for change in changes):
        dangling = newly_dangling(view.schema, view.configuration.elements, changes)
        if dangling:
            first = dangling[0]
            raise StaleConfiguration(
                f"{describe_key((first.path, first.key))}: {first.attribute} refers to {first.refers_to} "
                f"{first.value}, which is gone since the changes were staged",
                references=[f"{d.refers_to} {d.value}" for d in dangling[:MAX_DIFFERENCES]],
            )


def refuse_stale(found: Sequence[Difference], why: str) -> None:
    if not found:
        return
    shown = [
        {"elementTypePath": d.path, "key": list(d.key), "attribute": d.attribute, "old": d.old, "new": d.new}
        for d in found[:MAX_DIFFERENCES]
    ]
    names = dict.fromkeys(describe_key((d.path, d.key)) for d in found)
    raise StaleConfiguration(
        f"the staged changes are not based on the present configuration: {why} ({', '.join([*names][:MAX_NAMED])}"
        f"{', ...' if len(names) > MAX_NAMED else ''}); load again, then stage them anew",
        differences=shown,
    )
