"""People: users, groups, privileges, sessions, and the rules for names and passwords."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from opensdm.core.errors import InvalidRequest

SYSTEM_USER_ID = 1
SYSTEM_USER_NAME = "system"
"""Owns what no person asked for; cannot log in and holds no lock."""
LOCAL_USER_ID = 2
LOCAL_USER_NAME = "local-console"
"""Whoever may open the server's data directory: the console of the machine itself; cannot log in."""

MIN_PASSWORD_LENGTH = 8
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{2,49}")


class Level(IntEnum):
    """How far a privilege goes."""

    NONE = 0
    VIEW = 1
    FULL = 2


class Area(StrEnum):
    """The operation tree of privileges; a dot descends. A child's level is never above its parent's."""

    SESSION = "session"
    INVENTORY = "inventory"
    CONFIGURATION = "configuration"
    PUSH = "configuration.push"
    DEVICE_LOCK = "lock"
    LOCK_OVERRIDE = "lock.override"
    AUDIT = "audit"
    USERS = "users"


ADMINISTRATORS = "administrators"
LI_ADMINISTRATORS = "LIAdministrators"
PROVISIONERS = "provisioners"
MONITORS = "monitors"

DEFAULT_RIGHTS: Mapping[str, Mapping[Area, Level]] = {
    ADMINISTRATORS: dict.fromkeys(Area, Level.FULL),
    LI_ADMINISTRATORS: {**dict.fromkeys(Area, Level.FULL), Area.LOCK_OVERRIDE: Level.NONE},
    PROVISIONERS: {
        Area.SESSION: Level.FULL,
        Area.INVENTORY: Level.FULL,
        Area.CONFIGURATION: Level.FULL,
        Area.PUSH: Level.FULL,
        Area.DEVICE_LOCK: Level.FULL,
    },
    MONITORS: {Area.SESSION: Level.FULL, Area.INVENTORY: Level.VIEW, Area.CONFIGURATION: Level.VIEW},
}
"""Rights of the groups every installation starts with (administration guide: default groups)."""

ADMIN_GROUPS = (ADMINISTRATORS, LI_ADMINISTRATORS)


def granted(rights: Mapping[Area, Level], area: Area) -> Level:
    """The level of an area, never above that of any of its parents; what is not named is None."""
    level = rights.get(area, Level.NONE)
    parent, _, _ = area.value.rpartition(".")
    return min(level, granted(rights, Area(parent))) if parent else level


@dataclass(frozen=True, slots=True)
class User:
    """An account. `idle_timeout_s` 0 means never."""

    user_id: int
    user_name: str
    group: str
    disabled: bool
    created_us: int
    last_login_us: int | None = None


@dataclass(frozen=True, slots=True)
class UserGroup:
    """Users with the same rights. `rights` as they are stored: `level` says what they come to."""

    group_name: str
    rights: Mapping[Area, Level]

    def level(self, area: Area) -> Level:
        return granted(self.rights, area)


@dataclass(frozen=True, slots=True)
class Session:
    """A user's logged-in presence at a door, as read for this very request.

    `session_id` None: the server itself or its local console; those have every right but no lock.
    """

    session_id: int | None
    user_id: int
    user_name: str
    group: str
    door: str
    rights: Mapping[Area, Level]
    idle_timeout_s: int = 0
    created_us: int = 0

    def level(self, area: Area) -> Level:
        return granted(self.rights, area)

    @property
    def is_machinery(self) -> bool:
        return self.user_id == SYSTEM_USER_ID


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long sessions live. An idle limit of 0 means never; a new login never ends an older session."""

    admin_idle_s: int = 0
    user_idle_s: int = 1800
    absolute_s: int = 86_400
    max_sessions: int = 1000
    node_name: str = "opensdm1"

    def idle_timeout_s(self, group: str) -> int:
        return self.admin_idle_s if group in ADMIN_GROUPS else self.user_idle_s


def check_user_name(name: str) -> str:
    """A new user's name: 3 to 50 characters, a letter first, then letters, digits, `-`, `_`."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot be a user name: 3 to 50 characters, a letter first, then letters, digits, '-' or '_'"
        )
    taken = {group.lower() for group in DEFAULT_RIGHTS} | {SYSTEM_USER_NAME, LOCAL_USER_NAME}
    if name.lower() in taken:
        raise InvalidRequest(f"{name!r} is the name of a user group or of the server itself; choose another")
    return name


def check_password(password: str) -> str:
    """A new password: at least 8 characters with at least one letter and one digit."""
    if len(password) > 1000:
        raise InvalidRequest("a password has at most 1000 characters")
    has_letter, has_digit = any(c.isalpha() for c in password), any(c.isdigit() for c in password)
    if len(password) < MIN_PASSWORD_LENGTH or not has_letter or not has_digit:
        raise InvalidRequest("a password has at least 8 characters, at least one letter and at least one digit")
    return password
