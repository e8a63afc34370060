"""A TCP proxy that misbehaves on demand: put it before a device to lose the connection at each step of a push."""

import asyncio
import contextlib
from collections import Counter
from typing import Literal, Self

Direction = Literal["to_device", "from_device"]
CHUNK = 64 * 1024


class CuttingProxy:
    """Listens on loopback and forwards to one device. Use it as `async with CuttingProxy(host, port) as proxy`.

    What it is told holds from then on, for open connections too, until it is told otherwise. A cut is a reset, as from
    a device that lost power: bytes not yet read are gone.
    """

    def __init__(self, host: str, port: int, *, listen: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self.address = listen
        self.listens_at = 0
        # How often somebody connected, and bytes passed on, over all connections.
        self.connections = 0
        self.passed: Counter[Direction] = Counter()
        # Seconds that every piece waits on its way, both ways.
        self.delay_s = 0.0
        self._refuses = False
        self._limits: dict[Direction, int] = {}
        self._cut_connection: int | None = None
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.address, 0)
        self.listens_at = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        serving = list(self._open)
        self.cut()
        await asyncio.gather(*serving, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    def cut(self) -> int:
        """Reset every open connection, on both sides; how many there were."""
        for task, writers in list(self._open.items()):
            for writer in writers:
                # Its buffer is thrown away and the peer gets a reset, not an orderly end.
                writer.transport.abort()
            task.cancel()
        return len(self._open)

    def cut_after(self, count: int, direction: Direction = "to_device") -> None:
        """Pass `count` more bytes that way, over all connections, then cut; the rest is never delivered."""
        self._limits[direction] = self.passed[direction] + count

    def cut_connection(self, number: int) -> None:
        """Cut the `number`-th connection from now (1: the next one) as soon as it is made."""
        self._cut_connection = self.connections + number

    def refuse(self) -> None:
        """Cut what is open and every new connection at once."""
        self._refuses = True
        self.cut()

    def behave(self) -> None:
        """Forward everything, undelayed, again."""
        self._refuses = False
        self._limits.clear()
        self._cut_connection = None
        self.delay_s = 0.0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self._open[task] = [writer]
        try:
            if not self._refuses and self.connections != self._cut_connection:
                await self._forward(reader, writer, self._open[task])
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in self._open.pop(task):
                each.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        device_reader, device_writer = await asyncio.open_connection(self.host, self.port)
        writers.append(device_writer)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on(reader, device_writer, "to_device"))
            group.create_task(self._pass_on(device_reader, writer, "from_device"))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                limit = self._limits.get(direction)
                allowed = len(piece) if limit is None else max(0, limit - self.passed[direction])
                writer.write(piece[:allowed])
                self.passed[direction] += min(allowed, len(piece))
                await writer.drain()
                if limit is not None and self.passed[direction] >= limit:
                    del self._limits[direction]
                    self.cut()
                    return
            writer.write_eof()
