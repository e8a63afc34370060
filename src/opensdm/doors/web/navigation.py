"""The pages at the top, as far as their reader may look at them. Whether they may is for the gate to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opensdm.core.identity import Area, Level
from opensdm.doors.web.routing import Call


@dataclass(frozen=True, slots=True)
class Entry:
    """One page. `key` is what its template sets as `active`."""

    key: str
    label: str
    url: str
    icon: str
    area: Area
    level: Level = Level.VIEW


ENTRIES = (
    Entry("home", "Home", "/web", "home", Area.SESSION),
    Entry("devices", "Devices", "/web/devices", "router", Area.INVENTORY),
    Entry("locks", "Locks", "/web/locks", "lock", Area.INVENTORY),
    Entry("audit", "Audit", "/web/audit", "list-details", Area.AUDIT),
    Entry("users", "Users", "/web/users", "users", Area.USERS),
)


def navigation(call: Call) -> Sequence[Entry]:
    return [entry for entry in ENTRIES if call.may(entry.area, entry.level)]
