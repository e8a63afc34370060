"""The operations on locks. Whoever may wait says how long; everything else is answered at once."""

from __future__ import annotations

from dataclasses import dataclass

from opensdm.core.identity import Area, Level
from opensdm.core.lock_values import LockScope, OverrideMode
from opensdm.core.operation import Kind, Operation, Rule, Scope, observe

MAX_DEVICES = 1000
"""Devices that one request may name; a group may have more."""


def _lock(tag: str, scope: Scope, area: Area = Area.DEVICE_LOCK) -> Rule:
    return Rule(Kind.LOCK, tag, area, Level.FULL, scope)


@dataclass(frozen=True, kw_only=True)
class _Taking:
    """How a lock is taken.

    `wait_s`: seconds it may wait for other users' work to end; None: as `lock.wait_s` says, 0: not at all. `lease_s`:
    the lock ends by itself so long after it was last taken, or after its owner's work; None leaves a lease that is
    there, 0 takes it off. `scope`: whose the lock is; None: the user's.
    """

    reason: str | None = None
    wait_s: float | None = None
    lease_s: int | None = None
    scope: LockScope | None = None


@dataclass(frozen=True, kw_only=True)
class LockDevice(_Taking, Operation, rule=_lock("device:lock:taken", Scope.DEVICE)):
    """Takes the device for its caller, or renews what the caller has."""

    device_id: int


@dataclass(frozen=True, kw_only=True)
class UnlockDevice(Operation, rule=_lock("device:lock:released", Scope.DEVICE)):
    device_id: int


@dataclass(frozen=True, kw_only=True)
class LockGroup(_Taking, Operation, rule=_lock("group:lock:taken", Scope.FUNCTION_GROUP)):
    """All devices of a group, or none of them."""

    nf_id: int
    group_id: int


@dataclass(frozen=True, kw_only=True)
class UnlockGroup(Operation, rule=_lock("group:lock:released", Scope.FUNCTION_GROUP)):
    nf_id: int
    group_id: int


@dataclass(frozen=True, kw_only=True)
class LockDevices(_Taking, Operation, rule=_lock("devices:lock:taken", Scope.DEVICES)):
    """All of these devices, or none of them. Their order and repetitions mean nothing."""

    device_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class UnlockDevices(Operation, rule=_lock("devices:lock:released", Scope.DEVICES)):
    device_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class OverrideLock(Operation, rule=_lock("device:lock:overridden", Scope.DEVICE, Area.LOCK_OVERRIDE)):
    """Takes another's lock away. `transfer`: the device is then the caller's, once foreign work on it is over."""

    device_id: int
    reason: str
    expected_holder: str | None = None
    expected_epoch: int | None = None
    mode: OverrideMode = OverrideMode.NOW
    transfer: bool = False


@dataclass(frozen=True, kw_only=True)
class AskForLock(Operation, rule=_lock("device:lock:asked", Scope.DEVICE)):
    """Asks the holder to release the device; who asks again replaces their message."""

    device_id: int
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class ConfirmDevice(Operation, rule=_lock("device:state:confirmed", Scope.DEVICE, Area.CONFIGURATION)):
    """Somebody looked at the device: work that was cut off there writes nothing any more. `note`: what was seen."""

    device_id: int
    note: str


@dataclass(frozen=True, kw_only=True)
class ShowLock(Operation, rule=observe("device:lock:shown", Area.INVENTORY, Scope.DEVICE)):
    device_id: int


@dataclass(frozen=True, kw_only=True)
class ShowLocks(Operation, rule=observe("device:lock:compared", Area.INVENTORY)):
    """The locks of these devices, held or free, by device id; those that are not there are left out."""

    device_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CheckLock(Operation, rule=observe("device:lock:checked", Area.INVENTORY, Scope.DEVICE)):
    """What a lock request of the caller would come to now; changes nothing and promises nothing."""

    device_id: int


@dataclass(frozen=True, kw_only=True)
class ListLocks(Operation, rule=observe("device:lock:listed", Area.INVENTORY)):
    """Held locks, oldest first. `holder`: user name, or with `*`. `stale`: holder idle, logged out or disabled.

    `waiting`: instead, devices that a lock request waits for, held or free, by id.
    """

    holder: str | None = None
    stale: bool | None = None
    waiting: bool = False
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ListAsks(Operation, rule=observe("device:lock:askslisted", Area.INVENTORY)):
    """Who asks for locks of the caller, and for what the caller asks; oldest first."""


@dataclass(frozen=True, kw_only=True)
class ListLockEvents(Operation, rule=observe("device:history:listed", Area.INVENTORY, Scope.DEVICE)):
    device_id: int
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class FollowLockEvents(Operation, rule=observe("device:lock:followed", Area.INVENTORY)):
    """Events after the one with the id `after`, in their order and without a gap; None: only where they end now."""

    after: int | None = None
    device_id: int | None = None
    limit: int = 500


@dataclass(frozen=True, kw_only=True)
class VerifyLocks(Operation, rule=observe("device:lock:verified", Area.AUDIT)):
    """Replays the events of all locks and compares what they say with the locks that are there."""


@dataclass(frozen=True, kw_only=True)
class ExpireLeases(Operation, rule=Rule(Kind.MACHINERY, "device:lock:expired", None, Level.NONE)):
    """Ends leases that are due where nobody's request does it, so that their events come in time."""
