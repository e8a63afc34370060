"""Audit and users, as people use them; what a list page weighs; how much of an audit trail a file holds."""

from __future__ import annotations

import csv
import io

import pytest
from playwright.async_api import expect

from opensdm.core.identity import Area, Level
from opensdm.core.operations import AddUser, LockDevice, UnlockDevice
from opensdm.doors.web import assets, audit
from tests.gatehouse import store_right
from tests.web.conftest import Enter
from tests.web.seeded import lock_some
from tests.web.site import Site
from tests.web.test_pages import sound_in_both_lights

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_trail_is_searched_and_taken_along_whole(
    site: Site, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = site.ids["lab-a"]
    for _ in range(4):
        await site.house.do("alice", LockDevice(device_id=edge, reason="=cmd|' /C calc'!A0"))
        await site.house.do("alice", UnlockDevice(device_id=edge))
    page = await enter("admin", "/web/audit")
    await page.fill("#audit-user", "alice")
    await page.fill("#audit-operation", "Lock")
    rows = page.locator("#audit tr[data-row]")
    await expect(rows.first).to_contain_text("alice")
    await expect(rows).to_have_count(8)
    monkeypatch.setattr(audit, "IN_ONE_PART", 3)
    async with page.expect_download() as download:
        await page.click("text=All as CSV")
    path = await (await download.value).path()
    read = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(read) == 8 and {row["user"] for row in read} == {"alice"}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in read for cell in row.values())
    await rows.first.locator("a").first.click()
    await expect(page.locator("#audit tr[data-row]")).to_have_count(1)


async def test_an_account_is_added_disabled_and_given_a_password(site: Site, enter: Enter) -> None:
    page = await enter("admin", "/web/users")
    await page.fill("#field-name", "dave")
    await page.fill("#field-password", "short")
    await page.click("section button[type=submit]:has-text('Add')")
    await expect(page.locator("#refusal")).to_contain_text("at least 8 characters")
    await expect(page.locator("#field-name")).to_have_value("dave")
    await page.fill("#field-password", "long-enough-1")
    await page.click("section button[type=submit]:has-text('Add')")
    row = page.locator("tr", has=page.locator("b", has_text="dave"))
    await expect(row).to_contain_text("enabled")
    page.on("dialog", lambda dialog: dialog.accept())
    await row.get_by_role("button", name="Disable").click()
    await expect(row).to_contain_text("disabled")
    await row.locator("summary").click()
    await row.locator("input[type=password]").fill("another-word-2")
    await row.get_by_role("button", name="Set").click()
    await expect(page.locator("#users")).to_contain_text("dave has a new password")


async def test_rights_are_those_that_are_stored(site: Site, enter: Enter) -> None:
    """A right that an area above holds back says so."""
    await store_right(site.house, "monitors", Area.PUSH, Level.FULL)
    await store_right(site.house, "provisioners", Area.AUDIT, Level.VIEW)
    page = await enter("admin", "/web/users")
    rows = page.locator("section", has_text="What each group may do").locator("tbody tr")
    push = rows.filter(has_text="push").locator("td")
    await expect(push).to_have_text(["└ push", "full", "full", "full", "view full, held back by configuration"])
    await expect(rows.filter(has_text="audit").locator("td").nth(3)).to_have_text("view")
    await sound_in_both_lights(page, "users-rights")


async def test_long_names_and_the_last_row_keep_their_buttons_whole(site: Site, enter: Enter) -> None:
    adding = AddUser(user_name="a" * 50, group="monitors", password="long-enough-1")
    await site.house.gate.execute(site.house.local, adding)
    page = await enter("admin", "/web/users")
    await page.set_viewport_size({"width": 1280, "height": 768})
    await page.locator("details.inline summary").last.click()
    await page.get_by_role("button", name="Set").click(trial=True, timeout=2000)
    table = page.locator("#users table")
    within = await table.evaluate("table => table.scrollWidth <= table.closest('.card').clientWidth")
    assert within, "the table is wider than its card"


async def test_a_list_of_locks_is_true_without_a_reload(site: Site, enter: Enter) -> None:
    """Somebody takes a lock, and is asked for it from its row; a holder is found by the letters typed so far."""
    page = await enter("bob", "/web/locks")
    await expect(page.locator("#locks")).to_contain_text("No device is locked")
    await site.house.do("alice", LockDevice(device_id=site.ids["lab-a"]))
    await page.get_by_role("button", name="Ask alice to release lab-a").click(timeout=15_000)
    await expect(page.locator("#refusal")).to_contain_text("The holder was asked")
    await expect(page.locator("#locks")).to_contain_text("bob asks", timeout=15_000)
    await page.fill("#holder", "lic")
    await expect(page.locator("#locks tr[data-row]")).to_have_count(1)
    await page.fill("#holder", "bo")
    await expect(page.locator("#locks")).to_contain_text("No lock of anybody whose name has bo")


async def test_who_may_not_is_told_so_and_offered_nothing(site: Site, enter: Enter) -> None:
    page = await enter("mona", "/web/devices")
    assert await page.locator("nav >> text=Users").count() == 0
    await page.goto(f"{site.url}/web/users")
    await expect(page.locator("main")).to_contain_text("You may not do this")


async def test_names_are_text_wherever_they_are_shown(site: Site, enter: Enter) -> None:
    nasty = "<img src=x onerror=alert(1)>\"'"
    await site.house.do("alice", LockDevice(device_id=site.ids["lab-a"], reason=nasty))
    page = await enter("admin")
    for path in ("/web/devices", f"/web/devices/ID{site.ids['lab-a']}", "/web/locks", "/web/audit"):
        await page.goto(site.url + path)
        assert nasty in (await page.locator("body").text_content() or "") or path == "/web/audit"
        assert await page.locator("img").count() == 0


async def test_a_full_page_of_devices_stays_within_its_weight(site: Site, enter: Enter) -> None:
    """Fifty devices, every one of them locked, with all that is loaded for them."""
    await lock_some(site.house, site.ids)
    page = await enter("alice", "/web/devices")
    whole = len((await page.content()).encode())
    rows = await page.locator("tr[data-row]").evaluate_all("rows => rows.map(row => row.outerHTML.length)")
    fifty = whole + (50 - len(rows)) * max(rows)
    assert sum(len(asset.packed) for asset in assets.assets().values()) + fifty < 300_000
