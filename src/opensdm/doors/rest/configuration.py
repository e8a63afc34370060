"""Managed devices and the push: C1 to C6; at v1.4 what a push would do, and the way out of stale changes."""

from __future__ import annotations

from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.inventory import DEVICE_FILTERS
from opensdm.core.operations import (
    AssignDevice,
    CheckSync,
    ListDevices,
    LoadConfiguration,
    Prefer,
    PreviewPush,
    PushAction,
    PushChanges,
    RebaseChanges,
    ShowDevice,
    UnassignDevice,
)
from opensdm.core.results import (
    DeviceShown,
    Listing,
    PushPreview,
    PushReply,
    RebaseReply,
    SyncReport,
    TaskStarted,
)
from opensdm.doors.rest import history_shapes, provisioning_shapes, replies, requests, resources
from opensdm.doors.rest.diff import diff
from opensdm.doors.rest.history_replies import task_started
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.provisioning_replies import push_preview, rebase_result, save_activate_result, sync_report
from opensdm.doors.rest.query import PAGING, filters, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply

DEVICES = "/configuration/devices"
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
    """A push that began is answered 200, with flags that say how far it came; as a task 202, as soon as it began."""
    action = PushAction(requests.action(call, *PUSH_ACTIONS))
    device_id, change_set = call.id("device_id"), requests.named_set(call, call.body.get("changeSet"))
    as_task = call.body.get("asTask") or False
    if call.body.get("dryRun"):
        if as_task:
            requests.refuse(call, "dryRun and asTask exclude each other: a dry run is over at once", field="asTask")
        preview: PushPreview = await call.execute(
            PreviewPush(device_id=device_id, action=action, change_set=change_set)
        )
        return Reply.of(
            provisioning_shapes.PUSH_PREVIEW, push_preview(preview, await diff(preview.changes, preview.differences))
        )
    reply: PushReply | TaskStarted = await call.execute(
        PushChanges(device_id=device_id, action=action, change_set=change_set, as_task=as_task)
    )
    return pushed(call, reply)


def pushed(call: Call, reply: PushReply | TaskStarted) -> Reply:
    """What is said of a push or a restore, whether or not its caller waits for it."""
    if isinstance(reply, TaskStarted):
        location = ("Location", call.url(f"/configuration/tasks/{reply.task_id}"))
        return Reply.accepted(history_shapes.TASK, task_started(reply), location)
    return Reply.of(resources.SAVE_ACTIVATE_RESULT, save_activate_result(reply))


async def check_sync(call: Call) -> Reply:
    """Asks the device itself, now."""
    operation = CheckSync(device_id=call.id("device_id"), change_set=requests.change_set(call))
    report: SyncReport = await call.execute(operation)
    return Reply.of(provisioning_shapes.SYNC_REPORT, sync_report(report))


async def rebase(call: Call) -> Reply:
    operation = RebaseChanges(
        device_id=call.id("device_id"),
        change_set=requests.named_set(call, call.body.get("changeSet")),
        prefer=requests.choice(call, "prefer", Prefer, Prefer.NONE),
    )
    reply: RebaseReply = await call.execute(operation)
    return Reply.of(provisioning_shapes.REBASE_RESULT, rebase_result(reply, await diff(reply.changes)))


ENDPOINTS = (
    Endpoint("GET", DEVICES, list_devices, query=DEVICE_FILTERS | PAGING),
    Endpoint("POST", DEVICES, assign_device, body=resources.DEVICE_ASSOCIATION),
    Endpoint("GET", DEVICES + "/{device_id}", show_device),
    Endpoint("DELETE", DEVICES + "/{device_id}", unassign_device),
    Endpoint("GET", DEVICES + "/{device_id}/loadConfig", load_configuration, acts=True),
    Endpoint("POST", DEVICES + "/{device_id}/action", push, body=resources.PUSH_ACTION),
    Endpoint("GET", DEVICES + "/{device_id}/checkSync", check_sync, query=frozenset({"changeSet"}), since=OWN_VERSION),
    Endpoint("POST", DEVICES + "/{device_id}/rebase", rebase, body=provisioning_shapes.REBASE, since=OWN_VERSION),
)
