"""Working without a mouse, the filter, the look, and the warning before an idle session ends."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from opensdm.core.operations import LockDevice, ShowLock
from tests.gatehouse import PASSWORD
from tests.web.conftest import Enter
from tests.web.site import Site
from tests.web.test_pages import sound_in_both_lights

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_device_is_found_locked_and_opened_by_keys(site: Site, enter: Enter) -> None:
    page = await enter("alice", "/web/devices")
    await page.keyboard.press("/")
    await expect(page.locator("#filter")).to_be_focused()
    await page.keyboard.type("edge west")
    await expect(page.locator("tr[data-row]")).to_have_count(2)
    await expect(page).to_have_url(f"{site.url}/web/devices?q=edge%20west")
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    await expect(page.locator("tr[data-row].at")).to_contain_text("west-edge-01")
    await page.keyboard.press("l")
    edge = site.ids["west-edge-01"]
    await expect(page.locator(f"#padlock-ID{edge}")).to_have_attribute("data-state", "mine")
    assert (await site.house.do("mona", ShowLock(device_id=edge))).row.holder_name == "alice"
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.locator("[data-selected]")).to_have_text("1")
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{site.url}/web/devices/ID{edge}")
    await page.keyboard.press("g")
    await page.keyboard.press("l")
    await page.wait_for_url(f"{site.url}/web/locks")


def posts(page: Page) -> list[str]:
    """Where the page sends something from now on."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


async def test_l_without_a_row_in_hand_means_the_page_s_own_padlock_or_nothing(site: Site, enter: Enter) -> None:
    """On Home it would end a lock, on Devices take one: of whatever device comes first."""
    mine, edge = site.ids["core-sbc-01"], site.ids["lab-a"]
    await site.house.do("alice", LockDevice(device_id=mine))
    for path in ("/web", "/web/devices"):
        page = await enter("alice", path)
        await expect(page.locator("body")).to_have_attribute("data-live", "yes")
        sent = posts(page)
        await page.keyboard.press("l")
        await page.keyboard.press("j")
        await expect(page.locator("[data-row].at")).to_have_count(1)
        assert sent == []
    await page.goto(f"{site.url}/web/devices/ID{edge}")
    await page.keyboard.press("l")
    await expect(page.locator(f"#padlock-ID{edge}")).to_have_attribute("data-state", "mine")


async def test_a_reader_signs_in_by_the_form(site: Site, enter: Enter) -> None:
    page = await enter(None, "/web/locks")
    await page.keyboard.type("alice")
    await page.keyboard.press("Tab")
    await page.keyboard.type("wrong-password-1")
    await page.keyboard.press("Enter")
    await expect(page.locator(".alert")).to_contain_text("Wrong user name or password")
    await expect(page.locator("input[name=password]")).to_be_focused()
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{site.url}/web/locks")


async def test_help_opens_and_closes(site: Site, enter: Enter) -> None:
    page = await enter("alice")
    await page.keyboard.press("?")
    await expect(page.locator("#help")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#help")).to_be_hidden()


async def test_a_group_narrows_the_list_and_stays_while_filtering(site: Site, enter: Enter) -> None:
    page = await enter("alice", "/web/devices")
    await page.click(".tree >> text=West")
    await expect(page.locator("tr[data-row]")).to_have_count(4)
    await page.fill("#filter", "lab")
    await expect(page.locator("tr[data-row]")).to_have_count(2)
    await page.fill("#filter", "core")
    await expect(page.locator(".empty")).to_contain_text("No device matches")


async def test_the_look_that_was_chosen_stays(site: Site, enter: Enter) -> None:
    page = await enter("alice")
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    async with page.expect_response("**/web/theme"):
        await page.click("[data-theme-toggle]")
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


async def test_an_idle_reader_is_warned_and_then_signed_out(site: Site, enter: Enter) -> None:
    page = await enter("bob")
    await page.clock.install()
    await page.goto(f"{site.url}/web/locks")
    await page.clock.run_for(1_690_000)
    sheet = page.locator("#idle")
    await expect(sheet).to_be_visible()
    async with page.expect_response("**/web/stay"):
        await sheet.get_by_role("button", name="Stay signed in").click()
    await expect(sheet).to_be_hidden()
    await page.clock.run_for(1_690_000)
    await expect(sheet).to_be_visible()
    await page.clock.run_for(60_000)
    await page.wait_for_url(f"{site.url}/web/sign-in?why=idle&next=%2Fweb%2Flocks")
    await expect(page.locator("main")).to_contain_text("signed out because nothing was done")


async def at(page: Page, seconds: int) -> None:
    """Time passes on the page, not at the server."""
    await page.clock.run_for(seconds * 1000)


async def test_use_puts_the_warning_off_and_what_a_page_does_by_itself_does_not(site: Site, enter: Enter) -> None:
    """The limit is 30 minutes; the warning comes after 28, since the server may count from a minute earlier."""
    page = await enter("bob")
    await page.clock.install()
    await page.goto(f"{site.url}/web/devices/ID{site.ids['lab-a']}")
    sheet = page.locator("#idle")
    await at(page, 1000)
    async with page.expect_response("**/lock-history"):
        await page.locator("#lock-history").dispatch_event("opensdm:refresh")
    await at(page, 670)
    await expect(sheet).to_be_hidden()
    await at(page, 20)
    await expect(sheet).to_contain_text("You will be signed out in")
    assert 30 <= int(await sheet.locator("[data-seconds]").inner_text()) <= 60
    await sound_in_both_lights(page, "idle")
    async with page.expect_response("**/web/stay") as stayed:
        await page.keyboard.press("Escape")
    assert (await stayed.value).status == 204
    await expect(sheet).to_be_hidden()

    await at(page, 1000)
    async with page.expect_response("**/lock"):
        await page.locator("#lock-panel").get_by_role("button", name="Lock", exact=True).last.click()
    await at(page, 1000)
    await expect(sheet).to_be_hidden()
    await at(page, 690)
    await expect(sheet).to_be_visible()


async def test_who_works_on_one_page_is_not_signed_out_by_another(site: Site, enter: Enter) -> None:
    idle = await enter("bob")
    await idle.clock.install()
    await idle.goto(f"{site.url}/web/locks")
    used = await idle.context.new_page()
    await used.goto(f"{site.url}/web/devices")
    await at(idle, 1690)
    await expect(idle.locator("#idle")).to_be_visible()
    await used.get_by_role("button", name="Stay signed in").click()
    await at(idle, 2)
    await expect(idle.locator("#idle")).to_be_hidden()
    await at(idle, 1000)
    await used.fill("#filter", "east")
    await at(idle, 1)
    await expect(used.locator("tr[data-row]")).to_have_count(2)
    await at(idle, 1000)
    await expect(idle.locator("#idle")).to_be_hidden()
    await expect(idle).to_have_url(f"{site.url}/web/locks")
