"""What operations answer: data for any door, in no door's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from opensdm.core.difference import Difference
from opensdm.core.element import Element, ElementType
from opensdm.core.identity import Session
from opensdm.core.inventory import Category, Device, DeviceGroup, NetworkFunction, ParameterType
from opensdm.core.inventory_operations import FunctionRow
from opensdm.core.lock import Blocker, LockEvent, LostLock
from opensdm.core.lock_replay import LockDifference
from opensdm.core.operations import PushAction
from opensdm.core.ports import AskRow, Capabilities, DeviceFacts, LockView, NodeRow
from opensdm.core.rebase import Clash
from opensdm.core.staging import PendingChange
from opensdm.core.task import Progress, Task
from opensdm.core.versions import Drift, Version

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
    """A device; `pending_changes` are the caller's own. `parameters` only in the detail form.

    `status`: what a managed device's state is for this caller, one of the published words. `busy`: a writing
    operation runs on it. `drift`: what was found on it that we did not put there.
    """

    device: Device
    pending_changes: bool = False
    parameters: tuple[ParameterValue, ...] = ()
    status: str = ""
    drift: Drift | None = None


@dataclass(frozen=True, slots=True)
class DeviceFound:
    """A device in a list to look at, with its lock and what runs and waits on it."""

    shown: DeviceShown
    lock: LockView


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
    """The lock after an override. Not settled: a step of the old owner's work is open until then.

    `waiting`: the device becomes the caller's when that work is over.
    """

    lock: LockView
    settled: bool
    step_until_us: int | None
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class AskReply:
    """The lock whose holder was asked to release it."""

    lock: LockView
    asked_at_us: int


@dataclass(frozen=True, slots=True)
class CheckReply:
    """What a lock request would come to now.

    `would`: "grant"; "held", the caller has it already; "wait", for the work in `blockers`; "refuse", for all of them.
    """

    lock: LockView
    would: str
    blockers: tuple[Blocker, ...] = ()


@dataclass(frozen=True, slots=True)
class LockEventsReply:
    """Events in the order of their ids; ask again with `last_id` for those that follow."""

    events: tuple[LockEvent, ...]
    last_id: int


@dataclass(frozen=True, slots=True)
class LocksVerified:
    """So many locks were compared with what so many events say, at one moment; by device, where they part."""

    locks: int
    events: int
    differences: tuple[LockDifference, ...]


Asks = Listing[AskRow]


SUCCEEDED = "SUCCESS"
FAILED = "FAILED"
UNKNOWN = "UNKNOWN"
NOT_APPLICABLE = "Not Applicable"


@dataclass(frozen=True, slots=True)
class Held:
    """What the device holds of one element of a push that did not go through: `old`, `new`, `other` or `unknown`."""

    path: str
    key: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class PushReply:
    """The published result of a push, flag by flag; `error_code` set when it failed after it began.

    `holds`: after a failure, what the device holds now of each element the push was about.
    """

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
    holds: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """Long work was admitted and goes on; ask for the task."""

    task_id: str
    operation: str
    device_id: int


@dataclass(frozen=True, slots=True)
class TaskShown:
    """A task and what happened in it, oldest first."""

    task: Task
    progress: tuple[Progress, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeShown:
    """An element type of a device's software. `referred`: for attributes that refer to others, the values there are."""

    platform: str
    version: str
    type: ElementType
    referred: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushPreview:
    """What a push would do. `ready`: nothing known stands in its way; else `code` and `message` say what does.

    `differences`: of the staged changes. `outside`: what the device holds otherwise than the changes are based on.
    `sends`: what would be sent, a line each, secrets masked.
    """

    ready: bool
    changes: tuple[PendingChange, ...]
    differences: tuple[Difference, ...]
    outside: tuple[Difference, ...] = ()
    sends: tuple[str, ...] = ()
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Device, copy and staged changes side by side; `state` is one of the published words.

    `outside`: from our copy to the device, at most as many as `outside_total` says there are. `staged`: from our copy
    to what the caller wants. `conflicts`: attributes that both changed, to different values.
    """

    state: str
    outside: tuple[Difference, ...]
    outside_total: int
    staged: tuple[Difference, ...]
    conflicts: tuple[Clash, ...]
    message: str | None = None


@dataclass(frozen=True, slots=True)
class RebaseReply:
    """Staged changes on their new base. `resolved`: conflicts decided by the caller's preference.

    `dropped` counts changes that our copy holds already.
    """

    changes: tuple[PendingChange, ...]
    resolved: tuple[Clash, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class VersionShown:
    """A version with a slice of its elements, secrets masked; `total` elements of what was asked for exist."""

    version: Version
    elements: tuple[Element, ...] = ()
    total: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one version to another; `total` differences exist, the first of them are here."""

    old: Version
    new: Version
    differences: tuple[Difference, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """What became, or would become, of one row; `message` says what is wrong with it."""

    number: int
    nf_name: str
    ok: bool
    nf_id: int | None = None
    device_ids: tuple[int, ...] = ()
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ImportReply:
    """A bulk import, row by row. `added` counts the network functions that are there now; of a dry run, would be."""

    dry_run: bool
    added: int
    failed: int
    rows: tuple[ImportedRow, ...]


@dataclass(frozen=True, slots=True)
class ExportReply:
    """Network functions as rows. `left_out`: full names of those that no row can tell of, having several devices."""

    rows: tuple[FunctionRow, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a probe tried. `ok` None: not tried, `message` says why."""

    step: str
    ok: bool | None
    message: str


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What works on a host, and what does not. `trust`: device parameters that would pin what it showed of itself."""

    address: str
    platform: str
    findings: tuple[Finding, ...]
    facts: DeviceFacts | None = None
    capabilities: Capabilities | None = None
    element_types: int | None = None
    elements: int | None = None
    trust: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ElementsShown:
    """Elements of one type with the caller's staged changes applied."""

    items: tuple[Element, ...]
    total: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ChangesShown:
    """The caller's staged changes on one device, and attribute by attribute what they change (secrets masked).

    `of_each`: the same differences, those of each change together, in the order of `changes`.
    """

    changes: tuple[PendingChange, ...]
    differences: tuple[Difference, ...] = ()
    of_each: tuple[tuple[Difference, ...], ...] = ()
