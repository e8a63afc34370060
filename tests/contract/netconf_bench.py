"""A NETCONF device under test: Debian's netconfd from the lab, behind a proxy that records and disturbs what passes.

The proxy is an SSH server of its own with its own, simple reading of the framing, so that what is counted was on the
wire; it passes everything to the device's real sshd.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import asyncssh
from ncclient import manager

from lab.netconf import NetconfDevice
from opensdm.core.element import Element, Schema
from opensdm.core.inventory import Credentials
from opensdm.core.permit import Permit, Read
from opensdm.core.ports import DeviceConnection
from opensdm.drivers.netconf import NetconfDriver
from opensdm.testing.driver_bench import DriverBench

WRITING = frozenset(
    ("lock", "unlock", "edit-config", "discard-changes", "commit", "cancel-commit", "copy-config", "validate",
     "kill-session", "delete-config")
)  # fmt: skip
JOBS = {"save": "copy-config", "activate": "commit", "restore": "discard-changes", "verify": "validate"}
_BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
_SCHEMAS: dict[str, Schema] = {}
_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Proxy:
    """Between the driver and a device. `asked` are the operations that came, in order, hellos left out.

    The next operation named in `lose` is answered with ok and goes no further, in `fail` with an error; in `cut` and
    `die` the device does it, but its answer is not passed on, or half of it. Those in `deny` fail always. Those in
    `held` reach the device when their event is set.
    """

    def __init__(self, device: NetconfDevice) -> None:
        self.device = device
        self.asked: list[str] = []
        self.lose: set[str] = set()
        self.fail: set[str] = set()
        self.cut: set[str] = set()
        self.die: set[str] = set()
        self.deny: set[str] = set()
        self.held: dict[str, asyncio.Event] = {}
        self.logins = 0
        self._server: asyncssh.SSHAcceptor | None = None

    @property
    def host_key(self) -> str:
        return " ".join(_KEY.export_public_key().decode().split()[:2])

    @property
    def address(self) -> str:
        assert self._server is not None
        host, port = self._server.get_addresses()[0][:2]
        return f"{host}:{port}"

    async def start(self) -> None:
        self._server = await asyncssh.create_server(
            lambda: _Door(self), "127.0.0.1", 0, server_host_keys=[_KEY], process_factory=self._serve, encoding=None
        )

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        client = process.channel.get_connection()
        try:
            async with asyncssh.connect(
                self.device.address, self.device.port, username=self.device.user, password=self.device.password,
                known_hosts=None, client_keys=None, config=None, preferred_auth="password",
            ) as link:  # fmt: skip
                writer, reader, _ = await link.open_session(subsystem="netconf", encoding=None)
                await self._greet(process, writer, reader)
                while await self._pass_on(process, writer, reader, client):
                    pass
        except (asyncssh.Error, OSError, asyncio.IncompleteReadError, EOFError):
            pass
        finally:
            client.abort()

    async def _greet(self, process: Any, writer: Any, reader: Any) -> None:
        """The driver's hello first: netconfd loses a request that comes together with the hello before it."""
        end = b"]]>]]>"
        writer.write(await process.stdin.readuntil(end))
        process.stdout.write(await reader.readuntil(end))

    async def _pass_on(self, process: Any, writer: Any, reader: Any, client: Any) -> bool:
        request = await process.stdin.readuntil(b"\n##\n")
        text = re.sub(rb"\n#[0-9#]+\n", b"", request).decode()
        found = re.search(r"<rpc [^>]*message-id=\"(\d+)\"[^>]*>\s*<([a-z-]+)", text)
        assert found is not None, text
        number, name = found.groups()
        self.asked.append(name)
        if name in self.lose | self.fail | self.deny:
            self.lose.discard(name)
            body = "<ok/>"
            if name in self.fail | self.deny:
                self.fail.discard(name)
                body = (
                    "<rpc-error><error-type>application</error-type><error-tag>operation-failed</error-tag>"
                    "<error-severity>error</error-severity><error-message>out of order</error-message></rpc-error>"
                )
            reply = f'<rpc-reply xmlns="{_BASE}" message-id="{number}">{body}</rpc-reply>'.encode()
            process.stdout.write(b"\n#%d\n%b\n##\n" % (len(reply), reply))
            return True
        if name in self.held:
            await self.held[name].wait()
        writer.write(request)
        answer = await reader.readuntil(b"\n##\n")
        if name in self.cut:
            self.cut.discard(name)
            client.abort()
            return False
        if name in self.die:
            self.die.discard(name)
            process.stdout.write(answer[: len(answer) // 2])
            await process.stdout.drain()
            client.abort()
            return False
        process.stdout.write(answer)
        return True


class _Door(asyncssh.SSHServer):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        right = (username, password) == (self._proxy.device.user, self._proxy.device.password)
        self._proxy.logins += right
        return right


class NetconfBench(DriverBench):
    """One netconfd and the driver. netconfd loses what it validated, so validation is off unless asked for."""

    def __init__(self, proxy: Proxy, parameters: dict[str, str]) -> None:
        self.proxy = proxy
        self.device = proxy.device
        self.holder: manager.Manager | None = None
        chosen = {"ssh.host.key": proxy.host_key, "netconf.validate": "false", **parameters}
        credentials = Credentials(proxy.address, None, self.device.user, self.device.password, chosen)
        super().__init__(NetconfDriver(), credentials)

    @property
    def verifies(self) -> bool:
        return self.credentials.parameters["netconf.validate"] == "true"

    async def schema(self, device: DeviceConnection, permit: Permit[Read]) -> Schema:
        version = (await device.facts(permit)).software_version
        if version not in _SCHEMAS:
            _SCHEMAS[version] = await device.read_schema(permit)
        return _SCHEMAS[version]

    async def close(self) -> None:
        await super().close()
        await self.hold_lock(False)
        for driver in (*self._crashed, self.driver):
            assert isinstance(driver, NetconfDriver)
            await driver.close()

    def writes(self) -> int:
        return len([name for name in self.proxy.asked if name in WRITING])

    def new_element(self) -> Element:
        port = Element("sip-interface/sip-port", {"address": "10.1.0.1", "port": "5060", "transport": "tcp"})
        return Element("sip-interface", {"realm": "access", "state": "enabled"}, (port,))

    def changed(self, element: Element) -> Element:
        return replace(element, attributes={**element.attributes, "state": "disabled"})

    def breaking_element(self) -> Element:
        return Element("peer", {"name": "p1", "address": "192.0.2.1", "realm": "nowhere"})

    def refused_element(self) -> Element:
        return Element("peer", {"name": "not a name!", "address": "192.0.2.1"})

    def direct(self) -> manager.Manager:
        """An independent client, beside driver and proxy. Blocks: call it in a thread."""
        return manager.connect(
            host=self.device.address, port=self.device.port, username=self.device.user,
            password=self.device.password, hostkey_verify=False, allow_agent=False, look_for_keys=False,
        )  # fmt: skip

    async def hold_lock(self, held: bool) -> None:
        if held:
            self.holder = holder = await asyncio.to_thread(self.direct)
            await asyncio.to_thread(holder.lock, "candidate")
        elif self.holder is not None:
            holder, self.holder = self.holder, None
            await asyncio.to_thread(holder.close_session)

    async def lose_next_edit(self) -> None:
        self.proxy.lose.add("edit-config")

    async def cut_next_edit(self) -> None:
        self.proxy.cut.add("edit-config")

    async def fail_next_job(self, action: str) -> None:
        self.proxy.fail.add(JOBS[action])

    async def die_in_next_read(self) -> None:
        self.proxy.die.add("get-config")
