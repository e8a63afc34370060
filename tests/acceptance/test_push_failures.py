"""Everything that goes wrong during a push: what is said, what is put back, what stays staged."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import (
    DeviceBusy,
    DeviceLocked,
    StaleConfiguration,
    Unreachable,
)
from opensdm.core.operations import (
    DiscardChanges,
    LockDevice,
    PushAction,
)
from opensdm.core.results import FAILED, NOT_APPLICABLE, SUCCEEDED, UNKNOWN
from tests.acceptance.provisioning import (
    Bench,
    assert_untouched,
    flags,
    realm,
    staged,
    until,
)
from tests.gatehouse import open_house


async def test_a_lock_held_on_the_device_itself(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"console_lock": True})
    reply = await bench.push()
    assert (reply.status, reply.error_code, flags(reply)) == (FAILED, "DEVICE_SIDE_LOCKED", {"lock": FAILED})
    assert "console" in (reply.error_message or "")
    bench.sbc.control({"console_lock": False})
    assert (await bench.push()).status == SUCCEEDED


async def test_an_edit_the_device_lost_is_caught_and_everything_put_back(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"lose_edits": 1})
    reply = await bench.push()
    assert (reply.status, reply.error_code) == (FAILED, "EDIT_LOST")
    assert flags(reply) == {
        "lock": SUCCEEDED, "create": SUCCEEDED, "validation": SUCCEEDED, "integrity_check": FAILED,
        "restore": SUCCEEDED, "unlock": SUCCEEDED,
    }  # fmt: skip
    assert "realmConfig peering" in (reply.error_message or "")
    await assert_untouched(bench)
    assert (await bench.push()).status == SUCCEEDED


async def test_what_the_device_does_not_accept_is_said_in_its_words(bench: Bench) -> None:
    await staged(bench)
    await bench.add("alice", Element("sessionAgent", {"hostname": "agent.example", "realmId": "nowhere"}))
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.validation, reply.restore) == (FAILED, "REJECTED", FAILED, SUCCEEDED)
    assert "[nowhere] in realm-id, which does not exist" in (reply.validation_message or "")
    assert (reply.save, reply.activate) == (NOT_APPLICABLE, NOT_APPLICABLE)
    await bench.delete("alice", Element("sessionAgent", {"hostname": "agent.example"}))
    await assert_untouched(bench)


async def test_an_element_the_device_refuses_to_store(bench: Bench) -> None:
    await staged(bench)
    await bench.update("alice", realm("core", addrPrefix="not an address"))
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.create, reply.restore) == (FAILED, "REJECTED", FAILED, SUCCEEDED)
    assert "not an address or prefix" in (reply.error_message or "")
    assert bench.stored("editing", "realm-config", identifier="peering") is None


@pytest.mark.parametrize("applies", [True, False])
@pytest.mark.parametrize("answered", [0, 1])
async def test_a_connection_cut_in_the_middle(bench: Bench, answered: int, applies: bool) -> None:
    await staged(bench)
    bench.sbc.control({"drop_after_writes": answered, "drop_applies": applies})
    reply = await bench.push()
    assert (reply.status, reply.error_code) == (FAILED, "UNREACHABLE")
    assert flags(reply) == {"lock": SUCCEEDED, "create": UNKNOWN, "restore": SUCCEEDED, "unlock": SUCCEEDED}
    await assert_untouched(bench)
    assert (await bench.push()).status == SUCCEEDED


@pytest.mark.parametrize("action", ["save", "activate"])
async def test_a_job_that_fails_is_undone(bench: Bench, action: str) -> None:
    await staged(bench)
    bench.sbc.control({"fail_jobs": [action]})
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "REJECTED", SUCCEEDED)
    assert getattr(reply, action) == FAILED
    await assert_untouched(bench)


async def test_a_rollback_that_fails_is_said_and_the_next_push_cleans_up(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"fail_jobs": ["save", "restore"]})
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "ROLLBACK_FAILED", FAILED)
    assert (await bench.device()).status == "Uncertain"
    assert bench.stored("editing", "realm-config", identifier="peering") is not None
    bench.sbc.control({"fail_jobs": []})
    await bench.update("bob", realm("core", description="his"))
    assert (await bench.push("bob")).status == SUCCEEDED
    assert bench.stored("running", "realm-config", identifier="peering") is None
    assert (await bench.device()).status == "In Sync"
    assert (await bench.push("alice")).status == SUCCEEDED


async def test_leftovers_on_top_of_a_saved_configuration(bench: Bench) -> None:
    await bench.add("bob", realm("saved-first"))
    assert (await bench.push("bob", PushAction.SAVE)).status == SUCCEEDED
    await staged(bench)
    bench.sbc.control({"fail_jobs": ["save", "restore"]})
    assert (await bench.push()).error_code == "ROLLBACK_FAILED"
    bench.sbc.control({"fail_jobs": []})
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    assert (await bench.push()).status == SUCCEEDED
    assert bench.stored("running", "realm-config", identifier="peering") is None
    assert bench.stored("running", "realm-config", identifier="saved-first") is not None
    assert "saved-first" in {e.attributes["id"] for e in await bench.listed("realmConfig")}


async def test_leftovers_on_a_device_changed_outside_are_not_ours_to_clean_up(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"fail_jobs": ["save", "restore"]})
    await bench.push()
    bench.sbc.control({"fail_jobs": []})
    bench.edited_outside("realm-config", ("core",), identifier="core", description="console")
    writes = len(bench.writes())
    with pytest.raises(StaleConfiguration, match="the device runs something else"):
        await bench.push()
    assert len(bench.writes()) == writes


async def test_a_device_that_went_away(bench: Bench) -> None:
    await staged(bench)
    await bench.sbc.stop()
    with pytest.raises(Unreachable):
        await bench.push()
    with pytest.raises(Unreachable):
        await bench.load()
    assert len(await bench.pending()) == 2


async def test_a_token_the_device_forgets_in_the_middle(bench: Bench) -> None:
    """Its lock goes with it: the push ends, and what it wrote is put back in a new session."""
    await staged(bench)
    bench.sbc.control({"job_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: "verify" in bench.writes())
    bench.sbc.tokens.revoke_all()
    reply = await pushing
    assert (reply.status, reply.restore) == (FAILED, SUCCEEDED)
    await assert_untouched(bench)


async def test_a_device_that_goes_away_in_the_middle_and_comes_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what it holds, so the record says just that; the next push looks, cleans up and goes on."""
    monkeypatch.setattr("opensdm.drivers.acme_sbc.WRITE_LIMIT_S", 2.0)
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == 2)
    await bench.sbc.stop()
    reply = await pushing
    assert (reply.status, reply.error_code) == (FAILED, "ROLLBACK_FAILED")
    assert flags(reply) == {"lock": SUCCEEDED, "create": UNKNOWN, "restore": UNKNOWN, "unlock": UNKNOWN}
    device = await bench.device()
    assert (device.status, len(await bench.pending())) == ("Uncertain", 2)
    assert bench.stored("editing", "realm-config", identifier="peering") is not None
    bench.sbc.control({"write_delay_s": 0.0})
    await bench.start_again()
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    await asyncio.sleep(2.1)  # until then the write that was cut off counts as on its way
    assert (await bench.push()).status == SUCCEEDED
    assert bench.stored("editing", "realm-config", identifier="peering") is None


async def test_a_server_that_dies_in_the_middle_finds_out_when_it_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opensdm.drivers.acme_sbc.WRITE_LIMIT_S", 2.0)
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == 3)
    await bench.house.crash()
    with contextlib.suppress(asyncio.CancelledError):
        await pushing
    bench.sbc.control({"write_delay_s": 0.0})
    bench.house = again = await open_house(bench.house.url, bench.house.key_file)
    assert len(await bench.pending()) == 2
    with pytest.raises(DeviceBusy, match="PushChanges of alice"):
        await bench.push()  # what was on the wire may still reach the device
    await asyncio.sleep(2.1)
    assert bench.sbc.tokens.lock_holder() is not None, "of the session that died with the server"
    with pytest.raises(DeviceLocked, match="alice"):
        await bench.push("bob")
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    assert (await bench.push()).status == SUCCEEDED
    assert bench.stored("running", "realm-config", identifier="peering") is None
    assert bench.sbc.tokens.lock_holder() is None, "it was ended, not waited for"
    await again.close()
