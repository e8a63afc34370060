"""Two people at two browsers: what one does to a lock the other sees at once, and is told what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from playwright.async_api import Page, expect

from opensdm.core.lock import Actor, Admit, Admitted, EndClaim
from opensdm.core.operations import (
    DeleteNetworkFunction,
    LockDevice,
    OverrideLock,
    Scope,
    ShowDevice,
    ShowLock,
    ShowSession,
    UnlockDevice,
)
from opensdm.core.submission import Submission, Target
from tests.web.conftest import Enter
from tests.web.site import Site
from tests.web.test_pages import sound_in_both_lights

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHIN_MS = 10_000
"""Far more than it takes: no test here is about the machine's speed."""


def padlock(page: Page, device_id: int) -> str:
    return f"#padlock-ID{device_id}"


async def late(page: Page) -> None:
    """The panel of this page is not drawn anew: what its reader sends was filled in before the lock turned."""
    await page.route("**/lock-panel", lambda route: route.fulfill(status=204))


async def test_lock_ask_release_lock(site: Site, enter: Enter) -> None:
    """alice locks, bob's padlock turns; his form, which is late, is refused with her name and keeps his words; he asks;
    she releases from the toast; he gets it from his."""
    edge = site.ids["core-sbc-01"]
    alice = await enter("alice", f"/web/devices/ID{edge}")
    bob = await enter("bob", f"/web/devices/ID{edge}")
    await expect(bob.locator("body")).to_have_attribute("data-live", "yes")
    await late(bob)
    await bob.fill("#field-reason", "bob's own reason")

    await alice.fill("#field-reason", "change 4711")
    await alice.click("#lock-panel button:has-text('Lock')[type=submit]")
    turned = bob.locator(padlock(bob, edge))
    await expect(turned).to_have_attribute("data-state", "held", timeout=WITHIN_MS)
    await expect(turned).to_contain_text("alice")

    await bob.click("#lock-panel button:has-text('Lock')[type=submit]")
    refusal = bob.locator("#refusal .refusal")
    await expect(refusal).to_contain_text("alice holds core-sbc-01")
    await expect(refusal).to_contain_text("change 4711")
    await expect(bob.locator("#field-reason")).to_have_value("bob's own reason")

    await refusal.get_by_role("button", name="Ask alice to release").click()
    await expect(bob.locator("#refusal")).to_contain_text("The holder was asked")
    toast = alice.locator(".toast")
    await expect(toast).to_contain_text("bob asks you to release core-sbc-01", timeout=WITHIN_MS)
    await toast.get_by_role("button", name="Release").click()
    await expect(alice.locator("#toasts")).to_contain_text("You released the device")

    free = bob.locator(".toast")
    await expect(free).to_contain_text("core-sbc-01 is free", timeout=WITHIN_MS)
    await free.get_by_role("button", name="Lock it").click()
    await expect(bob.locator(padlock(bob, edge))).to_have_attribute("data-state", "mine", timeout=WITHIN_MS)
    await expect(alice.locator(padlock(alice, edge))).to_contain_text("bob", timeout=WITHIN_MS)
    assert (await site.house.do("mona", ShowLock(device_id=edge))).row.holder_name == "bob"


async def test_a_lock_by_another_door_turns_the_padlock_of_a_list(site: Site, enter: Enter) -> None:
    edge = site.ids["lab-a"]
    page = await enter("alice", "/web/devices")
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    await site.house.do("bob", LockDevice(device_id=edge, reason="by REST"))
    turned = page.locator(padlock(page, edge))
    await expect(turned).to_have_attribute("data-state", "held", timeout=WITHIN_MS)
    await turned.hover()
    await expect(turned.locator(".padlock-more")).to_contain_text("by REST")
    await site.house.do("bob", UnlockDevice(device_id=edge))
    await expect(turned).to_have_attribute("data-state", "free", timeout=WITHIN_MS)


async def test_how_many_locks_are_mine_is_told_on_every_page(site: Site, enter: Enter) -> None:
    """Taken by whatever door, released, taken away, deleted; a lock that was lost once is not told of again."""
    page = await enter("alice", "/web/locks?which=stale")
    count = page.locator("nav #lock-count")
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    await expect(count).to_be_hidden()
    for number, name in enumerate(("lab-a", "lab-b", "core-sbc-01"), start=1):
        await site.house.do("alice", LockDevice(device_id=site.ids[name]))
        await expect(count).to_have_text(str(number), timeout=WITHIN_MS)
    override = OverrideLock(device_id=site.ids["lab-a"], reason="urgent", expected_holder="alice", transfer=True)
    await site.house.do("admin", override)
    await expect(count).to_have_text("2", timeout=WITHIN_MS)
    gone = (await site.house.do("alice", ShowDevice(device_id=site.ids["lab-b"]))).device.nf_id
    await site.house.do("alice", DeleteNetworkFunction(nf_id=gone))
    await expect(count).to_have_text("1", timeout=WITHIN_MS)
    await sound_in_both_lights(page, "locks-count")
    again = replace(override, expected_holder="admin", transfer=False)
    await site.house.do("admin", again)
    await site.house.do("alice", UnlockDevice(device_id=site.ids["core-sbc-01"]))
    await expect(count).to_be_hidden(timeout=WITHIN_MS)
    await expect(page.locator(".toast")).to_have_count(1)


