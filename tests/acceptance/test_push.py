"""From staged changes to the device and back, through the real gate, store and driver, onto a virtual SBC.

The device's own journal is the witness of what was written to it, and when.
"""

from __future__ import annotations

import asyncio

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import (
    DeviceBusy,
    DeviceLocked,
    StaleConfiguration,
)
from opensdm.core.operations import (
    DiscardChanges,
    LockDevice,
    PushAction,
    PushChanges,
)
from opensdm.core.results import FAILED, NOT_APPLICABLE, SUCCEEDED
from opensdm.core.staging import Edit
from tests.acceptance.provisioning import (
    ALL,
    Bench,
    flags,
    interface,
    realm,
    until,
)


async def test_staged_changes_reach_the_running_configuration(bench: Bench) -> None:
    await bench.add("alice", realm("peering", description="new", mrInRealm="enabled"))
    await bench.add("alice", interface())
    await bench.update("alice", realm("access", description="changed"))
    await bench.delete("alice", Element("sessionAgent", {"hostname": "softswitch.example"}))
    before = (await bench.device()).loaded_version
    reply = await bench.push()
    assert (reply.status, reply.error_code) == (SUCCEEDED, None)
    assert flags(reply) == dict.fromkeys(
        ("lock", "validation", "create", "integrity_check", "save", "activate", "unlock"), SUCCEEDED
    )
    assert bench.writes() == [
        "lock", "session-agent hostname=softswitch.example", "realm-config identifier=peering",
        "sip-interface realm-id=core", "realm-config identifier=access", "verify", "save", "activate", "unlock",
    ]  # fmt: skip
    running = bench.stored("running", "realm-config", identifier="peering")
    assert running is not None and running["mm-in-realm"] == "enabled"
    assert bench.stored("running", "session-agent", hostname="softswitch.example") is None
    assert await bench.pending() == []
    device = await bench.device()
    assert (device.status, device.last_operation) == ("In Sync", "SaveAndActivate")
    assert device.loaded_version > before
    (shown,) = [e for e in await bench.listed("realmConfig") if e.attributes["id"] == "peering"]
    assert shown.attributes["denyPeriod"] == "30"  # our copy has what the device filled in


async def test_saving_and_activating_can_be_two_pushes(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    saved = await bench.push(action=PushAction.SAVE)
    assert (saved.status, saved.activate, saved.save) == (SUCCEEDED, NOT_APPLICABLE, SUCCEEDED)
    assert bench.stored("saved", "realm-config", identifier="peering")
    assert bench.stored("running", "realm-config", identifier="peering") is None
    assert ((await bench.device()).status, await bench.pending()) == ("Modified", [])
    await bench.update("alice", realm("peering", description="second thoughts"))
    activated = await bench.push(action=PushAction.ACTIVATE)
    assert flags(activated) == dict.fromkeys(("lock", "activate", "unlock"), SUCCEEDED)
    running = bench.stored("running", "realm-config", identifier="peering")
    assert running is not None and running["description"] == ""
    assert (await bench.device()).last_operation == "Activate"
    assert await bench.pending() == [(Edit.MODIFIED, "realmConfig", ("peering",))]
    assert (await bench.push()).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="peering") or {})["description"] == "second thoughts"


async def test_a_load_between_saving_and_activating_forgets_neither(bench: Bench) -> None:
    await bench.add("alice", interface())
    await bench.push(action=PushAction.SAVE)
    assert (await bench.load()).device.status == "Modified"
    assert [e.attributes["realmId"] for e in await bench.listed("sipInterface")] == ["access"]
    await bench.add("alice", realm("peering"))
    assert (await bench.push()).status == SUCCEEDED
    assert [e.attributes["realmId"] for e in await bench.listed("sipInterface")] == ["access", "core"]
    assert (await bench.load()).device.status == "In Sync"


async def test_a_push_without_changes_succeeds_and_says_so(bench: Bench) -> None:
    reply = await bench.push()
    assert (reply.status, reply.create, reply.integrity_check) == (SUCCEEDED, NOT_APPLICABLE, NOT_APPLICABLE)
    assert reply.validation_message == "there were no staged changes"
    assert bench.writes() == ["lock", "verify", "save", "activate", "unlock"]


