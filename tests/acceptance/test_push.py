"""From staged changes to the device and back, through the real gate, store and driver, onto a virtual SBC.

The device's own journal is the witness of what was written to it, and when.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import (
    AlreadyExists,
    DeviceBusy,
    DeviceLocked,
    InvalidRequest,
    NotAssigned,
    NotFound,
    NotLoaded,
    ReadOnlyDevice,
    StaleConfiguration,
    UnknownAttribute,
    UnknownElementType,
    Unreachable,
)
from opensdm.core.lock import OverrideMode
from opensdm.core.operations import (
    AddElement,
    AssignDevice,
    DeleteElement,
    DiscardChanges,
    ListElements,
    LoadConfiguration,
    LockDevice,
    Operation,
    OverrideLock,
    PollDevice,
    PushAction,
    PushChanges,
    ReadDeviceFacts,
    RetrieveElement,
    ShowDevice,
    ShowPendingChanges,
    UnassignDevice,
    UpdateElement,
)
from opensdm.core.results import FAILED, NOT_APPLICABLE, SUCCEEDED, UNKNOWN, PushReply
from opensdm.core.staging import Edit
from opensdm.simulator import VirtualSbc
from opensdm.simulator.element import Draft, change, create
from opensdm.tls import ensure_certificates
from tests.gatehouse import House, house_with_users, open_house

WRITING = ("lock", "unlock", "element", "management")
USER, PASSWORD = "ops", "s3cret-pw"
ALL = PushAction.SAVE_ACTIVATE


@dataclass
class Bench:
    """One house, one virtual SBC enrolled in it and loaded."""

    house: House
    sbc: VirtualSbc
    device_id: int
    port: int

    async def start_again(self) -> None:
        """The device comes back on its old address, with what it had in memory."""
        await self.sbc.start("127.0.0.1", self.port)

    async def do(self, user: str, operation: Operation) -> Any:
        return await self.house.do(user, operation)

    async def add(self, user: str, element: Element, parent: Element | None = None) -> Any:
        return await self.do(user, AddElement(device_id=self.device_id, element=element, parent=parent))

    async def update(self, user: str, element: Element, parent: Element | None = None) -> Any:
        return await self.do(user, UpdateElement(device_id=self.device_id, element=element, parent=parent))

    async def delete(self, user: str, element: Element, parent: Element | None = None) -> Any:
        return await self.do(user, DeleteElement(device_id=self.device_id, element=element, parent=parent))

    async def push(self, user: str = "alice", action: PushAction = ALL) -> PushReply:
        reply = await self.do(user, PushChanges(device_id=self.device_id, action=action))
        assert isinstance(reply, PushReply)
        return reply

    async def load(self, user: str = "alice") -> Any:
        return await self.do(user, LoadConfiguration(device_id=self.device_id))

    async def pending(self, user: str = "alice") -> list[tuple[Edit, str, tuple[str, ...]]]:
        shown = await self.do(user, ShowPendingChanges(device_id=self.device_id))
        return [(c.edit, c.path, c.key) for c in shown.changes]

    async def listed(self, path: str, user: str = "alice") -> list[Element]:
        shown = await self.do(user, ListElements(device_id=self.device_id, element_path=path))
        assert shown.total == len(shown.items)
        return list(shown.items)

    async def device(self) -> Any:
        return (await self.do("mona", ShowDevice(device_id=self.device_id))).device

    def writes(self) -> list[str]:
        """What was written, in order: `lock`, `sip-interface realm-id=core`, `verify`, ..."""
        return [e.subject or e.kind for e in self.sbc.journal if e.kind in WRITING]

    def stored(self, store: str, kind: str, **keys: str) -> dict[str, Any] | None:
        """An element in the editing, saved or running configuration, as the device itself has it."""
        for element in getattr(self.sbc.stores, store).as_json():
            values = {name: ",".join(found) for name, found in element["attributes"].items()}
            if element["type"] == kind and all(values[name] == value for name, value in keys.items()):
                return {**values, "children": element["children"]}
        return None

    def edited_outside(self, kind: str, key: tuple[str, ...], **values: str) -> None:
        """Somebody at the device's own console changes an element and activates it."""
        spec, stores = self.sbc.stores.schema.elements[kind], self.sbc.stores
        draft = Draft(kind, {name: (value,) for name, value in values.items()})
        for store in (stores.editing, stores.saved, stores.running):
            present = store.get(spec, tuple((k,) for k in key))
            store.put(create(spec, draft) if present is None else change(spec, present, draft))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_with_users(f"sqlite:///{tmp_path}/opensdm.db", tmp_path) as house:
        yield house


