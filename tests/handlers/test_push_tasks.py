"""Pushes as tasks, with their progress and their end on request; and kept versions put back by the same stages."""

from __future__ import annotations

import asyncio

import pytest

from opensdm.core.errors import NotRestorable, Rejected, SdmError
from opensdm.core.operations import (
    AddElement,
    CancelTask,
    ListTasks,
    ListVersions,
    PushChanges,
    RestoreVersion,
    ShowDevice,
    ShowTask,
    UpdateElement,
)
from opensdm.core.results import FAILED, SUCCEEDED
from opensdm.core.task import TaskState
from opensdm.core.versions import Source
from tests.handlers.memory_device import ROUTER, SBC, realm
from tests.handlers.sites import (
    ALL,
    NAMED,
    PLATFORMS,
    Open,
    assert_untouched,
    methods,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

# ------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize(("platform", "method"), methods("write", "verify", "activate"))
async def test_a_push_that_is_cancelled_is_undone(site: Open, platform: str, method: str) -> None:
    here = await site(NAMED[platform])
    final = method == "activate" and not here.device.capabilities.confirmed_commit
    await here.stage()

    async def cancel() -> None:
        (task,) = (await here.house.do("alice", ListTasks(filters={"state": "RUNNING"}))).items
        shown = await here.house.do("alice", CancelTask(task_id=task.task_id))
        assert shown.task.cancel_asked

    here.device.hooks[method] = cancel
    reply = await here.push()
    task = await here.house.do("alice", ShowTask(task_id=reply.task_id))
    if final:
        assert (reply.status, task.task.state) == (SUCCEEDED, TaskState.SUCCEEDED)
        assert "so it went on to its end" in (reply.validation_message or "")
        return
    assert (reply.status, reply.error_code, task.task.state) == (FAILED, "CANCELLED", TaskState.CANCELLED)
    assert "the device is as it was before" in (reply.error_message or "")
    assert_untouched(here.device)
    assert len(await here.pending()) == 4


async def test_who_may_cancel_and_what_is_over(site: Open) -> None:
    here = await site(SBC)
    reply = await here.push()
    for user, error in (("bob", "alice's: only its owner"), ("admin", "is over: SUCCESS"), ("alice", "is over")):
        with pytest.raises(SdmError, match=error):
            await here.house.do(user, CancelTask(task_id=reply.task_id))


async def test_a_task_tells_how_far_it_is(site: Open) -> None:
    here = await site(SBC)
    for n in range(45):
        await here.do(AddElement, element=realm(f"r{n}"))
    started = await here.do(PushChanges, action=ALL, as_task=True)
    for _ in range(500):
        shown = await here.house.do("alice", ShowTask(task_id=started.task_id))
        if shown.task.state is not TaskState.RUNNING:
            break
        await asyncio.sleep(0.01)
    assert shown.task.state is TaskState.SUCCEEDED and shown.task.device_id == here.device_id
    told = [(p.stage, p.state) for p in shown.progress if p.done is None]
    assert told[:4] == [("lock", "BEGUN"), ("lock", SUCCEEDED), ("create", "BEGUN"), ("create", SUCCEEDED)]
    assert told[-1] == ("unlock", SUCCEEDED)
    assert {(p.done, p.total) for p in shown.progress if p.done is not None} >= {(20, 45), (40, 45)}
    later = await here.house.do("alice", ShowTask(task_id=started.task_id, after=shown.progress[-2].number))
    assert len(later.progress) == 1


# ------------------------------------------------------------------------------------------- restore


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_kept_version_comes_back_byte_for_byte(site: Open, platform: str) -> None:
    here = await site(NAMED[platform])
    await here.stage()
    await here.push()
    await here.do(UpdateElement, element=realm("core", secret="another"))
    await here.push()
    await here.do(AddElement, "bob", element=realm("of-bob"))
    here.device.log.clear()
    reply = await here.do(RestoreVersion, number=1)
    assert (reply.status, reply.error_code) == (SUCCEEDED, None), reply
    assert_untouched(here.device)
    assert await here.pending("bob") == ["realm:of-bob"]
    device = (await here.do(ShowDevice)).device
    assert (device.last_operation, device.status) == ("Restore", "In Sync")
    newest = (await here.do(ListVersions)).items[0]
    assert (newest.note.source, newest.note.comment, newest.current) == (Source.RESTORE, "version 1", True)
    assert newest.digest == (await here.do(ListVersions)).items[-1].digest
    again = await here.do(RestoreVersion, number=1)
    assert (again.status, again.validation_message) == (SUCCEEDED, "the device holds version 1 already")


async def test_a_version_of_other_software_is_not_restored(site: Open) -> None:
    here = await site(SBC)
    here.device.version = "2.0"
    with pytest.raises(NotRestorable, match=r"is of software '1\.0', the device runs '2\.0'"):
        await here.do(RestoreVersion, number=1)


async def test_a_restore_that_fails_is_undone_like_a_push(site: Open) -> None:
    here = await site(ROUTER)
    await here.stage()
    await here.push()
    before = dict(here.device.running)
    here.device.fail["write"] = [None, Rejected("no")]
    reply = await here.do(RestoreVersion, number=1)
    assert (reply.error_code, reply.restore) == ("REJECTED", SUCCEEDED)
    assert here.device.running == before == here.device.saved


async def test_edits_that_wait_on_the_device_are_not_activated_by_a_restore(site: Open) -> None:
    here = await site(SBC)
    await here.stage()
    await here.push()
    here.device.editing["realm", ("half",)] = realm("half")
    assert (await here.do(RestoreVersion, number=1)).status == SUCCEEDED
    assert_untouched(here.device)
