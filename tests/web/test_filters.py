"""The list as it is narrowed: filters that a reader keeps, the way back, and what stays ticked meanwhile."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from opensdm.core.inventory import wire_id
from opensdm.core.operations import ListDeviceGroups
from tests.web.conftest import Enter
from tests.web.site import Site

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


async def test_group_and_filter_keep_each_other(site: Site, enter: Enter) -> None:
    groups = (await site.house.do("alice", ListDeviceGroups())).items
    ids = {each.group.group_name: wire_id(each.group.group_id) for each in groups}
    page = await enter("alice", f"/web/devices?group={ids['West']}")
    await page.fill("#filter", "edge")
    await page.get_by_role("button", name="Save filter").click()
    await page.click(".tree a >> text=East")
    await page.wait_for_url(f"{site.url}/web/devices?group={ids['East']}&q=edge")
    await expect(page.locator("#filter")).to_have_value("edge")
    await page.get_by_role("link", name="edge in West").click()
    await expect(page.locator(".tree .chosen")).to_contain_text("West")
    await expect(page.locator("#devices tr[data-row]")).to_have_count(2)
    await page.fill("#filter", "")
    await page.click(".tree a >> text=Core")
    await page.wait_for_url(f"{site.url}/web/devices?group={ids['Core']}")


@pytest.mark.parametrize(("path", "words"), [("devices", "lab"), ("locks", "bob"), ("audit", "bob")])
async def test_a_filter_is_no_step_of_the_way_back(site: Site, enter: Enter, path: str, words: str) -> None:
    page = await enter("admin", "/web/nothing")
    await page.goto(f"{site.url}/web/{path}")
    async with page.expect_response(f"**/{path}?*{words}*"):
        await page.locator("[data-filter]").press_sequentially(words, delay=300)
    await expect(page).to_have_url(re.compile(f"={words}"))
    await page.go_back()
    await page.wait_for_url(f"{site.url}/web/nothing")


async def test_what_is_ticked_stays_while_the_list_is_narrowed(site: Site, enter: Enter) -> None:
    page = await enter("alice", "/web/devices")
    selected = page.locator("[data-selected]")
    for name in ("lab-a", "core-sbc-01"):
        await page.check(f"[aria-label='Select {name}']")
    await page.fill("#filter", "lab")
    await expect(page.locator("#devices tr[data-row]")).to_have_count(2)
    await expect(selected).to_have_text("2 (1 not in view)")
    await expect(page.locator("[aria-label='Select lab-a']")).to_be_checked()
    await page.check("[aria-label='Select lab-b']")
    await page.click("button[value=lock]")
    await expect(page.locator("#results")).to_contain_text("3 devices locked")
    await page.fill("#filter", "")
    await expect(selected).to_have_text("3")
    await expect(page.locator("#devices input[name=device]:checked")).to_have_count(3)
    await page.click("[data-select-none]")
    await expect(page.locator("[data-selection-bar]")).to_be_hidden()
    await page.fill("#filter", "core")
    await expect(page.locator("#devices tr[data-row]")).to_have_count(2)
    await expect(page.locator("#selection input[name=device][type=hidden]")).to_have_count(0)
