"""The server killed in the middle of a push: the lock stays, the work is interrupted, and the record tells the truth.

A real `opensdm serve`, a device behind a proxy that holds one piece of the push on the wire, `kill -9` at that moment,
and a second start.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.frr import FrrRouter
from lab.netconf import NetconfDevice
from lab.proxy import CuttingProxy
from tests.acceptance.subjects import Frr, Netconf, Sbc, Subject
from tests.program import ADMIN_PASSWORD, PASSWORD, Client, Installation, Running, done

_names = count(1)


@dataclass
class Lives:
    """One installation with users alice and bob, served again and again."""

    installation: Installation
    server: Running | None = None
    _open: list[Any] = field(default_factory=list)

    def start(self) -> None:
        served = self.installation.serve(OPENSDM_POLL_INTERVAL_S="0", OPENSDM_BACKUP_INTERVAL_S="0")
        self.server = served.__enter__()
        self._open.append(served)

    def kill(self) -> None:
        assert self.server is not None
        assert self.server.stop(signal.SIGKILL) == -signal.SIGKILL

    def client(self, user: str) -> Client:
        assert self.server is not None
        return self.installation.client(self.server).login(user, ADMIN_PASSWORD if user == "admin" else PASSWORD)

    def close(self) -> None:
        for served in self._open:
            served.__exit__(None, None, None)


@contextmanager
def lives(directory: Path) -> Iterator[Lives]:
    installation = Installation(directory / "data")
    installation.init()
    for user in ("alice", "bob"):
        done("user", "add", user, "--group", "provisioners", *installation.place, OPENSDM_PASSWORD=PASSWORD)
    made = Lives(installation)
    try:
        made.start()
        yield made
    finally:
        made.close()


def ok(answer: requests.Response) -> Any:
    assert answer.ok, (answer.status_code, answer.text)
    return answer.json() if answer.content else None


def prepare(client: Client, subject: Subject, port: int) -> str:
    """An enrolled, loaded device that alice has locked, with her edit staged."""
    device = client.enrol(f"edge-{next(_names)}", **{"primary.ip": f"127.0.0.1:{port}", **subject.parameters()})
    ok(client.get(f"/rest/v1.4/configuration/devices/{device}/loadConfig"))
    ok(client.act(device, "Lock", reason="maintenance 4711"))
    attributes = [{"name": n, "value": v} for n, v in subject.element.attributes.items()]
    body = {"elementTypePath": subject.element.path, "attributes": attributes}
    ok(client.post(f"/rest/v1.4/configuration/deviceConfigs/{device}/configElements/add", body))
    return device


def push(client: Client, device: str) -> str:
    """What came of it; a killed server answers nothing."""
    try:
        answer = client.post(f"/rest/v1.4/configuration/devices/{device}/action", {"type": "SaveActivateConfig"})
    except requests.RequestException:
        return "no answer"
    return str(answer.json().get("status") or answer.json().get("code"))


async def killed_at(server: Lives, subject: Subject, number: int) -> str:
    """One push, its `number`-th piece held, the server killed; what is found after the next start."""
    await subject.reset()
    async with CuttingProxy(subject.host, subject.port) as proxy:
        alice = await asyncio.to_thread(server.client, "alice")
        device = await asyncio.to_thread(prepare, alice, subject, proxy.listens_at)
        came = proxy.hold_at(number)
        pushing = asyncio.create_task(asyncio.to_thread(push, alice, device))
        reached = asyncio.create_task(came.wait())
        await asyncio.wait({pushing, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        if pushing.done():
            return "beyond the push"
        await asyncio.to_thread(server.kill)
        assert await pushing == "no answer"
        proxy.cut()
        proxy.behave()
        await asyncio.to_thread(server.start)
        return await judge(server, subject, device)


async def judge(server: Lives, subject: Subject, device: str) -> str:
    alice = await asyncio.to_thread(server.client, "alice")
    bob = await asyncio.to_thread(server.client, "bob")
    get: Callable[[str], Any] = lambda path: ok(alice.get(f"/rest/v1.4{path}"))  # noqa: E731
    lock = get(f"/inventory/deviceMgmt/devices/{device}/lock")
    assert (lock["state"], lock["holder"], lock["reason"]) == ("HELD", "alice", "maintenance 4711"), lock
    assert {work["state"] for work in lock.get("running") or []} <= {"INTERRUPTED"}, lock
    tasks = get(f"/configuration/tasks?deviceId={device}")["tasks"]
    assert [task["state"] for task in tasks] == ["INTERRUPTED"], tasks
    refused = bob.get(f"/rest/v1.4/configuration/devices/{device}/loadConfig")
    assert (refused.status_code, refused.json()["code"]) == (423, "DEVICE_LOCKED")
    for _ in range(40):
        there = await subject.holds()
        report = await asyncio.to_thread(get, f"/configuration/devices/{device}/checkSync")
        if there == await subject.holds():
            break
        await asyncio.sleep(0.2)
    path = subject.element.path
    differs = any(d["elementTypePath"] == path for d in report.get("outside") or [])
    listed = await asyncio.to_thread(bob.get, f"/rest/v1.4/configuration/deviceConfigs/{device}/configElements"
                                              f"?elementTypePath={path}")  # fmt: skip
    recorded = next(iter(subject.element.attributes.values())) in listed.text
    assert differs == (there != recorded), (there, recorded, report)
    pending = get(f"/configuration/deviceConfigs/{device}/configurationChanges")["changedConfigElements"]
    assert pending or recorded, "an edit is staged or in our copy; it is never lost"
    shown = get(f"/configuration/devices/{device}")
    # The proxy runs in this loop, so whatever may reach the device is asked from a thread.
    action = f"/rest/v1.4/configuration/devices/{device}/action"
    again = await asyncio.to_thread(alice.post, action, {"type": "SaveActivateConfig"})
    body = again.json()
    if again.status_code == 200:
        assert body["status"] == "SUCCESS" and await subject.holds(), body
    else:
        # An open step may still land; or what landed is not what her edit was based on.
        assert body["code"] in ("DEVICE_BUSY", "STALE_CONFIGURATION"), body
    outcome = body.get("status") or body["code"]
    return f"device {'new' if there else 'old'}, {shown['status']}, {report['state']}; the next push: {outcome}"


async def sweep(tmp_path: Path, subject: Subject, first: int, every: int) -> None:
    with lives(tmp_path) as server:
        for number in range(first, 200, every):
            said = await killed_at(server, subject, number)
            print(f"{subject.platform}: killed at piece {number}: {said}")
            if said == "beyond the push":
                assert number > first
                return
    raise AssertionError("a push has no end")


@pytest.fixture
async def sbc() -> AsyncIterator[Sbc]:
    subject = Sbc()
    await subject.start()
    yield subject
    await subject.stop()


async def test_killed_while_a_virtual_sbc_is_written(tmp_path: Path, sbc: Sbc) -> None:
    await sweep(tmp_path, sbc, first=7, every=28)


async def test_killed_while_netconfd_is_written(tmp_path: Path, netconf_device: NetconfDevice) -> None:
    await sweep(tmp_path, Netconf(netconf_device), first=6, every=24)


async def test_killed_while_frr_is_written(tmp_path: Path, frr_router: FrrRouter) -> None:
    await sweep(tmp_path, Frr(frr_router), first=6, every=28)


@pytest.mark.prove
async def test_killed_at_each_piece_to_a_virtual_sbc(tmp_path: Path, sbc: Sbc) -> None:
    await sweep(tmp_path, sbc, first=1, every=1)


@pytest.mark.prove
async def test_killed_at_each_piece_to_netconfd(tmp_path: Path, netconf_device: NetconfDevice) -> None:
    await sweep(tmp_path, Netconf(netconf_device), first=1, every=1)


@pytest.mark.prove
async def test_killed_at_each_piece_to_frr(tmp_path: Path, frr_router: FrrRouter) -> None:
    await sweep(tmp_path, Frr(frr_router), first=1, every=1)
