"""All locks: held, stale, the reader's own, and who waits or asks for what."""

from __future__ import annotations

from urllib.parse import urlencode

from opensdm.core.operations import ListAsks, ListLocks
from opensdm.core.ports import LockView
from opensdm.core.results import Asks, Listing
from opensdm.doors.web.routing import Call, Reply, Route

PAGE = 50
URL = "/web/locks"


async def list_locks(call: Call) -> Reply:
    """`which`: mine, stale, waiting, or all; `holder` narrows all to a user."""
    which, holder = call.asked("which", "all"), call.asked("holder")
    offset = call.asked_number("offset", 0)
    operation = ListLocks(
        holder=call.session.user_name if which == "mine" else holder if which == "all" and holder else None,
        stale=True if which == "stale" else None,
        waiting=which == "waiting",
        offset=offset,
        limit=PAGE,
    )
    found: Listing[LockView] = await call.execute(operation)
    stale: Listing[LockView] = await call.execute(ListLocks(stale=True, limit=0))
    asks: Asks = await call.execute(ListAsks())
    kept = {name: value for name, value in (("which", which), ("holder", holder)) if value}
    return Reply.page(
        "lock_list.html" if call.fragment else "locks.html",
        found=found, which=which, holder=holder, stale=stale.total, asks=asks.items, limit=PAGE,
        more=f"{URL}?{urlencode({**kept, 'offset': ''})}",
    )  # fmt: skip


ROUTES = (Route("GET", "/locks", list_locks),)
