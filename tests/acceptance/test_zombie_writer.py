"""A node stopped between its step's commit and the write to the device: when it wakes, it writes nothing.

It stops itself with SIGSTOP right after the commit. Another node takes it for dead, another user works on the device
through that node, and then the first one goes on where it stood.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.netconf import NetconfDevice
from opensdm.core.element import Element
from tests.acceptance.provisioning import WRITING as SBC_WRITING
from tests.acceptance.subjects import Netconf, Sbc
from tests.acceptance.test_push_killed import ok, push
from tests.contract.netconf_bench import WRITING as NETCONF_WRITING
from tests.contract.netconf_bench import Proxy
from tests.program import ADMIN_PASSWORD, PASSWORD, Client, Installation, Running, two_installations

RHYTHM = {
    "OPENSDM_NODE_HEARTBEAT_S": "0.3", "OPENSDM_NODE_DEAD_AFTER_S": "1.5",
    "OPENSDM_POLL_INTERVAL_S": "0", "OPENSDM_BACKUP_INTERVAL_S": "0",
}  # fmt: skip
API = "/rest/v1.4"
PATIENCE_S = 60.0

pytestmark = pytest.mark.postgres


class Watched(ABC):
    """A device, and every write that reaches it, by whomever."""

    hers: Element
    his: Element

    @abstractmethod
    def parameters(self) -> Mapping[str, str]:
        """What enrolling it takes."""

    @abstractmethod
    def writes(self) -> list[str]:
        """The writes that came, refused ones too, in order."""

    @abstractmethod
    async def holds_hers(self) -> bool:
        """Whether the device runs what the stopped node was about to push."""


class WatchedSbc(Watched):
    hers = Sbc.element
    his = Element("realmConfig", {"id": "bobs", "addrPrefix": "198.51.100.0/24"})

    def __init__(self, sbc: Sbc) -> None:
        self._sbc = sbc

    def parameters(self) -> Mapping[str, str]:
        return {"primary.ip": f"127.0.0.1:{self._sbc.port}", **self._sbc.parameters()}

    def writes(self) -> list[str]:
        return [f"{entry.kind} {entry.subject}" for entry in self._sbc.journal() if entry.kind in SBC_WRITING]

    async def holds_hers(self) -> bool:
        return await self._sbc.holds()


class WatchedNetconf(Watched):
    hers = Netconf.element
    his = Element("realm", {"id": "bobs", "address-prefix": "10.8.0.0/16"})

    def __init__(self, device: Netconf, proxy: Proxy) -> None:
        self._device = device
        self._proxy = proxy

    def parameters(self) -> Mapping[str, str]:
        known = {**self._device.parameters(), "ssh.host.key": self._proxy.host_key}
        return {"primary.ip": self._proxy.address, **known}

    def writes(self) -> list[str]:
        return [name for name in self._proxy.asked if name in NETCONF_WRITING]

    async def holds_hers(self) -> bool:
        return await self._device.holds()


@pytest.fixture
async def sbc() -> AsyncIterator[WatchedSbc]:
    subject = Sbc()
    await subject.start()
    yield WatchedSbc(subject)
    await subject.stop()


@pytest.fixture
async def netconfd(netconf_device: NetconfDevice) -> AsyncIterator[WatchedNetconf]:
    proxy = Proxy(netconf_device)
    await proxy.start()
    yield WatchedNetconf(Netconf(netconf_device), proxy)
    await proxy.stop()


@pytest.fixture
def pair(postgres_url: str, tmp_path: Path) -> tuple[Installation, Installation]:
    return two_installations(postgres_url, tmp_path)


async def until(holds: Callable[[], Any], what: str) -> None:
    """The devices live in this loop, so what asks a server runs in a thread."""
    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


def stopped(server: Running) -> bool:
    return Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stage(client: Client, device: str, element: Element) -> None:
    ok(client.get(f"{API}/configuration/devices/{device}/loadConfig"))
    attributes = [{"name": name, "value": value} for name, value in element.attributes.items()]
    body = {"elementTypePath": element.path, "attributes": attributes}
    ok(client.post(f"{API}/configuration/deviceConfigs/{device}/configElements/add", body))


async def sleeps_and_wakes(
    pair: tuple[Installation, Installation], device: Watched, step: int, *, works_between: bool
) -> None:
    """`step`: at which step of the push the node stops, from 1. `works_between`: bob pushes before it wakes."""
    one, two = pair
    failpoint = f"begin_step.committed:{step}:stop"
    with one.serve(**RHYTHM, OPENSDM_FAILPOINT=failpoint) as first, two.serve(**RHYTHM) as second:
        admin = await asyncio.to_thread(one.client(first).login, "admin", ADMIN_PASSWORD)
        alice = await asyncio.to_thread(one.client(first).login, "alice", PASSWORD)
        bob = await asyncio.to_thread(two.client(second).login, "bob", PASSWORD)
        edge = await asyncio.to_thread(lambda: admin.enrol("edge-a", **device.parameters()))
        await asyncio.to_thread(stage, alice, edge, device.hers)
        pushing = asyncio.create_task(asyncio.to_thread(push, alice, edge))
        await until(lambda: stopped(first), "the node stops between commit and write")
        assert len(device.writes()) == step - 1, "of the step at which it stopped nothing was sent"
        await until(lambda: "a node was declared dead" in second.log, "the other node takes it for dead")
        refused = await asyncio.to_thread(lambda: bob.act(edge, "Lock", waitSeconds=0))
        assert (refused.status_code, refused.json()["code"]) == (409, "DEVICE_BUSY"), "its step may still be sent"
        await until(lambda: bob.act(edge, "Lock", waitSeconds=0).status_code == 200, "its step is over")
        if works_between:
            await works(bob, edge, device)
        written = device.writes()
        os.kill(first.process.pid, signal.SIGCONT)
        said = await pushing
        await until(lambda: "taken for dead, and begun anew" in first.log, "it notices, and begins anew")
        assert said != "SUCCESS"
        assert device.writes() == written, "the node that slept wrote to the device"
        assert not await device.holds_hers()
        if not works_between:
            await works(bob, edge, device)
        assert not await device.holds_hers()


async def works(bob: Client, edge: str, device: Watched) -> None:
    """The device's own lock, which the sleeper's session may hold, is no hindrance: that session is ended first."""
    await asyncio.to_thread(stage, bob, edge, device.his)
    assert await asyncio.to_thread(push, bob, edge) == "SUCCESS"


LONG = pytest.mark.prove
"""Each takes the time of a step, which nothing can shorten; `make prove` tries the other instants."""


@pytest.mark.parametrize(
    ("step", "works_between"),
    [(2, True), *(pytest.param(*each, marks=LONG) for each in ((1, True), (1, False), (2, False)))],
)
async def test_a_sleeper_wakes_in_a_push_to_a_virtual_sbc(
    pair: tuple[Installation, Installation], sbc: WatchedSbc, step: int, works_between: bool
) -> None:
    await sleeps_and_wakes(pair, sbc, step, works_between=works_between)


@pytest.mark.parametrize(
    ("step", "works_between"), [(2, True), *(pytest.param(*each, marks=LONG) for each in ((1, False), (2, False)))]
)
async def test_a_sleeper_wakes_in_a_push_to_netconfd(
    pair: tuple[Installation, Installation], netconfd: WatchedNetconf, step: int, works_between: bool
) -> None:
    await sleeps_and_wakes(pair, netconfd, step, works_between=works_between)
    if works_between:
        assert "kill-session" in netconfd.writes()
