"""Admission and running claims, transition by transition, without a database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensdm.core.lock import (
    Admitted,
    BeginStep,
    ClaimState,
    Done,
    EndClaim,
    EventKind,
    Fence,
    FinishStep,
    Guard,
    Interrupt,
    Locked,
    LostLock,
    OverrideMode,
    PendingRow,
    RefusalCode,
    Request,
    Stepped,
    TakeAway,
    TakeLock,
    decide,
    decide_all,
)
from tests.unit.lock_rows import (
    ALICE,
    BOB,
    NODE,
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


@pytest.mark.parametrize("request_", [Guard(actor(BOB), devices(1)), admit(BOB, 1, exclusive=False)])
def test_nothing_is_admitted_to_a_foreign_device(request_: Request) -> None:
    answer = refused(decide(board(held(1, ALICE)), request_))
    assert (answer.code, answer.blockers[0].holder) == (RefusalCode.DEVICE_LOCKED, "alice")


def test_admission_registers_the_claim_with_its_tickets() -> None:
    decision = decide(board(free(1, 4), held(2, BOB, 6)), admit(BOB, 1, 2, claim_id=33))
    assert isinstance(decision.answer, Admitted) and decision.answer.claim is not None
    assert decision.answer.claim.tickets == {1: 4, 2: 6}
    assert decision.claims == (decision.answer.claim,)
    assert not decision.answer.uncertain


def test_one_writer_per_device_of_any_user_but_shared_claims_do_not_exclude() -> None:
    writer, reader = claim(9, BOB, 1), claim(8, BOB, 1, exclusive=False)
    assert refused(decide(board(free(1), claims=(writer,)), admit(BOB, 1))).code is RefusalCode.DEVICE_BUSY
    assert isinstance(decide(board(free(1), claims=(writer,)), admit(ALICE, 1, exclusive=False)).answer, Admitted)
    assert isinstance(decide(board(free(1), claims=(reader,)), admit(ALICE, 1)).answer, Admitted)
    credentials = Guard(actor(ALICE), devices(1), exclusive=True)
    assert refused(decide(board(free(1), claims=(writer,)), credentials)).code is RefusalCode.DEVICE_BUSY
    assert isinstance(decide(board(free(1), claims=(writer,)), Guard(actor(ALICE), devices(1))).answer, Admitted)


def test_delete_wants_the_device_for_itself_and_ends_the_lock_with_an_event() -> None:
    delete = Guard(actor(ALICE), devices(1, 2), exclusive=True, alone=True, drop=True)
    reader = claim(8, ALICE, 1, exclusive=False)
    assert refused(decide(board(free(1), free(2), claims=(reader,)), delete)).code is RefusalCode.DEVICE_BUSY
    decision = decide(board(held(1, ALICE, 3), free(2)), delete)
    assert isinstance(decision.answer, Admitted) and decision.answer.claim is None
    assert [(e.kind, e.device_id, e.holder_id) for e in decision.events] == [(EventKind.DELETED, 1, None)]


def test_deleting_a_device_ends_the_waiting_requests_that_name_it() -> None:
    both = PendingRow(7, ALICE, "alice", devices(1, 2), NOW + 50, NOW)
    other = PendingRow(8, ALICE, "alice", devices(2), NOW + 50, NOW)
    rows = board(held(1, ALICE, 3), free(2))
    rows.pending = {7: both, 8: other}
    decision = decide(rows, Guard(actor(ALICE), devices(1), exclusive=True, alone=True, drop=True))
    assert decision.cancelled == (7,)
    gave_up = [(e.device_id, e.holder_id) for e in decision.events if e.kind is EventKind.GAVE_UP]
    assert gave_up == [(1, None), (2, None)]


def test_read_only_devices_refuse_writes_by_anyone_and_nothing_else() -> None:
    sealed = replace(held(1, ALICE), read_only=True)
    assert refused(decide(board(sealed), admit(ALICE, 1, writes=True))).code is RefusalCode.READ_ONLY_DEVICE
    assert isinstance(decide(board(sealed), admit(ALICE, 1)).answer, Admitted)
    assert isinstance(decide(board(free(1)), admit(ALICE, 1, writes=True)).answer, Admitted)


# ------------------------------------------------------------------------------- a running claim


def test_a_step_is_a_promise_until_its_limit() -> None:
    rows = board(free(1), claims=(claim(9, ALICE, 1),))
    decision = decide(rows, BeginStep(9, NODE, 30))
    assert decision.answer == Stepped(NOW + 30)
    assert [c.step_until_us for c in decision.claims] == [NOW + 30]
    rows.apply(decision)
    rows.apply(decide(rows, FinishStep(9)))
    assert rows.claims[9].step_until_us is None
    assert decide(rows, FinishStep(9)).claims == ()
    assert decide(rows, FinishStep(404)).answer == Done()


@pytest.mark.parametrize("kind", [lambda: BeginStep(9, NODE, 30), lambda: Fence(9, NODE)], ids=["step", "fence"])
def test_no_step_and_no_record_after_fence_interrupt_death_or_end(kind: object) -> None:
    request = kind()  # type: ignore[operator]
    running = claim(9, ALICE, 1)
    dead_node = replace(board(free(1), claims=(running,)), live_incarnations=frozenset())
    for rows in (
        board(replace(free(1, 2), revoked=2), claims=(running,)),
        board(free(1), claims=(replace(running, state=ClaimState.INTERRUPTED),)),
        board(free(1), claims=(replace(running, incarnation=NODE + 1),)),
        dead_node,
        board(free(1)),
    ):
        assert refused(decide(rows, request)).code is RefusalCode.LOCK_LOST


@pytest.mark.parametrize("mode", OverrideMode)
def test_an_override_that_cuts_a_write_leaves_the_device_uncertain_at_once(mode: OverrideMode) -> None:
    rows = board(held(1, ALICE, 3), claims=(replace(claim(9, ALICE, 1), tickets={1: 3}),))
    now = mode is OverrideMode.NOW
    rows.apply(decide(rows, TakeAway(actor(BOB), devices(1), "outage", mode=mode, transfer=now)))
    assert rows.locks[1].uncertain is now
    if now:
        admitted = decide(rows, admit(BOB, 1, claim_id=10)).answer
        assert isinstance(admitted, Admitted) and admitted.uncertain, "the next write looks first"


def test_what_only_reads_leaves_nothing_uncertain_when_it_is_cut() -> None:
    rows = board(held(1, ALICE, 3), claims=(replace(claim(9, ALICE, 1, exclusive=False), tickets={1: 3}),))
    (freed,) = decide(rows, TakeAway(actor(BOB), devices(1), "outage")).locks
    assert not freed.uncertain


def test_the_late_end_of_cut_work_does_not_mark_what_another_has_written_since() -> None:
    fenced = replace(claim(9, ALICE, 1), tickets={1: 3})
    rows = board(replace(held(1, BOB, 5), revoked=4), claims=(fenced,))
    assert decide(rows, EndClaim(9)).locks == ()
    still_open = replace(rows, claims={9: replace(fenced, step_until_us=NOW + 5)})
    assert [row.uncertain for row in decide(still_open, EndClaim(9)).locks] == [True], "nobody can have written yet"


def test_a_node_that_slept_does_not_free_a_device_that_nothing_fences() -> None:
    running = replace(claim(9, ALICE, 1), step_until_us=NOW + 5, unfenced=True)
    by_itself = board(free(1), claims=(running,))
    assert [c.unfenced for c in decide(by_itself, EndClaim(9)).claims] == [False]
    rows = board(free(1), claims=(running,))
    rows.apply(decide(rows, Interrupt(9)))
    rows.apply(decide(rows, EndClaim(9)))
    rows.now_us = NOW + 500
    assert refused(decide(rows, TakeLock(actor(BOB), devices(1)))).blockers[0].unconfirmed


def test_fenced_work_is_told_who_took_the_lock() -> None:
    rows = board(replace(free(1, 4), revoked=4), claims=(claim(9, ALICE, 1),))
    rows.lost[(1, ALICE)] = lost = LostLock(1, ALICE, 3, "admin", "outage", NOW)
    decision = decide(rows, BeginStep(9, NODE, 30))
    assert refused(decision).lost == lost
    assert decision.told == (), "the work learns it, and its owner is still told at the next call"


def test_the_record_of_finished_work_clears_uncertainty_when_it_read_the_device() -> None:
    unsure = replace(free(1), uncertain=True)
    rows = board(unsure, free(2), claims=(claim(9, ALICE, 1, 2),))
    assert decide(rows, Fence(9, NODE)).locks == ()
    assert [(r.device_id, r.uncertain) for r in decide(rows, Fence(9, NODE, clears_uncertain=True)).locks] == [
        (1, False)
    ]


def test_ending_a_claim_never_ends_a_lock() -> None:
    rows = board(held(1, ALICE, 3), claims=(replace(claim(9, ALICE, 1), tickets={1: 3}),))
    decision = decide(rows, EndClaim(9))
    assert [c.state for c in decision.claims] == [ClaimState.ENDED]
    assert decision.locks == () and decision.events == ()
    rows.apply(decision)
    assert decide(rows, EndClaim(9)).claims == () and decide(rows, EndClaim(404)).answer == Done()


def test_an_unanswered_step_keeps_the_device_busy_until_its_limit_and_uncertain_after() -> None:
    running = replace(claim(9, ALICE, 1), step_until_us=NOW + 10)
    rows = board(free(1), claims=(running,))
    decision = decide(rows, EndClaim(9))
    assert [c.state for c in decision.claims] == [ClaimState.INTERRUPTED]
    assert [r.uncertain for r in decision.locks] == [True]
    rows.apply(decision)
    assert refused(decide(rows, TakeLock(actor(BOB), devices(1)))).code is RefusalCode.DEVICE_BUSY
    later = replace(rows, now_us=NOW + 10)
    admitted = decide(later, admit(BOB, 1, claim_id=10)).answer
    assert isinstance(admitted, Admitted) and admitted.uncertain


def test_interrupt_marks_the_device_of_a_writer_uncertain_and_nothing_of_a_reader() -> None:
    rows = board(free(1), free(2), claims=(claim(9, ALICE, 1), claim(8, ALICE, 2, exclusive=False)))
    writer, reader = decide(rows, Interrupt(9)), decide(rows, Interrupt(8))
    assert [(r.device_id, r.uncertain) for r in writer.locks] == [(1, True)]
    assert reader.locks == () and [c.state for c in reader.claims] == [ClaimState.INTERRUPTED]
    rows.apply(writer)
    assert decide(rows, Interrupt(9)).claims == () and decide(rows, Interrupt(404)).answer == Done()
    assert [c.state for c in decide(rows, EndClaim(9)).claims] == [ClaimState.ENDED]


def test_a_claim_reaching_beyond_the_board_is_fenced_by_what_is_known_of_the_rest() -> None:
    wide = replace(claim(9, BOB, 1), tickets={1: 0, 99: 4})
    rows = board(free(1), claims=(wide,))
    rows.revoked[99] = 5
    assert rows.over(wide)
    assert isinstance(decide(rows, TakeLock(actor(ALICE), devices(1))).answer, Locked)
    assert decide(rows, EndClaim(9)).locks == (replace(free(1), uncertain=True),)


def test_a_claim_that_ended_in_the_same_batch_bars_nobody() -> None:
    rows = board(free(1), claims=(claim(9, ALICE, 1),))
    ended, taken = decide_all(rows, [EndClaim(9), TakeLock(actor(BOB), devices(1))])
    assert [c.state for c in ended.claims] == [ClaimState.ENDED]
    assert isinstance(taken.answer, Locked)
