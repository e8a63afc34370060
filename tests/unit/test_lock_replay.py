"""The replay of lock events: what the rules write is followed, and whatever is missing or made up is found."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from opensdm.core.lock import (
    AskRelease,
    Board,
    Decision,
    EventKind,
    Guard,
    LockEvent,
    LockRow,
    LockScope,
    OverrideMode,
    PendingRow,
    ReleaseLock,
    Request,
    TakeAway,
    TakeLock,
    decide,
    due_first,
)
from opensdm.core.lock_replay import LockDifference, Replay
from tests.unit.lock_rows import ADMIN, ALICE, BOB, NOW, actor, board, claim, devices, free

TURNING = frozenset((EventKind.TAKEN, EventKind.RELEASED, EventKind.OVERRIDDEN, EventKind.EXPIRED))
"""Events that begin or end a lock. The others show only as long as nothing has replaced what they changed."""


class Log:
    """Decisions of the real rules, one after another, and the events they left."""

    def __init__(self, *rows: LockRow) -> None:
        self.board = board(*rows)
        self.events: list[LockEvent] = []

    def step(self, request: Request) -> None:
        self.board = replace(self.board, now_us=self.board.now_us + 1_000_000)
        if due := due_first(self.board, frozenset(self.board.locks)):
            self._apply(due)
        self._apply(decide(self.board, request))

    def _apply(self, decision: Decision) -> None:
        self.board.apply(decision)
        for event in decision.events:
            self.events.append(replace(event, event_id=len(self.events) + 1))

    def differences(
        self, events: list[LockEvent] | None = None, *, board: Board | None = None
    ) -> tuple[LockDifference, ...]:
        held = board or self.board
        replay = Replay(tuple(held.pending.values()))
        for event in self.events if events is None else events:
            replay.add(event)
        replay.compare(held.locks.values())
        return replay.finish()


def any_request(choose: random.Random) -> Request:
    user = actor(choose.choice((ALICE, BOB)))
    on = devices(choose.choice((1, 2)))
    return choose.choice(
        (
            TakeLock(user, on, "one", scope=choose.choice(tuple(LockScope))),
            TakeLock(user, on, choose.choice(("one", "two")), lease_s=choose.choice((0, 3, 60))),
            TakeLock(user, devices(1, 2)),
            ReleaseLock(user, on),
            ReleaseLock(user, on),
            AskRelease(user, on, "soon?"),
            TakeAway(
                actor(ADMIN), on, "outage", mode=choose.choice(tuple(OverrideMode)), transfer=choose.random() < 0.3
            ),
        )
    )


def history(seed: int) -> Log:
    choose, log = random.Random(seed), Log(free(1), free(2))
    for _ in range(40):
        log.step(any_request(choose))
    return log


@pytest.mark.parametrize("seed", range(12))
def test_what_the_rules_write_is_followed(seed: int) -> None:
    choose, log = random.Random(seed), Log(free(1), free(2))
    for _ in range(120):
        log.step(any_request(choose))
        assert log.differences() == ()
    assert {EventKind.TAKEN, EventKind.RELEASED, EventKind.OVERRIDDEN} <= {each.kind for each in log.events}


@pytest.mark.parametrize("seed", range(4))
def test_an_event_that_is_missing_is_found(seed: int) -> None:
    log = history(seed)
    for number, event in enumerate(log.events):
        found = log.differences(log.events[:number] + log.events[number + 1 :])
        assert found or event.kind not in TURNING, event
        assert {each.device_id for each in found} <= {event.device_id}


@pytest.mark.parametrize("seed", range(4))
def test_an_event_too_many_is_found(seed: int) -> None:
    log = history(seed)
    for number, event in enumerate(log.events):
        found = log.differences([*log.events[: number + 1], *log.events[number:]])
        assert bool(found) == (event.kind in TURNING), event


CHANGES = {
    "epoch": 99,
    "revoked": 1,
    "holder": ("holder_id", BOB),
    "since_us": NOW,
    "door": "soap",
    "session": ("session_id", 4711),
    "reason": "another",
    "scope": LockScope.SESSION,
    "lease_s": 7,
    "lease_until_us": NOW,
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_lock_that_changed_without_an_event_is_found(what: str) -> None:
    log = Log(free(1), free(2))
    log.step(TakeLock(actor(ALICE), devices(1), "work", lease_s=60))
    change = CHANGES[what]
    name, value = change if isinstance(change, tuple) else (what, change)
    log.board.locks[1] = replace(log.board.locks[1], **{name: value})
    (found,) = log.differences()
    assert (found.device_id, found.device_name, found.what, found.event_id) == (1, "edge-1", what, None)
    assert found.told != found.found
    if what == "holder":
        assert found.told == f"alice, user {ALICE}"


def test_a_note_and_a_lease_that_no_event_tells_of_are_found() -> None:
    log = Log(free(1))
    log.step(TakeLock(actor(ALICE), devices(1), "one"))
    log.step(TakeLock(actor(ALICE), devices(1), "two"))
    log.step(TakeLock(actor(ALICE), devices(1), lease_s=60))
    assert [each.kind for each in log.events[1:]] == [EventKind.NOTED, EventKind.LEASED]
    assert [each.what for each in log.differences([log.events[0], log.events[2]])] == ["reason"]
    assert [each.what for each in log.differences(log.events[:2])] == ["lease_s", "lease_until_us"]
    log.step(AskRelease(actor(BOB), devices(1)))
    after = log.differences([*log.events[:2], log.events[3]])
    assert [(each.what, each.event_id) for each in after] == [("lease_s", 4), ("lease_until_us", 4)]


def test_locks_and_devices_that_no_event_explains() -> None:
    log = Log(free(1), free(2))
    log.step(TakeLock(actor(ALICE), devices(1, 2)))
    log.step(ReleaseLock(actor(ALICE), devices(2)))
    assert log.differences([]) != ()
    gone = log.board.locks.pop(1)
    del log.board.locks[2]
    assert log.differences() == (LockDifference(1, "edge-1", "device", f"held by alice, user {ALICE}", None),)
    log.board.locks[1] = gone
    log.step(Guard(actor(ALICE), devices(1), drop=True))
    assert log.events[-1].kind is EventKind.DELETED
    del log.board.locks[1]
    assert log.differences() == (), "its end is told of"


def test_an_event_that_cannot_follow_says_which() -> None:
    log = Log(free(1))
    log.step(TakeLock(actor(ALICE), devices(1)))
    log.step(ReleaseLock(actor(ALICE), devices(1)))
    log.step(TakeLock(actor(BOB), devices(1)))
    taken = log.differences([log.events[0], log.events[2]])
    assert [(each.what, each.told, each.found, each.event_id) for each in taken] == [
        ("kind", f"held by alice, user {ALICE}", "device:lock:taken", 3)
    ], "one fault is told once: what followed is believed"
    first = log.differences(log.events[1:])
    assert [(each.what, each.told, each.found) for each in first[:2]] == [
        ("kind", "free", "device:lock:released"),
        ("epoch", 0, 1),
    ]
    nobody = replace(log.events[0], actor_id=None, holder_id=None)
    assert log.differences([nobody, *log.events[1:]])[0].what == "kind"


def test_a_lock_from_before_events_named_sessions() -> None:
    log = Log(free(1))
    log.step(TakeLock(actor(ALICE), devices(1)))
    (taken,) = log.events
    old = replace(taken, session_id=None)
    assert log.differences([old]) == ()
    log.step(AskRelease(actor(BOB), devices(1)))
    assert log.differences([old, log.events[1]]) == (), "an event of today names it"


def test_waiting_requests_are_told_of() -> None:
    log = Log(free(1), free(2))
    log.board.claims[5] = claim(5, BOB, 1, 2)

    def wait(pending_id: int, *ids: int) -> PendingRow:
        log.step(TakeLock(actor(ALICE), devices(*ids), wait_us=60_000_000, pending_id=pending_id))
        return log.board.pending[pending_id]

    first, second = wait(7, 1, 2), wait(8, 1)
    assert log.differences() == ()
    told = replace(log.events[-1], kind=EventKind.CONFIRMED)
    assert log.differences([*log.events, told]) == (), "what else they do is no request"
    untold = LockDifference(1, "edge-1", "waiting", None, f"alice, user {ALICE}")
    assert log.differences([e for e in log.events if (e.device_id, e.at_us) != (1, second.since_us)]) == (untold,)
    assert [each.what for each in log.differences([])] == ["waiting"] * 3
    given_up = replace(log.events[0], kind=EventKind.GAVE_UP)
    assert log.differences([*log.events, given_up]) == (untold,), "one of two was given up"
    log.board.pending[9] = replace(first, pending_id=9)
    assert [each.device_id for each in log.differences()] == [1, 2], "two requests, and one event for both"
