"""The device lock over REST: who is refused what, with which status, and that nothing changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from opensdm.core.operations import PushAction
from tests.doors import wire
from tests.doors.conftest import Connect, Rest
from tests.doors.wire import listed, members, read, refused
from tests.gatehouse import House

MEDIA = ["xml", "json"]
FORMS = [(version, medium) for version in ("v1.0", "v1.3", "v1.4") for medium in MEDIA]
TRACES = {"audit_entry", "session", "login_failure", "node", "lock_loss", "counter", "sqlite_sequence"}
"""Tables in which a refusal may leave something: that it happened, who was told, numbers that were drawn."""


def state_of(directory: Path) -> dict[str, list[Any]]:
    """Everything in the database that a refused request must leave as it is."""
    with sqlite3.connect(directory / "opensdm.db") as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {t: sorted(database.execute(f"SELECT * FROM {t}"), key=repr) for t in {*tables} - TRACES}  # noqa: S608


async def guarded(client: Rest, device_id: int, nf_id: int) -> dict[str, Any]:
    """Everything a foreign lock refuses, sent by this client."""
    medium, device, nf = client.medium, f"ID{device_id}", f"/inventory/nfMgmt/nfs/ID{nf_id}"
    config = f"/configuration/deviceConfigs/{device}/configElements"
    realm = wire.element(medium, "realmConfig", id="r1")
    group_lock = wire.simple(medium, "deviceGroupAction", type="Lock")
    answers = {
        "lock": await client.act(device_id, "Lock"),
        "group lock": await client.post(f"{nf}/groups/ID{nf_id}/action", group_lock),
        "move": await client.put(nf, wire.simple(medium, "nfConfig", parentGroupFullName="Home/West")),
        "delete": await client.delete(nf),
        "credentials": await client.put(f"{nf}/groups/ID{nf_id}", wire.parameters(medium, snmp_port="1161")),
        "load": await client.get(f"/configuration/devices/{device}/loadConfig"),
        "add": await client.post(f"{config}/add", realm),
        "update": await client.post(f"{config}/update", realm),
        "remove": await client.post(f"{config}/delete", realm),
        "discard": await client.delete(f"/configuration/deviceConfigs/{device}/configurationChanges"),
        "unassign": await client.delete(f"/configuration/devices/{device}"),
    }
    for action in PushAction:
        body = wire.simple(medium, "deviceAction", type=action.value)
        answers[action.value] = await client.post(f"/configuration/devices/{device}/action", body)
    if client.version == "v1.4":
        answers["facts"] = await client.get(f"/inventory/deviceMgmt/devices/{device}/facts")
    return answers


async def add_west(client: Rest) -> None:
    body = wire.simple(client.medium, "deviceGroup", name="West", parentGroupFullName="Home")
    assert (await client.post("/inventory/deviceMgmt/deviceGroups", body)).status_code == 200


async def nf_of(client: Rest, device_id: int) -> int:
    shown = read(await client.get(f"/inventory/deviceMgmt/devices/ID{device_id}"))
    return int(shown["nfId"].removeprefix("ID"))


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_a_foreign_lock_refuses_everything_and_nothing_changes(
    house: House, connect: Connect, tmp_path: Path, version: str, medium: str
) -> None:
    device_id = await house.enrol("edge-a")
    holder = await connect("alice", "v1.4", "xml")
    await add_west(holder)
    with_reason = "<deviceAction><type>Lock</type><reason>maintenance 4711</reason></deviceAction>"
    taken = await holder.post(f"/inventory/deviceMgmt/devices/ID{device_id}/action", with_reason)
    assert taken.status_code == 200
    since = read(taken)["since"]

    for user in ("bob", "admin"):
        client = await connect(user, version, medium)
        before = state_of(tmp_path)
        for what, answer in (await guarded(client, device_id, await nf_of(holder, device_id))).items():
            body = refused(answer, 423 if version == "v1.4" else 400, "DEVICE_LOCKED")
            assert all(word in body["message"] for word in ("alice", since, "maintenance 4711")), (what, body)
            (blocker,) = listed(body["blockers"])
            assert (blocker["kind"], blocker["deviceId"], blocker["deviceName"]) == ("lock", f"ID{device_id}", "edge-a")
            assert (blocker["holder"], blocker["since"], blocker["reason"]) == ("alice", since, "maintenance 4711")
            assert blocker["door"] == "rest" and int(blocker["epoch"]) == 1
        unlock = await client.act(device_id, "Unlock")
        refused(unlock, 403 if version == "v1.4" else 400, "NOT_LOCK_OWNER")
        assert state_of(tmp_path) == before


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_the_holder_works_on_from_a_second_session(
    house: House, connect: Connect, version: str, medium: str
) -> None:
    device_id = await house.enrol("edge-a")
    first, second = await connect("alice", version, medium), await connect("alice", version, medium)
    assert first.token != second.token
    await add_west(first)
    done = 200 if version == "v1.4" else 204
    assert (await first.act(device_id, "Lock")).status_code == done
    nf_id = await nf_of(first, device_id)
    answers = await guarded(second, device_id, nf_id)
    assert answers["lock"].status_code == answers["group lock"].status_code == done
    assert answers["move"].status_code == answers["delete"].status_code == 204
    device_id = await house.enrol("edge-b")
    assert (await first.act(device_id, "Lock")).status_code == done
    for kind in ("Unlock", "Unlock", "unLOCK"):
        assert (await second.act(device_id, kind)).status_code == done


async def test_published_versions_answer_without_a_body(house: House, connect: Connect) -> None:
    device_id = await house.enrol("edge-a")
    client = await connect("alice", "v1.3", "xml")
    answer = await client.act(device_id, "lock")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("medium", MEDIA)
async def test_our_version_answers_with_the_lock(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    client = await connect("alice", "v1.4", medium)
    lock = read(await client.act(device_id, "Lock"))
    assert (lock["state"], lock["holder"], lock["deviceId"], lock["deviceName"]) == (
        "HELD", "alice", f"ID{device_id}", "edge-a",
    )  # fmt: skip
    assert (int(lock["epoch"]), lock["door"], lock["scope"]) == (1, "rest", "user")
    again = read(await client.act(device_id, "Lock"))
    assert again["epoch"] == lock["epoch"] and again["since"] == lock["since"]
    shown = read(await client.get(f"/inventory/deviceMgmt/devices/ID{device_id}/lock"))
    assert shown["holder"] == "alice" and str(shown["holderLoggedIn"]).lower() == "true"
    assert [entry["holder"] for entry in members(await client.get("/inventory/locks"), "deviceLocks")] == ["alice"]
    assert not members(await client.get("/inventory/locks?holder=bob"), "deviceLocks")
    assert not members(await client.get("/inventory/locks?stale=true"), "deviceLocks")
    refused(await client.get("/inventory/locks?stale=perhaps"), 400, "INVALID_REQUEST")
    freed = await client.act(device_id, "Unlock")
    assert read(freed)["state"] == "FREE" and "holder" not in read(freed)
    minimal = await client.act(device_id, "Lock", Prefer="respond-async, return=minimal")
    assert (minimal.status_code, minimal.content) == (204, b"")
    events = members(await client.get(f"/inventory/deviceMgmt/devices/ID{device_id}/lock/events"), "lockEvents")
    assert sorted(event["kind"].rpartition(":")[2] for event in events) == ["released", "taken", "taken"]


@pytest.mark.parametrize("version", ["v1.3", "v1.4"])
async def test_a_group_is_locked_whole_or_not_at_all(
    house: House, connect: Connect, tmp_path: Path, version: str
) -> None:
    admin = await connect("admin", "v1.3", "json")
    cluster = await admin.post("/inventory/nfMgmt/nfs", CLUSTER)
    assert cluster.status_code == 200, cluster.text
    nf_id = read(cluster)["id"]
    devices = members(await admin.get("/inventory/deviceMgmt/devices?nfName=pair"), "devices")
    assert [device["name"] for device in devices] == ["pair-1", "pair-2"]
    ids = [int(device["id"].removeprefix("ID")) for device in devices]
    alice, bob = await connect("alice", version, "json"), await connect("bob", version, "xml")
    lock, group = wire.simple("json", "deviceGroupAction", type="Lock"), f"/inventory/nfMgmt/nfs/{nf_id}/groups/{nf_id}"
    assert (await bob.act(ids[1], "Lock")).status_code < 300

    before = state_of(tmp_path)
    body = refused(await alice.post(f"{group}/action", lock), 423 if version == "v1.4" else 400, "DEVICE_LOCKED")
    assert [blocker["deviceName"] for blocker in body["blockers"]] == ["pair-2"]
    assert state_of(tmp_path) == before

    assert (await bob.act(ids[1], "Unlock")).status_code < 300
    taken = await alice.post(f"{group}/action", lock)
    if version == "v1.4":
        assert [(entry["deviceName"], entry["holder"]) for entry in members(taken, "deviceLocks")] == [
            ("pair-1", "alice"), ("pair-2", "alice"),
        ]  # fmt: skip
    else:
        assert (taken.status_code, taken.content) == (204, b"")
    refused(await bob.act(ids[0], "Lock"), 423 if version == "v1.4" else 400, "DEVICE_LOCKED")
    freed = await alice.post(f"{group}/action", wire.simple("json", "deviceGroupAction", type="UNLOCK"))
    assert freed.status_code == (200 if version == "v1.4" else 204)


CLUSTER = """{"name":"pair","nfCategory":{"name":"SP Edge & Core"},"nfType":{"name":"Device Cluster"},
    "parameters":[{"name":"username","value":"ops"},{"name":"password","value":"pw"}],
    "nfcConfigs":[{"name":"east","deviceConfigs":[
        {"parameters":[{"name":"primary.ip","value":"192.0.2.21"}]},
        {"parameters":[{"name":"primary.ip","value":"192.0.2.22"}]}]}]}"""


# ---------------------------------------------------------------------------------------- override


async def override(client: Rest, device_id: int, **fields: str) -> Any:
    body = wire.simple(client.medium, "lockOverride", **fields)
    return await client.post(f"/inventory/deviceMgmt/devices/ID{device_id}/lock/override", body)


@pytest.mark.parametrize("medium", MEDIA)
async def test_an_override_says_whose_lock_it_means(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    alice, bob = await connect("alice", "v1.4", medium), await connect("bob", "v1.4", medium)
    admin = await connect("admin", "v1.4", medium)
    await alice.act(device_id, "Lock")
    refused(await override(bob, device_id, reason="mine", expectedHolder="alice"), 403, "FORBIDDEN")
    refused(await override(admin, device_id, expectedHolder="alice"), 400, "INVALID_REQUEST")
    refused(await override(admin, device_id, reason="x", expectedHolder="alice", mode="soon"), 400, "INVALID_REQUEST")
    refused(await override(admin, device_id, reason="outage", expectedHolder="bob"), 409, "LOCK_CHANGED")
    refused(await override(admin, device_id, reason="outage", expectedEpoch="7"), 409, "LOCK_CHANGED")
    done = read(await override(admin, device_id, reason='the "outage"\tnow'.replace("\t", " "), expectedHolder="alice"))
    assert done["state"] == "FREE" and str(done["settled"]).lower() == "true"
    await alice.act(device_id, "Lock")
    body = wire.simple(medium, "lockOverride", reason="outage", expectedEpoch="3", transfer="true")
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/lock"
    minimal = await admin.post(f"{path}/override", body, Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (204, b"")
    assert read(await admin.get(path))["holder"] == "admin"


@pytest.mark.parametrize("version", ["v1.3", "v1.4"])
async def test_who_lost_a_lock_is_told_at_the_next_call(house: House, connect: Connect, version: str) -> None:
    """By a refusal where the call works on the device, by a header where it only locks or unlocks; once."""
    device_id = await house.enrol("edge-a")
    alice, admin = await connect("alice", version, "json"), await connect("admin", "v1.4", "json")
    await alice.act(device_id, "Lock")
    await override(admin, device_id, reason='the "big" outage', expectedHolder="alice")
    changes = f"/configuration/deviceConfigs/ID{device_id}/configurationChanges"
    body = refused(await alice.delete(changes), 409 if version == "v1.4" else 400, "LOCK_LOST")
    assert body["takenBy"] == "admin" and body["reason"] == 'the "big" outage' and body["takenAt"].endswith("Z")
    assert "takenAtUs" not in body
    assert (await alice.delete(changes)).status_code == 204

    await alice.act(device_id, "Lock")
    await override(admin, device_id, reason='the "big" outage', expectedHolder="alice")
    answer = await alice.act(device_id, "Unlock")
    told = answer.headers["Lock-Lost"]
    assert told.startswith(f"ID{device_id}; epoch=3; by=admin; at=2") and told.endswith(r'reason="the \"big\" outage"')
    assert "Lock-Lost" not in (await alice.act(device_id, "Unlock")).headers


# ------------------------------------------------------------------------------------------- epochs


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_stale_epoch_is_told_first(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    alice = await connect("alice", "v1.4", medium)
    epoch = int(read(await alice.act(device_id, "Lock"))["epoch"])
    device = f"/inventory/deviceMgmt/devices/ID{device_id}"
    assert (await alice.get(device, Lock_Epoch=str(epoch))).status_code == 200
    refused(await alice.get(device, Lock_Epoch=str(epoch + 1)), 409, "LOCK_LOST")
    with_epoch = wire.simple(medium, "deviceAction", type="Unlock", epoch=str(epoch + 1))
    refused(await alice.post(f"{device}/action", with_epoch), 409, "LOCK_LOST")
    for wrong in ("one", "1.5", "-1", "", "9" * 30):
        refused(await alice.get(device, Lock_Epoch=wrong), 400, "INVALID_REQUEST")
    differs = wire.simple(medium, "deviceAction", type="Unlock", epoch=str(epoch))
    refused(await alice.post(f"{device}/action", differs, Lock_Epoch=str(epoch + 1)), 400, "INVALID_REQUEST")
    not_a_number = wire.simple(medium, "deviceAction", type="Unlock", epoch="x")
    refused(await alice.post(f"{device}/action", not_a_number), 400, "INVALID_REQUEST")
    assert (await alice.post(f"{device}/action", differs, Lock_Epoch=str(epoch))).status_code == 200


async def test_published_versions_know_no_epoch(house: House, connect: Connect) -> None:
    device_id = await house.enrol("edge-a")
    alice = await connect("alice", "v1.3", "json")
    device = f"/inventory/deviceMgmt/devices/ID{device_id}"
    assert (await alice.get(device, Lock_Epoch="not a number")).status_code == 200
    body = '{"type":"Lock","epoch":"x","leaseSeconds":-1,"scope":7}'
    assert (await alice.post(f"{device}/action", body)).status_code == 204


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"leaseSeconds": "-1"}, "leaseSeconds"),
        ({"scope": "world"}, "scope"),
        ({"waitSeconds": "-1"}, "waitSeconds"),
        ({"waitSeconds": "soon"}, "waitSeconds"),
    ],
)
@pytest.mark.parametrize("medium", MEDIA)
async def test_what_an_action_cannot_ask_for_is_said(
    house: House, connect: Connect, tmp_path: Path, medium: str, fields: dict[str, str], word: str
) -> None:
    device_id = await house.enrol("edge-a")
    alice = await connect("alice", "v1.4", medium)
    path, before = f"/inventory/deviceMgmt/devices/ID{device_id}/action", state_of(tmp_path)
    body = wire.simple(medium, "deviceAction", type="Lock", **fields)
    assert word in refused(await alice.post(path, body), 400, "INVALID_REQUEST")["message"]
    assert state_of(tmp_path) == before
    patient = wire.simple(medium, "deviceAction", type="Lock", waitSeconds="30", scope="user")
    assert (await alice.post(path, patient)).status_code == 200


# --------------------------------------------------------------------------------------- privileges


@pytest.mark.parametrize("medium", MEDIA)
async def test_monitors_look_and_lock_nothing(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    mona, exact = await connect("mona", "v1.3", medium), await connect("mona", "v1.4", medium)
    assert (await mona.get("/inventory/deviceMgmt/devices")).status_code == 200
    refused(await mona.act(device_id, "Lock"), 401, "FORBIDDEN")
    refused(await exact.act(device_id, "Lock"), 403, "FORBIDDEN")
    refused(await mona.delete(f"/inventory/nfMgmt/nfs/ID{device_id - 1}"), 403, "FORBIDDEN")


async def test_a_read_only_device_is_written_by_nobody(house: House, connect: Connect) -> None:
    device_id = await house.enrol("edge-a", **{"read.only": "true"})
    for user in ("alice", "admin"):
        for version, status in (("v1.3", 400), ("v1.4", 409)):
            client = await connect(user, version, "json")
            config = f"/configuration/deviceConfigs/ID{device_id}/configElements"
            realm = wire.element("json", "realmConfig", id="r1")
            refused(await client.post(f"{config}/add", realm), status, "READ_ONLY_DEVICE")
            body = wire.simple("json", "deviceAction", type="SaveConfig")
            path = f"/configuration/devices/ID{device_id}/action"
            refused(await client.post(path, body), status, "READ_ONLY_DEVICE")


async def test_an_override_with_a_reason_alone_takes_whatever_lock_there_is(house: House, connect: Connect) -> None:
    device_id = await house.enrol("edge-a")
    alice, admin = await connect("alice", "v1.4", "json"), await connect("admin", "v1.4", "json")
    refused(await override(admin, device_id, reason="outage"), 409, "LOCK_CHANGED")
    await alice.act(device_id, "Lock")
    assert read(await override(admin, device_id, reason="outage"))["state"] == "FREE"
