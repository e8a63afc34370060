"""Every registered operation, through the real gate on a real store: who is refused what, and that nothing changed."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from opensdm.core.audit import SUCCESS
from opensdm.core.errors import (
    DeviceBusy,
    DeviceLocked,
    LockLost,
    LockRefused,
    NotLockOwner,
    NotLoggedIn,
    SdmError,
)
from opensdm.core.lock import RefusalCode
from opensdm.core.operations import (
    REGISTRY,
    Claim,
    Kind,
    LockDevice,
    Logout,
    Operation,
    PushAction,
    PushChanges,
    Scope,
    ShowLock,
    UnlockDevice,
)
from opensdm.core.ports import Work
from opensdm.core.results import PushReply
from opensdm.gate import Caller
from opensdm.gate.policy import utc
from opensdm.gate.work import target_of
from opensdm.handlers import HANDLERS, Handler
from tests.house.conftest import Open
from tests.house.ground import CONSOLE, NOBODY, OWNER_AGAIN, REASON, Ground, Walk
from tests.house.samples import FAULTY, OWNER_MEETS, SAMPLES, about_a_device, expected, may_send, names

WRITERS = (Kind.LOCK, Kind.TOUCH, Kind.CHANGE)
GUARDED = [n for n in names(about_devices=True) if issubclass(expected(n, "bob") or object, LockRefused)]
"""What a foreign lock keeps bob from."""
EVERYONE = (NOBODY, "mona", "bob", CONSOLE, "admin")


async def refused(walk: Walk, user: str, operation: Operation, error: type[SdmError]) -> SdmError:
    """Send it, and check all that is true of every refusal."""
    before, caller = walk.everything(), await walk.caller(user)
    with pytest.raises(SdmError) as caught:
        await walk.house.gate.execute(caller, operation)
    assert type(caught.value) is error, f"{operation.name} as {user}: {caught.value!r}"
    assert walk.everything() == before, f"{operation.name} was refused to {user} and changed something"
    assert_audited(walk, caller, user, operation, caught.value.code)
    await assert_helped(walk, user, caught.value)
    return caught.value


def assert_audited(walk: Walk, caller: Caller, user: str, operation: Operation, result: str) -> None:
    (row,) = walk.trail(caller)
    signed = {NOBODY: "-", CONSOLE: "local-console", OWNER_AGAIN: "alice"}.get(user, user)
    assert (row["user_name"], row["door"], row["address"]) == (signed, caller.door, caller.address)
    assert (row["operation"], row["tag"], row["result"]) == (operation.name, operation.rule.tag, result)
    assert (row["count"], row["request_id"]) == (1, caller.request_id)
    device_id = getattr(operation, "device_id", None)
    if device_id is not None or result in list(RefusalCode):
        assert row["device_id"] == device_id or device_id is None
        assert row["device_name"] == ("spare" if device_id == walk.ground.spare_id else "edge-a")


async def assert_helped(walk: Walk, user: str, error: SdmError) -> None:
    """One or two calls that this user may send; looking is tried."""
    assert 1 <= len(error.next_steps) <= 2, error.next_steps
    sender = "alice" if user == OWNER_AGAIN else user
    for step in error.next_steps:
        assert may_send(sender, step.action), f"{user} is sent to {step.action} by {error!r}"
        operation = REGISTRY[step.action](**step.arguments)
        if operation.rule.kind is Kind.OBSERVE:
            await walk.do(user, operation)


async def answered(walk: Walk, user: str, operation: Operation) -> None:
    """Send it: it is done, and what is more than a look is in the trail."""
    caller = await walk.caller(user)
    try:
        reply = await walk.house.gate.execute(caller, operation)
    except SdmError as error:
        raise AssertionError(f"{operation.name} as {user}: {error!r}") from error
    if isinstance(reply, PushReply):
        assert reply.status == SUCCESS, reply
    if operation.rule.kind in (Kind.OBSERVE, Kind.MACHINERY):
        assert walk.trail(caller) == []
    elif operation.rule.kind is Kind.PUBLIC:
        (row,) = walk.trail(caller)
        assert (row["operation"], row["result"]) == (operation.name, SUCCESS)
    else:
        assert_audited(walk, caller, user, operation, SUCCESS)


# ------------------------------------------------------------------------------------ the walk


def test_every_operation_is_walked() -> None:
    assert SAMPLES.keys() == REGISTRY.keys(), "a new operation needs its sample here, so that it is walked, too"
    for name, make in SAMPLES.items():
        assert REGISTRY[name].__name__ == name and make.__code__.co_argcount == 2


@pytest.mark.parametrize("name", names())
async def test_under_a_foreign_lock(walk: Walk, name: str) -> None:
    """Observe is allowed, touch and change are refused, locks go by their rules, machinery is for nobody."""
    for user in EVERYONE:
        operation, error = SAMPLES[name](walk.ground, user), expected(name, user)
        if error is None:
            await answered(walk, user, operation)
            continue
        refusal = await refused(walk, user, operation, error)
        if error in (DeviceLocked, NotLockOwner):
            await assert_names_the_holder(walk, refusal, operation)


async def assert_names_the_holder(walk: Walk, refusal: SdmError, operation: Operation) -> None:
    held = await walk.do("alice", ShowLock(device_id=getattr(operation, "device_id", walk.ground.device_id)))
    blocker = next(b for b in refusal.blockers if b.kind == "lock")
    assert (blocker.holder, blocker.device_name, blocker.reason) == ("alice", held.row.device_name, REASON)
    assert (blocker.since_us, blocker.epoch, blocker.door) == (held.row.since_us, held.row.epoch, "rest")
    for fact in ("alice", held.row.device_name, REASON, utc(held.row.since_us)):
        assert fact in refusal.message


@pytest.mark.parametrize("name", names())
async def test_the_owner_works_on_from_a_second_session(walk: Walk, name: str) -> None:
    operation, error = SAMPLES[name](walk.ground, "alice"), expected(name, "alice")
    if error is None:
        await answered(walk, OWNER_AGAIN, operation)
    else:
        assert not issubclass(error, LockRefused)
        await refused(walk, OWNER_AGAIN, operation, error)


@pytest.mark.parametrize("name", names(Kind.MACHINERY))
async def test_machinery_is_the_servers_own(walk: Walk, name: str) -> None:
    await walk.house.gate.execute(walk.house.system, SAMPLES[name](walk.ground, "system"))


@pytest.mark.parametrize("name", names(Kind.LOCK))
async def test_the_server_itself_holds_no_locks(walk: Walk, name: str) -> None:
    before = walk.everything()
    with pytest.raises(SdmError, match="system holds no locks") as caught:
        await walk.house.gate.execute(walk.house.system, SAMPLES[name](walk.ground, "system"))
    assert caught.value.code == "FORBIDDEN" and walk.everything() == before


async def test_refusals_in_a_row_are_counted(walk: Walk) -> None:
    """One row for a user, device, operation and second, however often it is tried."""
    for _ in range(4):
        with pytest.raises(DeviceLocked):
            await walk.do("bob", LockDevice(device_id=walk.ground.device_id))
    rows = walk.rows("SELECT at_us, count FROM audit_entry WHERE user_name = 'bob' AND operation = 'LockDevice'")
    assert sum(row["count"] for row in rows) == 4
    assert len({row["at_us"] // 1_000_000 for row in rows}) == len(rows) <= 2


# ------------------------------------------------------------------------------------ what comes first


@pytest.mark.parametrize("name", [n for n in names(Kind.OBSERVE, *WRITERS) if REGISTRY[n].rule.scope is Scope.DEVICE])
async def test_a_stale_epoch_is_told_before_all_else(walk: Walk, name: str) -> None:
    """Alice holds the device, and sends the number of an earlier lock of hers."""
    user = "admin" if name == "OverrideLock" else "alice"
    operation = SAMPLES[name](walk.ground, user)
    lock = await walk.do("mona", ShowLock(device_id=operation.device_id))  # type: ignore[attr-defined]
    stale = replace(operation, epoch=lock.row.epoch + 1)
    assert "epoch" in (await refused(walk, user, stale, LockLost)).message
    if user == "alice" and name not in OWNER_MEETS:
        await answered(walk, user, replace(operation, epoch=lock.row.epoch))


@pytest.mark.parametrize("name", sorted(FAULTY))
async def test_a_foreign_lock_is_heard_of_before_any_fault_of_the_request(walk: Walk, name: str) -> None:
    make, error = FAULTY[name]
    await refused(walk, "bob", make(walk.ground, "bob"), DeviceLocked)
    with pytest.raises(error) as caught:
        await walk.do("alice", make(walk.ground, "alice"))
    assert type(caught.value) is error


# ------------------------------------------------------------------------------------ the last moment


@pytest.mark.parametrize("name", GUARDED)
async def test_a_lock_taken_at_the_last_moment_counts(walk: Walk, name: str) -> None:
    """The check is made in the transaction that acts: all looks before it were true, and are history."""
    held = (walk.ground.device_id, walk.ground.spare_id)
    for device_id in held:
        await walk.do("alice", UnlockDevice(device_id=device_id))
    then: dict[str, Any] = {}

    async def lock() -> None:
        for device_id in held:
            await walk.do("alice", LockDevice(device_id=device_id))
        then.update(walk.everything())

    walk.ledger.before(name, lock)
    caller = await walk.caller("bob")
    with pytest.raises(SdmError) as caught:
        await walk.house.gate.execute(caller, SAMPLES[name](walk.ground, "bob"))
    assert walk.ledger.happened
    assert type(caught.value) is expected(name, "bob")
    assert walk.everything() == then


@pytest.mark.parametrize("name", names(*WRITERS))
async def test_a_session_that_ends_at_the_last_moment_counts(walk: Walk, name: str) -> None:
    """Sessions and rights are read again in the transaction that acts."""
    for device_id in (walk.ground.device_id, walk.ground.spare_id):
        await walk.do("alice", UnlockDevice(device_id=device_id))
    before, caller = walk.everything(), await walk.caller("admin")
    walk.ledger.before(name, lambda: walk.house.gate.execute(caller, Logout()))
    with pytest.raises(NotLoggedIn, match="ended"):
        await walk.house.gate.execute(caller, SAMPLES[name](walk.ground, "admin"))
    assert walk.ledger.happened and walk.everything() == before


# ------------------------------------------------------------------------------------ claims


def paused(handler: Handler, begun: asyncio.Event, go_on: asyncio.Event) -> Handler:
    """The real handler, which waits for the test before it begins."""

    async def wait(operation: Operation, work: Work) -> Any:
        begun.set()
        await go_on.wait()
        return await handler(operation, work)

    return wait


@pytest.mark.parametrize("name", [n for n in names(about_devices=True) if REGISTRY[n].rule.claim is not Claim.NONE])
async def test_running_work_is_marked_and_keeps_others_away(begin: Open, name: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    cls = REGISTRY[name]
    walk = await begin(handlers={**HANDLERS, cls: paused(HANDLERS[cls], begun, go_on)})
    device_id, exclusive = walk.ground.device_id, cls.rule.claim is Claim.EXCLUSIVE
    await walk.do("alice", UnlockDevice(device_id=device_id))
    working = asyncio.create_task(walk.do("alice", SAMPLES[name](walk.ground, "alice")))
    async with asyncio.timeout(10):
        await begun.wait()
    (claim,) = walk.rows("SELECT * FROM claim WHERE state <> 'ENDED'")
    assert (claim["operation"], claim["state"], bool(claim["exclusive"])) == (name, "RUNNING", exclusive)
    (lock,) = walk.rows("SELECT epoch FROM device_lock WHERE device_id = :d", d=device_id)
    (ticket,) = walk.rows("SELECT * FROM claim_device WHERE claim_id = :c", c=claim["claim_id"])
    assert (ticket["device_id"], ticket["ticket"], ticket["live"]) == (device_id, lock["epoch"], 1)

    busy = await refused(walk, "bob", LockDevice(device_id=device_id), DeviceBusy)
    assert busy.blockers[0].running == name and name in busy.message
    if exclusive:
        await refused(walk, "bob", PushChanges(device_id=device_id, action=PushAction.SAVE), DeviceBusy)
    go_on.set()
    await working
    (claim,) = walk.rows("SELECT state FROM claim WHERE claim_id = :c", c=claim["claim_id"])
    assert claim["state"] == "ENDED"
    await walk.do("bob", LockDevice(device_id=device_id))


# ------------------------------------------------------------------------------------ declarations

PAST = re.compile(r"[a-z]+ed|kept|made|read|set|shown|taken|overridden")


def test_every_operation_names_its_kind_its_tag_and_its_privilege() -> None:
    tags = [operation.rule.tag for operation in REGISTRY.values()]
    assert sorted(tags) == sorted(set(tags))
    for name, operation in REGISTRY.items():
        rule = operation.rule
        parts = rule.tag.split(":")
        assert len(parts) == 3 and all(re.fullmatch(r"[a-z]+", part) for part in parts), (name, rule.tag)
        assert PAST.fullmatch(parts[2]), f"the tag of {name} tells what happened: {rule.tag}"
        assert (rule.area is None) == (rule.kind in (Kind.PUBLIC, Kind.MACHINERY))
        assert rule.reaches_device <= (rule.scope in (Scope.DEVICE, Scope.HOST))


@pytest.mark.parametrize("name", names())
def test_the_devices_an_operation_is_about(ground: Ground, name: str) -> None:
    """Found by its scope and its own fields, when the transaction that decides looks for them."""
    target = target_of(SAMPLES[name](ground, "bob"))
    numbers = {
        Scope.SERVER: (0, None),
        Scope.HOST: (0, None),
        Scope.DEVICES: (0, None),
        Scope.DEVICE: (ground.spare_id if name == "AssignDevice" else ground.device_id, None),
        Scope.NETWORK_FUNCTION: (ground.nf_id, None),
        Scope.FUNCTION_GROUP: (ground.nf_id, ground.nf_id),
        Scope.DEVICE_GROUP: (ground.west_id, None),
    }
    scope = REGISTRY[name].rule.scope
    assert target.scope is (Scope.SERVER if scope is Scope.HOST else scope)
    assert target.devices == ({ground.device_id} if scope is Scope.DEVICES else set())
    assert (target.target_id, target.within) == numbers[scope]


def test_what_every_kind_may_leave_behind() -> None:
    """Only what changes or touches takes claims; whatever changes a device takes it for itself."""
    for operation in REGISTRY.values():
        rule = operation.rule
        assert (rule.claim is not Claim.NONE) == (rule.reaches_device and rule.kind is not Kind.MACHINERY)
        assert rule.kind is not Kind.CHANGE or not rule.reaches_device or rule.claim is Claim.EXCLUSIVE
        assert rule.kind is not Kind.LOCK or about_a_device(operation.__name__)
