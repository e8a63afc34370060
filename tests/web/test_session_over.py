"""A session that ends behind the back of an open page: nothing typed is lost, and signing in leads back."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from opensdm.core.operations import LogoutEverywhere
from tests.gatehouse import PASSWORD
from tests.web.conftest import Enter
from tests.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN_MS = 10_000


async def sign_in(page: Page) -> None:
    await page.fill("input[name=user]", "alice")
    await page.fill("input[name=password]", PASSWORD)
    await page.keyboard.press("Enter")


async def test_what_was_typed_stays_and_signing_in_leads_back(site: Site, enter: Enter) -> None:
    path = f"/web/devices/ID{site.ids['lab-a']}"
    page = await enter("alice", path)
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    await page.fill("#field-reason", "change 4711")
    await site.house.do("alice", LogoutEverywhere())
    refusal = page.locator("#refusal")
    await expect(refusal).to_contain_text("You are not signed in", timeout=WITHIN_MS)
    await page.click("#lock-main")
    await expect(refusal).to_contain_text("You are not signed in")
    await page.wait_for_timeout(300)  # for whatever would lead away
    await expect(page.locator("#field-reason")).to_have_value("change 4711")
    await refusal.get_by_role("link", name="Sign in").click()
    await sign_in(page)
    await page.wait_for_url(site.url + path)


async def test_a_page_with_nothing_typed_goes_to_the_sign_in_and_back(site: Site, enter: Enter) -> None:
    page = await enter("alice", "/web/devices?q=lab")
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    await site.house.do("alice", LogoutEverywhere())
    await page.wait_for_url(f"{site.url}/web/sign-in?*", timeout=WITHIN_MS)
    await expect(page.locator("main")).to_contain_text("it was ended from elsewhere")
    await sign_in(page)
    await page.wait_for_url(f"{site.url}/web/devices?q=lab")
    await expect(page.locator("#devices tr[data-row]")).to_have_count(2)
