"""Every request about a lock at every door that has it: the same outcome, and a refusal names the same who, since and
why. A lock taken at one door binds at every other. What a door lacks is listed, with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import text

from opensdm.core.lock import Actor, Admit, Admitted, EndClaim, LockScope
from opensdm.core.operations import ListDevices, LockDevice, OverrideLock, Scope, ShowLock, ShowSession, UnlockDevice
from opensdm.core.ports import LockView
from opensdm.core.submission import Submission, Target
from opensdm.gate.policy import utc
from tests.acceptance.rest_site import Site, site
from tests.doors import offered
from tests.doors.absence_table import ABSENT, KINDS, LACKING, absent, lacking
from tests.doors.lock_doors import NOBODY, OTHER, Cli, Device, Door, Told, Web, doors
from tests.doors.lock_rows import CUT, EPOCH, FREE, LOST, REASON, ROWS, SESSION, STALE, WORK, Row

WRITES = ("LoadConfiguration", "AddElement", "PushChanges")
NAMES = (
    "rest-v1.0-xml", "rest-v1.1-json", "rest-v1.2-xml", "rest-v1.3-json", "rest-v1.3-xml", "rest-v1.4-xml",
    "rest-v1.4-json", "soap", "web", "cli",
)  # fmt: skip


@dataclass
class Street:
    """One server, all its doors, and for each door a device of its own beside the one for all."""

    place: Site
    doors: tuple[Door, ...]
    device: Device
    own: dict[str, Device]

    def do(self, user: str, operation: Any) -> Any:
        return self.place.run(self.place.house.do(user, operation))

    def view(self, device: Device) -> LockView:
        found: LockView = self.do("mona", ShowLock(device_id=device.number))
        return found

    def free(self, device: Device) -> None:
        """Whoever holds it unlocks."""
        row = self.view(device).row
        if row.holder_name is not None:
            self.do(row.holder_name, UnlockDevice(device_id=device.number, epoch=row.epoch))

    def let_wait(self, seconds: float) -> None:
        """As the setting `lock.wait_s` would, whoever cannot say it."""
        gate = self.place.house.gate
        gate.lock_policy = replace(gate.lock_policy, wait_s=seconds)

    def begin_work(self, user: str, device: Device) -> int:
        """A push that is admitted and goes on until it is ended."""
        house = self.place.house
        session = self.do(user, ShowSession()).session
        actor = Actor(session.user_id, session.user_name, session.session_id, "rest")
        claim = Admit(actor, frozenset(), 0, "PushChanges", house.ledger.incarnation, exclusive=True)
        target = Target(Scope.DEVICE, device.number)
        admitted = self.place.run(house.ledger.submit(Submission(target, claim))).answer
        assert isinstance(admitted, Admitted) and admitted.claim is not None
        return admitted.claim.claim_id

    def cut_off(self, claim_id: int) -> int:
        """As a crash in the middle of a write does, on a device that cannot refuse what comes late."""
        self._write("UPDATE claim SET unfenced = 1, state = 'INTERRUPTED', step_until_us = 1", claim_id)
        return claim_id

    def _write(self, update: str, claim_id: int) -> None:
        async def work(connection: Any) -> None:
            await connection.execute(text(f"{update} WHERE claim_id = :id"), {"id": claim_id})

        self.place.run(self.place.house.database.transact(work))

    def end_work(self, device: Device, claim_id: int) -> None:
        """Also where it was cut off, and somebody would have to look."""
        self._write("UPDATE claim SET unfenced = 0", claim_id)
        end = Submission(Target(devices=frozenset({device.number})), EndClaim(claim_id))
        self.place.run(self.place.house.ledger.submit(end))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with site(tmp_path_factory.mktemp("doors")) as place:
        found = doors(place)

        def enrolled(number: int, name: str) -> Device:
            place.run(place.house.enrol(name, f"192.0.2.{number}:443"))
            (shown,) = place.by_console(ListDevices(filters={"name": name})).items
            return Device(shown.device.device_id, name, shown.device.nf_id)

        own = {door.name: enrolled(number, f"of-{door.name}") for number, door in enumerate(found, start=2)}
        yield Street(place, found, enrolled(1, "edge-a"), own)


# ------------------------------------------------------------------------------------ what there is


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_is_offered_or_its_absence_explained(kind: str) -> None:
    has, lacks = offered.operations(kind), absent(kind)
    assert not has & lacks, "listed as absent, and there"
    assert has | lacks >= offered.sendable(), offered.sendable() - has - lacks
    assert lacks <= offered.sendable() and all(len(why) > 20 for why in ABSENT[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_lock_request_is_offered_or_its_absence_explained(kind: str) -> None:
    has, lacks = offered.filled(kind), lacking(kind)
    names = {name for name in offered.operations(kind) if offered.about_locks(name)}
    wanted = {(name, field) for name in names for field in offered.fields_of(name)}
    assert not has & lacks, "listed as lacking, and there"
    assert wanted <= has | lacks, wanted - has - lacks
    assert lacks <= wanted and all(len(why) > 20 for why in LACKING[kind])


def test_every_command_is_known_with_its_options() -> None:
    assert offered.command_options() == {
        name: set(options) for name, (_, options) in offered.LOCK_COMMANDS.items()
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_on_locks_and_every_field_has_a_row(kind: str) -> None:
    """A new one at any door fails here until the table asks for it."""
    tried = {row.operation for row in ROWS}
    tried_fields = {(row.operation, name) for row in ROWS for name in row.fields}
    assert {n for n in offered.operations(kind) if offered.about_locks(n)} <= tried
    used = {(name, field) for name, field in offered.filled(kind) if offered.about_locks(name)}
    generic = {(name, "epoch") for name in tried}
    assert used - generic <= tried_fields, used - generic - tried_fields


def has(door: Door, row: Row) -> bool:
    """Whether it can be asked there, as the list of absences says."""
    if row.user == NOBODY and isinstance(door, Cli):
        return False  # a command signs in, or is wrong usage
    return row.operation not in absent(door.kind) and not any(
        (row.operation, name) in lacking(door.kind) for name in row.fields
    )


# --------------------------------------------------------------------------------- the same outcome


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_door_gives_the_same_outcome(street: Street, row: Row) -> None:
    asked = [door for door in street.doors if has(door, row)]
    assert len(asked) >= 2, "a row is about several doors"
    claim_id = None
    try:
        for door in asked:
            # Other refusals, and looks, leave all as it was.
            if door is asked[0] or row.given == LOST or not (row.code or row.view):
                claim_id = prepare(street, row)
            outcome(street, door, row)
    finally:
        if claim_id is not None:
            street.end_work(street.device, claim_id)


def prepare(street: Street, row: Row) -> int | None:
    """The device as it is to stand; the number of the work that was begun for it."""
    house, device_id = street.place.house, street.device.number
    street.free(street.device)
    if (
        row.operation == "OverrideLock" or row.given == LOST
    ):  # what was taken from her by the door before, alice has heard of
        street.do("alice", UnlockDevice(device_id=device_id))
    if row.given == WORK:
        return street.begin_work("alice", street.device)
    if row.given == CUT:
        return street.cut_off(street.begin_work("alice", street.device))
    if row.given == SESSION:
        session = street.place.run(house.caller("alice", again=True))
        take = LockDevice(device_id=device_id, reason=REASON, scope=LockScope.SESSION)
        street.place.run(house.gate.execute(session, take))
    elif row.given != FREE:
        street.do("alice", LockDevice(device_id=device_id, reason=REASON))
    if row.given == LOST:
        street.do("admin", OverrideLock(device_id=device_id, reason="outage", transfer=True))
    return None


def outcome(street: Street, door: Door, row: Row) -> None:
    before = street.view(street.device)
    epochs = {EPOCH: before.row.epoch, STALE: before.row.epoch - 1}
    fields = {name: epochs.get(value, value) if isinstance(value, str) else value for name, value in row.fields.items()}
    told = door.send(row.operation, row.user, street.device, **fields)
    assert told == expected(door, row, before), f"{row.name} at {door.name}"
    after = street.view(street.device)
    assert row.after(after) == row.leaves, f"{row.name} at {door.name}"
    if row.code in NAMING:
        assert verbs(told.next) == helps(door, row), f"{row.name} at {door.name}: {told.next}"
    if row.given == LOST:
        assert "was taken away by admin at" in told.text and "(outage)" in told.text, f"{row.name} at {door.name}"
    if row.code:
        assert after.row == before.row, f"{door.name}: a refusal changed something"


NAMING = ("DEVICE_LOCKED", "DEVICE_BUSY", "NOT_LOCK_OWNER", "LOCK_LOST")
"""Refusals that name who is in the way, and those that have an exit code of their own."""


def expected(door: Door, row: Row, before: LockView) -> Told:
    """By the gate's own account of the lock before."""
    named = row.code in NAMING or (row.code == "LOCK_CHANGED" and before.row.holder_id is not None)
    told = in_the_way(before) if named or row.view in ("refuse", "wait") else Told()
    code = OTHER if row.code and row.code not in NAMING and isinstance(door, Cli) else row.code
    return replace(told, code=code, confirm=row.given == CUT and row.code != "", view=row.view)


