"""Invariants of work and of waiting: I2, I3, I11, I14, I15, I17 to I19; each raises `Broken` where it does not hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from opensdm.core.identity import Area, Level
from opensdm.core.lock import LockPolicy, Refused, Stepped
from opensdm.core.operation import REGISTRY, Claim, Kind, Operation, Rule, Scope
from opensdm.core.operations import (
    ConfirmDevice,
    DeleteNetworkFunction,
    LockDevice,
    LockDevices,
    OverrideLock,
    UnlockDevice,
)
from tests.proof.place import SUCCESS, Node, Place, answered, must, soon

BUSY, LOCKED, LOST = "DEVICE_BUSY", "DEVICE_LOCKED", "LOCK_LOST"


async def i02_while_a_user_holds_a_device_no_other_users_work_is_on_it(at: Place) -> None:
    one, two = await at.two()
    device = await one.enrol("edge-a")
    for locker, worker in ((one, two), (two, one)) * 3:
        job = await worker.working("bob", device)
        must(await locker.say("alice", LockDevice(device_id=device)) == BUSY, "a lock was given beside work")
        await worker.finish(job)
        await locker.say("alice", LockDevice(device_id=device))
        must((await worker.push("bob", device))[0] == LOCKED, "work began under another user's lock")
        await locker.say("alice", UnlockDevice(device_id=device))
        locked, (begun, raced) = await asyncio.gather(
            locker.say("alice", LockDevice(device_id=device)), worker.push("bob", device)
        )
        must(SUCCESS in (locked, begun), "of a lock and work at once both were refused")
        must(locked != SUCCESS or begun != SUCCESS, "a lock was reported while another user's work runs")
        if raced is not None:
            await worker.finish(raced)
        await locker.say("alice", UnlockDevice(device_id=device))


async def i03_no_work_is_admitted_while_another_user_holds_or_waits(at: Place) -> None:
    one, two = await at.two()
    device = await one.enrol("edge-a")
    claim = await one.admitted("bob", device)
    asked = one.asks("alice", LockDevice(device_id=device, wait_s=60))
    await two.until_waiting(device)
    for user in ("bob", "carol"):
        must((await two.push(user, device))[0] == LOCKED, "work was admitted behind a waiting lock request")
        code = await two.say(user, LockDevice(device_id=device, wait_s=60))
        must(code == LOCKED, "a second user waits for a device that another waits for")
    await one.end(claim)
    must(await answered(asked, "a wait did not end with the work") == SUCCESS, "a wait was not ended by a grant")
    must((await two.push("bob", device))[0] == LOCKED, "work was admitted while another user holds the device")


async def i11_after_revocation_no_step_begins_and_an_open_one_keeps_the_device(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    await node.say("alice", LockDevice(device_id=device))
    job = await node.working("alice", device)
    must(await node.write(job) == SUCCESS, "an owner's step was refused")
    await node.say("admin", OverrideLock(device_id=device, reason="outage"))
    written = len(node.bench.writes)
    must(await node.write(job) == LOST, "a step began after the revocation")
    must(len(node.bench.writes) == written, "a fenced write reached the device")
    must((await node.row(device)).uncertain, "a write was cut, and who writes next is not told")
    must(await node.outcome(job) == LOST, "fenced work was reported as done")
    await _open_step(node, await node.enrol("edge-b", "192.0.2.2:443"))


async def _open_step(node: Node, device: int) -> None:
    await node.say("alice", LockDevice(device_id=device))
    claim = await node.admitted("alice", device)
    limit_s = 1.0
    must(isinstance(await node.step(claim, limit_s), Stepped), "an owner's step was refused")
    until = time.monotonic() + limit_s
    await node.say("admin", OverrideLock(device_id=device, reason="outage"))
    must(isinstance(await node.step(claim, limit_s), Refused), "a step began after the revocation")
    for what in ("lock", "work"):
        if what == "lock":
            code = await node.say("bob", LockDevice(device_id=device))
        else:
            code, _ = await node.push("bob", device)
        must(code == BUSY or time.monotonic() > until, f"{what} was given while a fenced step is open")
    waited = await node.say("bob", LockDevice(device_id=device, wait_s=30))
    must(waited == SUCCESS and time.monotonic() >= until, "a lock was given while a fenced step is open")


async def i14_every_request_ends_within_its_bound_and_idle_is_reachable(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    claim = await node.admitted("bob", device)
    asked = node.asks("alice", LockDevice(device_id=device, wait_s=0.3))
    code = await answered(asked, "a request was not answered within its bound")
    must(code == BUSY, f"a wait that ended was answered {code}")
    left = node.asks("alice", LockDevice(device_id=device, wait_s=60))
    await node.until_waiting(device)
    left.cancel()
    await soon(lambda: _nobody_waits(node), "a client hangs up, and its wait ends")
    must((await node.push("carol", device))[0] == BUSY, "a client that is gone still bars a device")
    await _idle_again(at, node, device, claim.claim_id)


async def _nobody_waits(node: Node) -> bool:
    return not await node.rows("SELECT * FROM lock_pending") and not node.gate._turns.waits


async def _idle_again(at: Place, node: Node, device: int, claim_id: int) -> None:
    """From running, interrupted and waiting, without an override."""
    stopped = node.asks("alice", LockDevice(device_id=device, wait_s=60))
    await node.until_waiting(device)
    node.gate.stop_waiting()
    must(await answered(stopped, "a node stops, and a request is not answered") == BUSY, "a stop granted a wait")
    node = await at.again(node)
    must(await node.say("carol", LockDevice(device_id=device)) == SUCCESS, "work that died keeps its device busy")
    await node.say("carol", UnlockDevice(device_id=device))
    job = await node.working("carol", device)
    must(await node.finish(job) == SUCCESS, "a device is not idle again")


async def i15_no_door_serves_before_recovery_is_done(at: Place) -> None:
    node = await at.first()
    device, other = await node.enrol("edge-a"), await node.enrol("edge-b", "192.0.2.2:443")
    claim = await node.admitted("bob", device)
    await node.step(claim, 600)
    await node.admitted("bob", other)
    asked = node.asks("alice", LockDevice(device_id=device, wait_s=600))
    await node.until_waiting(device)
    asked.cancel()
    node = await at.again(node)
    states = await node.rows("SELECT state FROM claim WHERE state IN ('RUNNING', 'QUEUED')")
    must(not states, "a door opened while work of the run before still counts as running")
    must(await _nobody_waits(node), "a door opened while requests of the run before still wait")
    must(await node.say("carol", LockDevice(device_id=other)) == SUCCESS, "work that died keeps its device busy")
    must(await node.say("carol", LockDevice(device_id=device)) == BUSY, "a step that was cut off was forgotten")


async def i17_every_operation_has_a_class_and_passes_the_gate(at: Place) -> None:
    node = await at.first()
    for operation in REGISTRY.values():
        must(isinstance(operation.rule.kind, Kind), "an operation has no class")
    bad_rules = (
        None,
        Rule(Kind.CHANGE, "x:y:z", Area.CONFIGURATION, Level.FULL, Scope.DEVICE, reaches_device=True),
        Rule(Kind.TOUCH, "x:y:z", Area.CONFIGURATION, Level.FULL, Scope.DEVICE),
        Rule(Kind.OBSERVE, "x:y:z", Area.INVENTORY, Level.VIEW, Scope.DEVICE, claim=Claim.EXCLUSIVE),
    )
    for rule in bad_rules:
        with _registry_kept():
            try:
                type("Unclassed", (Operation,), {}, **({"rule": rule} if rule is not None else {}))
            except TypeError:
                continue
        must(False, "an operation without a class, or with one that opens a way around the gate, was registered")
    device = await node.enrol("edge-a")
    await node.say("alice", LockDevice(device_id=device))
    for door in ("rest", "soap", "web", "cli", "clock"):
        code = await node.say("bob", REGISTRY["LoadConfiguration"](device_id=device), door)  # type: ignore[call-arg]
        must(code == LOCKED, "a door let an operation pass beside the gate")


@contextmanager
def _registry_kept() -> Iterator[None]:
    kept = dict(REGISTRY)
    try:
        yield
    finally:
        REGISTRY.clear()
        REGISTRY.update(kept)


async def i18_at_most_one_exclusive_claim_is_on_a_device(at: Place) -> None:
    one, two = await at.two()
    device = await one.enrol("edge-a")
    for _ in range(3):
        begun = await asyncio.gather(*(n.push(u, device) for u in ("alice", "alice", "bob") for n in (one, two)))
        jobs = [job for _, job in begun if job is not None]
        must(len(jobs) == 1, "two writes were admitted to one device at once")
        rows = await one.rows("SELECT claim_id FROM claim WHERE state = 'RUNNING'")
        must(len(rows) == 1, "two exclusive claims run on one device")
        await one.finish(jobs[0])


async def i19_recovery_of_one_node_leaves_every_other_nodes_work_alone(at: Place) -> None:
    one, two = await at.two()
    device, other = await one.enrol("edge-a"), await one.enrol("edge-b", "192.0.2.2:443")
    mine = await one.working("alice", device)
    theirs = await two.admitted("bob", other)
    await two.step(theirs, 600)
    asked = one.asks("alice", LockDevice(device_id=other, wait_s=60))
    await one.until_waiting(other)
    two = await at.again(two, "two")
    (left,) = await one.rows("SELECT state FROM claim WHERE claim_id = :id", id=theirs.claim_id)
    must(left.state == "INTERRUPTED", "a node that died and began anew left its work running")
    must(len(await one.rows("SELECT * FROM lock_pending")) == 1 and not asked.done(), "another node's wait was ended")
    asked.cancel()
    must(await one.write(mine) == SUCCESS, "the recovery of one node fenced or interrupted another's work")
    must(await one.finish(mine) == SUCCESS, "the recovery of one node ended another's work")


# ------------------------------------------------------------------------------------- rules beside the invariants


async def r01_a_lock_of_one_session_binds_the_users_other_sessions(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    lock = LockDevice(device_id=device, scope="session")  # type: ignore[arg-type]
    must(await node.say("alice", lock) == SUCCESS, "a lock of one session was refused")
    again = await node.caller("alice", again=True)
    must(await node.answer(again, LockDevice(device_id=device)) == LOCKED, "another session shares a session's lock")
    must(await node.answer(again, UnlockDevice(device_id=device)) == "NOT_LOCK_OWNER", "another session freed it")
    epoch = (await node.row(device)).epoch
    must(await node.answer(again, UnlockDevice(device_id=device, epoch=epoch)) == SUCCESS, "its epoch does not free it")


async def r07_releasing_a_device_cancels_the_owners_waits_that_name_it(at: Place) -> None:
    node = await at.first()
    mine, busy = await node.enrol("edge-a"), await node.enrol("edge-b", "192.0.2.2:443")
    await node.say("alice", LockDevice(device_id=mine))
    claim = await node.admitted("bob", busy)
    both = node.asks("alice", LockDevices(device_ids=(mine, busy), wait_s=60))
    await node.until_waiting(busy)
    await node.say("alice", UnlockDevice(device_id=mine))
    await node.say("bob", LockDevice(device_id=mine))
    await node.end(claim)
    must(await answered(both, "a cancelled wait is not answered") != SUCCESS, "a group was reported that is not held")
    must(await node.holder(busy) is None, "a cancelled wait was granted")
    await node.say("bob", UnlockDevice(device_id=mine))
    await _deleted_while_waited_for(node, mine)


async def _deleted_while_waited_for(node: Node, mine: int) -> None:
    busy = await node.enrol("edge-c", "192.0.2.3:443")
    claim = await node.admitted("bob", busy)
    both = node.asks("alice", LockDevices(device_ids=(mine, busy), wait_s=60))
    await node.until_waiting(busy)
    (row,) = await node.rows("SELECT nf_id FROM device WHERE device_id = :id", id=mine)
    must(await node.say("alice", DeleteNetworkFunction(nf_id=row.nf_id)) == SUCCESS, "a device cannot be deleted")
    await node.end(claim)
    must(await node.say("carol", LockDevice(device_id=busy)) == SUCCESS, "a wait outlives a device it names")
    must(await answered(both, "a wait for a device that is gone is not answered") == "NOT_FOUND", "it was granted")


async def r08_a_lease_never_cuts_its_owners_work_and_begins_anew_after_it(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    await node.say("alice", LockDevice(device_id=device, lease_s=600))
    job = await node.working("alice", device)
    await node.write_row("UPDATE device_lock SET lease_until_us = 1 WHERE device_id = :id", id=device)
    must(await node.say("bob", LockDevice(device_id=device)) == LOCKED, "a lease ended under its owner's work")
    must(await node.write(job) == SUCCESS, "a lease ended under its owner's work")
    await node.finish(job)
    code = await node.say("bob", LockDevice(device_id=device))
    must(code == LOCKED, "a lease did not begin anew when its owner's work ended")
    await node.write_row("UPDATE device_lock SET lease_until_us = 1 WHERE device_id = :id", id=device)
    must(await node.say("bob", LockDevice(device_id=device)) == SUCCESS, "a lease that is due holds its device")


async def r12_writes_wait_their_turn_and_are_checked_again_when_they_start(at: Place) -> None:
    at.policy = LockPolicy(wait_s=0, queue_s=60, max_wait_s=600)
    node = await at.first()
    device = await node.enrol("edge-a")
    first = await node.working("alice", device)
    second = asyncio.ensure_future(node.push("alice", device))
    await soon(lambda: _queued(node, 1), "a write waits behind another")
    third = asyncio.ensure_future(node.push("bob", device))
    await soon(lambda: _queued(node, 2), "a write waits behind another")
    await node.finish(first)
    await asyncio.wait({second, third}, return_when=asyncio.FIRST_COMPLETED)
    must(second.done() and not third.done(), "a later write overtook an earlier one")
    _, job = await second
    must(job is not None, "a write that waited for its turn was refused")
    asked = node.asks("alice", LockDevice(device_id=device, wait_s=60))
    must(await answered(asked, "a lock waits for work that only waits itself") == SUCCESS, "a lock was not granted")
    code, late = await third
    must(code == LOCKED and late is None, "queued work began under a lock that came after it was filed")
    assert job is not None
    await node.finish(job)


async def _queued(node: Node, number: int) -> bool:
    return len(await node.rows("SELECT claim_id FROM claim WHERE state = 'QUEUED'")) == number


async def zombies_keep_an_unfenced_device_until_somebody_confirms(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    claim = await node.admitted("bob", device)
    await node.step(claim, 0.05)
    await node.write_row("UPDATE claim SET unfenced = 1 WHERE claim_id = :id", id=claim.claim_id)
    node = await at.again(node)
    await asyncio.sleep(0.1)
    must(await node.say("alice", LockDevice(device_id=device)) == BUSY, "nobody confirmed, and the device was given")
    await node.end(claim)
    code = await node.say("alice", LockDevice(device_id=device))
    must(code == BUSY, "the late word of a node that slept freed a device that nothing fences")
    must((await node.push("alice", device))[0] == BUSY, "nobody confirmed, and work was admitted")
    confirm = ConfirmDevice(device_id=device, note="looked: the console is idle")
    must(await node.say("alice", confirm) == SUCCESS, "a confirmation was refused")
    must(await node.say("alice", LockDevice(device_id=device)) == SUCCESS, "a confirmation does not free the device")
