"""The web GUI as a program sees it, without a browser: a client of its pages, in this process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from opensdm.doors.rest.app import build_app
from opensdm.doors.web.app import add_web_routes
from opensdm.doors.web.settings import WebSettings
from tests.gatehouse import PASSWORD, House

HTTPS = "https://sdm.test"
HTMX = {"HX-Request": "true"}
TIMEOUT_S = 60.0


@asynccontextmanager
async def pages_of(house: House, settings: WebSettings | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """Nobody in particular, until `sign_in`."""
    app: Any = build_app(house.gate)
    add_web_routes(app, house.gate, settings or WebSettings())
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.50", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url=HTTPS, timeout=TIMEOUT_S) as http:
        yield http


def token_in(page: str) -> str:
    """What forms of that page carry."""
    match = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert match is not None
    return match[1]


async def sign_in(http: httpx2.AsyncClient, user: str, password: str = PASSWORD, **fields: str) -> httpx2.Response:
    page = await http.get("/web/sign-in")
    sent = {"csrf": token_in(page.text), "user": user, "password": password, **fields}
    return await http.post("/web/sign-in", data=sent)