_BUTTONS = {
    "Look": "confirm",
    "Ask": "ask",
    "Override…": "override",
    "Unlock": "release",
    "Wait": "take",
    "Lock": "take",
}


def verbs(helps: tuple[str, ...]) -> list[str]:
    """What is recommended, without mere looks: the verbs of `opensdm lock`, or what a button says first."""
    words = [help.split() for help in helps if not help.startswith(("curl ", "Open "))]
    return [each[2] if each[0] == "opensdm" else _BUTTONS[each[0]] for each in words]


def helps(door: Door, row: Row) -> list[str]:
    """Ask the holder, and take it away or wait; of one's own in another session, release it and take it anew."""
    if row.given == CUT:
        return ["confirm"]
    if row.given == WORK or (row.code == "LOCK_LOST" and row.given != LOST):
        return ["take"]
    both = ["release", "take"] if row.given == SESSION else ["ask", "override" if row.user == "admin" else "take"]
    # A page does not wait for another's lock: its padlock turns by itself.
    return both if both[1] == "override" or door.kind != "web" else both[:1]


def in_the_way(view: LockView) -> Told:
    if view.running:
        (work,) = view.running
        return Told("", "work", work.owner, utc(work.since_us), None, work.operation)
    assert view.row.since_us is not None
    return Told("", "lock", view.row.holder_name, utc(view.row.since_us), view.row.reason)