Enrol = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def enrol(house: House, tmp_path: Path) -> AsyncIterator[Enrol]:
    """Starts the virtual SBC and enrols it, with more device parameters if given; not loaded yet."""
    files = ensure_certificates(tmp_path / "tls", ["127.0.0.1"])
    pair = (files.server_cert, files.server_key)
    sbc = VirtualSbc("edge-a", username=USER, password=PASSWORD, tls=pair, job_delay_s=0.01)
    host, port = await sbc.start("127.0.0.1", 0)
    trusted = {"tls.ca": files.ca_cert.read_text()}

    async def enrol(**parameters: str) -> Bench:
        device_id = await house.enrol(sbc.name, f"{host}:{port}", **trusted, **parameters)
        return Bench(house, sbc, device_id, port)

    yield enrol
    await sbc.stop()


@pytest.fixture
async def bench(enrol: Enrol) -> Bench:
    bench = await enrol()
    await bench.load()
    return bench


def realm(name: str, **values: str) -> Element:
    return Element("realmConfig", {"id": name, **values})


def interface(name: str = "core", port: str = "5060") -> Element:
    return Element(
        "sipInterface",
        {"realmId": name, "description": "new"},
        (Element("sipInterface/sipPort", {"address": "198.51.100.10", "port": port, "transportProtocol": "UDP"}),),
    )


def flags(reply: PushReply) -> dict[str, str]:
    names = ("lock", "validation", "create", "integrity_check", "restore", "save", "activate", "unlock")
    return {name: getattr(reply, name) for name in names if getattr(reply, name) != NOT_APPLICABLE}


# ------------------------------------------------------------------------------------------- the whole way


async def test_staged_changes_reach_the_running_configuration(bench: Bench) -> None:
    await bench.add("alice", realm("peering", description="new", mrInRealm="enabled"))
    await bench.add("alice", interface())
    await bench.update("alice", realm("access", description="changed"))
    await bench.delete("alice", Element("sessionAgent", {"hostname": "softswitch.example"}))
    before = (await bench.device()).loaded_version
    reply = await bench.push()
    assert (reply.status, reply.error_code) == (SUCCEEDED, None)
    assert flags(reply) == dict.fromkeys(
        ("lock", "validation", "create", "integrity_check", "save", "activate", "unlock"), SUCCEEDED
    )
    assert bench.writes() == [
        "lock", "session-agent hostname=softswitch.example", "realm-config identifier=peering",
        "sip-interface realm-id=core", "realm-config identifier=access", "verify", "save", "activate", "unlock",
    ]  # fmt: skip
    running = bench.stored("running", "realm-config", identifier="peering")
    assert running is not None and running["mm-in-realm"] == "enabled"
    assert bench.stored("running", "session-agent", hostname="softswitch.example") is None
    assert await bench.pending() == []
    device = await bench.device()
    assert (device.status, device.last_operation) == ("In Sync", "SaveAndActivate")
    assert device.loaded_version > before
    (shown,) = [e for e in await bench.listed("realmConfig") if e.attributes["id"] == "peering"]
    assert shown.attributes["denyPeriod"] == "30"  # our copy has what the device filled in


async def test_saving_and_activating_can_be_two_pushes(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    saved = await bench.push(action=PushAction.SAVE)
    assert (saved.status, saved.activate, saved.save) == (SUCCEEDED, NOT_APPLICABLE, SUCCEEDED)
    assert bench.stored("saved", "realm-config", identifier="peering")
    assert bench.stored("running", "realm-config", identifier="peering") is None
    assert ((await bench.device()).status, await bench.pending()) == ("Modified", [])
    await bench.update("alice", realm("peering", description="second thoughts"))
    activated = await bench.push(action=PushAction.ACTIVATE)
    assert flags(activated) == dict.fromkeys(("lock", "activate", "unlock"), SUCCEEDED)
    running = bench.stored("running", "realm-config", identifier="peering")
    assert running is not None and running["description"] == ""
    assert (await bench.device()).last_operation == "Activate"
    assert await bench.pending() == [(Edit.MODIFIED, "realmConfig", ("peering",))]
    assert (await bench.push()).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="peering") or {})["description"] == "second thoughts"


