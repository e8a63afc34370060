"""The history of a configuration: what is kept, by whom and when, what may be put back, and how much of it stays."""

from __future__ import annotations

import pytest

from opensdm.core.errors import InvalidRequest, NotFound, NotRestorable
from opensdm.core.operations import (
    AddElement,
    BackUpDevice,
    BackUpOnSchedule,
    CompareVersions,
    KeepHouse,
    ListVersions,
    LoadConfiguration,
    RestoreVersion,
    ShowDevice,
    ShowVersion,
    UnassignDevice,
    UpdateElement,
)
from opensdm.core.results import SUCCEEDED
from opensdm.core.versions import Source, Version
from tests.handlers.memory_device import ROUTER, SBC, agent, realm
from tests.handlers.sites import Open, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def scheduled(here: Site) -> Version | None:
    kept: Version | None = await here.house.gate.execute(
        here.house.system, BackUpOnSchedule(device_id=here.device_id)
    )  # fmt: skip
    return kept


async def test_versions_are_listed_shown_and_compared(site: Open) -> None:
    here = await site(SBC)
    await here.stage()
    await here.push()
    listing = await here.do(ListVersions, "mona", limit=1)
    assert (listing.total, [(v.number, v.note.source, v.current) for v in listing.items]) == (
        2, [(2, Source.PUSH, True)],
    )  # fmt: skip
    shown = await here.do(ShowVersion, "mona", number=1, element_path="realm")
    assert (shown.total, shown.version.note.user_name) == (2, "alice")
    assert shown.elements[0].attributes["secret"] == "xxxx"
    assert [e.attributes for e in (await here.do(ShowVersion, number=1, offset=2, limit=1)).elements] == [{"id": "a1"}]
    compared = await here.do(CompareVersions, "mona", old=1)
    assert (compared.old.number, compared.new.number, compared.total) == (1, 2, 4)
    found = {(d.path, d.key, d.attribute): (d.old, d.new) for d in compared.differences}
    assert found["realm", ("core",), "description"] == ("old", "changed")
    assert found["agent", ("a1",), None] == ("present", None)
    with pytest.raises(NotFound, match="no version 7"):
        await here.do(CompareVersions, old=1, new=7)


async def test_a_backup_leaves_our_copy_and_what_is_staged(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="mine"))
    here.device.at_the_console(realm("access", description="console"))
    with pytest.raises(InvalidRequest, match="on one line"):
        await here.do(BackUpDevice, comment="a\nb")
    kept = await here.do(BackUpDevice, comment="before the window")
    assert (kept.number, kept.note.source, kept.note.comment, kept.current) == (
        2, Source.BACKUP, "before the window", False,
    )  # fmt: skip
    assert (await here.do(ShowDevice)).device.loaded_version == 1
    assert await here.pending() == ["realm:core"]
    assert [d.new for d in (await here.do(CompareVersions, old=1, new=2)).differences] == ["console"]


async def test_a_backup_that_met_a_push_is_torn_and_not_restorable(site: Open) -> None:
    here = await site(ROUTER)
    quiet = await scheduled(here)
    assert quiet is not None and (quiet.note.source, quiet.note.torn) == (Source.SCHEDULE, False)
    await here.stage()
    met: list[Version | None] = []

    async def in_the_middle() -> None:
        async def after_the_first() -> None:
            met.append(await scheduled(here))

        here.device.hooks["write"] = after_the_first

    here.device.hooks["write"] = in_the_middle
    assert (await here.push()).status == SUCCEEDED
    (torn,) = met
    assert torn is not None and torn.note.torn and not torn.restorable
    with pytest.raises(NotRestorable, match="may be a mixture"):
        await here.do(RestoreVersion, number=torn.number)


async def test_a_backup_of_what_is_not_managed_is_left_out(site: Open) -> None:
    here = await site(SBC)
    await here.do(UnassignDevice)
    assert await scheduled(here) is None
    assert (await here.do(ListVersions)).total == 1


async def test_a_backup_needs_no_load(site: Open) -> None:
    here = await site(SBC)
    here.device.version = "3.0"
    kept = await scheduled(here)
    assert kept is not None and kept.note.software_version == "3.0"
    assert (await here.do(ShowVersion, number=kept.number)).total == 4


async def test_old_versions_go(site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await site(SBC)
    for _ in range(3):
        await here.do(LoadConfiguration)
    monkeypatch.setattr("opensdm.handlers.sessions.KEEP_VERSIONS", 2)
    assert await here.house.gate.execute(here.house.system, KeepHouse()) >= 2
    assert [v.number for v in (await here.do(ListVersions)).items] == [4, 3]


async def test_a_push_of_one_type_keeps_the_others(site: Open) -> None:
    here = await site(SBC)
    await here.do(AddElement, element=agent("a2", realm="core"))
    await here.push()
    shown = await here.do(ShowVersion, number=2)
    assert sorted(e.path for e in shown.elements) == ["agent", "agent", "realm", "realm", "system"]
