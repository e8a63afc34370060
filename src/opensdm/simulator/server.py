"""The virtual SBC as a server: the Falcon application, the runner, and the simulator's own two paths."""

import asyncio
from pathlib import Path
from typing import Any

import falcon.asgi
import msgspec
from falcon.asgi import Request, Response

from opensdm.simulator import rest, system
from opensdm.simulator.certificate import OwnCertificate
from opensdm.simulator.controls import Controls
from opensdm.simulator.device import Account, Device
from opensdm.simulator.element import Element
from opensdm.simulator.elements import ConfigElements
from opensdm.simulator.gatekeeper import Gatekeeper, Refused, error_body
from opensdm.simulator.generated import generated
from opensdm.simulator.journal import Journal
from opensdm.simulator.listener import Listener
from opensdm.simulator.stores import Stores
from opensdm.simulator.tokens import Tokens
from opensdm.simulator.wire import MEDIA_TYPE

ROUTES = {
    "auth/token": rest.AuthToken,
    "configuration/lock": rest.Lock,
    "configuration/unlock": rest.Unlock,
    "configuration/elementTypes": rest.ElementTypes,
    "configuration/elementTypes/metadata": rest.Metadata,
    "configuration/elementTypes/template": rest.Template,
    "configuration/configElements": ConfigElements,
    "configuration/management": rest.Management,
    "configuration/management/files": rest.BackupFiles,
    "admin/asyncstatus": rest.AsyncStatus,
    "admin/switchover": system.Switchover,
    "admin/reboot": system.Reboot,
    "configuration/bootparams": system.BootParameters,
    "statistics/kpis": system.Kpis,
    "system/status": system.SystemStatus,
    "system/version": system.SystemVersion,
}


