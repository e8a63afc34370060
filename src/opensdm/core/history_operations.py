"""Operations on the history of a device's configuration, and on long work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opensdm.core.identity import Area, Level
from opensdm.core.operation import Claim, Kind, Operation, Rule, Scope, observe

# ------------------------------------------------------------------------------------------ versions


@dataclass(frozen=True, kw_only=True)
class ListVersions(Operation, rule=observe("device:version:listed", Area.CONFIGURATION, Scope.DEVICE)):
    """Newest first."""

    device_id: int
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowVersion(Operation, rule=observe("device:version:shown", Area.CONFIGURATION, Scope.DEVICE)):
    """One version with its elements, a slice of them; secrets masked. `element_path` narrows to a type."""

    device_id: int
    number: int
    element_path: str | None = None
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class CompareVersions(Operation, rule=observe("device:version:compared", Area.CONFIGURATION, Scope.DEVICE)):
    """What changed from version `old` to version `new`; `new` None: our present copy."""

    device_id: int
    old: int
    new: int | None = None


@dataclass(frozen=True, kw_only=True)
class BackUpDevice(
    Operation,
    rule=Rule(
        Kind.CHANGE, "device:version:kept", Area.CONFIGURATION, Level.FULL, Scope.DEVICE,
        claim=Claim.EXCLUSIVE, reaches_device=True,
    ),
):  # fmt: skip
    """Read the device and keep what it runs as a version; our copy and everyone's staged changes stay."""

    device_id: int
    comment: str = ""


@dataclass(frozen=True, kw_only=True)
class BackUpOnSchedule(
    Operation,
    rule=Rule(Kind.MACHINERY, "device:version:scheduled", None, Level.NONE, Scope.DEVICE, reaches_device=True),
):
    """The server's own backup, by plain reads; goes on beside anybody's lock, and says so where it met a write."""

    device_id: int


@dataclass(frozen=True, kw_only=True)
class RestoreVersion(
    Operation,
    rule=Rule(
        Kind.CHANGE, "device:version:restored", Area.PUSH, Level.FULL, Scope.DEVICE,
        claim=Claim.EXCLUSIVE, writes=True, reaches_device=True, task=True,
    ),
):  # fmt: skip
    """Make the device hold a kept version again: what differs is pushed, read back, saved and activated."""

    device_id: int
    number: int
    as_task: bool = False


# --------------------------------------------------------------------------------------------- tasks


@dataclass(frozen=True, kw_only=True)
class ListTasks(Operation, rule=observe("task:work:listed", Area.CONFIGURATION)):
    """Newest first. `filters`: deviceId, userName, state, operation."""

    filters: Mapping[str, str] = field(default_factory=dict)
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowTask(Operation, rule=observe("task:work:shown", Area.CONFIGURATION)):
    """One task with its progress past event number `after`."""

    task_id: str
    after: int = 0


@dataclass(frozen=True, kw_only=True)
class CancelTask(Operation, rule=Rule(Kind.CHANGE, "task:work:cancelled", Area.PUSH, Level.FULL)):
    """Ask one's own task to stop before its next step; what it wrote is undone."""

    task_id: str
