"""The judge of the crash runs is judged: histories that no honest server can have must be rejected, honest ones not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.simulation.crash_judge import Judge, Look
from tests.simulation.crash_model import (
    SUCCESS,
    Answer,
    Call,
    Event,
    Kind,
    Lock,
    Possible,
    Violation,
    check_busy,
    feed,
    outcomes,
    replayed,
)
from tests.simulation.crash_traffic import Record, Sessions

A, B = 7, 8
OK = Answer(SUCCESS)
FREE = Lock()
_numbers = itertools.count(1)


def call(
    user: str, kind: Kind, *devices: int, at: float, answer: Answer | None = OK, ended: float | None = None,
    **more: object,
) -> Call:  # fmt: skip
    """One that is answered a second after it was sent, unless its answer was lost."""
    made = Call(f"c{next(_numbers)}", user, kind, devices or (A,), at)
    done = (at + 1 if ended is None else ended) if answer is not None else None
    return replace(made, ended=done, answer=answer, **more)  # type: ignore[arg-type]


def lock(user: str, *devices: int, at: float, answer: Answer | None = OK, **more: object) -> Call:
    return call(user, Kind.LOCK, *devices, at=at, answer=answer, **more)  # type: ignore[arg-type]


def unlock(user: str, *devices: int, at: float, answer: Answer | None = OK) -> Call:
    return call(user, Kind.UNLOCK, *devices, at=at, answer=answer)


def judge(calls: list[Call], a: Lock = FREE, b: Lock = FREE, happened: Mapping[str, bool] | None = None) -> None:
    """Two devices of one function: these calls, a crash, and this is found."""
    possible = Possible((A, B))
    feed(possible, calls)
    possible.crash(happened or {})
    possible.found({A: a, B: b})


def reject(calls: list[Call], a: Lock = FREE, b: Lock = FREE, happened: Mapping[str, bool] | None = None) -> None:
    with pytest.raises(Violation):
        judge(calls, a, b, happened)


# ---------------------------------------------------------------------------------------- what was reported


def test_a_reported_lock_stays() -> None:
    judge([lock("alice", at=1)], Lock("alice", 1))
    reject([lock("alice", at=1)])
    reject([lock("alice", at=1)], Lock("bob", 1))
    reject([lock("alice", at=1)], Lock("alice", 2))
    reject([lock("alice", at=1, reason="r1")], Lock("alice", 1))


def test_a_reported_unlock_is_not_forgotten() -> None:
    both = [lock("alice", at=1), unlock("alice", at=3)]
    judge(both, Lock(None, 1))
    reject(both, Lock("alice", 1))


def test_an_epoch_never_falls_and_every_grant_has_a_new_one() -> None:
    again = [lock("alice", at=1), unlock("alice", at=3), lock("bob", at=5)]
    judge(again, Lock("bob", 2))
    for epoch in (0, 1, 3):
        reject(again, Lock("bob", epoch))
    reject(again[:2], Lock(None, 0))
    shown = Answer(SUCCESS, {A: Lock("bob", 1)})
    reject([*again[:2], lock("bob", at=5, answer=shown)], Lock("bob", 2))


def test_a_lock_that_was_refused_is_not_taken() -> None:
    refused = Answer("DEVICE_LOCKED", blockers={A: ("alice", 1)})
    judge([lock("alice", at=1), lock("bob", at=3, answer=refused)], Lock("alice", 1))
    reject([lock("alice", at=1), lock("bob", at=3, answer=refused)], Lock("bob", 2))
    reject([lock("bob", at=3, answer=refused)])
    wrong = Answer("DEVICE_LOCKED", blockers={A: ("alice", 2)})
    reject([lock("alice", at=1), lock("bob", at=3, answer=wrong)], Lock("alice", 1))


def test_two_users_never_hold_one_device() -> None:
    reject([lock("alice", at=1), lock("bob", at=3)], Lock("bob", 2))
    # Not even for a moment, when both were under way at once.
    reject([lock("alice", at=1, ended=4), lock("bob", at=1, ended=4)], Lock("bob", 1))


def test_foreign_work_and_foreign_unlocks_do_not_pass() -> None:
    held = lock("alice", at=1)
    judge([held, call("alice", Kind.USE, at=3)], Lock("alice", 1))
    reject([held, call("bob", Kind.USE, at=3)], Lock("alice", 1))
    reject([held, unlock("bob", at=3)], Lock("alice", 1))
    judge([held, unlock("bob", at=3, answer=Answer("NOT_LOCK_OWNER"))], Lock("alice", 1))
    reject([held, unlock("alice", at=3, answer=Answer("NOT_LOCK_OWNER"))], Lock("alice", 1))


def test_an_override_raises_the_epoch_whether_it_hands_over_or_not() -> None:
    held = lock("alice", at=1)
    taken = call("admin", Kind.OVERRIDE, at=3, expected="alice", transfer=True, reason="r")
    for after in (Lock(None, 2), Lock("admin", 3, "r")):
        judge([held, taken], after)
    for after in (Lock(None, 1), Lock("admin", 2, "r"), Lock("alice", 1)):
        reject([held, taken], after)
    reject([held, replace(taken, transfer=False)], Lock("admin", 3, "r"))
    reject([held, replace(taken, expected="bob")], Lock(None, 2))


def test_answers_that_show_the_lock_are_believed() -> None:
    held = lock("alice", at=1)
    judge([held, call("bob", Kind.SHOW, at=3, answer=Answer(SUCCESS, {A: Lock("alice", 1)}))], Lock("alice", 1))
    reject([held, call("bob", Kind.SHOW, at=3, answer=Answer(SUCCESS, {A: FREE}))], Lock("alice", 1))
    # A look that began before the lock was taken may have seen the device free.
    early = call("bob", Kind.SHOW, at=0.5, ended=3, answer=Answer(SUCCESS, {A: FREE}))
    judge([held, early], Lock("alice", 1))


# ---------------------------------------------------------------------------------------- what was not


def test_a_lost_answer_leaves_both_open() -> None:
    lost = lock("alice", at=1, answer=None)
    for after in (FREE, Lock("alice", 1)):
        judge([lost], after)
    reject([lost], Lock("alice", 2))
    reject([lost], Lock(None, 1))
    held = lock("alice", at=1)
    for after in (Lock("alice", 1), Lock(None, 1)):
        judge([held, unlock("alice", at=3, answer=None)], after)


def test_the_audit_trail_settles_a_lost_answer() -> None:
    lost = lock("alice", at=1, answer=None)
    judge([lost], Lock("alice", 1), happened={lost.call_id: True})
    judge([lost], happened={lost.call_id: False})
    reject([lost], happened={lost.call_id: True})
    reject([lost], Lock("alice", 1), happened={lost.call_id: False})


def test_a_lost_answer_may_have_been_seen_by_others() -> None:
    lost = lock("alice", at=1, answer=None)
    refused = lock("bob", at=3, answer=Answer("DEVICE_LOCKED", blockers={A: ("alice", 1)}))
    judge([lost, refused], Lock("alice", 1))
    reject([lost, refused])
    # What nobody sent cannot be found either.
    reject([refused], Lock("alice", 1))


def test_nothing_happens_after_the_crash() -> None:
    possible = Possible((A,))
    lost = lock("alice", at=1, answer=None)
    feed(possible, [lost])
    possible.crash({})
    possible.found({A: FREE})
    possible.crash({})
    with pytest.raises(Violation):
        possible.found({A: Lock("alice", 1)})


def test_a_group_is_taken_wholly_or_not_at_all() -> None:
    lost = lock("alice", A, B, at=1, answer=None)
    judge([lost])
    judge([lost], Lock("alice", 1), Lock("alice", 1))
    reject([lost], Lock("alice", 1))
    reject([lost], b=Lock("alice", 1))
    reject([replace(lost, answer=OK, ended=2.0)], Lock("alice", 1))


def test_a_group_is_released_wholly_or_not_at_all() -> None:
    held = [lock("alice", A, B, at=1), unlock("alice", A, B, at=3, answer=None)]
    judge(held, Lock("alice", 1), Lock("alice", 1))
    judge(held, Lock(None, 1), Lock(None, 1))
    reject(held, Lock("alice", 1), Lock(None, 1))
    # Unless a call for that one device is among the lost ones, too.
    judge([*held, unlock("alice", A, at=3, answer=None)], Lock(None, 1), Lock("alice", 1))


def test_a_group_refusal_names_all_that_is_in_the_way() -> None:
    held = [lock("bob", A, at=1), lock("bob", B, at=1)]
    both = Answer("DEVICE_LOCKED", blockers={A: ("bob", 1), B: ("bob", 1)})
    judge([*held, lock("alice", A, B, at=3, answer=both)], Lock("bob", 1), Lock("bob", 1))
    one = Answer("DEVICE_LOCKED", blockers={A: ("bob", 1)})
    reject([*held, lock("alice", A, B, at=3, answer=one)], Lock("bob", 1), Lock("bob", 1))


def test_honest_histories_are_never_rejected() -> None:
    """A server that does exactly what it says, its answers lost at random, with calls that overlap."""
    for seed in range(150):
        rng = random.Random(seed)
        state, calls = {A: FREE, B: FREE}, []
        for number in range(40):
            at = number + 0.5
            kind = rng.choice((Kind.LOCK, Kind.LOCK, Kind.UNLOCK, Kind.OVERRIDE, Kind.USE, Kind.SHOW))
            devices = rng.choice(((A,), (B,), (A, B)) if kind in (Kind.LOCK, Kind.UNLOCK) else ((A,), (B,)))
            made = call(
                rng.choice(("alice", "bob", "admin")), kind, *devices, at=at - rng.random() * 4,
                ended=at + rng.random() * 4, reason=rng.choice((None, f"r{number}")),
                expected=rng.choice(("alice", "bob")), transfer=rng.random() < 0.5,
            )  # fmt: skip
            code, after = rng.choice(list(outcomes(made, [state[d] for d in devices])))
            foreign = {d: (s.holder or "", s.epoch) for d, s in state.items() if d in devices}
            foreign = {d: told for d, told in foreign.items() if told[0] not in ("", made.user)}
            state |= dict(zip(devices, after, strict=True))
            shown = {d: state[d] for d in devices} if code == SUCCESS and kind is not Kind.USE else {}
            answer = Answer(code, shown, foreign if code == "DEVICE_LOCKED" else {})
            if number > 36 and rng.random() < 0.7:
                made = replace(made, ended=None, answer=None)
            else:
                made = replace(made, answer=answer)
            calls.append(made)
        judge(calls, state[A], state[B])


# ---------------------------------------------------------------------------------------- histories and work


def event(kind: str, epoch: int, actor: str, holder: str | None, reason: str | None = None) -> Event:
    return Event(f"device:lock:{kind}", epoch, actor, holder, reason)


TAKEN, RELEASED = event("taken", 1, "alice", "alice", "r1"), event("released", 1, "alice", None)


def test_the_replay_of_a_history_is_the_state() -> None:
    assert replayed(FREE, [TAKEN]) == Lock("alice", 1, "r1")
    for kind in ("waiting", "abandoned", "leased", "asked"):
        assert replayed(FREE, [TAKEN, event(kind, 1, "bob", "alice")]) == Lock("alice", 1, "r1")
    assert replayed(FREE, [TAKEN, event("expired", 2, "server", None)]) == Lock(None, 2)
    assert replayed(FREE, [TAKEN, event("noted", 1, "alice", "alice", "r2")]) == Lock("alice", 1, "r2")
    assert replayed(FREE, [TAKEN, RELEASED, event("taken", 2, "bob", "bob")]) == Lock("bob", 2)
    assert replayed(FREE, [TAKEN, event("overridden", 2, "admin", None)]) == Lock(None, 2)


@pytest.mark.parametrize(
    "events",
    [
        [event("taken", 0, "alice", "alice")],
        [event("taken", 2, "alice", "alice")],
        [TAKEN, TAKEN],
        [TAKEN, event("taken", 2, "bob", "bob")],
        [TAKEN, RELEASED, event("taken", 1, "bob", "bob")],
        [TAKEN, event("released", 1, "bob", None)],
        [TAKEN, event("released", 0, "alice", None)],
        [TAKEN, event("overridden", 1, "admin", None)],
        [RELEASED],
        [event("noted", 0, "alice", "alice")],
        [TAKEN, event("expired", 1, "system", None)],
        [TAKEN, event("forgotten", 1, "alice", "alice")],
    ],
)
def test_a_history_no_lock_can_have_is_rejected(events: list[Event]) -> None:
    with pytest.raises(Violation):
        replayed(FREE, events)


def test_busy_means_that_something_runs() -> None:
    busy = call("bob", Kind.USE, at=5, answer=Answer("DEVICE_BUSY"), work=True)
    running = call("alice", Kind.USE, at=1, ended=9, work=True)
    check_busy([running, busy], {})
    check_busy([replace(running, answer=None, ended=None), busy], {})
    check_busy([busy], {A: 5.0})
    over = replace(running, ended=4.0)
    refused = replace(running, answer=Answer("DEVICE_BUSY"))
    elsewhere = replace(running, devices=(B,))
    for others in ([], [over], [refused], [elsewhere], [replace(running, work=False)]):
        with pytest.raises(Violation):
            check_busy([*others, busy], {A: 4.0})


# ---------------------------------------------------------------------------------------- after a restart


def found() -> Look:
    """Alice has locked a device; her session lives and another has ended."""
    return Look(
        locks={A: Lock("alice", 1, "r1")},
        running={A: []},
        events={A: [TAKEN]},
        audit={"c1": {A: SUCCESS}, "s1": {None: SUCCESS}},
        sessions={"living": 200, "left": 401},
    )


def after_restart(look: Look, told: list[Event] | None = None) -> None:
    taken = Call("c1", "alice", Kind.LOCK, (A,), 1.0, 2.0, OK, "r1")
    record = Record([taken], ["s1"])
    judging = Judge(record, Sessions([("alice", "living")], ["left"]), look)
    judging.all([Possible((A,))], {A: told or []}, {})


def test_what_is_found_after_an_honest_restart_is_accepted() -> None:
    after_restart(found())
    after_restart(found(), [TAKEN])
    interrupted = found()
    interrupted.running[A] = [{"state": "INTERRUPTED", "stepUntil": "2026-11-23T10:02:11Z"}]
    after_restart(interrupted)


@pytest.mark.parametrize(
    "wrong",
    [
        {"locks": {A: FREE}},
        {"events": {A: []}},
        {"events": {A: [replace(TAKEN, epoch=2)]}},
        {"audit": {"s1": {None: SUCCESS}}},
        {"audit": {"c1": {A: "DEVICE_LOCKED"}, "s1": {None: SUCCESS}}},
        {"audit": {"c1": {A: SUCCESS}}},
        {"sessions": {"living": 401, "left": 401}},
        {"sessions": {"living": 200, "left": 200}},
        {"unended_claims": 1},
        {"running": {A: [{"state": "RUNNING"}]}},
        {"running": {A: [{"state": "INTERRUPTED"}]}},
    ],
    ids=lambda wrong: " ".join(f"{name}={value}" for name, value in wrong.items())[:40],
)
def test_what_was_lost_in_a_restart_is_seen(wrong: dict[str, object]) -> None:
    with pytest.raises(Violation):
        after_restart(replace(found(), **wrong))  # type: ignore[arg-type]


def test_a_history_that_was_rewritten_is_seen() -> None:
    with pytest.raises(Violation):
        after_restart(found(), [replace(TAKEN, reason="another")])


def test_a_group_that_was_audited_in_part_is_seen() -> None:
    lost = Call("c1", "alice", Kind.LOCK, (A, B), 1.0)
    look = Look(locks={A: FREE, B: FREE}, audit={"c1": {A: SUCCESS}})
    with pytest.raises(Violation, match="alone"):
        Judge(Record([lost]), Sessions(), look).locks([Possible((A, B))])