class VirtualSbc:
    """A simulated session border controller: our own simulator of the documented device-side REST API.

    It is no vendor's software. With neither `tls` (certificate, key) nor `plain_http` it makes itself a certificate,
    which `certificate` names while it runs. `viewer` is a second login without administrator privileges.
    `state_path` keeps saved, running and the backups over a restart. `controllable` opens `POST /simulator/control`.
    Durations in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        username: str,
        password: str,
        tls: tuple[Path, Path] | None = None,
        plain_http: bool = False,
        version: str = "SCZ9.1.0",
        state_path: Path | None = None,
        token_lifetime_s: float = 600.0,
        job_delay_s: float = 0.2,
        controllable: bool = False,
        viewer: tuple[str, str] | None = None,
    ) -> None:
        accounts = (Account(username, password), *([Account(*viewer, admin=False)] if viewer else []))
        self.name = name
        self._device = Device(
            name,
            version,
            accounts,
            state_path=state_path,
            token_lifetime_s=token_lifetime_s,
            job_delay_s=job_delay_s,
        )
        self._tls = tls
        self._plain_http = plain_http
        self._own_certificate: OwnCertificate | None = None
        self._listeners: list[Listener] = []
        self.plain_address: tuple[str, int] | None = None
        self.app = self._application(controllable)

    @property
    def journal(self) -> Journal:
        """Who wrote what, when."""
        return self._device.journal

    @property
    def controls(self) -> Controls:
        """Faults and slowness, for tests."""
        return self._device.controls

    @property
    def stores(self) -> Stores:
        """The editing, saved and running configuration, for tests that look inside."""
        return self._device.stores

    @property
    def tokens(self) -> Tokens:
        """The live tokens and the configuration lock."""
        return self._device.tokens

    @property
    def certificate(self) -> Path | None:
        """The certificate that a client must trust, while the simulator runs with TLS."""
        pair = self._tls or (self._own_certificate.pair if self._own_certificate else None)
        return pair[0] if pair else None

    def control(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Set controls, and do four things: `console_lock`, `revoke_tokens`, `switch_over` (all bool) and `elements`.

        `elements` is a number for each type: so many made-up ones are there from now on, saved and running. Answers
        the controls as they are now. `ValueError` for an unknown control or a bad value, or a console lock while a
        REST client has the lock.
        """
        switches = dict(wanted)
        acts = {name: switches.pop(name, None) for name in ("console_lock", "revoke_tokens", "switch_over")}
        if not all(isinstance(value, bool | None) for value in acts.values()):
            raise ValueError(f"{', '.join(acts)} are true or false")
        elements = self._made_up(switches.pop("elements", {}))
        self.controls.update(switches)
        for each in elements:
            self.stores.add_everywhere(each)
        if acts["switch_over"]:
            self.switch_over()
        if acts["revoke_tokens"]:
            self.tokens.revoke_all()
        console = acts["console_lock"]
        if console is not None and not self.tokens.console_lock(console):
            raise ValueError(f"the configuration lock is held by {self.tokens.lock_holder()}")
        return {**self.controls.as_json(), "lock_holder": self.tokens.lock_holder()}

    def pair_with(self, standby: "VirtualSbc") -> None:
        """Make this and another virtual SBC one HA pair: this one active, the other standby, in step from now on."""
        self._device.pair_with(standby._device)

    def switch_over(self) -> None:
        """Let the other unit of the pair become the active one; `ValueError` when there is none."""
        if self._device.peer is None:
            raise ValueError("this virtual SBC is not one of a pair")
        self._device.switch_over()

    def _made_up(self, wanted: Any) -> list[list[Element]]:
        if not isinstance(wanted, dict) or not all(type(count) is int for count in wanted.values()):
            raise ValueError("elements is a number of elements for each type")
        return [generated(self._device.schema, name, count) for name, count in wanted.items()]

    async def start(self, host: str, port: int, *, plain_port: int | None = None) -> tuple[str, int]:
        """Listen; port 0 takes any free one. The bound address.

        `plain_port` opens a second socket without TLS, in `plain_address`: there every request gets 426, as on a
        device whose HTTP port is open.
        """
        if self._listeners:
            raise RuntimeError("this virtual SBC is listening already")
        if self._tls is None and not self._plain_http:
            self._own_certificate = await asyncio.to_thread(OwnCertificate, self.name, host)
        pair = self._tls or (self._own_certificate.pair if self._own_certificate else None)
        try:
            address = await self._listen(host, port, None if self._plain_http else pair)
            if plain_port is not None:
                self.plain_address = await self._listen(host, plain_port, None)
        except BaseException:
            await self.stop()
            raise
        return address

    async def stop(self) -> None:
        """Close all sockets and break off a running job. What is not saved is kept in memory for another start."""
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        self._listeners.clear()
        self.plain_address = None
        await self._device.jobs.stop()
        if self._own_certificate is not None:
            await asyncio.to_thread(self._own_certificate.remove)
            self._own_certificate = None

    async def _listen(self, host: str, port: int, tls: tuple[Path, Path] | None) -> tuple[str, int]:
        listener = Listener(self.app, tls)
        address = await listener.start(host, port)
        self._listeners.append(listener)
        return address

    def _cut(self, client: Any) -> None:
        for listener in self._listeners:
            listener.cut(client)

    def _application(self, controllable: bool) -> falcon.asgi.App[Request, Response]:
        gatekeeper = Gatekeeper(self._device, self._plain_http, self._cut)
        app = falcon.asgi.App(media_type=MEDIA_TYPE, middleware=[gatekeeper])
        app.req_options.keep_blank_qs_values = True
        app.set_error_serializer(error_body)
        app.add_route("/rest/api/supportedversions", rest.SupportedVersions(self._device))
        for path, resource in ROUTES.items():
            app.add_route(f"/rest/{{version}}/{path}", resource(self._device))
        app.add_route("/simulator/journal", JournalPage(self))
        if controllable:
            app.add_route("/simulator/control", ControlPage(self))
        return app


class JournalPage:
    """`GET /simulator/journal[?kind=element]`: the journal as JSON. Ours, not the vendor's."""

    def __init__(self, simulator: VirtualSbc) -> None:
        self._simulator = simulator

    async def on_get(self, req: Request, resp: Response) -> None:
        journal = self._simulator.journal
        entries = [entry.as_json() for entry in journal.entries(req.get_param("kind"))]
        resp.content_type = falcon.MEDIA_JSON
        resp.media = {"simulator": self._simulator.name, "dropped": journal.dropped, "entries": entries}


class ControlPage:
    """`POST /simulator/control` with a JSON object of controls, and `GET` to see them. Ours, not the vendor's."""

    def __init__(self, simulator: VirtualSbc) -> None:
        self._simulator = simulator

    async def on_get(self, req: Request, resp: Response) -> None:
        self._answer(resp, {})

    async def on_post(self, req: Request, resp: Response) -> None:
        try:
            wanted = msgspec.json.decode(await req.stream.read(65_536), type=dict[str, Any])
        except msgspec.MsgspecError as fault:
            raise Refused(400, f"not a JSON object: {fault}") from None
        self._answer(resp, wanted)

    def _answer(self, resp: Response, wanted: dict[str, Any]) -> None:
        try:
            state = self._simulator.control(wanted)
        except ValueError as fault:
            raise Refused(400, str(fault)) from None
        resp.content_type = falcon.MEDIA_JSON
        resp.media = state
