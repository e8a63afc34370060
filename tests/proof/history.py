"""What many clients of many servers were told, and what reached the devices: is it what one server could have said?

Outcomes that nobody was told are settled by the audit trail, whose row is in the same transaction as the effect: with
one, the call took effect at some instant around the row's; without, never.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import asyncpg

from opensdm.simulator import VirtualSbc
from tests.proof.roaming import is_lock_change, realm_of
from tests.simulation import crash_model as model
from tests.simulation.crash_model import SUCCESS, Answer, Call, Event, Kind, Lock, Possible, Violation

LATEST_COMMIT_S = 15.0
"""How long after an audit row was made its transaction may have been committed: a commit can hang for a while."""
STATE_KINDS = ("taken", "noted", "released", "overridden")


@dataclass(frozen=True)
class Trail:
    """What the database holds in the end: audit results and instants by request, events and locks by device."""

    audit: Mapping[str, list[tuple[int | None, str, float]]]
    events: Mapping[int, list[Event]]
    locks: Mapping[int, Lock]
    claims: int

    @classmethod
    async def read(cls, url: str) -> Trail:
        connection = await asyncpg.connect(url)
        try:
            audit: dict[str, list[tuple[int | None, str, float]]] = {}
            for row in await connection.fetch("SELECT request_id, device_id, result, at_us FROM audit_entry"):
                found = audit.setdefault(row["request_id"], [])
                found.append((row["device_id"], row["result"], row["at_us"] / 1e6))
            events: dict[int, list[Event]] = {}
            for row in await connection.fetch("SELECT * FROM lock_event ORDER BY event_id"):
                if row["kind"].rpartition(":")[2] in STATE_KINDS:
                    told = Event(row["kind"], row["epoch"], row["actor_name"], row["holder_name"], row["reason"])
                    events.setdefault(row["device_id"], []).append(told)
            locks = {
                row["device_id"]: Lock(row["holder_name"], row["epoch"], row["reason"])
                for row in await connection.fetch(
                    "SELECT l.*, u.user_name AS holder_name FROM device_lock l"
                    " LEFT JOIN user_account u ON u.user_id = l.holder_id"
                )
            }
            claims = await connection.fetchval("SELECT count(*) FROM claim WHERE state IN ('RUNNING', 'QUEUED')")
            return cls(audit, events, locks, claims)
        finally:
            await connection.close()


def settled(calls: Iterable[Call], trail: Trail) -> list[Call]:
    """The calls, with what the audit trail knows of those that nobody was told of. Successes are all in it."""
    known = []
    for call in calls:
        rows = trail.audit.get(call.call_id, [])
        done = [at for _, result, at in rows if result == SUCCESS]
        if call.answer is not None:
            if call.succeeded and is_lock_change(call) and len(done) != len(call.devices):
                raise Violation(f"{call} succeeded, and the audit trail has {rows}")
            known.append(call)
        elif call.changes and done:
            if len(done) != len(call.devices):
                raise Violation(f"{call} was audited for a part of its devices: {rows}")
            known.append(replace(call, ended=max(done) + LATEST_COMMIT_S, answer=Answer(SUCCESS)))
    return known


def check_linearizable(cells: Sequence[Sequence[int]], calls: Sequence[Call], trail: Trail) -> None:
    """Every answer could have been given by one server that does one thing after another; the end is what it left."""
    for cell in cells:
        possible = Possible(cell)
        model.feed(possible, calls)
        possible.crash({})
        possible.found({d: trail.locks[d] for d in cell})


def check_events(trail: Trail) -> None:
    """I9: the events, replayed, give the state."""
    for device, lock in trail.locks.items():
        replayed = model.replayed(Lock(), trail.events.get(device, []))
        if replayed != lock:
            raise Violation(f"device {device} is {lock}, and its events say {replayed}")


# ------------------------------------------------------------------------------------------- guarded devices


@dataclass(frozen=True)
class Hold:
    """From the answer that a lock is held until anything that could end it was sent: no foreign write may fall here."""

    device: int
    user: str
    begun: float
    ended: float


def holds(calls: Sequence[Call]) -> list[Hold]:
    ends: dict[tuple[int, str], list[Call]] = {}
    for call in calls:
        if call.kind is Kind.UNLOCK and call.changes:
            for device in call.devices:
                ends.setdefault((device, call.user), []).append(call)
        elif call.kind is Kind.OVERRIDE and call.changes and call.expected is not None:
            ends.setdefault((call.devices[0], call.expected), []).append(call)
    found = []
    for call in calls:
        if call.kind is Kind.LOCK and call.succeeded and call.ended is not None:
            for device in call.devices:
                later = [e.begun for e in ends.get((device, call.user), ()) if (e.ended or math.inf) > call.begun]
                end = min(later, default=math.inf)
                if end > call.ended:
                    found.append(Hold(device, call.user, call.ended, end))
    return found


@dataclass(frozen=True)
class Write:
    """One change that reached a device, by the user whose element it is."""

    device: int
    user: str
    at: float


def writes(device: int, sbc: VirtualSbc, users: Iterable[str]) -> list[Write]:
    whose = {f"realm-config identifier={realm_of(user)}": user for user in users}
    return [
        Write(device, whose[entry.subject], entry.at_us / 1e6)
        for entry in sbc.journal.entries("element")
        if entry.stored and entry.subject in whose
    ]


def check_guarded(all_holds: Sequence[Hold], all_writes: Sequence[Write]) -> int:
    """No foreign write while a lock was reported and not ended; answers how many writes fell into some hold."""
    inside = 0
    by_device: dict[int, list[Hold]] = {}
    for hold in all_holds:
        by_device.setdefault(hold.device, []).append(hold)
    for write in all_writes:
        for hold in by_device.get(write.device, ()):
            if hold.begun < write.at < hold.ended:
                inside += 1
                if hold.user != write.user:
                    raise Violation(f"{write} while {hold}")
    return inside
