"""How a lock ends: its owner lets go, it is taken away, or its lease runs out; and how its owner is asked to let go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from opensdm.core.identity import SYSTEM_USER_ID, SYSTEM_USER_NAME
from opensdm.core.lock_board import Board, Decision
from opensdm.core.lock_parts import (
    event,
    foreign_locks,
    foreign_work,
    gave_up,
    granted,
    holder_of,
    lock_blocker,
    losses,
    requests_of,
    stale_epoch,
    told,
    told_by,
)
from opensdm.core.lock_requests import AskRelease, Expire, ReleaseLock, TakeAway, TakeLock
from opensdm.core.lock_taking import waiting, waiting_row
from opensdm.core.lock_values import (
    Actor,
    Asked,
    AskedRow,
    Blocker,
    ClaimState,
    Done,
    EventKind,
    LockRow,
    LockScope,
    LostLock,
    Overridden,
    OverrideMode,
    PendingRow,
    RefusalCode,
    Refused,
    Released,
)

SYSTEM = Actor(SYSTEM_USER_ID, SYSTEM_USER_NAME, None, "clock")
LEASE_ENDED = "its lease ended"


def release_lock(board: Board, request: ReleaseLock) -> Decision:
    """Unlock(u, S): what the caller holds of S is free, and with it what the caller waits for there."""
    actor, devices = request.actor, request.devices
    if refusal := stale_epoch(board, request):
        return Decision(refusal, told=told_by(refusal))
    rows = board.rows(devices)
    mine = [row for row in rows if row.held_by(actor) or request.epoch is not None]  # an epoch proves it; see there
    foreign = foreign_locks(board, actor, devices)
    if not mine and foreign:
        return Decision(Refused(RefusalCode.NOT_LOCK_OWNER, tuple(foreign)))
    freed = {row.device_id: row.freed() for row in mine}
    keys = told(board, actor, devices)
    cancelled = _requests(board, mine)
    released = [event(board, EventKind.RELEASED, freed[r.device_id], actor, r.reason, r) for r in mine]
    return Decision(
        Released(tuple(freed.get(row.device_id, row) for row in rows), losses(board, keys)),
        locks=tuple(freed.values()),
        events=(*released, *gave_up(board, cancelled, actor.door, freed.values())),
        told=keys,
        cancelled=tuple(p.pending_id for p in cancelled),
    )


def take_away(board: Board, request: TakeAway) -> Decision:
    """Override(a, d), and with `transfer` in the same step the lock for whoever took it away."""
    actor = request.actor
    if refusal := stale_epoch(board, request):
        return Decision(refusal, told=told_by(refusal))
    (row,) = board.rows(request.devices)
    if refusal := _override_refused(row, request):
        return Decision(refusal)
    ended = _ended(board, row, EventKind.OVERRIDDEN, actor, request.reason, now=request.mode is OverrideMode.NOW)
    (freed,) = ended.locks
    ahead = replace(board, locks=dict(board.locks), pending=dict(board.pending), lost=dict(board.lost))
    ahead.apply(ended)
    work = tuple(foreign_work(ahead, actor, request.devices, LockScope.USER))
    limits = [b.step_until_us for b in work if b.step_until_us is not None]
    overridden = Overridden(freed, row, settled=not work, step_until_us=max(limits, default=None))
    decision = replace(ended, answer=overridden)
    return _transferred(ahead, decision, overridden, request, work) if request.transfer else decision


def _transferred(
    ahead: Board, decision: Decision, overridden: Overridden, request: TakeAway, work: tuple[Blocker, ...]
) -> Decision:
    """The overrider's own lock: at once, or waiting for the work that is still open; not past one who waits already."""
    if ahead.pending_on(request.devices, foreign_to=request.actor):
        return decision
    if not work:
        taken = granted(ahead, overridden.lock, request.actor, request.reason)
        events = (*decision.events, event(ahead, EventKind.TAKEN, taken, request.actor, taken.reason))
        return replace(decision, answer=replace(overridden, lock=taken), locks=(taken,), events=events)
    if request.wait_us <= 0:
        return decision
    take = TakeLock(
        request.actor, request.devices, request.reason, wait_us=request.wait_us, pending_id=request.pending_id,
        incarnation=request.incarnation, request_id=request.request_id,
    )  # fmt: skip
    row = waiting_row(ahead, take)
    events = (*decision.events, event(ahead, EventKind.WAITING, overridden.lock, request.actor, request.reason))
    return replace(decision, answer=replace(overridden, waiting=waiting(row, work)), pending=(row,), events=events)


