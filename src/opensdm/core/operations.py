"""Every operation, as frozen data. A class here names how it is gated, or it does not import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar

from opensdm.core.element import Element
from opensdm.core.identity import Area, Level
from opensdm.core.lock import OverrideMode


class Kind(StrEnum):
    """The class of an operation under a foreign lock; see `docs/architecture.md`."""

    PUBLIC = "public"
    """Needs no session: login, and nothing that shows or changes a device."""
    OBSERVE = "observe"
    LOCK = "lock"
    """Takes, frees or takes away locks: decided by the lock rules themselves."""
    TOUCH = "touch"
    CHANGE = "change"
    MACHINERY = "machinery"


class Claim(StrEnum):
    """What mark the operation leaves on its devices while it runs."""

    NONE = "none"
    SHARED = "shared"
    EXCLUSIVE = "exclusive"


class Scope(StrEnum):
    """How the target devices are found, inside the transaction that decides."""

    SERVER = "server"
    DEVICE = "device"
    NETWORK_FUNCTION = "network_function"
    FUNCTION_GROUP = "function_group"
    DEVICE_GROUP = "device_group"


@dataclass(frozen=True, slots=True)
class Rule:
    """How the gate treats an operation.

    `tag` is the audit tag (scope:object:past tense). `writes` marks what a read-only device refuses.
    `alone` asks that no claim at all is on the devices. `reaches_device` marks the operations that get
    a permit. `local` marks those that only the local console of the server may send.
    """

    kind: Kind
    tag: str
    area: Area | None
    level: Level
    scope: Scope = Scope.SERVER
    claim: Claim = Claim.NONE
    writes: bool = False
    exclusive: bool = False
    alone: bool = False
    drop: bool = False
    reaches_device: bool = False
    local: bool = False


REGISTRY: dict[str, type[Operation]] = {}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One request, as data. `epoch` is the fencing token a caller may carry."""

    rule: ClassVar[Rule]
    epoch: int | None = None

    def __init_subclass__(cls, *, rule: Rule | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rule is None:
            raise TypeError(f"{cls.__name__} names no rule: every operation says how it is gated")
        _check_rule(cls.__name__, rule)
        if cls.__name__ in REGISTRY:
            raise TypeError(f"two operations are called {cls.__name__}")
        cls.rule = rule
        REGISTRY[cls.__name__] = cls

    @property
    def name(self) -> str:
        return type(self).__name__

    def describe(self) -> dict[str, Any]:
        """The fields for the audit trail, without what is secret."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.repr and getattr(self, f.name) is not None}


def _check_rule(name: str, rule: Rule) -> None:
    """Refuse, at import, rules that could open a way around the gate."""
    if rule.claim is not Claim.NONE and rule.kind not in (Kind.TOUCH, Kind.CHANGE):
        raise TypeError(f"{name}: only touch and change operations take claims")
    if rule.kind is Kind.TOUCH and rule.claim is Claim.NONE:
        raise TypeError(f"{name}: a touch operation takes a claim")
    if rule.reaches_device and rule.kind is Kind.CHANGE and rule.claim is not Claim.EXCLUSIVE:
        raise TypeError(f"{name}: a change that reaches the device takes an exclusive claim")
    if rule.reaches_device and rule.kind not in (Kind.TOUCH, Kind.CHANGE, Kind.MACHINERY):
        raise TypeError(f"{name}: {rule.kind} operations never reach a device")
    if rule.scope is Scope.SERVER and rule.kind in (Kind.LOCK, Kind.TOUCH):
        raise TypeError(f"{name}: names no device")
    if rule.area is None and rule.kind not in (Kind.PUBLIC, Kind.MACHINERY) and not rule.local:
        raise TypeError(f"{name}: names no privilege")


def _observe(tag: str, area: Area, scope: Scope = Scope.SERVER) -> Rule:
    return Rule(Kind.OBSERVE, tag, area, Level.VIEW, scope)


def _lock(tag: str, scope: Scope, area: Area = Area.DEVICE_LOCK) -> Rule:
    return Rule(Kind.LOCK, tag, area, Level.FULL, scope)


def _stage(tag: str) -> Rule:
    return Rule(Kind.CHANGE, tag, Area.CONFIGURATION, Level.FULL, Scope.DEVICE, writes=True)


# ------------------------------------------------------------------------------ sessions and server


@dataclass(frozen=True, kw_only=True)
class Login(Operation, rule=Rule(Kind.PUBLIC, "session:login:made", None, Level.NONE)):
    user_name: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Logout(Operation, rule=Rule(Kind.CHANGE, "session:login:ended", Area.SESSION, Level.VIEW)):
    """Ends the caller's own session and nothing else."""


@dataclass(frozen=True, kw_only=True)
class ShowSession(Operation, rule=_observe("session:login:shown", Area.SESSION)):
    pass


@dataclass(frozen=True, kw_only=True)
class ShowServer(Operation, rule=_observe("server:state:shown", Area.SESSION)):
    pass


# --------------------------------------------------------------------------------------- inventory


@dataclass(frozen=True, kw_only=True)
class ListDevices(Operation, rule=_observe("device:inventory:listed", Area.INVENTORY)):
    """`filters`: wire field name to a pattern with `*`. `managed`: only assigned devices."""

    filters: Mapping[str, str] = field(default_factory=dict)
    managed: bool = False
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowDevice(Operation, rule=_observe("device:inventory:shown", Area.INVENTORY, Scope.DEVICE)):
    device_id: int
    managed: bool = False


@dataclass(frozen=True, kw_only=True)
class ListDeviceGroups(Operation, rule=_observe("group:inventory:listed", Area.INVENTORY)):
    filters: Mapping[str, str] = field(default_factory=dict)
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowDeviceGroup(Operation, rule=_observe("group:inventory:shown", Area.INVENTORY)):
    group_id: int


@dataclass(frozen=True, kw_only=True)
class AddDeviceGroup(
    Operation, rule=Rule(Kind.CHANGE, "group:inventory:added", Area.INVENTORY, Level.FULL, Scope.SERVER)
):
    group_name: str
    parent_full_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeDeviceGroup(
    Operation, rule=Rule(Kind.CHANGE, "group:inventory:changed", Area.INVENTORY, Level.FULL, Scope.DEVICE_GROUP)
):
    """Rename, move, or both; an absent field stays as it is."""

    group_id: int
    group_name: str | None = None
    parent_full_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeleteDeviceGroup(
    Operation, rule=Rule(Kind.CHANGE, "group:inventory:deleted", Area.INVENTORY, Level.FULL, Scope.DEVICE_GROUP)
):
    group_id: int


@dataclass(frozen=True, kw_only=True)
class ListCategories(Operation, rule=_observe("function:category:listed", Area.INVENTORY)):
    pass


@dataclass(frozen=True, kw_only=True)
class ShowCategory(Operation, rule=_observe("function:category:shown", Area.INVENTORY)):
    """Also answers the list of types, and with `type_name` the parameters of one type."""

    category_id: int
    type_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class ListNetworkFunctions(Operation, rule=_observe("function:inventory:listed", Area.INVENTORY)):
    filters: Mapping[str, str] = field(default_factory=dict)
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowNetworkFunction(Operation, rule=_observe("function:inventory:shown", Area.INVENTORY)):
    nf_id: int


@dataclass(frozen=True, kw_only=True)
class ListFunctionGroups(Operation, rule=_observe("function:group:listed", Area.INVENTORY)):
    nf_id: int


@dataclass(frozen=True, kw_only=True)
class ShowFunctionGroup(Operation, rule=_observe("function:group:shown", Area.INVENTORY)):
    nf_id: int
    group_id: int


@dataclass(frozen=True)
class DeviceEnrolment:
    """What is needed to enrol one device; parameter names as on the wire (`primary.ip`, ...)."""

    device_name: str | None
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class GroupEnrolment:
    """A group inside a clustered network function, with its devices."""

    parameters: Mapping[str, str] = field(repr=False)
    devices: tuple[DeviceEnrolment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AddNetworkFunction(
    Operation, rule=Rule(Kind.CHANGE, "function:inventory:added", Area.INVENTORY, Level.FULL, Scope.SERVER)
):
    nf_name: str
    parent_full_name: str | None
    category_name: str
    type_name: str
    parameters: Mapping[str, str] = field(repr=False, default_factory=dict)
    groups: tuple[GroupEnrolment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MoveNetworkFunction(
    Operation,
    rule=Rule(Kind.CHANGE, "function:inventory:moved", Area.INVENTORY, Level.FULL, Scope.NETWORK_FUNCTION),
):
    nf_id: int
    parent_full_name: str


@dataclass(frozen=True, kw_only=True)
class DeleteNetworkFunction(
    Operation,
    rule=Rule(
        Kind.CHANGE, "function:inventory:deleted", Area.INVENTORY, Level.FULL, Scope.NETWORK_FUNCTION,
        exclusive=True, alone=True, drop=True,
    ),
):  # fmt: skip
    nf_id: int


@dataclass(frozen=True, kw_only=True)
class ChangeCredentials(
    Operation,
    rule=Rule(
        Kind.CHANGE, "function:credentials:changed", Area.INVENTORY, Level.FULL, Scope.FUNCTION_GROUP, exclusive=True
    ),
):
    """`parameters`: wire names and values; `xxxx` keeps a secret as it is."""

    nf_id: int
    group_id: int
    parameters: Mapping[str, str] = field(repr=False, default_factory=dict)


# ------------------------------------------------------------------------------------ configuration


@dataclass(frozen=True, kw_only=True)
class AssignDevice(
    Operation, rule=Rule(Kind.CHANGE, "device:management:assigned", Area.INVENTORY, Level.FULL, Scope.DEVICE)
):
    """The door resolves `deviceName` and `nfName` through the gate before it sends this."""

    device_id: int


@dataclass(frozen=True, kw_only=True)
class UnassignDevice(
    Operation,
    rule=Rule(Kind.CHANGE, "device:management:unassigned", Area.INVENTORY, Level.FULL, Scope.DEVICE, exclusive=True),
):
    device_id: int


@dataclass(frozen=True, kw_only=True)
class LoadConfiguration(
    Operation,
    rule=Rule(
        Kind.CHANGE, "device:configuration:loaded", Area.CONFIGURATION, Level.FULL, Scope.DEVICE,
        claim=Claim.EXCLUSIVE, reaches_device=True,
    ),
):  # fmt: skip
    device_id: int


class PushAction(StrEnum):
    """The published literals of `deviceAction` on a managed device."""

    SAVE = "SaveConfig"
    ACTIVATE = "ActivateConfig"
    SAVE_ACTIVATE = "SaveActivateConfig"


@dataclass(frozen=True, kw_only=True)
class PushChanges(
    Operation,
    rule=Rule(
        Kind.CHANGE, "device:configuration:pushed", Area.PUSH, Level.FULL, Scope.DEVICE,
        claim=Claim.EXCLUSIVE, writes=True, reaches_device=True,
    ),
):  # fmt: skip
    device_id: int
    action: PushAction


@dataclass(frozen=True, kw_only=True)
class ListElements(Operation, rule=_observe("device:element:listed", Area.CONFIGURATION, Scope.DEVICE)):
    device_id: int
    element_path: str
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class RetrieveElement(Operation, rule=_observe("device:element:shown", Area.CONFIGURATION, Scope.DEVICE)):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True)
class AddElement(Operation, rule=_stage("device:element:added")):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True)
class UpdateElement(Operation, rule=_stage("device:element:updated")):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True)
class DeleteElement(Operation, rule=_stage("device:element:deleted")):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True)
class ShowPendingChanges(Operation, rule=_observe("device:changes:shown", Area.CONFIGURATION, Scope.DEVICE)):
    """The caller's own staged changes."""

    device_id: int


