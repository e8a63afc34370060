"""The gate when things go otherwise: clients that hang up, work that fails, fences, looks that are outdated, stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from opensdm.core.errors import (
    DeviceBusy,
    DeviceLocked,
    HouseRuleBroken,
    LockLost,
    NotFound,
    NotLoggedIn,
    Rejected,
    Unreachable,
)
from opensdm.core.identity import Level
from opensdm.core.inventory import Credentials
from opensdm.core.operation import REGISTRY, Kind, Operation, Rule
from opensdm.core.operations import (
    DeleteNetworkFunction,
    DiscardChanges,
    ListFunctionGroups,
    LockDevice,
    Logout,
    OverrideLock,
    ShowDevice,
    ShowLock,
    UnlockDevice,
)
from opensdm.core.ports import Capabilities, DeviceConnection, DeviceFacts, Transaction, Work
from opensdm.drivers.registry import Registry
from opensdm.handlers import HANDLERS
from opensdm.stores.tasks import SqlTasks
from tests.house.conftest import Doing, Open, Pause
from tests.house.ground import OWNER_AGAIN, Walk

# ------------------------------------------------------------------------------------ clients and stops


async def test_a_client_that_hangs_up_stops_nothing(doing: Doing) -> None:
    pause = Pause()
    walk = await doing(pause)
    caller = await walk.caller("alice")
    waiting = asyncio.create_task(walk.house.gate.execute(caller, walk.ask()))
    await pause.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert walk.claims() == [("ReadDeviceFacts", "RUNNING")]
    pause.go_on.set()
    assert await walk.house.gate.drain(10) == 0
    assert walk.claims() == [("ReadDeviceFacts", "ENDED")]
    assert [row["result"] for row in walk.trail(caller)] == ["SUCCESS"]


async def test_a_stop_waits_and_says_what_is_left(doing: Doing) -> None:
    pause = Pause()
    walk = await doing(pause)
    assert await walk.house.gate.drain(10) == 0
    running = asyncio.create_task(walk.do("alice", walk.ask()))
    await pause.begun.wait()
    assert await walk.house.gate.drain(0.01) == 1
    pause.go_on.set()
    await running
    assert await walk.house.gate.drain(0) == 0


# ------------------------------------------------------------------------------------ sessions


async def test_a_session_ends_with_its_logout(walk: Walk) -> None:
    await walk.do(OWNER_AGAIN, Logout())
    with pytest.raises(NotLoggedIn, match="has ended"):
        await walk.do(OWNER_AGAIN, ShowDevice(device_id=walk.ground.device_id))
    await walk.do("alice", ShowDevice(device_id=walk.ground.device_id))


async def test_the_last_use_of_a_session_is_written_once_a_minute(walk: Walk) -> None:
    def last_uses() -> list[int]:
        return [row["last_used_us"] for row in walk.rows("SELECT last_used_us FROM session ORDER BY session_id")]

    look = ShowDevice(device_id=walk.ground.device_id)
    walk.rows("UPDATE session SET last_used_us = last_used_us - 61000000")
    long_ago = last_uses()
    await walk.do("mona", look)
    once = last_uses()
    assert [new > old for old, new in zip(long_ago, once, strict=True)].count(True) == 1
    await walk.do("mona", look)
    assert last_uses() == once


@pytest.fixture
def at_the_console() -> Iterator[type[Operation]]:
    """An operation that only the server's own console may send."""

    class ShowOwnKey(Operation, rule=Rule(Kind.OBSERVE, "server:key:shown", None, Level.NONE, local=True)):
        pass

    yield ShowOwnKey
    del REGISTRY["ShowOwnKey"]


async def test_what_only_the_console_may_ask_for(begin: Open, at_the_console: type[Operation]) -> None:
    async def show(operation: Operation, work: Work) -> str:
        return f"shown to {work.session.user_name}"

    walk = await begin(handlers={**HANDLERS, at_the_console: show})
    assert await walk.house.gate.execute(walk.house.local, at_the_console()) == "shown to local-console"
    with pytest.raises(NotLoggedIn, match="own console"):
        await walk.do("admin", at_the_console())


# ------------------------------------------------------------------------------------ work that fails


async def test_a_bug_ends_its_claim_and_leaves_the_device_uncertain(doing: Doing) -> None:
    async def fail(work: Work) -> None:
        raise ZeroDivisionError

    walk = await doing(fail)
    caller = await walk.caller("alice")
    with pytest.raises(ZeroDivisionError):
        await walk.house.gate.execute(caller, walk.push())
    assert walk.claims() == [("PushChanges", "ENDED")] and walk.uncertain()
    assert [row["result"] for row in walk.trail(caller)] == ["INTERNAL_ERROR"]


