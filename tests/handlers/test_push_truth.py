"""What a push says it did is what the device holds, also where somebody acts in the middle of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import NotLoaded, Rejected, StaleConfiguration, Unreachable
from opensdm.core.operations import (
    AddElement,
    CancelTask,
    DeleteElement,
    ListTasks,
    LoadConfiguration,
    PreviewPush,
    PushAction,
    RestoreVersion,
    ShowPendingChanges,
    ShowTask,
    UpdateElement,
)
from opensdm.core.results import FAILED, SUCCEEDED
from opensdm.core.task import TaskState
from tests.handlers.memory_device import NETCONF, ROUTER, SBC, realm
from tests.handlers.sites import NAMED, Open

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


@pytest.mark.parametrize("platform", ["sbc", "netconf"])
async def test_what_was_changed_before_the_device_was_locked_is_not_overwritten(site: Open, platform: str) -> None:
    """Between the comparison and the device's own lock somebody at its console is faster."""
    here = await site(NAMED[platform])
    await here.do(UpdateElement, element=realm("core", description="mine"))
    theirs = realm("core", description="console", limit="9", secret="s3cret")

    async def faster() -> None:
        here.device.at_the_console(theirs)

    here.device.hooks["lock"] = faster
    reply = await here.push()
    assert (reply.status, reply.error_code, reply.unlock) == (FAILED, "STALE_CONFIGURATION", SUCCEEDED)
    assert here.device.runs("realm", "core") == here.device.keeps("realm", "core") == theirs
    assert here.device.log == ["lock", "unlock"] and await here.pending() == ["realm:core"]


async def test_an_attribute_that_was_to_go_and_did_not_is_a_lost_edit(site: Open) -> None:
    here = await site(NETCONF)
    await here.do(UpdateElement, element=realm("access", description="more"))
    assert (await here.push()).status == SUCCEEDED
    here.device.loses = True
    reply = await here.do(RestoreVersion, number=1)
    assert (reply.status, reply.error_code) == (FAILED, "EDIT_LOST")


async def test_a_single_sub_element_that_was_to_go_and_did_not_is_a_lost_edit(site: Open) -> None:
    here = await site(NETCONF)
    core, kept = here.device.running["realm", ("core",)], Element("realm/options", {"mode": "strict"})
    here.device.at_the_console(replace(core, children=(kept,)))
    await here.do(LoadConfiguration)
    await here.do(DeleteElement, element=Element("realm/options"), parent=realm("core"))
    here.device.loses = True
    reply = await here.push()
    assert (reply.status, reply.error_code) == (FAILED, "EDIT_LOST")
    here.device.loses = False
    assert (await here.push()).status == SUCCEEDED


async def test_an_edit_staged_while_a_push_runs_keeps_what_the_device_added(site: Open) -> None:
    """The device fills in more than was sent; the next push must not take that for something its owner removed."""
    here = await site(SBC)
    await here.do(AddElement, element=realm("new", description="added", secret="pw"))

    async def meanwhile() -> None:
        here.device.editing["realm", ("new",)] = realm("new", description="added", secret="pw", limit="33")
        await here.do(UpdateElement, element=realm("new", description="better"))

    here.device.hooks["verify"] = meanwhile
    assert (await here.push()).status == SUCCEEDED
    shown = await here.do(ShowPendingChanges)
    assert [(d.attribute, d.old, d.new) for d in shown.differences] == [("description", "added", "better")]
    assert (await here.push()).status == SUCCEEDED
    assert here.device.runs("realm", "new") == realm("new", description="better", secret="pw", limit="33")


async def test_other_software_is_noticed_though_its_element_types_are_known(site: Open) -> None:
    """A poll has seen the new version, and another device has taught us its schema: our copy is of the old one."""
    here, other = await site(SBC), await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="mine"))
    for each in (here, other):
        each.device.version = "2.0"
    await other.do(LoadConfiguration)
    await here.poll()
    with pytest.raises(NotLoaded, match=r"runs other software \(2\.0\)"):
        await here.push()
    assert here.device.log == []
    await here.do(LoadConfiguration)
    assert (await here.push()).status == SUCCEEDED


async def test_what_work_that_was_cut_short_left_saved_is_activated_by_nobody(site: Open) -> None:
    here = await site(SBC)
    await here.stage()
    here.device.fail["activate"] = [Unreachable("gone")]
    here.device.fail["restore"] = [Unreachable("gone")]
    assert (await here.push()).error_code == "ROLLBACK_FAILED"
    assert await here.status() == "Uncertain" and here.device.keeps("realm", "new")
    with pytest.raises(StaleConfiguration, match="cut short"):
        await here.push("bob", action=PushAction.ACTIVATE)
    assert here.device.log == [] and not here.device.runs("realm", "new")
    assert (await here.push()).status == SUCCEEDED
    assert here.device.runs("realm", "new") and await here.status() == "In Sync"


async def test_putting_back_activates_nothing_that_did_not_run_before(site: Open) -> None:
    """What was saved alone, earlier, is what the push was based on; it is not what the device ran."""
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="saved only"))
    assert (await here.push(action=PushAction.SAVE)).status == SUCCEEDED
    await here.do(UpdateElement, element=realm("core", description="more"))
    here.device.fail["activate"] = [Rejected("the device says no")]
    reply = await here.push()
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "REJECTED", SUCCEEDED)
    runs, keeps = here.device.runs("realm", "core"), here.device.keeps("realm", "core")
    assert runs is not None and keeps is not None
    assert (runs.attributes["description"], keeps.attributes["description"]) == ("old", "saved only")
    assert here.device.log.count("activate") == 1
    assert (await here.push()).status == SUCCEEDED


async def test_putting_back_what_runs_already_goes_back_to_what_was_saved(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="saved only"))
    assert (await here.push(action=PushAction.SAVE)).status == SUCCEEDED
    await here.do(UpdateElement, element=realm("core", description="more"))

    async def lost() -> None:
        here.device.running = dict(here.device.editing)

    here.device.hooks["activate"] = lost
    here.device.fail["activate"] = [Unreachable("the answer was lost")]
    reply = await here.push()
    assert (reply.status, reply.restore) == (FAILED, SUCCEEDED)
    runs = here.device.runs("realm", "core")
    assert runs is not None and runs.attributes["description"] == "saved only"


async def test_what_cannot_be_written_at_all_is_known_before_anything_is(site: Open) -> None:
    """Where each line runs at once, one that cannot be typed must not be found out halfway."""
    here = await site(ROUTER)
    await here.stage()
    unwritable = Rejected("'?' cannot be typed on this command line")
    here.device.fail["preview"] = [unwritable]
    preview = await here.do(PreviewPush)
    assert (preview.ready, preview.code, len(preview.changes)) == (False, "REJECTED", 4)
    here.device.fail["preview"] = [unwritable]
    with pytest.raises(Rejected, match="cannot be typed"):
        await here.push()
    assert here.device.log == []
    assert (await here.push()).status == SUCCEEDED
