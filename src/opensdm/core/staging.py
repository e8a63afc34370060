"""Per-user staged edits: what they are, and what a configuration looks like with them applied."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from opensdm.core.element import Element


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
class Configuration:
    """Our copy of a device's configuration: top-level elements, in device order. `version` grows per device."""

    device_id: int
    version: int
    loaded_us: int
    elements: tuple[Element, ...]
