"""Invariants of the lock itself: I1, I4 to I10, I12, I13, I16. Each is tried at a `Place` and raises `Broken`."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import astuple, replace

from opensdm.core.lock import LockRow, OverrideMode
from opensdm.core.operations import (
    DeleteNetworkFunction,
    DisableUser,
    EnableUser,
    ExpireLeases,
    ListLockEvents,
    LockDevice,
    LockGroup,
    Logout,
    OverrideLock,
    SetPassword,
    ShowDevice,
    ShowLock,
    UnlockDevice,
    UnlockGroup,
)
from tests.gatehouse import PASSWORD
from tests.proof.place import DOORS, SUCCESS, Node, Place, must

USERS = ("alice", "bob", "carol")
YEAR_S = 365 * 86_400
REFUSALS_LEAVE = (
    "device_lock", "lock_event", "lock_loss", "lock_pending", "lock_pending_device", "claim", "claim_device",
    "lock_ask",
)  # fmt: skip
"""Tables whose rows a refusal must leave as they are."""


async def i01_at_most_one_owner_the_same_on_all_nodes_and_doors(at: Place) -> None:
    nodes = await at.two()
    for round_ in range(3):
        device = await nodes[0].enrol(f"edge-{round_}", f"192.0.2.{round_ + 1}:443")
        asked = list(itertools.product(USERS, nodes, DOORS))
        codes = await asyncio.gather(*(n.say(u, LockDevice(device_id=device), d) for u, n, d in asked))
        owners = {user for (user, _, _), code in zip(asked, codes, strict=True) if code == SUCCESS}
        must(len(owners) == 1, "several users were told that they hold one device")
        must({await node.holder(device) for node in nodes} == owners, "a node shows another holder than was answered")
        (owner,) = owners
        for other, node, door in asked:
            code = await node.say(other, LockDevice(device_id=device), door)
            must((code == SUCCESS) == (other == owner), "a lock that is held was given to another user")


async def i04_an_epoch_never_falls_each_grant_is_larger_and_relock_keeps_it(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    grants, last = [0], 0
    for action in ("take", "take", "override", "take", "free", "take", "crash", "take", "free", "lease", "take"):
        if action == "take":
            held = (await node.row(device)).held
            await node.say("alice", LockDevice(device_id=device))
            if not held:
                grants.append((await node.row(device)).epoch)
            must((await node.row(device)).epoch == grants[-1], "a relock changed the epoch")
        elif action == "override":
            await node.say("admin", OverrideLock(device_id=device, reason="outage"))
            must((await node.row(device)).epoch > last, "an override kept the epoch of the lock that it ended")
        elif action == "free":
            await node.say("alice", UnlockDevice(device_id=device))
        elif action == "lease":
            await _let_a_lease_run_out(node, device)
        else:
            node = await at.again(node)
        epoch = (await node.row(device)).epoch
        must(epoch >= last, "an epoch fell")
        last = epoch
    must(all(a < b for a, b in itertools.pairwise(grants)), "a new grant has an epoch that was given before")


async def i05_a_lock_that_was_reported_outlives_crash_and_restart(at: Place) -> None:
    node = await at.first()
    device, other = await node.enrol("edge-a"), await node.enrol("edge-b", "192.0.2.2:443")
    await node.say("alice", LockDevice(device_id=device, reason="night work", lease_s=3600))
    await node.say("bob", LockDevice(device_id=other))
    before = [astuple(await node.row(d)) for d in (device, other)]
    for name in ("one", "one", "two") if at.shared else ("one", "one"):
        node = await at.again(node, name)
        must([astuple(await node.row(d)) for d in (device, other)] == before, "a crash ended or changed a lock")
    must(await node.say("bob", LockDevice(device_id=device)) == "DEVICE_LOCKED", "a crash let another user in")


async def i06_a_group_is_granted_wholly_or_not_at_all(at: Place) -> None:
    one, two = await at.two()
    nf_id, members = await one.pair("pair")
    group = LockGroup(nf_id=nf_id, group_id=nf_id)
    await one.say("bob", LockDevice(device_id=members[1]))
    must(await one.say("alice", group) == "DEVICE_LOCKED", "a group was given with a device of another")
    must(await one.holder(members[0]) is None, "a refused group lock took a part of the group")
    await one.say("bob", UnlockDevice(device_id=members[1]))
    for _ in range(8):
        codes = await asyncio.gather(
            one.say("alice", group),
            two.say("bob", LockDevice(device_id=members[0])),
            two.say("carol", group),
        )
        holders = [await one.holder(d) for d in members]
        for user, code in zip(("alice", None, "carol"), codes, strict=True):
            must(user is None or (code == SUCCESS) == (holders == [user] * 2), "a group is held in part")
        for user in USERS:
            await one.say(user, UnlockGroup(nf_id=nf_id, group_id=nf_id))


async def i07_lock_lock_is_lock_and_unlock_unlock_is_unlock(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    for _ in range(2):
        must(await node.say("alice", LockDevice(device_id=device)) == SUCCESS, "a relock was refused")
        once = await node.row(device)
        must(await node.say("alice", LockDevice(device_id=device)) == SUCCESS, "a relock was refused")
        must(await node.row(device) == once, "a relock changed the lock")
        must(await node.say("alice", UnlockDevice(device_id=device)) == SUCCESS, "an unlock was refused")
        free = await node.row(device)
        must(not free.held, "one unlock did not free what was locked twice")
        must(await node.say("alice", UnlockDevice(device_id=device)) == SUCCESS, "unlocking a free device was refused")
        must(await node.row(device) == free, "a second unlock changed the lock")


async def i08_only_unlock_override_expiry_and_deletion_free_a_device(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    await node.say("alice", LockDevice(device_id=device))
    held = await node.row(device)
    job = await node.working("alice", device)
    await node.finish(job)
    for operation in (SetPassword(user_name="alice", password=PASSWORD), DisableUser(user_name="alice")):
        await node.gate.execute(node.local, operation)
        must(await node.row(device) == held, "a change of its owner's account ended a lock")
    await node.gate.execute(node.local, EnableUser(user_name="alice"))
    node.tokens.clear()
    for action in (UnlockDevice(device_id=device), LockDevice(device_id=device)):
        await node.say("bob", action)
        must(await node.row(device) == held, "another user's request ended a lock")
    await node.say("alice", Logout())
    must(await node.row(device) == held, "a logout ended a lock")
    node.tokens.clear()
    node = await at.again(node)
    await node.gate.execute(node.system, ExpireLeases())
    must(await node.row(device) == held, "a restart ended a lock")
    await _each_end(node, device)


async def _each_end(node: Node, device: int) -> None:
    """Unlock, override, expiry and deletion, each of a held lock."""
    await node.say("alice", UnlockDevice(device_id=device))
    must(not (await node.row(device)).held, "an unlock does not free")
    await node.say("alice", LockDevice(device_id=device))
    await node.say("admin", OverrideLock(device_id=device, reason="outage", mode=OverrideMode.GRACEFUL))
    must(not (await node.row(device)).held, "an override does not free")
    await _let_a_lease_run_out(node, device)
    must(not (await node.row(device)).held, "the end of a lease does not free")
    await node.say("alice", LockDevice(device_id=device))
    nf_id = (await node.do("alice", ShowDevice(device_id=device))).device.nf_id
    must(await node.say("alice", DeleteNetworkFunction(nf_id=nf_id)) == SUCCESS, "the owner cannot delete a device")
    (event,) = await node.rows("SELECT kind FROM lock_event ORDER BY event_id DESC LIMIT 1")
    must(event.kind == "device:lock:deleted", "a deletion ended a lock without its event")


async def i09_every_change_of_lock_state_has_one_event_that_replays_to_it(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    told: list[str] = []

    async def leads_to(*kinds: str) -> None:
        events = (await node.gate.execute(node.local, ListLockEvents(device_id=device))).items
        told.extend(kinds)
        must([e.kind.value.rpartition(":")[2] for e in events] == told, "a change of a lock has not exactly one event")
        row, last = await node.row(device), events[-1]
        state = (row.epoch, row.holder_name, row.revoked, row.scope, row.session_id, row.lease_s, row.lease_until_us)
        replayed = (
            last.epoch, last.holder_name, last.revoked, last.scope, last.session_id, last.lease_s, last.lease_until_us,
        )  # fmt: skip
        must(state == replayed, "the events do not give the state of the lock")

    await node.say("alice", LockDevice(device_id=device))
    await leads_to("taken")
    await node.say("alice", LockDevice(device_id=device))
    await leads_to()
    await node.say("alice", LockDevice(device_id=device, reason="night work"))
    await leads_to("noted")
    await node.say("alice", LockDevice(device_id=device, lease_s=600))
    await leads_to("leased")
    job = await node.working("alice", device)
    await node.write_row(
        "UPDATE device_lock SET lease_until_us = lease_until_us - 1000000 WHERE device_id = :id", id=device
    )
    await node.finish(job)
    await leads_to("leased")
    await node.say("admin", OverrideLock(device_id=device, reason="outage", transfer=True))
    await leads_to("overridden", "taken")
    await node.say("admin", UnlockDevice(device_id=device))
    await leads_to("released")
    await _let_a_lease_run_out(node, device)
    await leads_to("taken", "expired")
    await _waits_are_told(node, device, leads_to)


async def _waits_are_told(node: Node, device: int, leads_to: object) -> None:
    claim = await node.admitted("bob", device)
    asked = node.asks("alice", LockDevice(device_id=device, wait_s=60))
    await node.until_waiting(device)
    await leads_to("waiting")  # type: ignore[operator]
    await node.end(claim)
    must(await asked == SUCCESS, "a wait was not ended by a grant")
    await leads_to("taken")  # type: ignore[operator]


async def i10_a_refusal_changes_nothing_but_the_audit(at: Place) -> None:
    node = await at.first()
    nf_id, members = await node.pair("pair")
    device = await node.enrol("edge-a")
    for held in (device, members[0]):
        await node.say("alice", LockDevice(device_id=held, reason="night work"))
    claim = await node.admitted("carol", members[1])
    refused = (
        (LockDevice(device_id=device, reason="mine", lease_s=5), "DEVICE_LOCKED"),
        (LockDevice(device_id=device, wait_s=60), "DEVICE_LOCKED"),
        (LockGroup(nf_id=nf_id, group_id=nf_id, wait_s=60), "DEVICE_LOCKED"),
        (LockDevice(device_id=members[1]), "DEVICE_BUSY"),
        (UnlockDevice(device_id=device), "NOT_LOCK_OWNER"),
        (UnlockDevice(device_id=device, epoch=77), "LOCK_LOST"),
        (OverrideLock(device_id=device, reason="mine"), "FORBIDDEN"),
        (DeleteNetworkFunction(nf_id=nf_id), "DEVICE_LOCKED"),
        (ShowLock(device_id=99999), "NOT_FOUND"),
    )
    before = await _everything(node)
    for operation, expected in refused:
        code = await node.say("bob", operation)
        must(code == expected, f"{type(operation).__name__} was answered {code}, not {expected}")
        must(await _everything(node) == before, "a refusal changed a lock, a claim, a wait or a history")
    must(await node.say("admin", OverrideLock(device_id=device, reason="x", expected_holder="bob")) == "LOCK_CHANGED",
         "an override took a lock away that it did not name")  # fmt: skip
    must(await _everything(node) == before, "a refusal changed a lock, a claim, a wait or a history")
    await node.end(claim)


async def _everything(node: Node) -> dict[str, list[str]]:
    return {t: sorted(str(tuple(r)) for r in await node.rows(f"SELECT * FROM {t}")) for t in REFUSALS_LEAVE}  # noqa: S608


async def i12_a_read_that_starts_after_an_answer_sees_it_at_any_door_and_node(at: Place) -> None:
    one, two = await at.two()
    device = await one.enrol("edge-a")
    for writer, reader in ((one, two), (two, one)) * 3:
        for operation, holder in ((LockDevice(device_id=device), "alice"), (UnlockDevice(device_id=device), None)):
            await writer.say("alice", operation)
            for door in DOORS:
                view = await reader.gate.execute(await reader.caller("bob", door), ShowLock(device_id=device))
                must(view.row.holder_name == holder, "a read did not see what was answered before it began")


async def i13_without_a_lease_time_alone_changes_nothing(at: Place) -> None:
    node = await at.first()
    held, free = await node.enrol("edge-a"), await node.enrol("edge-b", "192.0.2.2:443")
    await node.say("alice", LockDevice(device_id=held))
    before: list[LockRow] = [await node.row(d) for d in (held, free)]
    node.jump(10 * YEAR_S)
    await node.gate.execute(node.system, ExpireLeases())
    must([await node.row(d) for d in (held, free)] == before, "time alone changed a lock")
    must(await node.say("bob", LockDevice(device_id=held)) == "DEVICE_LOCKED", "time alone let another user in")


async def i16_the_end_of_a_claim_never_ends_a_lock(at: Place) -> None:
    node = await at.first()
    device = await node.enrol("edge-a")
    await node.say("alice", LockDevice(device_id=device))
    held = await node.row(device)
    for _ in range(2):
        job = await node.working("alice", device)
        await node.write(job)
        await node.finish(job)
        must(await node.row(device) == held, "work ended, and with it its user's lock")
    job = await node.working("alice", device)
    await node.write(job)
    node = await at.again(node)
    cut = replace(held, uncertain=True)
    must(await node.row(device) == cut, "work was cut off, and with it its user's lock ended")


async def _let_a_lease_run_out(node: Node, device: int) -> None:
    await node.say("alice", LockDevice(device_id=device, lease_s=60))
    await node.write_row("UPDATE device_lock SET lease_until_us = 1 WHERE device_id = :id", id=device)
    await node.gate.execute(node.system, ExpireLeases())
