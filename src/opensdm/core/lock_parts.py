"""What the rules of the lock share: who is in the way, what is told to whom, and the events that tell it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from opensdm.core.lock_board import Board
from opensdm.core.lock_requests import GuardedRequest, ReleaseLock
from opensdm.core.lock_values import (
    Actor,
    Blocker,
    ClaimRow,
    EventKind,
    LockEvent,
    LockRow,
    LockScope,
    LostLock,
    PendingRow,
    RefusalCode,
    Refused,
)

SECOND_US = 1_000_000

# ------------------------------------------------------------------------------------- refusals


def stale_epoch(board: Board, request: GuardedRequest) -> Refused | None:
    """Any call that carries an epoch is checked against it before everything else.

    A lock of one session is let go by the user's other sessions too, if they know its epoch.
    """
    if request.epoch is None:
        return None
    if len(request.devices) != 1:
        return Refused(RefusalCode.INVALID_REQUEST, note="an epoch goes with one device")
    (row,) = board.rows(request.devices)
    users = isinstance(request, ReleaseLock) and row.holder_id == request.actor.user_id
    if row.epoch == request.epoch and (users or row.held_by(request.actor)):
        return None
    lost = board.lost.get((row.device_id, request.actor.user_id))
    note = f"epoch {request.epoch} is not the epoch of a lock of yours; the device is at {row.epoch}"
    return Refused(RefusalCode.LOCK_LOST, locks_on(board, (row.device_id,)), row.device_id, lost, note)


def untold_loss(board: Board, actor: Actor, devices: frozenset[int]) -> Refused | None:
    """An owner whose lock was taken away is told before any further work of hers runs on that device.

    A client of the published API cannot send an epoch; its first call after the loss is read as one
    that carries the epoch it was last given. Lock and unlock are exempt, so that retries stay safe.
    """
    for device_id in sorted(devices):
        if lost := board.lost.get((device_id, actor.user_id)):
            return Refused(RefusalCode.LOCK_LOST, locks_on(board, (device_id,)), device_id, lost)
    return None


# ------------------------------------------------------------------------------------- who is in the way


def foreign_locks(board: Board, actor: Actor, devices: Iterable[int]) -> list[Blocker]:
    return [lock_blocker(row) for row in board.rows(devices) if row.held and not row.held_by(actor)]


def locks_on(board: Board, devices: Iterable[int]) -> tuple[Blocker, ...]:
    return tuple(lock_blocker(row) for row in board.rows(d for d in devices if d in board.locks) if row.held)


def lock_blocker(row: LockRow) -> Blocker:
    assert row.holder_id is not None and row.holder_name is not None
    return Blocker(
        "lock", row.device_id, row.device_name, row.holder_id, row.holder_name, row.since_us, row.door,
        row.reason, row.epoch, row.session_id,
    )  # fmt: skip


def foreign_pending(
    board: Board, actor: Actor, devices: frozenset[int], scope: LockScope = LockScope.USER
) -> list[Blocker]:
    return [
        Blocker("pending", d, board.locks[d].device_name, p.owner_id, p.owner_name, p.since_us)
        for p in board.pending_on(devices, foreign_to=actor, scope=scope)
        for d in sorted(p.devices & devices)
    ]


def foreign_work(board: Board, actor: Actor, devices: frozenset[int], scope: LockScope) -> list[Blocker]:
    running = (c for c in board.running_on(devices) if not c.owned_by(actor, scope))
    return [blocker for claim in running for blocker in work_blockers(board, claim, devices)]


def work_blockers(board: Board, claim: ClaimRow, devices: frozenset[int]) -> list[Blocker]:
    return [
        Blocker(
            "work", d, board.locks[d].device_name, claim.owner_id, claim.owner_name, claim.started_us,
            running=claim.operation, step_until_us=claim.step_until_us, unconfirmed=board.unconfirmed(claim),
        )
        for d in sorted(devices.intersection(claim.tickets))
    ]  # fmt: skip


# ------------------------------------------------------------------------------------- what changes


def granted(board: Board, row: LockRow, actor: Actor, reason: str | None) -> LockRow:
    return replace(
        row, epoch=row.epoch + 1, holder_id=actor.user_id, holder_name=actor.user_name, since_us=board.now_us,
        door=actor.door, session_id=actor.session_id, reason=reason,
    )  # fmt: skip


def with_lease(board: Board, row: LockRow, lease_s: int | None) -> LockRow:
    """The lock with the lease that was asked for; None leaves what it has, 0 takes it off."""
    if lease_s is None:
        return row
    if lease_s == 0:
        return replace(row, lease_s=None, lease_until_us=None)
    return replace(row, lease_s=lease_s, lease_until_us=board.now_us + lease_s * SECOND_US)


def holder_of(row: LockRow, door: str) -> Actor:
    """The owner of a held lock, as one who acts at a door."""
    assert row.holder_id is not None and row.holder_name is not None
    return Actor(row.holder_id, row.holder_name, row.session_id, door)


def requests_of(board: Board, row: LockRow) -> tuple[PendingRow, ...]:
    """The waiting requests of a lock's owner that name its device: they end with the lock."""
    owner = holder_of(row, "")
    return tuple(p for p in board.pending.values() if row.device_id in p.devices and p.owned_by(owner, row.scope))


# ------------------------------------------------------------------------------------- telling


def told(board: Board, actor: Actor, devices: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple((d, actor.user_id) for d in sorted(devices) if (d, actor.user_id) in board.lost)


def losses(board: Board, keys: Iterable[tuple[int, int]]) -> tuple[LostLock, ...]:
    return tuple(board.lost[key] for key in keys)


def told_by(refusal: Refused) -> tuple[tuple[int, int], ...]:
    return ((refusal.lost.device_id, refusal.lost.user_id),) if refusal.lost else ()


def event(
    board: Board, kind: EventKind, row: LockRow, actor: Actor, reason: str | None, former: LockRow | None = None
) -> LockEvent:
    """`row` is the state after the change, which a replay rebuilds exactly; `former` the lock that ended with it."""
    return LockEvent(
        kind, row.device_id, row.device_name, row.epoch, actor.user_id, actor.user_name, row.holder_id,
        row.holder_name, actor.door, reason, board.now_us, row.revoked, row.scope, row.session_id, row.lease_s,
        row.lease_until_us, former.holder_id if former else None, former.holder_name if former else None,
    )  # fmt: skip


def gave_up(board: Board, rows: Iterable[PendingRow], door: str, after: Iterable[LockRow] = ()) -> list[LockEvent]:
    """The events of requests that wait no more. `after`: lock rows that the same decision changes."""
    changed = {row.device_id: row for row in after}
    return [
        event(
            board, EventKind.GAVE_UP, changed.get(d, board.locks[d]),
            Actor(p.owner_id, p.owner_name, p.session_id, door), None,
        )
        for p in rows
        for d in sorted(p.devices)
        if d in board.locks
    ]  # fmt: skip
