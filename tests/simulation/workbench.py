"""Work that a test starts, steps and ends at will, on a device that remembers every write.

It stands in for the push handler behind the real gate: its permit, its steps and its claim are real, the
southbound write is an entry in `writes`.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field

from opensdm.core.errors import HouseRuleBroken, SdmError
from opensdm.core.operations import PushAction, PushChanges
from opensdm.core.permit import Verifier
from opensdm.core.ports import Transaction, Work
from opensdm.core.results import PushReply
from opensdm.gate import Caller, Gate

STEP_LIMIT_S = 30.0

_begun: ContextVar[asyncio.Future[Job]] = ContextVar("begun")
"""Where whoever asked for a push is told its job; the gate's tasks inherit it."""


@dataclass
class Job:
    """One running operation. `task` ends with the gate's answer."""

    device_id: int
    user_name: str
    orders: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    replies: asyncio.Queue[SdmError | None] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[PushReply] | None = None


@dataclass
class Workbench:
    """Gives the handler; holds the jobs that were admitted, and what reached the device."""

    verifier: Verifier | None = None
    writes: list[tuple[int, str]] = field(default_factory=list)

    async def push(self, operation: PushChanges, work: Work) -> PushReply:
        if self.verifier is None:
            raise HouseRuleBroken("the workbench was not given the gate's seal")
        job = Job(operation.device_id, work.session.user_name)
        _begun.get().set_result(job)
        while (order := await job.orders.get()) != "end":
            try:
                async with self.verifier.step(work.permit_write(), job.device_id, STEP_LIMIT_S):
                    self.writes.append((job.device_id, job.user_name))
                    if order == "vanish":
                        raise ConnectionError("the device fell silent after the write")
                job.replies.put_nowait(None)
            except SdmError as error:
                job.replies.put_nowait(error)
                raise

        async def record(transaction: Transaction) -> None:
            await transaction.inventory.set_operation(job.device_id, last_operation="Save", status="In Sync")

        await work.commit(record)
        return PushReply(operation.action, status="SUCCESS")


async def begin(gate: Gate, caller: Caller, device_id: int) -> tuple[str, Job | None]:
    """Begin a push through the gate: SUCCESS and its job once it runs, or the code of the refusal."""
    begun: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
    before = _begun.set(begun)
    task = asyncio.ensure_future(gate.execute(caller, PushChanges(device_id=device_id, action=PushAction.SAVE)))
    _begun.reset(before)
    await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
    if begun.done():
        job = begun.result()
        job.task = task
        return "SUCCESS", job
    error = task.exception()
    assert isinstance(error, SdmError), error
    return error.code, None
