"""Staging and reading elements, each user for himself; asking devices about themselves."""

from __future__ import annotations

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import (
    AlreadyExists,
    DeviceLocked,
    InvalidRequest,
    NotAssigned,
    NotFound,
    NotLoaded,
    ReadOnlyDevice,
    UnknownAttribute,
    UnknownElementType,
)
from opensdm.core.operations import (
    AssignDevice,
    DiscardChanges,
    ListElements,
    LockDevice,
    PollDevice,
    ReadDeviceFacts,
    RetrieveElement,
    UnassignDevice,
)
from opensdm.core.results import SUCCEEDED
from opensdm.core.staging import Edit
from tests.acceptance.provisioning import (
    Bench,
    Enrol,
    realm,
)


async def test_views_are_each_users_own(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    await bench.update("alice", realm("core", description="hers"))
    hers = {e.attributes["id"]: e.attributes.get("description") for e in await bench.listed("realmConfig")}
    assert hers == {"access": "subscribers", "core": "hers", "peering": None}
    assert [e.attributes["id"] for e in await bench.listed("realmConfig", "bob")] == ["access", "core"]
    assert await bench.pending("bob") == []
    found = await bench.do("bob", RetrieveElement(device_id=bench.device_id, element=realm("core", addrPrefix="x")))
    assert found.attributes["description"] == "carrier core"
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    assert await bench.pending() == []


async def test_lists_are_paged_and_need_a_type(bench: Bench) -> None:
    page = await bench.do(
        "alice", ListElements(device_id=bench.device_id, element_path="realmConfig", offset=1, limit=1)
    )
    assert ([e.attributes["id"] for e in page.items], page.total, page.offset) == (["core"], 2, 1)
    with pytest.raises(InvalidRequest, match="elementTypePath"):
        await bench.listed("")
    with pytest.raises(UnknownElementType, match="did you mean realmConfig"):
        await bench.listed("realmConfigs")
    rows = await bench.listed("realmConfig/networkInterfaceId")
    assert [row.attributes["name"] for row in rows] == ["s0p0", "s1p0"]


async def test_sub_elements_are_edited_in_their_element(bench: Bench) -> None:
    parent = realm("core")
    row = Element("realmConfig/networkInterfaceId", {"name": "s0p0", "subPortId": "0", "family": "4"})
    await bench.add("alice", row, parent)
    with pytest.raises(AlreadyExists, match="in realmConfig core"):
        await bench.add("alice", row, parent)
    port = Element("sipInterface/sipPort", {"address": "192.0.2.10", "port": "5060", "transportProtocol": "UDP"})
    access = Element("sipInterface", {"realmId": "access"})
    await bench.update("alice", Element(port.path, {**port.attributes, "allowAnonymous": "registered"}), access)
    assert await bench.pending() == [
        (Edit.MODIFIED, "realmConfig", ("core",)),
        (Edit.MODIFIED, "sipInterface", ("access",)),
    ]
    assert (await bench.push()).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="core") or {})[
        "network-interfaces"
    ] == "s1p0:0.4,s0p0:0.4"
    await bench.delete("alice", port, access)
    reply = await bench.push()
    assert reply.status == SUCCEEDED, reply
    assert (bench.stored("running", "sip-interface", **{"realm-id": "access"}) or {})["children"] == []


@pytest.mark.parametrize(
    ("element", "error", "message"),
    [
        (realm("core"), AlreadyExists, "realmConfig core exists already"),
        (realm("peering", descr="x"), UnknownAttribute, "no attribute 'descr'"),
        (realm("peering", mrInRealm="yes"), InvalidRequest, "mrInRealm: 'yes' is none of disabled, enabled"),
        (realm("peering", maxLatency="-5"), InvalidRequest, "maxLatency: '-5' is not within"),
        (realm("no blanks"), InvalidRequest, "does not match"),
        (Element("realmConfig", {"description": "x"}), InvalidRequest, "missing: id"),
        (Element("realmKonfig", {"id": "x"}), UnknownElementType, "did you mean realmConfig"),
    ],
)
async def test_wrong_elements_are_refused_when_staged(
    bench: Bench, element: Element, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await bench.add("alice", element)
    assert await bench.pending() == []


async def test_what_is_not_there_cannot_be_changed(bench: Bench) -> None:
    for attempt in (bench.update("alice", realm("nowhere", description="x")), bench.delete("alice", realm("nowhere"))):
        with pytest.raises(NotFound, match="no realmConfig nowhere"):
            await attempt


async def test_nothing_works_before_it_is_assigned_and_loaded(enrol: Enrol) -> None:
    bench = await enrol()
    for attempt in (bench.listed("realmConfig"), bench.add("alice", realm("r")), bench.push()):
        with pytest.raises(NotLoaded, match="load it first"):
            await attempt
    await bench.do("alice", UnassignDevice(device_id=bench.device_id))
    for again in (bench.load(), bench.add("alice", realm("r")), bench.push()):
        with pytest.raises(NotAssigned, match="assign it first"):
            await again
    with pytest.raises(NotAssigned):
        await bench.do("alice", UnassignDevice(device_id=bench.device_id))
    shown = await bench.do("alice", AssignDevice(device_id=bench.device_id))
    assert shown.device.assigned
    with pytest.raises(AlreadyExists):
        await bench.do("alice", AssignDevice(device_id=bench.device_id))
    assert bench.writes() == []


async def test_a_read_only_device_is_loaded_and_never_written(enrol: Enrol) -> None:
    bench = await enrol(**{"read.only": "true"})
    await bench.load()
    assert len(await bench.listed("realmConfig")) == 2
    for attempt in (bench.add("alice", realm("r")), bench.push("admin")):
        with pytest.raises(ReadOnlyDevice):
            await attempt
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    assert bench.writes() == []


async def test_facts_are_asked_and_polls_are_recorded(bench: Bench) -> None:
    facts = await bench.do("alice", ReadDeviceFacts(device_id=bench.device_id))
    assert (facts.host_name, facts.role, facts.software_version) == ("edge-a", "active", "SCZ9.1.0")
    await bench.house.gate.execute(bench.house.system, PollDevice(device_id=bench.device_id))
    device = await bench.device()
    assert (device.reachable, device.poll_error, device.software_version) == (True, None, "SCZ9.1.0")
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    with pytest.raises(DeviceLocked):
        await bench.do("bob", ReadDeviceFacts(device_id=bench.device_id))
    await bench.sbc.stop()
    await bench.house.gate.execute(bench.house.system, PollDevice(device_id=bench.device_id))
    device = await bench.device()
    assert not device.reachable and "no connection" in device.poll_error
    assert device.software_version == "SCZ9.1.0"
    assert bench.writes() == []
