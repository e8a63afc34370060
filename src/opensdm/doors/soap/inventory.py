"""DeviceMgmtIF: which devices and groups there are, and what is known of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from opensdm import __version__
from opensdm.core.element import ElementType
from opensdm.core.errors import Forbidden, InvalidRequest, NotEmpty, NotFound, Unreachable
from opensdm.core.inventory import CATEGORIES, HOME_GROUP_NAME, Device, wire_id
from opensdm.core.operations import (
    AddDeviceGroup,
    AddNetworkFunction,
    DeleteDeviceGroup,
    DeleteNetworkFunction,
    ListDeviceGroups,
    ListDevices,
    ListElements,
    ListElementTypes,
    ListNetworkFunctions,
    ProbeHost,
    ShowNetworkFunction,
    ShowPendingChanges,
    ShowServer,
)
from opensdm.core.ports import NodeRow
from opensdm.core.results import (
    ChangesShown,
    DeviceShown,
    ElementsShown,
    FunctionShown,
    GroupShown,
    Listing,
    ProbeReport,
    ServerShown,
)
from opensdm.doors.soap.calls import Answers, Call, Wire, done
from opensdm.doors.soap.elements import wire_element
from opensdm.gate.policy import utc

PLATFORM = "acme_sbc"
"""What a published client enrols, unless it says otherwise."""
CATEGORY, TYPE = CATEGORIES[1].name, CATEGORIES[1].type_names[0]


# ------------------------------------------------------------------------------------------- devices


async def managed_devices(call: Call) -> list[Wire]:
    devices = await _managed(call)
    return [_details(d, names, groups) for d, names, groups in await _with_names(call, devices)]


async def managed_names(call: Call) -> list[str]:
    return [device.device_name for device in await _managed(call)]


async def managed_target_names(call: Call) -> list[str]:
    """Names by which each can be called: where several devices share one, their ids."""
    devices = await _managed(call)
    shared = await _shared_names(call)
    return [_target_name(device, shared) for device in devices]


async def devices_by_group(call: Call) -> list[Wire]:
    """Managed devices whose network functions are directly in the group."""
    group = await _group_named(call, call.text("devicetGroupPath"))
    functions = await _functions(call)
    inside = {nf_id for nf_id, path in functions.items() if path.casefold() == group.group.full_name.casefold()}
    devices = [device for device in await _managed(call) if device.nf_id in inside]
    return [_details(d, names, groups) for d, names, groups in await _with_names(call, devices)]


async def device_details(call: Call) -> Wire:
    device = await call.target()
    shown: FunctionShown = await call.execute(ShowNetworkFunction(nf_id=device.nf_id))
    shared = await _shared_names(call, device.device_name)
    return _details(device, shared, {device.nf_id: shown.function.parent_full_name})


async def _managed(call: Call) -> list[Device]:
    found: Listing[DeviceShown] = await call.execute(ListDevices(managed=True))
    return [shown.device for shown in found.items]


async def _shared_names(call: Call, name: str | None = None) -> frozenset[str]:
    """Names that several devices of the inventory have, managed or not; of all, or is this one among them."""
    found: Listing[DeviceShown] = await call.execute(ListDevices(filters={} if name is None else {"name": name}))
    counted = Counter(shown.device.device_name.casefold() for shown in found.items)
    return frozenset(name for name, count in counted.items() if count > 1)


async def _functions(call: Call) -> dict[int, str]:
    """The group of every network function."""
    found: Listing[FunctionShown] = await call.execute(ListNetworkFunctions())
    return {shown.function.nf_id: shown.function.parent_full_name for shown in found.items}


async def _with_names(call: Call, devices: Sequence[Device]) -> list[tuple[Device, frozenset[str], dict[int, str]]]:
    shared, functions = await _shared_names(call), await _functions(call)
    return [(device, shared, functions) for device in devices]


def _target_name(device: Device, shared: frozenset[str]) -> str:
    return wire_id(device.device_id) if device.device_name.casefold() in shared else device.device_name


def _details(device: Device, shared: frozenset[str], functions: dict[int, str]) -> Wire:
    """What is not known is left out; of the hardware nothing is."""
    parameters = device.parameters
    port = parameters.get("snmp.port")
    return {
        "deviceName": device.device_name,
        "targetName": _target_name(device, shared),
        "domainName": functions.get(device.nf_id),
        "SBCVersion": device.software_version or None,
        "snmpCommunityName": parameters.get("snmp.community.name"),
        "snmpPort": int(port) if port else None,
        "primaryIP": device.ip,
        "secondaryIP": parameters.get("secondary.ip"),
    }


# ------------------------------------------------------------------------------- adding and deleting


async def add_device(call: Call) -> Wire:
    """A network function with one device, named as the device names itself; it is asked unless a name is given."""
    given: Wire = call.values["deviceInfoObject"]
    parameters = _parameters(given)
    platform = (given.get("platform") or PLATFORM).strip()
    name = (given.get("targetName") or "").strip() or await _own_name(call, platform, parameters)
    operation = AddNetworkFunction(
        nf_name=name,
        parent_full_name=(given.get("deviceGroupName") or "").strip() or HOME_GROUP_NAME,
        category_name=CATEGORY,
        type_name=TYPE,
        parameters={**parameters, "platform": platform},
    )
    await call.execute(operation)
    return done(f"{name} is in the inventory; load it to manage it")


def _parameters(given: Wire) -> dict[str, str]:
    addresses = [text.strip() for text in given.get("deviceIPList") or () if text and text.strip()]
    if not 1 <= len(addresses) <= 2:
        raise InvalidRequest("deviceIPList holds one address, or two for a pair", field="deviceIPList")
    known = {
        "primary.ip": addresses[0],
        "secondary.ip": addresses[1] if len(addresses) > 1 else None,
        "username": given.get("username"),
        "password": given.get("Password"),
        "snmp.community.name": given.get("communityName"),
        "snmp.port": given.get("snmpPort"),
        "transport": (given.get("webServicesProtcol") or "").lower() or None,
    }
    more = {each["name"].strip(): each.get("value") for each in given.get("parameters") or ()}
    return {name: str(value) for name, value in {**known, **more}.items() if value is not None}


async def _own_name(call: Call, platform: str, parameters: dict[str, str]) -> str:
    report: ProbeReport = await call.execute(ProbeHost(platform=platform, parameters=parameters))
    if report.facts is not None and report.facts.host_name:
        return report.facts.host_name
    failed = next((f"{f.step}: {f.message}" for f in report.findings if f.ok is False), "it says no name")
    raise Unreachable(f"{report.address} was asked for its name and did not give it: {failed}")


async def delete_device(call: Call) -> Wire:
    """With its network function. Raises NotEmpty for one of several devices of a network function."""
    device = await call.target()
    shown: FunctionShown = await call.execute(ShowNetworkFunction(nf_id=device.nf_id))
    if len(shown.devices) > 1:
        others = ", ".join(d.device_name for d in shown.devices if d.device_id != device.device_id)
        raise NotEmpty(f"the network function {device.nf_name} also holds {others}; delete it as a whole")
    await call.execute(DeleteNetworkFunction(nf_id=device.nf_id))
    return done(f"{device.device_name} is deleted")


# -------------------------------------------------------------------------------------------- groups


async def group_paths(call: Call) -> list[str]:
    found: Listing[GroupShown] = await call.execute(ListDeviceGroups())
    return [shown.group.full_name for shown in found.items]


async def add_group(call: Call) -> bool:
    """Each group but the last of the path is there already; a bare name becomes a group of the top level."""
    parent, _, name = call.text("deviceGroupPath").strip("/").rpartition("/")
    await call.execute(AddDeviceGroup(group_name=name, parent_full_name=parent or None))
    return True


async def delete_group(call: Call) -> bool:
    found = await _group_named(call, call.text("deviceGroupPath"))
    await call.execute(DeleteDeviceGroup(group_id=found.group.group_id))
    return True


async def _group_named(call: Call, path: str) -> GroupShown:
    wanted = path.strip("/").casefold()
    found: Listing[GroupShown] = await call.execute(ListDeviceGroups())
    for shown in found.items:
        full = shown.group.full_name.casefold()
        if wanted == full or (shown.group.top_level and wanted == full.rpartition("/")[2]):
            return shown
    raise NotFound(f"there is no device group {path[:100]!r}")


# ------------------------------------------------------------------------------------------- reports


async def own_changes(call: Call) -> list[Wire]:
    """The elements a save would create or change. Staged changes are their user's own."""
    device, session = await call.target(), await call.session()
    wanted = str(call.values.get("userName") or "").strip()
    if wanted and wanted.casefold() != session.session.user_name.casefold():
        raise Forbidden("staged changes are shown to the user who staged them, and to no one else")
    shown: ChangesShown = await call.execute(ShowPendingChanges(device_id=device.device_id))
    return [wire_element(change.after) for change in shown.changes if change.after is not None]