async def test_a_push_without_changes_succeeds_and_says_so(bench: Bench) -> None:
    reply = await bench.push()
    assert (reply.status, reply.create, reply.integrity_check) == (SUCCEEDED, NOT_APPLICABLE, NOT_APPLICABLE)
    assert reply.validation_message == "there were no staged changes"
    assert bench.writes() == ["lock", "verify", "save", "activate", "unlock"]


async def test_the_users_own_lock_survives_the_push_of_another_session(bench: Bench) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id, reason="window 4711"))
    await bench.add("alice", realm("peering"))
    second = await bench.house.caller("alice", again=True)
    reply = await bench.house.gate.execute(second, PushChanges(device_id=bench.device_id, action=ALL))
    assert reply.status == SUCCEEDED
    writes = len(bench.writes())
    with pytest.raises(DeviceLocked, match="alice"):
        await bench.push("bob")
    with pytest.raises(DeviceLocked, match="window 4711"):
        await bench.load("bob")
    assert len(bench.writes()) == writes


async def test_what_is_staged_while_a_push_runs_stays_staged(bench: Bench) -> None:
    await bench.add("alice", realm("peering", description="one"))
    bench.sbc.control({"job_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: "verify" in bench.writes())
    with pytest.raises(DeviceBusy, match="PushChanges of alice"):
        await bench.push("bob")
    await bench.update("alice", realm("peering", description="two"))
    await bench.add("alice", realm("later"))
    assert (await pushing).status == SUCCEEDED
    assert await bench.pending() == [
        (Edit.MODIFIED, "realmConfig", ("peering",)),
        (Edit.CREATED, "realmConfig", ("later",)),
    ]
    assert (bench.stored("running", "realm-config", identifier="peering") or {})["description"] == "one"
    assert (await bench.push()).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="peering") or {})["description"] == "two"


# ------------------------------------------------------------------------------------- staging and reading


async def test_views_are_each_users_own(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    await bench.update("alice", realm("core", description="hers"))
    hers = {e.attributes["id"]: e.attributes.get("description") for e in await bench.listed("realmConfig")}
    assert hers == {"access": "subscribers", "core": "hers", "peering": None}
    assert [e.attributes["id"] for e in await bench.listed("realmConfig", "bob")] == ["access", "core"]
    assert await bench.pending("bob") == []
    found = await bench.do("bob", RetrieveElement(device_id=bench.device_id, element=realm("core", addrPrefix="x")))
    assert found.attributes["description"] == "carrier core"
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    assert await bench.pending() == []


async def test_lists_are_paged_and_need_a_type(bench: Bench) -> None:
    page = await bench.do(
        "alice", ListElements(device_id=bench.device_id, element_path="realmConfig", offset=1, limit=1)
    )
    assert ([e.attributes["id"] for e in page.items], page.total, page.offset) == (["core"], 2, 1)
    with pytest.raises(InvalidRequest, match="elementTypePath"):
        await bench.listed("")
    with pytest.raises(UnknownElementType, match="did you mean realmConfig"):
        await bench.listed("realmConfigs")
    rows = await bench.listed("realmConfig/networkInterfaceId")
    assert [row.attributes["name"] for row in rows] == ["s0p0", "s1p0"]


async def test_sub_elements_are_edited_in_their_element(bench: Bench) -> None:
    parent = realm("core")
    row = Element("realmConfig/networkInterfaceId", {"name": "s0p0", "subPortId": "0", "family": "4"})
    await bench.add("alice", row, parent)
    with pytest.raises(AlreadyExists, match="in realmConfig core"):
        await bench.add("alice", row, parent)
    port = Element("sipInterface/sipPort", {"address": "192.0.2.10", "port": "5060", "transportProtocol": "UDP"})
    access = Element("sipInterface", {"realmId": "access"})
    await bench.update("alice", Element(port.path, {**port.attributes, "allowAnonymous": "registered"}), access)
    assert await bench.pending() == [
        (Edit.MODIFIED, "realmConfig", ("core",)),
        (Edit.MODIFIED, "sipInterface", ("access",)),
    ]
    assert (await bench.push()).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="core") or {})[
        "network-interfaces"
    ] == "s1p0:0.4,s0p0:0.4"
    await bench.delete("alice", port, access)
    reply = await bench.push()
    assert reply.status == SUCCEEDED, reply
    assert (bench.stored("running", "sip-interface", **{"realm-id": "access"}) or {})["children"] == []


