"""Whole provisioning sessions in the browser: load, edit in forms, look at the difference, push, see it happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from ncclient import manager
from playwright.async_api import Page, expect

from lab.netconf import NetconfDevice
from opensdm.core.operations import LockDevice
from tests.acceptance.provisioning import Bench, realm
from tests.contract.netconf_bench import Proxy
from tests.web.conftest import Enter, url
from tests.web.site import Site
from tests.web.test_pages import sound_in_both_lights

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN_MS = 20_000
"""Far more than it takes."""
NETCONF_STEPS = (("edit-config", "Write the changes"), ("commit", "Activate"), ("copy-config", "Save"))
"""What is asked of the device in a push, and what the page calls it."""


async def stage(page: Page) -> None:
    await page.get_by_role("button", name="Stage").click()
    await expect(page.locator(".alert-success")).to_contain_text("staged")


# ------------------------------------------------------------------------------------- virtual SBC


async def test_a_whole_session_on_a_virtual_sbc(bench: Bench, enter: Enter) -> None:
    """From the device page by its link; a wrong value is told beside its field; the push is seen while it runs."""
    page = await enter("alice", f"/web/devices/ID{bench.device_id}")
    await page.get_by_role("link", name="Provisioning").click()
    await expect(page.locator("main")).to_contain_text("There is nothing to show yet")
    await sound_in_both_lights(page, "provisioning-not-loaded")
    await page.locator(".empty").get_by_role("button", name="Load configuration").click()
    await expect(page.locator(".alert-success")).to_contain_text("Our copy is what the device runs now")
    await page.get_by_role("link", name="realmConfig", exact=True).click()
    await expect(page.locator("tr[data-row]")).to_have_count(2)
    await sound_in_both_lights(page, "provisioning-elements")

    await page.get_by_role("link", name="core", exact=True).click()
    form = page.locator("#element-form")
    await form.get_by_label("description", exact=True).fill("towards the carrier")
    await form.get_by_label("denyPeriod").fill("-5")
    latency = await form.get_by_label("maxLatency").input_value()
    await form.get_by_label("maxLatency").fill("-1")
    await page.get_by_role("button", name="Stage changes").click()
    await expect(page.locator("[data-error=denyPeriod]")).to_contain_text("is not within 0..999999999")
    await expect(page.locator("[data-error=maxLatency]")).to_contain_text("'-1' is not within")
    await expect(form.locator("[aria-invalid=true]")).to_be_focused()
    await expect(form.get_by_label("description", exact=True)).to_have_value("towards the carrier")
    await sound_in_both_lights(page, "provisioning-element-error")
    await form.get_by_label("maxLatency").fill(latency)
    await form.get_by_label("denyPeriod").fill("60")
    await form.get_by_label("qosEnable").check()
    await form.get_by_label("accessControlTrustLevel").select_option("high")
    await form.get_by_label("parentRealm").fill("access")
    await form.get_by_label("Choose for mediaRealmList").select_option("access")
    await form.locator("[data-append]").first.click()
    await stage(page)

    await page.get_by_role("link", name="realmConfig", exact=True).first.click()
    await page.get_by_role("link", name="Add", exact=True).click()
    await form.get_by_label("id", exact=True).fill("peering")
    await page.keyboard.press("Enter")
    await expect(page.locator(".alert-success")).to_contain_text("staged")

    await page.get_by_role("link", name="My changes").click()
    core = page.locator(".change", has_text="realmConfig core")
    row = core.locator("tr", has_text="denyPeriod")
    await expect(row.locator("td").nth(0)).to_have_text("30")
    await expect(row.locator("td").nth(1)).to_have_text("60")
    assert await core.locator("tbody tr").count() == 6
    await expect(page.locator(".change", has_text="realmConfig peering")).to_contain_text("created")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("#preview")).to_contain_text("Nothing here stands in its way")
    await sound_in_both_lights(page, "provisioning-changes")

    bench.sbc.control({"job_delay_s": 8})  # so that the running push can be looked at at leisure
    await page.get_by_role("button", name="Push 2 changes").click()
    await page.wait_for_url("**/provisioning/tasks/*")
    assert bench.stored("running", "realm-config", identifier="peering") is None
    await expect(page.locator("[data-step=BEGUN]")).to_contain_text("Validate", timeout=WITHIN_MS)
    bench.sbc.control({"job_delay_s": 0.5})
    await sound_in_both_lights(page, "provisioning-push-running")
    await expect(page.locator("#task")).to_have_attribute("data-state", "SUCCESS", timeout=WITHIN_MS)
    assert await page.locator("[data-step=SUCCESS]").count() >= 5
    await expect(page.locator(".flags")).to_contain_text("Activate")
    await expect(page.get_by_role("link", name="My changes").first).to_have_text("My changes")
    await sound_in_both_lights(page, "provisioning-push-done")
    for store in ("saved", "running"):
        stored = bench.stored(store, "realm-config", identifier="core")
        assert stored is not None
        told = {name: stored[name] for name in ("description", "deny-period", "qos-enable", "parent-realm")}
        assert told == {
            "description": "towards the carrier", "deny-period": "60", "qos-enable": "enabled",
            "parent-realm": "access",
        }  # fmt: skip
        assert bench.stored(store, "realm-config", identifier="peering") is not None
    await page.get_by_role("link", name="My changes").first.click()
    await expect(page.locator("main")).to_contain_text("You have nothing staged")
    await sound_in_both_lights(page, "provisioning-changes-none")


async def test_a_refused_edit_keeps_what_was_typed_and_names_who_holds_the_device(loaded: Bench, enter: Enter) -> None:
    page = await enter("bob", url(loaded))
    await page.get_by_role("link", name="sipInterface", exact=True).click()
    await page.get_by_role("link", name="access", exact=True).click()
    form = page.locator("#element-form")
    await form.get_by_label("description", exact=True).fill("bob's words")
    await form.get_by_label("state", exact=True).uncheck()
    await form.get_by_label("natTraversal").select_option("always")
    await loaded.do("alice", LockDevice(device_id=loaded.device_id, reason="change 4711"))
    await page.get_by_role("button", name="Stage changes").click()
    refusal = page.locator("#refusal")
    await expect(refusal).to_contain_text("alice holds edge-a")
    await expect(refusal).to_contain_text("since")
    await expect(refusal).to_contain_text("change 4711")
    await expect(form.get_by_label("description", exact=True)).to_have_value("bob's words")
    await expect(form.get_by_label("state", exact=True)).not_to_be_checked()
    await expect(form.get_by_label("natTraversal")).to_have_value("always")
    await sound_in_both_lights(page, "provisioning-refused")
    assert await loaded.pending("bob") == []


async def test_a_push_and_a_load_are_refused_with_who_holds_the_device(loaded: Bench, enter: Enter) -> None:
    await loaded.add("bob", realm("peering"))
    await loaded.do("alice", LockDevice(device_id=loaded.device_id, reason="change 4711"))
    page = await enter("bob", url(loaded, "/changes"))
    for button in ("Push 1 change", "Load configuration", "Discard realmConfig peering"):
        await page.get_by_role("button", name=button).click()
        await expect(page.locator("#refusal")).to_contain_text("alice holds edge-a")
        await page.get_by_role("button", name="Dismiss").click()
    assert len(await loaded.pending("bob")) == 1


async def test_changes_are_discarded_one_by_one_and_all(loaded: Bench, enter: Enter) -> None:
    await loaded.add("alice", realm("one"))
    await loaded.add("alice", realm("two"))
    await loaded.update("alice", realm("core", description="new words"))
    page = await enter("alice", url(loaded, "/changes"))
    await page.get_by_role("button", name="Discard realmConfig core").click()
    await expect(page.locator(".change")).to_have_count(2)
    assert [key for _, _, key in await loaded.pending()] == [("one",), ("two",)]
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.get_by_role("button", name="Discard all").click()
    await expect(page.locator("main")).to_contain_text("You have nothing staged")
    assert await loaded.pending() == []


async def test_sub_elements_are_added_and_removed_in_the_element_that_holds_them(loaded: Bench, enter: Enter) -> None:
    page = await enter("alice", url(loaded, "?type=sipInterface"))
    await page.get_by_role("link", name="access", exact=True).click()
    await page.locator("section", has_text="sub-element").get_by_role("link", name="Add").click()
    form = page.locator("#element-form")
    await form.get_by_label("address", exact=True).fill("198.51.100.7")
    await form.get_by_label("port", exact=True).fill("5062")
    await form.get_by_label("transportProtocol").select_option("TCP")
    await page.get_by_role("button", name="Stage the new element").click()
    await expect(page.locator(".crumbs b")).to_contain_text("sipPort 198.51.100.7:5062:TCP")
    await sound_in_both_lights(page, "provisioning-sub-element")
    await page.locator(".crumbs").get_by_role("link", name="sipInterface access").click()
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.get_by_role("button", name="Remove sipPort 192.0.2.10:5060:UDP").click()
    await expect(page.locator("section", has_text="sub-element").locator("tbody tr")).to_have_count(1)
    await page.get_by_role("link", name="My changes").click()
    await expect(page.locator(".diff-new", has_text="198.51.100.7")).to_be_visible()
    await expect(page.locator(".diff-old", has_text="192.0.2.10")).to_be_visible()
    await sound_in_both_lights(page, "provisioning-changes-of-parts")


async def test_a_stale_push_leads_to_a_comparison_and_a_rebase(loaded: Bench, enter: Enter) -> None:
    await loaded.update("alice", realm("core", description="mine", denyPeriod="45"))
    loaded.edited_outside("realm-config", ("core",), description="theirs", **{"max-latency": "9"})
    page = await enter("alice", url(loaded, "/changes"))
    await page.get_by_role("button", name="Push 1 change").click()
    await expect(page.locator("#task")).to_have_attribute("data-state", "FAILED", timeout=WITHIN_MS)
    await sound_in_both_lights(page, "provisioning-push-stale")
    await page.get_by_role("link", name="Compare and rebase").click()
    row = page.locator("tr[data-whose=both]")
    await expect(row.locator("td")).to_contain_text(["description", "carrier core", "mine", "theirs", "both"])
    await expect(page.locator("tr[data-whose=theirs]")).to_contain_text("maxLatency")
    await expect(page.locator("tr[data-whose=mine]")).to_contain_text("denyPeriod")
    await sound_in_both_lights(page, "provisioning-comparison")
    await page.get_by_role("button", name="Rebase my changes").click()
    await expect(page.get_by_role("alert")).to_contain_text("Both sides changed the same")
    await sound_in_both_lights(page, "provisioning-conflict")
    await page.get_by_role("button", name="Rebase my changes").click()
    await expect(page.locator(".alert-success")).to_contain_text("based on the present configuration")
    await page.get_by_role("button", name="Push 1 change").click()
    await expect(page.locator("#task")).to_have_attribute("data-state", "SUCCESS", timeout=WITHIN_MS)
    stored = loaded.stored("running", "realm-config", identifier="core")
    assert stored is not None
    assert (stored["description"], stored["deny-period"], stored["max-latency"]) == ("mine", "45", "9")


async def test_a_failed_push_says_which_step_and_what_the_device_holds(loaded: Bench, enter: Enter) -> None:
    await loaded.add("alice", realm("peering"))
    loaded.sbc.control({"job_delay_s": 0.01, "fail_jobs": ["activate"]})
    page = await enter("alice", url(loaded, "/changes"))
    await page.get_by_role("button", name="Push 1 change").click()
    await expect(page.locator("#task")).to_have_attribute("data-state", "FAILED", timeout=WITHIN_MS)
    await expect(page.locator("[data-step=FAILED]")).to_contain_text("Activate")
    await expect(page.locator("#task")).to_contain_text("What the device holds now")
    await sound_in_both_lights(page, "provisioning-push-failed")


async def test_who_may_only_look_has_no_buttons(loaded: Bench, enter: Enter) -> None:
    page = await enter("mona", url(loaded, "?type=realmConfig"))
    await page.get_by_role("link", name="core", exact=True).click()
    await expect(page.locator("#element-form")).to_be_visible()
    for words in ("Stage changes", "Remove", "Load configuration"):
        assert await page.get_by_role("button", name=words).count() == 0


async def test_an_attribute_is_found_by_keys_alone(loaded: Bench, enter: Enter) -> None:
    page = await enter("alice", url(loaded, "?type=realmConfig"))
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#element-form")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("latching")
    await expect(page.locator("[data-value]:visible")).to_have_count(1)
    await page.keyboard.press("Tab")
    for _ in range(10):
        if await page.evaluate("document.activeElement.name") == "v:symmetricLatching":
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await expect(page.locator(".alert-success")).to_contain_text("staged")
    assert [(edit.value, key) for edit, _, key in await loaded.pending()] == [("modified", ("access",))]


# ---------------------------------------------------------------------------------------- netconfd


@pytest_asyncio.fixture(loop_scope="module")
async def link(netconf_device: NetconfDevice) -> AsyncIterator[Proxy]:
    """The way to a real device, where requests can be kept waiting."""
    proxy = Proxy(netconf_device)
    await proxy.start()
    yield proxy
    await proxy.stop()


async def test_a_whole_session_on_netconfd(site: Site, enter: Enter, link: Proxy) -> None:
    """Each step of the push is seen to run, and to end, on a page that is not loaded anew meanwhile."""
    device_id = await site.house.enrol(
        "edge-netconf", link.address, username=link.device.user, password=link.device.password, platform="netconf",
        **{"ssh.host.key": link.host_key, "netconf.validate": "false"},
    )  # fmt: skip
    page = await enter("alice", f"/web/devices/ID{device_id}/provisioning")
    page.set_default_timeout(WITHIN_MS)
    await page.locator(".empty").get_by_role("button", name="Load configuration").click()
    await expect(page.locator(".alert-success")).to_contain_text("Our copy", timeout=WITHIN_MS)
    await page.get_by_role("link", name="realm", exact=True).first.click()
    await sound_in_both_lights(page, "provisioning-netconf-elements")
    await page.get_by_role("link", name="Add", exact=True).click()
    form = page.locator("#element-form")
    await form.get_by_label("id", exact=True).fill("peering")
    await form.get_by_label("address-prefix").fill("not a prefix")
    await page.get_by_role("button", name="Stage the new element").click()
    await expect(page.locator("[data-error=address-prefix]")).to_contain_text("does not match")
    await form.get_by_label("address-prefix").fill("10.9.0.0/16")
    await form.get_by_label("qos").select_option("expedited")
    await form.get_by_label("enabled").uncheck()
    await sound_in_both_lights(page, "provisioning-netconf-form")
    await stage(page)
    await page.get_by_role("link", name="My changes").click()
    await expect(page.locator(".diff-new", has_text="10.9.0.0/16")).to_be_visible()
    link.held = {name: asyncio.Event() for name, _ in NETCONF_STEPS}
    await page.get_by_role("button", name="Push 1 change").click()
    await page.wait_for_url("**/provisioning/tasks/*")
    await page.evaluate("document.body.dataset.first = 'yes'")
    running, over = page.locator("[data-step=BEGUN]"), page.locator("[data-step=SUCCESS]")
    for name, title in NETCONF_STEPS:
        await expect(running).to_contain_text(title, timeout=WITHIN_MS)
        assert await over.filter(has_text=title).count() == 0
        if title == "Activate":
            assert "10.9.0.0/16" not in await asyncio.to_thread(_running, link.device)
            await sound_in_both_lights(page, "provisioning-netconf-push-running")
        assert await page.locator("body[data-first=yes]").count() == 1
        link.held[name].set()
        if title != NETCONF_STEPS[-1][1]:
            await expect(over.filter(has_text=title)).to_be_visible(timeout=WITHIN_MS)
    await expect(page.locator("#task")).to_have_attribute("data-state", "SUCCESS", timeout=WITHIN_MS)
    await sound_in_both_lights(page, "provisioning-netconf-push")
    shown = await asyncio.to_thread(_running, link.device)
    assert "10.9.0.0/16" in shown and "expedited" in shown


def _running(device: NetconfDevice) -> str:
    """As another client of the device reads it."""
    with manager.connect(
        host=device.address, port=device.port, username=device.user, password=device.password, hostkey_verify=False,
        allow_agent=False, look_for_keys=False, timeout=20,
    ) as other:  # fmt: skip
        return str(other.get_config("running").data_xml)
