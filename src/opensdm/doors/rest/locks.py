"""The device lock: D3 and N13 as published; at v1.4 what a lock is, who took it away, and taking it away."""

from __future__ import annotations

from opensdm.core.lock import LockEvent
from opensdm.core.operations import (
    ListLockEvents,
    ListLocks,
    LockDevice,
    LockGroup,
    OverrideLock,
    ShowLock,
    UnlockDevice,
    UnlockGroup,
)
from opensdm.core.ports import LockView
from opensdm.core.results import Listing, LockReply, OverrideReply
from opensdm.doors.rest import extensions, replies, requests, resources
from opensdm.doors.rest.functions import FUNCTIONS
from opensdm.doors.rest.inventory import DEVICES
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import PAGING, filters, flag, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply

LOCKS = "/inventory/locks"
LOCK, UNLOCK = "Lock", "Unlock"


async def lock_device(call: Call) -> Reply:
    """D3. Published: 204. Ours: the lock as committed, unless the caller prefers no body."""
    device_id = call.id("device_id")
    if requests.action(call, LOCK, UNLOCK) == LOCK:
        reply: LockReply = await call.execute(LockDevice(device_id=device_id, **requests.taking(call)))
    else:
        reply = await call.execute(UnlockDevice(device_id=device_id))
    headers = replies.lost_headers(reply.lost)
    if call.minimal or not call.own:
        return Reply.nothing(*headers)
    return Reply.of(extensions.DEVICE_LOCK, replies.device_lock(reply.locks[0]), *headers)


async def lock_group(call: Call) -> Reply:
    """N13: every device of the group or none."""
    nf_id, group_id = call.id("nf_id"), call.id("group_id")
    if requests.action(call, LOCK, UNLOCK) == LOCK:
        operation = LockGroup(nf_id=nf_id, group_id=group_id, **requests.taking(call))
        reply: LockReply = await call.execute(operation)
    else:
        reply = await call.execute(UnlockGroup(nf_id=nf_id, group_id=group_id))
    return locks_as_committed(call, reply)


def locks_as_committed(call: Call, reply: LockReply) -> Reply:
    """Locks of several devices, unless the caller prefers no body; with them, which were taken away before."""
    headers = replies.lost_headers(reply.lost)
    if call.minimal or not call.own:
        return Reply.nothing(*headers)
    locks = [replies.device_lock(view) for view in reply.locks]
    return Reply.of(extensions.DEVICE_LOCKS, {"deviceLocks": locks}, *headers)


async def override_lock(call: Call) -> Reply:
    """A caller that says which lock it means (holder or epoch) never takes away another than it saw."""
    body = call.body
    operation = OverrideLock(
        device_id=call.id("device_id"),
        reason=body["reason"],
        expected_holder=body.get("expectedHolder") or None,
        expected_epoch=body.get("expectedEpoch"),
        mode=requests.override_mode(call),
        transfer=body.get("transfer") or False,
    )
    reply: OverrideReply = await call.execute(operation)
    if call.minimal:
        return Reply.nothing()
    return Reply.of(extensions.OVERRIDDEN_LOCK, replies.overridden_lock(reply))


async def show_lock(call: Call) -> Reply:
    view: LockView = await call.execute(ShowLock(device_id=call.id("device_id")))
    return Reply.of(extensions.DEVICE_LOCK, replies.device_lock(view))


async def list_locks(call: Call) -> Reply:
    asked = page(call)
    operation = ListLocks(
        holder=filters(call, ("holder",)).get("holder"),
        stale=flag(call, "stale"),
        waiting=flag(call, "waiting") or False,
        offset=asked.offset,
        limit=asked.limit,
    )
    found: Listing[LockView] = await call.execute(operation)
    wire = map(replies.device_lock, found.items)
    return listed(extensions.DEVICE_LOCKS, "deviceLocks", wire, asked, found.total)


async def list_events(call: Call) -> Reply:
    asked = page(call)
    operation = ListLockEvents(device_id=call.id("device_id"), offset=asked.offset, limit=asked.limit)
    found: Listing[LockEvent] = await call.execute(operation)
    wire = map(replies.lock_event, found.items)
    return listed(extensions.LOCK_EVENTS, "lockEvents", wire, asked, found.total)


_DEVICE, _GROUP = DEVICES + "/{device_id}", FUNCTIONS + "/{nf_id}/groups/{group_id}"

ENDPOINTS = (
    Endpoint("POST", _DEVICE + "/action", lock_device, body=resources.DEVICE_ACTION, device_lock=True),
    Endpoint("POST", _GROUP + "/action", lock_group, body=resources.DEVICE_GROUP_ACTION),
    Endpoint("GET", _DEVICE + "/lock", show_lock, since=OWN_VERSION),
    Endpoint("POST", _DEVICE + "/lock/override", override_lock, body=extensions.LOCK_OVERRIDE, since=OWN_VERSION),
    Endpoint("GET", _DEVICE + "/lock/events", list_events, query=PAGING, since=OWN_VERSION),
    Endpoint("GET", LOCKS, list_locks, query=PAGING | {"holder", "stale", "waiting"}, since=OWN_VERSION),
)
