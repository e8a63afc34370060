"""What operations answer: data for any door, in no door's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from opensdm.core.element import Element
from opensdm.core.identity import Session
from opensdm.core.inventory import Category, Device, DeviceGroup, NetworkFunction, ParameterType
from opensdm.core.lock import LostLock
from opensdm.core.operations import PushAction
from opensdm.core.ports import LockView, NodeRow
from opensdm.core.staging import PendingChange

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Listing(Generic[ItemT]):
    """A slice of a list: `total` items exist, these begin at `offset` (from 0)."""

    items: tuple[ItemT, ...]
    total: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A new session; `token` is shown this once and stored hashed."""

    token: str = field(repr=False)
    user_name: str
    group: str
    idle_timeout_s: int


@dataclass(frozen=True, slots=True)
class SessionShown:
    """The caller's own session and what it may do."""

    session: Session
    locks: tuple[LockView, ...]


@dataclass(frozen=True, slots=True)
class ServerShown:
    """The server and its nodes."""

    nodes: tuple[NodeRow, ...]


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """One parameter as shown: a secret's value is the mask."""

    type: ParameterType
    value: str | None


@dataclass(frozen=True, slots=True)
class DeviceShown:
    """A device; `pending_changes` are the caller's own. `parameters` only in the detail form."""

    device: Device
    pending_changes: bool = False
    parameters: tuple[ParameterValue, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupShown:
    """A group; `parameters` only for a group inside a network function."""

    group: DeviceGroup
    parameters: tuple[ParameterValue, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionShown:
    """A network function with its groups and devices (detail form)."""

    function: NetworkFunction
    groups: tuple[DeviceGroup, ...] = ()
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True)
class CategoryShown:
    """A category; `parameters` when one of its types was asked for."""

    category: Category
    parameters: tuple[ParameterType, ...] = ()


@dataclass(frozen=True, slots=True)
class LockReply:
    """Locks as they were committed; for unlock, the devices as they stand after it.

    `lost`: locks taken away from the caller on these devices, which the caller hears of here.
    """

    locks: tuple[LockView, ...]
    lost: tuple[LostLock, ...] = ()


@dataclass(frozen=True, slots=True)
class OverrideReply:
    """The lock after an override. Not settled: a step of the old owner's work is open until then."""

    lock: LockView
    settled: bool
    step_until_us: int | None


SUCCEEDED = "SUCCESS"
FAILED = "FAILED"
UNKNOWN = "UNKNOWN"
NOT_APPLICABLE = "Not Applicable"


@dataclass(frozen=True, slots=True)
class PushReply:
    """The published result of a push, flag by flag; `error_code` set when it failed after it began."""

    action: PushAction
    status: str = FAILED
    task_id: str = ""
    lock: str = NOT_APPLICABLE
    validation: str = NOT_APPLICABLE
    erase_cache: str = NOT_APPLICABLE
    create: str = NOT_APPLICABLE
    integrity_check: str = NOT_APPLICABLE
    restore: str = NOT_APPLICABLE
    save: str = NOT_APPLICABLE
    activate: str = NOT_APPLICABLE
    unlock: str = NOT_APPLICABLE
    firmware_changed: bool = False
    error_code: str | None = None
    error_message: str | None = None
    validation_message: str | None = None


@dataclass(frozen=True, slots=True)
class ElementsShown:
    """Elements of one type with the caller's staged changes applied."""

    items: tuple[Element, ...]
    total: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ChangesShown:
    """The caller's staged changes on one device."""

    changes: tuple[PendingChange, ...]
