"""A thousand requests that wait for one device, over real connections to a real server; and clients that hang up."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import requests

from opensdm.settings import SQLITE_NAME
from tests.acceptance.conftest import ON_SQLITE_AT_LEAST
from tests.doors.soap.bodies import EDGE
from tests.doors.soap.sender import envelope
from tests.doors.soap.sender import request as soap_request
from tests.program import ADMIN_PASSWORD, PASSWORD, Client, Installation, Running, done, running

REQUESTS, SESSIONS, WAIT_S = 1000, 5, 3
ANSWERED_S = 20.0
"""How long a busy machine may take for a thousand requests at once, beside their wait."""
MAY_GROW_KB = 50_000
"""Of the memory of the whole server over a second thousand: far less than that thousand needs at its height."""
SBC = "Sbc-Secret-1"
ACTION = "/rest/v1.4/inventory/deviceMgmt/devices/{}/action"
Count = Callable[[], int]


@dataclass
class Busy:
    """A server and a device on which a push of bob's runs for as long as the test needs it."""

    installation: Installation
    server: Running
    device_id: str
    task: str = ""

    def client(self, user: str) -> Client:
        return self.installation.client(self.server).login(user, PASSWORD)

    def token(self, user: str) -> str:
        return next(c.value or "" for c in self.client(user).http.cookies if c.name == "JSESSIONID")

    def metric(self, name: str) -> float:
        text = self.installation.client(self.server).get("/metrics").text
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return float(found[1])

    def memory_kb(self) -> int:
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[0])

    def push_ended(self) -> float:
        """Waits for it: when it was first seen to have ended."""
        bob = self.client("bob")
        until(
            lambda: bob.get(f"/rest/v1.4/configuration/tasks/{self.task}").json()["state"] != "RUNNING", "the push ends"
        )
        return time.monotonic()

    async def lock(self, token: str, wait_s: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request for the lock on a connection of its own; not answered yet."""
        body = json.dumps({"type": "Lock", "waitSeconds": wait_s})
        return await self.send(ACTION.format(self.device_id), token, "application/json", body)

    async def send(
        self, path: str, token: str, content_type: str, body: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.server.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: JSESSIONID={token}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write((head + body).encode())
        await writer.drain()
        return reader, writer


@pytest.fixture
def busy(either: Installation, request: pytest.FixtureRequest) -> Iterator[Busy]:
    """A parameter says how long each job of the push takes on the device, in seconds; without one, until the end."""
    quiet = {"OPENSDM_POLL_INTERVAL_S": "0", "OPENSDM_BACKUP_INTERVAL_S": "0", "OPENSDM_LOCK_WAIT_S": "600"}
    simulator = ("simulate", "sbc", "--listen", "127.0.0.1:0", "--plain-http", "--controllable")
    serving = either.serve("--plain-http", **quiet)
    with running(*simulator, extra={"OPENSDM_SBC_PASSWORD": SBC}) as sbc, serving as server:
        for user in ("alice", "bob", "carol"):
            done("user", "add", user, "--group", "provisioners", *either.place, OPENSDM_PASSWORD=PASSWORD)
        admin = either.client(server).login("admin", ADMIN_PASSWORD)
        address = {"primary.ip": sbc.url.removeprefix("http://"), "transport": "http"}
        device_id = admin.enrol("edge-a", username="netops", password=SBC, **address)
        slow = requests.post(
            f"{sbc.url}/simulator/control", json={"job_delay_s": getattr(request, "param", 3600)}, timeout=30
        )
        assert slow.status_code == 200, slow.text
        here = Busy(either, server, device_id)
        here.task = begin_push(here)
        yield here


def begin_push(here: Busy) -> str:
    bob = here.client("bob")
    assert bob.get(f"/rest/v1.4/configuration/devices/{here.device_id}/loadConfig").status_code == 200
    element = {"elementTypePath": "realmConfig", "attributes": [{"name": "id", "value": "peering"}]}
    added = bob.post(f"/rest/v1.4/configuration/deviceConfigs/{here.device_id}/configElements/add", element)
    assert added.status_code == 200, added.text
    begun = bob.post(
        f"/rest/v1.4/configuration/devices/{here.device_id}/action", {"type": "SaveActivateConfig", "asTask": True}
    )
    assert begun.status_code == 202, begun.text
    return str(begun.json()["id"])


@pytest.fixture
def rows(either: Installation) -> Count:
    """How many rows of waiting requests the database holds."""
    tables = "SELECT (SELECT count(*) FROM lock_pending) + (SELECT count(*) FROM lock_pending_device)"

    async def of_postgres() -> int:
        connection = await asyncpg.connect(either.database)
        try:
            return int(await connection.fetchval(tables))
        finally:
            await connection.close()

    def count() -> int:
        if either.database:
            return asyncio.run(of_postgres())
        with sqlite3.connect(either.data / SQLITE_NAME) as connection:
            found = int(connection.execute(tables).fetchone()[0])
        connection.close()
        return found

    return count


async def answered(here: Busy, tokens: list[str]) -> list[tuple[float, Any]]:
    """A thousand requests at once: after how many seconds each was answered, and what."""

    async def one(token: str) -> tuple[float, Any]:
        began = time.monotonic()
        reader, writer = await here.lock(token, WAIT_S)
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return time.monotonic() - began, (int(head.split()[1]), json.loads(body))

    return await asyncio.gather(*(one(tokens[n % len(tokens)]) for n in range(REQUESTS)))


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@ON_SQLITE_AT_LEAST
def test_a_thousand_waiting_requests_are_answered_and_leave_nothing(busy: Busy, rows: Count) -> None:
    tokens = [busy.token("alice") for _ in range(SESSIONS)]
    assert busy.metric("opensdm_operations_under_way") == 1, "bob's push"
    memory = []
    for _ in range(2):
        for after_s, (status, body) in asyncio.run(answered(busy, tokens)):
            assert (status, body["code"]) == (409, "DEVICE_BUSY"), body
            assert [each["kind"] for each in body["blockers"]] == ["work"]
            assert WAIT_S <= after_s < WAIT_S + ANSWERED_S
        assert rows() == 0
        assert busy.metric("opensdm_waiting_requests") == 0
        until(lambda: busy.metric("opensdm_operations_under_way") == 1, "nothing but the push is under way")
        memory.append(busy.memory_kb())
    assert memory[1] - memory[0] < MAY_GROW_KB, memory
    assert "Traceback" not in busy.server.log


@ON_SQLITE_AT_LEAST
@pytest.mark.parametrize("busy", [1.5], indirect=True)
def test_a_wait_is_granted_within_a_second_of_the_end_of_the_push(busy: Busy) -> None:
    """And a third user is refused meanwhile; who does not wait is told at once what runs."""
    alice, carol = busy.token("alice"), busy.token("carol")

    async def asked(token: str, wait_s: int) -> tuple[float, int, Any]:
        reader, writer = await busy.lock(token, wait_s)
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return time.monotonic(), int(head.split()[1]), json.loads(body)

    async def meanwhile() -> float:
        waiting = asyncio.create_task(asked(alice, 60))
        await asyncio.to_thread(until, lambda: busy.metric("opensdm_waiting_requests") == 1, "alice waits")
        _, status, body = await asked(carol, 60)
        assert (status, body["code"]) == (423, "DEVICE_LOCKED"), "a third user does not wait behind her"
        assert {(each["kind"], each["holder"]) for each in body["blockers"]} == {("pending", "alice"), ("work", "bob")}
        assert not waiting.done()
        ended = await asyncio.to_thread(busy.push_ended)
        answered_at, status, body = await waiting
        assert (status, body["holder"]) == (200, "alice"), body
        return answered_at - ended

    _, status, body = asyncio.run(asked(carol, 0))
    assert (status, body["code"]) == (409, "DEVICE_BUSY")
    assert "SaveActivateConfig" in body["message"] or "PushChanges" in body["message"], body
    assert asyncio.run(meanwhile()) < 1.0


@ON_SQLITE_AT_LEAST
@pytest.mark.parametrize("door", ["rest", "soap"])
def test_who_hangs_up_bars_nobody_any_more(busy: Busy, rows: Count, door: str) -> None:
    carol = busy.client("carol")
    under_way = busy.metric("opensdm_operations_under_way")

    def blocked_by() -> list[str]:
        refused = carol.act(busy.device_id, "Lock", waitSeconds=0)
        assert refused.status_code in (409, 423), refused.text
        return sorted({each["kind"] for each in refused.json()["blockers"]})

    async def ask_and_hang_up() -> None:
        token = busy.token("alice")
        if door == "rest":
            _, writer = await busy.lock(token, 600)
        else:
            path = "/ACMEWS/services/DeviceMgmtIF"
            _, writer = await busy.send(path, token, "text/xml", envelope(soap_request("lockDevice", EDGE)))
        await asyncio.to_thread(until, lambda: rows() == 2, "alice waits")
        assert await asyncio.to_thread(blocked_by) == ["pending", "work"]
        assert busy.metric("opensdm_waiting_requests") == 1
        writer.transport.abort()
        await asyncio.sleep(0)

    asyncio.run(ask_and_hang_up())
    until(lambda: rows() == 0, "her request is gone with her")
    assert blocked_by() == ["work"]
    assert busy.metric("opensdm_waiting_requests") == 0
    until(lambda: busy.metric("opensdm_operations_under_way") == under_way, "nothing of it is under way")
    shown = carol.get(f"/rest/v1.4/inventory/deviceMgmt/devices/{busy.device_id}/lock/events").json()
    kinds = [each["kind"] for each in shown["lockEvents"]]
    assert kinds == ["device:lock:waiting", "device:lock:abandoned"]
    assert "Traceback" not in busy.server.log and "Exception" not in busy.server.log
