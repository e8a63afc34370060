"""Home: what needs its reader."""

from __future__ import annotations

from opensdm.core.errors import Forbidden
from opensdm.core.identity import Area
from opensdm.core.inventory import Trouble
from opensdm.core.operations import FindDevices, ListAsks, ListLocks, ListTasks, ShowServer
from opensdm.core.ports import LockView
from opensdm.core.results import Asks, DeviceFound, Listing, ServerShown
from opensdm.core.task import Task, TaskState
from opensdm.doors.web.routing import Call, Reply, Route

SHOWN = 10
"""Of each kind; how many more there are is said."""


async def show_home(call: Call) -> Reply:
    asks: Asks = await call.execute(ListAsks())
    server: ServerShown = await call.execute(ShowServer())
    stale: Listing[LockView] = await call.execute(ListLocks(stale=True, limit=0))
    return Reply.page(
        "home.html", asks=asks.items, server=server, stale=stale.total, running=await _running(call),
        away=await _troubled(call, Trouble.UNREACHABLE), drifted=await _troubled(call, Trouble.DRIFTED),
    )  # fmt: skip


async def _troubled(call: Call, trouble: Trouble) -> Listing[DeviceFound]:
    found: Listing[DeviceFound] = await call.execute(FindDevices(trouble=trouble, limit=SHOWN))
    return found


async def _running(call: Call) -> Listing[Task]:
    if not call.may(Area.CONFIGURATION):
        return Listing((), 0)
    try:
        found: Listing[Task] = await call.execute(ListTasks(filters={"state": TaskState.RUNNING}, limit=SHOWN))
    except Forbidden:
        return Listing((), 0)
    return found


ROUTES = (Route("GET", "", show_home),)
