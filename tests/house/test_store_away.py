"""A store that does not answer, or is not heard: nothing is admitted, nothing is done twice or forgotten."""

from __future__ import annotations

import asyncio

import pytest

from opensdm.core.errors import DeviceLocked, Forbidden, StoreUnavailable
from opensdm.core.lock import EventKind
from opensdm.core.operations import (
    AddElement,
    ListLockEvents,
    LockDevice,
    ShowDevice,
    ShowLock,
    UnlockDevice,
)
from opensdm.core.ports import Work
from opensdm.gate.writer import LONGEST_PAUSE_S, _pause
from tests.house.conftest import Doing
from tests.house.ground import Walk
from tests.house.samples import realm
from tests.house.test_gate_waiting import work_of


async def test_without_the_store_nothing_is_admitted(walk: Walk) -> None:
    walk.line.reads = False
    with pytest.raises(StoreUnavailable) as away:
        await walk.do("alice", ShowDevice(device_id=walk.ground.device_id))
    assert [step.action for step in away.value.next_steps] == ["ShowServer", "ShowDevice"]
    walk.line.reads, walk.line.writes = True, False
    for operation in (LockDevice(device_id=walk.ground.device_id), walk.push()):
        with pytest.raises(StoreUnavailable):
            await walk.do("alice", operation)
    await walk.do("alice", ShowDevice(device_id=walk.ground.device_id))


async def test_a_refusal_stands_though_nobody_can_write_it_down(walk: Walk) -> None:
    walk.line.writes = False
    caller = await walk.caller("mona")
    with pytest.raises(Forbidden, match="monitors"):
        await walk.house.gate.execute(caller, LockDevice(device_id=walk.ground.device_id))
    assert walk.trail(caller) == []


async def test_a_refusal_stands_though_nothing_more_can_be_said_of_the_holder(walk: Walk) -> None:
    async def lose_the_reads() -> None:
        walk.line.reads = False

    walk.ledger.before("LockDevice", lose_the_reads)
    with pytest.raises(DeviceLocked, match="locked by alice") as refused:
        await walk.do("bob", LockDevice(device_id=walk.ground.device_id))
    assert refused.value.blockers[0].holder_logged_in is None


async def test_an_admission_whose_answer_was_lost_leaves_no_work_behind(walk: Walk) -> None:
    """The commit happened and nobody heard of it: nobody works under that claim, so it must not stay."""
    walk.line.lost_answers = 1
    with pytest.raises(StoreUnavailable, match="unknown"):
        await walk.do("alice", walk.push())
    assert walk.claims() == [("PushChanges", "RUNNING")]
    await walk.do("alice", UnlockDevice(device_id=walk.ground.device_id))
    assert walk.claims() == [("PushChanges", "INTERRUPTED")] and walk.uncertain()
    await walk.do("bob", LockDevice(device_id=walk.ground.device_id))


async def test_a_wait_whose_answer_was_lost_bars_nobody(walk: Walk) -> None:
    """The request waits in the store, and its client was told that nothing is known of it."""
    device_id = await _free_and_busy(walk)
    walk.line.lost_answers = 1
    with pytest.raises(StoreUnavailable, match="unknown"):
        await walk.do("alice", LockDevice(device_id=device_id, wait_s=60))
    assert len((await walk.do("mona", ShowLock(device_id=device_id))).waiting) == 1
    await walk.do("admin", UnlockDevice(device_id=device_id))
    assert (await walk.do("mona", ShowLock(device_id=device_id))).waiting == ()
    kinds = [event.kind for event in (await walk.do("mona", ListLockEvents(device_id=device_id))).items]
    assert kinds[-2:] == [EventKind.WAITING, EventKind.GAVE_UP]


async def test_who_hangs_up_while_the_store_is_away_bars_nobody_once_it_is_back(walk: Walk) -> None:
    device_id = await _free_and_busy(walk)
    asked = asyncio.create_task(walk.do("alice", LockDevice(device_id=device_id, wait_s=60)))
    async with asyncio.timeout(10):
        while not (await walk.do("mona", ShowLock(device_id=device_id))).waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    walk.line.writes = False
    asked.cancel()
    assert await walk.house.gate.drain(0.3) == 1
    walk.line.writes = True
    assert await walk.house.gate.drain(10) == 0
    assert (await walk.do("mona", ShowLock(device_id=device_id))).waiting == ()


async def _free_and_busy(walk: Walk) -> int:
    """The device without a lock, and work of bob's on it."""
    device_id = walk.ground.device_id
    await walk.do("alice", UnlockDevice(device_id=device_id))
    await work_of(walk.house, "bob", device_id)
    return device_id


async def test_a_lock_whose_answer_was_lost_is_taken_once(walk: Walk) -> None:
    device_id = walk.ground.device_id
    await walk.do("alice", UnlockDevice(device_id=device_id))
    walk.line.lost_answers = 1
    with pytest.raises(StoreUnavailable):
        await walk.do("bob", LockDevice(device_id=device_id))
    (lock,) = (await walk.do("bob", LockDevice(device_id=device_id))).locks
    assert (lock.row.holder_name, lock.row.epoch) == ("bob", 2)


async def test_the_end_of_a_claim_is_written_when_the_store_is_back(
    doing: Doing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opensdm.gate.writer.END_ATTEMPTS", 2)

    async def lose_the_store(work: Work) -> None:
        walk.line.writes = False

    walk = await doing(lose_the_store)
    caller = await walk.caller("alice")
    assert (await walk.house.gate.execute(caller, walk.push())).status == "SUCCESS"
    assert walk.claims() == [("PushChanges", "RUNNING")], "it is over, and the store does not know yet"
    assert await walk.house.gate.drain(0.3) == 1
    walk.line.writes = True
    assert await walk.house.gate.drain(10) == 0
    assert walk.claims() == [("PushChanges", "ENDED")]
    assert [row["result"] for row in walk.trail(caller)] == ["SUCCESS"]


async def test_an_edit_whose_answer_was_lost_is_there_once(walk: Walk) -> None:
    walk.line.lost_answers = 1
    adding = AddElement(device_id=walk.ground.device_id, element=realm("peering"))
    with pytest.raises(StoreUnavailable):
        await walk.do("alice", adding)
    staged = walk.rows(
        "SELECT element_key FROM pending_change WHERE path = 'realmConfig' AND element_key LIKE '%peer%'"
    )
    assert len(staged) == 1


def test_an_outage_may_last() -> None:
    pauses = [_pause(attempt) for attempt in (0, 1, 5, 50, 5_000_000)]
    assert pauses == [0.05, 0.1, 1.6, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


async def test_a_look_is_allowed_though_its_session_cannot_be_noted_as_used(walk: Walk) -> None:
    await walk.caller("alice")
    walk.rows("UPDATE session SET last_used_us = last_used_us - 61000000")
    walk.line.writes = False
    shown = await walk.do("alice", ShowDevice(device_id=walk.ground.device_id))
    assert shown.device.device_id == walk.ground.device_id
