"""The gate: session, privilege, lock, claim, handler, audit; in that order, for every operation of every door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import structlog
from prometheus_client import Counter

from opensdm.core.audit import SUCCESS
from opensdm.core.errors import (
    AccessDenied,
    HouseRuleBroken,
    LockLost,
    LockRefused,
    NotLoggedIn,
    SdmError,
    StoreUnavailable,
)
from opensdm.core.identity import Area, Session, SessionPolicy
from opensdm.core.lock import (
    Admit,
    Admitted,
    Answer,
    ClaimRow,
    EndClaim,
    Fence,
    Guard,
    LockPolicy,
    LockRequest,
    Overridden,
    Queued,
    RefusalCode,
    Refused,
    TakeAway,
    TakeLock,
    Waiting,
)
from opensdm.core.node import RHYTHM, NodeRhythm
from opensdm.core.operations import Claim, Kind, Operation, Scope
from opensdm.core.ports import DriverRegistry, Effect, Passwords, SessionRow, Transaction, Work
from opensdm.core.results import TaskStarted
from opensdm.core.submission import LedgerPort, ReaderPort, Receipt, Standing, Submission, Target
from opensdm.gate.blockers import with_standing
from opensdm.gate.events import EventWatch
from opensdm.gate.outcome import Outcome
from opensdm.gate.policy import advise, refusal, require
from opensdm.gate.run import Caller, Principal, Run, nobody, own_session
from opensdm.gate.seal import Seal
from opensdm.gate.turns import Turns
from opensdm.gate.under_way import UnderWay
from opensdm.gate.waiting import Patience
from opensdm.gate.work import GateWork, target_of
from opensdm.gate.writer import Writer

log = structlog.get_logger("opensdm.gate")

OPERATIONS = Counter("opensdm_operations_total", "Operations by door and result", ["operation", "door", "result"])
SECOND_US = 1_000_000
TOUCH_EVERY_US = 60_000_000
"""A session's last use is written at most once a minute."""

Handler = Callable[[Any, Work], Awaitable[Any]]
_READING = (Kind.OBSERVE, Kind.PUBLIC)
_LOOKING = (Kind.OBSERVE, Kind.MACHINERY)


