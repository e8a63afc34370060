"""What every driver that writes must do, to be run against a device, real or virtual.

A test module makes a class of `DriverContract` (a platform that is never written to: of `LoadOnlyContract`) and gives
it a fixture `bench`, a `DriverBench` over one running device with a fresh configuration. What is expected follows
from the driver's `capabilities`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

import pytest

from opensdm.core.difference import missing_from, same
from opensdm.core.element import Schema
from opensdm.core.errors import DeviceFault, DeviceSideLocked, LockLost, Rejected, Unreachable
from opensdm.core.permit import Permit, Write
from opensdm.core.ports import DeviceConnection, ElementEdit
from opensdm.testing.driver_bench import DriverBench, activate, find, push, take_back
from opensdm.testing.driver_reading import LoadOnlyContract, ReadingContract

__all__ = ["DriverContract", "LoadOnlyContract", "ReadingContract"]

UNDONE_WITHIN_S = 10.0
SHORT_S = 1.0
"""Long enough for a first line to leave, on any machine that is not asleep."""


class DriverContract(ReadingContract):
    """All that is asked of a driver that writes."""

    push_steps: ClassVar[int] = 6
    """How many steps it takes to push one new element to this device; a platform sets its own."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "fenced_step" in metafunc.fixturenames:
            metafunc.parametrize("fenced_step", range(self.push_steps + 1))
        if "late_step" in metafunc.fixturenames:
            metafunc.parametrize("late_step", range(self.push_steps + 1))

    # --------------------------------------------------------------------------------------- writing

    async def test_edits_land_and_only_activation_makes_them_run(self, bench: DriverBench) -> None:
        """Without a candidate they run at once."""
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        new, can = bench.new_element(), bench.driver.capabilities
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, new))
        assert (await find(device, permit, schema, new, running=True) is None) is can.candidate
        edited = await find(device, permit, schema, new, running=False)
        assert missing_from(schema, new, edited) == []
        assert await device.verify(permit) is None
        if not can.saves_last:
            await device.save(permit)
            assert (await find(device, permit, schema, new, running=True) is None) is can.candidate
        await device.activate(permit)
        await device.confirm(permit)
        assert same(schema, await find(device, permit, schema, new, running=True), edited)
        if can.saves_last:
            await device.save(permit)
        await device.unlock(permit)
        await device.close()
        assert [step for step in bench.book.steps if step.open] == []

    async def test_an_element_is_changed_and_deleted(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await push(device, permit, schema, ElementEdit(None, bench.new_element()))
        before = await find(device, permit, schema, bench.new_element(), running=True)
        assert before is not None
        after = bench.changed(before)
        await push(device, permit, schema, ElementEdit(before, after))
        now = await find(device, permit, schema, after, running=True)
        assert same(schema, now, after) and not same(schema, now, before)
        childless = replace(after, children=())
        if after.children:
            await push(device, permit, schema, ElementEdit(after, childless))
            assert missing_from(schema, childless, await find(device, permit, schema, after, running=True)) == []
        await push(device, permit, schema, ElementEdit(childless, None))
        assert await find(device, permit, schema, after, running=True) is None
        await device.close()

    async def test_each_write_is_one_step(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await push(device, permit, schema, ElementEdit(None, bench.new_element()))
        await device.close()
        assert len(bench.book.steps) == bench.writes() == self.push_steps

    async def test_what_the_device_lacks_is_no_step(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        can = bench.driver.capabilities
        await device.lock(permit)
        assert len(bench.book.steps) == can.device_lock
        assert await device.verify(permit) is None
        assert len(bench.book.steps) == can.device_lock + bench.verifies
        await device.unlock(permit)
        assert len(bench.book.steps) == bench.writes() == 2 * can.device_lock + bench.verifies
        await device.close()

    async def test_restore_takes_edits_back_or_says_that_it_cannot(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        if bench.driver.capabilities.restore:
            await device.restore(permit, "running")
        else:
            steps, writes = len(bench.book.steps), bench.writes()
            with pytest.raises(Rejected, match="cannot restore"):
                await device.restore(permit, "running")
            assert (len(bench.book.steps), bench.writes()) == (steps, writes)
            await device.write(permit, schema, ElementEdit(bench.new_element(), None))
        assert await find(device, permit, schema, bench.new_element(), running=False) is None
        await device.unlock(permit)
        await device.close()

    # -------------------------------------------------------------------------------------- activation

    @pytest.mark.parametrize("by", ["restore", "close"])
    async def test_an_activation_that_is_not_confirmed_is_undone(self, bench: DriverBench, by: str) -> None:
        can = bench.driver.capabilities
        if not can.confirmed_commit:
            pytest.skip("activations of this platform are final")
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        new = bench.new_element()
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, new))
        if not can.saves_last:
            await device.save(permit)
        await device.activate(permit)
        assert await find(device, permit, schema, new, running=True) is not None
        if by == "restore":
            await device.restore(permit, "running")
            assert await find(device, permit, schema, new, running=True) is None
            await device.unlock(permit)
            await device.close()
            return
        await device.close()
        after, until = bench.connect(), time.monotonic() + UNDONE_WITHIN_S
        while await find(after, permit, schema, new, running=True) is not None:
            assert time.monotonic() < until, "it still runs"
            await asyncio.sleep(0.05)
        await after.close()

    # ------------------------------------------------------------------------------------------ fence

    async def test_nothing_is_written_from_the_fenced_step_on(self, bench: DriverBench, fenced_step: int) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        bench.book.fence_at = fenced_step
        edits = ElementEdit(None, bench.new_element())
        if fenced_step == self.push_steps:  # the push is through before it
            await push(device, permit, schema, edits)
        else:
            with pytest.raises(LockLost, match="taken away by admin"):
                await push(device, permit, schema, edits)
        await device.close()
        assert bench.writes() == fenced_step
        assert [step.number for step in bench.book.steps] == list(range(fenced_step))

    async def test_a_fenced_connection_stays_silent(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await device.lock(permit)
        before = len(bench.book.steps)
        bench.book.fence_at = before
        for attempt in _steps(bench, device, permit, schema):
            with pytest.raises(LockLost):
                await attempt
        await device.close()
        assert bench.writes() == before

    async def test_a_device_lock_that_fenced_work_left_is_ended_by_whoever_comes_next(self, bench: DriverBench) -> None:
        cut_short, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(cut_short, permit)
        await cut_short.lock(permit)
        bench.book.fence_at = len(bench.book.steps)
        with pytest.raises(LockLost):
            await cut_short.save(permit)
        await cut_short.close()
        bench.book.fence_at = None
        following, permit = bench.connect(left_session=bench.book.note), bench.book.write()
        await push(following, permit, schema, ElementEdit(None, bench.new_element()))
        await following.close()

    async def test_after_its_time_a_write_is_not_sent(self, bench: DriverBench, late_step: int) -> None:
        """Whichever write of a push it is: the connection ends instead, nothing follows, and its step is settled."""
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        bench.book.no_time_from = late_step
        edits = ElementEdit(None, bench.new_element())
        if late_step == self.push_steps:  # the push is through before it
            await push(device, permit, schema, edits)
        else:
            with pytest.raises(Unreachable, match="time in which this write could be sent has passed"):
                await push(device, permit, schema, edits)
        for again in _steps(bench, device, permit, schema):
            with suppress(DeviceFault):  # silence is asked for, in whatever words
                await again
        assert bench.writes() == late_step
        assert [step for step in bench.book.steps if step.open] == [], "nothing left us"
        bench.book.no_time_from = None
        await device.close()
        following, permit = bench.connect(left_session=bench.book.note), bench.book.write()
        await following.lock(permit)
        await following.unlock(permit)
        await following.close()

    async def test_time_that_ends_within_a_step_of_many_writes_ends_it_there(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        if not await bench.stall_within_next_edit(2 * SHORT_S):
            pytest.skip("this platform's steps are one write each")
        bench.book.window_s = SHORT_S
        with pytest.raises(Unreachable):
            await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        sent = bench.parts()
        assert sent, "it had begun"
        assert [step.open for step in bench.book.steps] == [True], "what was sent may have landed"
        bench.book.window_s = None
        await asyncio.sleep(2 * SHORT_S)
        assert bench.parts() == sent
        await device.close()
        assert bench.parts() == sent

    # --------------------------------------------------------------------------------------- sessions

    async def test_the_session_is_noted_before_the_lock_and_forgotten_with_it(self, bench: DriverBench) -> None:
        if not bench.ends_left_session:
            pytest.skip("this platform's sessions end by themselves")
        device, permit = bench.connect(), bench.book.write()
        await device.lock(permit)
        (noted, steps), *later = bench.book.notes
        assert noted is not None and steps == 0 and all(note is not None for note, _ in later)
        await device.unlock(permit)
        assert bench.book.note is None
        await device.close()

    async def test_after_a_crash_the_old_session_is_ended_at_once(self, bench: DriverBench) -> None:
        if not bench.ends_left_session:
            pytest.skip("this platform's sessions end by themselves")
        old, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(old, permit)
        await old.lock(permit)
        note = bench.book.note
        bench.crash()
        new = bench.connect(left_session=note)
        await new.lock(permit)
        with pytest.raises(DeviceFault):
            await old.write(permit, schema, ElementEdit(None, bench.new_element()))
        assert await find(new, permit, schema, bench.new_element(), running=False) is None
        await new.write(permit, schema, ElementEdit(None, bench.new_element()))
        await activate(new, permit)
        await new.unlock(permit)
        await new.close()
        assert bench.book.note is None

    # --------------------------------------------------------------------------------------- failures

    async def test_a_lock_held_on_the_device_is_said_and_nothing_written(self, bench: DriverBench) -> None:
        if not bench.driver.capabilities.device_lock:
            pytest.skip("this platform has no lock of its own")
        device, permit = bench.connect(), bench.book.write()
        await bench.hold_lock(True)
        with pytest.raises(DeviceSideLocked, match="on its own side"):
            await device.lock(permit)
        assert [step.open for step in bench.book.steps] == [False]
        await bench.hold_lock(False)
        await device.lock(permit)
        await device.unlock(permit)
        await device.close()

    async def test_nothing_is_written_without_the_devices_lock(self, bench: DriverBench) -> None:
        if not bench.driver.capabilities.device_lock:
            pytest.skip("this platform has no lock of its own")
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        for attempt in (
            device.write(permit, schema, ElementEdit(None, bench.new_element())),
            device.save(permit),
            device.restore(permit, "running"),
        ):
            with pytest.raises(DeviceFault):
                await attempt
        await device.unlock(permit)
        await device.close()
        assert bench.book.steps == []

    async def test_a_lost_edit_shows_when_read_back(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await device.lock(permit)
        await bench.lose_next_edit()
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        found = await find(device, permit, schema, bench.new_element(), running=False)
        assert missing_from(schema, bench.new_element(), found) != []
        await device.unlock(permit)
        await device.close()

    async def test_a_cut_connection_leaves_the_step_open_and_the_way_back_works(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await device.lock(permit)
        await bench.cut_next_edit()
        with pytest.raises(Unreachable):
            await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        assert [step.open for step in bench.book.steps] == [False] * bench.driver.capabilities.device_lock + [True]
        await take_back(device, permit, schema, bench.new_element())
        assert await find(device, permit, schema, bench.new_element(), running=False) is None
        await device.unlock(permit)
        await device.close()

    async def test_a_refused_edit_carries_the_devices_words(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await device.lock(permit)
        with pytest.raises(Rejected, match="the device refused"):
            await device.write(permit, schema, ElementEdit(None, bench.refused_element()))
        assert [step for step in bench.book.steps if step.open] == []
        await device.unlock(permit)
        await device.close()

    async def test_verify_says_what_is_wrong(self, bench: DriverBench) -> None:
        if not bench.verifies:
            pytest.skip("this device is not asked to verify")
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, bench.breaking_element()))
        assert await device.verify(permit)
        await take_back(device, permit, schema, bench.breaking_element())
        assert await device.verify(permit) is None
        await device.unlock(permit)
        await device.close()

    @pytest.mark.parametrize("action", ["save", "activate", "restore"])
    async def test_a_failed_job_is_a_rejection_and_its_step_is_over(self, bench: DriverBench, action: str) -> None:
        can = bench.driver.capabilities
        if (action == "restore" and not can.restore) or (action == "activate" and not can.candidate):
            pytest.skip(f"this platform knows no {action}")
        device, permit = bench.connect(), bench.book.write()
        await device.lock(permit)
        await bench.fail_next_job(action)
        jobs = {"save": device.save, "activate": device.activate}
        with pytest.raises(Rejected, match=f"could not {action}"):
            await (device.restore(permit, "running") if action == "restore" else jobs[action](permit))
        await device.unlock(permit)
        await device.close()
        assert [step for step in bench.book.steps if step.open] == []


def _steps(
    bench: DriverBench, device: DeviceConnection, permit: Permit[Write], schema: Schema
) -> Iterator[Awaitable[object]]:
    """Every call that is a step on this device, one after the other."""
    can = bench.driver.capabilities
    yield device.write(permit, schema, ElementEdit(None, bench.new_element()))
    if bench.verifies:
        yield device.verify(permit)
    yield device.save(permit)
    if can.candidate:
        yield device.activate(permit)
    if can.restore:
        yield device.restore(permit, "running")
    if can.device_lock:
        yield device.unlock(permit)
