"""What may be asked of the lock rules: each request is one row of the table of transitions."""

from __future__ import annotations

from dataclasses import dataclass

from opensdm.core.lock_values import Actor, LockScope, OverrideMode


@dataclass(frozen=True, slots=True)
class TakeLock:
    """Lock(u, S): all of S or nothing."""

    actor: Actor
    devices: frozenset[int]
    reason: str | None = None
    epoch: int | None = None
    wait_us: int = 0
    """How long it may wait for foreign work to be over; 0 refuses at once."""
    lease_s: int | None = None
    """None leaves a lease as it is, 0 takes it off."""
    scope: LockScope = LockScope.USER
    pending_id: int = 0
    """The number for its row if it waits, given by the ledger."""
    incarnation: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Promote:
    """Promote(request): by the node that has the client, when the work it waits for may be over."""

    pending_id: int
    take: TakeLock

    @property
    def devices(self) -> frozenset[int]:
        return self.take.devices


@dataclass(frozen=True, slots=True)
class GiveUp:
    """GiveUp: the deadline came, the client is gone, or the node stops."""

    pending_id: int
    take: TakeLock


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
    wait_us: int = 0
    """With `transfer`: how long the new owner's request waits for foreign work to be over."""
    pending_id: int = 0
    incarnation: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Expire:
    """Expire(d): end leases that are due, by themselves or before any other step on their devices."""

    devices: frozenset[int]


@dataclass(frozen=True, slots=True)
class AskRelease:
    """Ask the holder to release the device."""

    actor: Actor
    devices: frozenset[int]
    message: str | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """Somebody looked: work that was cut off on a device without a fence writes nothing any more."""

    actor: Actor
    devices: frozenset[int]
    note: str
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
    queue_us: int = 0
    """How long an exclusive claim may wait behind another write; 0 refuses at once."""
    parent_id: int | None = None
    """A part of a composite: that claim's tickets decide, barrier and queue are skipped."""
    unfenced: frozenset[str] = frozenset()
    """Platforms whose devices can neither be locked nor asked to confirm."""


@dataclass(frozen=True, slots=True)
class StartClaim:
    """The start of a QUEUED claim: its whole guard is checked again."""

    admit: Admit

    @property
    def devices(self) -> frozenset[int]:
        return self.admit.devices


@dataclass(frozen=True, slots=True)
class LeaveQueue:
    """A QUEUED claim is given up: its deadline came, the client is gone, or the node stops."""

    admit: Admit


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


Request = (
    TakeLock | Promote | GiveUp | ReleaseLock | TakeAway | Expire | AskRelease | Confirm | Guard | Admit | StartClaim
    | LeaveQueue | BeginStep | FinishStep | Fence | EndClaim | Interrupt
)  # fmt: skip
GuardedRequest = TakeLock | ReleaseLock | TakeAway | AskRelease | Confirm | Guard | Admit
"""Those that may carry an epoch, and whose devices the ledger finds."""
LockRequest = TakeLock | ReleaseLock | TakeAway | AskRelease | Confirm
"""What a handler of a lock operation may ask."""
