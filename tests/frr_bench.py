"""A real FRR router as a device under test, behind a relay that counts what reaches it."""

from __future__ import annotations

import time
from dataclasses import replace

from lab.frr import FrrRouter
from opensdm.core.element import Element
from opensdm.core.inventory import Credentials
from opensdm.drivers.cli_definition import CliDefinition, cli_definitions
from opensdm.drivers.ssh import HOST_KEY
from opensdm.drivers.ssh_cli import SshCliDriver
from opensdm.testing.driver_bench import DriverBench
from tests.cli_relay import CONFIGURE, CliRelay

FRR: CliDefinition = next(d for d in cli_definitions() if d.platform == "frr")
SEED = (
    "configure terminal",
    "ip route 203.0.113.0/24 blackhole",
    "ip prefix-list seed seq 5 permit 192.0.2.0/24 le 32",
    "access-list seed seq 5 permit 192.0.2.0/24",
    "interface eth0",
    "description uplink",
    "bandwidth 1000",
)


class FrrBench(DriverBench):
    """One router behind a relay."""

    def __init__(self, relay: CliRelay, definition: CliDefinition = FRR) -> None:
        router = relay.router
        super().__init__(
            SshCliDriver(definition),
            Credentials(relay.address, None, router.user, router.password, {HOST_KEY: relay.host_key}),
        )
        self.relay = relay
        self.router: FrrRouter = router
        self._definition = definition

    async def close(self) -> None:
        await super().close()
        for driver in (self.driver, *self._crashed):
            assert isinstance(driver, SshCliDriver)
            await driver.close()

    def new_driver(self) -> SshCliDriver:
        return SshCliDriver(self._definition)

    def writes(self) -> int:
        return self.relay.writes()

    def new_element(self) -> Element:
        address = Element("interface/ipAddress", {"address": "192.0.2.9/24"})
        return Element("interface", {"name": "osd7", "description": "new one", "shutdown": "disabled"}, (address,))

    def changed(self, element: Element) -> Element:
        return replace(element, attributes={**element.attributes, "description": "another one"})

    def breaking_element(self) -> Element:
        raise AssertionError("FRR verifies nothing")

    def refused_element(self) -> Element:
        address = Element("interface/ipAddress", {"address": "192.0.2.9/33"})
        return Element("interface", {"name": "osd8", "description": "refused"}, (address,))

    async def hold_lock(self, held: bool) -> None:
        raise AssertionError("FRR has no lock")

    async def lose_next_edit(self) -> None:
        def lose() -> None:
            self.router.vtysh("configure terminal", "no interface osd7")

        self.relay.before_answer("^end$", lose)

    async def cut_next_edit(self) -> None:
        self.relay.cut_on("^interface ")

    async def stall_within_next_edit(self, seconds: float) -> bool:
        self.relay.before_answer("^interface ", lambda: time.sleep(seconds))
        return True

    def parts(self) -> list[str]:
        lines = self.relay.lines
        return lines[lines.index(CONFIGURE) :] if CONFIGURE in lines else []

    async def fail_next_job(self, action: str) -> None:
        assert action == "save"
        self.router.saved.parent.chmod(0o550)
        self.router.saved.chmod(0o440)

    async def die_in_next_read(self) -> None:
        self.relay.cut_in_answer("^show running-config$", 100)
