"""The queue of writes, and what becomes of those who wait when others leave, or when the store cannot be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from opensdm.core.errors import (
    DeviceBusy,
    DeviceLocked,
    HouseRuleBroken,
    NotLoggedIn,
    StoreUnavailable,
    Unreachable,
)
from opensdm.core.lock import Blocker, LockPolicy, RefusalCode, Refused
from opensdm.core.operations import (
    ExpireLeases,
    FollowLockEvents,
    ListLocks,
    LoadConfiguration,
    LockDevice,
    Logout,
    OverrideLock,
    ShowLock,
    UnlockDevice,
)
from opensdm.core.ports import Work
from opensdm.gate.policy import advise, refusal
from opensdm.handlers import HANDLERS
from opensdm.stores.database import Database, look
from opensdm.stores.ledger import Ledger
from tests.gatehouse import House, house_with_users
from tests.house.ground import Fickle
from tests.house.test_gate_waiting import end, nothing_left, waiting, work_of

NOBODY_LISTENS = "127.0.0.1:1"
lines: list[Fickle] = []

Holds = Callable[[], Awaitable[object]]


def on_a_line(database: Database, incarnation: int) -> Ledger:
    """A ledger whose way to the database can be cut."""
    lines.append(Fickle(database))
    return Ledger(lines[-1], incarnation)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    policy = LockPolicy(wait_s=5, queue_s=5)
    async with house_with_users(
        f"sqlite:///{tmp_path / 'queue.db'}", tmp_path, lock_policy=policy, make_ledger=on_a_line
    ) as opened:
        yield opened
        lines.pop()


async def until(holds: Holds) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def queued(house: House) -> bool:
    return bool(await look(house.database, "SELECT 1 FROM claim WHERE state = 'QUEUED'"))


async def not_queued(house: House) -> bool:
    return not await queued(house)


async def test_a_write_starts_when_the_one_before_it_ends(house: House) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    work = await work_of(house, "bob", device)
    load = asyncio.create_task(house.do("alice", LoadConfiguration(device_id=device)))
    await until(lambda: queued(house))
    later = asyncio.create_task(house.do("bob", LoadConfiguration(device_id=device)))
    await end(house, work)
    for each in (load, later):
        with pytest.raises(Unreachable):
            await each
    rows = await look(house.database, "SELECT state FROM claim WHERE operation = 'LoadConfiguration'")
    assert [row.state for row in rows] == ["ENDED", "ENDED"]


async def test_a_wait_in_the_queue_ends_at_its_bound_and_when_its_client_leaves(house: House, tmp_path: Path) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    work = await work_of(house, "bob", device)
    left = asyncio.create_task(house.do("alice", LoadConfiguration(device_id=device)))
    await until(lambda: queued(house))
    left.cancel()
    await until(lambda: not_queued(house))
    house.gate.lock_policy = LockPolicy(queue_s=0.05)
    with pytest.raises(DeviceBusy, match="PushChanges of bob"):
        await house.do("alice", LoadConfiguration(device_id=device))
    assert not await queued(house)
    await end(house, work)


async def test_a_barrier_refuses_what_is_queued_at_once(house: House) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    work = await work_of(house, "bob", device)
    load = asyncio.create_task(house.do("bob", LoadConfiguration(device_id=device)))
    await until(lambda: queued(house))
    lock = asyncio.create_task(house.do("alice", LockDevice(device_id=device)))
    with pytest.raises(DeviceLocked, match="alice is waiting"):
        await load
    await end(house, work)
    assert (await lock).locks[0].row.holder_name == "alice"
    await nothing_left(house)


async def test_r5_whoever_waits_is_checked_again_when_the_turn_comes(house: House) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    work = await work_of(house, "bob", device)
    load = asyncio.create_task(house.do("alice", LoadConfiguration(device_id=device)))
    await until(lambda: queued(house))
    await house.do("alice", Logout())
    await end(house, work)
    with pytest.raises(NotLoggedIn):
        await load
    assert not await queued(house)


async def test_a_lock_is_not_granted_to_a_session_that_ended(house: House) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    work = await work_of(house, "bob", device)
    lock = asyncio.create_task(house.do("alice", LockDevice(device_id=device)))
    await waiting(house, device)
    await house.do("alice", Logout())
    await end(house, work)
    with pytest.raises(NotLoggedIn):
        await lock
    await nothing_left(house)
    assert not (await house.do("bob", ShowLock(device_id=device))).row.held


async def test_a_node_that_stops_lets_everybody_go(house: House) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    await house.do("bob", LockDevice(device_id=device))
    work = await work_of(house, "bob", device)
    transfer = OverrideLock(device_id=device, reason="outage", mode="graceful", transfer=True)  # type: ignore[arg-type]
    assert (await house.do("admin", transfer)).waiting
    await nothing_left(house)
    with pytest.raises(DeviceBusy):
        await house.do("alice", LockDevice(device_id=device))
    await end(house, work)
    assert not (await house.do("bob", ShowLock(device_id=device))).row.held


@pytest.mark.parametrize("trouble", ["away", "broken"])
async def test_a_look_that_fails_delays_those_who_wait_and_forgets_nobody(house: House, trouble: str) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    work = await work_of(house, "bob", device)
    begin = (await house.do("admin", FollowLockEvents())).last_id
    lock = asyncio.create_task(house.do("alice", LockDevice(device_id=device)))
    await waiting(house, device)
    followed = asyncio.create_task(house.gate.events_since(begin + 1))
    also, gone = (
        asyncio.create_task(house.gate.events_since(begin + 1)),
        asyncio.create_task(house.gate.events_since(99)),
    )
    await asyncio.sleep(0.05)
    gone.cancel()
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise RuntimeError("a bug") if trouble == "broken" else StoreUnavailable("no way to the database")

    for _ in range(4):
        failed.clear()
        lines[-1].before_read = fail
        async with asyncio.timeout(10):
            await failed.wait()
    await end(house, work)
    assert (await lock).locks[0].row.holder_name == "alice"
    async with asyncio.timeout(10):
        await asyncio.gather(followed, also)
    await nothing_left(house)


async def test_only_the_server_ends_leases_and_says_when_it_cannot(house: House) -> None:
    device = await house.enrol("edge-a", NOBODY_LISTENS)
    await house.do("alice", LockDevice(device_id=device, lease_s=1))
    await until(lambda: _due(house))
    lines[-1].writes = False
    with pytest.raises(StoreUnavailable):
        await house.gate.execute(house.system, ExpireLeases())
    lines[-1].writes = True
    await house.gate.execute(house.system, ExpireLeases())
    assert not (await house.do("bob", ShowLock(device_id=device))).row.held


async def _due(house: House) -> bool:
    return bool(await house.ledger.read(lambda tx: tx.locks.due_leases()))


async def test_a_handler_of_a_users_operation_ends_no_lease(tmp_path: Path) -> None:
    async def cheat(operation: ListLocks, work: Work) -> None:
        await work.expire([1])

    handlers = {**HANDLERS, ListLocks: cheat}
    async with house_with_users(f"sqlite:///{tmp_path / 'cheat.db'}", tmp_path, handlers=handlers) as house:
        with pytest.raises(HouseRuleBroken, match="not the server's own work"):
            await house.do("alice", ListLocks())


def test_work_that_was_cut_off_is_confirmed_not_waited_for() -> None:
    blocker = Blocker("work", 3, "edge-a", 9, "bob", since_us=1, running="PushChanges", unconfirmed=True)
    error = refusal(Refused(RefusalCode.DEVICE_BUSY, (blocker,)))
    assert isinstance(error, DeviceBusy) and "look at the device, then confirm" in error.message
    steps = advise(error, None, UnlockDevice(device_id=3))
    assert [step.action for step in steps] == ["ConfirmDevice", "ShowLock"]
