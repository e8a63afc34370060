"""Devices of each kind as the tests of broken pushes see them: an edit, and whether the device runs it, by others."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from lxml import etree
from ncclient import manager

from lab.frr import FrrRouter
from lab.netconf import NAMESPACE, NetconfDevice
from opensdm.core.element import Element
from opensdm.simulator import VirtualSbc
from opensdm.simulator.journal import Entry
from tests.acceptance.provisioning import PASSWORD, USER


class Subject(ABC):
    """One device behind a proxy. `element` is what the push adds; `host` and `port` are the device's own."""

    platform: str
    element: Element
    host: str
    port: int

    @abstractmethod
    def parameters(self) -> Mapping[str, str]:
        """What enrolling it takes, but for its address."""

    @abstractmethod
    async def holds(self) -> bool:
        """Whether the device runs the element, by its own account."""

    @abstractmethod
    async def reset(self) -> None:
        """Back to the start: without the element, without locks and sessions."""

    @abstractmethod
    async def die(self) -> None:
        """Power off."""

    @abstractmethod
    async def come_back(self) -> None:
        """Power on, with what it had saved, on the same address."""


class Sbc(Subject):
    """A virtual SBC, over plain HTTP so that a piece on the wire is a request."""

    platform = "acme_sbc"
    element = Element("realmConfig", {"id": "peering", "addrPrefix": "192.0.2.0/24"})

    def __init__(self) -> None:
        self.port = 0
        self.host = "127.0.0.1"
        self._sbc = self._new()

    @staticmethod
    def _new() -> VirtualSbc:
        return VirtualSbc("edge-a", username=USER, password=PASSWORD, plain_http=True, job_delay_s=0.02)

    async def start(self) -> None:
        self.host, self.port = await self._sbc.start("127.0.0.1", self.port)

    async def stop(self) -> None:
        await self._sbc.stop()

    def parameters(self) -> Mapping[str, str]:
        return {"username": USER, "password": PASSWORD, "transport": "http"}

    def journal(self) -> list[Entry]:
        """Every request that could change it, with who sent it and when."""
        return list(self._sbc.journal)

    async def holds(self) -> bool:
        return any(
            element["type"] == "realm-config" and element["attributes"]["identifier"] == ["peering"]
            for element in self._sbc.stores.running.as_json()
        )

    async def reset(self) -> None:
        await self._sbc.stop()
        self._sbc = self._new()
        await self.start()

    async def die(self) -> None:
        await self._sbc.stop()

    async def come_back(self) -> None:
        # What it had in memory only goes with a power cut; the saved configuration is what it runs then.
        stores = self._sbc.stores
        stores.running, stores.editing = stores.saved.copy(), stores.saved.copy()
        self._sbc.control({"revoke_tokens": True})
        await self.start()


class Netconf(Subject):
    """netconfd. Its `validate` is left out, since it loses what is committed after it."""

    platform = "netconf"
    element = Element("realm", {"id": "peering", "address-prefix": "10.9.0.0/16"})

    def __init__(self, device: NetconfDevice) -> None:
        self._device = device
        self.host, self.port = device.address, device.port

    def parameters(self) -> Mapping[str, str]:
        return {
            "username": self._device.user, "password": self._device.password, "platform": "netconf",
            "ssh.host.key": self._device.host_key, "netconf.validate": "false", "netconf.confirm.s": "5",
        }  # fmt: skip

    async def holds(self) -> bool:
        return await asyncio.to_thread(self._holds)

    def _holds(self) -> bool:
        with manager.connect(
            host=self.host, port=self.port, username=self._device.user, password=self._device.password,
            hostkey_verify=False, allow_agent=False, look_for_keys=False, timeout=20,
        ) as other:  # fmt: skip
            shown = etree.fromstring(other.get_config("running").data_xml.encode())
        return any(each.text == "peering" for each in shown.iterfind(f".//{{{NAMESPACE}}}realm/{{{NAMESPACE}}}id"))

    async def reset(self) -> None:
        await asyncio.to_thread(self._device.wipe)

    async def die(self) -> None:
        await asyncio.to_thread(self._device.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self._device.start)


class Frr(Subject):
    """FRR: a blackhole route, looked for in the kernel, which hears of it a moment after the configuration has it."""

    platform = "frr"
    element = Element("staticRoute", {"prefix": "203.0.113.0/24", "gateway": "blackhole"})

    def __init__(self, router: FrrRouter) -> None:
        self._router = router
        self.host, self.port = router.address, router.port

    def parameters(self) -> Mapping[str, str]:
        return {
            "username": self._router.user, "password": self._router.password, "platform": "frr",
            "ssh.host.key": self._router.host_key,
        }  # fmt: skip

    async def holds(self) -> bool:
        return await asyncio.to_thread(self._router.routed, self.element.attributes["prefix"])

    async def reset(self) -> None:
        await asyncio.to_thread(self._router.wipe)

    async def die(self) -> None:
        await asyncio.to_thread(self._router.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self._router.start)
