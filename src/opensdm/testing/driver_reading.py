"""What every driver must do, one that only loads and backs up included, to be run against a device."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from dataclasses import replace

import pytest

from opensdm.core.element import Schema
from opensdm.core.errors import HouseRuleBroken, Rejected, Unreachable
from opensdm.core.permit import Permit, Read, Write
from opensdm.core.ports import DeviceConnection, ElementEdit
from opensdm.core.validation import key_of
from opensdm.testing.driver_bench import DEVICE, DriverBench, told, with_secret

SECRET, OTHER_SECRET = "hidden-4711", "other-0815"


class ReadingContract:
    """All that is asked of any driver: reading, permits, and failures that need no write."""

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

    async def test_the_schema_is_of_the_platform_and_its_version(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.read()
        facts, schema = await device.facts(permit), await device.read_schema(permit)
        assert (schema.platform, schema.version) == (facts.platform, facts.software_version)
        for path, kind in schema.types.items():
            assert kind.path == path and all(schema.types[child.path] == child for child in kind.children)
        await device.close()

    async def test_reading_is_no_step_and_no_write(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.read()
        await device.read_elements(permit, await bench.schema(device, permit))
        await device.close()
        assert bench.book.steps == [] and bench.writes() == 0

    async def test_what_a_platform_can_is_said_once(self, bench: DriverBench) -> None:
        device = bench.connect()
        assert device.capabilities is bench.driver.capabilities
        await device.close()

    async def test_a_preview_asks_nothing_of_the_device_and_shows_no_secret(self, bench: DriverBench) -> None:
        """It works while the device is away."""
        if not bench.driver.capabilities.writes:
            pytest.skip("nothing is ever written to this platform")
        device, permit = bench.connect(), bench.book.read()
        known = await bench.schema(device, permit)
        await device.close()
        schema, new = with_secret(known, bench.new_element(), SECRET)
        away = bench.connect(address="127.0.0.1:1", secondary_address=None)
        created = away.preview(schema, ElementEdit(None, new))
        name = next(name for name, value in new.attributes.items() if value == SECRET)
        changed = away.preview(
            schema, ElementEdit(new, replace(new, attributes={**new.attributes, name: OTHER_SECRET}))
        )
        deleted = away.preview(schema, ElementEdit(new, None))
        await away.close()
        assert created and changed and deleted
        for line in (*created, *changed, *deleted):
            assert SECRET not in line and OTHER_SECRET not in line and "\n" not in line
        assert bench.book.steps == [] and bench.writes() == 0

    # ---------------------------------------------------------------------------------------- permits

    async def test_a_permit_to_read_writes_nothing(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.read()
        schema = await bench.schema(device, permit)
        # Each of these lines must not type-check, either: without the comment mypy fails on it.
        tries = [
            device.lock(permit),  # type: ignore[arg-type]
            device.unlock(permit),  # type: ignore[arg-type]
            device.write(permit, schema, ElementEdit(None, bench.new_element())),  # type: ignore[arg-type]
            device.verify(permit),  # type: ignore[arg-type]
            device.save(permit),  # type: ignore[arg-type]
            device.activate(permit),  # type: ignore[arg-type]
            device.confirm(permit),  # type: ignore[arg-type]
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
        schema = await bench.schema(device, spent)
        bench.book.spend(spent)
        foreign = Permit(Write, frozenset({DEVICE + 1}), "contract", 1)
        for permit in (spent, foreign, replace(bench.book.write())):
            for attempt in (*reads(device, permit, schema), *writes(bench, device, permit, schema)):
                with pytest.raises(HouseRuleBroken):
                    await attempt
        await device.close()
        assert bench.writes() == 0

    # --------------------------------------------------------------------------------------- failures

    async def test_a_device_that_dies_while_it_answers_is_unreachable(self, bench: DriverBench) -> None:
        device, permit = bench.connect(), bench.book.read()
        schema = await bench.schema(device, permit)
        await bench.die_in_next_read()
        with pytest.raises(Unreachable):
            await device.read_elements(permit, schema)
        await device.close()
        assert bench.book.steps == []

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


class LoadOnlyContract(ReadingContract):
    """A driver of a platform that is loaded and backed up, and never written to."""

    async def test_every_write_is_refused_and_nothing_sent(self, bench: DriverBench) -> None:
        assert not bench.driver.capabilities.writes
        device, permit = bench.connect(), bench.book.write()
        schema = await bench.schema(device, permit)
        for attempt in writes(bench, device, permit, schema):
            with pytest.raises(Rejected, match="is loaded and backed up only"):
                await attempt
        await device.close()
        assert bench.writes() == 0 and bench.book.steps == []


def reads(device: DeviceConnection, permit: Permit[Read], schema: Schema) -> Iterator[Awaitable[object]]:
    """Every method that reads, one call after the other."""
    yield device.facts(permit)
    yield device.read_schema(permit)
    yield device.read_elements(permit, schema)


def writes(
    bench: DriverBench, device: DeviceConnection, permit: Permit[Write], schema: Schema
) -> Iterator[Awaitable[object]]:
    """Every method that writes, one call after the other."""
    yield device.lock(permit)
    yield device.unlock(permit)
    yield device.write(permit, schema, ElementEdit(None, bench.new_element()))
    yield device.verify(permit)
    yield device.save(permit)
    yield device.activate(permit)
    yield device.confirm(permit)
    yield device.restore(permit, "running")
