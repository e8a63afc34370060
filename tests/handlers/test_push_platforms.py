"""One push on platforms that work differently: what is sent, in which order, and what is put back how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from opensdm.core.audit import AuditEntry
from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest, NotRestorable, Rejected, SdmError, StaleConfiguration, Unreachable
from opensdm.core.operations import (
    AddElement,
    BackUpDevice,
    CancelTask,
    CheckSync,
    DeleteElement,
    DiscardChanges,
    ListTasks,
    ListVersions,
    LoadConfiguration,
    LockDevice,
    Operation,
    PollDevice,
    PreviewPush,
    PushAction,
    PushChanges,
    RebaseChanges,
    RestoreVersion,
    ShowDevice,
    ShowPendingChanges,
    ShowTask,
    UpdateElement,
)
from opensdm.core.ports import Capabilities, Page
from opensdm.core.results import FAILED, NOT_APPLICABLE, SUCCEEDED, UNKNOWN, Held, PushReply
from opensdm.core.task import TaskState
from opensdm.core.versions import Source
from opensdm.drivers.registry import Registry
from tests.gatehouse import House, house_with_users
from tests.handlers.memory_device import (
    NETCONF,
    ROUTER,
    SBC,
    VIEW_ONLY,
    MemoryDevice,
    MemoryDriver,
    agent,
    realm,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLAGS = ("lock", "validation", "create", "integrity_check", "restore", "save", "activate", "unlock")
ALL = PushAction.SAVE_ACTIVATE


@dataclass
class Site:
    """One device in memory, enrolled and loaded."""

    house: House
    device: MemoryDevice
    device_id: int

    async def do(self, operation: type[Operation], user: str = "alice", **values: Any) -> Any:
        return await self.house.do(user, operation(device_id=self.device_id, **values))

    async def stage(self, user: str = "alice", change_set: str = "") -> None:
        """One element changed, one deleted, two added."""
        changed = realm("core", description="changed")
        await self.do(UpdateElement, user, element=changed, change_set=change_set)
        await self.do(AddElement, user, element=realm("new", description="added"), change_set=change_set)
        await self.do(AddElement, user, element=agent("a2", realm="new"), change_set=change_set)
        await self.do(DeleteElement, user, element=agent("a1"), change_set=change_set)

    async def push(self, user: str = "alice", action: PushAction = ALL, **values: Any) -> PushReply:
        self.device.log.clear()
        reply = await self.do(PushChanges, user, action=action, **values)
        assert isinstance(reply, PushReply)
        return reply

    async def pending(self, user: str = "alice", change_set: str = "") -> list[str]:
        shown = await self.do(ShowPendingChanges, user, change_set=change_set)
        return [":".join((c.path, *c.key)) for c in shown.changes]

    async def status(self, user: str = "alice") -> str:
        return str((await self.do(ShowDevice, user)).status)

    async def poll(self) -> None:
        await self.house.gate.execute(self.house.system, PollDevice(device_id=self.device_id, compare=True))


Open = Callable[[Capabilities], Awaitable[Site]]
NAMED = {"sbc": SBC, "netconf": NETCONF, "router": ROUTER, "viewed": VIEW_ONLY}
CORE, ACCESS, A1 = realm("core", description="old", limit="7", secret="s3cret"), realm("access"), agent("a1")
HELD = (CORE, ACCESS, A1, Element("system", {"name": "edge"}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[House, dict[Capabilities, MemoryDriver]]]:
    """One house for all, since each test enrols a device of its own."""
    directory = tmp_path_factory.mktemp("house")
    drivers = {can: MemoryDriver(name, can) for name, can in NAMED.items()}
    registry = Registry(drivers.values())
    async with house_with_users(f"sqlite:///{directory}/opensdm.db", directory, drivers=registry) as house:
        yield house, drivers


@pytest.fixture
def site(shared: tuple[House, dict[Capabilities, MemoryDriver]]) -> Open:
    house, drivers = shared

    async def begin(can: Capabilities) -> Site:
        address, device = drivers[can].add()
        device.hold(*HELD)
        device_id = await house.enrol(address.split(".")[0], address, platform=device.platform)
        here = Site(house, device, device_id)
        await here.do(LoadConfiguration)
        return here

    return begin


def flags(reply: PushReply) -> dict[str, str]:
    return {name: value for name in FLAGS if (value := getattr(reply, name)) != NOT_APPLICABLE}


WRITES = ["write agent a1", "write realm core", "write realm new", "write agent a2"]
ORDERS = {
    SBC: ["lock", *WRITES, "verify", "save", "activate", "unlock"],
    NETCONF: ["lock", *WRITES, "verify", "activate", "confirm", "save", "unlock"],
    ROUTER: ["lock", *WRITES, "save", "unlock"],
}
PLATFORMS = ["sbc", "netconf", "router"]


def methods(*named: str) -> list[tuple[str, str]]:
    """Each platform with those of the methods that a push on it calls."""
    return [(p, m) for p in PLATFORMS for m in named if any(line.split()[0] == m for line in ORDERS[NAMED[p]])]


def assert_untouched(device: MemoryDevice) -> None:
    for store in (device.running, device.editing, device.saved):
        assert sorted(store.values(), key=repr) == sorted(HELD, key=repr)


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


# ------------------------------------------------------------------------------------------- sync and drift


async def test_sync_is_checked_and_the_way_out_of_stale_loses_nothing(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="mine"))
    assert (await here.do(CheckSync)).state == "Modified"
    here.device.at_the_console(realm("core", description="old", limit="9", secret="s3cret"))
    report = await here.do(CheckSync)
    assert (report.state, report.outside_total, report.conflicts) == ("Conflict", 1, ())
    assert [(d.attribute, d.old, d.new) for d in report.outside] == [("limit", "7", "9")]
    assert (await here.do(CheckSync, "bob")).state == "Changed Outside"
    with pytest.raises(StaleConfiguration, match="the device holds something else") as caught:
        await here.push()
    assert [s.action for s in caught.value.next_steps] == ["LoadConfiguration", "RebaseChanges"]
    await here.do(LoadConfiguration)
    with pytest.raises(StaleConfiguration, match="rebase them onto it") as caught:
        await here.push()
    assert [s.action for s in caught.value.next_steps] == ["RebaseChanges", "CheckSync"]
    await here.do(RebaseChanges)
    assert (await here.push()).status == SUCCEEDED
    core = here.device.runs("realm", "core")
    assert core is not None and (core.attributes["description"], core.attributes["limit"]) == ("mine", "9")


async def test_a_conflict_is_listed_by_attribute_and_decided_by_the_caller(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="mine", secret="mine-pw"))
    here.device.at_the_console(realm("core", description="theirs", limit="7", secret="their-pw"))
    report = await here.do(CheckSync)
    assert [(c.attribute, c.base, c.mine, c.theirs) for c in report.conflicts] == [
        ("description", "old", "mine", "theirs"), ("secret", "xxxx", "xxxx", "xxxx"),
    ]  # fmt: skip
    await here.do(LoadConfiguration)
    with pytest.raises(SdmError, match="both sides changed the same: realm core") as caught:
        await here.do(RebaseChanges)
    assert (caught.value.code, caught.value.facts["total"]) == ("REBASE_CONFLICT", 2)
    assert "pw" not in str(caught.value.facts)
    done = await here.do(RebaseChanges, prefer="mine")
    assert (len(done.changes), len(done.resolved)) == (1, 2)
    assert (await here.push()).status == SUCCEEDED
    core = here.device.runs("realm", "core")
    assert core is not None and core.attributes["secret"] == "mine-pw"


async def test_a_preview_says_what_would_be_sent_and_sends_nothing(site: Open) -> None:
    here = await site(NETCONF)
    await here.stage()
    preview = await here.do(PreviewPush)
    assert (preview.ready, preview.code, len(preview.changes)) == (True, None, 4)
    assert preview.sends == ("delete agent a1", "set realm core", "set realm new", "set agent a2")
    here.device.at_the_console(realm("new"))
    preview = await here.do(PreviewPush)
    assert (preview.ready, preview.code) == (False, "STALE_CONFIGURATION")
    assert [(d.path, d.key) for d in preview.outside] == [("realm", ("new",))]
    preview = await here.do(PreviewPush, action=PushAction.SAVE)
    assert (preview.ready, preview.code) == (False, "INVALID_REQUEST")
    assert here.device.log == []


async def test_drift_is_found_told_once_and_settled(site: Open) -> None:
    here = await site(SBC)
    await here.poll()
    assert await here.status() == "In Sync"
    await here.do(LockDevice, reason="window")
    await here.do(UpdateElement, element=realm("core", description="mine"))
    here.device.at_the_console(realm("core", description="console"))
    here.device.at_the_console(realm("access", description="console"))
    for _ in range(2):
        await here.poll()
    assert (await here.status(), await here.status("bob")) == ("Conflict", "Changed Outside")
    drift = (await here.do(ShowDevice, "bob")).drift
    assert (drift.total, drift.locked_by) == (2, "alice")
    assert set(drift.changed) == {("realm", ("core",)), ("realm", ("access",))}
    versions = (await here.do(ListVersions)).items
    assert [v.note.source for v in versions] == [Source.DRIFT, Source.LOAD]
    assert versions[0].number == drift.version and versions[1].current
    found = await _found(here)
    assert [(row.device_id, row.user_name, row.result) for row in found] == [(here.device_id, "system", SUCCEEDED)]
    here.device.hold(*HELD)
    await here.poll()
    assert await here.status() == "Modified"
    here.device.at_the_console(realm("access", description="console"))
    await here.poll()
    await here.do(DiscardChanges)
    assert await here.status() == "Changed Outside"
    await here.do(LoadConfiguration)
    assert (await here.status(), len(await _found(here))) == ("In Sync", 2)


async def test_a_poll_that_met_a_push_says_nothing(site: Open) -> None:
    here = await site(SBC)
    await here.stage()

    async def push() -> None:
        assert (await here.push()).status == SUCCEEDED

    async def read_first() -> None:
        here.device.hooks["read"] = push  # between the facts and the elements

    here.device.hooks["read"] = read_first
    await here.poll()
    assert (await here.status(), await _found(here)) == ("In Sync", [])


async def _found(here: Site) -> list[AuditEntry]:
    """The audit rows of drift on this device."""
    entries, _ = await here.house.ledger.read(
        lambda tx: tx.audit.entries({"device": f"ID{here.device_id}"}, None, None, Page())
    )
    return [entry for entry in entries if entry.tag == "device:drift:found"]
