"""An HA pair of SBCs that switches over, before and in the middle of everything a push does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from opensdm.core.element import Element, Schema
from opensdm.core.errors import Rejected, SdmError
from opensdm.core.permit import Permit, Write
from opensdm.core.ports import DeviceConnection, ElementEdit
from opensdm.simulator import VirtualSbc
from opensdm.testing.driver_bench import find, push
from tests.contract.acme_bench import WRITING, AcmeBench, benches

STEPS = ("lock", "first write", "second write", "verify", "save", "activate", "unlock")
SECOND = Element("realmConfig", {"id": "second"})


@dataclass
class HaPair:
    """Two units, and the device they are; `one` is active at first."""

    device: AcmeBench
    one: VirtualSbc
    two: VirtualSbc

    def writes(self, unit: VirtualSbc, *, stored: bool | None = None) -> int:
        entries = [entry for entry in unit.journal if entry.kind in WRITING]
        return len([entry for entry in entries if stored in (None, entry.stored)])

    def running(self, unit: VirtualSbc, realm: str) -> bool:
        return any(e["attributes"].get("identifier") == [realm] for e in unit.stores.running.as_json())


@pytest.fixture
async def pair() -> AsyncIterator[HaPair]:
    async with benches() as start:
        other = await start(plain_http=True)
        device = await start(plain_http=True, secondary=other)
        device.sbc.pair_with(other.sbc)
        yield HaPair(device, device.sbc, other.sbc)


def parts(
    device: DeviceConnection, permit: Permit[Write], schema: Schema
) -> dict[str, Callable[[], Awaitable[object]]]:
    """What a push does, one part after the other."""
    first = ElementEdit(None, Element("realmConfig", {"id": "first"}))
    return {
        "lock": lambda: device.lock(permit),
        "first write": lambda: device.write(permit, schema, first),
        "second write": lambda: device.write(permit, schema, ElementEdit(None, SECOND)),
        "verify": lambda: device.verify(permit),
        "save": lambda: device.save(permit),
        "activate": lambda: device.activate(permit),
        "unlock": lambda: device.unlock(permit),
    }


async def push_parts(device: DeviceConnection, permit: Permit[Write], schema: Schema, until: str = "") -> None:
    for name, part in parts(device, permit, schema).items():
        if name == until:
            return
        await part()


async def again(pair: HaPair) -> None:
    """A new push of what is missing, by a new operation: it goes to the unit that is active now, and comes through."""
    before = pair.writes(pair.one)
    device, permit = pair.device.connect(), pair.device.book.write()
    schema = await device.read_schema(permit)
    edits = []
    for name in ("first", "second"):
        realm = Element("realmConfig", {"id": name})
        if await find(device, permit, schema, realm, running=False) is None:
            edits.append(ElementEdit(None, realm))
    await push(device, permit, schema, *edits)
    await device.close()
    assert pair.writes(pair.one) == before
    assert all(pair.running(unit, realm) for unit in (pair.one, pair.two) for realm in ("first", "second"))


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_switchover_nothing_more_is_sent_to_the_unit_that_is_standby_now(pair: HaPair, step: str) -> None:
    device, permit = pair.device.connect(), pair.device.book.write()
    schema = await device.read_schema(permit)
    await push_parts(device, permit, schema, until=step)
    sent = pair.writes(pair.one)
    pair.one.switch_over()
    part = parts(device, permit, schema)[step]
    if step == "lock":
        await part()
        await device.unlock(permit)
    else:
        with pytest.raises(Rejected, match=r"is standby now: the pair switched over during this work"):
            await part()
    await device.close()
    assert pair.writes(pair.one) == sent == STEPS.index(step)
    await again(pair)


@pytest.mark.parametrize("step", STEPS)
async def test_a_switchover_just_as_a_write_arrives_is_refused_there_and_told(pair: HaPair, step: str) -> None:
    """Between the look at the role and the write there is always a moment."""
    device, permit = pair.device.connect(), pair.device.book.write()
    schema = await device.read_schema(permit)
    await push_parts(device, permit, schema, until=step)
    pair.one.control({"switch_before_writes": 0})
    with pytest.raises(SdmError) as caught:
        await parts(device, permit, schema)[step]()
    await device.close()
    assert "standby" in caught.value.message
    assert pair.writes(pair.one, stored=True) == STEPS.index(step) and pair.writes(pair.two) == 0
    assert [s for s in pair.device.book.steps if s.open] == []
    await again(pair)


@pytest.mark.parametrize("step", ["verify", "save", "activate"])
async def test_a_switchover_while_a_job_runs_ends_it_and_is_told(pair: HaPair, step: str) -> None:
    pair.one.control({"job_delay_s": 0.05})
    device, permit = pair.device.connect(), pair.device.book.write()
    schema = await device.read_schema(permit)
    await push_parts(device, permit, schema, until=step)
    pair.one.control({"job_delay_s": 30})
    job = asyncio.ensure_future(parts(device, permit, schema)[step]())
    sent = STEPS.index(step) + 1
    for _ in range(1000):
        if pair.writes(pair.one) == sent:
            break
        await asyncio.sleep(0.01)
    pair.one.switch_over()
    if step == "verify":
        assert "became standby" in str(await job)
    else:
        with pytest.raises(Rejected, match=rf"switched over .*|its {step} ended with: broken off"):
            await job
    await device.close()
    pair.one.control({"job_delay_s": 0.01})
    assert pair.writes(pair.one) == sent
    await again(pair)


async def test_the_way_back_after_a_switchover_is_on_the_unit_that_is_active_now(pair: HaPair) -> None:
    """As a push that failed does: the lock anew, then what runs."""
    device, permit = pair.device.connect(), pair.device.book.write()
    schema = await device.read_schema(permit)
    await push_parts(device, permit, schema, until="save")
    pair.one.switch_over()
    with pytest.raises(Rejected, match="switched over"):
        await device.restore(permit, "running")
    await device.lock(permit)
    await device.restore(permit, "running")
    assert await find(device, permit, schema, SECOND, running=False) is None
    await device.unlock(permit)
    await device.close()
    assert pair.writes(pair.two, stored=True) == 3


async def test_a_lock_left_on_a_unit_is_ended_when_that_unit_is_active_again(pair: HaPair) -> None:
    device, permit = pair.device.connect(), pair.device.book.write()
    schema = await device.read_schema(permit)
    await push_parts(device, permit, schema, until="save")
    pair.one.switch_over()
    with pytest.raises(Rejected):
        await device.save(permit)
    await device.close()
    assert pair.one.tokens.lock_holder() is not None
    pair.two.switch_over()
    following = pair.device.connect()
    await following.lock(permit)
    await following.restore(permit, "running")
    await following.unlock(permit)
    await following.close()
    assert pair.one.tokens.lock_holder() is None and pair.device.book.note is None


async def test_the_active_unit_dies_in_a_push_and_the_next_one_goes_to_the_other(pair: HaPair) -> None:
    device, permit = pair.device.connect(), pair.device.book.write()
    schema = await device.read_schema(permit)
    await push_parts(device, permit, schema, until="save")
    await pair.one.stop()
    pair.one.switch_over()
    with pytest.raises(SdmError):
        await device.save(permit)
    await device.lock(permit)
    await device.restore(permit, "running")
    await device.unlock(permit)
    await device.close()
    assert pair.writes(pair.two, stored=True) == 3
