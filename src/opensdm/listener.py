"""The socket to the network: an ASGI application served inside our own event loop, bounded before it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from opensdm.core.errors import StoreUnavailable

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers of one request."""
HEAD_TIMEOUT_S = 30.0
"""How long they may take to arrive."""
KEEP_ALIVE_S = 30
BACKLOG = 1024
HANG_UP = "opensdm.hang_up"
"""Where an application leaves, in a request's scope, what is called when its client hangs up before the answer."""
_TICK_S = 0.05


class AddressTaken(StoreUnavailable):
    """Somebody else listens there, or the address is not ours to listen on."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; port 0 takes any free one. Raises AddressTaken."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressTaken(f"{host!r} is no address this machine can listen on: {error.strerror}") from error
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise _taken(host, port, error) from error
    return bound


def _taken(host: str, port: int, error: OSError) -> AddressTaken:
    where = host_and_port(host, port)
    if error.errno == errno.EADDRINUSE:
        return AddressTaken(f"{where} is in use by another program; choose another address with --listen HOST:PORT")
    return AddressTaken(f"cannot listen on {where}: {os.strerror(error.errno or 0)}; choose another with --listen")


def host_and_port(host: str, port: int) -> str:
    """As written in a URL: IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class BoundedProtocol(HttpToolsProtocol):
    """Ends connections whose request line and headers are too large or too slow, before anything is asked of us."""

    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                self._turn_away()
                return
            self._wait_for_head()
            self._head_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._forget_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        cycle: Any = getattr(self, "cycle", None)  # none before the first request, whatever its type says
        unanswered = cycle is not None and not cycle.response_complete
        super().connection_lost(exc)
        if unanswered and (hang_up := cycle.scope.get(HANG_UP)) is not None:
            hang_up()

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _turn_away(self) -> None:
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()


class _GuestServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to its host."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """One application on one bound socket, with TLS when certificate and key are given."""

    def __init__(self, app: Any, bound: socket.socket, tls: tuple[Path, Path] | None, *, grace_s: float) -> None:
        self._socket = bound
        self.tls = tls is not None
        host, port = bound.getsockname()[:2]
        self.host, self.port = str(host), int(port)
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, int(grace_s)),
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
            ssl_context_factory=_context if tls else None,
        )
        self._server = _GuestServer(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{host_and_port(self.host, self.port)}"

    async def start(self) -> None:
        """Listen; connections are accepted when this returns. Raises AddressTaken."""
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            raise _taken(self.host, self.port, error) from error
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="listener")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise AddressTaken(f"the listener on {self.url} ended before it began")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accept nothing more and answer what was asked, within the grace; then cut whoever is still connected."""
        task, self._task = self._task, None
        if task is None:
            self._socket.close()
            return
        self._server.should_exit = True
        while not task.done():
            await asyncio.wait({task}, timeout=_TICK_S)
            if self._socket.fileno() == -1 and not self._server.server_state.tasks:
                # Every answer is written. TLS peers that never say goodbye would keep us waiting for them.
                await asyncio.wait({task}, timeout=4 * _TICK_S)
                self._cut(unsent=False)
        self._cut(unsent=True)
        await task

    def _cut(self, *, unsent: bool) -> None:
        """End connections without a farewell; `unsent`: also those that still have bytes to send."""
        for connection in list(self._server.server_state.connections):
            transport = connection.transport
            if unsent or not transport.get_write_buffer_size():
                transport.abort()


def _context(config: uvicorn.Config, make: Any) -> ssl.SSLContext:
    context: ssl.SSLContext = make()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
