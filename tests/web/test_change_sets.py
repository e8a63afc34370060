"""Changes that are set aside under a name, and versions that a device is made to hold again."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from opensdm.core.operations import BackUpDevice, ListChangeSets, LockDevice
from tests.acceptance.provisioning import Bench, realm
from tests.web.conftest import Enter, url
from tests.web.test_pages import sound_in_both_lights

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN_MS = 20_000
LONG = "second-carrier.after-the-maintenance-window-of-the-twenty-third"


async def sets(bench: Bench, user: str = "alice") -> dict[str, int]:
    return {s.name: s.changes for s in await bench.do(user, ListChangeSets(device_id=bench.device_id))}


async def set_aside(page: Page, name: str) -> None:
    await page.get_by_label("aside as").fill(name)
    await page.get_by_role("button", name="Set aside").click()


async def test_changes_are_set_aside_shown_staged_again_and_deleted(loaded: Bench, enter: Enter) -> None:
    await loaded.add("alice", realm("peering"))
    await loaded.update("alice", realm("core", description="new words", denyPeriod="45"))
    page = await enter("alice", url(loaded, "/changes"))
    await set_aside(page, "change 4711")
    await expect(page.locator("#refusal")).to_contain_text("cannot name a change set")
    await expect(page.get_by_label("aside as")).to_have_value("change 4711")
    await set_aside(page, LONG)
    await expect(page.locator(".alert-success")).to_contain_text("set aside under this name")
    assert await sets(loaded) == {LONG: 2} and await loaded.pending() == []
    row = page.locator(".change", has_text="realmConfig core").locator("tr", has_text="denyPeriod")
    await expect(row.locator("td")).to_have_text(["30", "45"])
    await sound_in_both_lights(page, "provisioning-change-set")

    await loaded.add("alice", realm("later"))
    await page.get_by_role("link", name="My changes").last.click()
    await expect(page.locator(".change")).to_have_count(1)
    await expect(page.locator(".list-row", has_text=LONG)).to_contain_text("2 changes")
    await sound_in_both_lights(page, "provisioning-change-sets")
    await page.get_by_role("link", name=LONG).click()
    await page.get_by_role("button", name="Stage again").click()
    await expect(page.locator(".alert-success")).to_contain_text("staged again")
    assert await sets(loaded) == {"": 3}

    await set_aside(page, "gone")
    await expect(page.locator(".alert-success")).to_contain_text("set aside")
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator(".alert-success")).to_contain_text("deleted")
    assert await sets(loaded) == {}
    await page.goto(page.url.partition("?")[0] + "/gone")
    await expect(page.locator("main")).to_contain_text("set nothing aside under the name 'gone'")


async def test_two_changes_of_one_element_stay_apart(loaded: Bench, enter: Enter) -> None:
    """Also under a foreign lock nothing moves; the banner says why, and the page stays as it is."""
    await loaded.add("alice", realm("peering"))
    page = await enter("alice", url(loaded, "/changes"))
    await set_aside(page, "first")
    await expect(page.locator(".alert-success")).to_contain_text("set aside")
    await loaded.add("alice", realm("peering", description="another"))
    again = page.get_by_role("button", name="Stage again")
    await again.click()
    await expect(page.locator("#refusal")).to_contain_text("holds changes of the same: realmConfig peering")
    await sound_in_both_lights(page, "provisioning-change-set-refused")
    await loaded.do("bob", LockDevice(device_id=loaded.device_id, reason="change 4712"))
    await again.click()
    await expect(page.locator("#refusal")).to_contain_text("bob holds edge-a")
    assert await sets(loaded) == {"": 1, "first": 1}
    bobs = await enter("bob", url(loaded, "/changes/first"))
    await expect(bobs.locator("main")).to_contain_text("set nothing aside")


async def test_a_version_is_looked_at_and_restored(loaded: Bench, enter: Enter) -> None:
    """From the list on the device's page; nothing happens before the tick, and then it is watched like a push."""
    await loaded.add("alice", realm("peering"))
    await loaded.update("alice", realm("core", description="new words"))
    loaded.sbc.control({"job_delay_s": 0.01})
    assert (await loaded.push()).error_code is None
    page = await enter("alice", f"/web/devices/ID{loaded.device_id}")
    await page.locator("section", has_text="Configuration versions").get_by_role("link", name="1", exact=True).click()
    rows = page.locator(".diff tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.filter(has_text="core").locator("td")).to_have_text(["description", "new words", "carrier core"])
    await expect(rows.filter(has_text="peering")).to_contain_text("(the element)")
    await sound_in_both_lights(page, "provisioning-version")
    restore = page.get_by_role("button", name="Restore version 1")
    await restore.click()
    assert await page.evaluate("document.querySelector('[name=sure]').validity.valueMissing")
    await page.evaluate("document.querySelector('[name=sure]').required = false")
    await restore.click()
    await expect(page.locator("#refusal")).to_contain_text("Sure: tick that the device shall hold version 1 again")
    await page.get_by_label("shall hold version 1 again").check()
    await loaded.do("bob", LockDevice(device_id=loaded.device_id, reason="change 4712"))
    await restore.click()
    await expect(page.locator("#refusal")).to_contain_text("bob holds edge-a")
    await expect(page.get_by_label("shall hold version 1 again")).to_be_checked()
    assert loaded.stored("running", "realm-config", identifier="peering") is not None


async def test_a_restore_is_seen_while_it_runs(loaded: Bench, enter: Enter) -> None:
    await loaded.add("alice", realm("peering"))
    loaded.sbc.control({"job_delay_s": 0.01})
    assert (await loaded.push()).error_code is None
    await loaded.add("alice", realm("mine"))
    page = await enter("alice", url(loaded, "/versions/1"))
    await page.get_by_label("shall hold version 1 again").check()
    loaded.sbc.control({"job_delay_s": 3})
    await page.get_by_role("button", name="Restore version 1").click()
    await page.wait_for_url("**/provisioning/tasks/*")
    await expect(page.locator("[data-step=BEGUN]")).to_contain_text("Validate", timeout=WITHIN_MS)
    loaded.sbc.control({"job_delay_s": 0.01})
    await expect(page.locator("#task")).to_have_attribute("data-state", "SUCCESS", timeout=WITHIN_MS)
    await expect(page.locator("#task")).to_contain_text("The device holds that version again")
    await sound_in_both_lights(page, "provisioning-restore-done")
    assert loaded.stored("running", "realm-config", identifier="peering") is None
    assert [key for _, _, key in await loaded.pending()] == [("mine",)]


async def test_a_version_that_is_our_copy_and_who_may_only_look(loaded: Bench, enter: Enter) -> None:
    page = await enter("mona", url(loaded, "/versions/1"))
    await expect(page.locator("main")).to_contain_text("This is our copy")
    await expect(page.locator("main")).to_contain_text("You may look, not restore")
    await sound_in_both_lights(page, "provisioning-version-current")
    await loaded.do("alice", BackUpDevice(device_id=loaded.device_id, comment="before the change"))
    await page.goto(page.url.replace("versions/1", "versions/2"))
    await expect(page.locator("main")).to_contain_text("It holds the same as our copy")
    await page.goto(page.url.replace("versions/2", "versions/99"))
    await expect(page.locator(".error-status")).to_have_text("404")


async def test_a_version_without_a_copy_to_compare_it_with(bench: Bench, enter: Enter) -> None:
    await bench.do("alice", BackUpDevice(device_id=bench.device_id, comment="kept by hand before anything was loaded"))
    page = await enter("alice", url(bench, "/versions/1"))
    await expect(page.locator("main")).to_contain_text("There is nothing to compare it with")
    await expect(page.get_by_role("button", name="Restore version 1")).to_be_visible()
    await sound_in_both_lights(page, "provisioning-version-alone")
