"""Each way around the gate, tried by name. The attackers are handlers: they stand closest to what is guarded."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from opensdm.core.errors import DeviceLocked, Forbidden, HouseRuleBroken, LockLost, NotLoggedIn, SdmError
from opensdm.core.identity import Area, Level
from opensdm.core.lock import TakeLock
from opensdm.core.operations import (
    REGISTRY,
    Claim,
    DeleteNetworkFunction,
    DiscardChanges,
    Kind,
    ListDevices,
    LockDevice,
    Operation,
    OverrideLock,
    PollDevice,
    PushAction,
    PushChanges,
    ReadDeviceFacts,
    Rule,
    Scope,
    ShowDevice,
    UnlockDevice,
)
from opensdm.core.permit import Permit, Read, Write
from opensdm.core.ports import Transaction, Work
from opensdm.core.results import PushReply
from opensdm.gate import Caller
from opensdm.handlers import HANDLERS
from tests.gatehouse import House, open_house

Attack = Callable[[Work], Awaitable[Any]]


class Attackers:
    """Handlers whose body a test supplies."""

    def __init__(self) -> None:
        self.attack: Attack | None = None

    async def push(self, operation: PushChanges, work: Work) -> PushReply:
        assert self.attack is not None
        await self.attack(work)
        return PushReply(operation.action, status="SUCCESS")

    async def other(self, operation: Operation, work: Work) -> Any:
        assert self.attack is not None
        return await self.attack(work)


@pytest.fixture
def attackers() -> Attackers:
    return Attackers()


@pytest.fixture
async def house(tmp_path: Path, attackers: Attackers) -> AsyncIterator[House]:
    handlers = {
        **HANDLERS,
        PushChanges: attackers.push,
        DiscardChanges: attackers.other,
        ShowDevice: attackers.other,
        ReadDeviceFacts: attackers.other,
        LockDevice: attackers.other,
    }
    opened = await open_house(f"sqlite:///{tmp_path}/house.db", tmp_path / "secret.key", handlers=handlers)
    await opened.add_users()
    yield opened
    await opened.close()


async def push(house: House, device_id: int, user: str = "alice") -> PushReply:
    reply: PushReply = await house.do(user, PushChanges(device_id=device_id, action=PushAction.SAVE))
    return reply


async def touch_device(house: House, permit: Any, device_id: int) -> None:
    async with house.gate.seal.step(permit, device_id, 5.0):
        pass


# ------------------------------------------------------------------------------------ permits


async def test_a_true_permit_passes(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")
    attackers.attack = lambda work: touch_device(house, work.permit_write(), device_id)
    assert (await push(house, device_id)).status == "SUCCESS"


@pytest.mark.parametrize(
    "counterfeit",
    [
        pytest.param(lambda p: Permit(Write, p.devices, p.operation, p.claim_id), id="forged"),
        pytest.param(copy.copy, id="cloned"),
        pytest.param(copy.deepcopy, id="deeply cloned"),
        pytest.param(lambda p: dataclasses.replace(p, devices=p.devices | {1, 2, 3, 4, 5, 6, 7, 8}), id="widened"),
    ],
)
async def test_a_counterfeit_permit_opens_nothing(
    house: House, attackers: Attackers, counterfeit: Callable[[Any], Any]
) -> None:
    device_id = await house.enrol("edge-a")
    attackers.attack = lambda work: touch_device(house, counterfeit(work.permit_write()), device_id)
    with pytest.raises(HouseRuleBroken, match="does not know"):
        await push(house, device_id)


async def test_a_permit_is_spent_when_its_operation_ends(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")
    kept: list[Permit[Write]] = []

    async def keep(work: Work) -> None:
        kept.append(work.permit_write())

    attackers.attack = keep
    await push(house, device_id)
    with pytest.raises(HouseRuleBroken, match="has ended"):
        await touch_device(house, kept[0], device_id)


async def test_a_permit_is_for_its_own_devices(house: House, attackers: Attackers) -> None:
    mine, other = await house.enrol("edge-a"), await house.enrol("edge-b", "192.0.2.2:443")
    attackers.attack = lambda work: touch_device(house, work.permit_write(), other)
    with pytest.raises(HouseRuleBroken, match=f"device {other}"):
        await push(house, mine)

    attackers.attack = lambda work: work.connect(other)
    with pytest.raises(HouseRuleBroken, match=f"device {other}"):
        await push(house, mine)


async def test_a_permit_to_read_does_not_write(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")
    attackers.attack = lambda work: touch_device(house, work.permit_read(), device_id)
    with pytest.raises(HouseRuleBroken, match="no permit to write"):
        await house.do("alice", ReadDeviceFacts(device_id=device_id))

    async def ask_for_more(work: Work) -> None:
        work.permit_write()

    attackers.attack = ask_for_more
    with pytest.raises(HouseRuleBroken, match="not write"):
        await house.do("alice", ReadDeviceFacts(device_id=device_id))


async def test_an_operation_that_does_not_reach_devices_gets_no_permit(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")

    async def ask(work: Work) -> None:
        work.permit_read()

    attackers.attack = ask
    for operation in (DiscardChanges(device_id=device_id), ShowDevice(device_id=device_id)):
        with pytest.raises(HouseRuleBroken, match="does not reach devices"):
            await house.do("alice", operation)


# ------------------------------------------------------------------------------------ work


async def test_nothing_is_done_in_the_name_of_an_operation_that_ended(house: House, attackers: Attackers) -> None:
    """A retry, a callback, a task left behind: all find the work dead."""
    device_id = await house.enrol("edge-a")
    kept: list[Work] = []

    async def keep(work: Work) -> None:
        kept.append(work)

    async def nothing(transaction: Transaction) -> None:
        return None

    attackers.attack = keep
    await push(house, device_id)
    work = kept[0]
    with pytest.raises(HouseRuleBroken, match="has ended"):
        await work.commit(nothing)
    with pytest.raises(HouseRuleBroken, match="has ended"):
        await work.read(nothing)
    with pytest.raises(HouseRuleBroken, match="has ended"):
        await work.connect(device_id)
    with pytest.raises(HouseRuleBroken, match="has ended"):
        work.permit_read()
    with pytest.raises(HouseRuleBroken, match="has ended"):
        await work.execute(ListDevices())


async def test_a_read_writes_nothing(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")

    async def assign(transaction: Transaction) -> None:
        await transaction.inventory.set_assigned(device_id, False)

    attackers.attack = lambda work: work.commit(assign)
    with pytest.raises(HouseRuleBroken, match="changes nothing"):
        await house.do("alice", ShowDevice(device_id=device_id))

    attackers.attack = lambda work: work.read(assign)
    with pytest.raises(HouseRuleBroken, match="a read tried to write"):
        await house.do("alice", ShowDevice(device_id=device_id))


async def test_a_change_that_forgets_its_commit_is_a_loud_bug(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")

    async def forget(work: Work) -> str:
        return "done, honestly"

    attackers.attack = forget
    for operation in (DiscardChanges(device_id=device_id), LockDevice(device_id=device_id)):
        with pytest.raises(HouseRuleBroken, match="without its lock check"):
            await house.do("alice", operation)


async def test_one_guarded_operation_is_one_transaction(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")

    async def nothing(transaction: Transaction) -> None:
        return None

    async def twice(work: Work) -> None:
        await work.commit(nothing)
        await work.commit(nothing)

    attackers.attack = twice
    with pytest.raises(HouseRuleBroken, match="committed twice"):
        await house.do("alice", DiscardChanges(device_id=device_id))


async def test_a_change_cannot_take_locks_and_a_lock_operation_cannot_change(
    house: House, attackers: Attackers
) -> None:
    from opensdm.core.lock import TakeLock

    device_id = await house.enrol("edge-a")

    async def nothing(transaction: Transaction) -> None:
        return None

    attackers.attack = lambda work: work.decide(TakeLock(work.actor, frozenset()))
    with pytest.raises(HouseRuleBroken, match="not a lock operation"):
        await house.do("alice", DiscardChanges(device_id=device_id))
    attackers.attack = lambda work: work.commit(nothing)
    with pytest.raises(HouseRuleBroken, match="changes nothing"):
        await house.do("alice", LockDevice(device_id=device_id))


async def test_a_lock_request_cannot_name_other_devices_than_its_operation(tmp_path: Path) -> None:
    """The handler may say what it likes: the gate fills in the devices."""
    from opensdm.core.lock import Locked, TakeLock

    async def greedy(operation: LockDevice, work: Work) -> Any:
        return await work.decide(TakeLock(work.actor, frozenset({1, 2, 3, 4, 5, 6, 7, 8})))

    url = f"sqlite:///{tmp_path}/house.db"
    house = await open_house(url, tmp_path / "secret.key", handlers={**HANDLERS, LockDevice: greedy})
    await house.add_users()
    device_id = await house.enrol("edge-a")
    answer = await house.do("alice", LockDevice(device_id=device_id))
    assert isinstance(answer, Locked) and [row.device_id for row in answer.locks] == [device_id]
    await house.close()


# ------------------------------------------------------------------------- composites, cascades, leftovers


async def test_a_part_of_a_composite_passes_the_front_door_as_the_same_caller(
    house: House, attackers: Attackers
) -> None:
    """A batch, a work order, a group action: each part is refused like a call of its own."""
    mine, alices = await house.enrol("edge-a"), await house.enrol("edge-b", "192.0.2.2:443")
    attackers.attack = lambda work: work.decide(TakeLock(work.actor, frozenset()))
    await house.do("alice", LockDevice(device_id=alices))

    attackers.attack = lambda work: work.execute(OverrideLock(device_id=alices, reason="because"))
    with pytest.raises(Forbidden):
        await push(house, mine, "bob")
    attackers.attack = lambda work: work.execute(UnlockDevice(device_id=alices))
    with pytest.raises(SdmError) as refused:
        await push(house, mine, "bob")
    assert refused.value.code == "NOT_LOCK_OWNER"


async def test_a_cascade_delete_is_refused_for_any_locked_device_below(tmp_path: Path) -> None:
    house = await open_house(f"sqlite:///{tmp_path}/house.db", tmp_path / "secret.key")
    await house.add_users()
    device_id = await house.enrol("edge-a")
    nf_id = (await house.do("alice", ShowDevice(device_id=device_id))).device.nf_id
    await house.do("alice", LockDevice(device_id=device_id))
    with pytest.raises(DeviceLocked):
        await house.do("bob", DeleteNetworkFunction(nf_id=nf_id))
    assert (await house.do("bob", ShowDevice(device_id=device_id))).device.device_id == device_id
    await house.close()


async def test_work_resumed_after_a_crash_writes_nothing(house: House, attackers: Attackers) -> None:
    """The node came back as a new incarnation; what the old one still holds opens nothing."""
    device_id = await house.enrol("edge-a")
    started, resume = asyncio.Event(), asyncio.Event()
    outcome: list[BaseException] = []

    async def sleep_through_the_crash(work: Work) -> None:
        permit = work.permit_write()
        started.set()
        await resume.wait()
        try:
            await touch_device(house, permit, device_id)
        except LockLost as error:
            outcome.append(error)
            raise

    attackers.attack = sleep_through_the_crash
    running = asyncio.create_task(push(house, device_id))
    await started.wait()
    successor = await open_house(house.url, house.key_file)
    # A node that was taken for dead begins anew; the work of its old incarnation learns it at its next step.
    house.gate.renew(successor.ledger.incarnation)
    house.ledger.renew(successor.ledger.incarnation)
    resume.set()
    with pytest.raises(LockLost):
        await running
    assert len(outcome) == 1
    await successor.close()


# ------------------------------------------------------------------------------------ callers


async def test_machinery_and_console_need_their_own_principal(house: House) -> None:
    device_id = await house.enrol("edge-a")
    with pytest.raises(Forbidden):
        await house.do("admin", PollDevice(device_id=device_id))
    with pytest.raises(Forbidden, match="holds no locks"):
        await house.gate.execute(house.local, LockDevice(device_id=device_id))


async def test_no_token_and_a_made_up_token_are_nobody(house: House) -> None:
    for token in (None, "", "0" * 32 + ".opensdm1", "x" * 10_000):
        with pytest.raises(NotLoggedIn):
            await house.gate.execute(Caller("rest", "127.0.0.1", "t", token=token), ListDevices())


# ------------------------------------------------------------------------------------ declarations


@pytest.mark.parametrize(
    "rule",
    [
        None,
        Rule(Kind.CHANGE, "x:y:z", Area.PUSH, Level.FULL, Scope.DEVICE, reaches_device=True),
        Rule(Kind.CHANGE, "x:y:z", Area.PUSH, Level.FULL, Scope.DEVICE, claim=Claim.SHARED, reaches_device=True),
        Rule(Kind.TOUCH, "x:y:z", Area.INVENTORY, Level.VIEW, Scope.DEVICE, reaches_device=True),
        Rule(Kind.OBSERVE, "x:y:z", Area.INVENTORY, Level.VIEW, Scope.DEVICE, reaches_device=True),
        Rule(Kind.OBSERVE, "x:y:z", Area.INVENTORY, Level.VIEW, Scope.DEVICE, claim=Claim.SHARED),
        Rule(Kind.LOCK, "x:y:z", Area.DEVICE_LOCK, Level.FULL, Scope.SERVER),
        Rule(Kind.CHANGE, "x:y:z", Area.PUSH, Level.FULL, Scope.SERVER, claim=Claim.EXCLUSIVE),
        Rule(Kind.MACHINERY, "x:y:z", None, Level.NONE, Scope.SERVER, reaches_device=True),
        Rule(Kind.CHANGE, "x:y:z", None, Level.FULL, Scope.DEVICE),
    ],
)
def test_an_operation_with_a_leaky_rule_does_not_import(rule: Rule | None) -> None:
    with pytest.raises(TypeError):
        type("Leaky", (Operation,), {}, rule=rule)
    assert "Leaky" not in REGISTRY


def test_two_operations_of_one_name_do_not_import() -> None:
    with pytest.raises(TypeError, match="two operations"):
        type("LockDevice", (Operation,), {}, rule=LockDevice.rule)


def test_only_a_true_reach_can_be_named() -> None:
    assert issubclass(Write, Read), "whoever may write may read; never the other way"