@pytest.mark.parametrize(
    ("element", "error", "message"),
    [
        (realm("core"), AlreadyExists, "realmConfig core exists already"),
        (realm("peering", descr="x"), UnknownAttribute, "no attribute 'descr'"),
        (realm("peering", mrInRealm="yes"), InvalidRequest, "mrInRealm: 'yes' is none of disabled, enabled"),
        (realm("peering", maxLatency="-5"), InvalidRequest, "maxLatency: '-5' is not within"),
        (realm("no blanks"), InvalidRequest, "does not match"),
        (Element("realmConfig", {"description": "x"}), InvalidRequest, "missing: id"),
        (Element("realmKonfig", {"id": "x"}), UnknownElementType, "did you mean realmConfig"),
    ],
)
async def test_wrong_elements_are_refused_when_staged(
    bench: Bench, element: Element, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await bench.add("alice", element)
    assert await bench.pending() == []


async def test_what_is_not_there_cannot_be_changed(bench: Bench) -> None:
    for attempt in (bench.update("alice", realm("nowhere", description="x")), bench.delete("alice", realm("nowhere"))):
        with pytest.raises(NotFound, match="no realmConfig nowhere"):
            await attempt


async def test_nothing_works_before_it_is_assigned_and_loaded(enrol: Enrol) -> None:
    bench = await enrol()
    for attempt in (bench.listed("realmConfig"), bench.add("alice", realm("r")), bench.push()):
        with pytest.raises(NotLoaded, match="load it first"):
            await attempt
    await bench.do("alice", UnassignDevice(device_id=bench.device_id))
    for again in (bench.load(), bench.add("alice", realm("r")), bench.push()):
        with pytest.raises(NotAssigned, match="assign it first"):
            await again
    with pytest.raises(NotAssigned):
        await bench.do("alice", UnassignDevice(device_id=bench.device_id))
    shown = await bench.do("alice", AssignDevice(device_id=bench.device_id))
    assert shown.device.assigned
    with pytest.raises(AlreadyExists):
        await bench.do("alice", AssignDevice(device_id=bench.device_id))
    assert bench.writes() == []


async def test_a_read_only_device_is_loaded_and_never_written(enrol: Enrol) -> None:
    bench = await enrol(**{"read.only": "true"})
    await bench.load()
    assert len(await bench.listed("realmConfig")) == 2
    for attempt in (bench.add("alice", realm("r")), bench.push("admin")):
        with pytest.raises(ReadOnlyDevice):
            await attempt
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    assert bench.writes() == []


# ----------------------------------------------------------------------------------------------- stale


async def test_the_second_of_two_pushes_on_one_element_is_stale(bench: Bench) -> None:
    await bench.update("alice", realm("core", description="hers"))
    await bench.update("bob", realm("core", description="his"))
    await bench.update("bob", realm("access", description="his, too"))
    assert (await bench.push("alice")).status == SUCCEEDED
    writes = len(bench.writes())
    with pytest.raises(StaleConfiguration, match="realmConfig core") as caught:
        await bench.push("bob")
    assert caught.value.facts["differences"] == [
        {
            "elementTypePath": "realmConfig", "key": ["core"], "attribute": "description",
            "old": "carrier core", "new": "hers",
        }
    ]  # fmt: skip
    assert len(bench.writes()) == writes
    assert len(await bench.pending("bob")) == 2


async def test_pushes_on_different_elements_both_go_through(bench: Bench) -> None:
    await bench.update("alice", realm("core", description="hers"))
    await bench.add("bob", realm("peering"))
    assert (await bench.push("alice")).status == (await bench.push("bob")).status == SUCCEEDED
    assert (bench.stored("running", "realm-config", identifier="core") or {})["description"] == "hers"


async def test_a_change_that_refers_to_what_went_meanwhile_is_stale(bench: Bench) -> None:
    await bench.add("alice", Element("sessionAgent", {"hostname": "agent.example", "realmId": "access"}))
    await bench.delete("bob", Element("sipInterface", {"realmId": "access"}))
    await bench.delete("bob", realm("access"))
    assert (await bench.push("bob")).status == SUCCEEDED
    with pytest.raises(
        StaleConfiguration, match=r"agent\.example: realmId refers to realmConfig access, which is gone"
    ):
        await bench.push("alice")


async def test_a_device_changed_outside_us_is_stale_before_anything_is_sent(bench: Bench) -> None:
    await bench.update("alice", realm("core", description="hers"))
    bench.edited_outside("realm-config", ("core",), identifier="core", description="console")
    with pytest.raises(StaleConfiguration, match="the device holds something else"):
        await bench.push()
    assert bench.writes() == []
    await bench.load()
    with pytest.raises(StaleConfiguration, match="since they were staged"):
        await bench.push()
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    await bench.update("alice", realm("core", description="hers"))
    assert (await bench.push()).status == SUCCEEDED


async def test_other_software_on_the_device_has_its_own_flag(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    bench.sbc._device.version = "SCZ9.2.0"
    reply = await bench.push()
    assert (reply.status, reply.firmware_changed, flags(reply)) == (FAILED, True, {})
    assert "SCZ9.2.0" in (reply.error_message or "")
    assert bench.writes() == []
    assert (await bench.load()).device.software_version == "SCZ9.2.0"
    assert (await bench.push()).status == SUCCEEDED


# ------------------------------------------------------------------------------------------ things go wrong


async def staged(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    await bench.add("alice", interface())


async def assert_untouched(bench: Bench) -> None:
    """The device is as before in all three configurations, and nothing staged is lost."""
    for store in ("editing", "saved", "running"):
        assert bench.stored(store, "realm-config", identifier="peering") is None, store
    assert len(await bench.pending()) == 2
    assert bench.sbc.tokens.lock_holder() is None


async def test_a_lock_held_on_the_device_itself(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"console_lock": True})
    reply = await bench.push()
    assert (reply.status, reply.error_code, flags(reply)) == (FAILED, "DEVICE_SIDE_LOCKED", {"lock": FAILED})
    assert "console" in (reply.error_message or "")
    bench.sbc.control({"console_lock": False})
    assert (await bench.push()).status == SUCCEEDED


async def test_an_edit_the_device_lost_is_caught_and_everything_put_back(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"lose_edits": 1})
    reply = await bench.push()
    assert (reply.status, reply.error_code) == (FAILED, "EDIT_LOST")
    assert flags(reply) == {
        "lock": SUCCEEDED, "create": SUCCEEDED, "validation": SUCCEEDED, "integrity_check": FAILED,
        "restore": SUCCEEDED, "unlock": SUCCEEDED,
    }  # fmt: skip
    assert "realmConfig peering" in (reply.error_message or "")
    await assert_untouched(bench)
    assert (await bench.push()).status == SUCCEEDED


async def test_what_the_device_does_not_accept_is_said_in_its_words(bench: Bench) -> None:
    await staged(bench)
    await bench.add("alice", Element("sessionAgent", {"hostname": "agent.example", "realmId": "nowhere"}))
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.validation, reply.restore) == (FAILED, "REJECTED", FAILED, SUCCEEDED)
    assert "[nowhere] in realm-id, which does not exist" in (reply.validation_message or "")
    assert (reply.save, reply.activate) == (NOT_APPLICABLE, NOT_APPLICABLE)
    await bench.delete("alice", Element("sessionAgent", {"hostname": "agent.example"}))
    await assert_untouched(bench)


