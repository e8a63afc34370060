"""One push on platforms that work differently: what is sent, in which order, and what is put back how."""

from __future__ import annotations

import pytest

from opensdm.core.errors import InvalidRequest, Rejected, StaleConfiguration, Unreachable
from opensdm.core.operations import (
    AddElement,
    BackUpDevice,
    LoadConfiguration,
    PreviewPush,
    PushAction,
    RebaseChanges,
    RestoreVersion,
    ShowTask,
)
from opensdm.core.results import FAILED, NOT_APPLICABLE, SUCCEEDED, UNKNOWN, Held
from opensdm.core.task import TaskState
from tests.handlers.memory_device import NETCONF, ROUTER, SBC, VIEW_ONLY, agent, realm
from tests.handlers.sites import (
    CORE,
    NAMED,
    ORDERS,
    PLATFORMS,
    WRITES,
    Open,
    assert_untouched,
    flags,
    methods,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

# ------------------------------------------------------------------------------------------- going through


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_each_platform_is_written_in_its_own_order(site: Open, platform: str) -> None:
    can = NAMED[platform]
    here = await site(can)
    await here.stage()
    reply = await here.push()
    assert (reply.status, reply.error_code, here.device.log) == (SUCCEEDED, None, ORDERS[can])
    names = {"create", "integrity_check", "save"}
    names |= {"lock", "unlock"} if can.device_lock else set()
    names |= {"validation"} if can.verify else set()
    names |= {"activate"} if can.candidate else set()
    assert flags(reply) == dict.fromkeys(names, SUCCEEDED)
    for find in (here.device.runs, here.device.keeps):
        assert find("agent", "a1") is None and find("agent", "a2") == agent("a2", realm="new")
        core = find("realm", "core")
        assert core is not None and dict(core.attributes) == {**CORE.attributes, "description": "changed"}
    assert (await here.pending(), await here.status()) == ([], "In Sync")
    task = (await here.house.do("mona", ShowTask(task_id=reply.task_id))).task
    assert (task.state, task.result["status"], task.user_name) == (TaskState.SUCCEEDED, SUCCEEDED, "alice")


@pytest.mark.parametrize("platform", ["netconf", "router"])
async def test_what_runs_at_once_is_not_saved_or_activated_alone(site: Open, platform: str) -> None:
    here = await site(NAMED[platform])
    await here.stage()
    for action in (PushAction.SAVE, PushAction.ACTIVATE):
        with pytest.raises(InvalidRequest, match="are kept then; use SaveActivateConfig"):
            await here.push(action=action)
    assert here.device.log == []


async def test_a_platform_that_is_only_viewed(site: Open) -> None:
    here = await site(VIEW_ONLY)
    for attempt in (here.push(), here.do(RestoreVersion, number=1)):
        with pytest.raises(InvalidRequest, match="is loaded and backed up only"):
            await attempt
    assert not (await here.do(PreviewPush)).ready
    assert (await here.do(BackUpDevice, comment="before")).note.comment == "before"


async def test_two_change_sets_of_one_user_are_pushed_apart(site: Open) -> None:
    here = await site(SBC)
    await here.do(AddElement, element=realm("one"), change_set="worker-1")
    await here.do(AddElement, element=realm("two"), change_set="worker-2")
    assert (await here.push(change_set="worker-1")).status == SUCCEEDED
    assert here.device.runs("realm", "one") and not here.device.runs("realm", "two")
    assert [await here.pending(change_set=name) for name in ("worker-1", "worker-2", "")] == [[], ["realm:two"], []]
    with pytest.raises(InvalidRequest, match="cannot name a change set"):
        await here.push(change_set="no blanks")


# ------------------------------------------------------------------------------------------- put back


@pytest.mark.parametrize(("platform", "method"), methods("write", "verify", "activate", "confirm", "save"))
async def test_whatever_is_refused_all_of_it_is_put_back(site: Open, platform: str, method: str) -> None:
    here = await site(NAMED[platform])
    await here.stage()
    here.device.fail[method] = [*[None] * 2 * (method == "write"), Rejected("the device says no")]
    reply = await here.push()
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "REJECTED", SUCCEEDED), reply
    assert "the device says no" in (reply.error_message or "")
    assert {h.state for h in reply.holds} == {"old"} and len(reply.holds) == 4
    assert_untouched(here.device)
    assert (len(await here.pending()), await here.status()) == (4, "Modified")
    assert (await here.push()).status == SUCCEEDED


