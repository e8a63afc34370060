"""Locking: the rules decide, the handler asks and shows."""

from __future__ import annotations

from collections.abc import Sequence

from opensdm.core.errors import InvalidRequest
from opensdm.core.lock import (
    Locked,
    LockEvent,
    LockRow,
    LostLock,
    Overridden,
    Released,
    ReleaseLock,
    TakeAway,
    TakeLock,
)
from opensdm.core.operations import (
    ListLockEvents,
    ListLocks,
    LockDevice,
    LockGroup,
    OverrideLock,
    ShowLock,
    UnlockDevice,
    UnlockGroup,
)
from opensdm.core.ports import LockView, Page, Transaction, Work
from opensdm.core.results import Listing, LockReply, OverrideReply

MAX_REASON = 500


async def lock_device(operation: LockDevice, work: Work) -> LockReply:
    return await _take(work, operation.reason, operation.epoch)


async def lock_group(operation: LockGroup, work: Work) -> LockReply:
    return await _take(work, operation.reason, operation.epoch)


async def unlock_device(operation: UnlockDevice, work: Work) -> LockReply:
    return await _release(work, operation.epoch)


async def unlock_group(operation: UnlockGroup, work: Work) -> LockReply:
    return await _release(work, operation.epoch)


async def override_lock(operation: OverrideLock, work: Work) -> OverrideReply:
    """Take another's lock away, on record; `reason` is required."""
    if not operation.reason.strip():
        raise InvalidRequest("an override needs a reason: it is shown to the old owner and kept in the audit trail")
    request = TakeAway(
        work.actor, frozenset(), checked_reason(operation.reason) or "", operation.expected_holder,
        operation.expected_epoch, operation.mode, operation.transfer, operation.epoch,
    )  # fmt: skip
    answer = await work.decide(request)
    assert isinstance(answer, Overridden)
    (view,) = await _views(work, (answer.lock,))
    return OverrideReply(view, answer.settled, answer.step_until_us)


async def show_lock(operation: ShowLock, work: Work) -> LockView:
    return await work.read(lambda tx: tx.locks.lock(operation.device_id))


async def list_locks(operation: ListLocks, work: Work) -> Listing[LockView]:
    page = Page(operation.offset, operation.limit)
    found, total = await work.read(lambda tx: tx.locks.locks(holder=operation.holder, stale=operation.stale, page=page))
    return Listing(tuple(found), total, operation.offset)


async def list_lock_events(operation: ListLockEvents, work: Work) -> Listing[LockEvent]:
    async def query(tx: Transaction) -> tuple[list[LockEvent], int]:
        await tx.inventory.device(operation.device_id)
        return await tx.locks.events(operation.device_id, Page(operation.offset, operation.limit))

    events, total = await work.read(query)
    return Listing(tuple(events), total, operation.offset)


def checked_reason(reason: str | None) -> str | None:
    """A reason people can read: at most 500 characters, none of them control characters."""
    if reason is None or not reason.strip():
        return None
    stripped = reason.strip()
    if len(stripped) > MAX_REASON or any(ord(c) < 32 for c in stripped):
        raise InvalidRequest(f"a reason has at most {MAX_REASON} characters, on one line")
    return stripped


async def _take(work: Work, reason: str | None, epoch: int | None) -> LockReply:
    answer = await work.decide(TakeLock(work.actor, frozenset(), checked_reason(reason), epoch))
    assert isinstance(answer, Locked)
    return await _reply(work, answer.locks, answer.lost)


async def _release(work: Work, epoch: int | None) -> LockReply:
    answer = await work.decide(ReleaseLock(work.actor, frozenset(), epoch))
    assert isinstance(answer, Released)
    return await _reply(work, answer.locks, answer.lost)


async def _reply(work: Work, rows: Sequence[LockRow], lost: tuple[LostLock, ...]) -> LockReply:
    return LockReply(await _views(work, rows), lost)


async def _views(work: Work, rows: Sequence[LockRow]) -> tuple[LockView, ...]:
    """The committed rows themselves; only how long their holders have been idle is looked up."""
    sessions = [row.session_id for row in rows if row.session_id is not None]
    standing = await work.read(lambda tx: tx.locks.standing(sessions)) if sessions else {}
    views = []
    for row in rows:
        idle_s, logged_in = standing.get(row.session_id or 0, (None, False))
        views.append(LockView(row, idle_s, logged_in, orphaned=False))
    return tuple(views)


HANDLERS_HERE = {
    LockDevice: lock_device,
    LockGroup: lock_group,
    UnlockDevice: unlock_device,
    UnlockGroup: unlock_group,
    OverrideLock: override_lock,
    ShowLock: show_lock,
    ListLocks: list_locks,
    ListLockEvents: list_lock_events,
}