async def test_an_element_the_device_refuses_to_store(bench: Bench) -> None:
    await staged(bench)
    await bench.update("alice", realm("core", addrPrefix="not an address"))
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.create, reply.restore) == (FAILED, "REJECTED", FAILED, SUCCEEDED)
    assert "not an address or prefix" in (reply.error_message or "")
    assert bench.stored("editing", "realm-config", identifier="peering") is None


@pytest.mark.parametrize("applies", [True, False])
@pytest.mark.parametrize("answered", [0, 1])
async def test_a_connection_cut_in_the_middle(bench: Bench, answered: int, applies: bool) -> None:
    await staged(bench)
    bench.sbc.control({"drop_after_writes": answered, "drop_applies": applies})
    reply = await bench.push()
    assert (reply.status, reply.error_code) == (FAILED, "UNREACHABLE")
    assert flags(reply) == {"lock": SUCCEEDED, "create": UNKNOWN, "restore": SUCCEEDED, "unlock": SUCCEEDED}
    await assert_untouched(bench)
    assert (await bench.push()).status == SUCCEEDED


@pytest.mark.parametrize("action", ["save", "activate"])
async def test_a_job_that_fails_is_undone(bench: Bench, action: str) -> None:
    await staged(bench)
    bench.sbc.control({"fail_jobs": [action]})
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "REJECTED", SUCCEEDED)
    assert getattr(reply, action) == FAILED
    await assert_untouched(bench)


