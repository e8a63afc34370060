"""A push cut off at each of its pieces on the wire: afterwards device and record agree, or the record says how not.

The device stands behind a proxy. A first push, let through, counts the pieces; then one push for each piece is cut
there: the request never arrives, or its answer never does, or the device loses its power. `make test` takes a few of
the pieces, `make prove` all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lab.frr import FrrRouter
from lab.netconf import NetconfDevice
from lab.proxy import CuttingProxy, Direction
from opensdm.core.errors import SdmError
from opensdm.core.operations import (
    AddElement,
    CheckSync,
    ListElements,
    LoadConfiguration,
    LockDevice,
    PushAction,
    PushChanges,
    ShowLock,
    ShowPendingChanges,
)
from opensdm.core.results import SUCCEEDED, PushReply, SyncReport
from tests.acceptance.subjects import Frr, Netconf, Sbc, Subject
from tests.gatehouse import House, house_with_users

_names = count(1)


@dataclass
class Trial:
    """One device of the house behind one proxy: loaded, locked by alice, her edit staged."""

    house: House
    subject: Subject
    proxy: CuttingProxy
    device_id: int

    async def push(self) -> PushReply | SdmError:
        try:
            reply = await self.house.do(
                "alice", PushChanges(device_id=self.device_id, action=PushAction.SAVE_ACTIVATE)
            )  # fmt: skip
        except SdmError as error:
            return error
        assert isinstance(reply, PushReply)
        return reply

    async def recorded(self) -> bool:
        """Whether our copy has the element; mona stages nothing, so she sees the copy as it is."""
        path = self.subject.element.path
        shown = await self.house.do("mona", ListElements(device_id=self.device_id, element_path=path))
        key = next(iter(self.subject.element.attributes.values()))
        return any(key in element.attributes.values() for element in shown.items)

    async def judge(self, outcome: PushReply | SdmError) -> str:
        """What must hold whatever happened; a line about it."""
        lock = (await self.house.do("mona", ShowLock(device_id=self.device_id))).row
        assert lock.holder_name == "alice", "the user's lock is not the claim's"
        report, there = await self._settled()
        recorded = await self.recorded()
        differs = any(d.path == self.subject.element.path for d in report.outside)
        assert differs == (there != recorded), (there, recorded, report, outcome)
        staged = (await self.house.do("alice", ShowPendingChanges(device_id=self.device_id))).changes
        assert staged or recorded, "an edit is staged or in our copy; it is never lost"
        if isinstance(outcome, PushReply):
            if outcome.status == SUCCEEDED:
                assert there and recorded and not staged
            states = {held.state for held in outcome.holds}
            assert "unknown" in states or "other" in states or not states or states == {"new" if there else "old"}, (
                outcome
            )
            said = f"{outcome.status} {outcome.error_code or ''}"
        else:
            said = outcome.code
        return f"{said}; device {'new' if there else 'old'}, record {'new' if recorded else 'old'}, {report.state}"

    async def _settled(self) -> tuple[SyncReport, bool]:
        """The report, and the device's own account, from a moment without change: a commit may be undoing itself.

        A line that was under way when the connection was cut may still land, too, and reach the kernel after that.
        """
        for _ in range(40):
            before = await self.subject.holds()
            report: SyncReport = await self.house.do("alice", CheckSync(device_id=self.device_id))
            if before == await self.subject.holds():
                return report, before
            await asyncio.sleep(0.2)
        raise AssertionError("the device does not come to rest")


@asynccontextmanager
async def trial(house: House, subject: Subject) -> AsyncIterator[Trial]:
    async with CuttingProxy(subject.host, subject.port) as proxy:
        name = f"edge-{next(_names)}"
        device_id = await house.enrol(name, f"127.0.0.1:{proxy.listens_at}", **subject.parameters())
        await house.do("alice", LoadConfiguration(device_id=device_id))
        await house.do("alice", LockDevice(device_id=device_id))
        await house.do("alice", AddElement(device_id=device_id, element=subject.element))
        yield Trial(house, subject, proxy, device_id)


async def pieces_of_a_push(house: House, subject: Subject) -> int:
    async with trial(house, subject) as one:
        before = one.proxy.pieces["to_device"]
        outcome = await one.push()
        assert isinstance(outcome, PushReply) and outcome.status == SUCCEEDED, outcome
        assert await subject.holds() and await one.recorded()
        return one.proxy.pieces["to_device"] - before


async def broken(house: House, subject: Subject, number: int, direction: Direction, *, dies: bool) -> str:
    """One push, stopped at a piece: the connection is cut there, or the device is switched off."""
    await subject.reset()
    async with trial(house, subject) as one:
        came = one.proxy.hold_at(number, direction)
        push = asyncio.create_task(one.push())
        reached = asyncio.create_task(came.wait())
        await asyncio.wait({push, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        if dies:
            await subject.die()
            one.proxy.refuse()
        else:
            one.proxy.cut()
            one.proxy.behave()
        outcome = await push
        if dies:
            one.proxy.behave()
            await subject.come_back()
        return await one.judge(outcome)


async def sweep(tmp_path: Path, subject: Subject, every: int) -> None:
    async with house_with_users(f"sqlite:///{tmp_path}/cut.db", tmp_path) as house:
        most = await pieces_of_a_push(house, subject)
        ways: tuple[tuple[Direction, bool], ...] = (("to_device", False), ("from_device", False), ("to_device", True))
        for offset, (direction, dies) in enumerate(ways):
            for number in range(1 + offset % every, most + 1, every):
                said = await broken(house, subject, number, direction, dies=dies)
                print(f"{subject.platform}: piece {number} of {most} {direction}{' power' if dies else ''}: {said}")


Make = Callable[[], Any]


@pytest.fixture
async def sbc() -> AsyncIterator[Sbc]:
    subject = Sbc()
    await subject.start()
    yield subject
    await subject.stop()


async def test_a_push_to_a_virtual_sbc_cut_off(tmp_path: Path, sbc: Sbc) -> None:
    await sweep(tmp_path, sbc, every=11)


async def test_a_push_to_netconfd_cut_off(tmp_path: Path, netconf_device: NetconfDevice) -> None:
    await sweep(tmp_path, Netconf(netconf_device), every=12)


async def test_a_push_to_frr_cut_off(tmp_path: Path, frr_router: FrrRouter) -> None:
    await sweep(tmp_path, Frr(frr_router), every=9)


@pytest.mark.prove
async def test_a_push_to_a_virtual_sbc_cut_off_everywhere(tmp_path: Path, sbc: Sbc) -> None:
    await sweep(tmp_path, sbc, every=1)


@pytest.mark.prove
async def test_a_push_to_netconfd_cut_off_everywhere(tmp_path: Path, netconf_device: NetconfDevice) -> None:
    await sweep(tmp_path, Netconf(netconf_device), every=1)


@pytest.mark.prove
async def test_a_push_to_frr_cut_off_everywhere(tmp_path: Path, frr_router: FrrRouter) -> None:
    await sweep(tmp_path, Frr(frr_router), every=1)
