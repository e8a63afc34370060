"""Debian's chromium on the web GUI: a browser per module, a house per test, and no page that complains."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright

from opensdm.doors.web.safety import PATH, SESSION_COOKIE
from opensdm.simulator import VirtualSbc
from tests.acceptance.provisioning import PASSWORD, USER, Bench
from tests.gatehouse import House, house_with_users
from tests.machine import missing
from tests.web.seeded import seed
from tests.web.site import Site, open_site

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).parent / "vendor" / "axe.min.js"


@dataclass
class Watched:
    """What pages complained of. A refusal's own status is told in the console, too, and is no fault."""

    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", self._raised)

    def _said(self, message: ConsoleMessage) -> None:
        refused = message.text.startswith("Failed to load resource: the server responded with a status of 4")
        htmx = "Response Status Error Code 4" in message.text
        if message.type in ("error", "warning") and not refused and not htmx:
            self.faults.append(f"{message.type}: {message.text}")

    def _raised(self, error: Error) -> None:
        self.faults.append(f"raised: {error}")


Enter = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if not os.access(CHROMIUM, os.X_OK):
        missing("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """For pages without a browser."""
    async with house_with_users(f"sqlite:///{tmp_path / 'opensdm.db'}", tmp_path) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path) as site:
        site.ids = await seed(site.house)
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def enter(site: Site, browser: Browser) -> AsyncIterator[Enter]:
    """`await enter("alice", "/web/devices")`: a page in a window of its own, of a new session, watched to the end."""
    watched, windows = Watched(), []

    async def open_page(user: str | None, path: str = "/web", *, watch: bool = True) -> Page:
        window = await browser.new_context(
            viewport={"width": 1366, "height": 768}, color_scheme="light", locale="en-GB",
            timezone_id="UTC", reduced_motion="reduce",
        )  # fmt: skip
        windows.append(window)
        page = await window.new_page()
        page.set_default_timeout(10_000)
        if watch:
            watched.watch(page)
        if user is not None:
            session = await site.house.caller(user, "web", again=True)
            await window.add_cookies(
                [{"name": SESSION_COOKIE, "value": session.token or "", "domain": "127.0.0.1", "path": PATH}]
            )
        await page.goto(site.url + path)
        return page

    yield open_page
    for window in windows:
        await window.close()
    assert watched.faults == []


@pytest_asyncio.fixture(loop_scope="module")
async def bench(site: Site) -> AsyncIterator[Bench]:
    """A virtual SBC that takes a while for each job, enrolled and not yet loaded."""
    sbc = VirtualSbc("edge-a", username=USER, password=PASSWORD, plain_http=True, job_delay_s=0.5)
    host, port = await sbc.start("127.0.0.1", 0)
    device_id = await site.house.enrol("edge-a", f"{host}:{port}", transport="http")
    yield Bench(site.house, sbc, device_id, port)
    await sbc.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def loaded(bench: Bench) -> Bench:
    await bench.load()
    return bench


def url(bench: Bench, rest: str = "") -> str:
    return f"/web/devices/ID{bench.device_id}/provisioning{rest}"
