"""The gate's hand on the ledger: what a running claim needs, and audit rows that come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import structlog

from opensdm.core.errors import NotFound, SdmError, StoreUnavailable
from opensdm.core.lock import Answer, BeginStep, EndClaim, Fence, FinishStep
from opensdm.core.ports import Effect, Transaction
from opensdm.core.submission import AuditDraft, LedgerPort, Submission, Target

log = structlog.get_logger("opensdm.gate")

END_ATTEMPTS = 5
"""Tries to write the end of a claim before the caller gets its answer; then they go on beside it."""
LONGEST_PAUSE_S = 5.0


async def _nothing(transaction: Transaction) -> None:
    return None


class Writer:
    """Submits what concerns claims the gate itself registered."""

    def __init__(self, ledger: LedgerPort) -> None:
        self._ledger = ledger
        self.late: set[asyncio.Task[bool]] = set()
        """Ends of claims and of waiting requests still to be written, while the store is away."""

    async def decide_claim(self, request: BeginStep | FinishStep, devices: frozenset[int]) -> Answer:
        receipt = await self._ledger.submit(Submission(Target(devices=devices), request))
        assert receipt.answer is not None
        return receipt.answer

    async def fenced(self, request: Fence, devices: frozenset[int], effect: Effect[None]) -> Answer:
        """An effect of a running claim, in one transaction with the proof that it still runs."""
        receipt = await self._ledger.submit(Submission(Target(devices=devices), request, effect))
        assert receipt.answer is not None
        return receipt.answer

    async def end(
        self, request: EndClaim, devices: frozenset[int], audit: AuditDraft, effect: Effect[None] | None = None
    ) -> None:
        """Write the end of a claim, and with it an effect; a store that is away delays it and never loses it."""
        submission = Submission(Target(devices=devices), request, effect, audit=audit)
        await self._end(submission, END_ATTEMPTS, f"end of claim {request.claim_id}")

    async def give_up(self, submission: Submission) -> None:
        """Write that a request waits no more; tried once before the caller goes on."""
        await self._end(submission, 1, "end of a waiting request")

    async def _end(self, submission: Submission, attempts: int, name: str) -> None:
        if await self._ended(submission, range(attempts)):
            return
        task = asyncio.create_task(self._ended(submission, count(attempts)), name=name)
        self.late.add(task)
        task.add_done_callback(self.late.discard)

    async def record(self, audit: AuditDraft, error: SdmError) -> None:
        """An audit row for a refusal that no transaction decided; a store that is away loses only this row."""

        async def refuse(transaction: Transaction) -> None:
            raise error

        try:
            await self._ledger.submit(Submission(effect=refuse, audit=audit))
        except SdmError as raised:
            if raised is not error:
                log.warning("a refusal was not audited", operation=audit.operation, user=audit.user_name)

    async def note(self, audit: AuditDraft) -> None:
        """An audit row for something that succeeded without a write of its own."""
        await self._ledger.submit(Submission(effect=_nothing, audit=audit))

    async def _ended(self, submission: Submission, attempts: Iterable[int]) -> bool:
        """Whether the end was written within these attempts."""
        for attempt in attempts:
            try:
                await self._ledger.submit(submission)
            except StoreUnavailable:
                await asyncio.sleep(_pause(attempt))
                continue
            except Exception as error:
                if submission.effect is not None:
                    # Whatever cannot be told of the task: a claim that does not end bars the device to everybody.
                    log.warning("the end of a task was not recorded", operation=_of(submission), exc_info=error)
                    submission = replace(submission, effect=None)
                    continue
                if not isinstance(error, NotFound):
                    raise
                # the device is gone, and its claims with it
            return True
        return False


def _of(submission: Submission) -> str:
    return "" if submission.audit is None else submission.audit.operation


def _pause(attempt: int) -> float:
    """Longer each time up to a bound; an outage may last for any number of attempts."""
    return float(min(0.05 * 2 ** min(attempt, 10), LONGEST_PAUSE_S))
