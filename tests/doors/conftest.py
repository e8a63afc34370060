"""The REST door on the real gate, a real database and the real handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from opensdm.doors.rest.app import App, RestSettings, build_app
from tests.gatehouse import PASSWORD, House, house_with_users

BASE = "https://sdm.test"
Connect = Callable[..., Awaitable["Rest"]]


class Rest:
    """A client of one API version, in one media type, with one session.

    Sends what it is told and nothing else: bodies are text, the cookie is a header.
    """

    def __init__(self, http: httpx2.AsyncClient, version: str, medium: str) -> None:
        self.http = http
        self.version = version
        self.medium = medium
        self.token: str | None = None

    async def send(
        self, method: str, path: str, body: str | bytes | None = None, **headers: str | None
    ) -> httpx2.Response:
        """`path` below the version. Headers are given with `_` for `-`; None leaves one out."""
        sent: dict[str, str | None] = {"Accept": f"application/{self.medium}"}
        if body is not None:
            sent["Content-Type"] = f"application/{self.medium}"
        if self.token is not None:
            sent["Cookie"] = f"JSESSIONID={self.token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body.encode() if isinstance(body, str) else body
        return await self.http.request(
            method,
            f"{BASE}/rest/{self.version}{path}",
            content=content,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items() if value is not None],
        )

    async def get(self, path: str, **headers: str | None) -> httpx2.Response:
        return await self.send("GET", path, **headers)

    async def post(self, path: str, body: str | bytes | None = None, **headers: str | None) -> httpx2.Response:
        return await self.send("POST", path, body, **headers)

    async def put(self, path: str, body: str | bytes | None = None, **headers: str | None) -> httpx2.Response:
        return await self.send("PUT", path, body, **headers)

    async def delete(self, path: str, **headers: str | None) -> httpx2.Response:
        return await self.send("DELETE", path, **headers)

    async def log_in(self, user: str, password: str = PASSWORD) -> Rest:
        if self.medium == "xml":
            body = f"<session><userName>{user}</userName><password>{password}</password></session>"
        else:
            body = f'{{"userName":"{user}","password":"{password}"}}'
        answer = await self.post("/admin/login", body)
        assert answer.status_code == 200, answer.text
        self.token = answer.headers["Set-Cookie"].partition(";")[0].removeprefix("JSESSIONID=")
        return self

    async def act(self, device_id: int, kind: str, **headers: str | None) -> httpx2.Response:
        """Lock or unlock one device."""
        body = f"<deviceAction><type>{kind}</type></deviceAction>" if self.medium == "xml" else f'{{"type":"{kind}"}}'
        return await self.post(f"/inventory/deviceMgmt/devices/ID{device_id}/action", body, **headers)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_with_users(f"sqlite:///{tmp_path / 'opensdm.db'}", tmp_path) as house:
        yield house


@pytest.fixture
def settings() -> RestSettings:
    return RestSettings()


@pytest.fixture
def app(house: House, settings: RestSettings) -> App:
    return build_app(house.gate, settings)


def client_of(app: Any) -> httpx2.AsyncClient:
    """A client that reaches the application without a socket, from a network address."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app, client=("192.0.2.50", 4711)))


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(app) as http:
        yield http


@pytest.fixture
def connect(http: httpx2.AsyncClient) -> Connect:
    """`await connect("alice", "v1.3", "xml")`: a logged-in client; without a user, one that is not."""

    async def make(user: str | None = None, version: str = "v1.3", medium: str = "json") -> Rest:
        client = Rest(http, version, medium)
        if user is not None:
            await client.log_in(user)
        # The cookie of one session must not be sent with the calls of another.
        http.cookies.clear()
        return client

    return make
