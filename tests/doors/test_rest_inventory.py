"""Devices, groups and network functions over REST, in the published shapes."""

from __future__ import annotations

import pytest
from lxml import etree

from opensdm.doors.rest.app import RestSettings
from tests.doors import wire
from tests.doors.conftest import Connect
from tests.doors.wire import listed, members, read, refused
from tests.gatehouse import House

MEDIA = ["xml", "json"]
GROUPS = "/inventory/deviceMgmt/deviceGroups"
DEVICES = "/inventory/deviceMgmt/devices"
CATEGORIES = "/inventory/nfMgmt/nfCategories"
FUNCTIONS = "/inventory/nfMgmt/nfs"
FORMS = [(version, medium) for version in ("v1.1", "v1.3", "v1.4") for medium in MEDIA]


def group(medium: str, **fields: str) -> str:
    return wire.simple(medium, "deviceGroup", **fields)


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_groups(connect: Connect, version: str, medium: str) -> None:
    client = await connect("alice", version, medium)
    conflict = 409 if version == "v1.4" else 400
    bare = await client.post(GROUPS, group(medium, name="West"))
    assert bare.status_code == 200
    shown = read(bare)
    assert (shown["fullName"], shown["name"], shown["parentGroupId"]) == ("West", "West", "ID0")
    assert "parentGroupFullName" not in shown and str(shown["isHidden"]).lower() == "false"
    if (version, medium) == ("v1.3", "json"):
        assert bare.text == f'{{"fullName":"West","id":"{shown["id"]}","isHidden":"false","name":"West",' \
            '"parentGroupId":"ID0"}'  # fmt: skip

    nested = read(await client.post(GROUPS, group(medium, name="North", parentGroupFullName="Home")))
    assert (nested["fullName"], nested["parentGroupFullName"], nested["parentGroupId"]) == ("Home/North", "Home", "ID1")
    refused(
        await client.post(GROUPS, group(medium, name="north", parentGroupFullName="Home")), conflict, "ALREADY_EXISTS"
    )
    refused(await client.post(GROUPS, group(medium, name="a/b")), 400, "INVALID_REQUEST")
    refused(await client.post(GROUPS, group(medium, name="X", parentGroupFullName="Home/No")), 404, "NOT_FOUND")

    moved = read(
        await client.put(f"{GROUPS}/{nested['id']}", group(medium, name="Far North", parentGroupFullName="West"))
    )
    assert (moved["fullName"], moved["id"]) == ("West/Far North", nested["id"])
    renamed = read(await client.put(f"{GROUPS}/{nested['id']}", group(medium, name="Near North")))
    assert (renamed["fullName"], renamed["parentGroupFullName"]) == ("West/Near North", "West")
    assert read(await client.get(f"{GROUPS}/{nested['id']}")) == renamed
    inside = group(medium, parentGroupFullName="West/Near North")
    refused(await client.put(f"{GROUPS}/{shown['id']}", inside), conflict, "CONFLICT")
    refused(await client.delete(f"{GROUPS}/{shown['id']}"), conflict, "NOT_EMPTY")
    refused(await client.delete(f"{GROUPS}/ID1"), conflict, "CONFLICT")
    assert (await client.delete(f"{GROUPS}/{nested['id']}")).status_code == 204
    assert (await client.delete(f"{GROUPS}/{shown['id']}")).status_code == 204
    refused(await client.get(f"{GROUPS}/{shown['id']}"), 404, "NOT_FOUND")
    assert [g["name"] for g in members(await client.get(GROUPS), "deviceGroups")] == ["Home"]


