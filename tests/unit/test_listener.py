"""The listener: bounds before anything is asked, and an end that answers what was asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opensdm import listener
from opensdm.listener import AddressTaken, Listener, bind, host_and_port

ANSWER = b"x" * 300_000


class Application:
    """Answers each request with a lot of bytes; `/slow` not before it is released."""

    def __init__(self) -> None:
        self.asked = 0
        self.release = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        self.entered.set()
        if scope["path"] == "/slow":
            await self.release.wait()
        headers = [(b"content-length", str(len(ANSWER)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})


@pytest.fixture
async def app() -> Application:
    return Application()


@pytest.fixture
async def listening(app: Application) -> AsyncIterator[Listener]:
    started = Listener(app, bind("127.0.0.1", 0), None, grace_s=20)
    await started.start()
    yield started
    app.release.set()
    await started.stop()


async def connect(listening: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(listening.host, listening.port)


async def test_requests_are_answered_one_after_another_on_one_connection(listening: Listener, app: Application) -> None:
    reader, writer = await connect(listening)
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and await reader.readexactly(len(ANSWER)) == ANSWER
    assert app.asked == 3
    writer.close()


async def test_a_head_that_does_not_end_is_cut_off_unasked(
    listening: Listener, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEAD_TIMEOUT_S", 0.2)
    for beginning in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        reader, writer = await connect(listening)
        writer.write(beginning)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
    assert app.asked == 0


async def test_a_slow_second_head_is_cut_off_too(listening: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await connect(listening)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(ANSWER))
    monkeypatch.setattr(listener, "HEAD_TIMEOUT_S", 0.2)
    writer.write(b"GET / HT")
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()


async def test_a_body_may_be_larger_than_a_head(listening: Listener) -> None:
    reader, writer = await connect(listening)
    body = b"b" * (listener.MAX_HEAD_BYTES * 4)
    for _ in range(2):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(len(ANSWER))
    writer.close()


async def test_a_stop_answers_what_was_asked_and_takes_nothing_more(app: Application) -> None:
    started = Listener(app, bind("127.0.0.1", 0), None, grace_s=20)
    await started.start()
    idle = await connect(started)
    reader, writer = await connect(started)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(app.entered.wait(), 20)
    stopping = asyncio.create_task(started.stop())
    while True:
        try:
            _, late = await connect(started)
        except ConnectionError:  # refused, or cut as it came
            break
        late.close()
        await asyncio.sleep(0.01)
    app.release.set()
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert await reader.readexactly(len(ANSWER)) == ANSWER  # more than any buffer between us holds
    await asyncio.wait_for(stopping, 15)
    for each in (idle[1], writer):
        each.close()


async def test_work_beyond_the_grace_is_cut_off(app: Application) -> None:
    started = Listener(app, bind("127.0.0.1", 0), None, grace_s=1)
    await started.start()
    reader, writer = await connect(started)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(app.entered.wait(), 20)
    await asyncio.wait_for(started.stop(), 20)
    assert b" 200 " not in await reader.read()
    writer.close()


async def test_an_address_in_use_is_refused(listening: Listener) -> None:
    with pytest.raises(AddressTaken, match=r"in use.*--listen"):
        bind(listening.host, listening.port)
    with pytest.raises(AddressTaken, match="--listen"):
        bind("192.0.2.1", 0)
    with pytest.raises(AddressTaken, match=r"no\.such\.host\.invalid"):
        bind("no.such.host.invalid", 0)


async def test_of_two_bound_to_one_port_only_the_first_listens(app: Application) -> None:
    one = bind("127.0.0.1", 0)
    first = Listener(app, one, None, grace_s=1)
    second = Listener(app, bind("127.0.0.1", first.port), None, grace_s=1)
    await first.start()
    with pytest.raises(AddressTaken, match="in use"):
        await second.start()
    await second.stop()
    await first.stop()


def test_addresses_as_urls_write_them() -> None:
    assert host_and_port("::1", 80) == "[::1]:80"
    assert host_and_port("127.0.0.1", 80) == "127.0.0.1:80"
