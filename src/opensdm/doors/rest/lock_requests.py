"""Locks beyond the published API, from v1.4 on: many devices at once, asks, checks, confirmations, events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from falcon.asgi import SSEvent

from opensdm.core.errors import Forbidden, InvalidRequest, NotLoggedIn, SdmError, StoreUnavailable
from opensdm.core.inventory import wire_id
from opensdm.core.lock import LockEvent
from opensdm.core.operations import (
    MAX_DEVICES,
    AskForLock,
    CheckLock,
    ConfirmDevice,
    FollowLockEvents,
    ListAsks,
    LockDevice,
    LockDevices,
    UnlockDevice,
    UnlockDevices,
    VerifyLocks,
)
from opensdm.core.ports import AskRow
from opensdm.core.results import AskReply, CheckReply, Listing, LockEventsReply, LockReply, LocksVerified
from opensdm.doors.rest import extensions, replies, requests
from opensdm.doors.rest.fields import Form
from opensdm.doors.rest.inventory import DEVICES
from opensdm.doors.rest.locks import LOCK, LOCKS, UNLOCK, locks_as_committed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.next_steps import render
from opensdm.doors.rest.query import number
from opensdm.doors.rest.routing import Call, Endpoint, Reply, number_of
from opensdm.doors.rest.streams import stream
from opensdm.doors.streams import EVENT_STREAM

FOR_THE_WHOLE_CALL = (NotLoggedIn, Forbidden, StoreUnavailable)
"""Refusals that would be the same for each device, and have a status that clients act on."""
LOOK_EVERY_S = 2.0
"""How often at least the session of a listener is looked at; new events wake it at once."""
MAX_EVENT_ID = 2**62
_OWN = Form(own=True)


class Together(StrEnum):
    """Whether many devices are one request, or one each."""

    ALL = "all"
    EACH = "each"


async def act_on_locks(call: Call) -> Reply:
    """`mode` all: every device or none, as with a group. `each`: a result for each device.

    A refusal that has nothing to do with the devices is one of the whole call.
    """
    kind = requests.action(call, LOCK, UNLOCK)
    device_ids = _device_ids(call)
    if requests.choice(call, "mode", Together, Together.ALL) is Together.EACH:
        return await _each(call, kind, device_ids)
    if kind == LOCK:
        taking = requests.taking(call)
        reply: LockReply = await call.execute(LockDevices(device_ids=device_ids, **taking))
    else:
        reply = await call.execute(UnlockDevices(device_ids=device_ids))
    return locks_as_committed(call, reply)


def _device_ids(call: Call) -> tuple[int, ...]:
    listed = call.body.get("deviceIds") or ()
    if not listed:
        requests.refuse(call, "deviceIds: name at least one device", field="deviceIds")
    return tuple(dict.fromkeys(number_of(str(each).strip(), "device_id") for each in listed))


async def _each(call: Call, kind: str, device_ids: Sequence[int]) -> Reply:
    if call.epoch is not None:
        raise InvalidRequest("an epoch goes with one device", field="epoch")
    if len(device_ids) > MAX_DEVICES:
        raise InvalidRequest(f"at most {MAX_DEVICES} devices at a time; for more, lock their group", field="deviceIds")
    taking = requests.taking(call) if kind == LOCK else {}

    async def one(device_id: int) -> dict[str, Any]:
        operation = LockDevice(device_id=device_id, **taking) if kind == LOCK else UnlockDevice(device_id=device_id)
        try:
            reply: LockReply = await call.execute(operation)
        except FOR_THE_WHOLE_CALL:
            raise
        except SdmError as error:
            return {
                "deviceId": wire_id(device_id),
                "code": error.code,
                "message": error.message,
                "blockers": [replies.blocker(each) for each in error.blockers],
                "next": [render(step, call.base, blockers=error.blockers) for step in error.next_steps],
            }
        return {"deviceId": wire_id(device_id), "code": "SUCCESS", "lock": replies.device_lock(reply.locks[0])}

    # All at once: those that wait do it side by side, so that the call has one bound.
    results = await asyncio.gather(*(one(device_id) for device_id in device_ids), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return Reply.of(extensions.LOCK_RESULTS, {"results": results})


async def ask_for_lock(call: Call) -> Reply:
    operation = AskForLock(device_id=call.id("device_id"), message=call.body.get("message"))
    reply: AskReply = await call.execute(operation)
    return Reply.of(extensions.DEVICE_LOCK, replies.device_lock(reply.lock))


async def check_lock(call: Call) -> Reply:
    """What a lock would come to now; nobody is promised anything."""
    reply: CheckReply = await call.execute(CheckLock(device_id=call.id("device_id")))
    blockers = [replies.blocker(each) for each in reply.blockers]
    wire = {"would": reply.would, "blockers": blockers, "lock": replies.device_lock(reply.lock)}
    return Reply.of(extensions.LOCK_CHECK, wire)


async def confirm_device(call: Call) -> Reply:
    reply: LockReply = await call.execute(ConfirmDevice(device_id=call.id("device_id"), note=call.body["note"]))
    return Reply.of(extensions.DEVICE_LOCK, replies.device_lock(reply.locks[0]))


async def list_asks(call: Call) -> Reply:
    found: Listing[AskRow] = await call.execute(ListAsks())
    return Reply.of(extensions.LOCK_ASKS, {"lockAsks": [replies.lock_ask(each) for each in found.items]})


async def verify_locks(call: Call) -> Reply:
    """What is found differing is an answer, not a failure: the caller looks at `differences`."""
    found: LocksVerified = await call.execute(VerifyLocks())
    differences = [replies.lock_difference(each) for each in found.differences]
    wire = {"locks": found.locks, "events": found.events, "differences": differences}
    return Reply.of(extensions.LOCKS_VERIFIED, wire)


# ------------------------------------------------------------------------------------------ events


async def follow_events(call: Call) -> Reply:
    """Server-sent events, each named by its kind, with its number as id: a client goes on after the last it had.

    Each look passes the gate, so that a stream ends with its session.
    """
    device = call.query.get("deviceId")
    device_id = None if device is None else number_of(device.strip(), "device_id")
    after = _position(call)
    first: LockEventsReply = await call.execute(FollowLockEvents(after=after, device_id=device_id))

    async def look(found: LockEventsReply) -> LockEventsReply:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await call.gate.events_since(found.last_id)
        following: LockEventsReply = await call.execute(FollowLockEvents(after=found.last_id, device_id=device_id))
        return following

    ready = SSEvent(event="ready", event_id=str(first.last_id) if not first.events else None, json={}, retry=2000)
    return stream(call, first, lambda found: map(_event, found.events), look, opening=(ready,))


def _event(event: LockEvent) -> SSEvent:
    values = extensions.LOCK_EVENT.to_value(replies.lock_event(event), _OWN)
    return SSEvent(event=event.kind.value, event_id=str(event.event_id), json=values)


def _position(call: Call) -> int | None:
    """Where to go on: after the event the client had last, or from now on."""
    last = (call.last_event_id or "").strip()
    if not last:
        return number(call, "after")
    if not (last.isascii() and last.isdigit() and int(last) < MAX_EVENT_ID):
        raise InvalidRequest("Last-Event-ID: expected an id that came with an event", field="Last-Event-ID")
    return int(last)


_DEVICE = DEVICES + "/{device_id}"

ENDPOINTS = (
    Endpoint("POST", LOCKS + "/action", act_on_locks, body=extensions.LOCKS_ACTION, since=OWN_VERSION),
    Endpoint(
        "GET", LOCKS + "/events", follow_events, query=frozenset({"after", "deviceId"}), since=OWN_VERSION,
        offers=(EVENT_STREAM,),
    ),
    Endpoint("GET", LOCKS + "/verify", verify_locks, since=OWN_VERSION),
    Endpoint("GET", "/inventory/asks", list_asks, since=OWN_VERSION),
    Endpoint("POST", _DEVICE + "/lock/ask", ask_for_lock, body=extensions.LOCK_ASK_REQUEST, since=OWN_VERSION),
    Endpoint("GET", _DEVICE + "/lock/check", check_lock, since=OWN_VERSION),
    Endpoint("POST", _DEVICE + "/confirm", confirm_device, body=extensions.CONFIRMATION, since=OWN_VERSION),
)  # fmt: skip
