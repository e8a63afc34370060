"""The life of a running claim: its steps on the device, its end, and what a cut leaves behind."""

from __future__ import annotations

from dataclasses import replace

from opensdm.core.lock_board import Board, Decision
from opensdm.core.lock_parts import (
    SECOND_US,
    event,
    foreign_locks,
    holder_of,
    locks_on,
    stale_epoch,
    told_by,
    work_blockers,
)
from opensdm.core.lock_requests import BeginStep, Confirm, EndClaim, Fence, FinishStep, Interrupt
from opensdm.core.lock_values import (
    ClaimRow,
    ClaimState,
    Confirmed,
    Done,
    EventKind,
    LockRow,
    RefusalCode,
    Refused,
    Stepped,
)

STILL_OPEN = "a write that was cut off may still reach the device; confirm once its time is over"


def continue_claim(board: Board, request: BeginStep | Fence) -> Decision:
    """Step(c) and its like: only while nothing has fenced the claim."""
    claim = board.claims.get(request.claim_id)
    if claim is None or not still_admitted(board, claim, request.incarnation):
        return Decision(fenced_refusal(board, claim))
    if isinstance(request, Fence):
        if not request.clears_uncertain:
            return Decision(Done())
        cleared = (replace(board.locks[d], uncertain=False) for d in claim.tickets if board.locks[d].uncertain)
        return Decision(Done(), locks=tuple(cleared))
    until = board.now_us + request.limit_us
    return Decision(Stepped(until), claims=(replace(claim, step_until_us=until),))


def still_admitted(board: Board, claim: ClaimRow, incarnation: int) -> bool:
    return (
        claim.state is ClaimState.RUNNING
        and claim.incarnation == incarnation
        and incarnation in board.live_incarnations
        and not board.fenced(claim)
    )


def fenced_refusal(board: Board, claim: ClaimRow | None) -> Refused:
    if claim is None:
        return Refused(RefusalCode.LOCK_LOST, note="this work is not registered any more")
    for device_id in sorted(claim.tickets):
        if lost := board.lost.get((device_id, claim.owner_id)):
            return Refused(RefusalCode.LOCK_LOST, locks_on(board, (device_id,)), device_id, lost)
    note = "this work was interrupted" if claim.state is ClaimState.INTERRUPTED else "this work was fenced"
    return Refused(RefusalCode.LOCK_LOST, locks_on(board, claim.tickets), min(claim.tickets), note=note)


def finish_step(board: Board, request: FinishStep) -> Decision:
    """StepDone(c): nothing of that step is under way any more."""
    claim = board.claims.get(request.claim_id)
    if claim is None or claim.step_until_us is None:
        return Decision(Done())
    return Decision(Done(), claims=(replace(claim, step_until_us=None),))


def end_claim(board: Board, request: EndClaim) -> Decision:
    """End(c), written by the node that ran it: it has closed its connection, so it writes nothing later.

    A step whose answer never came may be on its way still, until its limit. A node that others took for dead may have
    slept in the middle of that step: what they made of its claim stays, and on a device without a fence somebody looks.
    """
    claim = board.claims.get(request.claim_id)
    if claim is None or claim.state is ClaimState.ENDED:
        return Decision(Done())
    open_step = claim.step_until_us is not None
    cut_short = request.uncertain or open_step or board.cut_off(claim)
    state = ClaimState.INTERRUPTED if open_step else ClaimState.ENDED
    marked = _uncertain(board, claim) if cut_short and claim.exclusive else {}
    unfenced = claim.unfenced and claim.state is ClaimState.INTERRUPTED
    renewed = _restarted_leases(board, claim, marked)
    return Decision(
        Done(),
        locks=tuple({**marked, **renewed}.values()),
        claims=(replace(claim, state=state, unfenced=unfenced),),
        events=tuple(
            event(board, EventKind.LEASED, row, holder_of(row, row.door or ""), row.reason) for row in renewed.values()
        ),
    )


def interrupt(board: Board, request: Interrupt) -> Decision:
    """Its run is gone; what it had begun to send may arrive."""
    claim = board.claims.get(request.claim_id)
    if claim is None or claim.state not in (ClaimState.RUNNING, ClaimState.QUEUED):
        return Decision(Done())
    began = claim.exclusive and claim.state is ClaimState.RUNNING
    return Decision(
        Done(),
        locks=tuple(_uncertain(board, claim).values()) if began else (),
        claims=(replace(claim, state=ClaimState.INTERRUPTED),),
    )


def confirm(board: Board, request: Confirm) -> Decision:
    """Somebody looked. A barrier does not matter here: whoever waits, waits for this. Nothing to confirm is fine."""
    actor, devices = request.actor, request.devices
    if refusal := stale_epoch(board, request):
        return Decision(refusal, told=told_by(refusal))
    if blockers := foreign_locks(board, actor, devices):
        return Decision(Refused(RefusalCode.DEVICE_LOCKED, tuple(blockers)))
    found = [c for c in board.running_on(devices) if board.unconfirmed(c)]
    still_open = [c for c in found if c.step_until_us is not None and c.step_until_us > board.now_us]
    if still_open:
        work = tuple(b for c in still_open for b in work_blockers(board, c, devices))
        return Decision(Refused(RefusalCode.DEVICE_BUSY, work, note=STILL_OPEN))
    (row,) = board.rows(devices)
    if not found:
        return Decision(Confirmed(row, ()))
    ended = tuple(replace(c, state=ClaimState.ENDED, step_until_us=None) for c in found)
    row = replace(row, uncertain=True)
    told = event(board, EventKind.CONFIRMED, row, actor, request.note)
    return Decision(Confirmed(row, ended), locks=(row,), claims=ended, events=(told,))


# ------------------------------------------------------------------------------------- the parts


def _uncertain(board: Board, claim: ClaimRow) -> dict[int, LockRow]:
    """Not where it was marked when it was cut off, and another may have looked and written since."""
    rows = (board.locks[d] for d in sorted(claim.tickets) if d in board.locks)
    return {
        row.device_id: replace(row, uncertain=True)
        for row in rows
        if not row.uncertain and not (board.over(claim) and _marked_before(claim, row))
    }


def _marked_before(claim: ClaimRow, row: LockRow) -> bool:
    return claim.state is ClaimState.INTERRUPTED or claim.tickets[row.device_id] < row.revoked


def _restarted_leases(board: Board, claim: ClaimRow, marked: dict[int, LockRow]) -> dict[int, LockRow]:
    """The lease of the owner's lock runs anew from the end of the owner's work, and never ends sooner for it."""
    renewed = {}
    for device_id in sorted(claim.tickets):
        row = marked.get(device_id) or board.locks.get(device_id)
        if row is None or not row.held or row.lease_s is None or row.lease_until_us is None:
            continue
        until = board.now_us + row.lease_s * SECOND_US
        if claim.owned_by(holder_of(row, ""), row.scope) and until > row.lease_until_us:
            renewed[device_id] = replace(row, lease_until_us=until)
    return renewed
