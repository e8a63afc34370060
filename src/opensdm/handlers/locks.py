"""Locking: the rules decide, the handler asks and shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opensdm.core.errors import InvalidRequest
from opensdm.core.lock import (
    Asked,
    AskRelease,
    Confirm,
    Confirmed,
    Locked,
    LockEvent,
    LockRow,
    LockScope,
    LostLock,
    Overridden,
    RefusalCode,
    Refused,
    Released,
    ReleaseLock,
    TakeAway,
    TakeLock,
    Waiting,
)
from opensdm.core.lock_replay import Replay
from opensdm.core.operations import (
    MAX_DEVICES,
    AskForLock,
    CheckLock,
    ConfirmDevice,
    ExpireLeases,
    FollowLockEvents,
    ListAsks,
    ListLockEvents,
    ListLocks,
    LockDevice,
    LockDevices,
    LockGroup,
    OverrideLock,
    ShowLock,
    UnlockDevice,
    UnlockDevices,
    UnlockGroup,
    VerifyLocks,
)
from opensdm.core.ports import AskRow, LockView, Page, Transaction, Work
from opensdm.core.results import (
    AskReply,
    CheckReply,
    Listing,
    LockEventsReply,
    LockReply,
    LocksVerified,
    OverrideReply,
)

SECOND_US = 1_000_000
MAX_EVENTS = 1000
EXPIRED_AT_ONCE = 200
MAX_REASON = 500


async def lock_device(operation: LockDevice, work: Work) -> LockReply:
    return await _take(work, operation)


async def lock_group(operation: LockGroup, work: Work) -> LockReply:
    return await _take(work, operation)


async def lock_devices(operation: LockDevices, work: Work) -> LockReply:
    """All of them or none; NotFound names those that do not exist."""
    _check_devices(operation.device_ids)
    return await _take(work, operation)


async def unlock_device(operation: UnlockDevice, work: Work) -> LockReply:
    return await _release(work, operation.epoch)


async def unlock_group(operation: UnlockGroup, work: Work) -> LockReply:
    return await _release(work, operation.epoch)


async def unlock_devices(operation: UnlockDevices, work: Work) -> LockReply:
    _check_devices(operation.device_ids)
    return await _release(work, operation.epoch)


async def override_lock(operation: OverrideLock, work: Work) -> OverrideReply:
    """Take another's lock away, on record; `reason` is required."""
    if not operation.reason.strip():
        raise InvalidRequest("an override needs a reason: it is shown to the old owner and kept in the audit trail")
    request = TakeAway(
        work.actor, frozenset(), checked_reason(operation.reason) or "", operation.expected_holder,
        operation.expected_epoch, operation.mode, operation.transfer, operation.epoch,
        wait_us=round(work.lock_policy.max_wait_s * SECOND_US) if operation.transfer else 0,
    )  # fmt: skip
    answer = await work.decide(request)
    assert isinstance(answer, Overridden)
    (view,) = await _views(work, (answer.lock,))
    return OverrideReply(view, answer.settled, answer.step_until_us, waiting=answer.waiting is not None)


async def ask_for_lock(operation: AskForLock, work: Work) -> AskReply:
    """InvalidRequest where nobody is to be asked: the device is free, or the caller's own."""
    answer = await work.decide(
        AskRelease(work.actor, frozenset(), checked_text(operation.message, "a message"), operation.epoch)
    )
    assert isinstance(answer, Asked)
    view = await work.read(lambda tx: tx.locks.lock(operation.device_id))
    return AskReply(view, answer.ask.at_us)


async def confirm_device(operation: ConfirmDevice, work: Work) -> LockReply:
    """`note` is required: what was seen on the device is kept in the audit trail."""
    note = checked_text(operation.note, "a note")
    if note is None:
        raise InvalidRequest("a confirmation needs a note: what was seen on the device is kept in the audit trail")
    answer = await work.decide(Confirm(work.actor, frozenset(), note, operation.epoch))
    assert isinstance(answer, Confirmed)
    return await _reply(work, (answer.lock,), ())