async def test_a_rollback_that_fails_is_said_and_the_next_push_cleans_up(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"fail_jobs": ["save", "restore"]})
    reply = await bench.push()
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "ROLLBACK_FAILED", FAILED)
    assert (await bench.device()).status == "Uncertain"
    assert bench.stored("editing", "realm-config", identifier="peering") is not None
    bench.sbc.control({"fail_jobs": []})
    await bench.update("bob", realm("core", description="his"))
    assert (await bench.push("bob")).status == SUCCEEDED
    assert bench.stored("running", "realm-config", identifier="peering") is None
    assert (await bench.device()).status == "In Sync"
    assert (await bench.push("alice")).status == SUCCEEDED


async def test_leftovers_on_a_device_changed_outside_are_not_ours_to_clean_up(bench: Bench) -> None:
    await staged(bench)
    bench.sbc.control({"fail_jobs": ["save", "restore"]})
    await bench.push()
    bench.sbc.control({"fail_jobs": []})
    bench.edited_outside("realm-config", ("core",), identifier="core", description="console")
    writes = len(bench.writes())
    with pytest.raises(StaleConfiguration, match="the device runs something else"):
        await bench.push()
    assert len(bench.writes()) == writes


async def test_a_device_that_went_away(bench: Bench) -> None:
    await staged(bench)
    await bench.sbc.stop()
    with pytest.raises(Unreachable):
        await bench.push()
    with pytest.raises(Unreachable):
        await bench.load()
    assert len(await bench.pending()) == 2


