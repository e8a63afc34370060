"""What the device's schema says, new elements to begin with, and a user's several change sets."""

from __future__ import annotations

import threading

import pytest

from opensdm.core.errors import NotLoaded, UnknownAttribute, UnknownElementType
from opensdm.core.operations import (
    AddElement,
    DeleteElement,
    DiscardChanges,
    DraftElement,
    ListChangeSets,
    ListElements,
    ListElementTypes,
    ShowElementType,
    ShowPendingChanges,
    UpdateElement,
)
from opensdm.handlers.aside import LARGE, aside
from tests.handlers.memory_device import SBC, realm
from tests.handlers.sites import Open

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_top_level_types_by_path(site: Open) -> None:
    here = await site(SBC)
    listing = await here.do(ListElementTypes, "mona")
    assert ([t.path for t in listing.items], listing.total) == (["agent", "realm", "system"], 3)
    page = await here.do(ListElementTypes, offset=1, limit=1)
    assert ([t.path for t in page.items], page.total, page.offset) == (["realm"], 3, 1)


async def test_a_type_with_what_its_references_may_be(site: Open) -> None:
    here = await site(SBC)
    await here.do(AddElement, element=realm("staged"))
    await here.do(DeleteElement, element=realm("access"))
    shown = await here.do(ShowElementType, element_path="agent")
    assert (shown.platform, shown.version, shown.type.path) == ("sbc", "1.0", "agent")
    assert shown.referred == {"realm": ("core", "staged")}
    assert (await here.do(ShowElementType, "bob", element_path="agent")).referred == {"realm": ("access", "core")}
    alone = await here.do(ShowElementType, element_path="agent", attribute="id")
    assert ([a.name for a in alone.type.attributes], alone.referred) == (["id"], {})
    inner = await here.do(ShowElementType, element_path="realm/port")
    assert [a.name for a in inner.type.attributes] == ["name", "speed"]
    with pytest.raises(UnknownElementType, match="did you mean agent"):
        await here.do(ShowElementType, element_path="agents")
    with pytest.raises(UnknownAttribute, match="did you mean realm"):
        await here.do(ShowElementType, element_path="agent", attribute="realms")


async def test_a_draft_has_the_defaults_and_empty_keys(site: Open) -> None:
    here = await site(SBC)
    draft = await here.do(DraftElement, element_path="realm")
    assert (draft.path, draft.attributes) == ("realm", {"id": "", "limit": "10"})
    assert await here.pending() == []


async def test_nothing_is_known_of_types_before_a_load(site: Open) -> None:
    here = await site(SBC)
    fresh = await here.house.enrol("fresh-one", "sbc-0.example:444", platform="sbc")
    for operation in (
        ListElementTypes(device_id=fresh), DraftElement(device_id=fresh, element_path="realm"),
        ShowElementType(device_id=fresh, element_path="realm"),
    ):  # fmt: skip
        with pytest.raises(NotLoaded, match="load it first"):
            await here.house.do("alice", operation)


async def test_change_sets_are_views_of_their_own(site: Open) -> None:
    here = await site(SBC)
    await here.do(AddElement, element=realm("one"), change_set="w1")
    await here.do(UpdateElement, element=realm("core", secret="new-pw"), change_set="w2")
    sets = await here.do(ListChangeSets)
    assert [(s.name, s.changes) for s in sets] == [("w1", 1), ("w2", 1)]
    assert await here.do(ListChangeSets, "bob") == ()
    names = {name: [e.attributes["id"] for e in (await here.do(
        ListElements, element_path="realm", change_set=name)).items] for name in ("w1", "w2", "")}  # fmt: skip
    assert names == {"w1": ["core", "access", "one"], "w2": ["core", "access"], "": ["core", "access"]}
    shown = await here.do(ShowPendingChanges, change_set="w2")
    assert [(d.attribute, d.old, d.new) for d in shown.differences] == [("secret", "xxxx", "xxxx")]
    await here.do(DiscardChanges, change_set="w1")
    assert [s.name for s in await here.do(ListChangeSets)] == ["w2"]


async def test_a_mask_keeps_the_secret_and_is_never_pushed(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", secret="xxxx", description="d"))
    assert (await here.push()).error_code is None
    core = here.device.runs("realm", "core")
    assert core is not None and (core.attributes["secret"], core.attributes["description"]) == ("s3cret", "d")


async def test_large_work_leaves_the_event_loop(site: Open) -> None:
    def where(given: list[int]) -> int:
        return threading.get_ident()

    assert await aside(where, [0] * (LARGE - 1)) == threading.get_ident()
    assert await aside(where, [0] * LARGE) != threading.get_ident()
