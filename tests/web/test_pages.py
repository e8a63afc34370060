"""Each page, light and dark: nothing in the console, nothing against the policy, nothing that shuts people out.

With OPENSDM_SCREENSHOTS set to a folder, what each looks like is written there (`make screenshots`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import AXE, Enter, Watched
from tests.web.seeded import lock_some
from tests.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = {
    "sign-in": (None, "/web/sign-in"),
    "home": ("alice", "/web"),
    "devices": ("alice", "/web/devices"),
    "devices-none": ("bob", "/web/devices?q=nothing-like-this"),
    "device-mine": ("alice", "/web/devices/@core-sbc-01"),
    "device-held": ("admin", "/web/devices/@core-sbc-01#override"),
    "locks": ("bob", "/web/locks"),
    "audit": ("admin", "/web/audit"),
    "users": ("admin", "/web/users"),
    "not-found": ("alice", "/web/nothing"),
}
SHOTS = os.environ.get("OPENSDM_SCREENSHOTS")


async def serious(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds serious or critical, with where; of these rules, or of all."""
    options = {} if rules is None else {"runOnly": rules}
    result: dict[str, Any] = await page.evaluate("options => axe.run(options)", options)
    return [
        f"{found['id']}: {found['help']}: {[node['target'] for node in found['nodes']][:4]}"
        for found in result["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_sound(site: Site, enter: Enter, name: str) -> None:
    await lock_some(site.house, site.ids)
    user, path = PAGES[name]
    for device, device_id in site.ids.items():
        path = path.replace(f"@{device}", f"ID{device_id}")
    page = await enter(user, path)
    if user is not None:
        await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    await sound_in_both_lights(page, name)


async def sound_in_both_lights(page: Page, name: str) -> None:
    """As the reader's system prefers, and again when it changes its mind."""
    await page.evaluate(AXE.read_text())
    for light, rules in (("light", None), ("dark", ["color-contrast"])):
        await page.emulate_media(color_scheme=light)  # type: ignore[arg-type]
        await expect(page.locator("html")).to_have_attribute("data-bs-theme", light)
        if SHOTS:
            await page.wait_for_timeout(1500)
            # The caret stays: hiding it takes an inline style, which the policy refuses aloud.
            await page.screenshot(path=Path(SHOTS) / f"{name}-{light}.png", caret="initial")
        assert await serious(page, rules) == [], light


async def test_a_refusal_and_what_became_of_a_selection(site: Site, enter: Enter) -> None:
    await lock_some(site.house, site.ids)
    page = await enter("bob", "/web/devices")
    await page.check("[aria-label='Select every device of this page']")
    await page.fill("#selection-reason", "the whole region")
    await page.click("button[value=lock]")
    await expect(page.locator("#results")).to_contain_text("5 devices locked, 3 refused")
    await expect(page.locator(".result-refused").first).to_contain_text("locked by alice")
    await page.click(f"#padlock-ID{site.ids['lab-a']} button")
    await expect(page.locator("#refusal")).to_contain_text("Somebody else holds this device")
    await sound_in_both_lights(page, "refusal")


async def test_a_page_that_breaks_the_policy_is_noticed(site: Site, browser: Browser) -> None:
    """The planted fault: without it nobody would know that the others can fail."""
    watched, window = Watched(), await browser.new_context()
    page = await window.new_page()
    watched.watch(page)
    await page.goto(f"{site.url}/web/sign-in")
    await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">styled</p>')")
    await expect(page.locator("p", has_text="styled")).to_be_visible()
    await window.close()
    assert any("Content Security Policy" in fault for fault in watched.faults)