async def test_a_token_the_device_forgets_in_the_middle(bench: Bench) -> None:
    """Its lock goes with it: the push ends, and what it wrote is put back in a new session."""
    await staged(bench)
    bench.sbc.control({"job_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: "verify" in bench.writes())
    bench.sbc.tokens.revoke_all()
    reply = await pushing
    assert (reply.status, reply.restore) == (FAILED, SUCCEEDED)
    await assert_untouched(bench)


async def test_a_device_that_goes_away_in_the_middle_and_comes_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what it holds, so the record says just that; the next push looks, cleans up and goes on."""
    monkeypatch.setattr("opensdm.drivers.acme_sbc.WRITE_LIMIT_S", 2.0)
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == 2)
    await bench.sbc.stop()
    reply = await pushing
    assert (reply.status, reply.error_code) == (FAILED, "ROLLBACK_FAILED")
    assert flags(reply) == {"lock": SUCCEEDED, "create": UNKNOWN, "restore": UNKNOWN, "unlock": UNKNOWN}
    device = await bench.device()
    assert (device.status, len(await bench.pending())) == ("Uncertain", 2)
    assert bench.stored("editing", "realm-config", identifier="peering") is not None
    bench.sbc.control({"write_delay_s": 0.0})
    await bench.start_again()
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    await asyncio.sleep(2.1)  # until then the write that was cut off counts as on its way
    assert (await bench.push()).status == SUCCEEDED
    assert bench.stored("editing", "realm-config", identifier="peering") is None


async def test_a_server_that_dies_in_the_middle_finds_out_when_it_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opensdm.drivers.acme_sbc.WRITE_LIMIT_S", 2.0)
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.3})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == 3)
    await bench.house.crash()
    with contextlib.suppress(asyncio.CancelledError):
        await pushing
    bench.sbc.control({"write_delay_s": 0.0})
    bench.house = again = await open_house(bench.house.url, bench.house.key_file)
    assert len(await bench.pending()) == 2
    with pytest.raises(DeviceBusy, match="PushChanges of alice"):
        await bench.push()  # what was on the wire may still reach the device
    await asyncio.sleep(2.1)
    held = await bench.push()
    assert (held.error_code, held.lock) == ("DEVICE_SIDE_LOCKED", FAILED)  # by a session that died with the server
    bench.sbc.tokens.revoke_all()  # as time would
    with pytest.raises(DeviceLocked, match="alice"):
        await bench.push("bob")
    await bench.do("alice", DiscardChanges(device_id=bench.device_id))
    assert (await bench.push()).status == SUCCEEDED
    assert bench.stored("running", "realm-config", identifier="peering") is None
    await again.close()


# ---------------------------------------------------------------------------------------------- the fence


@pytest.mark.parametrize("after", range(1, 8))
async def test_an_override_stops_the_push_before_its_next_write(bench: Bench, after: int) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.15, "job_delay_s": 0.15})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == after)
    override = OverrideLock(device_id=bench.device_id, reason="emergency 4711", expected_holder="alice")
    taken = await bench.do("admin", override)
    assert not taken.settled
    written = len(bench.writes())
    reply = await pushing
    assert len(bench.writes()) == written == after
    assert (reply.status, reply.error_code, reply.restore) == (FAILED, "LOCK_LOST", NOT_APPLICABLE)
    assert "admin" in (reply.error_message or "") and "emergency 4711" in (reply.error_message or "")
    assert len(await bench.pending()) == 2
    bench.sbc.control({"write_delay_s": 0.0, "job_delay_s": 0.01})
    if after < ACTIVATE:
        await assert_admin_can_go_on(bench)
        return
    # The activation was on its way when the lock was taken: the device runs the changes, and our copy does not say so.
    assert bench.stored("running", "realm-config", identifier="peering")
    await bench.update("admin", realm("core", description="hers who took over"))
    with pytest.raises(StaleConfiguration, match="realmConfig peering"):
        await bench.push("admin")
    await bench.load("admin")
    assert (await bench.push("admin")).status == SUCCEEDED


ACTIVATE = 6
"""Which write of the push of `staged` is the activation: after lock, two elements, verify and save."""


async def assert_admin_can_go_on(bench: Bench) -> None:
    """Whoever took over finds no device-side lock in the way and carries along none of the cut-off edits."""
    await bench.update("admin", realm("core", description="hers who took over"))
    reply = await bench.push("admin")
    assert reply.status == SUCCEEDED, reply
    for store in ("editing", "saved", "running"):
        assert bench.stored(store, "realm-config", identifier="peering") is None, store
        assert (bench.stored(store, "realm-config", identifier="core") or {})["description"] == "hers who took over"
    assert bench.sbc.tokens.lock_holder() is None


async def test_a_graceful_override_lets_the_push_end(bench: Bench) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"job_delay_s": 0.2})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: "verify" in bench.writes())
    override = OverrideLock(device_id=bench.device_id, reason="when done", mode=OverrideMode.GRACEFUL)
    assert not (await bench.do("admin", override)).settled
    assert (await pushing).status == SUCCEEDED


async def test_a_load_after_cut_off_work_says_that_the_device_is_uncertain(bench: Bench) -> None:
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    await staged(bench)
    bench.sbc.control({"write_delay_s": 0.15})
    pushing = asyncio.create_task(bench.push())
    await until(lambda: len(bench.writes()) == 3)
    await bench.do("admin", OverrideLock(device_id=bench.device_id, reason="now"))
    await pushing
    bench.sbc.control({"write_delay_s": 0.0})
    assert (await bench.load("admin")).device.status == "Uncertain"
    await assert_admin_can_go_on(bench)


# ------------------------------------------------------------------------------------------------ facts


async def test_facts_are_asked_and_polls_are_recorded(bench: Bench) -> None:
    facts = await bench.do("alice", ReadDeviceFacts(device_id=bench.device_id))
    assert (facts.host_name, facts.role, facts.software_version) == ("edge-a", "active", "SCZ9.1.0")
    await bench.house.gate.execute(bench.house.system, PollDevice(device_id=bench.device_id))
    device = await bench.device()
    assert (device.reachable, device.poll_error, device.software_version) == (True, None, "SCZ9.1.0")
    await bench.do("alice", LockDevice(device_id=bench.device_id))
    with pytest.raises(DeviceLocked):
        await bench.do("bob", ReadDeviceFacts(device_id=bench.device_id))
    await bench.sbc.stop()
    await bench.house.gate.execute(bench.house.system, PollDevice(device_id=bench.device_id))
    device = await bench.device()
    assert not device.reachable and "no connection" in device.poll_error
    assert device.software_version == "SCZ9.1.0"
    assert bench.writes() == []


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    for _ in range(int(timeout_s / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("what the test waits for did not happen")