async def test_the_users_own_lock_survives_the_push_of_another_session(bench: Bench) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id, reason="window 4711"))
    await bench.add("alice", realm("peering"))
    second = await bench.house.caller("alice", again=True)
    reply = await bench.house.gate.execute(second, PushChanges(device_id=bench.device_id, action=ALL))
    assert reply.status == SUCCEEDED
    writes = len(bench.writes())
    with pytest.raises(DeviceLocked, match="alice"):
        await bench.push("bob")
    with pytest.raises(DeviceLocked, match="window 4711"):
        await bench.load("bob")
    assert len(bench.writes()) == writes


async def test_what_is_staged_while_a_push_runs_stays_staged(bench: Bench) -> None:
    await bench.add("alice", realm("peering", description="one"))
    bench.sbc.control({"job_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: "verify" in bench.writes())
    with pytest.raises(DeviceBusy, match="PushChanges of alice"):
        await bench.push("bob")
    await bench.update("alice", realm("peering", description="two"))
    await bench.add("alice", realm("later"))
    assert (await pushing).status == SUCCEEDED
    assert await bench.pending() == [
        (Edit.MODIFIED, "realmConfig", ("peering",)),
        (Edit.CREATED, "realmConfig", ("later",)),
    ]
    assert (bench.stored("running", "realm-config", identifier="peering") or {})["description"] == "one"
    assert (await bench.push()).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="peering") or {})["description"] == "two"


# ----------------------------------------------------------------------------------------------- stale


async def test_the_second_of_two_pushes_on_one_element_is_stale(bench: Bench) -> None:
    await bench.update("alice", realm("core", description="hers"))
    await bench.update("bob", realm("core", description="his"))
    await bench.update("bob", realm("access", description="his, too"))
    assert (await bench.push("alice")).status == SUCCEEDED
    writes = len(bench.writes())
    with pytest.raises(StaleConfiguration, match="realmConfig core") as caught:
        await bench.push("bob")
    assert caught.value.facts["differences"] == [
        {
            "elementTypePath": "realmConfig", "key": ["core"], "attribute": "description",
            "old": "carrier core", "new": "hers",
        }
    ]  # fmt: skip
    assert len(bench.writes()) == writes
    assert len(await bench.pending("bob")) == 2


async def test_pushes_on_different_elements_both_go_through(bench: Bench) -> None:
    await bench.update("alice", realm("core", description="hers"))
    await bench.add("bob", realm("peering"))
    assert (await bench.push("alice")).status == (await bench.push("bob")).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="core") or {})["description"] == "hers"


async def test_a_change_that_refers_to_what_went_meanwhile_is_stale(bench: Bench) -> None:
    await bench.add("alice", Element("sessionAgent", {"hostname": "agent.example", "realmId": "access"}))
    await bench.delete("bob", Element("sipInterface", {"realmId": "access"}))
    await bench.delete("bob", realm("access"))
    assert (await bench.push("bob")).status == SUCCEEDED
    with pytest.raises(
        StaleConfiguration, match=r"agent\.example: realmId refers to realmConfig access, which is gone"
    ):
        await bench.push("alice")


async def test_a_device_changed_outside_us_is_stale_before_anything_is_sent(bench: Bench) -> None:
    await bench.update("alice", realm("core", description="hers"))
    bench.edited_outside("realm-config", ("core",), identifier="core", description="console")
    with pytest.raises(StaleConfiguration, match="the device holds something else"):
        await bench.push()
    assert bench.writes() == []
    await bench.load()
    with pytest.raises(StaleConfiguration, match="since they were staged"):
        await bench.push()
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    await bench.update("alice", realm("core", description="hers"))
    assert (await bench.push()).status == SUCCEEDED


async def test_other_software_on_the_device_has_its_own_flag(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    bench.sbc._device.version = "SCZ9.2.0"
    reply = await bench.push()
    assert (reply.status, reply.firmware_changed, flags(reply)) == (FAILED, True, {})
    assert "SCZ9.2.0" in (reply.error_message or "")
    assert bench.writes() == []
    assert (await bench.load()).device.software_version == "SCZ9.2.0"
    assert (await bench.push()).status == SUCCEEDED
