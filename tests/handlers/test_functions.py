"""Adding, moving, entering and deleting network functions; device groups."""

from collections.abc import Mapping
from typing import Any

import pytest

from opensdm.core.errors import (
    AlreadyExists,
    Conflict,
    DeviceLocked,
    Forbidden,
    InvalidRequest,
    NotAssigned,
    NotEmpty,
    NotFound,
    ReadOnlyDevice,
)
from opensdm.core.inventory import DEVICE_PARAMETERS, Credentials
from opensdm.core.operations import (
    AddDeviceGroup,
    AddNetworkFunction,
    ChangeCredentials,
    ChangeDeviceGroup,
    DeleteDeviceGroup,
    DeleteNetworkFunction,
    DeviceEnrolment,
    GroupEnrolment,
    ListCategories,
    ListDeviceGroups,
    ListDevices,
    ListFunctionGroups,
    ListNetworkFunctions,
    LockDevice,
    MoveNetworkFunction,
    PushAction,
    PushChanges,
    ShowCategory,
    ShowDevice,
    ShowDeviceGroup,
    ShowFunctionGroup,
    ShowNetworkFunction,
)
from opensdm.core.results import FunctionShown, GroupShown
from opensdm.drivers.registry import Registry
from tests.gatehouse import House


async def add(
    house: House,
    name: str = "edge-a",
    parameters: Mapping[str, str] | None = None,
    *,
    type_name: str = "Device",
    category: str = "SP Edge & Core",
    parent: str | None = "Home",
    groups: tuple[GroupEnrolment, ...] = (),
) -> FunctionShown:
    operation = AddNetworkFunction(
        nf_name=name, parent_full_name=parent, category_name=category, type_name=type_name,
        parameters={"primary.ip": "192.0.2.7"} if parameters is None else parameters, groups=groups,
    )  # fmt: skip
    shown = await house.do("alice", operation)
    assert isinstance(shown, FunctionShown)
    return shown


async def credentials(house: House, device_id: int) -> Credentials:
    return await house.ledger.read(lambda tx: tx.inventory.credentials(device_id))


def values(shown: Any) -> dict[str, str | None]:
    return {p.type.name: p.value for p in shown.parameters}


CLUSTER = (
    GroupEnrolment(
        {"name": "east", "username": "east-ops"},
        (
            DeviceEnrolment("c-1", {"primary.ip": "192.0.2.1"}),
            DeviceEnrolment(None, {"primary.ip": "192.0.2.2", "username": "own"}),
        ),
    ),
    GroupEnrolment({}, (DeviceEnrolment(None, {"name": "c-9", "primary.ip": "192.0.2.9", "read.only": "true"}),)),
)


async def test_categories_and_their_parameters(house: House) -> None:
    listing = await house.do("mona", ListCategories())
    assert [c.category.name for c in listing.items] == ["Enterprise Edge & Core", "SP Edge & Core"]
    shown = await house.do("mona", ShowCategory(category_id=2, type_name="device cluster"))
    assert [p.name for p in shown.parameters] == [p.name for p in DEVICE_PARAMETERS]
    assert next(p for p in shown.parameters if p.name == "platform").choices == Registry().platforms()
    assert (await house.do("mona", ShowCategory(category_id=2))).parameters == ()
    with pytest.raises(NotFound, match="ID3"):
        await house.do("mona", ShowCategory(category_id=3))
    with pytest.raises(NotFound, match="Device Cluster"):
        await house.do("mona", ShowCategory(category_id=2, type_name="Router"))


async def test_one_device_is_named_like_its_function(house: House) -> None:
    shown = await add(house, parameters={"primary.ip": "[2001:DB8::7]:8443", "username": "ops", "password": "s3cret"})
    (device,) = shown.devices
    assert (device.device_name, device.ip, device.nf_id) == ("edge-a", "[2001:db8::7]:8443", shown.function.nf_id)
    assert [g.group_id for g in shown.groups] == [shown.function.nf_id]
    detail = await house.do("mona", ShowDevice(device_id=device.device_id))
    expected = {"username": "ops", "password": "xxxx", "read.only": "false", "platform": "acme_sbc", "port": None}
    assert values(detail).items() >= expected.items()
    assert (await credentials(house, device.device_id)).password == "s3cret"
    listing = await house.do("mona", ListDevices())
    assert (listing.total, listing.items[0].parameters) == (1, ())
    with pytest.raises(Forbidden):
        await house.do("mona", AddNetworkFunction(nf_name="x", parent_full_name=None, category_name="", type_name=""))


