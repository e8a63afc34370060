"""Devices and device groups of the inventory: D1, D2, D4 to D8, and the device's own facts at v1.4."""

from __future__ import annotations

from opensdm.core.inventory import DEVICE_FILTERS, GROUP_FILTERS
from opensdm.core.operations import (
    AddDeviceGroup,
    ChangeDeviceGroup,
    DeleteDeviceGroup,
    ListDeviceGroups,
    ListDevices,
    ReadDeviceFacts,
    ShowDevice,
    ShowDeviceGroup,
)
from opensdm.core.ports import DeviceFacts
from opensdm.core.results import DeviceShown, GroupShown, Listing
from opensdm.doors.rest import replies, resources
from opensdm.doors.rest.bulk_shapes import DEVICE_FACTS
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import PAGING, filters, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply

DEVICES = "/inventory/deviceMgmt/devices"
GROUPS = "/inventory/deviceMgmt/deviceGroups"


async def list_devices(call: Call) -> Reply:
    asked = page(call)
    found: Listing[DeviceShown] = await call.execute(
        ListDevices(filters=filters(call, DEVICE_FILTERS), offset=asked.offset, limit=asked.limit)
    )
    return listed(resources.DEVICES, "devices", map(replies.device, found.items), asked, found.total)


async def show_device(call: Call) -> Reply:
    shown: DeviceShown = await call.execute(ShowDevice(device_id=call.id("device_id")))
    return Reply.of(resources.DEVICE, replies.device(shown))


async def read_facts(call: Call) -> Reply:
    """Asks the device itself, now; what is stored of it is in the device resource."""
    device_id = call.id("device_id")
    facts: DeviceFacts = await call.execute(ReadDeviceFacts(device_id=device_id))
    return Reply.of(DEVICE_FACTS, replies.device_facts(device_id, facts))


async def list_groups(call: Call) -> Reply:
    asked = page(call)
    found: Listing[GroupShown] = await call.execute(
        ListDeviceGroups(filters=filters(call, GROUP_FILTERS), offset=asked.offset, limit=asked.limit)
    )
    return listed(resources.DEVICE_GROUPS, "deviceGroups", map(replies.device_group, found.items), asked, found.total)


async def show_group(call: Call) -> Reply:
    shown: GroupShown = await call.execute(ShowDeviceGroup(group_id=call.id("group_id")))
    return Reply.of(resources.DEVICE_GROUP, replies.device_group(shown))


async def add_group(call: Call) -> Reply:
    operation = AddDeviceGroup(
        group_name=call.body["name"], parent_full_name=call.body.get("parentGroupFullName") or None
    )
    shown: GroupShown = await call.execute(operation)
    return Reply.of(resources.DEVICE_GROUP, replies.device_group(shown))


async def change_group(call: Call) -> Reply:
    operation = ChangeDeviceGroup(
        group_id=call.id("group_id"),
        group_name=call.body.get("name") or None,
        parent_full_name=call.body.get("parentGroupFullName") or None,
    )
    shown: GroupShown = await call.execute(operation)
    return Reply.of(resources.DEVICE_GROUP, replies.device_group(shown))


async def delete_group(call: Call) -> Reply:
    await call.execute(DeleteDeviceGroup(group_id=call.id("group_id")))
    return Reply.nothing()


ENDPOINTS = (
    Endpoint("GET", DEVICES, list_devices, query=DEVICE_FILTERS | PAGING),
    Endpoint("GET", DEVICES + "/{device_id}", show_device),
    Endpoint("GET", DEVICES + "/{device_id}/facts", read_facts, since=OWN_VERSION),
    Endpoint("GET", GROUPS, list_groups, query=GROUP_FILTERS | PAGING),
    Endpoint("POST", GROUPS, add_group, body=resources.NEW_DEVICE_GROUP),
    Endpoint("GET", GROUPS + "/{group_id}", show_group),
    Endpoint("PUT", GROUPS + "/{group_id}", change_group, body=resources.CHANGED_DEVICE_GROUP),
    Endpoint("DELETE", GROUPS + "/{group_id}", delete_group),
)
