"""What differs between a device, our copy and staged changes: asked for, found at polls, and the way out of it."""

from __future__ import annotations

import pytest

from opensdm.core.audit import AuditEntry
from opensdm.core.errors import SdmError, StaleConfiguration
from opensdm.core.operations import (
    CheckSync,
    DiscardChanges,
    ListVersions,
    LoadConfiguration,
    LockDevice,
    PreviewPush,
    PushAction,
    RebaseChanges,
    ShowDevice,
    UpdateElement,
)
from opensdm.core.ports import Page
from opensdm.core.results import SUCCEEDED
from opensdm.core.versions import Source
from tests.handlers.memory_device import NETCONF, SBC, realm
from tests.handlers.sites import (
    HELD,
    Open,
    Site,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

# ------------------------------------------------------------------------------------------- sync and drift


async def test_sync_is_checked_and_the_way_out_of_stale_loses_nothing(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="mine"))
    assert (await here.do(CheckSync)).state == "Modified"
    here.device.at_the_console(realm("core", description="old", limit="9", secret="s3cret"))
    report = await here.do(CheckSync)
    assert (report.state, report.outside_total, report.conflicts) == ("Conflict", 1, ())
    assert [(d.attribute, d.old, d.new) for d in report.outside] == [("limit", "7", "9")]
    assert (await here.do(CheckSync, "bob")).state == "Changed Outside"
    with pytest.raises(StaleConfiguration, match="the device holds something else") as caught:
        await here.push()
    assert [s.action for s in caught.value.next_steps] == ["LoadConfiguration", "RebaseChanges"]
    await here.do(LoadConfiguration)
    with pytest.raises(StaleConfiguration, match="rebase them onto it") as caught:
        await here.push()
    assert [s.action for s in caught.value.next_steps] == ["RebaseChanges", "CheckSync"]
    await here.do(RebaseChanges)
    assert (await here.push()).status == SUCCEEDED
    core = here.device.runs("realm", "core")
    assert core is not None and (core.attributes["description"], core.attributes["limit"]) == ("mine", "9")


async def test_a_conflict_is_listed_by_attribute_and_decided_by_the_caller(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="mine", secret="mine-pw"))
    here.device.at_the_console(realm("core", description="theirs", limit="7", secret="their-pw"))
    report = await here.do(CheckSync)
    assert [(c.attribute, c.base, c.mine, c.theirs) for c in report.conflicts] == [
        ("description", "old", "mine", "theirs"), ("secret", "xxxx", "xxxx", "xxxx"),
    ]  # fmt: skip
    await here.do(LoadConfiguration)
    with pytest.raises(SdmError, match="both sides changed the same: realm core") as caught:
        await here.do(RebaseChanges)
    assert (caught.value.code, caught.value.facts["total"]) == ("REBASE_CONFLICT", 2)
    assert "pw" not in str(caught.value.facts)
    done = await here.do(RebaseChanges, prefer="mine")
    assert (len(done.changes), len(done.resolved)) == (1, 2)
    assert (await here.push()).status == SUCCEEDED
    core = here.device.runs("realm", "core")
    assert core is not None and core.attributes["secret"] == "mine-pw"


async def test_a_preview_says_what_would_be_sent_and_sends_nothing(site: Open) -> None:
    here = await site(NETCONF)
    await here.stage()
    preview = await here.do(PreviewPush)
    assert (preview.ready, preview.code, len(preview.changes)) == (True, None, 4)
    assert preview.sends == ("delete agent a1", "set realm core", "set realm new", "set agent a2")
    here.device.at_the_console(realm("new"))
    preview = await here.do(PreviewPush)
    assert (preview.ready, preview.code) == (False, "STALE_CONFIGURATION")
    assert [(d.path, d.key) for d in preview.outside] == [("realm", ("new",))]
    preview = await here.do(PreviewPush, action=PushAction.SAVE)
    assert (preview.ready, preview.code) == (False, "INVALID_REQUEST")
    assert here.device.log == []


async def test_drift_is_found_told_once_and_settled(site: Open) -> None:
    here = await site(SBC)
    await here.poll()
    assert await here.status() == "In Sync"
    await here.do(LockDevice, reason="window")
    await here.do(UpdateElement, element=realm("core", description="mine"))
    here.device.at_the_console(realm("core", description="console"))
    here.device.at_the_console(realm("access", description="console"))
    for _ in range(2):
        await here.poll()
    assert (await here.status(), await here.status("bob")) == ("Conflict", "Changed Outside")
    drift = (await here.do(ShowDevice, "bob")).drift
    assert (drift.total, drift.locked_by) == (2, "alice")
    assert set(drift.changed) == {("realm", ("core",)), ("realm", ("access",))}
    versions = (await here.do(ListVersions)).items
    assert [v.note.source for v in versions] == [Source.DRIFT, Source.LOAD]
    assert versions[0].number == drift.version and versions[1].current
    found = await _found(here)
    assert [(row.device_id, row.user_name, row.result) for row in found] == [(here.device_id, "system", SUCCEEDED)]
    here.device.hold(*HELD)
    await here.poll()
    assert await here.status() == "Modified"
    here.device.at_the_console(realm("access", description="console"))
    await here.poll()
    await here.do(DiscardChanges)
    assert await here.status() == "Changed Outside"
    await here.do(LoadConfiguration)
    assert (await here.status(), len(await _found(here))) == ("In Sync", 2)


async def test_a_poll_that_met_a_push_says_nothing(site: Open) -> None:
    here = await site(SBC)
    await here.stage()

    async def push() -> None:
        assert (await here.push()).status == SUCCEEDED

    async def read_first() -> None:
        here.device.hooks["read"] = push  # between the facts and the elements

    here.device.hooks["read"] = read_first
    await here.poll()
    assert (await here.status(), await _found(here)) == ("In Sync", [])


async def _found(here: Site) -> list[AuditEntry]:
    """The audit rows of drift on this device."""
    entries, _ = await here.house.ledger.read(
        lambda tx: tx.audit.entries({"device": f"ID{here.device_id}"}, None, None, Page())
    )
    return [entry for entry in entries if entry.tag == "device:drift:found"]