async def test_a_cluster_names_groups_and_devices(house: House) -> None:
    shown = await add(house, "core", {"password": "shared"}, type_name="device cluster", groups=CLUSTER)
    assert (shown.function.group_type, shown.function.type_name) == ("CLUSTER", "Device Cluster")
    assert [g.group_name for g in shown.groups] == ["core", "east", "group-2"]
    assert [(d.device_name, d.parameters.get("username"), d.read_only) for d in shown.devices] == [
        ("c-1", "east-ops", False), ("core-2", "own", False), ("c-9", None, True),
    ]  # fmt: skip
    for device in shown.devices:
        assert (await credentials(house, device.device_id)).password == "shared"
    listing = await house.do("mona", ListFunctionGroups(nf_id=shown.function.nf_id))
    own, east, _ = listing.items
    assert (values(own)["username"], values(own)["password"], values(own)["transport"]) == (None, "xxxx", "https")
    assert values(east)["primary.ip"] is None
    same = await house.do("mona", ShowFunctionGroup(nf_id=shown.function.nf_id, group_id=east.group.group_id))
    assert same == east
    other = (await add(house)).function.nf_id
    with pytest.raises(NotFound, match="has no group"):
        await house.do("mona", ShowFunctionGroup(nf_id=other, group_id=east.group.group_id))


