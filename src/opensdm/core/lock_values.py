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
    LEASED = "device:lock:leased"
    """The end of a lease moved: taken on, renewed, restarted when work ended, or taken off."""
    WAITING = "device:lock:waiting"
    GAVE_UP = "device:lock:abandoned"
    ASKED = "device:lock:asked"
    CONFIRMED = "device:state:confirmed"
    RAISED = "device:epoch:raised"
    """The database may lack what was answered before: the epoch grows by a large step, the holder stays."""


class RefusalCode(StrEnum):
    """Why a request was refused; each is the code of one error class in `core.errors`."""

    DEVICE_LOCKED = "DEVICE_LOCKED"
    DEVICE_BUSY = "DEVICE_BUSY"
    NOT_LOCK_OWNER = "NOT_LOCK_OWNER"
    LOCK_LOST = "LOCK_LOST"
    LOCK_CHANGED = "LOCK_CHANGED"
    READ_ONLY_DEVICE = "READ_ONLY_DEVICE"
    INVALID_REQUEST = "INVALID_REQUEST"


class LockScope(StrEnum):
    """Whose a lock is: the user's, or the one session's that took it."""

    USER = "user"
    SESSION = "session"


class OverrideMode(StrEnum):
    """NOW fences running work of the old owner; GRACEFUL lets it run to its end."""

    NOW = "now"
    GRACEFUL = "graceful"


@dataclass(frozen=True, slots=True)
class LockPolicy:
    """The bounds of waiting and of leases, in seconds; settings `lock.*`."""

    wait_s: float = 5.0
    max_wait_s: float = 600.0
    queue_s: float = 5.0
    max_lease_s: int = 86_400


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
    scope: LockScope = LockScope.USER
    lease_s: int | None = None
    lease_until_us: int | None = None
    uncertain: bool = False
    read_only: bool = False
    platform: str = ""

    @property
    def held(self) -> bool:
        return self.holder_id is not None

    def held_by(self, actor: Actor) -> bool:
        """Whether the lock is this caller's: the user's by any session, or that of this very session."""
        if self.holder_id != actor.user_id:
            return False
        return self.scope is LockScope.USER or self.session_id == actor.session_id

    def freed(self) -> LockRow:
        return replace(
            self, holder_id=None, holder_name=None, since_us=None, door=None, session_id=None,
            reason=None, scope=LockScope.USER, lease_s=None, lease_until_us=None,
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
    session_id: int | None = None
    deadline_us: int | None = None
    """Until when it waits while QUEUED."""
    unfenced: bool = False
    """The device can neither be locked nor asked to confirm: a write cut off may reach it at any time later."""

    def owned_by(self, actor: Actor, scope: LockScope) -> bool:
        """Whether this is the own work of a caller who locks with this scope."""
        return self.owner_id == actor.user_id and (scope is LockScope.USER or self.session_id == actor.session_id)


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A waiting lock request; it bars foreign work while the clock is before `deadline_us`."""

    pending_id: int
    owner_id: int
    owner_name: str
    devices: frozenset[int]
    deadline_us: int
    since_us: int
    session_id: int | None = None
    scope: LockScope = LockScope.USER
    incarnation: int = 0
    request_id: str = ""

    def owned_by(self, actor: Actor, scope: LockScope = LockScope.USER) -> bool:
        """Whether this is the own request of a caller who works, or waits, with this scope."""
        if self.owner_id != actor.user_id:
            return False
        return LockScope.SESSION not in (scope, self.scope) or self.session_id == actor.session_id


@dataclass(frozen=True, slots=True)
class AskedRow:
    """Somebody asks for the release of a lock: of the grant with this epoch, and of no later one."""

    device_id: int
    asker_id: int
    asker_name: str
    message: str | None
    at_us: int
    epoch: int


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
    unconfirmed: bool = False
    """Work that was cut off where nothing fences it: the device is busy until somebody confirms."""


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
    scope: LockScope = LockScope.USER
    session_id: int | None = None
    lease_s: int | None = None
    lease_until_us: int | None = None
    former_id: int | None = None
    former_name: str | None = None
    """Whose lock it was that ended; None where none did."""
    event_id: int | None = None
    """Set when read."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer no: why, everything that blocks, and facts for the message."""

    code: RefusalCode
    blockers: tuple[Blocker, ...] = ()
    device_id: int | None = None
    lost: LostLock | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet: foreign work runs. The request bars new foreign work until its deadline; `blockers` is that work."""

    pending_id: int
    devices: frozenset[int]
    deadline_us: int
    blockers: tuple[Blocker, ...]


@dataclass(frozen=True, slots=True)
class Queued:
    """Not yet: another write runs, or is before it in the queue. `claim` keeps the place until its deadline."""

    claim: ClaimRow
    blockers: tuple[Blocker, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The holder was asked to release; `lock` is what was asked for."""

    lock: LockRow
    ask: AskedRow


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Nothing on the device waits for a confirmation any more; `claims` were ended by this one."""

    lock: LockRow
    claims: tuple[ClaimRow, ...]


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
    waiting: Waiting | None = None
    """With `transfer`, while foreign work is still open: the new owner's request."""


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


Answer = (
    Refused | Locked | Waiting | Released | Overridden | Admitted | Queued | Stepped | Done | Asked | Confirmed
)  # fmt: skip