class Gate:
    """`execute` is the only public way below the doors."""

    def __init__(
        self,
        *,
        ledger: LedgerPort,
        reader: ReaderPort,
        drivers: DriverRegistry,
        handlers: Mapping[type[Operation], Handler],
        passwords: Passwords,
        incarnation: int,
        session_policy: SessionPolicy,
        lock_policy: LockPolicy | None = None,
        rhythm: NodeRhythm = RHYTHM,
    ) -> None:
        self.ledger = ledger
        self.reader = reader
        self.drivers = drivers
        self.passwords = passwords
        self.incarnation = incarnation
        self.session_policy = session_policy
        self.lock_policy = lock_policy or LockPolicy()
        self.rhythm = rhythm
        self._handlers = handlers
        self._writer = Writer(ledger)
        self.seal = Seal(self._writer, incarnation)
        self._tasks = UnderWay()
        self._turns = Turns(ledger, self._writer, self._submit)
        self._watch = EventWatch(ledger, reader)

    async def execute(self, caller: Caller, operation: Operation) -> Any:
        """Run one operation as this caller; raises SdmError with `next_steps`.

        A client that hangs up does not stop what it began: what was admitted runs to its end. What waits gives up.
        """
        return await self._execute(caller, operation, None)

    async def execute_part(self, whole: Run, operation: Operation) -> Any:
        """A part of a composite, by the same way; under the claim of the whole, where that has one."""
        return await self._execute(whole.caller, operation, whole.claim)

    async def _execute(self, caller: Caller, operation: Operation, parent: ClaimRow | None) -> Any:
        patience = Patience()
        if operation.rule.kind in _READING:
            return await self._pass(caller, operation, patience, parent)
        task = self._tasks.begin(self._pass(caller, operation, patience, parent), operation.name)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            patience.hang_up()
            self._tasks.leave(task)
            raise

    async def events_since(self, after: int) -> None:
        """Return once there are lock events after this one, of any node. Waits for ever: bound it."""
        await self._watch.since(after)

    def stop_waiting(self) -> None:
        """Whoever waits for a device is answered now: the node stops."""
        self._turns.waits.stop()

    def renew(self, incarnation: int) -> None:
        """This node was taken for dead and goes on as a new incarnation: what ran before takes no further step."""
        self.incarnation = incarnation
        self.seal.renew(incarnation)

    @property
    def busy(self) -> bool:
        """Whether any operation but a look is under way."""
        return bool(self._tasks)

    async def drain(self, timeout_s: float) -> int:
        """Wait for running operations, and late ends of claims, before a stop; answers how many were left.

        What ends may leave more behind: an operation its task, a task the end of its claim.
        """
        self.stop_waiting()
        until = time.monotonic() + timeout_s
        while running := self._tasks | self._writer.late:
            _, left = await asyncio.wait(running, timeout=max(0.0, until - time.monotonic()))
            if left:
                return len(self._tasks | self._writer.late)
        return 0

    # ------------------------------------------------------------------------------ the way through

    async def _pass(self, caller: Caller, operation: Operation, patience: Patience, parent: ClaimRow | None) -> Any:
        run = Run(caller, operation, nobody(operation, caller), patience=patience, parent=parent)
        known: Session | None = None
        try:
            run.session = known = await self._authenticate(caller, operation)
            require(run.session, operation)
            result = await self._admit(run)
            if operation.rule.kind is Kind.PUBLIC:
                await self._writer.note(run.draft())
        except SdmError as error:
            OPERATIONS.labels(operation.name, caller.door, error.code).inc()
            await self._audit_refusal(run, error)
            error.blockers = await with_standing(self.reader, error.blockers)
            error.next_steps = error.next_steps or advise(error, known, operation)
            raise
        OPERATIONS.labels(operation.name, caller.door, getattr(result, "error_code", None) or SUCCESS).inc()
        return result

    async def _authenticate(self, caller: Caller, operation: Operation) -> Session:
        if caller.principal is not Principal.SESSION:
            return own_session(caller)
        if operation.rule.local:
            raise NotLoggedIn(f"{operation.name} can only be asked for at the server's own console")
        if operation.rule.kind is Kind.PUBLIC:
            return nobody(operation, caller)
        if caller.token is None:
            raise NotLoggedIn("no session: log in first and send the cookie")
        hashed = sha256(caller.token.encode()).digest()

        async def find(transaction: Transaction) -> tuple[SessionRow | None, int]:
            return await transaction.identity.session(hashed), transaction.now_us

        row, now_us = await self.reader.read(find)
        if row is None:
            raise NotLoggedIn("this session does not exist or has ended: log in again")
        if not caller.passive and now_us - row.last_used_us >= TOUCH_EVERY_US:
            await self._touch(row.session_id)
        return Session(
            row.session_id, row.user.user_id, row.user.user_name, row.user.group, caller.door, row.rights,
            row.idle_timeout_s, row.created_us,
        )  # fmt: skip

    async def _touch(self, session_id: int) -> None:
        """Note the session's use. Whoever may look while nothing can be written still may."""

        async def effect(transaction: Transaction) -> None:
            await transaction.identity.touch_session(session_id)

        try:
            await self.ledger.write(effect)
        except StoreUnavailable:
            log.warning("a session's use was not noted", session_id=session_id)

    async def _admit(self, run: Run) -> Any:
        rule = run.operation.rule
        await self._check_epoch(run)
        if rule.claim is not Claim.NONE:
            return await self._with_claim(run)
        if rule.kind is Kind.CHANGE and rule.scope is not Scope.SERVER:
            await self._refuse_early(run)
        work = GateWork(self, run)
        try:
            result = await self._handlers[type(run.operation)](run.operation, work)
        finally:
            await work.close()
        if rule.kind in (Kind.CHANGE, Kind.LOCK) and not work.committed:
            raise HouseRuleBroken(f"{run.operation.name} answered without its lock check")
        return result

    async def _with_claim(self, run: Run) -> Any:
        """Register the claim; then run under it, or, for a task its caller does not wait for, go on without them."""
        run.claim = await self._claim(run)
        if run.task_id is None:
            return await self._under_claim(run)
        await self._open_task(run, run.claim, run.task_id)
        if not getattr(run.operation, "as_task", False):
            return await self._under_claim(run)
        _ = self._tasks.begin(self._unattended(run), run.task_id)
        return TaskStarted(run.task_id, run.operation.name, min(run.claim.tickets))

    async def _under_claim(self, run: Run) -> Any:
        """Run the handler under its permit, and write the claim's end whatever happens."""
        assert run.claim is not None
        work = GateWork(self, run)
        outcome = Outcome("INTERNAL_ERROR", uncertain=True)
        try:
            result = await self._handlers[type(run.operation)](run.operation, work)
            outcome = Outcome.of(result)
            return result
        except SdmError as error:
            outcome = Outcome(error.code, uncertain=isinstance(error, LockLost), message=error.message)
            run.audited = True
            raise
        finally:
            try:
                await work.close()
            finally:
                end = EndClaim(run.claim.claim_id, uncertain=outcome.uncertain)
                devices = frozenset(run.claim.tickets)
                finish = None if run.task_id is None else outcome.finish(run.task_id)
                await self._writer.end(end, devices, run.draft(result=outcome.code), finish)

    async def _open_task(self, run: Run, claim: ClaimRow, task_id: str) -> None:
        """So that whoever is told of the task finds it; should this fail, the claim ends with nothing done."""
        (device_id,) = claim.tickets

        async def effect(transaction: Transaction) -> None:
            await transaction.tasks.open_task(
                task_id, run.operation.name, device_id, run.session.user_id, claim.claim_id
            )  # fmt: skip

        devices = frozenset(claim.tickets)
        try:
            answer = await self._writer.fenced(Fence(claim.claim_id, self.incarnation), devices, effect)
            if isinstance(answer, Refused):
                raise refusal(answer)
        except SdmError as error:
            run.audited = True
            await self._writer.end(EndClaim(claim.claim_id), devices, run.draft(result=error.code))
            raise
        except Exception:
            await self._writer.end(EndClaim(claim.claim_id), devices, run.draft(result="INTERNAL_ERROR"))
            raise

    async def _unattended(self, run: Run) -> None:
        """What a task ends with is in its row and in the audit trail; nobody waits for it here."""
        try:
            await self._under_claim(run)
        except SdmError as error:
            log.info("a task failed", task_id=run.task_id, code=error.code)
        except Exception:
            log.exception("a task failed", task_id=run.task_id)

    async def _claim(self, run: Run) -> ClaimRow:
        rule = run.operation.rule
        exclusive = rule.claim is Claim.EXCLUSIVE
        queue_s = self.lock_policy.queue_s if exclusive else 0.0
        until = time.monotonic() + queue_s
        request = Admit(
            run.actor, frozenset(), 0, run.operation.name, self.incarnation, exclusive,
            rule.writes, run.operation.epoch, run.caller.request_id, round(queue_s * SECOND_US),
            None if run.parent is None else run.parent.claim_id, self._unfenced,
        )  # fmt: skip
        standing = self._standing(run)
        submission = Submission(
            target_of(run.operation), request, standing=standing, audit=run.draft(refusals_only=True)
        )
        answer = (await self._submit(run, submission)).answer
        if isinstance(answer, Queued):
            answer = await self._turns.claim(run, request, answer, until, standing)
        assert isinstance(answer, Admitted) and answer.claim is not None
        run.uncertain = answer.uncertain
        return answer.claim

    @cached_property
    def _unfenced(self) -> frozenset[str]:
        """Platforms whose devices nothing fences: work cut off there is over when somebody says so."""
        return frozenset(p for p in self.drivers.platforms() if self.drivers.driver(p).capabilities.unfenced)

    # ------------------------------------------------------------------------------ submissions

    async def submit_guarded(self, run: Run, effect: Effect[Any], found: str | None = None) -> Receipt:
        """An effect in our database, in one transaction with its guard. `found`: see `Work.commit`."""
        rule = run.operation.rule
        guard = self._guard(run)
        audit = run.draft() if rule.kind is Kind.CHANGE else None
        if found is not None:
            audit = replace(run.draft(), tag=found, if_value=True)
        submission = Submission(
            target_of(run.operation) if guard is not None or found is not None else Target(),
            guard,
            effect,
            self._standing(run),
            audit,
            alone=rule.kind is Kind.CHANGE and rule.area is Area.INVENTORY,
        )
        return await self._submit(run, submission)

    async def submit_lock(self, run: Run, request: LockRequest) -> Answer:
        """A lock operation: the rules decide on the devices the operation names, at once or after a wait."""
        wait_us = request.wait_us if isinstance(request, TakeLock | TakeAway) else 0
        until = time.monotonic() + wait_us / SECOND_US
        if isinstance(request, TakeLock | TakeAway):
            request = replace(request, request_id=run.caller.request_id)
        standing = self._standing(run)
        submission = Submission(
            target_of(run.operation),
            request,
            standing=standing,
            audit=run.draft(),
            empty_target="this group has no devices: there is nothing to lock or unlock",
        )
        answer = (await self._submit(run, submission)).answer
        assert answer is not None
        if isinstance(answer, Waiting) and isinstance(request, TakeLock):
            return await self._turns.lock(run, request, answer, until, standing)
        if isinstance(answer, Overridden) and answer.waiting is not None and isinstance(request, TakeAway):
            later = replace(run, patience=Patience())
            _ = self._tasks.begin(self._turns.transfer(later, request, answer.waiting, until, standing), "transfer")
        return answer

    async def _submit(self, run: Run, submission: Submission) -> Receipt:
        try:
            receipt = await self.ledger.submit(submission)
        except SdmError:
            run.audited = submission.audit is not None
            raise
        if isinstance(receipt.answer, Refused):
            run.audited = submission.audit is not None
            raise refusal(receipt.answer)
        return receipt

    def _guard(self, run: Run) -> Guard | None:
        rule = run.operation.rule
        if rule.scope is Scope.SERVER or rule.kind is not Kind.CHANGE:
            return None
        return Guard(
            run.actor, frozenset(), run.operation.epoch, rule.writes, rule.exclusive, rule.alone, rule.drop
        )  # fmt: skip

    def _standing(self, run: Run) -> Standing:
        rule = run.operation.rule
        return Standing(run.session.session_id, rule.area, rule.level)

    async def _refuse_early(self, run: Run) -> None:
        """A foreign lock is the first thing a caller hears of, before any fault in the request itself.

        Only a hint is taken from this look: the refusal itself is decided, and audited, in a transaction. Should that
        one admit after all, nothing has happened yet: a lock ends with its device (`drop`), not with this question.
        """
        guard = self._guard(run)
        assert guard is not None
        submission = Submission(
            target_of(run.operation),
            replace(guard, drop=False),
            standing=self._standing(run),
            audit=run.draft(refusals_only=True),
        )
        if isinstance(await self.ledger.peek(submission), Refused):
            await self._submit(run, submission)

    async def _check_epoch(self, run: Run) -> None:
        """Reads that carry an epoch are told, like every call, when it is not that of the caller's lock."""
        operation, rule = run.operation, run.operation.rule
        if operation.epoch is None or rule.kind is not Kind.OBSERVE or rule.scope is not Scope.DEVICE:
            return
        guard = Guard(run.actor, frozenset(), operation.epoch)
        answer = await self.ledger.peek(Submission(target_of(operation), guard))
        if isinstance(answer, Refused) and answer.code is RefusalCode.LOCK_LOST:
            raise refusal(answer)

    async def _audit_refusal(self, run: Run, error: SdmError) -> None:
        """Refusals no transaction recorded. A look that fails is no event; one that is refused is."""
        refused = isinstance(error, (AccessDenied, LockRefused))
        if run.audited or (run.operation.rule.kind in _LOOKING and not refused):
            return
        run.audited = True
        await self._writer.record(run.draft(), error)
