"""One batch of the ledger: a single transaction from locked rows to written ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opensdm.core.errors import Forbidden, InvalidRequest, NotFound, NotLoggedIn, SdmError
from opensdm.core.identity import Area, Level, granted
from opensdm.core.inventory import wire_id
from opensdm.core.lock import (
    Admit,
    Answer,
    Board,
    Decision,
    Guard,
    GuardedRequest,
    Refused,
    Request,
    TakeAway,
    TakeLock,
    decide,
    due_first,
)
from opensdm.core.operations import Scope
from opensdm.core.submission import Standing, Submission, Target
from opensdm.stores import statements
from opensdm.stores.audit_rows import AuditRows
from opensdm.stores.board import load_board
from opensdm.stores.changes import Changes
from opensdm.stores.database import Connection, Database, savepoint
from opensdm.stores.failpoints import failpoint
from opensdm.stores.nodes import hold_incarnation
from opensdm.stores.targets import resolve
from opensdm.stores.transaction import StoreTransaction

MAX_NAMED = 5
"""Unknown devices that a refusal names."""


class TargetsMoved(Exception):
    """Between finding a target's devices and locking their rows, the set changed; try again."""


@dataclass(slots=True)
class Outcome:
    """What became of one member."""

    submission: Submission
    devices: frozenset[int]
    at_us: int
    answer: Answer | None = None
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _SessionFacts:
    alive: bool
    rights: dict[Area, Level]