async def test_only_the_servers_own_work_says_what_its_row_is_called(doing: Doing) -> None:
    async def effect(transaction: Transaction) -> bool:
        return True

    walk = await doing(lambda work: work.commit(effect, found="device:drift:found"))
    before = walk.everything()["device"]
    with pytest.raises(HouseRuleBroken, match="the audit row of its own rule"):
        await walk.do("alice", walk.push())
    assert walk.everything()["device"] == before


async def test_an_effect_that_fails_undoes_itself_and_is_told_once(doing: Doing) -> None:
    async def effect(transaction: Transaction) -> None:
        await transaction.configurations.discard_changes(3, 1)
        raise NotFound("what the effect looked for is not there")

    walk = await doing(lambda work: work.commit(effect))
    before, caller = walk.everything(), await walk.caller("alice")
    with pytest.raises(NotFound, match="the effect"):
        await walk.house.gate.execute(caller, walk.push())
    after = walk.everything()
    assert walk.claims() == [("PushChanges", "ENDED")] and not walk.uncertain()
    assert {name for name in after if after[name] != before[name]} == {"claim", "claim_device", "task"}
    assert [row["result"] for row in walk.trail(caller)] == ["NOT_FOUND"]


@pytest.mark.parametrize(("fault", "state"), [(Rejected, "ENDED"), (Unreachable, "INTERRUPTED")])
async def test_a_step_is_over_when_the_device_answers_whatever_it_says(
    doing: Doing, fault: type[Rejected] | type[Unreachable], state: str
) -> None:
    async def step(work: Work) -> None:
        async with walk.house.gate.seal.step(work.permit_write(), walk.ground.device_id, 2.0):
            raise fault("as the test wishes")

    walk = await doing(step)
    with pytest.raises(fault):
        await walk.do("alice", walk.push())
    assert walk.claims() == [("PushChanges", state)]
    (row,) = walk.rows("SELECT step_until_us FROM claim ORDER BY claim_id DESC LIMIT 1")
    assert (row["step_until_us"] is None) == (state == "ENDED")
    if state == "INTERRUPTED":
        with pytest.raises(DeviceBusy, match="PushChanges of alice"):
            await walk.do("alice", walk.push())


class Sulking(Registry):
    """A driver whose connections do not close."""

    platform = "acme_sbc"
    capabilities = Capabilities()

    def driver(self, platform: str) -> Any:
        return self

    def connect(self, device_id: int, credentials: Credentials, verifier: Any) -> DeviceConnection:
        connection: Any = SulkingConnection()
        return connection  # type: ignore[no-any-return]

    async def close(self) -> None:
        return None


class SulkingConnection:
    learned: Mapping[str, str] = {}

    async def facts(self, permit: Any) -> DeviceFacts:
        return DeviceFacts("acme_sbc", "9.0", "edge-a", "active")

    async def close(self) -> None:
        raise OSError("the line is stuck")


async def test_a_connection_that_does_not_close_changes_no_outcome(begin: Open) -> None:
    walk = await begin(drivers=Sulking())
    caller = await walk.caller("alice")
    assert (await walk.house.gate.execute(caller, walk.ask())).software_version == "9.0"
    assert [row["result"] for row in walk.trail(caller)] == ["SUCCESS"]
    assert walk.claims() == [("ReadDeviceFacts", "ENDED")]


# ------------------------------------------------------------------------------------ fences


async def test_fenced_work_records_nothing(doing: Doing) -> None:
    """What an operation did before it lost the lock may have happened; it is not written down as done."""

    async def effect(transaction: Transaction) -> None:
        await transaction.inventory.set_assigned(walk.ground.device_id, False)

    async def lose_the_lock(work: Work) -> None:
        await walk.do("admin", OverrideLock(device_id=walk.ground.device_id, reason="outage"))
        then.update(walk.everything())
        await work.commit(effect)

    then: dict[str, Any] = {}
    walk = await doing(lose_the_lock)
    caller = await walk.caller("alice")
    with pytest.raises(LockLost, match=r"taken away by admin .*\(outage\)") as lost:
        await walk.house.gate.execute(caller, walk.push())
    now = walk.everything()
    assert {name for name in now if now[name] != then[name]} == {"claim", "claim_device", "task"}
    assert walk.claims() == [("PushChanges", "ENDED")] and walk.uncertain()
    assert [row["result"] for row in walk.trail(caller)] == ["LOCK_LOST"]
    assert [step.action for step in lost.value.next_steps] == ["LockDevice", "ListLockEvents"]


