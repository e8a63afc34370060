"""Operations on managed devices: their configuration, staged changes, pushes, and what is asked of them live."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from opensdm.core.element import Element
from opensdm.core.identity import Area, Level
from opensdm.core.operation import Claim, Kind, Operation, Rule, Scope, observe


def _stage(tag: str) -> Rule:
    return Rule(Kind.CHANGE, tag, Area.CONFIGURATION, Level.FULL, Scope.DEVICE, writes=True)


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
class ListElements(Operation, rule=observe("device:element:listed", Area.CONFIGURATION, Scope.DEVICE)):
    device_id: int
    element_path: str
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class RetrieveElement(Operation, rule=observe("device:element:shown", Area.CONFIGURATION, Scope.DEVICE)):
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
class ShowPendingChanges(Operation, rule=observe("device:changes:shown", Area.CONFIGURATION, Scope.DEVICE)):
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
