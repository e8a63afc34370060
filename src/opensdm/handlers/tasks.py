"""Long work as those who wait for it see it, and how they stop it."""

from __future__ import annotations

from opensdm.core.errors import Conflict, Forbidden
from opensdm.core.identity import Area, Level
from opensdm.core.operations import CancelTask, ListTasks, ShowTask
from opensdm.core.ports import Page, Transaction, Work
from opensdm.core.results import Listing, TaskShown
from opensdm.core.task import Task, TaskState


async def list_tasks(operation: ListTasks, work: Work) -> Listing[Task]:
    page = Page(operation.offset, operation.limit)
    found, total = await work.read(lambda tx: tx.tasks.tasks(operation.filters, page))
    return Listing(tuple(found), total, operation.offset)


async def show_task(operation: ShowTask, work: Work) -> TaskShown:
    async def query(transaction: Transaction) -> TaskShown:
        task = await transaction.tasks.task(operation.task_id)
        return TaskShown(task, tuple(await transaction.tasks.progress(operation.task_id, operation.after)))

    return await work.read(query)


async def cancel_task(operation: CancelTask, work: Work) -> TaskShown:
    """Ask a running task to stop. It is the task that stops, before its next step, and undoes what it wrote."""
    session = work.session

    async def effect(transaction: Transaction) -> TaskShown:
        task = await transaction.tasks.task(operation.task_id)
        if task.user_id != session.user_id and session.level(Area.LOCK_OVERRIDE) < Level.FULL:
            raise Forbidden(
                f"task {task.task_id} is {task.user_name}'s: only its owner, or who may take locks away, cancels it",
                privilege=Area.LOCK_OVERRIDE.value, userGroup=session.group,
            )  # fmt: skip
        if task.state is not TaskState.RUNNING:
            raise Conflict(f"task {task.task_id} is over: {task.state.value}", state=task.state.value)
        await transaction.tasks.ask_cancel(operation.task_id)
        return TaskShown(await transaction.tasks.task(operation.task_id))

    return await work.commit(effect)


HANDLERS_HERE = {ListTasks: list_tasks, ShowTask: show_task, CancelTask: cancel_task}
