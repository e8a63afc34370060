"""Home: what needs its reader."""

from __future__ import annotations

from opensdm.core.errors import Forbidden
from opensdm.core.identity import Area
from opensdm.core.operations import ListAsks, ListDevices, ListLocks, ListTasks, ShowServer
from opensdm.core.ports import LockView
from opensdm.core.results import Asks, DeviceShown, Listing, ServerShown
from opensdm.core.task import Task, TaskState
from opensdm.doors.web.routing import Call, Reply, Route

SHOWN = 10


async def show_home(call: Call) -> Reply:
    asks: Asks = await call.execute(ListAsks())
    server: ServerShown = await call.execute(ShowServer())
    stale: Listing[LockView] = await call.execute(ListLocks(stale=True, limit=0))
    away: Listing[DeviceShown] = await call.execute(
        ListDevices(filters={"connectivityStatus": "false"}, managed=True, limit=SHOWN)
    )
    return Reply.page(
        "home.html", asks=asks.items, server=server, stale=stale.total, running=await _running(call),
        away=[each for each in away.items if each.device.polled_us is not None],
    )  # fmt: skip


async def _running(call: Call) -> tuple[Task, ...]:
    if not call.may(Area.CONFIGURATION):
        return ()
    try:
        found: Listing[Task] = await call.execute(ListTasks(filters={"state": TaskState.RUNNING}, limit=SHOWN))
    except Forbidden:
        return ()
    return found.items


ROUTES = (Route("GET", "", show_home),)
