"""One device: facts, its lock and what may be done about it, running work, history, versions, audit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from opensdm.core.audit import AuditEntry
from opensdm.core.errors import Forbidden, NotAssigned, NotLoaded
from opensdm.core.identity import Area
from opensdm.core.inventory import wire_id
from opensdm.core.lock import LockEvent
from opensdm.core.operations import (
    ListAudit,
    ListLockEvents,
    ListTasks,
    ListVersions,
    ShowDevice,
    ShowLock,
)
from opensdm.core.ports import LockView
from opensdm.core.results import DeviceShown, Listing
from opensdm.core.task import Task
from opensdm.core.versions import Version
from opensdm.doors.web.routing import Call, Reply, Route

SHOWN = 25
"""Of each history, the newest."""


async def show_device(call: Call) -> Reply:
    device_id = call.id("device")
    shown: DeviceShown = await call.execute(ShowDevice(device_id=device_id))
    view: LockView = await call.execute(ShowLock(device_id=device_id))
    events, tasks, versions, audit = await asyncio.gather(
        _newest_events(call, device_id),
        _or_nothing(call.execute(ListTasks(filters={"deviceId": wire_id(device_id)}, limit=SHOWN))),
        _or_nothing(call.execute(ListVersions(device_id=device_id, limit=SHOWN))),
        _audit(call, device_id),
    )
    known_tasks: Listing[Task] = tasks
    kept: Listing[Version] = versions
    return Reply.page(
        "device.html", shown=shown, device=shown.device, view=view, done="", events=events, tasks=known_tasks,
        versions=kept, audit=audit,
    )  # fmt: skip


async def show_lock_panel(call: Call) -> Reply:
    """The panel alone: asked for by the page when the padlock in it changed."""
    view: LockView = await call.execute(ShowLock(device_id=call.id("device")))
    return Reply.page("lock_panel.html", view=view, done="")


async def show_history(call: Call) -> Reply:
    return Reply.page("lock_history.html", events=await _newest_events(call, call.id("device")))


async def _newest_events(call: Call, device_id: int) -> Listing[LockEvent]:
    """Newest first; the gate lists them oldest first, from where they are asked for."""
    counted: Listing[LockEvent] = await call.execute(ListLockEvents(device_id=device_id, limit=0))
    first = max(0, counted.total - SHOWN)
    found: Listing[LockEvent] = await call.execute(ListLockEvents(device_id=device_id, offset=first, limit=SHOWN))
    return Listing(tuple(reversed(found.items)), found.total)


async def _audit(call: Call, device_id: int) -> Listing[AuditEntry] | None:
    """None for those who may not read the trail."""
    if not call.may(Area.AUDIT):
        return None
    found: Listing[AuditEntry] = await call.execute(ListAudit(filters={"device": wire_id(device_id)}, limit=SHOWN))
    return found


async def _or_nothing(asked: Awaitable[Any]) -> Listing[Any]:
    """What there is none of yet, or what the reader may not see, is an empty list on this page."""
    try:
        found: Listing[Any] = await asked
    except (NotAssigned, NotLoaded, Forbidden):
        return Listing((), 0)
    return found


_DEVICE = "/devices/{device}"
ROUTES = (
    Route("GET", _DEVICE, show_device),
    Route("GET", _DEVICE + "/lock-panel", show_lock_panel, passive=True),
    Route("GET", _DEVICE + "/lock-history", show_history, passive=True),
)
