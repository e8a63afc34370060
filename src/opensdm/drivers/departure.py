"""The last moment before bytes leave us over SSH: up to an instant they do, and after it the connection ends instead.

A process may be stopped anywhere, and a write that looked in time when it was made may still wait for the device's
window or for new keys. So each packet is looked at on its way into the socket, with nothing awaited in between.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, cast


class Departure:
    """What one connection may send. `send_before` is an instant of `time.monotonic()`; infinite: whenever it likes."""

    def __init__(self) -> None:
        self.send_before = math.inf

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.send_before

    async def create_connection(
        self, session_factory: Callable[[], Any], host: str, port: int
    ) -> tuple[asyncio.BaseTransport, Any]:
        """Connect for asyncssh, which takes this object for a tunnel: its connection, behind our look at the clock."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(lambda: _Watched(self, session_factory()), host, port)
        return transport, protocol.inside


class _Outlet:
    """The transport as asyncssh sees it. What comes too late ends the connection, with all that waits in it."""

    def __init__(self, transport: asyncio.Transport, departure: Departure) -> None:
        self._transport = transport
        self._departure = departure

    def write(self, data: bytes) -> None:
        if self._departure.late:
            self._transport.abort()
        else:
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Watched(asyncio.Protocol):
    """Hands everything on to asyncssh's connection, but for the transport."""

    def __init__(self, departure: Departure, inside: Any) -> None:
        self._departure = departure
        self.inside = inside

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.inside.connection_made(_Outlet(cast(asyncio.Transport, transport), self._departure))

    def data_received(self, data: bytes) -> None:
        self.inside.data_received(data)

    def eof_received(self) -> None:
        self.inside.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.inside.connection_lost(exc)
