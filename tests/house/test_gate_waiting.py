"""Waiting at the gate: granted when the work ends, given up at its bound, with its client, and with the node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensdm.core.errors import DeviceBusy, DeviceLocked, NotFound
from opensdm.core.lock import Actor, Admit, Admitted, ClaimRow, EndClaim, LockPolicy
from opensdm.core.operations import (
    AskForLock,
    CheckLock,
    DeleteNetworkFunction,
    ExpireLeases,
    FollowLockEvents,
    ListAsks,
    ListNetworkFunctions,
    LockDevice,
    LockDevices,
    OverrideLock,
    ShowLock,
    UnlockDevice,
    UnlockDevices,
)
from opensdm.core.submission import Submission, Target
from opensdm.stores.database import look
from tests.gatehouse import House, house_with_users

PATIENT = LockPolicy(wait_s=5, queue_s=0)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'opensdm.sqlite3'}"


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house_with_users(database_url, tmp_path, lock_policy=PATIENT) as opened:
        yield opened


async def work_of(house: House, user: str, device_id: int) -> ClaimRow:
    """A write of that user that has begun on the device."""
    ids = {u.user_name: u.user_id for u in await house.ledger.read(lambda tx: tx.identity.users())}
    request = Admit(
        Actor(ids[user], user, None, "rest"), frozenset(), 0, "PushChanges", house.ledger.incarnation, exclusive=True
    )
    target = Target(devices=frozenset((device_id,)))
    receipt = await house.ledger.submit(Submission(target, request))
    assert isinstance(receipt.answer, Admitted) and receipt.answer.claim is not None
    return receipt.answer.claim


async def end(house: House, work: ClaimRow) -> None:
    await house.ledger.submit(Submission(Target(devices=frozenset(work.tickets)), EndClaim(work.claim_id)))


async def waiting(house: House, device_id: int, number: int = 1) -> None:
    async with asyncio.timeout(10):
        while len((await house.do("admin", ShowLock(device_id=device_id))).waiting) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def nothing_left(house: House) -> None:
    assert await house.gate.drain(10) == 0 and len(house.gate._turns.waits) == 0
    assert await look(house.database, "SELECT * FROM lock_pending") == []
    assert await look(house.database, "SELECT * FROM lock_pending_device") == []


async def test_a_lock_waits_for_foreign_work_and_a_third_user_is_refused_meanwhile(house: House) -> None:
    device = await house.enrol("edge-a")
    work = await work_of(house, "bob", device)
    with pytest.raises(DeviceBusy, match="PushChanges of bob"):
        await house.do("alice", LockDevice(device_id=device, wait_s=0))
    assert (await house.do("alice", CheckLock(device_id=device))).would == "wait"
    asked = asyncio.create_task(house.do("alice", LockDevice(device_id=device)))
    await waiting(house, device)
    with pytest.raises(DeviceLocked, match="alice is waiting"):
        await house.do("carol", LockDevice(device_id=device))
    await end(house, work)
    began = time.monotonic()
    reply = await asked
    assert time.monotonic() - began < 1.0
    assert reply.locks[0].row.holder_name == "alice"
    assert (await house.do("alice", CheckLock(device_id=device))).would == "held"
    assert (await house.do("carol", CheckLock(device_id=device))).would == "refuse"
    await nothing_left(house)


async def test_i14_a_wait_ends_at_its_bound_when_the_client_leaves_and_when_the_node_stops(house: House) -> None:
    device = await house.enrol("edge-a")
    work = await work_of(house, "bob", device)
    with pytest.raises(DeviceBusy, match="the wait ended; PushChanges of bob"):
        await house.do("alice", LockDevice(device_id=device, wait_s=0.05))
    left = asyncio.create_task(house.do("alice", LockDevice(device_id=device)))
    await waiting(house, device)
    left.cancel()
    async with asyncio.timeout(10):
        while (await house.do("admin", ShowLock(device_id=device))).waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stopped = asyncio.create_task(house.do("alice", LockDevice(device_id=device)))
    await waiting(house, device)
    await nothing_left(house)
    with pytest.raises(DeviceBusy):
        await stopped
    await end(house, work)


async def test_a_release_cancels_the_same_owners_requests_that_name_the_device(house: House) -> None:
    mine, busy = await house.enrol("edge-a"), await house.enrol("edge-b", "192.0.2.2:443")
    await house.do("alice", LockDevice(device_id=mine))
    work = await work_of(house, "bob", busy)
    both = asyncio.create_task(house.do("alice", LockDevices(device_ids=(busy, mine, busy))))
    await waiting(house, busy)
    await house.do("alice", UnlockDevice(device_id=mine))
    with pytest.raises(DeviceBusy, match="waits no more"):
        await both
    await end(house, work)
    await house.do("alice", LockDevices(device_ids=(busy, mine)))
    assert len((await house.do("alice", UnlockDevices(device_ids=(mine, busy)))).locks) == 2
    with pytest.raises(NotFound, match="ID99999"):
        await house.do("alice", LockDevices(device_ids=(mine, 99999)))
    await nothing_left(house)


async def test_a_transfer_is_completed_when_the_work_is_over(house: House) -> None:
    device = await house.enrol("edge-a")
    await house.do("alice", LockDevice(device_id=device))
    work = await work_of(house, "alice", device)
    graceful = OverrideLock(device_id=device, reason="outage", mode="graceful", transfer=True)  # type: ignore[arg-type]
    reply = await house.do("admin", graceful)
    assert reply.waiting and not reply.settled and not reply.lock.row.held
    await end(house, work)
    async with asyncio.timeout(10):
        while (await house.do("admin", ShowLock(device_id=device))).row.holder_name != "admin":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await nothing_left(house)


async def test_deleting_one_device_of_a_waiting_request_frees_the_others(house: House) -> None:
    mine, busy = await house.enrol("edge-a"), await house.enrol("edge-b", "192.0.2.2:443")
    work = await work_of(house, "bob", busy)
    both = asyncio.create_task(house.do("alice", LockDevices(device_ids=(busy, mine))))
    await waiting(house, busy)
    found = await house.do("admin", ListNetworkFunctions(filters={"name": "edge-a"}))
    await house.do("alice", DeleteNetworkFunction(nf_id=found.items[0].function.nf_id))
    with pytest.raises(NotFound):
        await both
    await end(house, work)
    assert (await house.do("carol", LockDevice(device_id=busy))).locks[0].row.holder_name == "carol"
    await nothing_left(house)


async def test_two_hundred_waiting_requests_of_one_user_are_each_answered(house: House) -> None:
    device = await house.enrol("edge-a")
    work = await work_of(house, "bob", device)
    caller = await house.caller("alice")
    asked = [asyncio.create_task(house.gate.execute(caller, LockDevice(device_id=device))) for _ in range(200)]
    await waiting(house, device, 200)
    await end(house, work)
    replies = await asyncio.gather(*asked)
    assert {reply.locks[0].row.epoch for reply in replies} == {1}
    await nothing_left(house)


async def test_a_lease_that_is_due_ends_with_an_event_and_an_audit_row(house: House) -> None:
    device = await house.enrol("edge-a")
    begin = (await house.do("admin", FollowLockEvents())).last_id
    await house.do("alice", LockDevice(device_id=device, lease_s=1))
    came = asyncio.create_task(house.gate.events_since(begin + 1))
    async with asyncio.timeout(10):
        while not await house.gate.execute(house.system, ExpireLeases()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await came
    reply = await house.do("admin", FollowLockEvents(after=begin))
    assert [e.kind.value for e in reply.events] == ["device:lock:taken", "device:lock:expired"]
    assert reply.last_id == reply.events[-1].event_id
    rows = await look(house.database, "SELECT result FROM audit_entry WHERE tag = 'device:lock:expired'")
    assert len(rows) >= 1


async def test_an_ask_goes_to_the_holder_and_ends_with_the_lock(house: House) -> None:
    device = await house.enrol("edge-a")
    await house.do("alice", LockDevice(device_id=device))
    await house.do("bob", AskForLock(device_id=device, message="soon?"))
    (ask,) = (await house.do("alice", ListAsks())).items
    assert (ask.asker_name, ask.message) == ("bob", "soon?")
    assert len((await house.do("alice", ShowLock(device_id=device))).asks) == 1
    await house.do("alice", UnlockDevice(device_id=device))
    await house.do("alice", LockDevice(device_id=device))
    assert (await house.do("bob", ListAsks())).items == ()
