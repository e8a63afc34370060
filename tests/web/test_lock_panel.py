"""The lock of one device on its own page: true whatever is typed there, worked by keys, and telling how idle one is."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from playwright.async_api import Page, expect

from opensdm.core.operations import AddUser, AskForLock, LockDevice, OverrideLock, ShowLock, UnlockDevice
from tests.gatehouse import PASSWORD
from tests.web.conftest import Enter
from tests.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN_MS = 10_000
PANEL = "#lock-panel"


async def at_device(enter: Enter, user: str, device_id: int, fragment: str = "") -> Page:
    page = await enter(user, f"/web/devices/ID{device_id}{fragment}")
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    return page


async def test_the_panel_is_true_whatever_was_typed_and_keeps_it(site: Site, enter: Enter) -> None:
    edge = site.ids["core-sbc-01"]
    await site.house.do("alice", LockDevice(device_id=edge))
    bob = await at_device(enter, "bob", edge)
    panel = bob.locator(PANEL)
    await bob.locator("#field-message").press_sequentially("for five minutes")
    await site.house.do("carol", AskForLock(device_id=edge, message="me too"))
    await expect(panel).to_contain_text("me too", timeout=WITHIN_MS)
    await expect(bob.locator("#field-message")).to_be_focused()
    await bob.keyboard.type(", please")
    await site.house.do("alice", UnlockDevice(device_id=edge))
    await expect(panel).to_contain_text("nobody: the device is free", timeout=WITHIN_MS)
    await expect(panel).not_to_contain_text("Ask to release")
    await expect(bob.locator("#field-reason")).to_be_focused()
    await site.house.do("admin", LockDevice(device_id=edge))
    await expect(panel).to_contain_text("Message to admin", timeout=WITHIN_MS)
    await expect(bob.locator("#field-message")).to_have_value("for five minutes, please")
    await panel.get_by_role("button", name="Ask to release").click()
    await expect(panel).to_contain_text("The holder was asked")
    await expect(bob.locator("#field-message")).to_have_value("")


async def test_whoever_writes_why_a_lock_is_taken_away_takes_that_one(site: Site, enter: Enter) -> None:
    """The panel shows the next holder meanwhile, but the form means the one it was opened for, until refused."""
    edge = site.ids["core-sbc-01"]
    await site.house.do("alice", LockDevice(device_id=edge))
    dora = AddUser(user_name="dora", group="administrators", password=PASSWORD)
    await site.house.gate.execute(site.house.local, dora)
    admin = await at_device(enter, "admin", edge, "#override")
    await admin.fill("#override-reason", "alice is on leave")
    await admin.check("#override-transfer")
    await site.house.do("dora", OverrideLock(device_id=edge, reason="mine now", transfer=True))
    await expect(admin.locator(PANEL)).to_contain_text("Takes away this lock of dora", timeout=WITHIN_MS)
    await admin.click("text=Override the lock")
    await expect(admin.locator("#refusal")).to_contain_text("The lock is another one by now")
    assert (await site.house.do("mona", ShowLock(device_id=edge))).row.holder_name == "dora"
    await expect(admin.locator("input[name=holder]")).to_have_value("dora")
    await expect(admin.locator("#override-transfer")).to_be_checked()
    await admin.fill("#override-reason", "dora, too")
    await admin.click("text=Override the lock")
    await expect(admin.locator(PANEL)).to_contain_text("The lock was taken away")
    assert (await site.house.do("mona", ShowLock(device_id=edge))).row.holder_name == "admin"


async def test_the_focus_stays_with_the_lock(site: Site, enter: Enter) -> None:
    edge = site.ids["core-sbc-01"]
    page = await at_device(enter, "alice", edge)
    await page.focus(f"#padlock-ID{edge} button")
    await page.keyboard.press("Enter")
    await expect(page.locator("#lock-main")).to_have_text("Unlock")
    await expect(page.locator(f"#padlock-ID{edge} button")).to_be_focused()
    await page.focus("#lock-main")
    await page.keyboard.press("Enter")
    await expect(page.locator("#lock-main")).to_have_text("Lock")
    await expect(page.locator("#lock-main")).to_be_focused()
    await page.locator("#field-reason").press_sequentially("change 4711")
    await page.keyboard.press("Enter")
    await expect(page.locator(PANEL)).to_contain_text("change 4711")
    await expect(page.locator("#lock-main")).to_be_focused()
    await page.goto(f"{site.url}/web/devices")
    await page.focus(f"#padlock-ID{edge} button")
    await page.keyboard.press("Enter")
    await expect(page.locator(f"#padlock-ID{edge}")).to_have_attribute("data-state", "free")
    await expect(page.locator(f"#padlock-ID{edge} button")).to_be_focused()


async def test_a_refusal_leads_to_the_override_on_its_own_page(site: Site, enter: Enter) -> None:
    edge = site.ids["core-sbc-01"]
    await site.house.do("alice", LockDevice(device_id=edge))
    admin = await at_device(enter, "admin", edge)
    for _ in range(2):
        await admin.click(f"#padlock-ID{edge} button")
        await admin.locator("#refusal").get_by_role("link", name="Override…").click()
        await expect(admin.locator("#override-reason")).to_be_focused()
        await expect(admin.locator("#refusal .alert-heading")).to_be_in_viewport()
        await admin.click("#override summary")


async def test_how_idle_a_holder_is_counts_on(site: Site, enter: Enter) -> None:
    edge = site.ids["core-sbc-01"]
    await site.house.do("alice", LockDevice(device_id=edge))
    page = await at_device(enter, "bob", edge)
    told = page.locator(f"#padlock-ID{edge} .padlock-more")
    await expect(told).to_contain_text("active")
    with contextlib.closing(sqlite3.connect(site.house.url.removeprefix("sqlite:///"))) as rows:
        rows.execute("UPDATE session SET last_used_us = last_used_us - 780 * 1000000")
        rows.commit()
    await expect(told).to_contain_text("idle for 13 min", timeout=WITHIN_MS)
    await expect(page.locator(f"{PANEL} .facts")).to_contain_text("idle for 13 min", timeout=WITHIN_MS)
