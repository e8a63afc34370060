"""A whole published provisioning session over REST: inventory, lock, load, edit, push, unlock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opensdm.simulator import VirtualSbc
from tests.doors import wire
from tests.doors.conftest import Connect, Rest
from tests.doors.wire import listed, members, read, refused
from tests.gatehouse import House, house_with_users

SESSIONS = [("v1.1", "xml"), ("v1.3", "xml"), ("v1.3", "json"), ("v1.4", "xml"), ("v1.4", "json")]


@pytest.fixture
async def sbc() -> AsyncIterator[VirtualSbc]:
    sbc = VirtualSbc("edge-a", username="netops", password="Sbc-secret-1", plain_http=True, job_delay_s=0.02)
    yield sbc
    await sbc.stop()


@pytest.mark.parametrize(("version", "medium"), SESSIONS)
async def test_a_whole_session(connect: Connect, sbc: VirtualSbc, version: str, medium: str) -> None:
    host, port = await sbc.start("127.0.0.1", 0)
    alice = await connect("alice", version, medium)

    added = await alice.post("/inventory/nfMgmt/nfs", wire.nf_config(medium, "edge-a", f"{host}:{port}"))
    assert added.status_code == 200, added.text
    nf = read(added)
    assert nf["name"] == "edge-a" and nf["nfType"] == {"name": "Device"}

    devices = listed(read(await alice.get("/inventory/deviceMgmt/devices"))["devices"])
    device_id = devices[0]["id"]
    assert devices[0]["key"] == f"edge-a_{host}:{port}"
    assert devices[0]["nfId"] == devices[0]["parentGroupId"] == nf["id"]

    association = wire.simple(medium, "deviceAssociation", deviceName="edge-a", nfName="edge-a")
    managed = read(await alice.post("/configuration/devices", association))
    assert managed["status"] == "Not Loaded"
    if medium == "json":
        assert managed["type"] == "restManagedDevice"

    assert (await alice.act(int(device_id[2:]), "Lock")).status_code == (200 if version == "v1.4" else 204)

    config = f"/configuration/deviceConfigs/{device_id}"
    realm = wire.element(medium, "realmConfig", id="r1")
    refused(
        await alice.post(f"{config}/configElements/retrieve", realm), 409 if version == "v1.4" else 400, "NOT_LOADED"
    )
    loaded = read(await alice.get(f"/configuration/devices/{device_id}/loadConfig"))
    assert (loaded["status"], loaded["lastOperation"], loaded["pendingChanges"]) == ("In Sync", "Load", "No")

    new = wire.element(medium, "realmConfig", id="r1", addrPrefix="10.0.0.0/8")
    staged = read(await alice.post(f"{config}/configElements/add", new))
    assert staged["elementTypePath"] == "realmConfig"
    assert {"name": "id", "value": "r1"} in staged["attributes"]
    await edit(alice, config, medium)

    changes = listed(read(await alice.get(f"{config}/configurationChanges"))["changedConfigElements"])
    assert [(c["name"], c["operation"]) for c in changes] == [("r1", "created")]

    result = await push(alice, device_id, medium)
    assert result["status"] == "SUCCESS", result
    assert result["action"] == "SaveActivateConfig"
    assert result["isSaveConfigSuccess"] == result["isActivateConfigSuccess"] == "SUCCESS"
    assert result["isDeviceFirmwareChangedFailure"] == "false"
    running = [e for e in sbc.stores.running.as_json() if e["type"] == "realm-config"]
    assert "r1" in str(running) and "10.1.0.0/16" in str(running)

    assert not members(await alice.get(f"{config}/configurationChanges"), "changedConfigElements")
    elements = read(await alice.get(f"{config}/configElements?elementTypePath=realmConfig&limitation=5"))
    assert str(elements["pageInfo"]["limitation"]) == "5"
    assert "r1" in str(elements["configElements"])

    if version == "v1.4":
        facts = read(await alice.get(f"/inventory/deviceMgmt/devices/{device_id}/facts"))
        assert (facts["deviceId"], facts["platform"]) == (device_id, "acme_sbc") and facts["softwareVersion"]
    shown = read(await alice.get(f"/inventory/deviceMgmt/devices/{device_id}"))
    assert (shown["bootstrapState"], str(shown["connectivityStatus"]).lower()) == ("Activated", "true")
    assert shown["softwareInfo"]["version"]

    assert (await alice.act(int(device_id[2:]), "Unlock")).status_code == (200 if version == "v1.4" else 204)
    assert (await alice.post("/admin/logout")).status_code == 204
    refused(await alice.get("/inventory/deviceMgmt/devices"), 401, "NOT_LOGGED_IN")


async def edit(client: Rest, config: str, medium: str) -> None:
    """Update, read back, discard nothing, delete another: every staged verb once."""
    changed = wire.element(medium, "realmConfig", id="r1", addrPrefix="10.1.0.0/16")
    updated = read(await client.post(f"{config}/configElements/update", changed))
    assert {"name": "addrPrefix", "value": "10.1.0.0/16"} in updated["attributes"]

    second = wire.element(medium, "realmConfig", id="r2")
    assert (await client.post(f"{config}/configElements/add", second)).status_code == 200
    assert (await client.post(f"{config}/configElements/delete", second)).status_code == 204
    exact = client.version == "v1.4"
    refused(await client.post(f"{config}/configElements/retrieve", second), 404, "NOT_FOUND")
    refused(await client.post(f"{config}/configElements/add", changed), 409 if exact else 400, "ALREADY_EXISTS")
    unknown = wire.element(medium, "realmConfig", id="r1", noSuchThing="1")
    refused(await client.post(f"{config}/configElements/update", unknown), 400, "UNKNOWN_ATTRIBUTE")
    shown = read(await client.post(f"{config}/configElements/retrieve", wire.element(medium, "realmConfig", id="r1")))
    assert {"name": "addrPrefix", "value": "10.1.0.0/16"} in shown["attributes"]


async def push(client: Rest, device_id: str, medium: str) -> Any:
    body = wire.simple(medium, "deviceAction", type="saveActivateConfig")
    answer = await client.post(f"/configuration/devices/{device_id}/action", body)
    assert answer.status_code == 200, answer.text
    return read(answer)


SBC_SECRET = "Sbc-secret-1"
SUB_ELEMENT = {
    "xml": """<configElement><elementTypePath>sessionAgentGroup/sipDest</elementTypePath>
        <attributes><attribute><name>name</name><value>agent-1</value></attribute></attributes>
        <parentElement><elementTypePath>sessionAgentGroup</elementTypePath>
        <attributes><attribute><name>name</name><value>sag-1</value></attribute></attributes></parentElement>
        </configElement>""",
    "json": """{"elementTypePath":"sessionAgentGroup/sipDest","attributes":{"name":"name","value":"agent-1"},
        "parentElement":{"elementTypePath":"sessionAgentGroup","attributes":[{"name":"name","value":"sag-1"}]}}""",
}


@pytest.mark.parametrize("medium", ["xml", "json"])
async def test_a_list_needs_its_type_and_pages(house: House, connect: Connect, sbc: VirtualSbc, medium: str) -> None:
    host, port = await sbc.start("127.0.0.1", 0)
    device_id = await house.enrol("edge-a", f"{host}:{port}", transport="http", username="netops", password=SBC_SECRET)
    published, own = await connect("alice", "v1.3", medium), await connect("alice", "v1.4", medium)
    config = f"/configuration/deviceConfigs/ID{device_id}"
    assert (await published.get(f"/configuration/devices/ID{device_id}/loadConfig")).status_code == 200
    for number in range(3):
        new = wire.element(medium, "realmConfig", id=f"page-{number}")
        assert (await published.post(f"{config}/configElements/add", new)).status_code == 200

    body = refused(await published.get(f"{config}/configElements"), 400, "INVALID_REQUEST")
    assert "elementTypePath" in body["message"] and "elementTypePath=" in listed(body["next"])[0]
    all_of_them = read(await published.get(f"{config}/configElements?elementTypePath=realmConfig"))
    total = len(listed(all_of_them["configElements"]))
    page = read(await published.get(f"{config}/configElements?elementTypePath=realmConfig&offset=2&limitation=1"))
    assert len(listed(page["configElements"])) == 1
    assert {k: int(v) for k, v in page["pageInfo"].items()} == {"limitation": 1, "numberOfElements": 1, "offset": 2}
    exact = read(await own.get(f"{config}/configElements?elementTypePath=realmConfig&offset=2&limitation=1"))
    assert int(exact["pageInfo"]["total"]) == total
    assert next(iter(exact)) == "pageInfo"

    bob = await connect("bob", "v1.3", medium)
    assert not members(await bob.get(f"{config}/configurationChanges"), "changedConfigElements")
    assert (await published.delete(f"{config}/configurationChanges")).status_code == 204
    assert not members(await published.get(f"{config}/configurationChanges"), "changedConfigElements")


@pytest.mark.parametrize("medium", ["xml", "json"])
async def test_a_sub_element_goes_into_its_parent(house: House, connect: Connect, sbc: VirtualSbc, medium: str) -> None:
    """The published form: the child at the top, its parent in `parentElement`, the child there once more."""
    host, port = await sbc.start("127.0.0.1", 0)
    device_id = await house.enrol("edge-a", f"{host}:{port}", transport="http", username="netops", password=SBC_SECRET)
    alice = await connect("alice", "v1.3", medium)
    config = f"/configuration/deviceConfigs/ID{device_id}"
    assert (await alice.get(f"/configuration/devices/ID{device_id}/loadConfig")).status_code == 200
    group = wire.element(medium, "sessionAgentGroup", name="sag-1")
    assert (await alice.post(f"{config}/configElements/add", group)).status_code == 200
    added = await alice.post(f"{config}/configElements/add", SUB_ELEMENT[medium])
    assert added.status_code == 200, added.text
    shown = await alice.post(f"{config}/configElements/retrieve", group)
    assert "agent-1" in str(members(shown, "childrenElements"))


class TestOnPostgres:
    """The same on the other database."""

    @pytest.fixture
    async def house(self, postgres_url: str, tmp_path: Path) -> AsyncIterator[House]:
        async with house_with_users(postgres_url, tmp_path) as house:
            yield house

    async def test_a_whole_session(self, connect: Connect, sbc: VirtualSbc) -> None:
        await test_a_whole_session(connect, sbc, "v1.4", "json")
