"""Moving all changes of one set into another: set aside under a name, and staged again."""

from __future__ import annotations

import pytest

from opensdm.core.errors import Conflict, InvalidRequest, NotFound
from opensdm.core.operations import (
    AddElement,
    DiscardChanges,
    ListChangeSets,
    MoveChanges,
    ShowPendingChanges,
    UpdateElement,
)
from tests.handlers.memory_device import SBC, realm
from tests.handlers.sites import Open, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def sets(here: Site) -> dict[str, int]:
    return {each.name: each.changes for each in await here.do(ListChangeSets)}


async def test_changes_are_set_aside_and_staged_again_as_they_were(site: Open) -> None:
    """A secret among them, which nobody is shown; when each was staged is kept, too."""
    here = await site(SBC)
    await here.stage()
    await here.do(UpdateElement, element=realm("core", secret="new-pw"))
    before = await here.do(ShowPendingChanges)
    await here.do(MoveChanges, into="later")
    assert await sets(here) == {"later": len(before.changes)} and await here.pending() == []
    assert await here.do(ShowPendingChanges, change_set="later") == before
    await here.do(MoveChanges, change_set="later")
    assert await sets(here) == {"": len(before.changes)}
    assert (await here.push()).error_code is None
    core = here.device.runs("realm", "core")
    assert core is not None and core.attributes["secret"] == "new-pw"


async def test_a_set_takes_more_in_but_no_second_change_of_an_element(site: Open) -> None:
    here = await site(SBC)
    await here.do(AddElement, element=realm("one"), change_set="later")
    await here.do(AddElement, element=realm("two"))
    await here.do(MoveChanges, into="later")
    assert await sets(here) == {"later": 2}
    await here.do(AddElement, element=realm("two", description="another"))
    await here.do(AddElement, element=realm("three"))
    with pytest.raises(Conflict, match="'later' holds changes of the same: realm two; nothing was moved") as refused:
        await here.do(MoveChanges, into="later")
    assert refused.value.facts["total"] == 1
    assert await sets(here) == {"": 2, "later": 2}
    await here.do(DiscardChanges, element_path="realm", key=("two",))
    await here.do(MoveChanges, into="later")
    assert await sets(here) == {"later": 3}


async def test_what_is_not_there_cannot_be_moved_and_nobody_elses_is(site: Open) -> None:
    here = await site(SBC)
    await here.do(AddElement, element=realm("one"), change_set="later")
    for user, values in (("bob", {"change_set": "later"}), ("alice", {"into": "later"})):
        with pytest.raises(NotFound, match="nothing staged in the change set"):
            await here.do(MoveChanges, user, **values)
    for values in ({}, {"change_set": "later", "into": "later"}, {"change_set": "later", "into": "a b"}):
        with pytest.raises(InvalidRequest):
            await here.do(MoveChanges, **values)
    assert await sets(here) == {"later": 1}
