"""What an operation under a claim came to, as its end records it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from opensdm.core.audit import SUCCESS
from opensdm.core.errors import Cancelled
from opensdm.core.ports import Effect, Transaction
from opensdm.core.task import TaskState


@dataclass(frozen=True, slots=True)
class Outcome:
    """`code` is SUCCESS or that of the failure. `uncertain`: nobody knows what the device holds."""

    code: str
    uncertain: bool = False
    message: str | None = None
    result: Any = None

    @classmethod
    def of(cls, result: Any) -> Outcome:
        """Of a handler's answer, which may be a failure that began well: a push says so in its reply."""
        code = getattr(result, "error_code", None)
        return cls(code or SUCCESS, message=getattr(result, "error_message", None) if code else None, result=result)

    def finish(self, task_id: str) -> Effect[None]:
        """The end of the task, for the transaction that ends its claim."""
        failed = self.code != SUCCESS
        state = TaskState.SUCCEEDED if not failed else TaskState.FAILED
        if self.code == Cancelled.code:
            state = TaskState.CANCELLED
        data = asdict(self.result) if is_dataclass(self.result) and not isinstance(self.result, type) else None

        async def effect(transaction: Transaction) -> None:
            await transaction.tasks.finish_task(task_id, state, data, self.code if failed else None, self.message)

        return effect
