"""The door over real HTTP: bodies in pieces, bodies that lie about their length, and curl itself."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn

from opensdm.doors.rest.app import App, RestSettings
from tests.doors.conftest import Connect
from tests.doors.test_rest_locking import state_of
from tests.gatehouse import PASSWORD, House

LOCK = b"<deviceAction><type>Lock</type></deviceAction>"


@pytest.fixture
def settings() -> RestSettings:
    return RestSettings(body_timeout_s=0.5, max_body_bytes=200_000)


@pytest.fixture
async def port(app: App) -> AsyncIterator[int]:
    """The door on a socket of the loopback, as the server runs it."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, lifespan="off", server_header=False, http="httptools", ws="none")
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    for _ in range(1000):
        if server.started:
            break
        await asyncio.sleep(0.01)
    yield int(listening.getsockname()[1])
    server.should_exit = True
    await serving


async def raw(port: int, *pieces: bytes, end: bool = False) -> bytes:
    """Send bytes as they are and read until the server closes or has answered; `end`: hang up our side first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    if end:
        writer.write_eof()
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


def head(token: str, path: str, *headers: str, method: str = "POST", version: str = "v1.3") -> bytes:
    lines = [
        f"{method} /rest/{version}{path} HTTP/1.1",
        "Host: sdm.test",
        "Connection: close",
        f"Cookie: JSESSIONID={token}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.fixture
async def token(connect: Connect) -> str:
    return (await connect("alice")).token or ""


async def test_bodies_in_pieces(house: House, port: int, token: str) -> None:
    device_id = await house.enrol("edge-a")
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/action"
    request = head(token, path, "Content-Type: application/xml", "Transfer-Encoding: chunked")
    chunks = [f"{len(LOCK[i : i + 7]):x}\r\n".encode() + LOCK[i : i + 7] + b"\r\n" for i in range(0, len(LOCK), 7)]
    answer = await raw(port, request, *chunks, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert answer.lower().count(b"\r\nserver: ") == 1 and b"OpenSDM" in answer


async def test_bodies_that_are_not_what_was_announced(house: House, port: int, token: str, tmp_path: Path) -> None:
    """Too short, too long, too late: no lock comes of any of them."""
    device_id = await house.enrol("edge-a")
    path, before = f"/inventory/deviceMgmt/devices/ID{device_id}/action", state_of(tmp_path)
    kind = "Content-Type: application/xml"
    short = head(token, path, kind, f"Content-Length: {len(LOCK) + 20}")
    assert b" 204 " not in await raw(port, short + LOCK, end=True)
    assert (await raw(port, short + LOCK)).startswith(b"HTTP/1.1 408 "), "the rest of the body never comes"
    nothing_yet = head(token, path, kind, f"Content-Length: {len(LOCK)}")
    assert (await raw(port, nothing_yet)).startswith(b"HTTP/1.1 408 "), "not even its first byte comes"
    too_much = head(token, path, kind, "Content-Length: 999999999")
    assert (await raw(port, too_much + LOCK)).startswith(b"HTTP/1.1 413 ")
    chunked = head(token, path, kind, "Transfer-Encoding: chunked")
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    assert (await raw(port, chunked, *[piece] * 4)).startswith(b"HTTP/1.1 413 ")
    for nonsense in ("Content-Length: -5", "Content-Length: many"):
        assert (await raw(port, head(token, path, kind, nonsense) + LOCK)).startswith(b"HTTP/1.1 400 ")
    assert state_of(tmp_path) == before


async def test_methods_and_targets(port: int, token: str) -> None:
    for method, target, status in (
        ("TRACE", "/admin/serverInfo", b"405"),
        ("OPTIONS", "/admin/serverInfo", b"405"),
        ("GET", "/inventory/deviceMgmt/devices/%ff%fe", b"404"),
        ("GET", "/../../etc/passwd", b"404"),
        ("HEAD", "/inventory/deviceMgmt/devices", b"200"),
    ):
        answer = await raw(port, head(token, target, method=method))
        assert answer.startswith(b"HTTP/1.1 " + status), (method, target, answer[:200])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
async def test_a_session_with_curl(house: House, port: int, tmp_path: Path) -> None:
    """What an error recommends is pasted into a shell: log in, look, lock."""
    device_id = await house.enrol("edge-a")
    base = f"http://127.0.0.1:{port}/rest/v1.4"

    async def shell(line: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", line.replace("curl ", "curl -sS --noproxy '*' ", 1), cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode == 0, out
        return out.decode()

    refusal = await shell(f"curl -X POST {base}/inventory/deviceMgmt/devices/ID{device_id}/action")
    assert '"code":"INVALID_REQUEST"' in refusal
    lock = recommended(refusal)
    login = recommended(await shell(lock)).replace("USER", "alice").replace("PASSWORD", PASSWORD)
    assert '"userName":"alice"' in await shell(login)
    assert '"holder":"alice"' in await shell(lock)


def recommended(text: str) -> str:
    line: str = json.loads(text)["next"][0]
    return line