async def test_work_that_runs_shows_in_the_padlock_until_it_ends(site: Site, enter: Enter) -> None:
    edge, ledger = site.ids["lab-b"], site.house.ledger
    bob = (await site.house.do("bob", ShowSession())).session
    actor = Actor(bob.user_id, bob.user_name, bob.session_id, "rest")
    page = await enter("alice", "/web/devices")
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    claim = Admit(actor, frozenset(), 0, "PushChanges", ledger.incarnation, exclusive=True)
    admitted = (await ledger.submit(Submission(Target(Scope.DEVICE, edge), claim))).answer
    assert isinstance(admitted, Admitted) and admitted.claim is not None
    face = page.locator(padlock(page, edge))
    await expect(face).to_contain_text("Push changes of bob runs", timeout=WITHIN_MS)
    end = EndClaim(admitted.claim.claim_id, uncertain=True)
    await ledger.submit(Submission(Target(devices=frozenset({edge})), end))
    await expect(face).not_to_contain_text("Push changes", timeout=WITHIN_MS)
    await expect(face.locator(".padlock-uncertain")).to_be_visible()


async def test_a_page_whose_server_is_gone_says_so_until_it_is_back(site: Site, enter: Enter) -> None:
    page = await enter("alice", "/web/devices", watch=False)
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    await expect(page.locator("#offline")).to_be_hidden()
    await site.close()
    await expect(page.locator("#offline")).to_be_visible(timeout=WITHIN_MS)
    await site.open()
    await expect(page.locator("#offline")).to_be_hidden(timeout=WITHIN_MS)


async def test_a_stream_that_is_refused_is_asked_for_again(site: Site, enter: Enter) -> None:
    page = await enter("alice", "/web/devices", watch=False)
    await expect(page.locator("body")).to_have_attribute("data-live", "yes")
    await page.route("**/web/events*", lambda route: route.abort())
    await page.fill("#filter", "lab")
    await expect(page.locator("#offline")).to_be_visible()
    await page.unroute("**/web/events*")
    await page.fill("#filter", "core")
    await expect(page.locator("#offline")).to_be_hidden()


async def test_an_override_takes_the_lock_that_was_seen_and_its_holder_is_told(site: Site, enter: Enter) -> None:
    edge = site.ids["east-edge-01"]
    await site.house.do("alice", LockDevice(device_id=edge))
    alice = await enter("alice", "/web/devices")
    await expect(alice.locator("body")).to_have_attribute("data-live", "yes")
    admin = await enter("admin", f"/web/devices/ID{edge}#override")
    await admin.fill("#override-reason", "alice is on leave")
    await admin.click("text=Override the lock")
    await expect(admin.locator("#lock-panel")).to_contain_text("The lock was taken away")
    await expect(admin.locator("#lock-history")).to_contain_text("took the lock away", timeout=WITHIN_MS)
    told = alice.locator(".toast")
    await expect(told).to_contain_text("Your lock on east-edge-01 was taken away by admin", timeout=WITHIN_MS)


async def test_an_override_of_a_lock_that_is_another_one_by_now_is_refused(site: Site, enter: Enter) -> None:
    edge = site.ids["east-edge-01"]
    await site.house.do("alice", LockDevice(device_id=edge))
    admin = await enter("admin", f"/web/devices/ID{edge}#override")
    await late(admin)
    await admin.fill("#override-reason", "she is on leave")
    await site.house.do("alice", UnlockDevice(device_id=edge))
    await site.house.do("bob", LockDevice(device_id=edge))
    await admin.click("text=Override the lock")
    await expect(admin.locator("#refusal")).to_contain_text("The lock is another one by now")
    await expect(admin.locator("#override-reason")).to_have_value("she is on leave")
    assert (await site.house.do("mona", ShowLock(device_id=edge))).row.holder_name == "bob"


async def test_who_waits_for_a_device_is_listed(site: Site, enter: Enter) -> None:
    edge, ledger = site.ids["lab-b"], site.house.ledger
    bob = (await site.house.do("bob", ShowSession())).session
    claim = Admit(
        Actor(bob.user_id, bob.user_name, bob.session_id, "rest"), frozenset(), 0, "PushChanges", ledger.incarnation,
        exclusive=True,
    )  # fmt: skip
    await ledger.submit(Submission(Target(Scope.DEVICE, edge), claim))
    waiting = asyncio.create_task(site.house.do("alice", LockDevice(device_id=edge, wait_s=60)))
    page = await enter("bob", "/web/locks?which=waiting")
    while await page.locator("#locks tr[data-row]").count() == 0:
        await page.reload()
    await expect(page.locator("#locks")).to_contain_text("alice waits")
    await expect(page.locator(padlock(page, edge))).to_have_attribute("data-state", "waiting")
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await expect(page.locator(padlock(page, edge))).to_have_attribute("data-state", "free", timeout=WITHIN_MS)
