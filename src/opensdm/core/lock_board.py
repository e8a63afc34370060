"""What one transaction holds while it decides: the locked rows, and the decision of each request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from opensdm.core.lock_values import (
    Actor,
    Answer,
    AskedRow,
    ClaimRow,
    ClaimState,
    LockEvent,
    LockRow,
    LockScope,
    LostLock,
    PendingRow,
)


@dataclass(slots=True)
class Board:
    """The rows one transaction holds: locked lock rows, and what was read after they were locked."""

    now_us: int
    locks: dict[int, LockRow] = field(default_factory=dict)
    claims: dict[int, ClaimRow] = field(default_factory=dict)
    pending: dict[int, PendingRow] = field(default_factory=dict)
    lost: dict[tuple[int, int], LostLock] = field(default_factory=dict)
    revoked: dict[int, int] = field(default_factory=dict)
    """`revoked` of devices outside this board that claims on it also touch; stale is safe: it only grows."""
    live_incarnations: frozenset[int] = frozenset()

    def rows(self, devices: Iterable[int]) -> list[LockRow]:
        return [self.locks[d] for d in sorted(devices)]

    def fenced(self, claim: ClaimRow) -> bool:
        return any(ticket < self._revoked(d) for d, ticket in claim.tickets.items())

    def cut_off(self, claim: ClaimRow) -> bool:
        """Its work is not to go on: it was interrupted or fenced before it ended."""
        return claim.state is not ClaimState.ENDED and (claim.state is ClaimState.INTERRUPTED or self.fenced(claim))

    def over(self, claim: ClaimRow) -> bool:
        """Whether nothing of it can reach a device any more. A place in the queue is over at its deadline."""
        if claim.state is ClaimState.ENDED:
            return True
        if claim.state is ClaimState.QUEUED and claim.deadline_us is not None and claim.deadline_us <= self.now_us:
            return True
        if not self.cut_off(claim):
            return False
        if claim.step_until_us is None:
            return True
        return claim.step_until_us <= self.now_us and not claim.unfenced

    def unconfirmed(self, claim: ClaimRow) -> bool:
        """Cut off within a step on a device that nothing fences: only somebody's word ends it."""
        return claim.unfenced and claim.step_until_us is not None and self.cut_off(claim)

    def running_on(self, devices: frozenset[int]) -> list[ClaimRow]:
        """Claims on any of the devices that are not over, oldest first."""
        found = [c for c in self.claims.values() if not devices.isdisjoint(c.tickets) and not self.over(c)]
        return sorted(found, key=lambda c: c.claim_id)

    def pending_on(
        self, devices: frozenset[int], *, foreign_to: Actor, scope: LockScope = LockScope.USER
    ) -> list[PendingRow]:
        """Live requests of others that wait for any of the devices."""
        return [
            p for p in self.pending.values()
            if not p.owned_by(foreign_to, scope) and p.deadline_us > self.now_us and not devices.isdisjoint(p.devices)
        ]  # fmt: skip

    def apply(self, decision: Decision) -> None:
        """Take a decision over, so that the next request of the batch sees it."""
        self.locks.update((row.device_id, row) for row in decision.locks)
        self.claims.update((row.claim_id, row) for row in decision.claims)
        self.lost.update(((row.device_id, row.user_id), row) for row in decision.lost)
        self.pending.update((row.pending_id, row) for row in decision.pending)
        for key in decision.told:
            self.lost.pop(key, None)
        for pending_id in decision.cancelled:
            self.pending.pop(pending_id, None)

    def _revoked(self, device_id: int) -> int:
        row = self.locks.get(device_id)
        return row.revoked if row is not None else self.revoked.get(device_id, 0)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one request comes to: its answer and the rows and events to write. A refusal changes no lock.

    `new_claim`: the claims were not there before. `pending` are new requests that wait; `cancelled` the numbers of
    those that wait no more.
    """

    answer: Answer
    locks: tuple[LockRow, ...] = ()
    claims: tuple[ClaimRow, ...] = ()
    events: tuple[LockEvent, ...] = ()
    lost: tuple[LostLock, ...] = ()
    told: tuple[tuple[int, int], ...] = ()
    cancelled: tuple[int, ...] = ()
    pending: tuple[PendingRow, ...] = ()
    asks: tuple[AskedRow, ...] = ()
    new_claim: bool = False
