"""The pool of transports, over real TCP connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from opensdm.core.errors import Unreachable
from opensdm.core.inventory import Credentials
from opensdm.drivers.pool import Pool, pool_key

A, B = (1, "a"), (2, "b")


class Line:
    """One TCP connection, with a reader that notices its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def closed(self) -> bool:
        return self.writer.is_closing() or self.reader.at_eof()

    def close(self) -> None:
        self.writer.close()


class Far:
    """The other side: counts what is connected, and can hang up."""

    def __init__(self) -> None:
        self.seen = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.changed = asyncio.Condition()
        self.server: asyncio.Server | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen += 1
        self.open.add(writer)
        await self.tell()
        await reader.read()
        self.open.discard(writer)
        writer.close()
        await self.tell()

    async def tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def connect(self) -> Line:
        assert self.server is not None
        host, port = self.server.sockets[0].getsockname()
        return Line(*await asyncio.open_connection(host, port))

    async def settled(self, count: int) -> None:
        async with asyncio.timeout(5):
            async with self.changed:
                await self.changed.wait_for(lambda: len(self.open) == count)


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    far = Far()
    far.server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    yield far
    for writer in list(far.open):
        writer.close()
    far.server.close()
    await far.settled(0)


async def test_a_healthy_transport_is_used_again_and_for_its_key_only(far: Far) -> None:
    pool: Pool[Line] = Pool()
    first, used = await pool.acquire(A, far.connect)
    assert not used
    pool.release(A, first, healthy=True)
    again, used = await pool.acquire(A, far.connect)
    assert again is first and used
    pool.release(A, again, healthy=True)
    other, used = await pool.acquire(B, far.connect)
    assert other is not first and not used and pool.open == 2
    pool.release(B, other, healthy=True)
    await pool.close()
    assert pool.open == 0
    await far.settled(0)


async def test_an_unhealthy_or_dead_transport_is_never_used_again(far: Far) -> None:
    pool: Pool[Line] = Pool()
    bad, _ = await pool.acquire(A, far.connect)
    pool.release(A, bad, healthy=False)
    assert bad.closed and pool.open == 0
    dying, _ = await pool.acquire(A, far.connect)
    pool.release(A, dying, healthy=True)
    await far.settled(1)
    for writer in list(far.open):
        writer.close()
    await dying.reader.read()
    fresh, used = await pool.acquire(A, far.connect)
    assert fresh is not dying and not used
    pool.release(A, fresh, healthy=False)


async def test_what_is_idle_is_closed_in_time(far: Far) -> None:
    pool: Pool[Line] = Pool(idle_s=0.05)
    line, _ = await pool.acquire(A, far.connect)
    pool.release(A, line, healthy=True)
    await far.settled(1)
    await far.settled(0)
    assert pool.open == 0 and line.closed


async def test_idle_ones_make_room_and_the_rest_waits(far: Far) -> None:
    pool: Pool[Line] = Pool(limit=2, wait_s=5)
    idle, _ = await pool.acquire(A, far.connect)
    pool.release(A, idle, healthy=True)
    one, _ = await pool.acquire(B, far.connect)
    two, _ = await pool.acquire(B, far.connect)
    assert idle.closed and pool.open == 2
    waiting = asyncio.create_task(pool.acquire(A, far.connect))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    pool.release(B, one, healthy=True)
    three, used = await waiting
    assert not used and one.closed and pool.open == 2
    pool.release(A, three, healthy=False)
    pool.release(B, two, healthy=False)


async def test_who_waits_too_long_is_told_why(far: Far) -> None:
    pool: Pool[Line] = Pool(limit=1, wait_s=0.05)
    line, _ = await pool.acquire(A, far.connect)
    with pytest.raises(Unreachable, match="all 1 connections to devices are in use"):
        await pool.acquire(B, far.connect)
    pool.release(A, line, healthy=False)
    after, _ = await pool.acquire(B, far.connect)
    pool.release(B, after, healthy=False)
    assert pool.open == 0


async def test_a_waiter_that_gives_up_leaves_its_place_to_the_next(far: Far) -> None:
    pool: Pool[Line] = Pool(limit=1, wait_s=5)
    line, _ = await pool.acquire(A, far.connect)
    gone, next_one = (asyncio.create_task(pool.acquire(B, far.connect)) for _ in range(2))
    await asyncio.sleep(0.01)
    pool.release(A, line, healthy=False)
    gone.cancel()
    got, _ = await asyncio.wait_for(next_one, 5)
    pool.release(B, got, healthy=False)
    assert pool.open == 0


async def test_a_failed_connection_takes_no_place(far: Far) -> None:
    async def refuse() -> Line:
        raise Unreachable("nobody there")

    pool: Pool[Line] = Pool(limit=1)
    for _ in range(3):
        with pytest.raises(Unreachable, match="nobody there"):
            await pool.acquire(A, refuse)
    assert pool.open == 0


async def test_after_its_end_a_pool_keeps_nothing(far: Far) -> None:
    pool: Pool[Line] = Pool()
    line, _ = await pool.acquire(A, far.connect)
    await pool.close()
    await far.settled(1)
    pool.release(A, line, healthy=True)
    await far.settled(0)
    assert pool.open == 0


def test_the_key_tells_credentials_apart_and_shows_none() -> None:
    known = Credentials("192.0.2.1", None, "user", "password-4711", {"port": "830"})
    keys = {
        pool_key(1, known),
        pool_key(2, known),
        pool_key(1, Credentials("192.0.2.2", None, "user", "password-4711", {"port": "830"})),
        pool_key(1, Credentials("192.0.2.1", None, "user", "other", {"port": "830"})),
        pool_key(1, Credentials("192.0.2.1", None, "user", "password-4711", {"port": "831"})),
    }
    assert len(keys) == 5 and pool_key(1, known) in keys and "4711" not in repr(keys)
