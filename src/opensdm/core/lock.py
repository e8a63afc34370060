"""The device lock, decided without I/O.

`decide(board, request)` is the whole rule book: it looks at a `Board` (the rows a transaction has
locked and read) and at one request, and says what changes. The ledger loads the board, asks for each
request in arrival order, writes what changed and commits once. Nothing here knows a database, a
clock or a door; time is a field of the board.

The rules lie by subject in `lock_taking`, `lock_ending`, `lock_admission` and `lock_claims`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from opensdm.core.lock_admission import admit, guard, leave_queue, start_claim
from opensdm.core.lock_board import Board, Decision
from opensdm.core.lock_claims import confirm, continue_claim, end_claim, finish_step, interrupt
from opensdm.core.lock_ending import ask_release, expire, release_lock, take_away
from opensdm.core.lock_requests import (
    Admit,
    AskRelease,
    BeginStep,
    Confirm,
    EndClaim,
    Expire,
    Fence,
    FinishStep,
    GiveUp,
    Guard,
    GuardedRequest,
    Interrupt,
    LeaveQueue,
    LockRequest,
    Promote,
    ReleaseLock,
    Request,
    StartClaim,
    TakeAway,
    TakeLock,
)
from opensdm.core.lock_taking import abandon, give_up, promote, take_lock
from opensdm.core.lock_values import (
    Actor,
    Admitted,
    Answer,
    Asked,
    AskedRow,
    Blocker,
    ClaimRow,
    ClaimState,
    Confirmed,
    Done,
    EventKind,
    Locked,
    LockEvent,
    LockPolicy,
    LockRow,
    LockScope,
    LostLock,
    Overridden,
    OverrideMode,
    PendingRow,
    Queued,
    RefusalCode,
    Refused,
    Released,
    Stepped,
    Waiting,
)

__all__ = [
    "Actor", "Admit", "Admitted", "Answer", "AskRelease", "Asked", "AskedRow", "BeginStep", "Blocker", "Board",
    "ClaimRow", "ClaimState", "Confirm", "Confirmed", "Decision", "Done", "EndClaim", "EventKind", "Expire", "Fence",
    "FinishStep", "GiveUp", "Guard", "GuardedRequest", "Interrupt", "LeaveQueue", "LockEvent", "LockPolicy",
    "LockRequest", "LockRow", "LockScope", "Locked", "LostLock", "Overridden", "OverrideMode", "PendingRow", "Promote",
    "Queued", "RefusalCode", "Refused", "ReleaseLock", "Released", "Request", "StartClaim", "Stepped", "TakeAway",
    "TakeLock", "Waiting", "abandon", "decide", "decide_all", "due_first", "end_claim", "release_lock", "take_away",
]  # fmt: skip


def decide(board: Board, request: Request) -> Decision:
    """Decide one request against the board, by the table of transitions; never changes the board.

    Leases that are due are ended before: see `due_first`.
    """
    match request:
        case TakeLock():
            return take_lock(board, request)
        case Promote():
            return promote(board, request)
        case GiveUp():
            return give_up(board, request)
        case ReleaseLock():
            return release_lock(board, request)
        case TakeAway():
            return take_away(board, request)
        case Expire():
            return expire(board, request)
        case AskRelease():
            return ask_release(board, request)
        case Confirm():
            return confirm(board, request)
        case _:
            return _decide_claim(board, request)


def _decide_claim(
    board: Board,
    request: Guard | Admit | StartClaim | LeaveQueue | BeginStep | Fence | FinishStep | EndClaim | Interrupt,
) -> Decision:
    match request:
        case Guard():
            return guard(board, request)
        case Admit():
            return admit(board, request)
        case StartClaim():
            return start_claim(board, request)
        case LeaveQueue():
            return leave_queue(board, request)
        case BeginStep() | Fence():
            return continue_claim(board, request)
        case FinishStep():
            return finish_step(board, request)
        case EndClaim():
            return end_claim(board, request)
        case Interrupt():
            return interrupt(board, request)
        case _:
            assert_never(request)


def due_first(board: Board, devices: Iterable[int]) -> Decision | None:
    """What every step on these devices begins with: leases that are due end their locks. None: there are none."""
    rows = (board.locks.get(d) for d in devices)
    passed = frozenset(
        row.device_id
        for row in rows
        if row is not None and row.lease_until_us is not None and row.lease_until_us <= board.now_us
    )
    if not passed:
        return None
    decision = expire(board, Expire(passed))
    return decision if decision.locks else None


def decide_all(board: Board, requests: Iterable[Request]) -> list[Decision]:
    """Decide requests in arrival order, each after the leases that are due; each sees what those before it did."""
    decisions = []
    for request in requests:
        if due := due_first(board, board.locks):
            board.apply(due)
        decision = decide(board, request)
        board.apply(decision)
        decisions.append(decision)
    return decisions
