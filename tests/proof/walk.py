"""A random walk through the rules: all requests there are, on a board in memory, each step before the judge."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from opensdm.core.lock import (
    Actor,
    Admit,
    AskRelease,
    Board,
    ClaimRow,
    ClaimState,
    Confirm,
    Decision,
    EndClaim,
    Fence,
    FinishStep,
    GiveUp,
    Guard,
    Interrupt,
    LeaveQueue,
    Locked,
    LockRow,
    LockScope,
    OverrideMode,
    Promote,
    ReleaseLock,
    StartClaim,
    TakeAway,
    TakeLock,
    abandon,
    decide,
    due_first,
)
from opensdm.core.lock_requests import BeginStep
from tests.proof.judge import Judge, ended
from tests.proof.place import must

SECOND = 1_000_000
DEVICES = (1, 2, 3)
NODES = (7, 8)
ACTORS = tuple(
    Actor(user, name, user * 100 + n, "rest") for user, name in ((1, "ann"), (2, "ben"), (3, "cy")) for n in (1, 2)
)
ADMIN = Actor(9, "admin", 901, "rest")
OPEN = (ClaimState.RUNNING, ClaimState.INTERRUPTED, ClaimState.QUEUED)


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
    unsure: set[int] = field(default_factory=set)
    """Devices on which a write was cut, and nobody has read back since."""
    takes: dict[int, TakeLock] = field(default_factory=dict)
    admits: dict[int, Admit] = field(default_factory=dict)

    def steps(self, number: int) -> None:
        for _ in range(number):
            if self.board.pending and self.rng.random() < 0.005:
                self._applied("Abandon", abandon(self.board, self.rng.sample(sorted(self.board.pending), 1)))
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
        Judge(before, self.board, request, decision, self.highest, self.unsure).all()

    # ------------------------------------------------------------------------------ requests

    def _any(self) -> Any:
        rng = self.rng
        if rng.random() < 0.25:
            self.board.now_us += rng.choice((0, 1, 100_000, SECOND, SECOND, 5 * SECOND))
        kind = rng.choices(
            ("take", "release", "override", "admit", "running", "pending", "queued", "guard", "confirm", "ask"),
            (18, 12, 2, 16, 28, 10, 14, 3, 3, 2),
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
                drop = rng.random() < 0.3
                return Guard(
                    actor, some, self._epoch(some), exclusive=drop or rng.random() < 0.5,
                    alone=drop or rng.random() < 0.3, writes=True, drop=drop,
                )  # fmt: skip
            case "ask":
                return AskRelease(actor, frozenset((rng.choice(DEVICES),)), rng.choice((None, "please")))
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
        (row,) = self.board.rows(device)
        request = TakeAway(
            ADMIN, device, "outage", self.rng.choice((None, None, row.holder_name, "ann")),
            self.rng.choice((None, None, row.epoch, row.epoch + 1)), mode=self.rng.choice(tuple(OverrideMode)),
            transfer=self.rng.random() < 0.5, wait_us=self.rng.choice((0, 20 * SECOND)), pending_id=self.number,
            incarnation=NODES[0],
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
            epoch=None if parent else self._epoch(some), unfenced=frozenset(rng.choice(((), ("",)))),
        )  # fmt: skip
        if parent:
            admit = replace(admit, actor=Actor(parent.owner_id, parent.owner_name, parent.session_id, "rest"),
                            exclusive=parent.exclusive)  # fmt: skip
        self.admits[self.number] = admit
        return admit

    def _working(self, claim: ClaimRow) -> Any:
        what = self.rng.choices(("step", "done", "fence", "end", "interrupt"), (5, 4, 2, 3, 1))[0]
        if what == "fence":
            return Fence(claim.claim_id, claim.incarnation, clears_uncertain=self.rng.random() < 0.5)
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


def walks(number: int, seed: int, length: int = 500) -> Counter[str]:
    """So many requests, in walks that each end at rest; how often each request had each answer."""
    rng, seen = random.Random(seed), Counter[str]()
    for _ in range(max(1, number // length)):
        walk = Walk(rng)
        walk.steps(length)
        walk.to_rest()
        seen += walk.seen
    return seen
