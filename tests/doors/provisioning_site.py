"""One house with a loaded virtual SBC for a whole module of tests, and users who speak REST to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from opensdm.core.operations import DiscardChanges, ListChangeSets, LoadConfiguration
from opensdm.doors.rest.app import RestSettings, build_app
from opensdm.simulator import VirtualSbc
from tests.acceptance.provisioning import PASSWORD, USER, Bench
from tests.doors import wire
from tests.doors.conftest import Rest, client_of
from tests.gatehouse import house_with_users

FORMS = [("v1.3", "xml"), ("v1.3", "json"), ("v1.4", "xml"), ("v1.4", "json")]
MEDIA = ["xml", "json"]


class Provisioning(Bench):
    """A bench with clients of its REST door."""

    http: httpx2.AsyncClient
    strange = False
    """The device holds something that did not come from us."""

    @property
    def config(self) -> str:
        return f"/configuration/deviceConfigs/ID{self.device_id}"

    @property
    def managed(self) -> str:
        return f"/configuration/devices/ID{self.device_id}"

    async def client(self, user: str, version: str = "v1.4", medium: str = "json") -> Rest:
        client = await Rest(self.http, version, medium).log_in(user)
        self.http.cookies.clear()
        return client

    async def stage(self, client: Rest, what: str, path: str, query: str = "", **attributes: str) -> httpx2.Response:
        """`what`: add, retrieve, update or delete."""
        body = wire.element(client.medium, path, **attributes)
        return await client.post(f"{self.config}/configElements/{what}{query}", body)

    async def act(self, client: Rest, kind: str = "SaveActivateConfig", **fields: str | bool) -> httpx2.Response:
        """A push, with whatever else the action carries."""
        return await client.post(f"{self.managed}/action", body(client.medium, "deviceAction", type=kind, **fields))

    async def reset(self) -> None:
        """Nothing staged by anybody, nothing odd about the device, and our copy what it holds."""
        self.sbc.control({"job_delay_s": 0.01, "console_lock": False})
        for user in ("alice", "bob"):
            for each in await self.do(user, ListChangeSets(device_id=self.device_id)):
                await self.do(user, DiscardChanges(device_id=self.device_id, change_set=each.name))
        if self.strange:
            await self.do("alice", LoadConfiguration(device_id=self.device_id))
            self.strange = False

    def edited_outside(self, kind: str, key: tuple[str, ...], **values: str) -> None:
        self.strange = True
        super().edited_outside(kind, key, **values)


def body(medium: str, root: str, **fields: str | bool) -> str:
    """A body of plain fields, with booleans."""
    if medium == "json":
        return json.dumps(fields)
    return wire.simple("xml", root, **{name: str(value).lower() if value in (True, False) else str(value)
                                       for name, value in fields.items()})  # fmt: skip


@asynccontextmanager
async def provisioning(directory: Path) -> AsyncIterator[Provisioning]:
    sbc = VirtualSbc("edge-a", username=USER, password=PASSWORD, plain_http=True, job_delay_s=0.01)
    host, port = await sbc.start("127.0.0.1", 0)
    try:
        async with house_with_users(f"sqlite:///{directory / 'opensdm.db'}", directory) as house:
            device_id = await house.enrol("edge-a", f"{host}:{port}", transport="http")
            async with client_of(build_app(house.gate, RestSettings(heartbeat_s=0.2))) as http:
                site = Provisioning(house, sbc, device_id, port)
                site.http = http
                await site.load()
                yield site
    finally:
        await sbc.stop()


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    """A stream of server-sent events as it was received: `event`, `id`, `data`; comments as `comment`."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    found: list[dict[str, Any]] = []
    for block in answer.text.split("\n\n"):
        if not block:
            continue
        lines = (line.partition(": ") for line in block.split("\n"))
        event: dict[str, Any] = {name or "comment": value for name, _, value in lines}
        if "data" in event:
            event["data"] = json.loads(event["data"])
        found.append(event)
    return found