@dataclass(slots=True)
class Batch:
    """`incarnation` is the one this node has now: claims and waiting requests are registered under it."""

    database: Database
    incarnation: int
    submissions: Sequence[Submission]
    transitions: list[str] = field(default_factory=list)
    told: bool = False
    """Whether it wrote lock events."""
    _now_us: int = 0
    _changes: Changes = field(default_factory=Changes)
    _audit: AuditRows = field(default_factory=AuditRows)

    async def run(self, connection: Connection) -> list[Outcome]:
        await hold_incarnation(connection, self.database.dialect, self.incarnation)
        targets = [s.target for s in self.submissions]
        found = await resolve(connection, targets)
        devices = frozenset().union(*(d for d in found if d is not None))
        board = await self._locked_board(connection, devices, targets, found)
        self._now_us = board.now_us
        sessions = await self._sessions(connection)
        numbers = await self._numbers(connection, board)
        transaction = StoreTransaction(connection, board.now_us, self.database.secrets)
        outcomes = []
        for submission, target_devices in zip(self.submissions, found, strict=True):
            outcome = Outcome(submission, target_devices or frozenset(), board.now_us)
            try:
                self._check_standing(submission.standing, sessions)
                request = self._request(submission, target_devices, board, numbers)
                await self._decide(connection, transaction, board, outcome, request)
            except SdmError as error:
                outcome.error = error
            self._audit.add(outcome, board)
            outcomes.append(outcome)
        self._reach("decided")
        self.told = bool(self._changes.events)
        await self._changes.write(connection, self.database.dialect, board.now_us)
        await self._audit.write(connection)
        self._reach("written")
        return outcomes

    # ------------------------------------------------------------------------------- loading

    async def _locked_board(
        self,
        connection: Connection,
        devices: frozenset[int],
        targets: Sequence[Target],
        found: Sequence[frozenset[int] | None],
    ) -> Board:
        """Lock first, read later: two statements, so that what is read is what the last holder left."""
        if devices and self.database.dialect == "postgresql":
            await connection.execute(statements.LOCK_ROWS, {"devices": sorted(devices)})
            several = any(t.scope not in (Scope.SERVER, Scope.DEVICE, Scope.DEVICES) for t in targets)
            if several and await resolve(connection, targets) != list(found):
                raise TargetsMoved
        return await load_board(connection, devices, await self.database.clock(connection))

    async def _sessions(self, connection: Connection) -> dict[int, _SessionFacts]:
        standings = (s.standing for s in self.submissions)
        wanted = {s.session_id for s in standings if s is not None and s.session_id is not None}
        if not wanted:
            return {}
        found: dict[int, _SessionFacts] = {}
        for row in await connection.execute(statements.READ_SESSIONS, {"sessions": sorted(wanted)}):
            facts = found.setdefault(row.session_id, _SessionFacts(self._alive(row), {}))
            if row.area is not None:
                facts.rights[Area(row.area)] = Level(row.level)
        return found

    def _alive(self, row: Any) -> bool:
        idle_us = row.idle_timeout_s * 1_000_000
        return (
            row.ended_us is None
            and not row.disabled
            and self._now_us < row.expires_us
            and (not idle_us or self._now_us - row.last_used_us <= idle_us)
        )

    async def _numbers(self, connection: Connection, board: Board) -> list[int]:
        """A number for each claim and each request that may come to wait; where nothing runs, none has to wait."""
        wanted = sum(isinstance(s.request, Admit) for s in self.submissions)
        if wanted or board.claims:
            wanted += sum(_may_wait(s.request) for s in self.submissions)
        if not wanted:
            return []
        reserve = statements.RESERVE[self.database.dialect]
        values = [int(v) for v in (await connection.scalars(reserve, {"n": wanted})).all()]
        if self.database.dialect == "sqlite":
            values = list(range(values[0] - wanted + 1, values[0] + 1))
        return sorted(values, reverse=True)

    # ------------------------------------------------------------------------------- deciding

    @staticmethod
    def _check_standing(standing: Standing | None, sessions: dict[int, _SessionFacts]) -> None:
        """Sessions and rights as they are now, not as they were when the request came in."""
        if standing is None or standing.session_id is None:
            return
        facts = sessions.get(standing.session_id)
        if facts is None or not facts.alive:
            raise NotLoggedIn("your session has ended; log in again")
        if standing.area is not None and granted(facts.rights, standing.area) < standing.level:
            raise Forbidden(f"your user group no longer has the privilege {standing.area.value!r}")

    def _request(
        self, submission: Submission, devices: frozenset[int] | None, board: Board, numbers: list[int]
    ) -> Request | None:
        target = submission.target
        if devices is None or not devices <= board.locks.keys():
            raise not_found(target, board)
        if not devices and submission.empty_target is not None:
            raise InvalidRequest(submission.empty_target)
        request = submission.request
        if isinstance(request, Admit):
            return replace(request, devices=devices, claim_id=numbers.pop(), incarnation=self.incarnation)
        if numbers and isinstance(request, TakeLock | TakeAway) and _may_wait(request):
            return replace(request, devices=devices, pending_id=numbers.pop(), incarnation=self.incarnation)
        if isinstance(request, GuardedRequest):
            return replace(request, devices=devices)
        return request

    async def _decide(
        self,
        connection: Connection,
        transaction: StoreTransaction,
        board: Board,
        outcome: Outcome,
        request: Request | None,
    ) -> None:
        decision: Decision | None = None
        if request is not None:
            if due := due_first(board, outcome.devices):
                board.apply(due)
                self._changes.add(due)
                self._audit.add_expired(due.events)
            decision = decide(board, request)
            outcome.answer = decision.answer
        if outcome.submission.effect is not None and not isinstance(outcome.answer, Refused):
            async with savepoint(connection):
                outcome.value = await outcome.submission.effect(transaction)
        if decision is not None:
            board.apply(decision)
            self._changes.add(decision)
        if isinstance(request, Guard) and request.drop and not isinstance(outcome.answer, Refused):
            for device_id in request.devices:
                board.locks.pop(device_id, None)
                self._changes.forget(device_id)

    def _reach(self, stage: str) -> None:
        if not self.transitions:
            self.transitions = transitions(self.submissions)
        for name in self.transitions:
            failpoint(f"{name}.{stage}")


def _may_wait(request: Request | None) -> bool:
    return isinstance(request, TakeLock | TakeAway) and request.wait_us > 0


def not_found(target: Target, board: Board) -> NotFound:
    """The refusal for a target that does not exist, or for those of several devices that do not."""
    if missing := sorted(target.devices - board.locks.keys()):
        named = ", ".join(wire_id(d) for d in missing[:MAX_NAMED])
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        return NotFound(f"there is no device {named}{more}")
    return NotFound(f"there is no {target.scope.value.replace('_', ' ')} ID{target.target_id}")


def transitions(submissions: Iterable[Submission]) -> list[str]:
    """The names of the steps in a batch, for failpoints: `TakeLock` is `take_lock`."""
    names = {"write" if s.request is None else _snake(type(s.request).__name__) for s in submissions}
    return sorted(names)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