async def check_lock(operation: CheckLock, work: Work) -> CheckReply:
    answer = await work.foresee(TakeLock(work.actor, frozenset(), wait_us=1))
    view = await work.read(lambda tx: tx.locks.lock(operation.device_id))
    match answer:
        case Locked():
            return CheckReply(view, "held" if view.row.held_by(work.actor) else "grant")
        case Waiting():
            return CheckReply(view, "wait", answer.blockers)
        case _:
            assert isinstance(answer, Refused)
            assert answer.code is RefusalCode.DEVICE_LOCKED
            return CheckReply(view, "refuse", answer.blockers)


async def show_lock(operation: ShowLock, work: Work) -> LockView:
    return await work.read(lambda tx: tx.locks.lock(operation.device_id))


async def list_locks(operation: ListLocks, work: Work) -> Listing[LockView]:
    if operation.waiting:
        return await work.read(lambda tx: _waited_for(tx, operation))
    page = Page(operation.offset, operation.limit)
    found, total = await work.read(lambda tx: tx.locks.locks(holder=operation.holder, stale=operation.stale, page=page))
    return Listing(tuple(found), total, operation.offset)


async def _waited_for(tx: Transaction, operation: ListLocks) -> Listing[LockView]:
    """Few at any time: those who wait are waited for by a server."""
    if operation.holder is not None or operation.stale is not None:
        raise InvalidRequest("waiting goes with no other filter", field="waiting")
    ids = await tx.locks.waited_for()
    end = None if operation.limit is None else operation.offset + operation.limit
    found = await tx.locks.locks_on(ids[operation.offset : end])
    return Listing(tuple(found), len(ids), operation.offset)


async def list_lock_events(operation: ListLockEvents, work: Work) -> Listing[LockEvent]:
    async def query(tx: Transaction) -> tuple[list[LockEvent], int]:
        await tx.inventory.device(operation.device_id)
        return await tx.locks.events(operation.device_id, Page(operation.offset, operation.limit))

    events, total = await work.read(query)
    return Listing(tuple(events), total, operation.offset)


async def list_asks(operation: ListAsks, work: Work) -> Listing[AskRow]:
    found = await work.read(lambda tx: tx.locks.asks(work.session.user_id))
    return Listing(tuple(found), len(found))


async def follow_lock_events(operation: FollowLockEvents, work: Work) -> LockEventsReply:
    """Nothing is left out: an event is told only once none with a smaller id can still come."""
    if not 1 <= operation.limit <= MAX_EVENTS:
        raise InvalidRequest(f"at most {MAX_EVENTS} events at a time, and at least one")
    if operation.after is None:
        return LockEventsReply((), await work.settled_events())
    after = operation.after
    top = await work.settled_events()
    events, last_id = await work.read(
        lambda tx: tx.locks.events_after(after, top, operation.device_id, operation.limit)
    )
    return LockEventsReply(tuple(events), last_id)


async def verify_locks(operation: VerifyLocks, work: Work) -> LocksVerified:
    """All in one read transaction, so that events and locks are of the same moment."""
    return await work.read(_verified)


async def _verified(tx: Transaction) -> LocksVerified:
    replay = Replay(tuple(await tx.locks.waiting_requests()))
    top, last = await tx.locks.last_event(), 0
    while last < top:
        events, last = await tx.locks.events_after(last, top, None, MAX_EVENTS)
        for each in events:
            replay.add(each)
    count, last_device = 0, 0
    while rows := await tx.locks.rows_after(last_device, MAX_EVENTS):
        replay.compare(rows)
        count, last_device = count + len(rows), rows[-1].device_id
    return LocksVerified(count, replay.events, replay.finish())


async def expire_leases(operation: ExpireLeases, work: Work) -> int:
    """Answers how many devices were looked at."""
    due = await work.read(lambda tx: tx.locks.due_leases())
    for first in range(0, len(due), EXPIRED_AT_ONCE):
        await work.expire(due[first : first + EXPIRED_AT_ONCE])
    return len(due)