async def test_the_nested_form_works_for_one_device(house: House) -> None:
    groups = (GroupEnrolment({"username": "ops"}, (DeviceEnrolment("other", {"primary.ip": "192.0.2.7"}),)),)
    shown = await add(house, parameters={}, groups=groups)
    (device,) = shown.devices
    assert (device.device_name, device.ip, device.parameters["username"]) == ("edge-a", "192.0.2.7", "ops")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"parameters": {}}, InvalidRequest, "primary.ip"),
        ({"parameters": {"primary.ip": "192.0.2.7", "password": "xxxx"}}, InvalidRequest, "password"),
        ({"parameters": {"primary.ip": "192.0.2.7", "colour": "red"}}, InvalidRequest, "colour"),
        ({"parameters": {"primary.ip": "192.0.2.7", "platform": "vax"}}, InvalidRequest, "acme_sbc"),
        ({"category": "Routers"}, InvalidRequest, "SP Edge & Core"),
        ({"type_name": "Toaster"}, InvalidRequest, "Device Cluster"),
        ({"type_name": "Device Cluster"}, InvalidRequest, "nfcConfigs"),
        ({"type_name": "Device Cluster", "groups": (GroupEnrolment({}),)}, InvalidRequest, "no devices"),
        ({"groups": CLUSTER}, InvalidRequest, "one device"),
        ({"parent": "Home/Nowhere"}, NotFound, "Home/Nowhere"),
        ({"name": "a/b"}, InvalidRequest, "name"),
        ({"name": "HOME"}, AlreadyExists, "Home"),
    ],
)
async def test_a_wrong_function_changes_nothing(
    house: House, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await add(house, **changes)
    assert (await house.do("alice", ListNetworkFunctions())).total == 0
    assert (await house.do("alice", ListDevices())).total == 0


async def test_an_address_belongs_to_one_device(house: House) -> None:
    await add(house, parameters={"primary.ip": "192.0.2.7", "secondary.ip": "192.0.2.8"})
    for address in ("192.0.2.7", "192.0.2.8"):
        with pytest.raises(AlreadyExists, match="edge-a"):
            await add(house, "edge-b", {"primary.ip": address})
    with pytest.raises(AlreadyExists):
        await add(house, "EDGE-A", {"primary.ip": "192.0.2.9"})


async def test_functions_move_and_go(house: House) -> None:
    nf_id = (await add(house)).function.nf_id
    await house.do("alice", AddDeviceGroup(group_name="West"))
    moved = await house.do("alice", MoveNetworkFunction(nf_id=nf_id, parent_full_name="Home/West"))
    assert moved.function.parent_full_name == "West"
    assert (await house.do("mona", ShowNetworkFunction(nf_id=nf_id))) == moved
    with pytest.raises(NotFound):
        await house.do("alice", MoveNetworkFunction(nf_id=nf_id, parent_full_name="Home/East"))
    await house.do("alice", DeleteNetworkFunction(nf_id=nf_id))
    with pytest.raises(NotFound):
        await house.do("alice", DeleteNetworkFunction(nf_id=nf_id))
    assert (await house.do("alice", ListDevices())).items == ()


async def test_credentials_change_for_all_devices_of_a_group(house: House) -> None:
    shown = await add(house, "core", {"password": "old"}, type_name="Device Cluster", groups=CLUSTER)
    nf_id, east = shown.function.nf_id, shown.groups[1]
    first, second, third = (d.device_id for d in shown.devices)

    async def change(group_id: int, user: str = "alice", **parameters: str) -> GroupShown:
        wanted = {name.replace("_", "."): value for name, value in parameters.items()}
        reply = await house.do(user, ChangeCredentials(nf_id=nf_id, group_id=group_id, parameters=wanted))
        assert isinstance(reply, GroupShown)
        return reply

    reply = await change(east.group_id, username="new", password="newer", snmp_community_name="ro1")
    assert values(reply).items() >= {"username": "new", "password": "xxxx", "snmp.community.name": "ro1"}.items()
    assert [(await credentials(house, d)).password for d in (first, second, third)] == ["newer", "newer", "old"]
    await change(nf_id, password="xxxx", read_only="true")
    assert [(await credentials(house, d)).password for d in (first, second, third)] == ["newer", "newer", "old"]
    assert all(d.device.read_only for d in (await house.do("alice", ListDevices())).items)
    with pytest.raises(ReadOnlyDevice):
        await house.do("alice", PushChanges(device_id=first, action=PushAction.SAVE))
    assert values(await change(nf_id))["read.only"] == "true"
    with pytest.raises(InvalidRequest, match="2 devices"):
        await change(east.group_id, primary_ip="192.0.2.77")
    with pytest.raises(InvalidRequest, match="colour"):
        await change(east.group_id, colour="red")
    with pytest.raises(NotFound):
        await change(999, username="x")
    await house.do("bob", LockDevice(device_id=second))
    with pytest.raises(DeviceLocked, match="bob"):
        await change(east.group_id, username="refused")
    assert (await credentials(house, first)).username == "new"


async def test_one_device_may_change_its_address(house: House) -> None:
    shown = await add(house)
    await add(house, "edge-b", {"primary.ip": "192.0.2.8"})
    nf_id, device_id = shown.function.nf_id, shown.devices[0].device_id

    async def change(**parameters: str) -> None:
        wanted = {name.replace("_", "."): value for name, value in parameters.items()}
        await house.do("alice", ChangeCredentials(nf_id=nf_id, group_id=nf_id, parameters=wanted))

    await change(primary_ip="192.0.2.70", secondary_ip="192.0.2.71")
    assert (await credentials(house, device_id)).secondary_address == "192.0.2.71"
    for wrong, error in (("192.0.2.71", InvalidRequest), ("192.0.2.8", AlreadyExists), ("", InvalidRequest)):
        with pytest.raises(error):
            await change(primary_ip=wrong)
    await change(secondary_ip="")
    found = await credentials(house, device_id)
    assert (found.address, found.secondary_address) == ("192.0.2.70", None)


async def test_the_managed_form_is_for_managed_devices(house: House) -> None:
    device_id = (await add(house)).devices[0].device_id
    with pytest.raises(NotAssigned, match="edge-a"):
        await house.do("mona", ShowDevice(device_id=device_id, managed=True))
    assert (await house.do("mona", ListDevices(managed=True))).items == ()
    other = await house.enrol("edge-b", "192.0.2.8")
    assert (await house.do("mona", ShowDevice(device_id=other, managed=True))).device.assigned
    assert [d.device.device_name for d in (await house.do("mona", ListDevices(managed=True))).items] == ["edge-b"]


async def test_groups_are_added_renamed_moved_and_deleted(house: House) -> None:
    west = (await house.do("alice", AddDeviceGroup(group_name=" West "))).group
    assert (west.full_name, west.top_level) == ("West", True)
    east = (await house.do("alice", AddDeviceGroup(group_name="East", parent_full_name="Home"))).group
    assert (east.full_name, east.top_level) == ("Home/East", False)
    renamed = (await house.do("alice", ChangeDeviceGroup(group_id=west.group_id, group_name="Far"))).group
    assert (renamed.full_name, renamed.top_level) == ("Far", True)
    both = ChangeDeviceGroup(group_id=west.group_id, group_name="Near", parent_full_name="Home/East")
    moved = (await house.do("alice", both)).group
    assert (moved.full_name, moved.parent_full_name) == ("Home/East/Near", "Home/East")
    assert (await house.do("mona", ShowDeviceGroup(group_id=west.group_id))).group == moved
    assert (await house.do("mona", ListDeviceGroups(offset=1, limit=1))).total == 3
    with pytest.raises(NotEmpty):
        await house.do("alice", DeleteDeviceGroup(group_id=east.group_id))
    with pytest.raises(Conflict):
        wrong = ChangeDeviceGroup(group_id=east.group_id, parent_full_name="Home/East/Near")
        await house.do("alice", wrong)
    with pytest.raises(InvalidRequest, match="nothing to change"):
        await house.do("alice", ChangeDeviceGroup(group_id=east.group_id))
    with pytest.raises(InvalidRequest):
        await house.do("alice", AddDeviceGroup(group_name="a/b"))
    await house.do("alice", DeleteDeviceGroup(group_id=west.group_id))
    await house.do("alice", DeleteDeviceGroup(group_id=east.group_id))
    with pytest.raises(NotFound):
        await house.do("mona", ShowDeviceGroup(group_id=east.group_id))
