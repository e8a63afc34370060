"""Home: what needs its reader."""

from __future__ import annotations

from opensdm.core.operations import ListAsks, ShowServer
from opensdm.core.results import Asks, ServerShown
from opensdm.doors.web.routing import Call, Reply, Route


async def show_home(call: Call) -> Reply:
    asks: Asks = await call.execute(ListAsks())
    server: ServerShown = await call.execute(ShowServer())
    mine = [ask for ask in asks.items if ask.holder_id == call.session.user_id]
    return Reply.page("home.html", to_me=mine, by_me=[a for a in asks.items if a not in mine], server=server)


ROUTES = (Route("GET", "", show_home),)