def checked_reason(reason: str | None) -> str | None:
    return checked_text(reason, "a reason")


def checked_text(given: str | None, what: str) -> str | None:
    """Words people can read: at most 500 characters, none of them control characters; None for nothing."""
    if given is None or not given.strip():
        return None
    stripped = given.strip()
    if len(stripped) > MAX_REASON or any(ord(c) < 32 for c in stripped):
        raise InvalidRequest(f"{what} has at most {MAX_REASON} characters, on one line")
    return stripped


def _check_devices(device_ids: Sequence[int]) -> None:
    if not device_ids:
        raise InvalidRequest("which devices? The list is empty")
    if len(set(device_ids)) > MAX_DEVICES:
        raise InvalidRequest(f"at most {MAX_DEVICES} devices at a time; for more, lock their group")


async def _take(work: Work, operation: LockDevice | LockGroup | LockDevices) -> LockReply:
    request = TakeLock(
        work.actor, frozenset(), checked_reason(operation.reason), operation.epoch,
        wait_us=round(_wait_s(work, operation.wait_s) * SECOND_US),
        lease_s=_lease_s(work, operation.lease_s), scope=LockScope(operation.scope or LockScope.USER),
    )  # fmt: skip
    answer = await work.decide(request)
    assert isinstance(answer, Locked)
    return await _reply(work, answer.locks, answer.lost)


def _wait_s(work: Work, asked: float | None) -> float:
    longest = work.lock_policy.max_wait_s
    if asked is None:
        return min(work.lock_policy.wait_s, longest)
    if not 0 <= asked <= longest:
        raise InvalidRequest(f"a lock request waits from 0 to {longest:g} seconds")
    return asked


def _lease_s(work: Work, asked: int | None) -> int | None:
    longest = work.lock_policy.max_lease_s
    if asked is not None and not 0 <= asked <= longest:
        raise InvalidRequest(f"a lease has from 1 to {longest} seconds; 0 takes it off")
    return asked


async def _release(work: Work, epoch: int | None) -> LockReply:
    answer = await work.decide(ReleaseLock(work.actor, frozenset(), epoch))
    assert isinstance(answer, Released)
    return await _reply(work, answer.locks, answer.lost)


async def _reply(work: Work, rows: Sequence[LockRow], lost: tuple[LostLock, ...]) -> LockReply:
    return LockReply(await _views(work, rows), lost)


async def _views(work: Work, rows: Sequence[LockRow]) -> tuple[LockView, ...]:
    """The committed rows themselves; how long their holders have been idle, and what runs there, is looked up."""
    looked = await work.read(lambda tx: tx.locks.locks_on([row.device_id for row in rows]))
    found = {view.row.device_id: view for view in looked}
    return tuple(_as_committed(row, found.get(row.device_id)) for row in rows)


def _as_committed(row: LockRow, view: LockView | None) -> LockView:
    """The row with what was seen of it a moment later, unless it is another's by then."""
    if view is None or view.row.holder_id != row.holder_id:
        return LockView(row, None, holder_logged_in=False, orphaned=False)
    return replace(view, row=row)


HANDLERS_HERE = {
    LockDevice: lock_device,
    LockGroup: lock_group,
    LockDevices: lock_devices,
    UnlockDevice: unlock_device,
    UnlockGroup: unlock_group,
    UnlockDevices: unlock_devices,
    OverrideLock: override_lock,
    AskForLock: ask_for_lock,
    ConfirmDevice: confirm_device,
    CheckLock: check_lock,
    ListAsks: list_asks,
    FollowLockEvents: follow_lock_events,
    VerifyLocks: verify_locks,
    ExpireLeases: expire_leases,
    ShowLock: show_lock,
    ListLocks: list_locks,
    ListLockEvents: list_lock_events,
}
