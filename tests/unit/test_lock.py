"""The rule book, transition by transition, without a database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensdm.core.lock import (
    Admitted,
    EventKind,
    Guard,
    Locked,
    LockRow,
    LostLock,
    Overridden,
    OverrideMode,
    PendingRow,
    RefusalCode,
    Refused,
    Released,
    ReleaseLock,
    Request,
    TakeAway,
    TakeLock,
    decide,
    decide_all,
)
from tests.unit.lock_rows import (
    ADMIN,
    ALICE,
    BOB,
    NOW,
    actor,
    admit,
    board,
    claim,
    devices,
    free,
    held,
    refused,
)

# ---------------------------------------------------------------------------------------- lock


def test_lock_of_a_free_device_raises_its_epoch_and_tells_one_event() -> None:
    decision = decide(board(free(1, epoch=4)), TakeLock(actor(ALICE), devices(1), "why"))
    assert isinstance(decision.answer, Locked)
    (row,) = decision.answer.locks
    assert (row.holder_id, row.epoch, row.reason, row.since_us, row.door) == (ALICE, 5, "why", NOW, "rest")
    assert decision.locks == (row,)
    assert [e.kind for e in decision.events] == [EventKind.TAKEN]
    assert decision.events[0].epoch == 5


def test_relock_is_a_no_op_that_keeps_its_epoch() -> None:
    decision = decide(board(held(1, ALICE, 3)), TakeLock(actor(ALICE), devices(1)))
    assert isinstance(decision.answer, Locked)
    assert decision.answer.locks[0].epoch == 3
    assert not decision.locks and not decision.events


def test_relock_with_another_reason_notes_it_and_keeps_the_epoch() -> None:
    decision = decide(board(held(1, ALICE, 3)), TakeLock(actor(ALICE), devices(1), "ticket 12"))
    assert [(r.epoch, r.reason) for r in decision.locks] == [(3, "ticket 12")]
    assert [e.kind for e in decision.events] == [EventKind.NOTED]


def test_relock_succeeds_beside_foreign_work_that_was_there_before() -> None:
    there = board(held(1, ALICE, 3), claims=(replace(claim(9, BOB, 1), exclusive=False),))
    assert isinstance(decide(there, TakeLock(actor(ALICE), devices(1))).answer, Locked)


def test_group_lock_takes_all_or_nothing_and_lists_every_blocker() -> None:
    answer = refused(decide(board(free(1), held(2, BOB), held(3, BOB)), TakeLock(actor(ALICE), devices(1, 2, 3))))
    assert answer.code is RefusalCode.DEVICE_LOCKED
    assert [(b.kind, b.device_id, b.holder, b.reason) for b in answer.blockers] == [
        ("lock", 2, "bob", "maintenance 4711"),
        ("lock", 3, "bob", "maintenance 4711"),
    ]
    granted = decide(board(free(1), held(2, ALICE, 9), free(3)), TakeLock(actor(ALICE), devices(1, 2, 3)))
    assert isinstance(granted.answer, Locked)
    assert [(r.device_id, r.epoch) for r in granted.answer.locks] == [(1, 1), (2, 9), (3, 1)]


def test_lock_is_refused_while_foreign_work_runs_and_granted_beside_own_work() -> None:
    work = claim(9, BOB, 1, exclusive=False)
    answer = refused(decide(board(free(1), claims=(work,)), TakeLock(actor(ALICE), devices(1))))
    assert answer.code is RefusalCode.DEVICE_BUSY
    assert [(b.kind, b.running, b.holder) for b in answer.blockers] == [("work", "PushChanges", "bob")]
    assert isinstance(decide(board(free(1), claims=(work,)), TakeLock(actor(BOB), devices(1))).answer, Locked)


def test_a_live_pending_request_bars_others_and_a_dead_one_bars_nobody() -> None:
    waiting = PendingRow(5, BOB, "bob", devices(1), NOW + 1, NOW - 1)
    answer = refused(decide(board(free(1), pending=(waiting,)), TakeLock(actor(ALICE), devices(1))))
    assert (answer.code, answer.blockers[0].kind) == (RefusalCode.DEVICE_LOCKED, "pending")
    late = replace(waiting, deadline_us=NOW)
    assert isinstance(decide(board(free(1), pending=(late,)), TakeLock(actor(ALICE), devices(1))).answer, Locked)
    assert refused(decide(board(free(1), pending=(waiting,)), admit(ALICE, 1))).code is RefusalCode.DEVICE_LOCKED
    assert isinstance(decide(board(free(1), pending=(waiting,)), admit(BOB, 1)).answer, Admitted)


# -------------------------------------------------------------------------------------- unlock


def test_unlock_frees_what_is_mine_keeps_the_epoch_and_cancels_my_waiting_requests() -> None:
    mine = PendingRow(5, ALICE, "alice", devices(1, 2), NOW + 1, NOW)
    other = PendingRow(6, ALICE, "alice", devices(2), NOW + 1, NOW)
    decision = decide(
        board(held(1, ALICE, 3), held(2, BOB), pending=(mine, other)), ReleaseLock(actor(ALICE), devices(1))
    )
    assert isinstance(decision.answer, Released)
    assert [(r.held, r.epoch, r.reason) for r in decision.locks] == [(False, 3, None)]
    assert decision.cancelled == (5,)
    assert [(e.kind, e.device_id) for e in decision.events] == [
        (EventKind.RELEASED, 1), (EventKind.GAVE_UP, 1), (EventKind.GAVE_UP, 2)
    ]  # fmt: skip


def test_unlock_of_free_devices_succeeds_and_of_foreign_ones_is_refused() -> None:
    free_again = decide(board(free(1, 8)), ReleaseLock(actor(ALICE), devices(1)))
    assert isinstance(free_again.answer, Released) and not free_again.locks and not free_again.events
    answer = refused(decide(board(held(1, BOB)), ReleaseLock(actor(ALICE), devices(1))))
    assert (answer.code, answer.blockers[0].holder) == (RefusalCode.NOT_LOCK_OWNER, "bob")
    mixed = decide(board(held(1, ALICE), held(2, BOB)), ReleaseLock(actor(ALICE), devices(1, 2)))
    assert [r.device_id for r in mixed.locks] == [1]


# --------------------------------------------------------------------------------------- epochs

CARRIERS = [
    TakeLock(actor(ALICE), devices(1), epoch=4),
    ReleaseLock(actor(ALICE), devices(1), epoch=4),
    TakeAway(actor(ALICE), devices(1), "x", epoch=4),
    Guard(actor(ALICE), devices(1), epoch=4),
    admit(ALICE, 1, epoch=4),
]


@pytest.mark.parametrize("request_", CARRIERS, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("row", [free(1, 4), held(1, ALICE, 5), held(1, BOB, 4)], ids=["free", "newer", "foreign"])
def test_a_stale_epoch_is_lock_lost_before_every_other_check(request_: Request, row: LockRow) -> None:
    answer = refused(decide(board(row), request_))
    assert answer.code is RefusalCode.LOCK_LOST
    assert "epoch 4" in answer.note


@pytest.mark.parametrize("request_", CARRIERS, ids=lambda r: type(r).__name__)
def test_the_right_epoch_passes(request_: Request) -> None:
    assert not isinstance(decide(board(held(1, ALICE, 4)), request_).answer, Refused)


def test_an_epoch_goes_with_one_device() -> None:
    rows = board(held(1, ALICE, 4), held(2, ALICE, 4))
    answer = refused(decide(rows, TakeLock(actor(ALICE), devices(1, 2), epoch=4)))
    assert answer.code is RefusalCode.INVALID_REQUEST


# ------------------------------------------------------------------------------------- override


def take_away(user_id: int = ADMIN, **more: object) -> TakeAway:
    return TakeAway(actor(user_id), devices(1), "outage", **more)  # type: ignore[arg-type]


def test_override_frees_raises_the_epoch_fences_and_remembers_whom_to_tell() -> None:
    running = claim(9, ALICE, 1)
    decision = decide(board(held(1, ALICE, 3), claims=(running,)), take_away())
    answer = decision.answer
    assert isinstance(answer, Overridden)
    assert (answer.lock.held, answer.lock.epoch, answer.lock.revoked, answer.settled) == (False, 4, 4, True)
    assert decision.lost == (LostLock(1, ALICE, 3, "admin", "outage", NOW),)
    assert [(e.kind, e.actor_name, e.reason) for e in decision.events] == [(EventKind.OVERRIDDEN, "admin", "outage")]
    after = board(held(1, ALICE, 3), claims=(running,))
    after.apply(decision)
    assert after.over(running), "its next step is refused, and none is open"


def test_override_is_unsettled_until_an_open_step_is_over() -> None:
    running = replace(claim(9, ALICE, 1), step_until_us=NOW + 50)
    decision = decide(board(held(1, ALICE, 3), claims=(running,)), take_away(transfer=True))
    assert isinstance(decision.answer, Overridden)
    assert (decision.answer.settled, decision.answer.step_until_us) == (False, NOW + 50)
    assert not decision.answer.lock.held, "no lock is granted to another before the step is over"


def test_graceful_override_lets_running_work_end() -> None:
    running = claim(9, ALICE, 1)
    decision = decide(board(held(1, ALICE, 3), claims=(running,)), take_away(mode=OverrideMode.GRACEFUL))
    assert isinstance(decision.answer, Overridden)
    assert (decision.answer.lock.revoked, decision.answer.settled) == (0, False)


def test_transfer_hands_over_in_the_same_step_unless_somebody_waits() -> None:
    decision = decide(board(held(1, ALICE, 3)), take_away(transfer=True))
    assert isinstance(decision.answer, Overridden)
    assert (decision.answer.lock.holder_id, decision.answer.lock.epoch) == (ADMIN, 5)
    assert [e.kind for e in decision.events] == [EventKind.OVERRIDDEN, EventKind.TAKEN]
    waiting = PendingRow(5, BOB, "bob", devices(1), NOW + 1, NOW)
    barred = decide(board(held(1, ALICE, 3), pending=(waiting,)), take_away(transfer=True))
    assert isinstance(barred.answer, Overridden) and not barred.answer.lock.held


def test_override_takes_the_lock_its_sender_saw_or_nothing() -> None:
    assert refused(decide(board(free(1, 3)), take_away())).code is RefusalCode.LOCK_CHANGED
    rows = board(held(1, ALICE, 3))
    assert refused(decide(rows, take_away(expected_holder="bob"))).code is RefusalCode.LOCK_CHANGED
    assert refused(decide(rows, take_away(expected_epoch=2))).code is RefusalCode.LOCK_CHANGED
    assert isinstance(decide(rows, take_away(expected_holder="Alice", expected_epoch=3)).answer, Overridden)


def test_override_of_ones_own_lock_leaves_nobody_to_tell() -> None:
    decision = decide(board(held(1, ADMIN, 3), claims=(claim(9, ADMIN, 1),)), take_away())
    assert isinstance(decision.answer, Overridden)
    assert decision.lost == () and decision.answer.settled


def test_the_old_owner_is_told_once_before_further_work_and_lock_tells_too() -> None:
    lost = LostLock(1, ALICE, 3, "admin", "outage", NOW - 1)
    rows = board(free(1, 4))
    rows.lost[(1, ALICE)] = lost
    for request in (Guard(actor(ALICE), devices(1)), admit(ALICE, 1)):
        decision = decide(rows, request)
        assert (refused(decision).code, refused(decision).lost, decision.told) == (
            RefusalCode.LOCK_LOST,
            lost,
            ((1, ALICE),),
        )
    assert isinstance(decide(rows, admit(BOB, 1)).answer, Admitted)
    for retry in (TakeLock(actor(ALICE), devices(1)), ReleaseLock(actor(ALICE), devices(1))):
        decision = decide(rows, retry)
        assert isinstance(decision.answer, Locked | Released)
        assert (decision.answer.lost, decision.told) == ((lost,), ((1, ALICE),))
    rows.apply(decide(rows, admit(ALICE, 1)))
    assert isinstance(decide(rows, admit(ALICE, 1)).answer, Admitted), "told once"


def test_a_stale_epoch_names_who_took_the_lock() -> None:
    rows = board(held(1, BOB, 5))
    rows.lost[(1, ALICE)] = lost = LostLock(1, ALICE, 3, "admin", "outage", NOW - 1)
    decision = decide(rows, TakeLock(actor(ALICE), devices(1), epoch=3))
    assert (refused(decision).lost, decision.told) == (lost, ((1, ALICE),))
    assert refused(decision).blockers[0].holder == "bob"


def test_decide_all_lets_each_request_see_those_before_it() -> None:
    rows = board(free(1))
    first, second, third = decide_all(
        rows,
        [TakeLock(actor(ALICE), devices(1)), TakeLock(actor(BOB), devices(1)), ReleaseLock(actor(ALICE), devices(1))],
    )
    assert isinstance(first.answer, Locked) and isinstance(third.answer, Released)
    assert refused(second).code is RefusalCode.DEVICE_LOCKED


def test_applying_a_decision_drops_cancelled_requests_and_keeps_losses() -> None:
    mine = PendingRow(5, ALICE, "alice", devices(1), NOW + 1, NOW)
    rows = board(held(1, ALICE, 3), pending=(mine,))
    rows.apply(decide(rows, take_away()))
    assert rows.pending == {} and (1, ALICE) in rows.lost
