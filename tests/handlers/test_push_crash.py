"""The server gone in the middle of a push: what is on record about it until somebody has looked at the device."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from opensdm.core.errors import StaleConfiguration
from opensdm.core.operations import (
    AddElement,
    CheckSync,
    ListTasks,
    LoadConfiguration,
    LockDevice,
    PushAction,
    PushChanges,
    RebaseChanges,
    ShowLock,
)
from opensdm.core.ports import Capabilities
from opensdm.core.results import SUCCEEDED
from opensdm.core.task import TaskState
from opensdm.drivers.registry import Registry
from tests.gatehouse import house_with_users, open_house
from tests.handlers.memory_device import ROUTER, SBC, MemoryDriver, realm
from tests.handlers.sites import HELD, Site

LIMIT_S = 0.5
"""How long a write that was cut off may still be on its way."""


async def killed_while_it_writes(here: Site) -> Site:
    """The first edit is on the device and the second on its way when the server is gone; it is started again."""
    house, begun = here.house, asyncio.Event()

    async def second() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def first() -> None:
        here.device.hooks["write"] = second

    here.device.hooks["write"] = first
    push = PushChanges(device_id=here.device_id, action=PushAction.SAVE_ACTIVATE)
    pushing = asyncio.create_task(house.do("alice", push))
    async with asyncio.timeout(20):
        await begun.wait()
    await house.crash()
    with contextlib.suppress(asyncio.CancelledError):
        await pushing
    again = await open_house(house.url, house.key_file, drivers=house.gate.drivers)
    again.tokens = house.tokens
    return Site(again, here.device, here.device_id)


@pytest.mark.parametrize("can", [SBC, ROUTER])
async def test_killed_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: Capabilities) -> None:
    monkeypatch.setattr("tests.handlers.memory_device.STEP_S", LIMIT_S)
    driver = MemoryDriver("edge", can)
    address, device = driver.add()
    device.hold(*HELD)
    async with house_with_users(f"sqlite:///{tmp_path}/opensdm.db", tmp_path, drivers=Registry([driver])) as house:
        here = Site(house, device, await house.enrol("edge-a", address, platform="edge"))
        await here.do(LoadConfiguration)
        for name in ("one", "two", "three"):
            await here.do(AddElement, element=realm(name))
        await here.do(LockDevice, reason="window")
        here = await killed_while_it_writes(here)
        try:
            await looked_after(here, can)
        finally:
            await here.house.close()


async def looked_after(here: Site, can: Capabilities) -> None:
    """The lock and the staged changes are there, the task says it was interrupted, and the next push finds out."""
    assert (await here.do(ShowLock)).row.holder_name == "alice"
    (task,) = (await here.house.do("mona", ListTasks())).items
    assert task.state is TaskState.INTERRUPTED
    for _ in range(500):
        if await here.status() != "Busy":  # as long as what was on its way may still arrive
            break
        await asyncio.sleep(0.01)
    assert (await here.status(), len(await here.pending())) == ("Uncertain", 3)
    report = await here.do(CheckSync)
    assert "cut short" in (report.message or "")
    if can.candidate:
        assert (await here.push()).status == SUCCEEDED  # what the crash left in the candidate is taken back first
    else:
        assert (report.state, report.outside_total) == ("Conflict", 1)
        with pytest.raises(StaleConfiguration, match="the device runs something else"):
            await here.push()
        await here.do(LoadConfiguration)
        assert (await here.do(RebaseChanges)).dropped == 1
        assert (await here.push()).status == SUCCEEDED
    assert all(here.device.runs("realm", name) for name in ("one", "two", "three"))
    assert (await here.status(), await here.pending()) == ("In Sync", [])
