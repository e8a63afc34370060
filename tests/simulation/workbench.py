"""Work that a test starts, steps and ends at will, on a device that remembers every write.

It stands in for the push handler behind the real gate: its permit, its steps and its claim are real, the
southbound write is an entry in `writes`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from opensdm.core.errors import HouseRuleBroken, SdmError
from opensdm.core.operations import PushChanges
from opensdm.core.permit import Verifier
from opensdm.core.ports import Transaction, Work
from opensdm.core.results import PushReply

STEP_LIMIT_S = 30.0


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
    starting: asyncio.Queue[Job] = field(default_factory=asyncio.Queue)
    writes: list[tuple[int, str]] = field(default_factory=list)

    async def push(self, operation: PushChanges, work: Work) -> PushReply:
        if self.verifier is None:
            raise HouseRuleBroken("the workbench was not given the gate's seal")
        job = Job(operation.device_id, work.session.user_name)
        self.starting.put_nowait(job)
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
