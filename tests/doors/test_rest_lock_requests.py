"""Locks at v1.4: leases and scopes, many devices in one call, asks, checks, confirmations, and the stream of events."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from opensdm.core.operations import FollowLockEvents
from tests.doors import wire
from tests.doors.conftest import Connect
from tests.doors.provisioning_site import events
from tests.doors.wire import listed, members, read, refused
from tests.gatehouse import House
from tests.house.test_gate_waiting import end, waiting, work_of

MEDIA = ["xml", "json"]
LOCKS = "/inventory/locks"


def device(device_id: int) -> str:
    return f"/inventory/deviceMgmt/devices/ID{device_id}"


def many(medium: str, kind: str, *device_ids: int, **fields: str) -> str:
    """A `locksAction`."""
    ids = [f"ID{device_id}" for device_id in device_ids]
    if medium == "json":
        return json.dumps({"type": kind, "deviceIds": ids, **fields})
    inner = "".join(f"<deviceIds>{each}</deviceIds>" for each in ids)
    return wire.simple(medium, "locksAction", type=kind, **fields).replace("</locksAction>", inner + "</locksAction>")


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_lease_is_taken_renewed_and_taken_off(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    alice = await connect("alice", "v1.4", medium)
    path = f"{device(device_id)}/action"
    leased = read(await alice.post(path, wire.simple(medium, "deviceAction", type="Lock", leaseSeconds="600")))
    assert int(leased["leaseSeconds"]) == 600 and leased["leaseUntil"].endswith("Z")
    off = read(await alice.post(path, wire.simple(medium, "deviceAction", type="Lock", leaseSeconds="0")))
    assert "leaseUntil" not in off and off["epoch"] == leased["epoch"]
    too_long = wire.simple(medium, "deviceAction", type="Lock", leaseSeconds="999999999")
    assert "1 to 86400 seconds" in refused(await alice.post(path, too_long), 400, "INVALID_REQUEST")["message"]


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_lock_of_a_session_shuts_out_its_users_other_sessions(
    house: House, connect: Connect, medium: str
) -> None:
    device_id = await house.enrol("edge-a")
    one, other = await connect("alice", "v1.4", medium), await connect("alice", "v1.4", medium)
    path = f"{device(device_id)}/action"
    held = read(await one.post(path, wire.simple(medium, "deviceAction", type="Lock", scope="session")))
    assert held["scope"] == "session"
    refused(await other.act(device_id, "Lock"), 423, "DEVICE_LOCKED")
    refused(await other.act(device_id, "Unlock"), 403, "NOT_LOCK_OWNER")
    assert (await other.act(device_id, "Unlock", Lock_Epoch=str(held["epoch"]))).status_code == 200


@pytest.mark.parametrize("medium", MEDIA)
async def test_many_devices_are_locked_together_or_each_by_itself(house: House, connect: Connect, medium: str) -> None:
    first, second = await house.enrol("edge-a"), await house.enrol("edge-b", "192.0.2.2")
    alice, bob = await connect("alice", "v1.4", medium), await connect("bob", "v1.4", medium)
    assert (await bob.act(second, "Lock")).status_code == 200
    act = f"{LOCKS}/action"
    blockers = listed(
        refused(await alice.post(act, many(medium, "Lock", first, second)), 423, "DEVICE_LOCKED")["blockers"]
    )
    assert [(b["deviceName"], b["holder"]) for b in blockers] == [("edge-b", "bob")]
    assert read(await alice.get(f"{device(first)}/lock"))["state"] == "FREE", "all or nothing"

    each = members(await alice.post(act, many(medium, "Lock", first, second, mode="each")), "results")
    assert [(r["deviceId"], r["code"]) for r in each] == [(f"ID{first}", "SUCCESS"), (f"ID{second}", "DEVICE_LOCKED")]
    assert listed(each[1]["blockers"])[0]["holder"] == "bob" and each[0]["lock"]["holder"] == "alice"
    ask, wait = listed(each[1]["next"])
    assert ask.startswith("opensdm lock ask edge-b ") and wait.startswith("opensdm lock take edge-b --wait 10m ")
    freed = members(await alice.post(act, many(medium, "Unlock", first, second, mode="each")), "results")
    assert [r["code"] for r in freed] == ["SUCCESS", "NOT_LOCK_OWNER"]

    assert (await bob.act(second, "Unlock")).status_code == 200
    taken = members(await alice.post(act, many(medium, "Lock", second, first, first)), "deviceLocks")
    assert [lock["holder"] for lock in taken] == ["alice", "alice"]
    for wrong in (many(medium, "Lock"), many(medium, "Lock", first, mode="some"), many(medium, "Look", first)):
        refused(await alice.post(act, wrong), 400, "INVALID_REQUEST")
    refused(await alice.post(act, many(medium, "Lock", first, 999)), 404, "NOT_FOUND")


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_holder_is_asked_and_sees_who_asks(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    alice, bob = await connect("alice", "v1.4", medium), await connect("bob", "v1.4", medium)
    ask, check = f"{device(device_id)}/lock/ask", f"{device(device_id)}/lock/check"
    message = wire.simple(medium, "lockAsk", message="need it for 10 minutes")
    refused(await bob.post(ask, message), 400, "INVALID_REQUEST")
    assert read(await bob.get(check))["would"] == "grant"
    await alice.act(device_id, "Lock")
    assert (await bob.post(ask, message)).status_code == 200
    would = read(await bob.get(check))
    assert would["would"] == "refuse" and listed(would["blockers"])[0]["holder"] == "alice"
    assert read(await alice.get(check))["would"] == "held"
    (seen,) = listed(read(await alice.get(f"{device(device_id)}/lock"))["asks"])
    assert (seen["asker"], seen["message"]) == ("bob", "need it for 10 minutes")
    assert [a["asker"] for a in members(await alice.get("/inventory/asks"), "lockAsks")] == ["bob"]
    for nothing in (None, "{}" if medium == "json" else "<lockAsk/>"):
        assert (await bob.post(ask, nothing)).status_code == 200
        (seen,) = listed(read(await alice.get(f"{device(device_id)}/lock"))["asks"])
        assert (seen["asker"], seen.get("message")) == ("bob", None), "a message is optional"
    await alice.act(device_id, "Unlock")
    assert members(await alice.get("/inventory/asks"), "lockAsks") == [], "an ask ends with the lock it was about"


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_confirmation_says_what_was_seen_and_may_be_sent_again(
    house: House, connect: Connect, medium: str
) -> None:
    device_id = await house.enrol("edge-a")
    alice = await connect("alice", "v1.4", medium)
    path = f"{device(device_id)}/confirm"
    for _ in range(2):
        seen = wire.simple(medium, "confirmation", note="looked at it: it is at rest")
        assert read(await alice.post(path, seen))["deviceName"] == "edge-a"
    refused(await alice.post(path, wire.simple(medium, "confirmation", note=" ")), 400, "INVALID_REQUEST")


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_wait_is_granted_and_one_that_ends_says_what_runs(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    work = await work_of(house, "bob", device_id)
    alice, mona = await connect("alice", "v1.4", medium), await connect("mona", "v1.4", medium)
    path = f"{device(device_id)}/action"
    busy = await alice.post(path, wire.simple(medium, "deviceAction", type="Lock", waitSeconds="0"))
    assert listed(refused(busy, 409, "DEVICE_BUSY")["blockers"])[0]["running"] == "PushChanges"
    assert int(busy.headers["Retry-After"]) > 0
    patient = asyncio.create_task(alice.post(path, wire.simple(medium, "deviceAction", type="Lock", waitSeconds="30")))
    await waiting(house, device_id)
    (waits,) = listed(read(await mona.get(f"{device(device_id)}/lock"))["waiting"])
    assert waits["owner"] == "alice"
    await end(house, work)
    assert read(await patient)["holder"] == "alice"


async def test_the_stream_of_events_goes_on_where_it_was_and_ends_with_its_session(
    house: House, connect: Connect
) -> None:
    first, second = await house.enrol("edge-a"), await house.enrol("edge-b", "192.0.2.2")
    alice, mona = await connect("alice", "v1.4", "json"), await connect("mona", "v1.4", "json")
    start = await told_until_logout(house, mona.get(f"{LOCKS}/events", Accept="text/event-stream"), mona, alice, first)
    kinds = [event["event"] for event in start]
    assert kinds == ["ready", "device:lock:taken", "device:lock:released", "error"]
    taken = next(event for event in start if event["event"] == "device:lock:taken")
    assert taken["data"]["holder"] == "alice" and taken["data"]["deviceId"] == f"ID{first}"

    await alice.act(second, "Lock")
    again = await connect("mona", "v1.4", "json")
    stream = again.get(f"{LOCKS}/events", Accept="text/event-stream", Last_Event_ID=taken["id"])
    rest = await told_until_logout(house, stream, again, alice, first)
    assert [e["event"] for e in rest if e["event"].startswith("device")][:2] == [
        "device:lock:released", "device:lock:taken",
    ]  # fmt: skip
    for wrong in ("x", "-1", "1" * 40):
        refused(await alice.get(f"{LOCKS}/events", Last_Event_ID=wrong), 400, "INVALID_REQUEST")


async def told_until_logout(house: House, stream: Any, listener: Any, actor: Any, device_id: int) -> list[Any]:
    """What a listener was told while the device was locked and unlocked, until the listener's session ended."""
    watching = asyncio.create_task(stream)
    async with asyncio.timeout(10):
        while not house.gate._watch._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await actor.act(device_id, "Lock")
    await actor.act(device_id, "Unlock")
    last = (await house.do("admin", FollowLockEvents())).last_id
    async with asyncio.timeout(10):
        while last not in house.gate._watch._waiting.values():  # noqa: ASYNC110 (told of it all, and listening on)
            await asyncio.sleep(0.01)
    await listener.post("/admin/logout")
    return events(await watching)


