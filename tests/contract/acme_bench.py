"""A virtual SBC and the driver for it, for the tests of this directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from opensdm.core.element import Element
from opensdm.core.inventory import Credentials
from opensdm.core.ports import DeviceConnection
from opensdm.drivers.acme_sbc import AcmeSbcDriver
from opensdm.simulator import VirtualSbc
from opensdm.testing.driver_bench import DriverBench

USER, PASSWORD = "sdm", "Device-pw-4711"
WRITING = ("lock", "unlock", "element", "management")


class AcmeBench(DriverBench):
    """One virtual SBC and the driver."""

    def __init__(self, sbc: VirtualSbc, credentials: Credentials) -> None:
        super().__init__(AcmeSbcDriver(), credentials)
        self.sbc = sbc

    def connect(self, **changes: object) -> DeviceConnection:
        """As the gate does: with what was noted of sessions before."""
        return super().connect(**{"left_session": self.book.note, **changes})

    async def close(self) -> None:
        await super().close()
        for driver in (self.driver, *self._crashed):
            await driver.close()  # type: ignore[attr-defined]

    def writes(self) -> int:
        return len([entry for entry in self.sbc.journal if entry.kind in WRITING])

    def new_element(self) -> Element:
        port = Element("sipInterface/sipPort", {"address": "198.51.100.10", "port": "5060", "transportProtocol": "TCP"})
        return Element("sipInterface", {"realmId": "core", "description": "new"}, (port,))

    def changed(self, element: Element) -> Element:
        return replace(element, attributes={**element.attributes, "natInterval": "45"})

    def breaking_element(self) -> Element:
        return Element("sessionAgent", {"hostname": "agent.example", "realmId": "nowhere"})

    def refused_element(self) -> Element:
        return Element("sessionAgent", {"hostname": "agent.example", "port": "70000"})

    async def hold_lock(self, held: bool) -> None:
        self.sbc.control({"console_lock": held})

    async def lose_next_edit(self) -> None:
        self.sbc.control({"lose_edits": 1})

    async def cut_next_edit(self) -> None:
        self.sbc.control({"drop_after_writes": 0, "drop_applies": True})

    async def fail_next_job(self, action: str) -> None:
        self.sbc.control({"fail_jobs": [action]})

    async def die_in_next_read(self) -> None:
        await self.sbc.stop()


Start = Callable[..., Awaitable[AcmeBench]]


@asynccontextmanager
async def benches() -> AsyncIterator[Start]:
    """Starts virtual SBCs with given options, and ends them; `secondary` joins another one as second address."""
    running: list[AcmeBench] = []

    async def launch(
        *, parameters: dict[str, str] | None = None, secondary: AcmeBench | None = None, **options: Any
    ) -> AcmeBench:
        sbc = VirtualSbc("edge-a", username=USER, password=PASSWORD, **{"job_delay_s": 0.01, **options})
        host, port = await sbc.start("127.0.0.1", 0)
        known = {"transport": "http"} if sbc.certificate is None else {"tls.ca": sbc.certificate.read_text()}
        if secondary is not None and sbc.certificate is not None:
            known["tls.ca"] += secondary.credentials.parameters["tls.ca"]
        second = None if secondary is None else secondary.credentials.address
        credentials = Credentials(f"{host}:{port}", second, USER, PASSWORD, {**known, **(parameters or {})})
        running.append(AcmeBench(sbc, credentials))
        return running[-1]

    try:
        yield launch
    finally:
        for each in running:
            await each.close()
            await each.sbc.stop()