@pytest.mark.parametrize("deed", ["lock", "unlock", "load"])
def test_a_selection_on_a_page_is_refused_as_its_devices_are(street: Street, deed: str) -> None:
    (web,) = (door for door in street.doors if isinstance(door, Web))
    street.free(street.device)
    street.do("alice", LockDevice(device_id=street.device.number, reason=REASON))
    held = street.view(street.device)
    said, since = web.selected(deed, "bob", street.device), in_the_way(held).since
    assert all(f"{fact}" in said for fact in ("<b>alice</b>", since, f"<q>{REASON}</q>")), said
    assert street.view(street.device).row == held.row


# ------------------------------------------------------------------------------- one door to another


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_taken_at_one_door_refuses_foreign_writes_at_every_other(street: Street, name: str) -> None:
    taker, device = next(door for door in street.doors if door.name == name), street.own[name]
    assert taker.send("LockDevice", "alice", device) == Told()
    held = street.view(device)
    assert held.row.holder_name == "alice"
    tried = 0
    for door in street.doors:
        # Of writes, the command line has none but the lock itself.
        for operation in ("LockDevice",) if isinstance(door, Cli) else WRITES:
            told = door.send(operation, "bob", device)
            assert told == replace(in_the_way(held), code="DEVICE_LOCKED"), f"{operation} at {door.name}"
            tried += 1
    assert tried == (len(NAMES) - 1) * len(WRITES) + 1 and street.view(device).row == held.row
    # Its owner works and unlocks at any other.
    other = street.doors[(NAMES.index(name) + 7) % len(NAMES)]
    assert other.send("UnlockDevice", "alice", device) == Told() and street.view(device).row.holder_id is None


def test_all_doors_are_here(street: Street) -> None:
    assert tuple(door.name for door in street.doors) == NAMES
    assert {door.kind for door in street.doors} == set(KINDS)


# ------------------------------------------------------------------------------------------ waiting


