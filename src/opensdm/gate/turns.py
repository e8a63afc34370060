"""Requests that have to wait for their turn, from the first answer of the rules to the last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from opensdm.core.errors import LockRefused, SdmError
from opensdm.core.lock import (
    Admit,
    Admitted,
    Answer,
    ClaimRow,
    EndClaim,
    GiveUp,
    LeaveQueue,
    Promote,
    Queued,
    StartClaim,
    TakeAway,
    TakeLock,
    Waiting,
)
from opensdm.core.submission import LedgerPort, Receipt, Standing, Submission, Target
from opensdm.gate.waiting import Waits
from opensdm.gate.writer import Writer

if TYPE_CHECKING:
    from opensdm.gate.run import Run

log = structlog.get_logger("opensdm.gate")

Submit = Callable[["Run", Submission], Awaitable[Receipt]]


class Turns:
    """Waits with the clients of this node. `submit` raises refusals."""

    def __init__(self, ledger: LedgerPort, writer: Writer, submit: Submit) -> None:
        self._ledger = ledger
        self._writer = writer
        self._submit = submit
        self.waits = Waits(ledger)

    async def lock(self, run: Run, take: TakeLock, first: Waiting, until: float, standing: Standing) -> Answer:
        """Promote as soon as may be, or give up; raises the refusal that it comes to."""
        target = Target(devices=first.devices)
        take = replace(take, devices=first.devices)
        promote = Submission(target, Promote(first.pending_id, take), standing=standing, audit=run.draft())
        give_up = Submission(target, GiveUp(first.pending_id, take), audit=run.draft())
        answer: Answer = first
        try:
            while isinstance(answer, Waiting):
                mine = await self.waits.turn(Promote(first.pending_id, take), until, run.patience)
                receipt = await self._submit(run, promote if mine else give_up)
                assert receipt.answer is not None
                answer = receipt.answer
        except LockRefused:
            raise
        except SdmError:
            # The session ended, a device is gone, the store is away: whoever is not there bars nobody.
            await self._writer.give_up(replace(give_up, audit=None))
            raise
        return answer

    async def transfer(self, run: Run, request: TakeAway, waiting: Waiting, until: float, standing: Standing) -> None:
        """The lock for whoever took it away, once the work that was open is over; nobody waits for the answer."""
        take = TakeLock(request.actor, waiting.devices, request.reason)
        try:
            await self.lock(run, take, waiting, until, standing)
        except SdmError as error:
            log.info("a lock was not transferred", code=error.code, message=error.message)

    async def claim(self, run: Run, admit: Admit, first: Queued, until: float, standing: Standing) -> Admitted:
        """Start when it is its turn, or leave the queue; raises the refusal that it comes to."""
        admit = replace(admit, devices=frozenset(first.claim.tickets), claim_id=first.claim.claim_id)
        target = Target(devices=admit.devices)
        audit = run.draft(refusals_only=True)
        start = Submission(target, StartClaim(admit), standing=standing, audit=audit)
        leave = Submission(target, LeaveQueue(admit), audit=audit)
        answer: Answer | None = first
        try:
            while isinstance(answer, Queued):
                mine = await self.waits.turn(StartClaim(admit), until, run.patience)
                answer = (await self._submit(run, start if mine else leave)).answer
        except LockRefused:
            raise
        except SdmError as error:
            await self._leave(first.claim, run, error.code)
            raise
        assert isinstance(answer, Admitted)
        return answer

    async def _leave(self, claim: ClaimRow, run: Run, code: str) -> None:
        """Whatever became of its start: nothing ran, and its end is written as that of any claim."""
        draft = run.draft(result=code, refusals_only=run.audited)
        await self._writer.end(EndClaim(claim.claim_id), frozenset(claim.tickets), draft)
