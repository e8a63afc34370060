"""The device lock over real HTTP, as users of two published and own versions meet it, in XML and in JSON."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from opensdm.core.operations import AddDeviceGroup, ShowDevice
from tests.acceptance.rest_site import Client, Site, site
from tests.doors import wire
from tests.doors.wire import listed, members, read, refused
from tests.simulator.box import Client as DeviceClient
from tests.simulator.box import found, values

FORMS = [(version, medium) for version in ("v1.3", "v1.4") for medium in ("xml", "json")]
OVER_XML = "<deviceAction><type>Lock</type></deviceAction>"
REASON = "maintenance 4711"
forms = pytest.mark.parametrize(("version", "medium"), FORMS)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as opened:
        yield opened


def conflict(client: Client, exact: int) -> int:
    """The status of a refusal that published versions know as 400 only."""
    return exact if client.exact else 400


def done(answer: requests.Response, *statuses: int) -> requests.Response:
    assert answer.status_code in statuses, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
    return answer


def loaded(here: Site, name: str = "edge-a", **parameters: str) -> tuple[int, int]:
    """A device in its own network function, with its configuration loaded; both ids."""
    device_id = here.enrol(name, **parameters)
    done(here.client("alice").get(f"/configuration/devices/ID{device_id}/loadConfig"), 200)
    return device_id, here.by_console(ShowDevice(device_id=device_id)).device.nf_id


def calls(client: Client, device_id: int, nf_id: int) -> dict[str, Callable[[], requests.Response]]:
    """What a foreign lock refuses, in an order in which its holder can do it all."""
    device, medium, nf = f"ID{device_id}", client.medium, f"/inventory/nfMgmt/nfs/ID{nf_id}"
    group = f"{nf}/groups/ID{nf_id}"
    return {
        "lock": lambda: client.act(device_id, "Lock"),
        "group lock": lambda: client.post(f"{group}/action", wire.simple(medium, "deviceGroupAction", type="Lock")),
        "move": lambda: client.send("PUT", nf, wire.simple(medium, "nfConfig", parentGroupFullName="Home/West")),
        "credentials": lambda: client.send("PUT", group, wire.parameters(medium, snmp_port="1161")),
        "load": lambda: client.get(f"/configuration/devices/{device}/loadConfig"),
        "add": lambda: client.stage(device_id, "peering", description=f"{client.version} {medium}"),
        "push": lambda: client.push(device_id),
        "delete": lambda: client.send("DELETE", nf),
    }


# --------------------------------------------------------------------- refused to others, open to the holder


@forms
def test_a_locked_device_is_the_holders_alone(here: Site, version: str, medium: str) -> None:
    here.by_console(AddDeviceGroup(group_name="West", parent_full_name="Home"))
    device_id, nf_id = loaded(here)
    for user in ("bob", "admin"):
        done(here.client(user).stage(device_id, f"of-{user}"), 200)

    alice = here.client("alice", "v1.3", "xml")
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/action"
    assert done(alice.post(path, OVER_XML), 204).content == b""
    noted = read(done(here.client("alice", "v1.4").act(device_id, "Lock", reason=REASON), 200))
    assert noted["epoch"] == 1 and noted["reason"] == REASON

    for user in ("bob", "admin"):
        client = here.client(user, version, medium)
        before = here.everything()
        for what, send in calls(client, device_id, nf_id).items():
            body = refused(send(), conflict(client, 423), "DEVICE_LOCKED")
            assert_names_alice(body, device_id, noted["since"])
            assert here.everything() == before, f"{what} was refused to {user} and changed something"
            assert_helps(client, body)
        refused(client.act(device_id, "Unlock"), conflict(client, 403), "NOT_LOCK_OWNER")
        assert here.everything() == before

    second = here.client("alice", version, medium)
    assert second.http.cookies != alice.http.cookies
    the_holder_works(here, second, device_id, nf_id)


def assert_names_alice(body: Any, device_id: int, since: str) -> None:
    (blocker,) = listed(body["blockers"])
    assert (blocker["kind"], blocker["deviceId"], blocker["deviceName"]) == ("lock", f"ID{device_id}", "edge-a")
    assert (blocker["holder"], blocker["since"], blocker["reason"]) == ("alice", since, REASON)
    assert all(word in body["message"] for word in ("edge-a", "alice", since, REASON)), body


def assert_helps(client: Client, body: Any) -> None:
    """The first call asks the holder; the second waits or, for who may, takes this lock away."""
    where = f"--user {client.user} --url {client.site.base}"
    second = "override edge-a --reason WHY --holder alice" if client.user == "admin" else "take edge-a --wait 10m"
    assert listed(body["next"]) == [f"opensdm lock ask edge-a {where}", f"opensdm lock {second} {where}"]


def the_holder_works(here: Site, alice: Client, device_id: int, nf_id: int) -> None:
    """Everything that was refused to others, from a second session; what is pushed is on the device."""
    known = calls(alice, device_id, nf_id)
    for what in ("lock", "group lock", "move", "credentials", "load", "add"):
        done(known[what](), 200, 204)
    pushed = read(done(known["push"](), 200))
    assert (pushed["status"], pushed["isActivateConfigSuccess"]) == ("SUCCESS", "SUCCESS"), pushed
    (realm,) = found(DeviceClient(here.box.url).log_in().elements("realm-config", identifier="peering"))
    assert values(realm, "description") == [f"{alice.version} {alice.medium}"]
    for _ in ("held", "free already"):
        freed = done(alice.act(device_id, "Unlock"), 200 if alice.exact else 204)
        assert read(freed)["state"] == "FREE" if alice.exact else freed.content == b""
    done(alice.act(device_id, "Lock"), 200, 204)
    done(known["delete"](), 204)
    refused(alice.get(f"/inventory/deviceMgmt/devices/ID{device_id}"), 404, "NOT_FOUND")


# ----------------------------------------------------------------------------------------------- override


@forms
def test_an_override_stops_a_running_push(here: Site, version: str, medium: str) -> None:
    device_id, _ = loaded(here)
    alice, admin = here.client("alice", version, medium), here.client("admin", "v1.4", medium)
    done(alice.act(device_id, "Lock"), 200, 204)
    for realm in ("one", "two", "three"):
        done(alice.stage(device_id, realm), 200)
    here.box.simulator.control({"write_delay_s": 0.5})
    answers: list[requests.Response] = []
    pushing = threading.Thread(target=lambda: answers.append(alice.push(device_id)))
    pushing.start()
    until(lambda: "realm-config identifier=one" in here.written())

    refused(admin.act(device_id, "Lock"), 423, "DEVICE_LOCKED")
    override = wire.simple(medium, "lockOverride", reason="outage at west", expectedHolder="alice")
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/lock/override"
    taken = read(done(admin.post(path, override), 200))
    assert taken["state"] == "FREE" and str(taken["settled"]).lower() == "false" and taken["stepUntil"]
    written = here.written()
    pushing.join(20)
    time.sleep(0.6)
    assert here.written() == written, "a write began after the lock was taken away"
    assert "realm-config identifier=three" not in written and "save" not in written

    result = read(done(answers[0], 200))
    assert (result["status"], result["isActivateConfigSuccess"]) == ("FAILED", "Not Applicable")
    assert result["errorMessage"].startswith("LOCK_LOST: ")
    assert "admin" in result["errorMessage"] and "outage at west" in result["errorMessage"]
    lost = refused(alice.stage(device_id, "four"), conflict(alice, 409), "LOCK_LOST")
    assert (lost["takenBy"], lost["reason"]) == ("admin", "outage at west") and lost["takenAt"]
    assert "admin" in lost["message"] and "outage at west" in lost["message"]
    again, history = listed(lost["next"])
    assert alice.shell(again).startswith("edge-a is locked by alice, epoch ")
    kinds = [event["kind"] for event in json.loads(alice.shell(history))["lockEvents"]]
    assert "device:lock:overridden" in kinds


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("what the test waits for did not happen")


# ------------------------------------------------------------------------------------------------ groups

CLUSTER = """{"name":"pair","nfCategory":{"name":"SP Edge & Core"},"nfType":{"name":"Device Cluster"},
    "parameters":[{"name":"username","value":"ops"},{"name":"password","value":"pw"}],
    "nfcConfigs":[{"name":"east","deviceConfigs":[
        {"parameters":[{"name":"primary.ip","value":"192.0.2.21"}]},
        {"parameters":[{"name":"primary.ip","value":"192.0.2.22"}]}]}]}"""


@forms
def test_a_group_with_one_foreign_lock_is_not_locked_at_all(here: Site, version: str, medium: str) -> None:
    admin = here.client("admin")
    nf_id = read(done(admin.post("/inventory/nfMgmt/nfs", CLUSTER), 200))["id"]
    first, second = members(admin.get("/inventory/deviceMgmt/devices?nfName=pair"), "devices")
    done(here.client("bob", "v1.4").act(int(second["id"][2:]), "Lock", reason=REASON), 200)
    alice, before = here.client("alice", version, medium), here.everything()
    action = f"/inventory/nfMgmt/nfs/{nf_id}/groups/{nf_id}/action"
    lock = wire.simple(medium, "deviceGroupAction", type="Lock")

    body = refused(alice.post(action, lock), conflict(alice, 423), "DEVICE_LOCKED")
    (blocker,) = listed(body["blockers"])
    assert (blocker["deviceName"], blocker["holder"], blocker["reason"]) == (second["name"], "bob", REASON)
    assert first["name"] not in body["message"]
    assert here.everything() == before
    assert [
        lock["deviceName"] for lock in members(here.client("mona", "v1.4").get("/inventory/locks"), "deviceLocks")
    ] == [second["name"]]

    done(here.client("bob").act(int(second["id"][2:]), "Unlock"), 204)
    done(alice.post(action, lock), 200 if alice.exact else 204)
    held = members(here.client("mona", "v1.4").get("/inventory/locks?holder=alice"), "deviceLocks")
    assert sorted(lock["deviceName"] for lock in held) == sorted((first["name"], second["name"]))


# ------------------------------------------------------------------------------------- read-only devices


@forms
def test_a_read_only_device_is_written_by_nobody(here: Site, version: str, medium: str) -> None:
    device_id, _ = loaded(here, **{"read.only": "true"})
    done(here.client("alice").act(device_id, "Lock"), 204)
    for user in ("alice", "admin"):
        client = here.client(user, version, medium)
        if user == "admin":
            done(here.client("alice").act(device_id, "Unlock"), 204)
        before = here.everything()
        writes = [client.stage(device_id, "core", what, description="x") for what in ("add", "update", "delete")]
        writes += [client.push(device_id, a) for a in ("SaveConfig", "ActivateConfig", "SaveActivateConfig")]
        for answer in writes:
            body = refused(answer, conflict(client, 409), "READ_ONLY_DEVICE")
            assert json.loads(client.shell(listed(body["next"])[0]))["deviceId"] == f"ID{device_id}"
        assert here.everything() == before
        done(client.get(f"/configuration/devices/ID{device_id}/loadConfig"), 200)
    assert here.written() == []


# ------------------------------------------------------------------------------------------------ epochs


@pytest.mark.parametrize("medium", ["xml", "json"])
def test_a_stale_epoch_is_told_before_everything_else(here: Site, medium: str) -> None:
    """Also on a device that is free by now, and by calls that would do nothing else wrong."""
    here.by_console(AddDeviceGroup(group_name="West", parent_full_name="Home"))
    device_id, nf_id = loaded(here)
    alice = here.client("alice", "v1.4", medium)
    epoch = int(read(done(alice.act(device_id, "Lock"), 200))["epoch"])
    for state in ("free", "of bob"):
        done(alice.act(device_id, "Unlock"), 200)
        if state == "of bob":
            done(here.client("bob").act(device_id, "Lock"), 204)
        before = here.everything()
        alice.http.headers["Lock-Epoch"] = str(epoch)
        for what, send in calls(alice, device_id, nf_id).items():
            refused(send(), 409, "LOCK_LOST")
            assert here.everything() == before, what
        refused(alice.act(device_id, "Unlock"), 409, "LOCK_LOST")
        refused(alice.get(f"/inventory/deviceMgmt/devices/ID{device_id}"), 409, "LOCK_LOST")
        del alice.http.headers["Lock-Epoch"]
        if state == "free":
            epoch = int(read(done(alice.act(device_id, "Lock"), 200))["epoch"])
            alice.http.headers["Lock-Epoch"] = str(epoch)
            done(alice.stage(device_id, "mine"), 200)
            del alice.http.headers["Lock-Epoch"]
