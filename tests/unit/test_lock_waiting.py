"""Waiting for foreign work, the queue of writes, leases, locks of one session, asks and confirmations, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensdm.core.lock import (
    Admit,
    Admitted,
    Asked,
    AskRelease,
    Board,
    ClaimState,
    Confirm,
    Confirmed,
    Decision,
    EndClaim,
    EventKind,
    Expire,
    GiveUp,
    LeaveQueue,
    Locked,
    LockRow,
    LockScope,
    LostLock,
    Overridden,
    PendingRow,
    Promote,
    Queued,
    RefusalCode,
    Refused,
    Released,
    ReleaseLock,
    StartClaim,
    TakeAway,
    TakeLock,
    Waiting,
    decide,
    decide_all,
    due_first,
)
from tests.unit.lock_rows import ADMIN, ALICE, BOB, NODE, NOW, actor, admit, board, claim, devices, free, held, refused

SECOND = 1_000_000
WORK = claim(9, BOB, 1)


def taking(*ids: int, user: int = ALICE, **more: object) -> TakeLock:
    return TakeLock(actor(user), devices(*ids), wait_us=5 * SECOND, pending_id=77, incarnation=NODE, **more)  # type: ignore[arg-type]


def waits(user: int, *ids: int, number: int = 77, until: int = NOW + 1) -> PendingRow:
    return PendingRow(number, user, {ALICE: "alice", BOB: "bob"}[user], devices(*ids), until, NOW, incarnation=NODE)


def gone(decision: Decision) -> Refused:
    """A refusal that ends a wait: its row goes with it, and no lock changes."""
    assert isinstance(decision.answer, Refused) and not decision.locks
    return decision.answer


def queued(number: int, user: int, *ids: int, until: int = NOW + SECOND) -> Board:
    return board(
        *(free(i) for i in ids),
        claims=(replace(claim(number, user, *ids, exclusive=True), state=ClaimState.QUEUED, deadline_us=until),),
    )


def leased(until: int) -> LockRow:
    return replace(held(1, ALICE, 3), lease_s=60, lease_until_us=until)


# -------------------------------------------------------------------------------------- waiting


def test_a_busy_device_is_waited_for_behind_a_barrier() -> None:
    rows = board(free(1), free(2), claims=(WORK,))
    decision = decide(rows, taking(1, 2))
    assert isinstance(decision.answer, Waiting)
    assert (decision.answer.deadline_us, decision.answer.blockers[0].running) == (NOW + 5 * SECOND, "PushChanges")
    assert [e.kind for e in decision.events] == [EventKind.WAITING] * 2 and not decision.locks
    rows.apply(decision)
    assert refused(decide(rows, taking(2, user=BOB))).code is RefusalCode.DEVICE_LOCKED
    assert refused(decide(rows, admit(BOB, 2))).code is RefusalCode.DEVICE_LOCKED
    assert isinstance(decide(rows, replace(taking(1), pending_id=78)).answer, Waiting)


def test_i2_promote_waits_for_all_foreign_work_and_then_takes_all() -> None:
    rows = board(free(1), free(2), claims=(WORK,), pending=(waits(ALICE, 1, 2),))
    assert isinstance(decide(rows, Promote(77, taking(1, 2))).answer, Waiting)
    _, decision = decide_all(rows, [EndClaim(9), Promote(77, taking(1, 2))])
    assert isinstance(decision.answer, Locked) and decision.cancelled == (77,)
    assert all(row.holder_id == ALICE and row.epoch == 1 for row in rows.locks.values()) and not rows.pending


@pytest.mark.parametrize("row", [None, waits(ALICE, 1, until=NOW), replace(waits(ALICE, 1), incarnation=NODE + 1)])
def test_a_dead_row_grants_nothing(row: PendingRow | None) -> None:
    rows = board(free(1), pending=(row,) if row else ())
    decision = decide(rows, Promote(77, taking(1)))
    assert isinstance(decision.answer, Refused) and decision.answer.code is RefusalCode.DEVICE_BUSY
    assert decision.answer.note and not decision.locks
    assert decision.cancelled == ((77,) if row else ()), "a row that is of no account does not stay"
    assert [each.kind for each in decision.events] == [EventKind.GAVE_UP] * len(decision.cancelled)


def test_what_became_of_a_row_that_is_gone_is_told() -> None:
    assert refused(decide(board(held(1, BOB)), GiveUp(77, taking(1)))).code is RefusalCode.DEVICE_LOCKED
    rows = board(free(1, 4))
    rows.lost[(1, ALICE)] = LostLock(1, ALICE, 3, "admin", "outage", NOW)
    decision = decide(rows, Promote(77, taking(1)))
    assert refused(decision).code is RefusalCode.LOCK_LOST and decision.told == ((1, ALICE),)


def test_promote_never_waits_for_a_lock() -> None:
    decision = decide(board(held(1, BOB), pending=(waits(ALICE, 1),)), Promote(77, taking(1)))
    assert gone(decision).code is RefusalCode.DEVICE_LOCKED and decision.cancelled == (77,)


def test_giving_up_removes_the_barrier_and_names_the_work() -> None:
    rows = board(free(1), claims=(WORK,), pending=(waits(ALICE, 1),))
    decision = decide(rows, GiveUp(77, taking(1)))
    assert gone(decision).code is RefusalCode.DEVICE_BUSY and gone(decision).blockers[0].holder == "bob"
    assert [e.kind for e in decision.events] == [EventKind.GAVE_UP]
    rows.apply(decision)
    assert isinstance(decide(rows, admit(BOB, 1, exclusive=False)).answer, Admitted)


# -------------------------------------------------------------------------------------- transfer


def test_a_transfer_waits_for_work_that_is_open_and_drops_the_old_owners_requests() -> None:
    running = replace(claim(9, ALICE, 1), step_until_us=NOW + SECOND)
    rows = board(held(1, ALICE, 3), claims=(running,), pending=(waits(ALICE, 1, number=5),))
    request = TakeAway(
        actor(ADMIN), devices(1), "outage", transfer=True, wait_us=SECOND, pending_id=77, incarnation=NODE
    )
    decision = decide(rows, request)
    assert isinstance(decision.answer, Overridden) and not decision.answer.settled
    assert decision.answer.waiting is not None and decision.answer.step_until_us == NOW + SECOND
    assert decision.cancelled == (5,) and decision.pending[0].owner_id == ADMIN
    assert not decide(rows, replace(request, wait_us=0)).pending


# -------------------------------------------------------------------------------------- leases


def test_a_lease_is_taken_renewed_left_alone_and_taken_off() -> None:
    decision = decide(board(free(1)), taking(1, lease_s=60))
    assert decision.locks[0].lease_until_us == NOW + 60 * SECOND
    rows = board(leased(NOW + SECOND))
    renewed = decide(rows, taking(1, lease_s=60))
    assert renewed.locks[0].lease_until_us == NOW + 60 * SECOND
    assert [e.kind for e in renewed.events] == [EventKind.LEASED] and renewed.locks[0].epoch == 3
    assert decide(rows, taking(1)).locks == ()
    assert decide(rows, taking(1, lease_s=0)).locks[0].lease_s is None


def test_a_due_lease_ends_before_any_other_step_and_its_owner_is_told() -> None:
    rows = board(leased(NOW), pending=(waits(ALICE, 1),))
    (decision,) = decide_all(rows, [taking(1, user=BOB)])
    assert isinstance(decision.answer, Locked) and decision.locks[0].epoch == 5
    assert rows.lost[(1, ALICE)].epoch == 3 and rows.locks[1].revoked == 0 and not rows.pending
    assert [e.kind for e in decide(board(leased(NOW)), Expire(devices(1, 2))).events] == [EventKind.EXPIRED]


def test_i13_nothing_expires_early_or_under_its_owners_work() -> None:
    assert due_first(board(leased(NOW + 1), held(2, BOB)), [1, 2, 3]) is None
    rows = board(leased(NOW), claims=(claim(9, ALICE, 1),))
    assert due_first(rows, [1]) is None and not decide(board(free(1)), Expire(devices(1))).locks
    ended = decide(rows, EndClaim(9))
    assert ended.locks[0].lease_until_us == NOW + 60 * SECOND and ended.events[0].kind is EventKind.LEASED
    later = board(leased(NOW + 90 * SECOND), claims=(claim(9, ALICE, 1),))
    assert decide(later, EndClaim(9)).locks == ()


# -------------------------------------------------------------------------------------- scope session


def test_a_lock_of_one_session_is_foreign_to_the_users_others() -> None:
    mine, other = actor(ALICE, 1), actor(ALICE, 2)
    taken = decide(board(free(1)), TakeLock(mine, devices(1), scope=LockScope.SESSION))
    row = taken.locks[0]
    rows = board(row)
    assert refused(decide(rows, TakeLock(other, devices(1)))).code is RefusalCode.DEVICE_LOCKED
    assert refused(decide(rows, ReleaseLock(other, devices(1)))).code is RefusalCode.NOT_LOCK_OWNER
    assert isinstance(decide(rows, ReleaseLock(other, devices(1), epoch=row.epoch)).answer, Released)
    assert refused(decide(rows, ReleaseLock(other, devices(1), epoch=9))).code is RefusalCode.LOCK_LOST
    assert isinstance(decide(rows, TakeLock(mine, devices(1))).answer, Locked)


def test_a_lock_of_the_user_becomes_one_of_a_session_only_without_work_of_others() -> None:
    mine = actor(ALICE, 1)
    wide = replace(held(1, ALICE, 3), session_id=1)
    narrow = TakeLock(mine, devices(1), scope=LockScope.SESSION)
    assert decide(board(wide), narrow).locks[0].scope is LockScope.SESSION
    elsewhere = replace(claim(9, ALICE, 1), session_id=2)
    assert refused(decide(board(wide, claims=(elsewhere,)), narrow)).code is RefusalCode.DEVICE_BUSY
    assert refused(decide(board(replace(wide, session_id=2)), narrow)).code is RefusalCode.DEVICE_LOCKED
    barrier = replace(waits(ALICE, 1), session_id=2, scope=LockScope.SESSION)
    assert refused(decide(board(free(1), pending=(barrier,)), narrow)).code is RefusalCode.DEVICE_LOCKED


# -------------------------------------------------------------------------------------- the queue


def test_i18_writes_queue_by_their_numbers_and_start_one_at_a_time() -> None:
    rows = board(free(1), claims=(claim(3, ALICE, 1, exclusive=True),))
    first, second = (replace(admit(BOB, 1, claim_id=n, exclusive=True), queue_us=SECOND) for n in (5, 6))
    for each in decide_all(rows, [first, second]):
        assert isinstance(each.answer, Queued) and each.new_claim
    assert isinstance(decide(rows, StartClaim(first)).answer, Queued)
    rows.apply(decide(rows, EndClaim(3)))
    assert isinstance(decide(rows, StartClaim(second)).answer, Queued)
    started, waiting = decide_all(rows, [StartClaim(first), StartClaim(second)])
    assert isinstance(started.answer, Admitted) and isinstance(waiting.answer, Queued)
    left = decide(rows, LeaveQueue(second))
    assert gone(left).code is RefusalCode.DEVICE_BUSY and left.claims[0].state is ClaimState.ENDED
    rows.apply(left)
    assert refused(decide(rows, LeaveQueue(second))).blockers and not decide(rows, LeaveQueue(second)).claims


def test_a_queued_claim_is_checked_wholly_at_its_start() -> None:
    start = StartClaim(replace(admit(BOB, 1, claim_id=5, exclusive=True), queue_us=SECOND))
    rows = queued(5, BOB, 1)
    rows.locks[1] = held(1, ALICE)
    barred = decide(rows, start)
    assert gone(barred).code is RefusalCode.DEVICE_LOCKED and barred.claims[0].state is ClaimState.ENDED
    assert gone(decide(queued(5, BOB, 1, until=NOW), start)).code is RefusalCode.DEVICE_BUSY
    assert refused(decide(board(free(1)), start)).code is RefusalCode.LOCK_LOST
    fenced = queued(5, BOB, 1)
    fenced.locks[1] = replace(free(1, 4), revoked=4)
    assert decide(fenced, start).claims[0].state is ClaimState.ENDED


def test_a_part_of_a_composite_runs_by_the_tickets_of_the_whole() -> None:
    rows = board(free(1), free(2), claims=(claim(3, ALICE, 1, exclusive=True),), pending=(waits(BOB, 1),))
    part = replace(admit(ALICE, 1, claim_id=5, exclusive=True), parent_id=3)
    answer = decide(rows, part).answer
    assert isinstance(answer, Admitted) and answer.claim is not None and answer.claim.parent_id == 3
    further: Admit = replace(part, devices=devices(1, 2))
    assert refused(decide(rows, further)).code is RefusalCode.INVALID_REQUEST
    assert refused(decide(rows, replace(part, parent_id=4))).code is RefusalCode.LOCK_LOST
    rows.locks[1] = replace(free(1), read_only=True)
    assert refused(decide(rows, replace(part, writes=True))).code is RefusalCode.READ_ONLY_DEVICE


# -------------------------------------------------------------------------------------- asks and confirmations


def test_the_holder_is_asked_and_nobody_else() -> None:
    asked = decide(board(held(1, ALICE, 3)), AskRelease(actor(BOB), devices(1), "please"))
    assert isinstance(asked.answer, Asked) and asked.asks[0].epoch == 3 and not asked.locks
    for rows in (board(free(1)), board(held(1, BOB))):
        assert refused(decide(rows, AskRelease(actor(BOB), devices(1)))).code is RefusalCode.INVALID_REQUEST
    assert refused(decide(board(free(1)), AskRelease(actor(BOB), devices(1), epoch=1))).code is RefusalCode.LOCK_LOST


def test_i11_what_nothing_fences_is_busy_until_somebody_confirms() -> None:
    cut = replace(claim(9, ALICE, 1, exclusive=True), state=ClaimState.INTERRUPTED, step_until_us=NOW, unfenced=True)
    rows = board(free(1), claims=(cut,))
    answer = refused(decide(rows, admit(BOB, 1, exclusive=True)))
    assert answer.code is RefusalCode.DEVICE_BUSY and answer.blockers[0].unconfirmed
    confirmed = decide(rows, Confirm(actor(BOB), devices(1), "looked"))
    assert isinstance(confirmed.answer, Confirmed) and confirmed.locks[0].uncertain
    assert [e.kind for e in confirmed.events] == [EventKind.CONFIRMED]
    rows.apply(confirmed)
    assert isinstance(decide(rows, admit(BOB, 1, exclusive=True)).answer, Admitted)
    assert decide(rows, Confirm(actor(BOB), devices(1), "again")).claims == ()


def test_a_confirmation_is_refused_under_a_foreign_lock_and_while_the_write_is_open() -> None:
    cut = replace(
        claim(9, ALICE, 1, exclusive=True), state=ClaimState.INTERRUPTED, step_until_us=NOW + 1, unfenced=True
    )
    request = Confirm(actor(BOB), devices(1), "looked")
    assert refused(decide(board(free(1), claims=(cut,)), request)).code is RefusalCode.DEVICE_BUSY
    assert refused(decide(board(held(1, ALICE), claims=(cut,)), request)).code is RefusalCode.DEVICE_LOCKED
    assert refused(decide(board(free(1)), replace(request, epoch=4))).code is RefusalCode.LOCK_LOST
