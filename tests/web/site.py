"""The web GUI on the real gate and a real database, served on loopback in this very event loop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from opensdm.doors.rest.app import build_app
from opensdm.doors.web.app import add_web_routes
from opensdm.doors.web.settings import WebSettings
from opensdm.listener import Listener, bind
from tests.gatehouse import House, house_with_users


@dataclass
class Site:
    """A house with its doors open; `url` is the server's base, `ids` the devices' ids by name."""

    house: House
    url: str
    ids: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def open_site(directory: Path, settings: WebSettings | None = None) -> AsyncIterator[Site]:
    async with house_with_users(f"sqlite:///{directory / 'opensdm.db'}", directory) as house:
        stopping = [False]
        app = build_app(house.gate, stopping=lambda: stopping[0])
        add_web_routes(app, house.gate, settings or WebSettings(heartbeat_s=1.0), lambda: stopping[0])
        bound: socket.socket = bind("127.0.0.1", 0)
        listener = Listener(app, bound, None, grace_s=1.0)
        await listener.start()
        try:
            yield Site(house, listener.url)
        finally:
            stopping[0] = True
            await listener.stop()
            bound.close()
