"""The doors to the network on a real socket before the real gate, with a virtual SBC behind, for foreign clients.

Everything of the server runs in an event loop of its own thread; `requests` and `curl` speak to it from outside.
"""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from opensdm.core.operations import Operation
from opensdm.doors.rest.app import build_app
from opensdm.doors.soap.app import add_soap_routes
from opensdm.doors.web.app import add_web_routes
from opensdm.listener import Listener, bind
from tests.doors import wire
from tests.gatehouse import PASSWORD, USERS, House, open_house
from tests.machine import tool
from tests.program import OPENSDM
from tests.simulator.box import PASSWORD as DEVICE_PASSWORD
from tests.simulator.box import USER as DEVICE_USER
from tests.simulator.box import Box, LoopThread

TRACES = {"audit_entry", "session", "login_failure", "sqlite_sequence"}
LOGIN = {
    "xml": "<session><userName>{}</userName><password>{}</password></session>",
    "json": '{{"userName":"{}","password":"{}"}}',
}


class Site:
    """A server, its device, and what can be seen of both from outside."""

    def __init__(self, directory: Path, loop: LoopThread, box: Box) -> None:
        self.directory = directory
        self.box = box
        self._loop = loop
        self.house: House = self.run(self._open())

    def run(self, job: Any) -> Any:
        return self._loop.begin(job).result(60)

    async def _open(self) -> House:
        house = await open_house(f"sqlite:///{self.directory}/opensdm.db", self.directory / "secret.key")
        await house.add_users()
        app = build_app(house.gate)
        add_soap_routes(app, house.gate)
        add_web_routes(app, house.gate)
        self._listener = Listener(app, bind("127.0.0.1", 0), None, grace_s=1)
        await self._listener.start()
        return house

    async def _close(self) -> None:
        await self._listener.stop()
        await self.house.close()

    @property
    def base(self) -> str:
        return self._listener.url

    def by_console(self, operation: Operation) -> Any:
        return self.run(self.house.gate.execute(self.house.local, operation))

    def enrol(self, name: str, **parameters: str) -> int:
        """A network function with the virtual SBC as its device, managed; the device's id."""
        host, port = self.box.address
        known = {"username": DEVICE_USER, "password": DEVICE_PASSWORD, "transport": "http"}
        found: int = self.run(self.house.enrol(name, f"{host}:{port}", **{**known, **parameters}))
        return found

    def everything(self) -> dict[str, list[Any]]:
        """All that a refusal must leave as it is: in the store, and on the device."""
        with sqlite3.connect(self.directory / "opensdm.db") as database:
            names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = {n: sorted(database.execute(f"SELECT * FROM {n}"), key=repr) for n in names - TRACES}  # noqa: S608
        found["counter"] = [row for row in found["counter"] if row[0] != "claim"]
        found["written to the device"] = self.written()
        return found

    def written(self) -> list[str]:
        """What was written to the device, in order: `lock`, `realm-config identifier=core`, `verify`, ..."""
        writing = ("lock", "unlock", "element", "management")
        return [e.subject or e.kind for e in self.box.simulator.journal.entries() if e.kind in writing]

    def client(self, user: str, version: str = "v1.3", medium: str = "json") -> Client:
        return Client(self, user, version, medium)


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    loop = LoopThread()
    box = Box(loop, job_delay_s=0.01)
    opened = Site(directory, loop, box)
    try:
        yield opened
    finally:
        opened.run(opened._close())
        box.begin_close().result(20)
        loop.close()


class Client:
    """A logged-in user of one API version, in one form, through `requests`."""

    def __init__(self, site: Site, user: str, version: str, medium: str) -> None:
        self.site, self.user, self.version, self.medium = site, user, version, medium
        self.http = requests.Session()
        self.http.trust_env = False
        assert user in USERS
        answer = self.post("/admin/login", LOGIN[medium].format(user, PASSWORD))
        assert answer.status_code == 200, answer.text

    @property
    def exact(self) -> bool:
        return self.version == "v1.4"

    def send(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        sent = {"Accept": f"application/{self.medium}"}
        if body is not None:
            sent["Content-Type"] = f"application/{self.medium}"
        return self.http.request(
            method,
            f"{self.site.base}/rest/{self.version}{path}",
            data=None if body is None else body.encode(),
            headers=sent | (headers or {}),
            timeout=30,
        )

    def get(self, path: str) -> requests.Response:
        return self.send("GET", path)

    def post(self, path: str, body: str, **headers: str) -> requests.Response:
        return self.send("POST", path, body, headers)

    def act(self, device_id: int, kind: str, **fields: str) -> requests.Response:
        """Lock or unlock one device."""
        body = wire.simple(self.medium, "deviceAction", type=kind, **fields)
        return self.post(f"/inventory/deviceMgmt/devices/ID{device_id}/action", body)

    def stage(self, device_id: int, realm: str, what: str = "add", **values: str) -> requests.Response:
        body = wire.element(self.medium, "realmConfig", id=realm, **values)
        return self.post(f"/configuration/deviceConfigs/ID{device_id}/configElements/{what}", body)

    def push(self, device_id: int, action: str = "SaveActivateConfig") -> requests.Response:
        body = wire.simple(self.medium, "deviceAction", type=action)
        return self.post(f"/configuration/devices/ID{device_id}/action", body)

    def shell(self, line: str) -> str:
        """A recommended call, run by a shell as it stands, with this user's cookie or password; what it prints."""
        tool("curl")
        fields = ("127.0.0.1", "FALSE", "/rest", "FALSE", "0", "JSESSIONID", self.http.cookies["JSESSIONID"])
        (self.site.directory / f"{self.user}.txt").write_text("\t".join(fields) + "\n")
        here = line.replace("cookies.txt", shlex.quote(f"{self.user}.txt"), 1).replace("curl ", "curl -sSf ", 1)
        where = f"{OPENSDM.parent}:/usr/local/bin:/usr/bin:/bin"
        done = subprocess.run(
            ["/bin/sh", "-c", here],
            cwd=self.site.directory,
            env={"PATH": where, "no_proxy": "*", "OPENSDM_PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout
