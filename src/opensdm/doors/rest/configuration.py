"""Managed devices, staged edits and the push: C1 to C6, C10, C12 to C17."""

from __future__ import annotations

from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.inventory import DEVICE_FILTERS
from opensdm.core.operations import (
    AddElement,
    AssignDevice,
    DeleteElement,
    DiscardChanges,
    ListDevices,
    ListElements,
    LoadConfiguration,
    PushAction,
    PushChanges,
    RetrieveElement,
    ShowDevice,
    ShowPendingChanges,
    UnassignDevice,
    UpdateElement,
)
from opensdm.core.results import ChangesShown, DeviceShown, ElementsShown, Listing, PushReply
from opensdm.doors.rest import replies, requests, resources
from opensdm.doors.rest.listing import listed, listed_whole
from opensdm.doors.rest.query import PAGING, filters, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply

DEVICES = "/configuration/devices"
CONFIGS = "/configuration/deviceConfigs/{device_id}"
PUSH_ACTIONS = tuple(action.value for action in PushAction)


async def list_devices(call: Call) -> Reply:
    asked = page(call)
    found: Listing[DeviceShown] = await call.execute(
        ListDevices(filters=filters(call, DEVICE_FILTERS), managed=True, offset=asked.offset, limit=asked.limit)
    )
    wire = map(replies.managed_device, found.items)
    return listed(resources.MANAGED_DEVICES, "devices", wire, asked, found.total)


async def assign_device(call: Call) -> Reply:
    device_id = await _named_device(call)
    shown: DeviceShown = await call.execute(AssignDevice(device_id=device_id))
    return Reply.of(resources.MANAGED_DEVICE, replies.managed_device(shown))


async def _named_device(call: Call) -> int:
    """The device the body names. Names are compared as they are: a `*` in one matches nothing."""
    wanted = call.body["deviceName"].strip()
    nf_name = (call.body.get("nfName") or "").strip()
    narrowing = {"name": wanted, "nfName": nf_name} if nf_name else {"name": wanted}
    found: Listing[DeviceShown] = await call.execute(ListDevices(filters=narrowing))
    devices = [d.device for d in found.items if d.device.device_name.casefold() == wanted.casefold()]
    if nf_name:
        devices = [d for d in devices if d.nf_name.casefold() == nf_name.casefold()]
    if not devices:
        of = f" of network function {nf_name!r}" if nf_name else ""
        raise NotFound(f"there is no device {wanted!r}{of}")
    if len(devices) > 1:
        raise InvalidRequest(f"{len(devices)} devices are called {wanted!r}: name the network function with nfName")
    return devices[0].device_id


async def show_device(call: Call) -> Reply:
    shown: DeviceShown = await call.execute(ShowDevice(device_id=call.id("device_id"), managed=True))
    return Reply.of(resources.MANAGED_DEVICE, replies.managed_device(shown))


async def unassign_device(call: Call) -> Reply:
    await call.execute(UnassignDevice(device_id=call.id("device_id")))
    return Reply.nothing()


async def load_configuration(call: Call) -> Reply:
    shown: DeviceShown = await call.execute(LoadConfiguration(device_id=call.id("device_id")))
    return Reply.of(resources.MANAGED_DEVICE, replies.managed_device(shown))


async def push(call: Call) -> Reply:
    """A push that began is answered 200, with flags that say how far it came."""
    action = PushAction(requests.action(call, *PUSH_ACTIONS))
    reply: PushReply = await call.execute(PushChanges(device_id=call.id("device_id"), action=action))
    return Reply.of(resources.SAVE_ACTIVATE_RESULT, replies.save_activate_result(reply))


async def list_elements(call: Call) -> Reply:
    asked = page(call)
    operation = ListElements(
        device_id=call.id("device_id"),
        element_path=call.query.get("elementTypePath", "").strip(),
        offset=asked.offset,
        limit=asked.limit,
    )
    if not operation.element_path:
        raise InvalidRequest(
            "which elements? Say so with elementTypePath, as in ?elementTypePath=realmConfig", field="elementTypePath"
        )
    shown: ElementsShown = await call.execute(operation)
    wire = map(replies.config_element, shown.items)
    return listed(resources.CONFIG_ELEMENTS, "configElements", wire, asked, shown.total)


async def add_element(call: Call) -> Reply:
    operation = AddElement(device_id=call.id("device_id"), element=requests.element(call), parent=requests.parent(call))
    return _element(await call.execute(operation))


async def retrieve_element(call: Call) -> Reply:
    operation = RetrieveElement(
        device_id=call.id("device_id"), element=requests.element(call), parent=requests.parent(call)
    )
    return _element(await call.execute(operation))


async def update_element(call: Call) -> Reply:
    operation = UpdateElement(
        device_id=call.id("device_id"), element=requests.element(call), parent=requests.parent(call)
    )
    return _element(await call.execute(operation))


async def delete_element(call: Call) -> Reply:
    operation = DeleteElement(
        device_id=call.id("device_id"), element=requests.element(call), parent=requests.parent(call)
    )
    await call.execute(operation)
    return Reply.nothing()


def _element(element: Element) -> Reply:
    return Reply.of(resources.CONFIG_ELEMENT, replies.config_element(element))


async def list_changes(call: Call) -> Reply:
    shown: ChangesShown = await call.execute(ShowPendingChanges(device_id=call.id("device_id")))
    wire = [replies.configuration_change(change) for change in shown.changes]
    return listed_whole(call, resources.CONFIGURATION_CHANGES, "changedConfigElements", wire)


async def discard_changes(call: Call) -> Reply:
    await call.execute(DiscardChanges(device_id=call.id("device_id")))
    return Reply.nothing()


ENDPOINTS = (
    Endpoint("GET", DEVICES, list_devices, query=DEVICE_FILTERS | PAGING),
    Endpoint("POST", DEVICES, assign_device, body=resources.DEVICE_ASSOCIATION),
    Endpoint("GET", DEVICES + "/{device_id}", show_device),
    Endpoint("DELETE", DEVICES + "/{device_id}", unassign_device),
    Endpoint("GET", DEVICES + "/{device_id}/loadConfig", load_configuration, acts=True),
    Endpoint("POST", DEVICES + "/{device_id}/action", push, body=resources.PUSH_ACTION),
    Endpoint("GET", CONFIGS + "/configElements", list_elements, query=PAGING | {"elementTypePath"}),
    Endpoint("POST", CONFIGS + "/configElements/add", add_element, body=resources.CONFIG_ELEMENT),
    Endpoint("POST", CONFIGS + "/configElements/retrieve", retrieve_element, body=resources.CONFIG_ELEMENT),
    Endpoint("POST", CONFIGS + "/configElements/update", update_element, body=resources.CONFIG_ELEMENT),
    Endpoint("POST", CONFIGS + "/configElements/delete", delete_element, body=resources.CONFIG_ELEMENT),
    Endpoint("GET", CONFIGS + "/configurationChanges", list_changes, query=PAGING),
    Endpoint("DELETE", CONFIGS + "/configurationChanges", discard_changes),
)