async def element_counts(call: Call) -> list[Wire]:
    """Of each top-level type the device has elements of, in our copy with the caller's changes applied."""
    device = await call.target()
    found: Listing[ElementType] = await call.execute(ListElementTypes(device_id=device.device_id))
    counted = []
    for kind in found.items:
        operation = ListElements(device_id=device.device_id, element_path=kind.path, limit=0)
        shown: ElementsShown = await call.execute(operation)
        if shown.total:
            counted.append({"elementName": kind.path, "ElementCount": shown.total})
    return counted


async def server_details(call: Call) -> Wire:
    shown: ServerShown = await call.execute(ShowServer())
    return {"version": f"OpenSDM {__version__}", "serverList": [_server(node) for node in shown.nodes]}


def _server(node: NodeRow) -> Wire:
    return {
        "serverIPAddress": node.address,
        "serverName": node.node_name,
        "serverStatus": "UP" if node.live else "DOWN",
        "heartBeatCount": node.heartbeats,
        "lastHeartBeatTime": utc(node.heartbeat_us),
        "downTime": None if node.live else utc(node.heartbeat_us),
        "upTime": utc(node.started_us),
    }


ANSWERS: Answers = {
    "addDevice": add_device,
    "deleteDevice": delete_device,
    "getAllManagedDevices": managed_devices,
    "getAllManagedDevicesNames": managed_names,
    "getAllManagedDeviceTargetNames": managed_target_names,
    "getAllManagedDevicesByDeviceGroup": devices_by_group,
    "getSBCDetails": device_details,
    "getAllDeviceGroupList": group_paths,
    "addDeviceGroup": add_group,
    "deleteDeviceGroup": delete_group,
    "getLCVContentSaveSessionReport": own_changes,
    "getTopLevelElementCount": element_counts,
    "getNNCDetails": server_details,
    "getAllAssociatedDevicesInEMSLicense": managed_target_names,
    "getAllAssociatedDevicesInEMLicense": managed_target_names,
}
