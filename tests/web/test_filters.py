"""Filters that a reader keeps: a chip each, in this browser, for this reader alone."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.web.conftest import Enter

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_filter_is_kept_used_and_forgotten(enter: Enter) -> None:
    page = await enter("alice", "/web/devices")
    save = page.get_by_role("button", name="Save filter")
    await expect(save).to_be_hidden()
    await page.fill("#filter", "east")
    await save.click()
    await expect(save).to_be_hidden()
    await page.goto(page.url.partition("?")[0])
    chip = page.locator(".chip")
    await expect(chip).to_have_count(1)
    await chip.get_by_role("link", name="east").click()
    await expect(page.locator("#devices tr[data-row]")).to_have_count(2)
    await expect(page.locator("#filter")).to_have_value("east")
    await chip.get_by_role("button", name="Forget the filter east").click()
    await expect(chip).to_have_count(0)
    await page.reload()
    await expect(chip).to_have_count(0)
