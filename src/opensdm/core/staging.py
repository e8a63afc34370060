"""Per-user staged edits: what they are, and what a configuration looks like with them applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest


class Edit(StrEnum):
    """The published words for what a pending change does."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class PendingChange:
    """One staged edit of one top-level element: `before` is what it was based on, `after` what it becomes.

    `before` None: created. `after` None: deleted. Edits of one element fold into one pending change.
    """

    path: str
    key: tuple[str, ...]
    before: Element | None
    after: Element | None
    at_us: int

    @property
    def edit(self) -> Edit:
        if self.before is None:
            return Edit.CREATED
        return Edit.DELETED if self.after is None else Edit.MODIFIED


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A user's staged changes on one device under one name; `""` is the one the published API knows."""

    name: str
    changes: int
    first_us: int
    last_us: int


_SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_set_name(name: str) -> str:
    """A change set's name: at most 64 letters, digits, `.`, `_`, `-`, beginning with a letter or digit; or empty."""
    if name and not _SET_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot name a change set: at most 64 letters, digits, '.', '_', '-', beginning with a letter or "
            "digit",
            field="changeSet",
        )
    return name


@dataclass(frozen=True, slots=True)
class Configuration:
    """Our copy of a device's configuration: top-level elements, in device order. `version` grows per device."""

    device_id: int
    version: int
    loaded_us: int
    elements: tuple[Element, ...]
