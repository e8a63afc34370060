"""Taking a lock: at once, or after a wait for foreign work to be over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from opensdm.core.lock_board import Board, Decision
from opensdm.core.lock_parts import (
    event,
    foreign_pending,
    foreign_work,
    gave_up,
    granted,
    lock_blocker,
    losses,
    stale_epoch,
    told,
    told_by,
    untold_loss,
    with_lease,
)
from opensdm.core.lock_requests import GiveUp, Promote, TakeLock
from opensdm.core.lock_values import (
    Actor,
    Blocker,
    Done,
    EventKind,
    Locked,
    LockEvent,
    LockRow,
    LockScope,
    PendingRow,
    RefusalCode,
    Refused,
    Waiting,
)

CANCELLED = "this request waits no more: a device of it was released or taken away meanwhile, or its wait had ended"
WAITED = "the wait ended"


def take_lock(board: Board, request: TakeLock) -> Decision:
    """Lock(u, S): granted, refused, or from now on waiting behind a barrier."""
    if refusal := stale_epoch(board, request):
        return Decision(refusal, told=told_by(refusal))
    barred = _barred(board, request)
    work = foreign_work(board, request.actor, request.devices, request.scope)
    if barred:
        return Decision(Refused(RefusalCode.DEVICE_LOCKED, tuple(barred + work)))
    if not work or _all_mine(board, request):
        return _grant(board, request)
    if request.wait_us <= 0:
        return Decision(Refused(RefusalCode.DEVICE_BUSY, tuple(work)))
    row = waiting_row(board, request)
    events = [event(board, EventKind.WAITING, r, request.actor, request.reason) for r in board.rows(request.devices)]
    return Decision(waiting(row, tuple(work)), pending=(row,), events=tuple(events))


def promote(board: Board, request: Promote) -> Decision:
    """Promote(request): all of S, once no foreign work is left; the row goes with the grant."""
    take = request.take
    row = board.pending.get(request.pending_id)
    if row is None:
        return _gone(board, take)
    if not _live(board, row):
        return _without(board, row, _gone(board, take), take.actor)
    work = tuple(foreign_work(board, take.actor, take.devices, take.scope))
    if barred := _barred(board, take):
        refusal = Refused(RefusalCode.DEVICE_LOCKED, (*barred, *work))
        return _without(board, row, Decision(refusal), take.actor)
    if work:
        return Decision(waiting(row, work))
    return replace(_grant(board, take), cancelled=(row.pending_id,))


def give_up(board: Board, request: GiveUp) -> Decision:
    """GiveUp: the barrier is gone, and the caller is told what still runs."""
    take = request.take
    row = board.pending.get(request.pending_id)
    if row is None:
        return _gone(board, take)
    work = tuple(foreign_work(board, take.actor, take.devices, take.scope))
    return _without(board, row, Decision(Refused(RefusalCode.DEVICE_BUSY, work, note=WAITED)), take.actor)


def abandon(board: Board, pending_ids: Iterable[int]) -> Decision:
    """Recover or Reconnect: whoever waited there is gone, and nobody would promote it."""
    ids = tuple(sorted(pending_ids))
    rows = [board.pending[pending_id] for pending_id in ids if pending_id in board.pending]
    return Decision(Done(), cancelled=ids, events=tuple(gave_up(board, rows, "server")))


def waiting_row(board: Board, request: TakeLock) -> PendingRow:
    actor = request.actor
    return PendingRow(
        request.pending_id, actor.user_id, actor.user_name, request.devices, board.now_us + request.wait_us,
        board.now_us, actor.session_id, request.scope, request.incarnation, request.request_id,
    )  # fmt: skip


def waiting(row: PendingRow, work: tuple[Blocker, ...]) -> Waiting:
    return Waiting(row.pending_id, row.devices, row.deadline_us, work)


# ------------------------------------------------------------------------------------- the parts


def _live(board: Board, row: PendingRow) -> bool:
    return row.deadline_us > board.now_us and row.incarnation in board.live_incarnations


def _gone(board: Board, take: TakeLock) -> Decision:
    """Its row went away under it, or is of no account any more: a device was released or lost, or time passed."""
    if refusal := untold_loss(board, take.actor, take.devices):
        return Decision(refusal, told=told_by(refusal))
    barred = _barred(board, take)
    work = foreign_work(board, take.actor, take.devices, take.scope)
    code = RefusalCode.DEVICE_LOCKED if barred else RefusalCode.DEVICE_BUSY
    return Decision(Refused(code, tuple(barred + work), note=CANCELLED))


def _without(board: Board, row: PendingRow, decision: Decision, actor: Actor) -> Decision:
    return replace(decision, cancelled=(row.pending_id,), events=tuple(gave_up(board, (row,), actor.door)))


def _mine(row: LockRow, actor: Actor, scope: LockScope) -> bool:
    """Whether a held lock satisfies this request. A session cannot share what its user holds by another session."""
    if not row.held_by(actor):
        return False
    return scope is LockScope.USER or row.session_id == actor.session_id


def _barred(board: Board, request: TakeLock) -> list[Blocker]:
    """What no wait waits for: locks and waiting requests of others."""
    actor, scope = request.actor, request.scope
    locked = [lock_blocker(r) for r in board.rows(request.devices) if r.held and not _mine(r, actor, scope)]
    return locked + foreign_pending(board, actor, request.devices, scope)


def _all_mine(board: Board, request: TakeLock) -> bool:
    rows = board.rows(request.devices)
    return all(_mine(row, request.actor, request.scope) and _wide_enough(row, request.scope) for row in rows)


def _wide_enough(row: LockRow, scope: LockScope) -> bool:
    """A lock of the user does for one session only once no other session of that user can work under it."""
    return scope is LockScope.USER or row.scope is LockScope.SESSION


def _grant(board: Board, request: TakeLock) -> Decision:
    changed: list[LockRow] = []
    events: list[LockEvent] = []
    for row in board.rows(request.devices):
        now, kind = _taken(board, row, request) if not row.held else _renewed(board, row, request)
        if kind is not None:
            changed.append(now)
            events.append(event(board, kind, now, request.actor, now.reason))
    after = {row.device_id: row for row in changed}
    keys = told(board, request.actor, request.devices)
    answer = Locked(tuple(after.get(r.device_id, r) for r in board.rows(request.devices)), losses(board, keys))
    return Decision(answer, locks=tuple(changed), events=tuple(events), told=keys)


def _taken(board: Board, row: LockRow, request: TakeLock) -> tuple[LockRow, EventKind]:
    taken = replace(granted(board, row, request.actor, request.reason), scope=request.scope)
    return with_lease(board, taken, request.lease_s), EventKind.TAKEN


def _renewed(board: Board, row: LockRow, request: TakeLock) -> tuple[LockRow, EventKind | None]:
    """What relocking changes of one's own lock: reason, lease, and the scope where it becomes narrower."""
    leased = with_lease(board, row, request.lease_s)
    scope = LockScope.SESSION if request.scope is LockScope.SESSION else row.scope
    now = replace(leased, scope=scope, reason=row.reason if request.reason is None else request.reason)
    if now == row:
        return row, None
    return now, EventKind.LEASED if now == leased else EventKind.NOTED
