"""Running an ASGI application on a socket of our own inside a running event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals alone: it is a guest in somebody else's loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """One application on one address, with TLS when a pair of certificate and key is given."""

    def __init__(self, app: Any, tls: tuple[Path, Path] | None) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
            timeout_graceful_shutdown=1,
        )
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Bind and serve; port 0 takes any free one. The bound address, or `OSError` when it cannot be had."""
        bound = await _bind(host, port)
        address = bound.getsockname()
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]), name="virtual-sbc listener")
        while not self._server.started:
            if self._task.done():
                bound.close()
                await self._task
                raise OSError(f"the listener on {address} ended before it started")
            await asyncio.sleep(0.005)
        return address[0], address[1]

    async def stop(self) -> None:
        """Stop listening, end the requests at hand (those that take longer than a second are broken off)."""
        if self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._task}, timeout=0.5)
        if not self._server.server_state.tasks:
            # Idle TLS peers that never say goodbye: uvicorn would wait for them, and complain.
            self._abort_all()
        await self._task
        self._task = None
        self._abort_all()
        await asyncio.sleep(0)

    def _abort_all(self) -> None:
        for transport, _ in self._connections():
            transport.abort()

    def cut(self, client: Any) -> None:
        """Cut the connection of one client, given as (host, port), without a farewell."""
        for transport, peer in self._connections():
            if peer == client:
                transport.abort()

    def _connections(self) -> list[tuple[asyncio.Transport, Any]]:
        open_ones = self._server.server_state.connections
        pairs = [(getattr(each, "transport", None), getattr(each, "client", None)) for each in open_ones]
        return [(transport, peer) for transport, peer in pairs if transport is not None]


async def _bind(host: str, port: int) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