def _override_refused(row: LockRow, request: TakeAway) -> Refused | None:
    """The expectations of an override: it takes away the very lock its sender saw, or nothing."""
    blockers = (lock_blocker(row),) if row.held else ()
    if not row.held:
        return Refused(RefusalCode.LOCK_CHANGED, (), row.device_id, note="the device is not locked")
    if request.expected_holder is not None and request.expected_holder.lower() != (row.holder_name or "").lower():
        return Refused(RefusalCode.LOCK_CHANGED, blockers, row.device_id, note="another user holds the lock")
    if request.expected_epoch is not None and request.expected_epoch != row.epoch:
        return Refused(RefusalCode.LOCK_CHANGED, blockers, row.device_id, note="the lock has another epoch")
    return None


# ------------------------------------------------------------------------------------- leases


def expire(board: Board, request: Expire) -> Decision:
    """Expire(d): every lease that is due ends its lock, as a graceful override by the server would."""
    rows = board.rows(d for d in request.devices if d in board.locks)
    ended = [_ended(board, row, EventKind.EXPIRED, SYSTEM, LEASE_ENDED, now=False) for row in rows if _due(board, row)]
    return Decision(
        Done(),
        locks=tuple(row for each in ended for row in each.locks),
        events=tuple(told_event for each in ended for told_event in each.events),
        lost=tuple(lost for each in ended for lost in each.lost),
        cancelled=tuple(sorted({pending_id for each in ended for pending_id in each.cancelled})),
    )


def _due(board: Board, row: LockRow) -> bool:
    """Its time has passed, and its owner has no work running there that it must not cut."""
    if not row.held or row.lease_until_us is None or row.lease_until_us > board.now_us:
        return False
    owner = holder_of(row, "")
    return not any(
        c.state is ClaimState.RUNNING and not board.fenced(c) and c.owned_by(owner, row.scope)
        for c in board.claims.values()
        if row.device_id in c.tickets
    )


# ------------------------------------------------------------------------------------- asking


def ask_release(board: Board, request: AskRelease) -> Decision:
    """Ask the holder; it goes with this very lock, and never to a later one."""
    actor = request.actor
    if refusal := stale_epoch(board, request):
        return Decision(refusal, told=told_by(refusal))
    (row,) = board.rows(request.devices)
    if not row.held or row.held_by(actor):
        note = (
            "you hold this lock yourself" if row.held else "the device is not locked: lock it, there is nobody to ask"
        )
        return Decision(Refused(RefusalCode.INVALID_REQUEST, (), row.device_id, note=note))
    ask = AskedRow(row.device_id, actor.user_id, actor.user_name, request.message, board.now_us, row.epoch)
    return Decision(Asked(row, ask), asks=(ask,), events=(event(board, EventKind.ASKED, row, actor, request.message),))


# ------------------------------------------------------------------------------------- the parts


def _ended(board: Board, row: LockRow, kind: EventKind, by: Actor, reason: str, *, now: bool) -> Decision:
    """A lock ends against its owner's will; `now` also fences the work that runs under it."""
    assert row.holder_id is not None
    epoch = row.epoch + 1
    uncertain = row.uncertain or (now and _cuts_writing(board, row))
    freed = replace(row.freed(), epoch=epoch, revoked=epoch if now else row.revoked, uncertain=uncertain)
    lost = LostLock(row.device_id, row.holder_id, row.epoch, by.user_name, reason, board.now_us)
    cancelled = requests_of(board, row)
    return Decision(
        Done(),
        locks=(freed,),
        events=(event(board, kind, freed, by, reason, row), *gave_up(board, cancelled, by.door, (freed,))),
        lost=(lost,) if row.holder_id != by.user_id else (),
        cancelled=tuple(p.pending_id for p in cancelled),
    )


def _cuts_writing(board: Board, row: LockRow) -> bool:
    """Whether a write runs there that goes no further: nobody knows how far it came, so the next one looks first."""
    running = (c for c in board.claims.values() if row.device_id in c.tickets and not board.cut_off(c))
    return any(c.exclusive and c.state is ClaimState.RUNNING for c in running)


def _requests(board: Board, rows: Iterable[LockRow]) -> list[PendingRow]:
    found = {p.pending_id: p for row in rows for p in requests_of(board, row)}
    return [found[pending_id] for pending_id in sorted(found)]
