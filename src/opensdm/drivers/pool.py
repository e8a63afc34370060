"""Open transports kept for a while, so that the next operation on a device need not connect again.

One device's transports are told apart by device and credentials. Who takes one has it alone; who gives it back says
whether it is fit for others.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from opensdm.core.errors import Unreachable
from opensdm.core.inventory import Credentials
from opensdm.drivers.ssh import CONNECT_S

IDLE_S = 60.0
LIMIT = 64

PoolKey = tuple[int, str]


class Transport(Protocol):
    """What can be kept: it knows when it is over, and can be ended at once."""

    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...


@runtime_checkable
class KeepsTransports(Protocol):
    """A driver that keeps connections open between operations; `close` ends them, at the server's end."""

    async def close(self) -> None: ...


T = TypeVar("T", bound=Transport)


def pool_key(device_id: int, credentials: Credentials) -> PoolKey:
    """The device, and a fingerprint of everything that decides whom we reach and as whom."""
    parts = [credentials.address, credentials.username, credentials.password]
    parts += [f"{name}={value}" for name, value in sorted(credentials.parameters.items())]
    return device_id, hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(slots=True)
class _Idle(Generic[T]):
    key: PoolKey
    transport: T
    timer: asyncio.TimerHandle


class Pool(Generic[T]):
    """At most `limit` transports at once, in use or idle. An idle one is closed after `idle_s` seconds."""

    def __init__(self, *, limit: int = LIMIT, idle_s: float = IDLE_S, wait_s: float = CONNECT_S) -> None:
        self._limit = limit
        self._idle_s = idle_s
        self._wait_s = wait_s
        self._idle: deque[_Idle[T]] = deque()
        self._in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def open(self) -> int:
        """How many transports are open, or being opened."""
        return self._in_use + len(self._idle)

    async def acquire(self, key: PoolKey, connect: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """A transport of that key, and whether it was in use before; a new one of `connect` where none is idle.

        Raises Unreachable when there is no room for one more in time, and whatever `connect` raises.
        """
        kept = self._take_idle(key)
        if kept is not None:
            return kept, True
        await self._make_room()
        try:
            return await connect(), False
        except BaseException:
            self._leave()
            raise

    def release(self, key: PoolKey, transport: T, *, healthy: bool) -> None:
        """Give a transport back. One that is not `healthy`, or is over, is closed and never used again."""
        if not healthy or transport.closed or self._closed:
            transport.close()
        else:
            timer = asyncio.get_running_loop().call_later(self._idle_s, self._expire, transport)
            self._idle.append(_Idle(key, transport, timer))
        self._leave()

    async def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._drop(self._idle[0])

    def _take_idle(self, key: PoolKey) -> T | None:
        """The one used last is the one most likely to be alive."""
        for idle in reversed([each for each in self._idle if each.key == key]):
            if idle.transport.closed:
                self._drop(idle)
                continue
            idle.timer.cancel()
            self._idle.remove(idle)
            self._in_use += 1
            return idle.transport
        return None

    async def _make_room(self) -> None:
        deadline = time.monotonic() + self._wait_s
        while self.open >= self._limit:
            if self._idle:
                self._drop(self._idle[0])
                continue
            await self._wait(deadline)
        self._in_use += 1

    async def _wait(self, deadline: float) -> None:
        ticket = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        called = False
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await ticket
            called = True
        except TimeoutError:
            raise Unreachable(
                f"all {self._limit} connections to devices are in use, and none became free within {self._wait_s:g} s; "
                "try again later"
            ) from None
        finally:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            elif not called and not ticket.cancelled():
                self._wake()  # called and gone at the same instant: the place is another's

    def _leave(self) -> None:
        self._in_use -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(None)
                return

    def _expire(self, transport: T) -> None:
        for idle in list(self._idle):
            if idle.transport is transport:
                self._drop(idle)

    def _drop(self, idle: _Idle[T]) -> None:
        idle.timer.cancel()
        self._idle.remove(idle)
        idle.transport.close()
        self._wake()
