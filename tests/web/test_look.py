"""Where things are on a page: boxes that are seen whole, nothing that breaks out, notes that go when they are over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, FloatRect, Locator, expect

from opensdm.core.operations import LockDevice
from opensdm.doors.web.settings import WebSettings
from tests.web.conftest import Enter
from tests.web.site import Site, open_site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def box(of: Locator) -> FloatRect:
    found = await of.bounding_box()
    assert found is not None
    return found


async def test_what_a_padlock_tells_is_seen_whole_on_home(site: Site, enter: Enter) -> None:
    edge = site.ids["core-sbc-01"]
    await site.house.do("alice", LockDevice(device_id=edge, reason="change window 4711"))
    page = await enter("alice")
    await page.hover(f"#padlock-ID{edge}")
    await expect(page.locator(f"#padlock-ID{edge} .padlock-more")).to_be_in_viewport(ratio=1)


async def test_a_dialog_is_as_high_as_what_it_says_and_moves_nothing(site: Site, enter: Enter) -> None:
    page = await enter("alice", f"/web/devices/ID{site.ids['lab-a']}")
    await page.mouse.wheel(0, 200)
    await page.wait_for_function("scrollY > 100")
    before = await page.evaluate("scrollY")
    await page.keyboard.press("?")
    sheet = await box(page.locator("#help"))
    footer = await box(page.locator("#help .card-footer"))
    assert abs(sheet["y"] + sheet["height"] - footer["y"] - footer["height"]) < 4
    assert await page.evaluate("scrollY") == before
    assert 0 < sheet["y"] < 768 - sheet["height"]


async def test_beside_the_facts_of_a_device_there_is_no_void(site: Site, enter: Enter) -> None:
    page = await enter("alice", f"/web/devices/ID{site.ids['lab-a']}")
    await page.set_viewport_size({"width": 1280, "height": 720})
    work = await box(page.locator(".device-grid > div").nth(1))
    history = await box(page.locator(".device-grid > section"))
    assert 0 < history["y"] - work["y"] - work["height"] < 40


async def test_times_of_today_have_seconds(site: Site, enter: Enter) -> None:
    await site.house.do("alice", LockDevice(device_id=site.ids["lab-a"]))
    page = await enter("alice", f"/web/devices/ID{site.ids['lab-a']}")
    await expect(page.locator("#lock-panel time").first).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))


async def test_that_the_server_does_not_answer_is_told_until_it_does(site: Site, enter: Enter) -> None:
    page = await enter("alice", "/web/devices", watch=False)
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    note = page.locator("#refusal .alert")
    await site.close()
    await page.click(f"#padlock-ID{site.ids['lab-a']} button")
    await expect(note).to_contain_text("The server does not answer")
    await note.get_by_role("button", name="Dismiss").click()
    await expect(note).to_have_count(0)
    await page.click(f"#padlock-ID{site.ids['lab-a']} button")
    await expect(note).to_contain_text("The server does not answer")
    await site.open()
    await expect(note).to_have_count(0, timeout=10_000)


async def test_a_long_word_of_the_banner_stays_in_its_box(browser: Browser, tmp_path: Path) -> None:
    async with open_site(tmp_path, WebSettings(banner="Only for " + "staff" * 60)) as site:
        page = await browser.new_page(viewport={"width": 1280, "height": 720})
        await page.goto(f"{site.url}/web/sign-in")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert (await box(page.locator(".banner")))["width"] < 400
        await page.close()
