"""All locks: held, stale, the reader's own, and who waits or asks for what."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from opensdm.core.operations import ListAsks, ListLocks
from opensdm.core.ports import LockView
from opensdm.core.results import Asks, Listing
from opensdm.doors.web.routing import Call, Reply, Route
from opensdm.doors.web.words import mark

PAGE = 50
URL = "/web/locks"
NARROWED = ("all", "stale")
"""Lists that the holder's name narrows."""


async def list_locks(call: Call) -> Reply:
    """`which`: mine, stale, waiting, or all; `holder` narrows all and stale to users whose name has it."""
    values = await _listed(call)
    if call.fragment:
        return Reply.page("lock_list.html", **values)
    stale: Listing[LockView] = await call.execute(ListLocks(stale=True, limit=0))
    asks: Asks = await call.execute(ListAsks())
    return Reply.page("locks.html", stale=stale.total, asks=asks.items, narrowed=NARROWED, **values)


async def follow_list(call: Call) -> Reply:
    """Asked for by the list itself: drawn anew once it is not what was `seen`."""
    values = await _listed(call)
    return Reply.nothing() if values["seen"] == call.asked("seen") else Reply.page("lock_list.html", **values)


async def _listed(call: Call) -> dict[str, Any]:
    which, offset = call.asked("which", "all"), call.asked_number("offset", 0)
    holder = call.asked("holder") if which in NARROWED else ""
    found: Listing[LockView] = await call.execute(
        ListLocks(
            holder=call.session.user_name if which == "mine" else _pattern(holder),
            stale=True if which == "stale" else None,
            waiting=which == "waiting",
            offset=offset,
            limit=PAGE,
        )
    )
    kept = {name: value for name, value in (("which", which), ("holder", holder)) if value}
    shown = " ".join([str(found.total), *(f"{view.row.device_id}:{mark(view)}" for view in found.items)])
    seen = sha256(shown.encode()).hexdigest()[:12]
    return {
        "found": found, "which": which, "holder": holder, "limit": PAGE, "seen": seen,
        "more": f"{URL}?{urlencode({**kept, 'offset': ''})}",
        "again": f"{URL}/list?{urlencode({**kept, 'offset': offset, 'seen': seen})}",
    }  # fmt: skip


def _pattern(holder: str) -> str | None:
    """What is typed is looked for anywhere in the name, unless it says itself where."""
    return None if not holder else holder if "*" in holder else f"*{holder}*"


ROUTES = (Route("GET", "/locks", list_locks), Route("GET", "/locks/list", follow_list, passive=True))
