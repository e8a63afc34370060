"""What every driver must do, to be run against a device, real or virtual.

A test module makes a class of `DriverContract` and gives it a fixture `bench`, a `DriverBench` over one
running device with a fresh configuration.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensdm.core.difference import missing_from, same
from opensdm.core.errors import (
    DeviceFault,
    DeviceSideLocked,
    HouseRuleBroken,
    LockLost,
    Rejected,
    Unreachable,
)
from opensdm.core.permit import Permit, Write
from opensdm.core.ports import ElementEdit
from opensdm.core.validation import key_of
from opensdm.testing.driver_bench import DEVICE, DriverBench, find, push, told


class DriverContract:
    """All that is asked of a driver whose device has a lock, a verify, a save and a restore of its own."""

    # --------------------------------------------------------------------------------------- reading

    async def test_a_device_tells_of_itself(self, bench: DriverBench) -> None:
        device = bench.connect()
        facts = await device.facts(bench.book.read())
        assert facts.platform == bench.driver.platform
        assert facts.software_version and facts.host_name and facts.role
        await device.close()

    async def test_every_element_is_of_a_type_of_the_schema(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.read()
        schema = await device.read_schema(permit)
        elements = await device.read_elements(permit, schema, running=True)
        keys = [key_of(schema, element) for element in elements]
        assert elements and len(set(keys)) == len(keys)
        for element in elements:
            for each in element.walk():
                assert set(each.attributes) <= {a.name for a in schema.types[each.path].attributes}
        paths = {element.path for element in elements}
        one = min(paths)
        alone = await device.read_elements(permit, schema, [one], running=True)
        assert list(alone) == [e for e in elements if e.path == one]
        await device.close()

    async def test_reading_is_no_step_and_no_write(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.read()
        await device.read_elements(permit, await device.read_schema(permit))
        await device.close()
        assert bench.book.steps == [] and bench.writes() == 0

    # --------------------------------------------------------------------------------------- writing

    async def test_edits_land_and_only_activation_makes_them_run(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        new = bench.new_element()
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, new))
        assert await find(device, permit, schema, new, running=True) is None
        edited = await find(device, permit, schema, new, running=False)
        assert missing_from(schema, new, edited) == []
        assert await device.verify(permit) is None
        await device.save(permit)
        assert await find(device, permit, schema, new, running=True) is None
        await device.activate(permit)
        assert same(schema, await find(device, permit, schema, new, running=True), edited)
        await device.unlock(permit)
        await device.close()
        assert [step for step in bench.book.steps if step.open] == []

    async def test_an_element_is_changed_and_deleted(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await push(device, permit, schema, ElementEdit(None, bench.new_element()))
        before = await find(device, permit, schema, bench.new_element(), running=True)
        assert before is not None
        after = bench.changed(before)
        await push(device, permit, schema, ElementEdit(before, after))
        now = await find(device, permit, schema, after, running=True)
        assert same(schema, now, after) and not same(schema, now, before)
        childless = replace(after, children=())
        await push(device, permit, schema, ElementEdit(after, childless))
        assert missing_from(schema, childless, await find(device, permit, schema, after, running=True)) == []
        await push(device, permit, schema, ElementEdit(childless, None))
        assert await find(device, permit, schema, after, running=True) is None
        await device.close()

    async def test_each_write_is_one_step(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await push(device, permit, schema, ElementEdit(None, bench.new_element()))
        await device.close()
        assert len(bench.book.steps) == bench.writes() == 6

    async def test_restore_takes_edits_back(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        await device.restore(permit, "running")
        assert await find(device, permit, schema, bench.new_element(), running=False) is None
        await device.unlock(permit)
        await device.close()

    # ---------------------------------------------------------------------------------------- permits

    async def test_a_permit_to_read_writes_nothing(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.read()
        schema = await device.read_schema(permit)
        edit = ElementEdit(None, bench.new_element())
        # Each of these lines must not type-check, either: without the comment mypy fails on it.
        tries = [
            device.lock(permit),  # type: ignore[arg-type]
            device.unlock(permit),  # type: ignore[arg-type]
            device.write(permit, schema, edit),  # type: ignore[arg-type]
            device.verify(permit),  # type: ignore[arg-type]
            device.save(permit),  # type: ignore[arg-type]
            device.activate(permit),  # type: ignore[arg-type]
            device.restore(permit, "running"),  # type: ignore[arg-type]
        ]
        for attempt in tries:
            with pytest.raises(HouseRuleBroken):
                await attempt
        await device.close()
        assert bench.writes() == 0 and bench.book.steps == []

    async def test_a_spent_forged_or_foreign_permit_opens_nothing(self, bench: DriverBench) -> None:
        device = bench.connect()
        spent = bench.book.write()
        schema = await device.read_schema(spent)
        bench.book.spend(spent)
        foreign = Permit(Write, frozenset({DEVICE + 1}), "contract", 1)
        for permit in (spent, foreign, replace(bench.book.write())):
            for attempt in (
                device.facts(permit),
                device.read_schema(permit),
                device.read_elements(permit, schema),
                device.lock(permit),
                device.unlock(permit),
                device.write(permit, schema, ElementEdit(None, bench.new_element())),
                device.verify(permit),
                device.save(permit),
                device.activate(permit),
                device.restore(permit, "running"),
            ):
                with pytest.raises(HouseRuleBroken):
                    await attempt
        await device.close()
        assert bench.writes() == 0

    # ------------------------------------------------------------------------------------------ fence

    @pytest.mark.parametrize("number", range(7))
    async def test_nothing_is_written_from_the_fenced_step_on(self, bench: DriverBench, number: int) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        bench.book.fence_at = number
        edits = ElementEdit(None, bench.new_element())
        if number == 6:  # a push of six steps is through before it
            await push(device, permit, schema, edits)
        else:
            with pytest.raises(LockLost, match="taken away by admin"):
                await push(device, permit, schema, edits)
        await device.close()
        assert bench.writes() == number
        assert [step.number for step in bench.book.steps] == list(range(number))

    async def test_a_fenced_connection_stays_silent(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await device.lock(permit)
        bench.book.fence_at = 1
        for attempt in (
            device.write(permit, schema, ElementEdit(None, bench.new_element())),
            device.verify(permit),
            device.save(permit),
            device.activate(permit),
            device.restore(permit, "running"),
            device.unlock(permit),
        ):
            with pytest.raises(LockLost):
                await attempt
        await device.close()
        assert bench.writes() == 1

    async def test_a_device_lock_that_fenced_work_left_is_ended_by_whoever_comes_next(self, bench: DriverBench) -> None:
        cut_short, permit = bench.connect(), bench.book.write()
        schema = await cut_short.read_schema(permit)
        await cut_short.lock(permit)
        bench.book.fence_at = 1
        with pytest.raises(LockLost):
            await cut_short.save(permit)
        await cut_short.close()
        bench.book.fence_at = None
        following, permit = bench.connect(), bench.book.write()
        await push(following, permit, schema, ElementEdit(None, bench.new_element()))
        await following.close()

    async def test_after_its_time_a_write_is_not_sent(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await device.lock(permit)
        bench.book.no_time = True
        with pytest.raises(Unreachable):
            await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        with pytest.raises(Unreachable):
            await device.save(permit)
        assert bench.writes() == 1
        assert [step.open for step in bench.book.steps] == [False, False, False], "nothing left us"
        bench.book.no_time = False
        await device.unlock(permit)
        await device.close()

    # --------------------------------------------------------------------------------------- failures

    async def test_a_lock_held_on_the_device_is_said_and_nothing_written(self, bench: DriverBench) -> None:
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
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
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
        schema = await device.read_schema(permit)
        await device.lock(permit)
        await bench.lose_next_edit()
        await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        found = await find(device, permit, schema, bench.new_element(), running=False)
        assert missing_from(schema, bench.new_element(), found) != []
        await device.unlock(permit)
        await device.close()

    async def test_a_cut_connection_leaves_the_step_open_and_the_way_back_works(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await device.lock(permit)
        await bench.cut_next_edit()
        with pytest.raises(Unreachable):
            await device.write(permit, schema, ElementEdit(None, bench.new_element()))
        assert [step.open for step in bench.book.steps] == [False, True]
        await device.restore(permit, "running")
        assert await find(device, permit, schema, bench.new_element(), running=False) is None
        await device.unlock(permit)
        await device.close()

    async def test_a_refused_edit_carries_the_devices_words(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await device.lock(permit)
        with pytest.raises(Rejected, match="the device refused"):
            await device.write(permit, schema, ElementEdit(None, bench.refused_element()))
        assert [step for step in bench.book.steps if step.open] == []
        await device.unlock(permit)
        await device.close()

    async def test_verify_says_what_is_wrong(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.write()
        schema = await device.read_schema(permit)
        await device.lock(permit)
        await device.write(permit, schema, ElementEdit(None, bench.breaking_element()))
        assert await device.verify(permit)
        await device.restore(permit, "running")
        assert await device.verify(permit) is None
        await device.unlock(permit)
        await device.close()

    @pytest.mark.parametrize("action", ["save", "activate", "restore"])
    async def test_a_failed_job_is_a_rejection_and_its_step_is_over(self, bench: DriverBench, action: str) -> None:
        device, permit = bench.connect(), bench.book.write()
        await device.lock(permit)
        await bench.fail_next_job(action)
        jobs = {"save": device.save, "activate": device.activate}
        with pytest.raises(Rejected, match=f"could not {action}"):
            await (device.restore(permit, "running") if action == "restore" else jobs[action](permit))
        await device.unlock(permit)
        await device.close()
        assert [step for step in bench.book.steps if step.open] == []

    async def test_a_wrong_password_is_said_without_the_password(self, bench: DriverBench) -> None:
        device = bench.connect(password="not-the-password-4711")
        with pytest.raises(Rejected) as caught:
            await device.facts(bench.book.read())
        await device.close()
        assert "not-the-password-4711" not in told(caught.value)

    async def test_a_device_that_is_not_there_is_unreachable(self, bench: DriverBench) -> None:
        device = bench.connect(address="127.0.0.1:1", secondary_address=None)
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            await device.facts(bench.book.read())
        await device.close()
