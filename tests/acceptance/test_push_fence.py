"""A push whose lock is taken away writes nothing more, and whoever took it can go on."""

from __future__ import annotations

import asyncio

import pytest

from opensdm.core.errors import (
    StaleConfiguration,
)
from opensdm.core.lock import OverrideMode
from opensdm.core.operations import (
    LockDevice,
    OverrideLock,
)
from opensdm.core.results import FAILED, NOT_APPLICABLE, SUCCEEDED
from tests.acceptance.provisioning import (
    Bench,
    realm,
    staged,
    until,
)


@pytest.mark.parametrize("after", range(1, 8))
async def test_an_override_stops_the_push_before_its_next_write(bench: Bench, after: int) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.15, "job_delay_s": 0.15})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == after)
    override = OverrideLock(device_id=bench.device_id, reason="emergency 4711", expected_holder="alice")
    taken = await bench.do("admin", override)
    assert not taken.settled
    written = len(bench.writes())
    reply = await pushing
    assert len(bench.writes()) == written == after
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "LOCK_LOST", NOT_APPLICABLE)
    assert "admin" in (reply.error_message or "") and "emergency 4711" in (reply.error_message or "")
    assert len(await bench.pending()) == 2
    bench.sbc.control({"write_delay_s": 0.0, "job_delay_s": 0.01})
    if after < ACTIVATE:
        await assert_admin_can_go_on(bench)
        return
    # The activation was on its way when the lock was taken: the device runs the changes, and our copy does not say so.
    assert bench.stored("running", "realm-config", identifier="peering")
    await bench.update("admin", realm("core", description="hers who took over"))
    with pytest.raises(StaleConfiguration, match="realmConfig peering"):
        await bench.push("admin")
    await bench.load("admin")
    assert (await bench.push("admin")).status == SUCCEEDED


ACTIVATE = 6
"""Which write of the push of `staged` is the activation: after lock, two elements, verify and save."""


async def assert_admin_can_go_on(bench: Bench) -> None:
    """Whoever took over finds no device-side lock in the way and carries along none of the cut-off edits."""
    await bench.update("admin", realm("core", description="hers who took over"))
    reply = await bench.push("admin")
    assert reply.status == SUCCEEDED, reply
    for store in ("editing", "saved", "running"):
        assert bench.stored(store, "realm-config", identifier="peering") is None, store
        assert (bench.stored(store, "realm-config", identifier="core") or {})["description"] == "hers who took over"
    assert bench.sbc.tokens.lock_holder() is None


async def test_a_graceful_override_lets_the_push_end(bench: Bench) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"job_delay_s": 0.2})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: "verify" in bench.writes())
    override = OverrideLock(device_id=bench.device_id, reason="when done", mode=OverrideMode.GRACEFUL)
    assert not (await bench.do("admin", override)).settled
    assert (await pushing).status == SUCCEEDED


async def test_a_load_after_cut_off_work_says_that_the_device_is_uncertain(bench: Bench) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.15})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == 3)
    await bench.do("admin", OverrideLock(device_id=bench.device_id, reason="now"))
    await pushing
    bench.sbc.control({"write_delay_s": 0.0})
    assert (await bench.load("admin")).device.status == "Uncertain"
    await assert_admin_can_go_on(bench)
