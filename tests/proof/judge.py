"""The judge of the random walk: it knows the invariants and not the rules, and looks at each step in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opensdm.core.lock import (
    Admit,
    Admitted,
    AskRelease,
    Board,
    ClaimRow,
    ClaimState,
    Confirm,
    Decision,
    EndClaim,
    EventKind,
    Fence,
    FinishStep,
    GiveUp,
    Guard,
    Interrupt,
    LeaveQueue,
    Locked,
    LockRow,
    LockScope,
    Overridden,
    OverrideMode,
    PendingRow,
    Promote,
    Queued,
    Refused,
    ReleaseLock,
    StartClaim,
    Stepped,
    TakeAway,
)
from opensdm.core.lock_requests import BeginStep
from tests.proof.place import must

STATE = (EventKind.TAKEN, EventKind.NOTED, EventKind.RELEASED, EventKind.OVERRIDDEN, EventKind.EXPIRED,
         EventKind.DELETED, EventKind.LEASED)  # fmt: skip
ENDS = (EventKind.RELEASED, EventKind.OVERRIDDEN, EventKind.EXPIRED, EventKind.DELETED)
NEVER_GRANT = (
    EndClaim, Interrupt, FinishStep, BeginStep, Fence, Admit, StartClaim, LeaveQueue, GiveUp, Confirm, AskRelease,
)  # fmt: skip


def ended(claim: ClaimRow, board: Board) -> bool:
    """Whether nothing of it can reach a device any more, from its row and the fences alone."""
    if claim.state is ClaimState.ENDED:
        return True
    if claim.state is ClaimState.QUEUED and (claim.deadline_us or 0) <= board.now_us:
        return True
    if not cut(claim, board):
        return False
    return claim.step_until_us is None or (claim.step_until_us <= board.now_us and not claim.unfenced)


def cut(claim: ClaimRow, board: Board) -> bool:
    """Whether it goes no further."""
    return claim.state is ClaimState.INTERRUPTED or fenced(claim, board)


def fenced(claim: ClaimRow, board: Board) -> bool:
    return any(ticket < board.locks[device].revoked for device, ticket in claim.tickets.items())


def whose(row: LockRow) -> tuple[int | None, int | None]:
    """User, and session where the lock is of one session only."""
    return row.holder_id, row.session_id if row.scope is LockScope.SESSION else None


def foreign(claim: ClaimRow, row: LockRow) -> bool:
    user, session = whose(row)
    return claim.owner_id != user or (session is not None and claim.session_id != session)


@dataclass
class Judge:
    """What must be true of one step."""

    before: Board
    after: Board
    request: Any
    decision: Decision
    highest: dict[int, int]
    unsure: set[int]

    def all(self) -> None:
        self.locks_and_work()
        self.epochs()
        self.answers()
        self.events()
        self.refusals()
        self.waits()
        self.steps()
        self.cut_writes()

    def locks_and_work(self) -> None:
        open_claims = [c for c in self.after.claims.values() if not ended(c, self.after)]
        for row in self.after.locks.values():
            on = [c for c in open_claims if row.device_id in c.tickets]
            if row.held:
                must(not any(foreign(c, row) and c.state is not ClaimState.QUEUED for c in on),
                     "I2: another's work is on a device that is held")  # fmt: skip
            exclusive = [c for c in on if c.exclusive and c.parent_id is None and c.state is not ClaimState.QUEUED]
            must(len(exclusive) <= 1, "I18: two exclusive claims are on one device")

    def epochs(self) -> None:
        for device, row in self.after.locks.items():
            was = self.before.locks[device]
            must(row.epoch >= was.epoch and row.revoked >= was.revoked, "I4: an epoch fell")
            must(row.revoked <= row.epoch, "I4: a fence is above the epoch")
            if row.held and (not was.held or row.holder_id != was.holder_id):
                must(row.epoch > self.highest[device], "I4: a grant has an epoch that was given before")
                self.highest[device] = row.epoch
            if row.held and was.held and row.holder_id == was.holder_id and not isinstance(self.request, TakeAway):
                must(row.epoch == was.epoch, "I4: a relock changed the epoch")

    def answers(self) -> None:
        answer, request = self.decision.answer, self.request
        if isinstance(answer, Locked):
            actor = (request.take if isinstance(request, Promote) else request).actor
            devices = request.devices
            rows = [self.after.locks[d] for d in devices]
            must(all(r.held_by(actor) for r in rows), "I6: success was answered for a device that is not held")
            must({r.device_id for r in answer.locks} == set(devices), "I6: success was answered for a part")
        if isinstance(answer, Admitted) and isinstance(request, Admit | StartClaim | Guard):
            admit = request.admit if isinstance(request, StartClaim) else request
            if getattr(admit, "parent_id", None) is None:
                self._admitted(admit)
        if isinstance(answer, Admitted) and isinstance(request, StartClaim):
            earlier = [
                c for c in self.before.claims.values()
                if c.state is ClaimState.QUEUED and c.claim_id < request.admit.claim_id
                and not ended(c, self.before) and request.devices & c.tickets.keys()
            ]  # fmt: skip
            must(not earlier, "R12: a later write overtook an earlier one")

    def _admitted(self, admit: Any) -> None:
        if admit.epoch is not None:
            (device,) = admit.devices
            must(admit.epoch == self.before.locks[device].epoch, "an epoch that is not the lock's was let pass")
        for device in admit.devices:
            row = self.before.locks[device]
            must(not row.held or row.held_by(admit.actor), "I3: work was admitted under another's lock")
        for pending in self._live(self.before):
            same = pending.owner_id == admit.actor.user_id
            must(same or not pending.devices & admit.devices, "I3: work was admitted behind another's wait")

    def events(self) -> None:
        told: dict[int, list[Any]] = {}
        for event in self.decision.events:
            if event.kind in STATE:
                told.setdefault(event.device_id, []).append(event)
        for device, row in self.after.locks.items():
            was, events = self.before.locks[device], told.get(device, [])
            changed = (row.epoch, whose(row), row.held, row.lease_until_us, row.reason, row.lease_s)
            differs = changed != (was.epoch, whose(was), was.held, was.lease_until_us, was.reason, was.lease_s)
            must(differs == bool(events), "I9: a change of a lock and its events do not match")
            if events:
                last = events[-1]
                state = (last.epoch, last.holder_id, last.revoked, last.lease_until_us)
                must(
                    state == (row.epoch, row.holder_id, row.revoked, row.lease_until_us), "I9: events replay otherwise"
                )
            if was.held and (not row.held or row.holder_id != was.holder_id):
                must(events[0].kind in ENDS, "I8: a lock ended without unlock, override, expiry or deletion")
                must(
                    not isinstance(self.request, NEVER_GRANT) and self.request != "Abandon",
                    "I16: work ended, and with it a lock",
                )

    def refusals(self) -> None:
        decision = self.decision
        if isinstance(decision.answer, Refused) and not isinstance(
            self.request, Promote | GiveUp | StartClaim | LeaveQueue
        ):
            nothing = (decision.locks, decision.claims, decision.pending, decision.events, decision.cancelled)
            must(not any(nothing), "I10: a refusal changed something")

    def waits(self) -> None:
        live = self._live(self.after)
        for a in live:
            must(not any(a.owner_id != b.owner_id and a.devices & b.devices for b in live), "two owners bar one device")
        if isinstance(self.request, Guard) and self.request.drop and isinstance(self.decision.answer, Admitted):
            must(not any(p.devices & self.request.devices for p in live), "R7: a wait outlives a device it names")
        if isinstance(self.request, ReleaseLock) and not isinstance(self.decision.answer, Refused):
            freed = {d for d, r in self.before.locks.items() if r.held and not self.after.locks[d].held}
            owner = self.request.actor.user_id
            left = [p for p in live if p.owner_id == owner and p.devices & freed and p.scope is LockScope.USER]
            must(not left, "R7: a release left a wait of its owner")

    def steps(self) -> None:
        if isinstance(self.request, TakeAway) and isinstance(self.decision.answer, Overridden):
            (device,) = self.request.devices
            was, row = self.before.locks[device], self.after.locks[device]
            expected = (self.request.expected_holder, self.request.expected_epoch)
            must(expected[0] in (None, was.holder_name) and expected[1] in (None, was.epoch),
                 "an override took away another lock than the one it named")  # fmt: skip
            now = self.request.mode is OverrideMode.NOW
            must(row.revoked > was.epoch if now else row.revoked == was.revoked, "I11: an override fenced wrongly")
        if isinstance(self.decision.answer, Stepped):
            claim = self.before.claims[self.request.claim_id]
            must(
                claim.state is ClaimState.RUNNING and not fenced(claim, self.before),
                "I11: a step began after the fence",
            )
        if isinstance(self.decision.answer, Queued):
            must(self.decision.answer.claim.deadline_us is not None, "I14: a write waits without a bound")

    def cut_writes(self) -> None:
        """Whoever writes next to a device on which a write was cut has to know, until somebody has read it back."""
        request, refused = self.request, isinstance(self.decision.answer, Refused)
        if isinstance(request, Fence) and request.clears_uncertain and not refused:
            self.unsure.difference_update(self.before.claims[request.claim_id].tickets)
        for number, claim in self.before.claims.items():
            after = self.after.claims.get(number, claim)
            if claim.exclusive and claim.state is ClaimState.RUNNING and not cut(claim, self.before):
                if after.state is ClaimState.INTERRUPTED:
                    self.unsure.update(claim.tickets)
                elif isinstance(request, TakeAway) and cut(after, self.after):
                    self.unsure.update(request.devices & claim.tickets.keys())
            if claim.unfenced and not after.unfenced:
                must(
                    claim.state is not ClaimState.INTERRUPTED, "zombies: a device that nothing fences was freed unseen"
                )
        must(all(self.after.locks[d].uncertain for d in self.unsure), "I11: a write was cut, and the next is not told")

    @staticmethod
    def _live(board: Board) -> list[PendingRow]:
        return [p for p in board.pending.values() if p.deadline_us > board.now_us]
