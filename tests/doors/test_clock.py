"""The clock: who is due is polled, through the real gate, and no failure of one poll ends the others."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from opensdm.core.errors import StoreUnavailable
from opensdm.core.inventory import Device
from opensdm.core.operations import KeepHouse, ListDevices, LockDevice, Operation, PollDevice, ShowDevice
from opensdm.core.ports import Work
from opensdm.doors import clock
from opensdm.doors.clock import Clock, ClockSettings
from opensdm.gate.gate import Handler
from opensdm.handlers import HANDLERS
from opensdm.simulator import VirtualSbc
from tests.gatehouse import House, house_with_users

OFTEN = ClockSettings(interval_s=0.2, concurrency=4, look_every_s=0.02)
SELDOM = ClockSettings(interval_s=3600, concurrency=4, look_every_s=0.02)
TIMEOUT_S = 30.0
Replaced = Mapping[type[Operation], Handler]


@asynccontextmanager
async def ticking(directory: Path, settings: ClockSettings, replaced: Replaced | None = None) -> AsyncIterator[House]:
    """An open house with a running clock. `replaced`: handlers that fail in a way a test wants."""
    url = f"sqlite:///{directory / 'clock.sqlite3'}"
    handlers = {**HANDLERS, **(replaced or {})}
    async with house_with_users(url, directory, handlers=handlers) as house:
        running = Clock(house.gate, settings)
        running.start()
        try:
            yield house
        finally:
            await running.stop()


@asynccontextmanager
async def sbc(name: str) -> AsyncIterator[str]:
    """A virtual SBC's address."""
    device = VirtualSbc(name, username="ops", password="s3cret-pw", plain_http=True)
    host, port = await device.start("127.0.0.1", 0)
    try:
        yield f"{host}:{port}"
    finally:
        await device.stop()


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not await met():
        assert time.monotonic() < deadline, "what was waited for did not come"
        await asyncio.sleep(0.02)


async def shown(house: House, device_id: int) -> Device:
    device: Device = (await house.gate.execute(house.local, ShowDevice(device_id=device_id))).device
    return device


async def test_a_new_device_is_polled_at_once_and_the_answer_is_kept(tmp_path: Path) -> None:
    async with sbc("edge-a") as address, ticking(tmp_path, SELDOM) as house:
        there = await house.enrol("edge-a", address, transport="http")
        gone = await house.enrol("edge-b", "127.0.0.1:9", transport="http")

        async def both_polled() -> bool:
            return all([(await shown(house, each)).polled_us is not None for each in (there, gone)])

        await until(both_polled)
        answered, silent = await shown(house, there), await shown(house, gone)
        assert answered.reachable and answered.poll_error is None and answered.software_version
        assert not silent.reachable and silent.poll_error


async def test_a_device_is_polled_again_and_again_and_a_lock_changes_nothing(tmp_path: Path) -> None:
    async with sbc("edge-a") as address, ticking(tmp_path, OFTEN) as house:
        device_id = await house.enrol("edge-a", address, transport="http")
        await house.do("alice", LockDevice(device_id=device_id))
        seen: set[int | None] = set()

        async def thrice() -> bool:
            seen.add((await shown(house, device_id)).polled_us)
            return len(seen - {None}) >= 3

        await until(thrice)


async def test_a_device_that_comes_back_is_noticed(tmp_path: Path) -> None:
    async with ticking(tmp_path, OFTEN) as house:
        async with sbc("edge-a") as address:
            device_id = await house.enrol("edge-a", address, transport="http")

            async def reachable() -> bool:
                return (await shown(house, device_id)).reachable

            await until(reachable)

        async def unreachable() -> bool:
            return not (await shown(house, device_id)).reachable

        await until(unreachable)


async def test_a_poll_that_fails_stops_neither_the_others_nor_its_next(tmp_path: Path) -> None:
    polled: dict[int, int] = {}

    async def poll(operation: PollDevice, work: Work) -> None:
        polled[operation.device_id] = polled.get(operation.device_id, 0) + 1
        match operation.device_id % 3:
            case 0:
                raise RuntimeError("a bug in a driver")
            case 1:
                raise StoreUnavailable("the database did not answer")
            case _:
                await HANDLERS[PollDevice](operation, work)

    async with ticking(tmp_path, OFTEN, {PollDevice: poll}) as house:
        devices = [await house.enrol(f"edge-{n}", f"127.0.0.1:{n}") for n in range(1, 7)]
        assert {each % 3 for each in devices} >= {0, 1, 2}

        async def each_thrice() -> bool:
            return all(polled.get(each, 0) >= 3 for each in devices)

        await until(each_thrice)


async def test_a_store_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "AFTER_FAILURE_S", 0.02)
    failures = iter([StoreUnavailable("the database did not answer"), RuntimeError("a bug"), OSError("disk")])
    houses_kept = asyncio.Event()

    async def listing(operation: ListDevices, work: Work) -> Any:
        if work.session.is_machinery and (failure := next(failures, None)) is not None:
            raise failure
        return await HANDLERS[ListDevices](operation, work)

    async def keep(operation: KeepHouse, work: Work) -> int:
        with contextlib.suppress(StopIteration):
            raise next(troubles)
        removed: int = await HANDLERS[KeepHouse](operation, work)
        houses_kept.set()
        return removed

    troubles = iter([RuntimeError("a bug"), StoreUnavailable("the database did not answer")])
    async with ticking(tmp_path, SELDOM, {ListDevices: listing, KeepHouse: keep}) as house:
        device_id = await house.enrol("edge-a", "127.0.0.1:9")

        async def polled() -> bool:
            return (await shown(house, device_id)).polled_us is not None

        await until(polled)
        await asyncio.wait_for(houses_kept.wait(), TIMEOUT_S)


async def test_no_more_polls_at_once_than_set_and_none_twice(tmp_path: Path) -> None:
    now: set[int] = set()
    most, doubled, polls = 0, False, 0

    async def poll(operation: PollDevice, work: Work) -> None:
        nonlocal most, doubled, polls
        doubled = doubled or operation.device_id in now
        now.add(operation.device_id)
        most, polls = max(most, len(now)), polls + 1
        await asyncio.sleep(0.05)
        now.discard(operation.device_id)
        await work.commit(_nothing)

    settings = ClockSettings(interval_s=0.01, concurrency=3, look_every_s=0.005)
    async with ticking(tmp_path, settings, {PollDevice: poll}) as house:
        for n in range(1, 9):
            await house.enrol(f"edge-{n}", f"127.0.0.1:{n}")

        async def enough() -> bool:
            return polls >= 30

        await until(enough)
    assert most == 3 and not doubled


async def _nothing(transaction: object) -> None:
    return None


async def test_a_stopped_clock_sends_nothing_more(tmp_path: Path) -> None:
    polls = 0

    async def poll(operation: PollDevice, work: Work) -> None:
        nonlocal polls
        polls += 1
        await work.commit(_nothing)

    async with ticking(tmp_path, OFTEN, {PollDevice: poll}) as house:
        await house.enrol("edge-a", "127.0.0.1:9")

        async def some() -> bool:
            return polls >= 2

        await until(some)
    after = polls
    await asyncio.sleep(3 * OFTEN.interval_s)
    assert polls == after