async def test_of_many_devices_each_waits_beside_the_others(house: House, connect: Connect) -> None:
    """All are answered when the one wait is over."""
    devices = [await house.enrol(f"edge-{n}", f"192.0.2.{n + 1}:443") for n in range(40)]
    for device_id in devices:
        await work_of(house, "bob", device_id)
    alice = await connect("alice", "v1.4", "json")
    began = time.monotonic()
    lock = many("json", "Lock", *devices, mode="each", waitSeconds="2")
    each = members(await alice.post(f"{LOCKS}/action", lock), "results")
    assert {r["code"] for r in each} == {"DEVICE_BUSY"} and len(each) == 40
    assert 2.0 <= time.monotonic() - began < 5.0, "sixteen at a time would be three waits"


@pytest.mark.parametrize("medium", MEDIA)
async def test_what_no_device_has_to_do_with_is_refused_as_a_whole(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    monitor, alice = await connect("mona", "v1.4", medium), await connect("alice", "v1.4", medium)
    each = many(medium, "Lock", device_id, mode="each")
    refused(await monitor.post(f"{LOCKS}/action", each), 403, "FORBIDDEN")
    too_many = many(medium, "Lock", *range(1, 1002), mode="each")
    assert "at most 1000" in refused(await alice.post(f"{LOCKS}/action", too_many), 400, "INVALID_REQUEST")["message"]
    await alice.post("/admin/logout")
    refused(await alice.post(f"{LOCKS}/action", each), 401, "NOT_LOGGED_IN")


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_lock_that_is_taken_again_shows_its_holder_as_there(
    house: House, connect: Connect, medium: str
) -> None:
    """By whichever session it was taken first: what the action answers and what a look shows is the same."""
    device_id = await house.enrol("edge-a")
    first = await connect("alice", "v1.4", medium)
    await first.act(device_id, "Lock")
    await first.post("/admin/logout")
    again = await connect("alice", "v1.4", medium)
    answered, shown = read(await again.act(device_id, "Lock")), read(await again.get(f"{device(device_id)}/lock"))
    assert str(answered["holderLoggedIn"]).lower() == "true" and answered.keys() == shown.keys()


@pytest.mark.parametrize("medium", MEDIA)
async def test_the_event_of_an_end_names_whose_lock_it_was(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    alice, admin = await connect("alice", "v1.4", medium), await connect("admin", "v1.4", medium)
    await alice.act(device_id, "Lock")
    override = wire.simple(medium, "lockOverride", reason="outage", transfer="true")
    assert (await admin.post(f"{device(device_id)}/lock/override", override)).status_code == 200
    await admin.act(device_id, "Unlock")
    told = members(await alice.get(f"{device(device_id)}/lock/events"), "lockEvents")
    assert [(each["kind"].rpartition(":")[2], each.get("formerHolder")) for each in told] == [
        ("taken", None), ("overridden", "alice"), ("taken", None), ("released", "admin"),
    ]  # fmt: skip
