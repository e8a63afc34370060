"""The web GUI on the real gate and a real database, served on loopback in this very event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
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
    """A house with its doors open; `url` is the server's base, `ids` the devices' ids by name.

    `close` and `open`: the server stops and, at the same address, comes back; the house stays as it is.
    """

    house: House
    url: str
    close: Callable[[], Awaitable[None]]
    open: Callable[[], Awaitable[None]]
    ids: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def open_site(directory: Path, settings: WebSettings | None = None) -> AsyncIterator[Site]:
    async with house_with_users(f"sqlite:///{directory / 'opensdm.db'}", directory) as house:
        doors = _Doors(house, settings or WebSettings(heartbeat_s=1.0))
        await doors.open()
        try:
            yield Site(house, doors.url, doors.close, doors.open)
        finally:
            await doors.close()


class _Doors:
    def __init__(self, house: House, settings: WebSettings) -> None:
        self._stopping = False
        self._app = build_app(house.gate, stopping=lambda: self._stopping)
        add_web_routes(self._app, house.gate, settings, lambda: self._stopping)
        self._listener: Listener | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        self._stopping = False
        self._listener = Listener(self._app, bind("127.0.0.1", self._port), None, grace_s=1.0)
        self._port = self._listener.port
        await self._listener.start()

    async def close(self) -> None:
        self._stopping = True
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None
