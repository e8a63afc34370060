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
        claim=Claim.EXCLUSIVE, writes=True, reaches_device=True, task=True,
    ),
):  # fmt: skip
    device_id: int
    action: PushAction
    change_set: str = ""
    as_task: bool = False
    """Answer as soon as it is admitted; it goes on as a task."""


@dataclass(frozen=True, kw_only=True)
class ListElements(Operation, rule=observe("device:element:listed", Area.CONFIGURATION, Scope.DEVICE)):
    device_id: int
    element_path: str
    offset: int = 0
    limit: int | None = None
    change_set: str = ""


@dataclass(frozen=True, kw_only=True)
class RetrieveElement(Operation, rule=observe("device:element:shown", Area.CONFIGURATION, Scope.DEVICE)):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)
    change_set: str = ""


@dataclass(frozen=True, kw_only=True)
class AddElement(Operation, rule=_stage("device:element:added")):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)
    change_set: str = ""


@dataclass(frozen=True, kw_only=True)
class UpdateElement(Operation, rule=_stage("device:element:updated")):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)
    change_set: str = ""


@dataclass(frozen=True, kw_only=True)
class DeleteElement(Operation, rule=_stage("device:element:deleted")):
    device_id: int
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)
    change_set: str = ""


class BatchVerb(StrEnum):
    """What one edit of a batch does; the first three are the published words."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    REPLACE = "REPLACE"
    """The element as given, with its sub-elements, in the place of the one with its keys."""


@dataclass(frozen=True, slots=True)
class BatchEdit:
    """One edit of a batch; `parent` as in the operations on single elements."""

    verb: BatchVerb
    element: Element = field(repr=False)
    parent: Element | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True)
class ApplyBatch(Operation, rule=_stage("device:elements:staged")):
    """Stage edits in order, all or none; each is made on what those before it leave."""

    device_id: int
    edits: tuple[BatchEdit, ...] = field(repr=False)
    change_set: str = ""


@dataclass(frozen=True, kw_only=True)
class ShowPendingChanges(Operation, rule=observe("device:changes:shown", Area.CONFIGURATION, Scope.DEVICE)):
    """The caller's own staged changes."""

    device_id: int
    change_set: str = ""


@dataclass(frozen=True, kw_only=True)
class DiscardChanges(
    Operation,
    rule=Rule(Kind.CHANGE, "device:changes:discarded", Area.CONFIGURATION, Level.FULL, Scope.DEVICE),
):
    """The caller's own staged changes; allowed on a read-only device, since it writes nothing to it.

    `element_path` with `key`, as `PendingChange` has them: of that one top-level element alone.
    """

    device_id: int
    change_set: str = ""
    element_path: str | None = None
    key: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True, kw_only=True)
class MoveChanges(
    Operation,
    rule=Rule(Kind.CHANGE, "device:changes:moved", Area.CONFIGURATION, Level.FULL, Scope.DEVICE),
):
    """Take all that the caller staged under one name over to another; refused where both hold the same element."""

    device_id: int
    change_set: str = ""
    into: str = ""


@dataclass(frozen=True, kw_only=True)
class ListElementTypes(Operation, rule=observe("device:schema:listed", Area.CONFIGURATION, Scope.DEVICE)):
    """Top-level element types of the device's software, by path."""

    device_id: int
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowElementType(Operation, rule=observe("device:schema:shown", Area.CONFIGURATION, Scope.DEVICE)):
    """One type with its attributes; `attribute` asks for that one alone, with the values its references may take."""

    device_id: int
    element_path: str
    attribute: str | None = None


@dataclass(frozen=True, kw_only=True)
class DraftElement(Operation, rule=observe("device:element:drafted", Area.CONFIGURATION, Scope.DEVICE)):
    """A new element of a type with its defaults filled in; nothing is stored."""

    device_id: int
    element_path: str


@dataclass(frozen=True, kw_only=True)
class ListChangeSets(Operation, rule=observe("device:changes:listed", Area.CONFIGURATION, Scope.DEVICE)):
    """The caller's own change sets on a device that hold anything."""

    device_id: int


def _live_read(tag: str, area: Area = Area.CONFIGURATION) -> Rule:
    return Rule(Kind.TOUCH, tag, area, Level.VIEW, Scope.DEVICE, claim=Claim.SHARED, reaches_device=True)


@dataclass(frozen=True, kw_only=True)
class PreviewPush(Operation, rule=_live_read("device:push:previewed")):
    """What a push would do: the difference, what stands in its way, and what would be sent. Writes nothing."""

    device_id: int
    action: PushAction = PushAction.SAVE_ACTIVATE
    change_set: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckSync(Operation, rule=_live_read("device:sync:checked")):
    """What differs between the device, our copy and the caller's staged changes, now."""

    device_id: int
    change_set: str = ""


class Prefer(StrEnum):
    """Whose value a conflict of a rebase takes; `NONE` refuses and lists the conflicts."""

    NONE = "none"
    MINE = "mine"
    THEIRS = "theirs"


@dataclass(frozen=True, kw_only=True)
class RebaseChanges(
    Operation,
    rule=Rule(Kind.CHANGE, "device:changes:rebased", Area.CONFIGURATION, Level.FULL, Scope.DEVICE),
):
    """Base the caller's staged changes on our present copy; the device is not asked (load it first)."""

    device_id: int
    change_set: str = ""
    prefer: Prefer = Prefer.NONE


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
    """Whether the device answers; `compare` also whether it still holds what our copy says."""

    device_id: int
    compare: bool = False


@dataclass(frozen=True, kw_only=True)
class KeepHouse(Operation, rule=Rule(Kind.MACHINERY, "server:rows:expired", None, Level.NONE)):
    """Removes what time has made meaningless: ended sessions, ended claims, old attempts, versions past `keep`."""

    keep_versions: int = 500
    """Of each device."""