@dataclass(frozen=True, kw_only=True)
class DiscardChanges(
    Operation,
    rule=Rule(Kind.CHANGE, "device:changes:discarded", Area.CONFIGURATION, Level.FULL, Scope.DEVICE),
):
    """The caller's own staged changes; allowed on a read-only device, since it writes nothing to it."""

    device_id: int


@dataclass(frozen=True, kw_only=True)
class ReadDeviceFacts(
    Operation,
    rule=Rule(
        Kind.TOUCH, "device:facts:read", Area.INVENTORY, Level.VIEW, Scope.DEVICE,
        claim=Claim.SHARED, reaches_device=True,
    ),
):  # fmt: skip
    """Asks the device itself, now: version, role, health."""

    device_id: int


@dataclass(frozen=True, kw_only=True)
class PollDevice(
    Operation,
    rule=Rule(Kind.MACHINERY, "device:state:polled", None, Level.NONE, Scope.DEVICE, reaches_device=True),
):
    device_id: int


@dataclass(frozen=True, kw_only=True)
class KeepHouse(Operation, rule=Rule(Kind.MACHINERY, "server:rows:expired", None, Level.NONE)):
    """Removes rows that time has made meaningless: ended sessions, ended claims, old attempts."""


# -------------------------------------------------------------------------------------------- locks


