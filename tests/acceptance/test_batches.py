"""A batch of edits: in order, on what those before leave, all or nothing; and what replacing an element keeps."""

from __future__ import annotations

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import AlreadyExists, DeviceLocked, InvalidRequest, NotFound, SdmError
from opensdm.core.operations import ApplyBatch, BatchEdit, BatchVerb, LockDevice
from opensdm.core.staging import Edit
from tests.acceptance.provisioning import Bench, interface, realm

ADD, UPDATE, DELETE, REPLACE = BatchVerb.ADD, BatchVerb.UPDATE, BatchVerb.DELETE, BatchVerb.REPLACE


async def apply(bench: Bench, *edits: tuple[BatchVerb, Element] | BatchEdit, user: str = "alice") -> None:
    made = tuple(edit if isinstance(edit, BatchEdit) else BatchEdit(*edit) for edit in edits)
    await bench.do(user, ApplyBatch(device_id=bench.device_id, edits=made))


async def values(bench: Bench, name: str) -> dict[str, str]:
    (found,) = [each for each in await bench.listed("realmConfig") if each.attributes["id"] == name]
    return dict(found.attributes)


async def test_each_edit_is_made_on_what_those_before_it_leave(bench: Bench) -> None:
    port = Element("sipInterface/sipPort", {"address": "198.51.100.11", "port": "5070", "transportProtocol": "TCP"})
    await apply(
        bench,
        (ADD, realm("peering", description="one")),
        (ADD, interface("peering")),
        BatchEdit(ADD, port, Element("sipInterface", {"realmId": "peering"})),
        (UPDATE, realm("peering", description="two")),
        (ADD, realm("gone")),
        (DELETE, realm("gone")),
    )
    assert await bench.pending() == [
        (Edit.CREATED, "realmConfig", ("peering",)),
        (Edit.CREATED, "sipInterface", ("peering",)),
    ]
    assert (await values(bench, "peering"))["description"] == "two"
    (made,) = [each for each in await bench.listed("sipInterface") if each.attributes["realmId"] == "peering"]
    assert len(made.children) == 2
    assert (await bench.push()).status == "SUCCESS"
    assert bench.stored("running", "realm-config", identifier="gone") is None
    assert bench.stored("running", "sip-interface", **{"realm-id": "peering"}) is not None


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ((DELETE, realm("nowhere")), NotFound),
        ((UPDATE, realm("nowhere")), NotFound),
        ((REPLACE, realm("nowhere")), NotFound),
        ((ADD, realm("peering")), AlreadyExists),
        ((ADD, realm("x y")), InvalidRequest),
        ((UPDATE, realm("peering", noSuch="1")), InvalidRequest),
        ((REPLACE, Element("realmConfig", {})), InvalidRequest),
    ],
)
async def test_one_that_cannot_be_made_is_named_and_none_is_staged(
    bench: Bench, bad: tuple[BatchVerb, Element], error: type[SdmError]
) -> None:
    await bench.add("alice", realm("before"))
    before = await bench.pending()
    with pytest.raises(error, match=rf"^edit 2 of 3 \({bad[0].value}\): ") as caught:
        await apply(bench, (ADD, realm("peering")), bad, (DELETE, realm("before")))
    assert caught.value.facts["edit"] == 2
    assert await bench.pending() == before
    with pytest.raises(InvalidRequest, match="holds no edit"):
        await apply(bench)


async def test_what_is_added_and_deleted_again_leaves_nothing(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    await apply(bench, (DELETE, realm("peering")), (ADD, realm("other")), (DELETE, realm("other")))
    assert await bench.pending() == []


async def test_replacing_drops_what_is_not_given(bench: Bench) -> None:
    await apply(bench, (ADD, realm("peering", description="one", addrPrefix="192.0.2.0/24")), (ADD, interface("core")))
    await apply(
        bench, (REPLACE, realm("peering", description="two")), (REPLACE, Element("sipInterface", {"realmId": "core"}))
    )
    found = await values(bench, "peering")
    assert found["description"] == "two" and "192.0.2.0/24" not in found.values()
    (made,) = [each for each in await bench.listed("sipInterface") if each.attributes["realmId"] == "core"]
    assert made.children == ()


async def test_nobody_stages_a_batch_on_what_another_holds(bench: Bench) -> None:
    await bench.do("bob", LockDevice(device_id=bench.device_id))
    with pytest.raises(DeviceLocked, match="locked by bob"):
        await apply(bench, (ADD, realm("peering")))
    assert await bench.pending() == []
