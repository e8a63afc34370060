"""A selection as its reader sees it: asked before a push, told how it ends, with the list true and the boxes ticked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Dialog, expect

from opensdm.core.element import Element
from opensdm.core.operations import AddElement
from opensdm.simulator import VirtualSbc
from tests.web.conftest import Enter
from tests.web.site import Site
from tests.web.test_pages import sound_in_both_lights

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN_MS = 20_000
"""Far more than it takes."""


@pytest_asyncio.fixture(loop_scope="module")
async def edge(site: Site) -> AsyncIterator[int]:
    sbc = VirtualSbc("edge-a", username="ops", password="s3cret-pw", plain_http=True)
    host, port = await sbc.start("127.0.0.1", 0)
    yield await site.house.enrol("edge-a", f"{host}:{port}", transport="http")
    await sbc.stop()


async def test_a_load_and_a_push_are_seen_to_their_end(site: Site, edge: int, enter: Enter) -> None:
    page = await enter("alice", "/web/devices?q=edge-")
    row = page.locator("tr[data-row]", has_text="edge-a")
    box, results = page.get_by_label("Select edge-a", exact=True), page.locator("#results")
    await box.check()
    await page.click("button[value=load]")
    await expect(results).to_contain_text("1 device loaded", timeout=WITHIN_MS)
    await expect(row).to_contain_text("in sync")
    await expect(box).to_be_checked()
    await expect(page.locator("[data-selected]")).to_have_text("1")

    await site.house.do("alice", AddElement(device_id=edge, element=Element("realmConfig", {"id": "new"})))
    asked: list[str] = []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await (dialog.dismiss() if len(asked) == 1 else dialog.accept())

    page.on("dialog", lambda dialog: asyncio.ensure_future(answer(dialog)))
    await page.click("button[value=push]")
    await expect(results).to_contain_text("1 device loaded")
    await page.click("button[value=push]")
    await expect(results).to_contain_text("1 device being pushed to")
    assert [text[:4] for text in asked] == ["Push", "Push"]
    await expect(results).to_contain_text("push succeeded", timeout=WITHIN_MS)
    await expect(row).to_contain_text("SaveAndActivate")
    await expect(box).to_be_checked()
    await sound_in_both_lights(page, "selection-pushed")