@dataclass(frozen=True, kw_only=True)
class LockDevice(Operation, rule=_lock("device:lock:taken", Scope.DEVICE)):
    device_id: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class UnlockDevice(Operation, rule=_lock("device:lock:released", Scope.DEVICE)):
    device_id: int


@dataclass(frozen=True, kw_only=True)
class LockGroup(Operation, rule=_lock("group:lock:taken", Scope.FUNCTION_GROUP)):
    nf_id: int
    group_id: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class UnlockGroup(Operation, rule=_lock("group:lock:released", Scope.FUNCTION_GROUP)):
    nf_id: int
    group_id: int


@dataclass(frozen=True, kw_only=True)
class OverrideLock(Operation, rule=_lock("device:lock:overridden", Scope.DEVICE, Area.LOCK_OVERRIDE)):
    device_id: int
    reason: str
    expected_holder: str | None = None
    expected_epoch: int | None = None
    mode: OverrideMode = OverrideMode.NOW
    transfer: bool = False


@dataclass(frozen=True, kw_only=True)
class ShowLock(Operation, rule=_observe("device:lock:shown", Area.INVENTORY, Scope.DEVICE)):
    device_id: int


@dataclass(frozen=True, kw_only=True)
class ListLocks(Operation, rule=_observe("device:lock:listed", Area.INVENTORY)):
    """Held locks, oldest first. `holder`: user name. `stale`: holder idle, logged out or disabled."""

    holder: str | None = None
    stale: bool | None = None
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ListLockEvents(Operation, rule=_observe("device:lock:history", Area.INVENTORY, Scope.DEVICE)):
    device_id: int
    offset: int = 0
    limit: int | None = None


# ------------------------------------------------------------------------------------ audit and users


@dataclass(frozen=True, kw_only=True)
class ListAudit(Operation, rule=_observe("audit:trail:listed", Area.AUDIT)):
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
class DisableUser(Operation, rule=_users("user:account:disabled")):
    """Ends the user's sessions; locks stay and show as orphaned."""

    user_name: str


@dataclass(frozen=True, kw_only=True)
class EnableUser(Operation, rule=_users("user:account:enabled")):
    user_name: str


@dataclass(frozen=True, kw_only=True)
class SetPassword(Operation, rule=_users("user:password:set")):
    user_name: str
    password: str = field(repr=False)
