"""The history of a device's configuration: what was kept, when, by whom, and what drift was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Source(StrEnum):
    """What made a version."""

    LOAD = "load"
    PUSH = "push"
    RESTORE = "restore"
    BACKUP = "backup"
    SCHEDULE = "schedule"
    DRIFT = "drift"
    """Found on the device at a poll; nobody here put it there."""


@dataclass(frozen=True, slots=True)
class VersionNote:
    """What is written beside a version. `torn`: read while other work was writing, so perhaps a mixture."""

    source: Source
    user_name: str
    request_id: str
    software_version: str
    comment: str = ""
    torn: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One kept configuration. `number` counts per device from 1; equal `digest` means equal content.

    `current`: it is our copy now. `digest` is keyed with the installation's secret, so that it tells nothing of
    the secrets inside.
    """

    device_id: int
    number: int
    taken_us: int
    note: VersionNote
    digest: str
    elements: int
    current: bool = False

    @property
    def restorable(self) -> bool:
        return not self.note.torn


@dataclass(frozen=True, slots=True)
class Drift:
    """The device holds something else than our copy, and it was not us.

    `changed` are type path and key of the top-level elements that differ, at most `MAX_DRIFT` of `total`.
    `locked_by`: who held our lock when it was found.
    """

    found_us: int
    total: int
    changed: tuple[tuple[str, tuple[str, ...]], ...]
    locked_by: str | None = None
    version: int | None = None
    """The number under which the device's configuration was kept when the drift was found."""


MAX_DRIFT = 1000


def settled(drift: Drift, paths: Sequence[str] | None) -> Drift | None:
    """What is left of a drift once our copy of these types, or of all, is what the device holds."""
    if paths is None:
        return None
    left = tuple(key for key in drift.changed if key[0] not in paths)
    total = drift.total - (len(drift.changed) - len(left))
    return replace(drift, changed=left, total=total) if total > 0 else None
