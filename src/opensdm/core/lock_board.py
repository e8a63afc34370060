"""What one transaction holds while it decides: the locked rows, and the decision of each request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from opensdm.core.lock_values import Answer, ClaimRow, ClaimState, LockEvent, LockRow, LostLock, PendingRow


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

    def over(self, claim: ClaimRow) -> bool:
        if claim.state is ClaimState.ENDED:
            return True
        if claim.state is not ClaimState.INTERRUPTED and not self.fenced(claim):
            return False
        return claim.step_until_us is None or claim.step_until_us <= self.now_us

    def running_on(self, devices: frozenset[int]) -> list[ClaimRow]:
        """Claims on any of the devices that are not over, oldest first."""
        found = [c for c in self.claims.values() if not devices.isdisjoint(c.tickets) and not self.over(c)]
        return sorted(found, key=lambda c: c.claim_id)

    def pending_on(self, devices: frozenset[int], *, foreign_to: int) -> list[PendingRow]:
        return [
            p for p in self.pending.values()
            if p.owner_id != foreign_to and p.deadline_us > self.now_us and not devices.isdisjoint(p.devices)
        ]  # fmt: skip

    def apply(self, decision: Decision) -> None:
        """Take a decision over, so that the next request of the batch sees it."""
        self.locks.update((row.device_id, row) for row in decision.locks)
        self.claims.update((row.claim_id, row) for row in decision.claims)
        self.lost.update(((row.device_id, row.user_id), row) for row in decision.lost)
        for key in decision.told:
            self.lost.pop(key, None)
        for pending_id in decision.cancelled:
            self.pending.pop(pending_id, None)

    def _revoked(self, device_id: int) -> int:
        row = self.locks.get(device_id)
        return row.revoked if row is not None else self.revoked.get(device_id, 0)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one request comes to: its answer and the rows and events to write. A refusal changes no lock."""

    answer: Answer
    locks: tuple[LockRow, ...] = ()
    claims: tuple[ClaimRow, ...] = ()
    events: tuple[LockEvent, ...] = ()
    lost: tuple[LostLock, ...] = ()
    told: tuple[tuple[int, int], ...] = ()
    cancelled: tuple[int, ...] = ()