@pytest.mark.parametrize("medium", MEDIA)
async def test_categories_and_types(connect: Connect, medium: str) -> None:
    client = await connect("mona", "v1.3", medium)
    found = members(await client.get(CATEGORIES), "nfCategories")
    assert [(c["id"], c["name"]) for c in found] == [("ID1", "Enterprise Edge & Core"), ("ID2", "SP Edge & Core")]
    assert "nfTypes" not in found[0]
    one = read(await client.get(f"{CATEGORIES}/ID2"))
    assert one["nfTypes"] == [{"name": "Device"}, {"name": "Device Cluster"}]
    assert members(await client.get(f"{CATEGORIES}/ID2/nfTypes"), "nfTypes") == one["nfTypes"]
    for path in ("Device", "Device%20Cluster"):
        parameters = {p["name"]: p for p in members(await client.get(f"{CATEGORIES}/ID2/nfTypes/{path}"), "parameters")}
        assert {"primary.ip", "username", "password", "read.only"} <= parameters.keys()
        assert listed(parameters["snmp.mode"]["validLists"]["valueList"]) == ["v1v2", "v3"]
        assert "required" not in parameters["primary.ip"]
    own = await connect("mona", "v1.4", medium)
    parameters = {p["name"]: p for p in members(await own.get(f"{CATEGORIES}/ID2/nfTypes/Device"), "parameters")}
    assert str(parameters["primary.ip"]["required"]).lower() == "true"
    refused(await client.get(f"{CATEGORIES}/ID9"), 404, "NOT_FOUND")
    refused(await client.get(f"{CATEGORIES}/ID2/nfTypes/Nothing"), 404, "NOT_FOUND")


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_network_functions(connect: Connect, version: str, medium: str) -> None:
    """Added although nothing answers at its address; its secrets are never shown."""
    client = await connect("alice", version, medium)
    added = read(await client.post(FUNCTIONS, wire.nf_config(medium, "edge-a", "192.0.2.7")))
    nf, conflict = f"{FUNCTIONS}/{added['id']}", 409 if version == "v1.4" else 400
    assert added["nfCategory"]["vendor"] == "Oracle" and added["groupType"] == "DEVICE"
    (own_group,) = listed(added["groups"])
    assert (own_group["id"], own_group["type"]) == (added["id"], "DEVICE")
    refused(await client.post(FUNCTIONS, wire.nf_config(medium, "EDGE-A", "192.0.2.8")), conflict, "ALREADY_EXISTS")
    assert read(await client.get(nf)) == added

    (item,) = members(await client.get(f"{FUNCTIONS}?name=edge*"), "nfList")
    assert (item["id"], item["parentGroupFullName"], item["parentGroupId"]) == (added["id"], "Home", "ID1")
    assert not item.keys() & {"nfCategory", "nfType", "groups", "children"}

    (device,) = members(await client.get(DEVICES), "devices")
    assert (device["name"], device["ip"], device["key"]) == ("edge-a", "192.0.2.7", "edge-a_192.0.2.7")
    assert (device["bootstrapState"], str(device["connectivityStatus"]).lower()) == ("Pending", "false")
    detail = read(await client.get(f"{DEVICES}/{device['id']}"))
    values = {p["name"]: p.get("value") for p in detail["groupParameters"]}
    assert (values["username"], values["password"]) == ("netops", "xxxx")
    assert "groupParameters" not in device

    assert (await client.post(GROUPS, group(medium, name="West", parentGroupFullName="Home"))).status_code == 200
    move = wire.simple(medium, "nfConfig", parentGroupFullName="Home/West")
    assert (await client.put(nf, move)).status_code == 204
    assert read(await client.get(nf))["parentGroupFullName"] == "Home/West"
    refused(await client.put(nf, wire.simple(medium, "nfConfig", parentGroupFullName="Home/East")), 404, "NOT_FOUND")
    assert (await client.delete(nf)).status_code == 204
    refused(await client.get(nf), 404, "NOT_FOUND")
    assert not members(await client.get(DEVICES), "devices")


