"""Long work and its progress; results are sealed, for they may carry values of configurations."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Text, and_, case, cast, func, insert, literal, or_, select, text

from opensdm.core.errors import AlreadyExists, NotFound
from opensdm.core.ports import Page
from opensdm.core.task import Progress, Task, TaskState
from opensdm.stores.groups import wire_ids
from opensdm.stores.lock_tables import claim
from opensdm.stores.repository import Repository, conditions, paged
from opensdm.stores.tables import device, task, task_progress, user_account

_RUNNING = TaskState.RUNNING.value
_LEFT = and_(task.c.state == _RUNNING, or_(claim.c.state.is_(None), claim.c.state != "RUNNING"))
"""Nobody works on it any more: its claim was interrupted, or ended without a word, or is gone."""
_STATE = case((_LEFT, literal(TaskState.INTERRUPTED.value)), else_=task.c.state)
_TASKS = (
    select(
        task.c.task_id, task.c.operation, task.c.device_id, device.c.device_name, task.c.user_id,
        user_account.c.user_name, task.c.started_us, _STATE.label("state"), task.c.ended_us, task.c.cancel_asked,
        task.c.error_code, task.c.error_message, task.c.result, task.c.claim_id,
    )
    .join(device, device.c.device_id == task.c.device_id)
    .join(user_account, user_account.c.user_id == task.c.user_id)
    .outerjoin(claim, claim.c.claim_id == task.c.claim_id)
)  # fmt: skip
_FILTERS = {
    "deviceId": (wire_ids(task.c.device_id), cast(task.c.device_id, Text)),
    "userName": (user_account.c.user_name,),
    "state": (_STATE,),
    "operation": (task.c.operation,),
}
_OPEN = text(
    """
    INSERT INTO task (task_id, operation, device_id, user_id, claim_id, started_us, state)
    VALUES (:task_id, :operation, :device_id, :user_id, :claim_id, :now_us, :state)
    ON CONFLICT (task_id) DO NOTHING
    """
)
_FINISH = text(
    """
    UPDATE task SET state = :state, ended_us = :now_us, result = :result, error_code = :error_code,
                    error_message = :error_message
     WHERE task_id = :task_id
    """
)
_ASK_CANCEL = text("UPDATE task SET cancel_asked = 1 WHERE task_id = :task_id")
_CANCEL_ASKED = text("SELECT cancel_asked FROM task WHERE task_id = :task_id")


class SqlTasks(Repository):
    """Implements `TaskStore`."""

    async def open_task(self, task_id: str, operation: str, device_id: int, user_id: int, claim_id: int) -> None:
        """Raises AlreadyExists for an id that was used before."""
        values = {
            "task_id": task_id, "operation": operation, "device_id": device_id, "user_id": user_id,
            "claim_id": claim_id, "now_us": self._now_us, "state": _RUNNING,
        }  # fmt: skip
        if (await self._connection.execute(_OPEN, values)).rowcount != 1:
            raise AlreadyExists(f"there is a task {task_id!r} already; send the request again with another id")

    async def task(self, task_id: str) -> Task:
        row = (await self._connection.execute(_TASKS.where(task.c.task_id == task_id))).first()
        if row is None:
            raise _no_task(task_id)
        return self._task(row)

    async def tasks(self, filters: Mapping[str, str], page: Page) -> tuple[list[Task], int]:
        query = _TASKS.where(*conditions("tasks", filters, _FILTERS, {}))
        total = await self._total(query)
        newest_first = query.order_by(task.c.started_us.desc(), task.c.claim_id.desc(), task.c.task_id)
        return [self._task(row) for row in await self._connection.execute(paged(newest_first, page))], total

    async def add_progress(
        self, task_id: str, stage: str, state: str, note: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        c = task_progress.c
        newest = select(func.coalesce(func.max(c.number), 0)).where(c.task_id == task_id).scalar_subquery()
        values = {
            c.task_id: task.c.task_id, c.number: newest + 1, c.at_us: literal(self._now_us, c.at_us.type),
            c.stage: literal(stage, Text), c.state: literal(state, Text), c.note: literal(note, Text),
            c.done: literal(done, c.done.type), c.total: literal(total, c.total.type),
        }  # fmt: skip
        row = select(*values.values()).where(task.c.task_id == task_id)
        if (await self._connection.execute(insert(task_progress).from_select(list(values), row))).rowcount != 1:
            raise _no_task(task_id)

    async def progress(self, task_id: str, after: int = 0) -> list[Progress]:
        c = task_progress.c
        query = select(c.number, c.at_us, c.stage, c.state, c.note, c.done, c.total)
        query = query.where(c.task_id == task_id, c.number > after).order_by(c.number)
        rows = await self._connection.execute(query)
        return [Progress(r.number, r.at_us, r.stage, r.state, r.note, r.done, r.total) for r in rows]

    async def finish_task(
        self, task_id: str, state: TaskState, result: Mapping[str, Any] | None, error_code: str | None,
        error_message: str | None,
    ) -> None:  # fmt: skip
        sealed = None if result is None else self._secrets.seal(zlib.compress(msgspec.json.encode(result)))
        values = {
            "task_id": task_id, "state": state.value, "now_us": self._now_us, "result": sealed,
            "error_code": error_code, "error_message": error_message,
        }  # fmt: skip
        if (await self._connection.execute(_FINISH, values)).rowcount != 1:
            raise _no_task(task_id)

    async def ask_cancel(self, task_id: str) -> None:
        if (await self._connection.execute(_ASK_CANCEL, {"task_id": task_id})).rowcount != 1:
            raise _no_task(task_id)

    async def cancel_asked(self, task_id: str) -> bool:
        asked = await self._connection.scalar(_CANCEL_ASKED, {"task_id": task_id})
        if asked is None:
            raise _no_task(task_id)
        return bool(asked)

    def _task(self, row: Any) -> Task:
        result = None if row.result is None else msgspec.json.decode(zlib.decompress(self._secrets.open(row.result)))
        return Task(
            row.task_id, row.operation, row.device_id, row.device_name, row.user_id, row.user_name, row.started_us,
            TaskState(row.state), row.ended_us, bool(row.cancel_asked), row.error_code, row.error_message, result,
            row.claim_id,
        )  # fmt: skip


def _no_task(task_id: str) -> NotFound:
    return NotFound(f"there is no task {task_id!r}; a task is kept for 30 days after its end")
