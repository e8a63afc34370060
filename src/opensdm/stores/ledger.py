"""The ledger: every write of the program, in batches that share one commit.

While one batch commits, the next gathers. A batch locks the rows of all its devices in id order, then
reads what the rules need, decides its members in arrival order with the pure `decide`, runs their
effects, writes, commits once, and only then answers them all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog
from prometheus_client import Counter, Histogram

from opensdm.core.element import Element
from opensdm.core.errors import HouseRuleBroken, StoreUnavailable
from opensdm.core.lock import (
    Admit,
    Admitted,
    Answer,
    BeginStep,
    Board,
    EndClaim,
    Fence,
    GiveUp,
    Guard,
    LeaveQueue,
    LockRequest,
    LockScope,
    Overridden,
    Promote,
    Queued,
    Request,
    StartClaim,
    TakeAway,
    TakeLock,
    Waiting,
    decide,
    due_first,
)
from opensdm.core.ports import Effect, Packed, Transaction
from opensdm.core.submission import Receipt, Signal, Submission
from opensdm.stores import content
from opensdm.stores.batch import Batch, Outcome, TargetsMoved, not_found
from opensdm.stores.bell import Bell
from opensdm.stores.board import load_board
from opensdm.stores.database import Connection, Database, Work, read, sqlstate
from opensdm.stores.event_order import settled_events
from opensdm.stores.failpoints import failpoint
from opensdm.stores.nodes import IncarnationEnded
from opensdm.stores.recovery import reconnect
from opensdm.stores.repository import parts
from opensdm.stores.targets import resolve
from opensdm.stores.transaction import StoreTransaction
from opensdm.stores.trust import Trust

T = TypeVar("T")
log = structlog.get_logger("opensdm.ledger")

MAX_BATCH = 256
"""Members of one commit; more gain nothing and make each wait longer."""
RETRIES = 8
"""How often a batch that lost a race in the database is tried again."""
_MOVED = "the database has moved to another server and is being looked at"
_RETRYABLE = ("40001", "40P01")

BATCH_SIZE = Histogram("opensdm_ledger_batch_size", "Members of one commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
COMMITS = Counter("opensdm_ledger_commits_total", "Write transactions", ["outcome"])


@dataclass(slots=True)
class _Member:
    submission: Submission
    future: asyncio.Future[Receipt]


class Ledger:
    """The one writer of a node. `incarnation` is this start of this node, given by recovery."""

    def __init__(self, database: Database, incarnation: int, *, max_batch: int = MAX_BATCH) -> None:
        self.database = database
        self._max_batch = max_batch
        self.incarnation = incarnation
        self._queue: asyncio.Queue[_Member] = asyncio.Queue()
        self._next: _Member | None = None
        self._task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        """Set once this incarnation was found dead, or the database has moved: the heartbeat is wanted now."""
        self.settled_place = database.place
        """Where the database was when its history was looked at last: nothing is admitted where it was not yet."""
        self.trust = Trust()
        """Whether this node may believe its database. Where it may not, nothing is admitted and nothing shown."""
        self._ours: set[int] = set()
        self._unsure = False
        self._freed, self._told = Bell(), Bell()

    def renew(self, incarnation: int) -> None:
        """Go on under a new incarnation; the claims of the old one are none of ours any more."""
        self.incarnation = incarnation
        self._ours.clear()
        self._unsure = False
        self.ended.clear()

    @property
    def doubt(self) -> str | None:
        """Why nothing is admitted here though the database answers, in a sentence; None while it is."""
        return self.trust.lost or (None if self.database.place == self.settled_place else _MOVED)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ledger")

    async def stop(self) -> None:
        """Finish what was submitted, then stop; later submissions are refused as unavailable."""
        if self._task is None:
            return
        task, self._task = self._task, None
        await self._queue.join()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def submit(self, submission: Submission) -> Receipt:
        """Decide and, if admitted, write. Raises what the effect raised; a refusal is in the receipt.

        Once a submission was taken in, giving up on it does not take it back.
        """
        if self._task is None:
            raise StoreUnavailable("the server is stopping; try again in a moment")
        self.trust.check()
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Member(submission, future))
        return await asyncio.shield(future)

    async def write(self, effect: Effect[T]) -> T:
        """Run an effect that concerns no device's lock."""
        receipt = await self.submit(Submission(effect=effect))
        value: T = receipt.value
        return value

    async def peek(self, submission: Submission) -> Answer:
        """What the rules would answer now, without a lock on any row: a hint, never an admission."""
        request = submission.request
        if not isinstance(request, Guard | LockRequest):
            raise HouseRuleBroken("only a guard or a request for a lock can be looked at beforehand")

        async def work(connection: Connection) -> Answer:
            (devices,) = await resolve(connection, [submission.target])
            board = await load_board(connection, devices or frozenset(), await self.database.clock(connection))
            if devices is None or not devices <= board.locks.keys():
                raise not_found(submission.target, board)
            return _looked_at(board, replace(request, devices=devices), devices)

        return await self._believed(work)

    async def peek_all(self, requests: Sequence[Promote | StartClaim]) -> list[Answer | None]:
        """The same for all who wait; None where a device of theirs is gone."""
        devices = frozenset().union(*(request.devices for request in requests))

        async def work(connection: Connection) -> list[Answer | None]:
            board = await load_board(connection, devices, await self.database.clock(connection))
            return _looked_at_all(board, requests)

        return await self._believed(work)

    def next_freed(self) -> Signal:
        """Set by the next commit that may let somebody go on who waits for a device."""
        return self._freed.next()

    def next_told(self) -> Signal:
        """Set by the next commit with lock events."""
        return self._told.next()

    async def settled_events(self) -> int:
        """The id of a lock event up to which all are there: none with a smaller id can still come."""
        return await settled_events(self.database)

    async def read(self, query: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run a query over the repositories in one read-only transaction."""
        self.trust.check()
        found = await read(self.database, query)
        self.trust.check()
        return found

    async def pack(self, elements: Sequence[Element]) -> Packed:
        """Cut, and seal what is not stored yet, in a thread: the transaction that stores it only writes rows."""
        secrets = self.database.secrets
        pack = await asyncio.to_thread(content.packed, secrets, elements)
        digests = list(pack.held)

        async def missing(transaction: StoreTransaction) -> list[str]:
            known: set[str] = set()
            for part in parts(digests):
                known |= await transaction.configurations.known_chunks(part)
            return [digest for digest in digests if digest not in known]

        wanted = await read(self.database, missing)
        return Packed(tuple(elements), await asyncio.to_thread(content.with_bodies, secrets, pack, wanted))

    async def _believed(self, work: Work[T]) -> T:
        self.trust.check()
        found = await self.database.query(work)
        self.trust.check()
        return found

    # ------------------------------------------------------------------------------- the loop

    async def _run(self) -> None:
        while True:
            batch = await self._gather()
            try:
                await self._settle(batch)
            except Exception as error:
                log.exception("a batch failed outside its transaction")
                for member in batch:
                    _fail(member, error)
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _gather(self) -> list[_Member]:
        """What waits now, up to a bound. A member that must be alone ends the batch before it."""
        if self._next is None:
            self._next = await self._queue.get()
        batch = [self._next]
        self._next = None
        while not batch[0].submission.alone and len(batch) < self._max_batch and not self._queue.empty():
            following = self._queue.get_nowait()
            if following.submission.alone:
                self._next = following
                break
            batch.append(following)
        return batch

    async def _settle(self, members: Sequence[_Member]) -> None:
        BATCH_SIZE.observe(len(members))
        try:
            outcomes = await self._commit([m.submission for m in members])
        except IncarnationEnded as error:
            self.ended.set()
            COMMITS.labels("ended").inc()
            for member in members:
                _fail(member, error)
            return
        except StoreUnavailable as error:
            self._unsure = True
            COMMITS.labels("unavailable").inc()
            for member in members:
                _fail(member, error)
            return
        except Exception as error:
            COMMITS.labels("failed").inc()
            if len(members) == 1:
                _fail(members[0], error)
                return
            # One bad member must not fail its neighbours.
            for member in members:
                await self._settle([member])
            return
        COMMITS.labels("committed").inc()
        self._remember(outcomes)
        for member, outcome in zip(members, outcomes, strict=True):
            _answer(member, outcome)

    async def _commit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        for attempt in range(RETRIES):
            self.trust.check()
            batch = Batch(self.database, self.incarnation, submissions)
            try:
                if self._unsure:
                    await reconnect(self.database, self.incarnation, self._ours)
                    self._unsure = False
                outcomes = await self.database.transact(partial(self._in_place, batch))
            except TargetsMoved:
                continue
            except Exception as error:
                if sqlstate(error) not in _RETRYABLE:
                    raise
                await asyncio.sleep(0.002 * (attempt + 1))
                continue
            for name in batch.transitions:
                failpoint(f"{name}.committed")
            self._tell(outcomes, told=batch.told)
            return outcomes
        raise StoreUnavailable("the database kept refusing this work for others' sake; try again in a moment")

    async def _in_place(self, batch: Batch, connection: Connection) -> list[Outcome]:
        """The connection is made by now: a promoted standby may lack what epochs were given out."""
        if self.database.place != self.settled_place:
            raise IncarnationEnded(f"{_MOVED}, and nothing was done; try again in a moment")
        return await batch.run(connection)

    def _tell(self, outcomes: Sequence[Outcome], *, told: bool) -> None:
        """Wake whoever waits for what this commit may have brought about."""
        requests = [o.submission.request for o in outcomes]
        if any(request is not None and not isinstance(request, BeginStep | Fence) for request in requests):
            self._freed.ring()
        if told:
            self._told.ring()

    def _remember(self, outcomes: Sequence[Outcome]) -> None:
        """Which claims and waiting requests are this node's: after a lost commit answer the unknown ones are found."""
        for outcome in outcomes:
            request, answer = outcome.submission.request, outcome.answer
            match request, answer:
                case Admit(), Admitted() | Queued() if answer.claim is not None:
                    self._ours.add(answer.claim.claim_id)
                case TakeLock(), Waiting():
                    self._ours.add(answer.pending_id)
                case TakeAway(), Overridden() if answer.waiting is not None:
                    self._ours.add(answer.waiting.pending_id)
                case EndClaim(), _:
                    self._ours.discard(request.claim_id)
                case LeaveQueue(), _:
                    self._ours.discard(request.admit.claim_id)
                case ((Promote() | GiveUp()), _) if not isinstance(answer, Waiting):
                    self._ours.discard(request.pending_id)
                case _:
                    pass


def _looked_at(board: Board, request: Request, devices: frozenset[int]) -> Answer:
    """The answer after the leases that are due, as a batch would give it. The board is for this look alone."""
    if due := due_first(board, devices):
        board.apply(due)
    return decide(board, request).answer


def _looked_at_all(board: Board, requests: Sequence[Promote | StartClaim]) -> list[Answer | None]:
    """Requests that only differ by number are looked at once: a thousand of a user cost as much as one."""
    scopes = {row.scope for row in board.locks.values()} | {row.scope for row in board.pending.values()}
    scoped = LockScope.SESSION in scopes
    known: dict[object, Answer] = {}
    answers: list[Answer | None] = []
    for request in requests:
        if not request.devices <= board.locks.keys():
            answers.append(None)
            continue
        key: object = request
        if isinstance(request, Promote) and request.pending_id in board.pending:
            take = request.take
            apart = scoped or take.scope is LockScope.SESSION
            key = (take.actor.user_id, take.actor.session_id if apart else None, take.scope, take.devices)
        if key not in known:
            known[key] = _looked_at(board, request, request.devices)
        answers.append(known[key])
    return answers


def _answer(member: _Member, outcome: Outcome) -> None:
    if member.future.done():
        return
    if outcome.error is not None:
        member.future.set_exception(outcome.error)
    else:
        member.future.set_result(Receipt(outcome.answer, outcome.value, outcome.devices, outcome.at_us))


def _fail(member: _Member, error: Exception) -> None:
    if not member.future.done():
        member.future.set_exception(error)
