"""Every operation, as frozen data: verb and noun, and the rule by which it is gated.

This is the list; those on the inventory and on configurations are declared in modules of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opensdm.core.configuration_operations import (
    AddElement,
    ApplyBatch,
    AssignDevice,
    BatchEdit,
    BatchVerb,
    CheckSync,
    DeleteElement,
    DiscardChanges,
    DraftElement,
    KeepHouse,
    ListChangeSets,
    ListElements,
    ListElementTypes,
    LoadConfiguration,
    MoveChanges,
    PollDevice,
    Prefer,
    PreviewPush,
    PushAction,
    PushChanges,
    ReadDeviceFacts,
    RebaseChanges,
    RetrieveElement,
    ShowElementType,
    ShowPendingChanges,
    UnassignDevice,
    UpdateElement,
)
from opensdm.core.history_operations import (
    BackUpDevice,
    BackUpOnSchedule,
    CancelTask,
    CompareVersions,
    ListTasks,
    ListVersions,
    RestoreVersion,
    ShowTask,
    ShowVersion,
)
from opensdm.core.identity import Area, Level
from opensdm.core.inventory_operations import (
    AddDeviceGroup,
    AddNetworkFunction,
    ChangeCredentials,
    ChangeDeviceGroup,
    DeleteDeviceGroup,
    DeleteNetworkFunction,
    DeviceEnrolment,
    ExportNetworkFunctions,
    FindDevices,
    FunctionRow,
    GroupEnrolment,
    ImportNetworkFunctions,
    ListCategories,
    ListDeviceGroups,
    ListDevices,
    ListFunctionGroups,
    ListNetworkFunctions,
    MoveNetworkFunction,
    ProbeDevice,
    ProbeHost,
    ShowCategory,
    ShowDevice,
    ShowDeviceGroup,
    ShowFunctionGroup,
    ShowNetworkFunction,
)
from opensdm.core.lock_operations import (
    MAX_DEVICES,
    AskForLock,
    CheckLock,
    ConfirmDevice,
    ExpireLeases,
    FollowLockEvents,
    ListAsks,
    ListLockEvents,
    ListLocks,
    LockDevice,
    LockDevices,
    LockGroup,
    OverrideLock,
    ShowLock,
    ShowLocks,
    UnlockDevice,
    UnlockDevices,
    UnlockGroup,
    VerifyLocks,
)
from opensdm.core.operation import REGISTRY, Claim, Kind, Operation, Rule, Scope, observe

__all__ = [
    "MAX_DEVICES", "REGISTRY", "AddDeviceGroup", "AddElement", "AddNetworkFunction", "AddUser", "ApplyBatch",
    "AskForLock",
    "AssignDevice", "BackUpDevice", "BackUpOnSchedule", "BatchEdit", "BatchVerb", "CancelTask", "ChangeCredentials",
    "ChangeDeviceGroup", "CheckLock", "CheckSync", "Claim", "CompareVersions", "ConfirmDevice", "DeleteDeviceGroup",
    "DeleteElement", "DeleteNetworkFunction", "DeleteUser", "DeviceEnrolment", "DisableUser", "DiscardChanges",
    "DraftElement", "EnableUser", "ExpireLeases", "ExportNetworkFunctions", "FindDevices", "FollowLockEvents",
    "FunctionRow", "GroupEnrolment", "ImportNetworkFunctions", "KeepHouse", "Kind", "ListAsks", "ListAudit",
    "ListCategories", "ListChangeSets", "ListDeviceGroups", "ListDevices", "ListElementTypes", "ListElements",
    "ListFunctionGroups", "ListLockEvents", "ListLocks", "ListNetworkFunctions", "ListTasks", "ListUserGroups",
    "ListUsers", "ListVersions", "LoadConfiguration", "LockDevice", "LockDevices", "LockGroup", "Login", "Logout",
    "LogoutEverywhere", "MoveChanges", "MoveNetworkFunction", "Operation", "OverrideLock", "PollDevice", "Prefer",
    "PreviewPush", "ProbeDevice", "ProbeHost", "PushAction", "PushChanges", "ReadDeviceFacts", "RebaseChanges",
    "RestoreVersion", "RetrieveElement", "Rule", "Scope", "SetPassword", "ShowCategory", "ShowDevice",
    "ShowDeviceGroup", "ShowElementType", "ShowFunctionGroup", "ShowLock", "ShowLocks", "ShowNetworkFunction",
    "ShowPendingChanges", "ShowServer", "ShowSession", "ShowTask", "ShowVersion", "UnassignDevice", "UnlockDevice",
    "UnlockDevices", "UnlockGroup", "UpdateElement", "VerifyLocks",
]  # fmt: skip


# ------------------------------------------------------------------------------ sessions and server


@dataclass(frozen=True, kw_only=True)
class Login(Operation, rule=Rule(Kind.PUBLIC, "session:login:made", None, Level.NONE)):
    user_name: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Logout(Operation, rule=Rule(Kind.CHANGE, "session:login:ended", Area.SESSION, Level.VIEW)):
    """Ends the caller's own session and nothing else."""


@dataclass(frozen=True, kw_only=True)
class LogoutEverywhere(Operation, rule=Rule(Kind.CHANGE, "session:logins:ended", Area.SESSION, Level.VIEW)):
    """Ends every session of the caller's user, at all doors; this one, too. Locks stay."""


@dataclass(frozen=True, kw_only=True)
class ShowSession(Operation, rule=observe("session:login:shown", Area.SESSION)):
    pass


@dataclass(frozen=True, kw_only=True)
class ShowServer(Operation, rule=observe("server:state:shown", Area.SESSION)):
    pass


# ------------------------------------------------------------------------------------ audit and users


@dataclass(frozen=True, kw_only=True)
class ListAudit(Operation, rule=observe("audit:trail:listed", Area.AUDIT)):
    """Newest first. `filters`: user, door, operation, device, result, requestId; times in microseconds."""

    filters: Mapping[str, str] = field(default_factory=dict)
    since_us: int | None = None
    until_us: int | None = None
    offset: int = 0
    limit: int | None = None


def _users(tag: str, kind: Kind = Kind.CHANGE) -> Rule:
    level = Level.VIEW if kind is Kind.OBSERVE else Level.FULL
    return Rule(kind, tag, Area.USERS, level, Scope.SERVER)


@dataclass(frozen=True, kw_only=True)
class AddUser(Operation, rule=_users("user:account:added")):
    user_name: str
    group: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ListUsers(Operation, rule=_users("user:account:listed", Kind.OBSERVE)):
    pass


@dataclass(frozen=True, kw_only=True)
class ListUserGroups(Operation, rule=_users("user:group:listed", Kind.OBSERVE)):
    """Every user group with its rights."""


@dataclass(frozen=True, kw_only=True)
class DisableUser(Operation, rule=_users("user:account:disabled")):
    """Ends the user's sessions; locks stay and show as orphaned."""

    user_name: str


@dataclass(frozen=True, kw_only=True)
class EnableUser(Operation, rule=_users("user:account:enabled")):
    user_name: str


@dataclass(frozen=True, kw_only=True)
class DeleteUser(Operation, rule=_users("user:account:deleted")):
    """Ends the user's sessions and staged edits for good; locks stay and show as orphaned, and history keeps the name.

    A later user of the same name is another one.
    """

    user_name: str


@dataclass(frozen=True, kw_only=True)
class SetPassword(Operation, rule=_users("user:password:set")):
    user_name: str
    password: str = field(repr=False)
