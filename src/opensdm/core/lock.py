"""The device lock, decided without I/O.

`decide(board, request)` is the whole rule book: it looks at a `Board` (the rows a transaction has
locked and read) and at one request, and says what changes. The ledger loads the board, asks for each
request in arrival order, writes what changed and commits once. Nothing here knows a database, a
clock or a door; time is a field of the board.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from opensdm.core.lock_board import Board, Decision
from opensdm.core.lock_values import (
    Actor,
    Admit,
    Admitted,
    Answer,
    BeginStep,
    Blocker,
    ClaimRow,
    ClaimState,
    Done,
    EndClaim,
    EventKind,
    Fence,
    FinishStep,
    Guard,
    GuardedRequest,
    Interrupt,
    Locked,
    LockEvent,
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
    Stepped,
    TakeAway,
    TakeLock,
)

__all__ = [
    "Actor", "Admit", "Admitted", "Answer", "BeginStep", "Blocker", "Board", "ClaimRow", "ClaimState", "Decision",
    "Done", "EndClaim", "EventKind", "Fence", "FinishStep", "Guard", "GuardedRequest", "Interrupt", "LockEvent",
    "LockRow", "Locked", "LostLock", "Overridden", "OverrideMode", "PendingRow", "RefusalCode", "Refused",
    "ReleaseLock", "Released", "Request", "Stepped", "TakeAway", "TakeLock", "decide", "decide_all",
]  # fmt: skip


def decide(board: Board, request: Request) -> Decision:
    """Decide one request against the board, by the table of transitions; never changes the board."""
    match request:
        case TakeLock():
            return _take_lock(board, request)
        case ReleaseLock():
            return _release_lock(board, request)
        case TakeAway():
            return _take_away(board, request)
        case Guard():
            return _guard(board, request)
        case Admit():
            return _admit(board, request)
        case BeginStep() | Fence():
            return _continue_claim(board, request)
        case FinishStep():
            return _finish_step(board, request)
        case EndClaim():
            return _end_claim(board, request)
        case Interrupt():
            return _interrupt(board, request)
        case _:
            assert_never(request)


def decide_all(board: Board, requests: Iterable[Request]) -> list[Decision]:
    """Decide requests in arrival order; each sees what those before it did."""
    decisions = []
    for request in requests:
        decision = decide(board, request)
        board.apply(decision)
        decisions.append(decision)
    return decisions


# ------------------------------------------------------------------------------- lock, unlock, override


def _take_lock(board: Board, request: TakeLock) -> Decision:
    actor, devices = request.actor, request.devices
    if refusal := _stale_epoch(board, request):
        return Decision(refusal, told=_told_by(refusal))
    blockers = _foreign_locks(board, actor, devices) + _foreign_pending(board, actor, devices)
    work = [b for c in board.running_on(devices) if c.owner_id != actor.user_id for b in _work(board, c, devices)]
    if blockers:
        return Decision(Refused(RefusalCode.DEVICE_LOCKED, tuple(blockers + work)))
    if work and not all(row.held_by(actor.user_id) for row in board.rows(devices)):
        return Decision(Refused(RefusalCode.DEVICE_BUSY, tuple(work)))
    changed, events = [], []
    for row in board.rows(devices):
        if not row.held:
            granted = _granted(board, row, actor, request.reason)
            changed.append(granted)
            events.append(_event(board, EventKind.TAKEN, granted, actor, granted.reason))
        elif request.reason is not None and request.reason != row.reason:
            noted = replace(row, reason=request.reason)
            changed.append(noted)
            events.append(_event(board, EventKind.NOTED, noted, actor, noted.reason))
    now = {row.device_id: row for row in changed}
    told = _told(board, actor, devices)
    answer = Locked(tuple(now.get(row.device_id, row) for row in board.rows(devices)), _losses(board, told))
    return Decision(answer, locks=tuple(changed), events=tuple(events), told=told)


def _release_lock(board: Board, request: ReleaseLock) -> Decision:
    actor, devices = request.actor, request.devices
    if refusal := _stale_epoch(board, request):
        return Decision(refusal, told=_told_by(refusal))
    rows = board.rows(devices)
    mine = [row for row in rows if row.held_by(actor.user_id)]
    foreign = _foreign_locks(board, actor, devices)
    if not mine and foreign:
        return Decision(Refused(RefusalCode.NOT_LOCK_OWNER, tuple(foreign)))
    freed = {row.device_id: row.freed() for row in mine}
    told = _told(board, actor, devices)
    return Decision(
        Released(tuple(freed.get(row.device_id, row) for row in rows), _losses(board, told)),
        locks=tuple(freed.values()),
        events=tuple(_event(board, EventKind.RELEASED, freed[r.device_id], actor, r.reason) for r in mine),
        told=told,
        cancelled=_own_pending(board, actor.user_id, frozenset(freed)),
    )


def _take_away(board: Board, request: TakeAway) -> Decision:
    actor = request.actor
    if refusal := _stale_epoch(board, request):
        return Decision(refusal, told=_told_by(refusal))
    (row,) = board.rows(request.devices)
    if refusal := _override_refused(board, row, request):
        return Decision(refusal)
    assert row.holder_id is not None
    epoch = row.epoch + 1
    revoked = epoch if request.mode is OverrideMode.NOW else row.revoked
    freed = replace(row.freed(), epoch=epoch, revoked=revoked)
    events = [_event(board, EventKind.OVERRIDDEN, freed, actor, request.reason)]
    lost = LostLock(row.device_id, row.holder_id, row.epoch, actor.user_name, request.reason, board.now_us)
    ahead = replace_board(board, freed)
    open_work = [c for c in ahead.running_on(request.devices) if c.owner_id != actor.user_id]
    final = freed
    if request.transfer and not open_work and not ahead.pending_on(request.devices, foreign_to=actor.user_id):
        final = _granted(board, freed, actor, request.reason)
        events.append(_event(board, EventKind.TAKEN, final, actor, final.reason))
    limits = [c.step_until_us for c in open_work if c.step_until_us is not None]
    return Decision(
        Overridden(final, row, settled=not open_work, step_until_us=max(limits, default=None)),
        locks=(final,),
        claims=(),
        events=tuple(events),
        lost=(lost,) if row.holder_id != actor.user_id else (),
        cancelled=_own_pending(board, row.holder_id, request.devices),
    )


def _override_refused(board: Board, row: LockRow, request: TakeAway) -> Refused | None:
    """The expectations of an override: it takes away the very lock its sender saw, or nothing."""
    blockers = (_lock_blocker(row),) if row.held else ()
    if not row.held:
        return Refused(RefusalCode.LOCK_CHANGED, (), row.device_id, note="the device is not locked")
    if request.expected_holder is not None and request.expected_holder.lower() != (row.holder_name or "").lower():
        return Refused(RefusalCode.LOCK_CHANGED, blockers, row.device_id, note="another user holds the lock")
    if request.expected_epoch is not None and request.expected_epoch != row.epoch:
        return Refused(RefusalCode.LOCK_CHANGED, blockers, row.device_id, note="the lock has another epoch")
    return None


# ------------------------------------------------------------------------------------ admission


def _guard(board: Board, request: Guard) -> Decision:
    refusal = _not_admitted(board, request)
    if refusal is not None:
        return Decision(refusal, told=_told_by(refusal))
    rows = tuple(board.rows(request.devices))
    if not request.drop:
        return Decision(Admitted(None, rows))
    ended = [row for row in rows if row.held]
    events = [_event(board, EventKind.DELETED, row.freed(), request.actor, row.reason) for row in ended]
    return Decision(Admitted(None, rows), locks=tuple(row.freed() for row in ended), events=tuple(events))


def _admit(board: Board, request: Admit) -> Decision:
    refusal = _not_admitted(board, request)
    if refusal is not None:
        return Decision(refusal, told=_told_by(refusal))
    rows = tuple(board.rows(request.devices))
    claim = ClaimRow(
        request.claim_id, request.actor.user_id, request.actor.user_name, request.operation,
        {row.device_id: row.epoch for row in rows}, request.exclusive, ClaimState.RUNNING,
        request.incarnation, board.now_us, request_id=request.request_id,
    )  # fmt: skip
    return Decision(Admitted(claim, rows), claims=(claim,))


def _not_admitted(board: Board, request: Guard | Admit) -> Refused | None:
    """The one rule of admission, for guard and claim alike; None admits."""
    actor, devices = request.actor, request.devices
    if refusal := _stale_epoch(board, request):
        return refusal
    if refusal := _untold_loss(board, actor, devices):
        return refusal
    blockers = _foreign_locks(board, actor, devices) + _foreign_pending(board, actor, devices)
    if blockers:
        return Refused(RefusalCode.DEVICE_LOCKED, tuple(blockers))
    if request.writes and (sealed := [r for r in board.rows(devices) if r.read_only]):
        return Refused(RefusalCode.READ_ONLY_DEVICE, (), sealed[0].device_id)
    alone = isinstance(request, Guard) and request.alone
    if request.exclusive or alone:
        work = [c for c in board.running_on(devices) if c.exclusive or alone]
        if work:
            return Refused(RefusalCode.DEVICE_BUSY, tuple(b for c in work for b in _work(board, c, devices)))
    return None


def _untold_loss(board: Board, actor: Actor, devices: frozenset[int]) -> Refused | None:
    """An owner whose lock was taken away is told before any further work of hers runs on that device.

    A client of the published API cannot send an epoch; its first call after the loss is read as one
    that carries the epoch it was last given. Lock and unlock are exempt, so that retries stay safe.
    """
    for device_id in sorted(devices):
        if lost := board.lost.get((device_id, actor.user_id)):
            return Refused(RefusalCode.LOCK_LOST, _locks_on(board, (device_id,)), device_id, lost)
    return None


# --------------------------------------------------------------------------------- a running claim


def _continue_claim(board: Board, request: BeginStep | Fence) -> Decision:
    claim = board.claims.get(request.claim_id)
    if claim is None or not _still_admitted(board, claim, request.incarnation):
        return Decision(_fenced_refusal(board, claim))
    if isinstance(request, Fence):
        if not request.clears_uncertain:
            return Decision(Done())
        cleared = (replace(board.locks[d], uncertain=False) for d in claim.tickets if board.locks[d].uncertain)
        return Decision(Done(), locks=tuple(cleared))
    until = board.now_us + request.limit_us
    return Decision(Stepped(until), claims=(replace(claim, step_until_us=until),))


def _still_admitted(board: Board, claim: ClaimRow, incarnation: int) -> bool:
    return (
        claim.state is ClaimState.RUNNING
        and claim.incarnation == incarnation
        and incarnation in board.live_incarnations
        and not board.fenced(claim)
    )


def _fenced_refusal(board: Board, claim: ClaimRow | None) -> Refused:
    if claim is None:
        return Refused(RefusalCode.LOCK_LOST, note="this work is not registered any more")
    for device_id in sorted(claim.tickets):
        if lost := board.lost.get((device_id, claim.owner_id)):
            return Refused(RefusalCode.LOCK_LOST, _locks_on(board, (device_id,)), device_id, lost)
    note = "this work was interrupted" if claim.state is ClaimState.INTERRUPTED else "this work was fenced"
    return Refused(RefusalCode.LOCK_LOST, _locks_on(board, claim.tickets), min(claim.tickets), note=note)


def _finish_step(board: Board, request: FinishStep) -> Decision:
    claim = board.claims.get(request.claim_id)
    if claim is None or claim.step_until_us is None:
        return Decision(Done())
    return Decision(Done(), claims=(replace(claim, step_until_us=None),))


def _end_claim(board: Board, request: EndClaim) -> Decision:
    claim = board.claims.get(request.claim_id)
    if claim is None or claim.state is ClaimState.ENDED:
        return Decision(Done())
    open_step = claim.step_until_us is not None
    cut_short = request.uncertain or open_step or board.fenced(claim) or claim.state is ClaimState.INTERRUPTED
    state = ClaimState.INTERRUPTED if open_step else ClaimState.ENDED
    return Decision(
        Done(),
        locks=_uncertain(board, claim) if cut_short and claim.exclusive else (),
        claims=(replace(claim, state=state),),
    )


def _interrupt(board: Board, request: Interrupt) -> Decision:
    claim = board.claims.get(request.claim_id)
    if claim is None or claim.state not in (ClaimState.RUNNING, ClaimState.QUEUED):
        return Decision(Done())
    return Decision(
        Done(),
        locks=_uncertain(board, claim) if claim.exclusive else (),
        claims=(replace(claim, state=ClaimState.INTERRUPTED),),
    )


def _uncertain(board: Board, claim: ClaimRow) -> tuple[LockRow, ...]:
    rows = (board.locks[d] for d in sorted(claim.tickets) if d in board.locks)
    return tuple(replace(row, uncertain=True) for row in rows if not row.uncertain)


# --------------------------------------------------------------------------------------- parts


def _stale_epoch(board: Board, request: GuardedRequest) -> Refused | None:
    """Any call that carries an epoch is checked against it before everything else."""
    if request.epoch is None:
        return None
    if len(request.devices) != 1:
        return Refused(RefusalCode.INVALID_REQUEST, note="an epoch goes with one device")
    (row,) = board.rows(request.devices)
    if row.held_by(request.actor.user_id) and row.epoch == request.epoch:
        return None
    lost = board.lost.get((row.device_id, request.actor.user_id))
    note = f"epoch {request.epoch} is not the epoch of a lock of yours; the device is at {row.epoch}"
    return Refused(RefusalCode.LOCK_LOST, _locks_on(board, (row.device_id,)), row.device_id, lost, note)


def _granted(board: Board, row: LockRow, actor: Actor, reason: str | None) -> LockRow:
    return replace(
        row, epoch=row.epoch + 1, holder_id=actor.user_id, holder_name=actor.user_name, since_us=board.now_us,
        door=actor.door, session_id=actor.session_id, reason=reason,
    )  # fmt: skip


def _foreign_locks(board: Board, actor: Actor, devices: Iterable[int]) -> list[Blocker]:
    return [_lock_blocker(row) for row in board.rows(devices) if row.held and not row.held_by(actor.user_id)]


def _locks_on(board: Board, devices: Iterable[int]) -> tuple[Blocker, ...]:
    return tuple(_lock_blocker(row) for row in board.rows(d for d in devices if d in board.locks) if row.held)


def _lock_blocker(row: LockRow) -> Blocker:
    assert row.holder_id is not None and row.holder_name is not None
    return Blocker(
        "lock", row.device_id, row.device_name, row.holder_id, row.holder_name, row.since_us, row.door,
        row.reason, row.epoch, row.session_id,
    )  # fmt: skip


def _foreign_pending(board: Board, actor: Actor, devices: frozenset[int]) -> list[Blocker]:
    return [
        Blocker("pending", d, board.locks[d].device_name, p.owner_id, p.owner_name, p.since_us)
        for p in board.pending_on(devices, foreign_to=actor.user_id)
        for d in sorted(p.devices & devices)
    ]


def _work(board: Board, claim: ClaimRow, devices: frozenset[int]) -> list[Blocker]:
    return [
        Blocker(
            "work", d, board.locks[d].device_name, claim.owner_id, claim.owner_name, claim.started_us,
            running=claim.operation, step_until_us=claim.step_until_us,
        )
        for d in sorted(devices.intersection(claim.tickets))
    ]  # fmt: skip


def _own_pending(board: Board, owner_id: int, devices: frozenset[int]) -> tuple[int, ...]:
    return tuple(
        p.pending_id for p in board.pending.values() if p.owner_id == owner_id and not devices.isdisjoint(p.devices)
    )


def _told(board: Board, actor: Actor, devices: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple((d, actor.user_id) for d in sorted(devices) if (d, actor.user_id) in board.lost)


def _losses(board: Board, keys: Iterable[tuple[int, int]]) -> tuple[LostLock, ...]:
    return tuple(board.lost[key] for key in keys)


def _told_by(refusal: Refused) -> tuple[tuple[int, int], ...]:
    return ((refusal.lost.device_id, refusal.lost.user_id),) if refusal.lost else ()


def replace_board(board: Board, row: LockRow) -> Board:
    """The board as it would be with one lock row changed."""
    return replace(board, locks={**board.locks, row.device_id: row})


def _event(board: Board, kind: EventKind, row: LockRow, actor: Actor, reason: str | None) -> LockEvent:
    """`row` is the state after the change; the replay of events rebuilds exactly that."""
    return LockEvent(
        kind, row.device_id, row.device_name, row.epoch, actor.user_id, actor.user_name, row.holder_id,
        row.holder_name, actor.door, reason, board.now_us, row.revoked,
    )  # fmt: skip