def test_who_waits_at_any_door_gets_the_lock_when_the_others_work_ends(street: Street) -> None:
    street.let_wait(60)
    work = {door.name: street.begin_work("alice", street.own[door.name]) for door in street.doors}
    with ThreadPoolExecutor(len(work)) as pool:
        asked = {door.name: pool.submit(wait_for, door, street.own[door.name], 60) for door in street.doors}
        for name, claim_id in work.items():
            device = street.own[name]
            until_waiting(street, device, asked[name])
            assert not asked[name].done(), f"{name}: {asked[name].result()} while the push runs"
            street.end_work(device, claim_id)
        for name, answer in asked.items():
            assert answer.result(30) == Told(), name
            assert street.view(street.own[name]).row.holder_name == "bob", name
    for device in street.own.values():
        street.free(device)


def test_who_waits_at_any_door_hears_who_runs_what_when_the_wait_is_over(street: Street) -> None:
    street.let_wait(1)
    work = {door.name: street.begin_work("alice", street.own[door.name]) for door in street.doors}
    views = {name: street.view(device) for name, device in street.own.items()}
    with ThreadPoolExecutor(len(work)) as pool:
        asked = {door.name: pool.submit(wait_for, door, street.own[door.name], 1) for door in street.doors}
        for name, answer in asked.items():
            assert answer.result(30) == replace(in_the_way(views[name]), code="DEVICE_BUSY"), name
    for name, claim_id in work.items():
        assert street.view(street.own[name]).waiting == () and street.view(street.own[name]).row.holder_id is None
        street.end_work(street.own[name], claim_id)


def wait_for(door: Door, device: Device, seconds: int) -> Told:
    """As long as asked for where that can be said, else as long as the server lets it."""
    sayable = ("LockDevice", "wait_s") not in lacking(door.kind)
    return door.send("LockDevice", "bob", device, **({"wait_s": seconds} if sayable else {}))


def until_waiting(street: Street, device: Device, asked: Future[Told]) -> None:
    until = time.monotonic() + 20
    while not street.view(device).waiting and not asked.done():
        assert time.monotonic() < until, f"nobody waits for {device.name}"
        time.sleep(0.01)


# ------------------------------------------------------------------------------------ what is recommended


def test_what_every_door_recommends_to_who_is_refused_gets_on_as_it_stands(street: Street) -> None:
    """bob asks and waits, by the very lines; alice releases; the device is his."""
    (shell,) = (door for door in street.doors if isinstance(door, Cli))
    for door in (door for door in street.doors if door.kind not in ("web", "cli")):
        device = street.own[door.name]
        street.do("alice", LockDevice(device_id=device.number))
        ask, wait = door.send("LockDevice", "bob", device).next
        assert shell.shell(ask) == (0, f"alice was asked to release {device.name}\n", "")
        street.do("alice", UnlockDevice(device_id=device.number))
        code, out, _ = shell.shell(wait)
        assert code == 0 and out.startswith(f"{device.name} is locked by bob, epoch ")
        street.free(device)


# ------------------------------------------------------------------------------------------- leases


def test_a_lease_taken_at_any_door_ends_by_the_clock_of_the_database(street: Street) -> None:
    lenders = [door for door in street.doors if ("LockDevice", "lease_s") not in lacking(door.kind)]
    assert {door.kind for door in lenders} == {"rest-own", "web"}
    lent = {door.name: street.own[door.name] for door in lenders}
    for door in lenders:
        assert door.send("LockDevice", "alice", lent[door.name], lease_s=60) == Told()
    jump(street, 55)
    for door, device in zip(lenders, lent.values(), strict=True):
        assert door.send("LockDevice", "bob", device).code == "DEVICE_LOCKED", door.name
    jump(street, 6)
    for door, device in zip(lenders, lent.values(), strict=True):
        assert door.send("LockDevice", "bob", device) == Told(), door.name
        assert street.view(device).row.holder_name == "bob"
        street.free(device)


def jump(street: Street, seconds: int) -> None:
    """From now on the clock of the database is so far ahead."""
    database = street.place.house.database
    real = database.clock

    async def later(connection: Any) -> int:
        return await real(connection) + seconds * 1_000_000

    setattr(database, "clock", later)  # noqa: B010 (a method of this one object)
