"""The values of the device lock: rows as stored, what may be asked, what is answered, and the board of a transaction.

Nothing here decides; `core.lock` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class ClaimState(StrEnum):
    """Where a claim stands; `over` adds the fence and the open step."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    ENDED = "ENDED"


class EventKind(StrEnum):
    """What happened to a lock; the replay of a device's events gives its state."""

    TAKEN = "device:lock:taken"
    NOTED = "device:lock:noted"
    RELEASED = "device:lock:released"
    OVERRIDDEN = "device:lock:overridden"
    EXPIRED = "device:lock:expired"
    DELETED = "device:lock:deleted"


class RefusalCode(StrEnum):
    """Why a request was refused; each is the code of one error class in `core.errors`."""

    DEVICE_LOCKED = "DEVICE_LOCKED"
    DEVICE_BUSY = "DEVICE_BUSY"
    NOT_LOCK_OWNER = "NOT_LOCK_OWNER"
    LOCK_LOST = "LOCK_LOST"
    LOCK_CHANGED = "LOCK_CHANGED"
    READ_ONLY_DEVICE = "READ_ONLY_DEVICE"
    INVALID_REQUEST = "INVALID_REQUEST"


class OverrideMode(StrEnum):
    """NOW fences running work of the old owner; GRACEFUL lets it run to its end."""

    NOW = "now"
    GRACEFUL = "graceful"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the user (owner of locks and claims), and by which session and door."""

    user_id: int
    user_name: str
    session_id: int | None
    door: str


@dataclass(frozen=True, slots=True)
class LockRow:
    """One device's lock as stored; `holder_id` None means FREE. Times are microseconds UTC."""

    device_id: int
    device_name: str
    epoch: int = 0
    revoked: int = 0
    holder_id: int | None = None
    holder_name: str | None = None
    since_us: int | None = None
    door: str | None = None
    session_id: int | None = None
    reason: str | None = None
    scope: str = "user"
    lease_s: int | None = None
    lease_until_us: int | None = None
    uncertain: bool = False
    read_only: bool = False

    @property
    def held(self) -> bool:
        return self.holder_id is not None

    def held_by(self, user_id: int) -> bool:
        return self.holder_id == user_id

    def freed(self) -> LockRow:
        return replace(
            self, holder_id=None, holder_name=None, since_us=None, door=None, session_id=None,
            reason=None, scope="user", lease_s=None, lease_until_us=None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """The mark of one admitted operation. `tickets` maps device id to the epoch at admission."""

    claim_id: int
    owner_id: int
    owner_name: str
    operation: str
    tickets: Mapping[int, int]
    exclusive: bool
    state: ClaimState
    incarnation: int
    started_us: int
    step_until_us: int | None = None
    parent_id: int | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A waiting lock request; it bars foreign work while the clock is before `deadline_us`."""

    pending_id: int
    owner_id: int
    owner_name: str
    devices: frozenset[int]
    deadline_us: int
    since_us: int


@dataclass(frozen=True, slots=True)
class LostLock:
    """A lock that ended against its owner's will, kept until that owner has been told."""

    device_id: int
    user_id: int
    epoch: int
    by_name: str
    reason: str | None
    at_us: int


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing that stands in the way: a lock, a pending request or running work.

    `idle_s` and `holder_logged_in` are of the holder; the gate looks them up once a refusal is decided.
    """

    kind: str
    device_id: int
    device_name: str
    holder_id: int
    holder: str
    since_us: int | None = None
    door: str | None = None
    reason: str | None = None
    epoch: int | None = None
    session_id: int | None = None
    running: str | None = None
    step_until_us: int | None = None
    idle_s: int | None = None
    holder_logged_in: bool | None = None


@dataclass(frozen=True, slots=True)
class LockEvent:
    """One change of one device's lock. `payload` carries what a replay needs; see `docs/events.md`."""

    kind: EventKind
    device_id: int
    device_name: str
    epoch: int
    actor_id: int | None
    actor_name: str
    holder_id: int | None
    holder_name: str | None
    door: str
    reason: str | None
    at_us: int
    revoked: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer no: why, everything that blocks, and facts for the message."""

    code: RefusalCode
    blockers: tuple[Blocker, ...] = ()
    device_id: int | None = None
    lost: LostLock | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Locked:
    """All asked-for devices are the caller's; rows as they will be committed, in id order.

    `lost`: locks that were taken away from the caller on these devices, told here for the first time.
    """

    locks: tuple[LockRow, ...]
    lost: tuple[LostLock, ...] = ()


@dataclass(frozen=True, slots=True)
class Released:
    """The caller holds none of the asked-for devices any more; rows as they will be committed."""

    locks: tuple[LockRow, ...]
    lost: tuple[LostLock, ...] = ()


@dataclass(frozen=True, slots=True)
class Overridden:
    """The lock was taken away. Not settled: a step of the old owner may reach the device until then."""

    lock: LockRow
    previous: LockRow
    settled: bool
    step_until_us: int | None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The operation may run; `claim` is None where the guard alone was asked for."""

    claim: ClaimRow | None
    locks: tuple[LockRow, ...]

    @property
    def uncertain(self) -> bool:
        return any(row.uncertain for row in self.locks)


@dataclass(frozen=True, slots=True)
class Stepped:
    """One southbound write may be sent until `step_until_us` by the database's clock."""

    step_until_us: int


@dataclass(frozen=True, slots=True)
class Done:
    """The step was taken; there is nothing to tell."""


Answer = Refused | Locked | Released | Overridden | Admitted | Stepped | Done


# ---------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class TakeLock:
    """Lock(u, S): all of S or nothing."""

    actor: Actor
    devices: frozenset[int]
    reason: str | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseLock:
    """Unlock(u, S): what u holds in S becomes free."""

    actor: Actor
    devices: frozenset[int]
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class TakeAway:
    """Override(a, d): ends another's lock, on record."""

    actor: Actor
    devices: frozenset[int]
    reason: str
    expected_holder: str | None = None
    expected_epoch: int | None = None
    mode: OverrideMode = OverrideMode.NOW
    transfer: bool = False
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """The check of an operation whose only effect is in our database; effect and check commit together.

    `exclusive`: refused while another write runs. `alone`: refused while any claim is on a device.
    `drop`: the devices disappear with it, and their locks end. `writes`: refused on read-only devices.
    """

    actor: Actor
    devices: frozenset[int]
    epoch: int | None = None
    writes: bool = False
    exclusive: bool = False
    alone: bool = False
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Admit:
    """Admit(u, S, op): as `Guard`, and the claim is registered in the same step."""

    actor: Actor
    devices: frozenset[int]
    claim_id: int
    operation: str
    incarnation: int
    exclusive: bool
    writes: bool = False
    epoch: int | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class BeginStep:
    """Step(c): before each southbound write."""

    claim_id: int
    incarnation: int
    limit_us: int


@dataclass(frozen=True, slots=True)
class FinishStep:
    """StepDone(c): the device answered."""

    claim_id: int


@dataclass(frozen=True, slots=True)
class Fence:
    """The check inside a write that records what an admitted operation did: is it still admitted?"""

    claim_id: int
    incarnation: int
    clears_uncertain: bool = False


@dataclass(frozen=True, slots=True)
class EndClaim:
    """End(c). A step whose answer never came leaves the claim INTERRUPTED until that step is over."""

    claim_id: int
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Recover or Reconnect: this claim's run is gone; its open step may still reach the device."""

    claim_id: int


Request = TakeLock | ReleaseLock | TakeAway | Guard | Admit | BeginStep | FinishStep | Fence | EndClaim | Interrupt
GuardedRequest = TakeLock | ReleaseLock | TakeAway | Guard | Admit