async def test_the_end_of_a_claim_whose_device_is_gone(doing: Doing) -> None:
    pause = Pause()
    walk = await doing(pause)
    working = asyncio.create_task(walk.do("alice", walk.push()))
    await pause.begun.wait()
    await walk.do("admin", OverrideLock(device_id=walk.ground.device_id, reason="outage"))
    await walk.do("admin", DeleteNetworkFunction(nf_id=walk.ground.nf_id))
    pause.go_on.set()
    assert (await working).status == "SUCCESS"
    assert await walk.house.gate.drain(0) == 0
    with pytest.raises(NotFound):
        await walk.do("alice", ShowDevice(device_id=walk.ground.device_id))


# ------------------------------------------------------------------------------------ looks that are outdated


async def test_a_lock_freed_after_the_look_refuses_nobody(walk: Walk) -> None:
    walk.ledger.before("DiscardChanges", lambda: walk.do("alice", UnlockDevice(device_id=walk.ground.device_id)))
    await walk.do("bob", DiscardChanges(device_id=walk.ground.device_id))
    assert walk.ledger.happened
    left = walk.rows("SELECT DISTINCT user_name FROM pending_change JOIN user_account USING (user_id)")
    assert [row["user_name"] for row in left] == ["admin"]


async def test_a_look_ends_no_lock(doing: Doing) -> None:
    """A deletion is refused at the look, because of work that is over a moment later: the lock stays till the end."""
    pause = Pause()
    walk = await doing(pause)
    device_id = walk.ground.device_id
    asking = asyncio.create_task(walk.do("alice", walk.ask()))
    await pause.begun.wait()

    async def work_ends() -> None:
        pause.go_on.set()
        await asking
        walk.ledger.before("DeleteNetworkFunction", see_the_lock)

    async def see_the_lock() -> None:
        assert (await walk.do("mona", ShowLock(device_id=device_id))).row.holder_name == "alice"

    walk.ledger.before("DeleteNetworkFunction", work_ends)
    await walk.do("alice", DeleteNetworkFunction(nf_id=walk.ground.nf_id))
    assert walk.ledger.happened
    events = walk.rows("SELECT kind FROM lock_event WHERE device_id = :d ORDER BY event_id", d=device_id)
    assert [row["kind"] for row in events] == ["device:lock:taken", "device:lock:deleted"]


async def test_what_is_known_of_a_holder_is_of_the_lock_that_refused(walk: Walk) -> None:
    """Between the refusal and the second look the lock may be another one: then nothing is said of its holder."""
    device_id = walk.ground.device_id
    with pytest.raises(DeviceLocked) as refused:
        await walk.do("bob", LockDevice(device_id=device_id))
    (blocker,) = refused.value.blockers
    assert (blocker.holder_logged_in, blocker.running) == (True, None) and blocker.idle_s is not None

    async def lock_anew() -> None:
        await walk.do("alice", UnlockDevice(device_id=device_id))
        await walk.do("alice", LockDevice(device_id=device_id))

    async def next_read_sees_another() -> None:
        walk.line.before_read = lock_anew

    walk.ledger.before("LockDevice", next_read_sees_another)
    with pytest.raises(DeviceLocked) as refused:
        await walk.do("bob", LockDevice(device_id=device_id))
    (blocker,) = refused.value.blockers
    assert (blocker.holder, blocker.epoch, blocker.idle_s, blocker.holder_logged_in) == ("alice", 1, None, None)


async def test_an_epoch_says_nothing_about_many_devices_that_are_only_looked_at(walk: Walk) -> None:
    assert (await walk.do("alice", ListFunctionGroups(nf_id=walk.ground.nf_id, epoch=99))).total == 1


@pytest.mark.parametrize("method", ["open_task", "finish_task"])
@pytest.mark.parametrize("fault", [RuntimeError("planted"), NotFound("planted")])
async def test_no_fault_in_the_record_of_a_task_leaves_its_claim_behind(
    walk: Walk, monkeypatch: pytest.MonkeyPatch, method: str, fault: Exception
) -> None:
    """A claim that does not end would bar the device to everybody until the next start."""

    async def fail(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as planted:
        planted.setattr(SqlTasks, method, fail)
        with contextlib.suppress(RuntimeError, NotFound):
            await walk.do("alice", walk.push())
    assert walk.claims() == [("PushChanges", "ENDED")]
