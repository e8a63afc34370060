"""Discarding one staged change, and telling the differences of each change apart."""

from __future__ import annotations

import pytest

from opensdm.core.errors import NotFound
from opensdm.core.operations import AddElement, DeleteElement, DiscardChanges, ShowPendingChanges, UpdateElement
from tests.handlers.memory_device import SBC, realm
from tests.handlers.sites import Open

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_one_change_is_discarded_whatever_it_does(site: Open) -> None:
    """Also one of a secret: that the old value is not shown does not matter."""
    here = await site(SBC)
    await here.do(AddElement, element=realm("one"))
    await here.do(UpdateElement, element=realm("core", secret="new-pw"))
    await here.do(DeleteElement, element=realm("access"))
    for name in ("core", "access", "one"):
        assert name in str(await here.pending())
        await here.do(DiscardChanges, element_path="realm", key=(name,))
        assert name not in str(await here.pending())
    assert await here.pending() == []
    assert (await here.push()).error_code is None
    core = here.device.runs("realm", "core")
    assert core is not None and core.attributes["secret"] == "s3cret"


async def test_what_is_not_staged_cannot_be_discarded_and_nobody_elses_is(site: Open) -> None:
    here = await site(SBC)
    await here.do(AddElement, element=realm("one"))
    await here.do(AddElement, element=realm("named"), change_set="w1")
    for user, name in (("alice", "core"), ("alice", "named"), ("bob", "one")):
        with pytest.raises(NotFound, match=f"nothing staged for realm {name}"):
            await here.do(DiscardChanges, user, element_path="realm", key=(name,))
    await here.do(DiscardChanges, change_set="w1", element_path="realm", key=("named",))
    assert len(await here.pending()) == 1


async def test_the_differences_of_each_change_stand_apart(site: Open) -> None:
    here = await site(SBC)
    await here.do(UpdateElement, element=realm("core", description="d", secret="new-pw"))
    await here.do(AddElement, element=realm("one"))
    shown = await here.do(ShowPendingChanges)
    told = {change.key: [d.attribute for d in each] for change, each in zip(shown.changes, shown.of_each, strict=True)}
    assert told == {("core",): ["description", "secret"], ("one",): [None]}
    assert [d for each in shown.of_each for d in each] == list(shown.differences)
