"""Admission: whether an operation may touch or change devices, at once or after those writes that came before it."""

from __future__ import annotations

from dataclasses import replace

from opensdm.core.lock_board import Board, Decision
from opensdm.core.lock_claims import fenced_refusal, still_admitted
from opensdm.core.lock_parts import (
    event,
    foreign_locks,
    foreign_pending,
    gave_up,
    stale_epoch,
    told_by,
    untold_loss,
    work_blockers,
)
from opensdm.core.lock_requests import Admit, Guard, LeaveQueue, StartClaim
from opensdm.core.lock_values import (
    Admitted,
    Blocker,
    ClaimRow,
    ClaimState,
    EventKind,
    Queued,
    RefusalCode,
    Refused,
)

QUEUE_ENDED = "its turn did not come in time"


def guard(board: Board, request: Guard) -> Decision:
    """The check of what only changes our database."""
    refusal = _not_admitted(board, request) or _written_now(board, request)
    if refusal is not None:
        return Decision(refusal, told=told_by(refusal))
    rows = tuple(board.rows(request.devices))
    if not request.drop:
        return Decision(Admitted(None, rows))
    freed = {row.device_id: row.freed() for row in rows if row.held}
    events = [event(board, EventKind.DELETED, freed[r.device_id], request.actor, r.reason, r) for r in rows if r.held]
    waiting = [p for _, p in sorted(board.pending.items()) if not request.devices.isdisjoint(p.devices)]
    return Decision(
        Admitted(None, rows),
        locks=tuple(freed.values()),
        events=(*events, *gave_up(board, waiting, request.actor.door, freed.values())),
        cancelled=tuple(p.pending_id for p in waiting),
    )


def admit(board: Board, request: Admit) -> Decision:
    """Admit(u, S, op): a RUNNING claim, or for a write behind another one a QUEUED one."""
    if request.parent_id is not None:
        return _admit_part(board, request, request.parent_id)
    refusal = _not_admitted(board, request)
    if refusal is not None:
        return Decision(refusal, told=told_by(refusal))
    before = _writers(board, request) if request.exclusive else []
    if before and request.queue_us <= 0:
        return Decision(Refused(RefusalCode.DEVICE_BUSY, tuple(before)))
    claim = _claim(board, request)
    if before:
        claim = replace(claim, state=ClaimState.QUEUED, deadline_us=board.now_us + request.queue_us)
        return Decision(Queued(claim, tuple(before)), claims=(claim,), new_claim=True)
    return Decision(Admitted(claim, tuple(board.rows(request.devices))), claims=(claim,), new_claim=True)


def start_claim(board: Board, request: StartClaim) -> Decision:
    """The whole guard again, as it is now; who may not run any more leaves the queue at once."""
    admit = request.admit
    claim = board.claims.get(admit.claim_id)
    if claim is None or claim.state is not ClaimState.QUEUED:
        return Decision(fenced_refusal(board, claim))
    if not still_admitted(board, replace(claim, state=ClaimState.RUNNING), admit.incarnation):
        return Decision(fenced_refusal(board, claim), claims=(replace(claim, state=ClaimState.ENDED),))
    if board.over(claim):
        return leave_queue(board, LeaveQueue(admit))
    if refusal := _not_admitted(board, admit):
        left = replace(claim, state=ClaimState.ENDED)
        return Decision(refusal, told=told_by(refusal), claims=(left,))
    before = _writers(board, admit)
    if before:
        return Decision(Queued(claim, tuple(before)))
    running = replace(claim, state=ClaimState.RUNNING, started_us=board.now_us)
    return Decision(Admitted(running, tuple(board.rows(admit.devices))), claims=(running,))


def leave_queue(board: Board, request: LeaveQueue) -> Decision:
    """Its deadline came, or nobody waits for it any more; one whose start was not heard of has done nothing either."""
    admit = request.admit
    claim = board.claims.get(admit.claim_id)
    before = tuple(_writers(board, admit))
    refusal = Refused(RefusalCode.DEVICE_BUSY, before, min(admit.devices), note=QUEUE_ENDED)
    if claim is None or claim.state not in (ClaimState.QUEUED, ClaimState.RUNNING):
        return Decision(refusal)
    return Decision(refusal, claims=(replace(claim, state=ClaimState.ENDED),))


# ------------------------------------------------------------------------------------- the parts


def _not_admitted(board: Board, request: Guard | Admit) -> Refused | None:
    """The one rule of admission under locks, for guard and claim alike; None admits."""
    actor, devices = request.actor, request.devices
    if refusal := stale_epoch(board, request):
        return refusal
    if refusal := untold_loss(board, actor, devices):
        return refusal
    blockers = foreign_locks(board, actor, devices) + foreign_pending(board, actor, devices)
    if blockers:
        return Refused(RefusalCode.DEVICE_LOCKED, tuple(blockers))
    return _read_only(board, request)


def _read_only(board: Board, request: Guard | Admit) -> Refused | None:
    if request.writes and (sealed := [r for r in board.rows(request.devices) if r.read_only]):
        return Refused(RefusalCode.READ_ONLY_DEVICE, (), sealed[0].device_id)
    return None


def _written_now(board: Board, request: Guard) -> Refused | None:
    """What is done at once cannot queue: it is refused while a write, or with `alone` any work, is on a device."""
    if not request.exclusive and not request.alone:
        return None
    work = [c for c in board.running_on(request.devices) if c.exclusive or request.alone]
    if not work:
        return None
    return Refused(
        RefusalCode.DEVICE_BUSY, tuple(b for c in work for b in work_blockers(board, c, request.devices))
    )  # fmt: skip


def _writers(board: Board, request: Admit) -> list[Blocker]:
    """Writes that are not over and come first: what runs, and whatever queued earlier on any of the devices."""
    number = request.claim_id
    return [
        blocker
        for c in board.running_on(request.devices)
        if c.exclusive and c.claim_id != number and (c.state is not ClaimState.QUEUED or c.claim_id < number)
        for blocker in work_blockers(board, c, request.devices)
    ]


def _claim(board: Board, request: Admit) -> ClaimRow:
    rows = board.rows(request.devices)
    actor = request.actor
    return ClaimRow(
        request.claim_id, actor.user_id, actor.user_name, request.operation, {r.device_id: r.epoch for r in rows},
        request.exclusive, ClaimState.RUNNING, request.incarnation, board.now_us, request_id=request.request_id,
        session_id=actor.session_id,
        unfenced=request.exclusive and any(r.platform in request.unfenced for r in rows),
    )  # fmt: skip


def _admit_part(board: Board, request: Admit, parent_id: int) -> Decision:
    """A part of a composite runs by the tickets of the whole, which is past barrier and queue, and falls with it."""
    parent = board.claims.get(parent_id)
    if parent is None or not still_admitted(board, parent, request.incarnation):
        return Decision(fenced_refusal(board, parent))
    if not request.devices <= parent.tickets.keys() or (request.exclusive and not parent.exclusive):
        return Decision(Refused(RefusalCode.INVALID_REQUEST, note="a part reaches no further than the whole"))
    if refusal := _read_only(board, request):
        return Decision(refusal)
    part = replace(
        _claim(board, request), parent_id=parent_id, tickets={d: parent.tickets[d] for d in sorted(request.devices)}
    )
    return Decision(Admitted(part, tuple(board.rows(request.devices))), claims=(part,), new_claim=True)
