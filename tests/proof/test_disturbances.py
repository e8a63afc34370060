"""A disk that is full, and a clock that jumps: what was refused did nothing, what was held stays, waits end."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from opensdm.core.operations import ExpireLeases, LockDevice, UnlockDevice
from opensdm.stores.database import Connection
from tests.proof.place import SUCCESS, Node, Place, answered, place


async def fill_up(node: Node, pages: int | None) -> None:
    """Let the database grow by no page more, or as it likes again."""

    async def work(connection: Connection) -> None:
        most = 1_000_000_000 if pages is None else pages
        await connection.execute(text(f"PRAGMA max_page_count = {most}"))

    await node.database.transact(work)


async def used(node: Node) -> int:
    (row,) = await node.rows("PRAGMA page_count")
    return int(row[0])


async def test_a_full_disk_refuses_and_nothing_is_half_done(tmp_path: Path) -> None:
    async with place(f"sqlite:///{tmp_path}/full.db", tmp_path) as at:
        node = await at.first()
        held, free = await node.enrol("edge-a"), await node.enrol("edge-b", "192.0.2.2:443")
        await node.say("alice", LockDevice(device_id=held, reason="night work"))
        await fill_up(node, await used(node))
        codes = [await node.say("alice", LockDevice(device_id=free, reason="x" * 200)) for _ in range(200)]
        assert "UNAVAILABLE" in codes, "the disk was not full"
        first = codes.index("UNAVAILABLE")
        before = [await node.row(d) for d in (held, free)]
        assert {await node.say("bob", UnlockDevice(device_id=held)) for _ in range(3)} <= {
            "UNAVAILABLE",
            "NOT_LOCK_OWNER",
        }
        assert [await node.row(d) for d in (held, free)] == before and before[0].holder_name == "alice"
        assert before[1].held == (SUCCESS in codes[:first])
        (events,) = await node.rows("SELECT count(*) FROM lock_event")
        assert events[0] == 1 + before[1].held, "an event of what was refused"
        await fill_up(node, None)
        assert await node.say("alice", UnlockDevice(device_id=held)) == SUCCESS
        node = await at.again(node)
        assert not (await node.row(held)).held and (await node.row(free)).held == before[1].held


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_jumps_ends_waits_and_no_lock(minutes: int, tmp_path: Path) -> None:
    async with place(f"sqlite:///{tmp_path}/clock.db", tmp_path) as at:
        await jumps(at, minutes)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_jumps_on_postgresql(minutes: int, tmp_path: Path, migrated_postgres_url: str) -> None:
    async with place(migrated_postgres_url, tmp_path) as at:
        await jumps(at, minutes)


async def jumps(at: Place, minutes: int) -> None:
    node = await at.first()
    held, leased, busy = [await node.enrol(f"edge-{n}", f"192.0.2.{n}:443") for n in (1, 2, 3)]
    await node.say("alice", LockDevice(device_id=held))
    await node.say("alice", LockDevice(device_id=leased, lease_s=60))
    claim = await node.admitted("bob", busy)
    asked = node.asks("alice", LockDevice(device_id=busy, wait_s=0.5))
    await node.until_waiting(busy)
    node.jump(minutes * 60)
    code = await answered(asked, "a wait outlived its bound when the clock jumped")
    assert code == "DEVICE_BUSY"
    await node.end(claim)
    assert await node.say("carol", LockDevice(device_id=busy)) == SUCCESS, "a wait that ended still bars others"
    await node.gate.execute(node.system, ExpireLeases())
    assert await node.holder(held) == "alice"
    assert await node.holder(leased) == (None if minutes > 0 else "alice"), "a lease is by the database's clock"
    epochs = [(await node.row(d)).epoch for d in (held, leased, busy)]
    assert await node.say("alice", UnlockDevice(device_id=held)) == SUCCESS
    assert [(await node.row(d)).epoch for d in (held, leased, busy)] == epochs