@pytest.mark.parametrize("medium", MEDIA)
async def test_credentials(connect: Connect, medium: str) -> None:
    """The whole group goes back and forth; a masked secret stays what it was."""
    client = await connect("alice", "v1.3", medium)
    nf_id = read(await client.post(FUNCTIONS, wire.nf_config(medium, "edge-a")))["id"]
    (listed_group,) = members(await client.get(f"{FUNCTIONS}/{nf_id}/groups"), "deviceGroups")
    shown = read(await client.get(f"{FUNCTIONS}/{nf_id}/groups/{nf_id}"))
    assert shown == listed_group and shown["fullName"] == "Home/edge-a"
    changed = await client.put(
        f"{FUNCTIONS}/{nf_id}/groups/{nf_id}",
        wire.parameters(medium, username="other", password="xxxx", snmp_port="162"),
    )
    values = {p["name"]: p.get("value") for p in members(changed, "parameters")}
    assert (values["username"], values["password"], values["snmp.port"]) == ("other", "xxxx", "162")
    path = f"{FUNCTIONS}/{nf_id}/groups/{nf_id}"
    refused(await client.put(path, wire.parameters(medium, snmp_port="many")), 400, "INVALID_REQUEST")
    refused(await client.put(path, wire.parameters(medium, no_such="1")), 400, "INVALID_REQUEST")
    refused(await client.put(path, wire.simple(medium, "deviceGroup", name="x")), 400, "INVALID_REQUEST")
    refused(await client.get(f"{FUNCTIONS}/{nf_id}/groups/ID1"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "change",
    [
        ('"nfCategory":{"name":"SP Edge & Core"}', '"nfCategory":{}'),
        ('"nfType":{"name":"Device"}', '"nfType":{"name":"Nothing"}'),
        ('{"name":"primary.ip","value":"192.0.2.1"}', '{"value":"192.0.2.1"}'),
        (
            '{"name":"primary.ip","value":"192.0.2.1"}',
            '{"name":"username","value":"x"},{"name":"username","value":"y"}',
        ),
        ('{"name":"primary.ip","value":"192.0.2.1"}', '{"name":"primary.ip","value":"not an address"}'),
        ('{"name":"primary.ip","value":"192.0.2.1"}', '{"name":"username","value":"x"}'),
    ],
)
async def test_functions_that_cannot_be(connect: Connect, change: tuple[str, str]) -> None:
    whole = (
        '{"name":"edge-a","nfCategory":{"name":"SP Edge & Core"},"nfType":{"name":"Device"},'
        '"parameters":[{"name":"primary.ip","value":"192.0.2.1"}]}'
    )
    client = await connect("alice", "v1.4", "json")
    assert change[0] in whole
    refused(await client.post(FUNCTIONS, whole.replace(*change)), 400, "INVALID_REQUEST")
    assert not members(await client.get(FUNCTIONS), "nfList")


@pytest.mark.parametrize("medium", MEDIA)
async def test_managing(house: House, connect: Connect, medium: str) -> None:
    client, exact = await connect("alice", "v1.3", medium), await connect("alice", "v1.4", medium)
    await client.post(FUNCTIONS, wire.nf_config(medium, "edge-a"))
    (device,) = members(await client.get(DEVICES), "devices")
    managed = f"/configuration/devices/{device['id']}"
    assert not members(await client.get("/configuration/devices"), "devices")
    refused(await client.get(managed), 400, "NOT_ASSIGNED")
    refused(await exact.get(managed), 409, "NOT_ASSIGNED")

    def association(name: str, nf: str) -> str:
        return wire.simple(medium, "deviceAssociation", deviceName=name, nfName=nf)

    for name, nf in (("edge-b", "edge-a"), ("edge-a", "edge-b"), ("*", "*"), ("edge-*", "edge-a")):
        refused(await client.post("/configuration/devices", association(name, nf)), 404, "NOT_FOUND")
    shown = read(await client.post("/configuration/devices", association("edge-a", "edge-a")))
    assert (shown["status"], shown["pendingChanges"], shown["lastOperation"]) == ("Not Loaded", "No", "None")
    refused(await exact.post("/configuration/devices", association("edge-a", "edge-a")), 409, "ALREADY_EXISTS")
    (item,) = members(await client.get("/configuration/devices"), "devices")
    assert item["id"] == device["id"] and ("type" in item) == (medium == "json")
    assert (await client.delete(managed)).status_code == 204
    refused(await client.delete(managed), 400, "NOT_ASSIGNED")


async def test_devices_of_one_name(connect: Connect) -> None:
    """Two functions may each have a device of the same name: which one is meant must then be said."""
    client = await connect("alice", "v1.3", "json")
    for number in (1, 2):
        cluster = f"""{{"name":"pair-{number}","nfCategory":{{"name":"SP Edge & Core"}},
            "nfType":{{"name":"Device Cluster"}},"nfcConfigs":[{{"deviceConfigs":[{{"name":"west",
            "parameters":[{{"name":"primary.ip","value":"192.0.2.{number}"}}]}}]}}]}}"""
        assert (await client.post(FUNCTIONS, cluster)).status_code == 200
    body = refused(await client.post("/configuration/devices", '{"deviceName":"west"}'), 400, "INVALID_REQUEST")
    assert "nfName" in body["message"]
    one = read(await client.post("/configuration/devices", '{"deviceName":"west","nfName":"pair-2"}'))
    assert one["nfName"] == "pair-2" and one["ip"] == "192.0.2.2"


@pytest.mark.parametrize("medium", MEDIA)
async def test_lists_page_and_filter(house: House, connect: Connect, medium: str) -> None:
    for number in range(1, 6):
        await house.enrol(f"sbc-{number}", f"192.0.2.{number}")
    published, own = await connect("mona", "v1.3", medium), await connect("mona", "v1.4", medium)
    every = await published.get(DEVICES)
    assert len(members(every, "devices")) == 5 and "pageInfo" not in read(every)
    names = [d["name"] for d in members(await published.get(f"{DEVICES}?offset=2&limitation=2"), "devices")]
    assert names == ["sbc-2", "sbc-3"]
    page = await own.get(f"{DEVICES}?offset=4&limitation=10")
    assert [d["name"] for d in members(page, "devices")] == ["sbc-4", "sbc-5"]
    info = {name: int(value) for name, value in read(page)["pageInfo"].items()}
    assert info == {"limitation": 10, "numberOfElements": 2, "offset": 4, "total": 5}
    assert int(read(await own.get(DEVICES))["pageInfo"]["limitation"]) == 50
    for query, expected in {
        "name=sbc-3": ["sbc-3"],
        "name=*4": ["sbc-4"],
        "ip=192.0.2.1": ["sbc-1"],
        "nfName=sbc-*&ip=*.5": ["sbc-5"],
        "manageable=true&limitation=1": ["sbc-1"],
        "manageable=false": [],
        "connectivityStatus=true": [],
        "parentGroupFullName=nothing": [],
    }.items():
        for client in (published, own):
            found = [d["name"] for d in members(await client.get(f"{DEVICES}?{query}"), "devices")]
            assert found == expected, query
    beyond = await own.get(f"{CATEGORIES}?offset=3")
    assert read(beyond)["pageInfo"]["total"] in (2, "2") and not members(beyond, "nfCategories")


async def test_head_and_trailing_slashes(house: House, connect: Connect) -> None:
    await house.enrol("edge-a")
    client = await connect("alice", "v1.3", "xml")
    whole, head = await client.get(DEVICES), await client.send("HEAD", DEVICES)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    assert (await client.get(DEVICES + "/")).content == whole.content
    assert (await client.send("GET", DEVICES, "<ignored>")).content == whole.content
    assert (await client.send("DELETE", f"{FUNCTIONS}/ID99", "{ignored")).status_code == 404


class TestNested:
    """The older list form, for clients that were written for it."""

    @pytest.fixture
    def settings(self) -> RestSettings:
        return RestSettings(lists="nested")

    async def test_lists_are_written_nested(self, house: House, connect: Connect) -> None:
        await house.enrol("edge-a")
        client = await connect("alice", "v1.3", "xml")
        root = etree.fromstring((await client.get(DEVICES)).content)
        assert [str(child.tag) for child in root] == ["device"]
        json_client = await connect("alice", "v1.3", "json")
        assert list((await json_client.get(DEVICES)).json()) == ["device"]
