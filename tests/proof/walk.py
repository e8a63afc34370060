"""A random walk through the rules: all requests there are, on a board in memory, before a judge.

The judge knows the invariants and not the rules: it looks at the rows before and after each request, in its own words.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from opensdm.core.lock import (
    Actor,
    Admit,
    Admitted,
    Board,
    ClaimRow,
    ClaimState,
    Confirm,
    Decision,
    EndClaim,
    EventKind,
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
    TakeLock,
    decide,
    due_first,
)
from opensdm.core.lock_requests import BeginStep
from tests.proof.place import must

SECOND = 1_000_000
DEVICES = (1, 2, 3)
NODES = (7, 8)
ACTORS = tuple(
    Actor(user, name, user * 100 + n, "rest") for user, name in ((1, "ann"), (2, "ben"), (3, "cy")) for n in (1, 2)
)
ADMIN = Actor(9, "admin", 901, "rest")
STATE = (EventKind.TAKEN, EventKind.NOTED, EventKind.RELEASED, EventKind.OVERRIDDEN, EventKind.EXPIRED,
         EventKind.DELETED, EventKind.LEASED)  # fmt: skip
ENDS = (EventKind.RELEASED, EventKind.OVERRIDDEN, EventKind.EXPIRED, EventKind.DELETED)
OPEN = (ClaimState.RUNNING, ClaimState.INTERRUPTED, ClaimState.QUEUED)
NEVER_GRANT = (EndClaim, Interrupt, FinishStep, BeginStep, Admit, StartClaim, LeaveQueue, GiveUp, Confirm)


@dataclass
class Walk:
    """One board, and what came of each request on it."""

    rng: random.Random
    board: Board = field(default_factory=lambda: Board(
        1_000 * SECOND, {d: LockRow(d, f"edge-{d}") for d in DEVICES}, live_incarnations=frozenset(NODES)
    ))  # fmt: skip
    number: int = 0
    highest: dict[int, int] = field(default_factory=lambda: dict.fromkeys(DEVICES, 0))
    seen: Counter[str] = field(default_factory=Counter)
    takes: dict[int, TakeLock] = field(default_factory=dict)
    admits: dict[int, Admit] = field(default_factory=dict)

    def steps(self, number: int) -> None:
        for _ in range(number):
            self.step(self._any())
            self._tidy()

    def step(self, request: Any) -> Any:
        """One request, after the leases that are due, as the ledger does it; the answer."""
        if due := due_first(self.board, DEVICES):
            self._applied("Expire", due)
        decision = decide(self.board, request)
        self._applied(request, decision)
        self.seen[f"{type(request).__name__} {getattr(decision.answer, 'code', type(decision.answer).__name__)}"] += 1
        return decision.answer

    def _applied(self, request: Any, decision: Decision) -> None:
        before = replace(
            self.board, locks=dict(self.board.locks), claims=dict(self.board.claims), pending=dict(self.board.pending)
        )
        self.board.apply(decision)
        Judge(before, self.board, request, decision, self.highest).all()

    # ------------------------------------------------------------------------------ requests

    def _any(self) -> Any:
        rng = self.rng
        if rng.random() < 0.25:
            self.board.now_us += rng.choice((0, 1, 100_000, SECOND, SECOND, 5 * SECOND))
        kind = rng.choices(
            ("take", "release", "override", "admit", "running", "pending", "queued", "guard", "confirm"),
            (18, 12, 2, 16, 28, 10, 14, 3, 2),
        )[0]
        actor, some = rng.choice(ACTORS), self._some()
        match kind:
            case "take":
                return self._take(actor, some)
            case "release":
                return ReleaseLock(actor, some, self._epoch(some))
            case "override":
                return self._override(frozenset((rng.choice(DEVICES),)))
            case "admit":
                return self._admit(actor, some)
            case "guard":
                return Guard(actor, some, exclusive=rng.random() < 0.5, alone=rng.random() < 0.3, writes=True)
            case "confirm":
                return Confirm(actor, frozenset((rng.choice(DEVICES),)), "looked")
            case "running" if running := [c for c in self.board.claims.values() if c.state in OPEN]:
                return self._working(rng.choice(running))
            case "pending" if self.board.pending:
                number = rng.choice(sorted(self.board.pending))
                give_up = rng.random() < 0.3 or number not in self.takes
                take = self.takes[number]
                return GiveUp(number, take) if give_up else Promote(number, take)
            case "queued" if queued := [c for c in self.board.claims.values() if c.state is ClaimState.QUEUED]:
                admit = self.admits[rng.choice(queued).claim_id]
                return LeaveQueue(admit) if rng.random() < 0.2 else StartClaim(admit)
        return self._take(actor, some)

    def _some(self) -> frozenset[int]:
        size = self.rng.choices((1, 2, 3), (7, 3, 1))[0]
        return frozenset(self.rng.sample(DEVICES, size))

    def _epoch(self, some: Iterable[int]) -> int | None:
        if len(list(some)) != 1 or self.rng.random() < 0.8:
            return None
        (device,) = some
        return self.board.locks[device].epoch - self.rng.choice((0, 0, 1))

    def _take(self, actor: Actor, some: frozenset[int]) -> TakeLock:
        rng = self.rng
        self.number += 1
        take = TakeLock(
            actor, some, rng.choice((None, "work")), self._epoch(some), wait_us=rng.choice((0, SECOND, 20 * SECOND)),
            lease_s=rng.choice((None, None, None, 0, 2, 30)), pending_id=self.number, incarnation=rng.choice(NODES),
            scope=rng.choices((LockScope.USER, LockScope.SESSION), (4, 1))[0],
        )  # fmt: skip
        self.takes[self.number] = take
        return take

    def _override(self, device: frozenset[int]) -> TakeAway:
        self.number += 1
        request = TakeAway(
            ADMIN, device, "outage", mode=self.rng.choice(tuple(OverrideMode)), transfer=self.rng.random() < 0.5,
            wait_us=self.rng.choice((0, 20 * SECOND)), pending_id=self.number, incarnation=NODES[0],
        )  # fmt: skip
        self.takes[self.number] = TakeLock(ADMIN, device, "outage")
        return request

    def _admit(self, actor: Actor, some: frozenset[int]) -> Admit:
        rng = self.rng
        self.number += 1
        parents = [c for c in self.board.claims.values() if c.state is ClaimState.RUNNING and c.parent_id is None]
        parent = rng.choice(parents) if parents and rng.random() < 0.2 else None
        admit = Admit(
            actor, frozenset(parent.tickets) if parent else some, self.number, "PushChanges",
            parent.incarnation if parent else rng.choice(NODES), exclusive=rng.random() < 0.8 or parent is not None,
            queue_us=rng.choice((0, 90 * SECOND)), parent_id=parent.claim_id if parent else None,
        )  # fmt: skip
        if parent:
            admit = replace(admit, actor=Actor(parent.owner_id, parent.owner_name, parent.session_id, "rest"),
                            exclusive=parent.exclusive)  # fmt: skip
        self.admits[self.number] = admit
        return admit

    def _working(self, claim: ClaimRow) -> Any:
        what = self.rng.choices(("step", "done", "end", "interrupt"), (5, 4, 3, 1))[0]
        if what == "step":
            return BeginStep(claim.claim_id, claim.incarnation, self.rng.choice((1, SECOND, 10 * SECOND)))
        if what == "done":
            return FinishStep(claim.claim_id)
        return EndClaim(claim.claim_id) if what == "end" else Interrupt(claim.claim_id)

    def _tidy(self) -> None:
        """Rows that nobody reads any more: the ledger does not load them either."""
        if len(self.board.claims) > 40:
            keep = {i: c for i, c in self.board.claims.items() if not ended(c, self.board)}
            self.board.claims = keep
        if len(self.takes) > 400:
            self.takes = {i: t for i, t in self.takes.items() if i in self.board.pending}
            self.admits = {i: a for i, a in self.admits.items() if i in self.board.claims}

    # ------------------------------------------------------------------------------ the end

    def to_rest(self) -> None:
        """I14: from wherever this is, everything ends without an override."""
        for number in sorted(self.board.pending):
            self.step(GiveUp(number, self.takes.get(number, TakeLock(ADMIN, frozenset(DEVICES)))))
        for claim in [c for c in self.board.claims.values() if c.state is not ClaimState.ENDED]:
            self.step(FinishStep(claim.claim_id))
            self.step(EndClaim(claim.claim_id))
            if claim.state is ClaimState.QUEUED:
                self.step(LeaveQueue(self.admits[claim.claim_id]))
        self.board.now_us += 60 * SECOND
        for row in list(self.board.locks.values()):
            if row.holder_id is not None:
                owner = Actor(row.holder_id, row.holder_name or "", row.session_id, "rest")
                self.step(ReleaseLock(owner, frozenset((row.device_id,))))
        must(not any(r.held for r in self.board.locks.values()), "a lock cannot be let go by its owner")
        must(not self.board.pending, "a wait cannot be ended")
        answer = self.step(TakeLock(ADMIN, frozenset(DEVICES)))
        must(isinstance(answer, Locked), "idle cannot be reached without an override")
        self.step(ReleaseLock(ADMIN, frozenset(DEVICES)))


# ------------------------------------------------------------------------------------------ the judge's own words


def ended(claim: ClaimRow, board: Board) -> bool:
    """Whether nothing of it can reach a device any more, from its row and the fences alone."""
    if claim.state is ClaimState.ENDED:
        return True
    if claim.state is ClaimState.QUEUED and (claim.deadline_us or 0) <= board.now_us:
        return True
    cut = claim.state is ClaimState.INTERRUPTED or fenced(claim, board)
    return cut and (claim.step_until_us is None or claim.step_until_us <= board.now_us)


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

    def all(self) -> None:
        self.locks_and_work()
        self.epochs()
        self.answers()
        self.events()
        self.refusals()
        self.waits()
        self.steps()

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
                must(not isinstance(self.request, NEVER_GRANT), "I16: work ended, and with it a lock")

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
        if isinstance(self.request, ReleaseLock) and not isinstance(self.decision.answer, Refused):
            freed = {d for d, r in self.before.locks.items() if r.held and not self.after.locks[d].held}
            owner = self.request.actor.user_id
            left = [p for p in live if p.owner_id == owner and p.devices & freed and p.scope is LockScope.USER]
            must(not left, "R7: a release left a wait of its owner")

    def steps(self) -> None:
        if isinstance(self.request, TakeAway) and isinstance(self.decision.answer, Overridden):
            (device,) = self.request.devices
            was, row = self.before.locks[device], self.after.locks[device]
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

    @staticmethod
    def _live(board: Board) -> list[PendingRow]:
        return [p for p in board.pending.values() if p.deadline_us > board.now_us]


def walks(number: int, seed: int, length: int = 500) -> Counter[str]:
    """So many requests, in walks that each end at rest; how often each request had each answer."""
    rng, seen = random.Random(seed), Counter[str]()
    for _ in range(max(1, number // length)):
        walk = Walk(rng)
        walk.steps(length)
        walk.to_rest()
        seen += walk.seen
    return seen
