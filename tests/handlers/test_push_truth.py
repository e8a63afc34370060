"""What a push says it did is what the device holds, also where somebody acts in the middle of it."""

from __future__ import annotations

import pytest

from opensdm.core.operations import CancelTask, ListTasks, PushAction, ShowTask, UpdateElement
from opensdm.core.results import SUCCEEDED
from opensdm.core.task import TaskState
from tests.handlers.memory_device import SBC, realm
from tests.handlers.sites import Open

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_save_that_is_asked_to_stop_too_late_is_told_as_done(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="changed"))

    async def cancel() -> None:
        (task,) = (await here.house.do("alice", ListTasks(filters={"state": "RUNNING"}))).items
        await here.house.do("alice", CancelTask(task_id=task.task_id))

    here.device.hooks["unlock"] = cancel
    reply = await here.push(action=PushAction.SAVE)
    task = (await here.house.do("alice", ShowTask(task_id=reply.task_id))).task
    assert (reply.status, reply.save, task.state) == (SUCCEEDED, SUCCEEDED, TaskState.SUCCEEDED)
    assert "so it went on to its end" in (reply.validation_message or "")
    assert await here.pending() == []