@pytest.mark.parametrize(("platform", "method"), methods("write", "activate", "save"))
async def test_an_answer_that_never_came_is_looked_after(site: Open, platform: str, method: str) -> None:
    """The write may have been done: what the device shows decides what is undone."""
    here = await site(NAMED[platform])
    await here.stage()
    here.device.fail[method] = [Unreachable("no answer")]
    reply = await here.push()
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "UNREACHABLE", SUCCEEDED), reply
    assert_untouched(here.device)


async def test_an_edit_that_is_committed_and_does_not_run(site: Open) -> None:
    """As a device does that forgets its candidate when asked to validate it."""
    here = await site(NETCONF)
    await here.stage()
    here.device.loses = True
    reply = await here.push()
    assert (reply.status, reply.error_code, reply.integrity_check) == (FAILED, "EDIT_LOST", FAILED)
    assert "reads back differently from what it runs" in (reply.error_message or "")
    assert (len(await here.pending()), reply.save) == (4, NOT_APPLICABLE)
    assert_untouched(here.device)


async def test_a_router_that_swallows_a_line(site: Open) -> None:
    here = await site(ROUTER)
    await here.stage()
    here.device.loses = True
    reply = await here.push()
    assert (reply.error_code, reply.restore, reply.save) == ("EDIT_LOST", SUCCEEDED, NOT_APPLICABLE)
    assert_untouched(here.device)


async def test_without_a_way_back_of_its_own_edits_are_undone_one_by_one(site: Open) -> None:
    here = await site(ROUTER)
    await here.stage()
    here.device.fail["write"] = [None, None, Rejected("no")]
    assert (await here.push()).restore == SUCCEEDED
    assert here.device.log == ["lock", *WRITES[:3], "write realm core", "write agent a1", "unlock"]


async def test_a_half_undone_push_says_what_the_device_holds(site: Open) -> None:
    here = await site(ROUTER)
    await here.stage()
    here.device.fail["write"] = [None, None, Rejected("no"), Rejected("no way back")]
    reply = await here.push()
    assert (reply.error_code, reply.restore) == ("ROLLBACK_FAILED", FAILED)
    assert "no way back" in (reply.error_message or "")
    assert reply.holds == (
        Held("agent", ("a1",), "new"), Held("realm", ("core",), "new"), Held("realm", ("new",), "old"),
        Held("agent", ("a2",), "old"),
    )  # fmt: skip
    assert await here.status() == "Uncertain"
    with pytest.raises(StaleConfiguration, match="load the configuration, then rebase"):
        await here.push()
    await here.do(LoadConfiguration)
    done = await here.do(RebaseChanges)
    assert (len(done.changes), done.dropped, done.resolved) == (2, 2, ())
    assert (await here.push()).status == SUCCEEDED
    assert here.device.runs("agent", "a2") and await here.status() == "In Sync"


async def test_a_device_that_is_gone_holds_nobody_knows_what(site: Open) -> None:
    here = await site(SBC)
    await here.stage()
    here.device.fail["write"] = [None, Unreachable("gone")]
    here.device.fail["restore"] = [Unreachable("gone")]

    async def gone() -> None:
        here.device.fail["read"] = [Unreachable("gone")] * 9

    here.device.hooks["restore"] = gone
    reply = await here.push()
    assert (reply.error_code, reply.restore, reply.create) == ("ROLLBACK_FAILED", UNKNOWN, UNKNOWN)
    assert [h.state for h in reply.holds] == ["unknown", "unknown", "old", "old"]
