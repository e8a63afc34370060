"""What a managed device's state is, in the published words, for one user."""

from __future__ import annotations

from collections.abc import Set
from enum import StrEnum

from opensdm.core.inventory import Device
from opensdm.core.validation import Key
from opensdm.core.versions import Drift


class Status(StrEnum):
    """The published words, in order of precedence. The store keeps `NOT_LOADED`, `UNCERTAIN`, `MODIFIED`, `IN_SYNC`.

    `MODIFIED`: the caller has staged changes, or the device keeps changes of ours that it does not run yet.
    `UNCERTAIN`: work on the device was cut short; what it holds is looked at before it is relied on.
    """

    NOT_LOADED = "Not Loaded"
    BUSY = "Busy"
    UNREACHABLE = "Unreachable"
    UNCERTAIN = "Uncertain"
    CONFLICT = "Conflict"
    CHANGED_OUTSIDE = "Changed Outside"
    MODIFIED = "Modified"
    IN_SYNC = "In Sync"


SAVE_ONLY = "Save"
"""`last_operation` of a device that keeps, but does not run, what our copy says."""


def status_of(
    device: Device, *, busy: bool = False, uncertain: bool = False, drift: Drift | None = None,
    staged: Set[Key] = frozenset(),
) -> Status:  # fmt: skip
    """`busy`: an operation that may write runs on it. `staged`: the keys of what the caller has staged."""
    if device.loaded_version is None:
        return Status.NOT_LOADED
    if busy:
        return Status.BUSY
    if device.polled_us is not None and not device.reachable:
        return Status.UNREACHABLE
    if uncertain or device.status == Status.UNCERTAIN:
        return Status.UNCERTAIN
    if drift is not None:
        return Status.CONFLICT if any(key in staged for key in drift.changed) else Status.CHANGED_OUTSIDE
    return Status.MODIFIED if staged or device.status == Status.MODIFIED else Status.IN_SYNC


def copied_from(device: Device) -> str:
    """Where the device keeps what our copy is a copy of: `running`, or `saved` after a push that only saved."""
    return "saved" if device.last_operation == SAVE_ONLY else "running"
