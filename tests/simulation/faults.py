"""Faults a hurried change could bring in, planted one at a time. Each must be caught by the state machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from opensdm.core import lock, lock_admission, lock_ending, lock_parts, lock_taking
from opensdm.core.lock import (
    Actor,
    Admit,
    Board,
    Decision,
    EndClaim,
    Guard,
    LockRow,
    OverrideMode,
    RefusalCode,
    Refused,
    ReleaseLock,
    TakeAway,
)
from opensdm.core.operations import ListDevices, LockDevice, LockGroup
from opensdm.core.ports import LockView, Work
from opensdm.core.results import LockReply
from opensdm.core.submission import Receipt, Submission
from opensdm.handlers import HANDLERS
from opensdm.stores import recovery
from opensdm.stores.changes import Changes
from opensdm.stores.ledger import Ledger
from opensdm.stores.locks import SqlLocks, lock_row

Patch = pytest.MonkeyPatch
FAULTS: dict[str, Callable[[Patch], None]] = {}


def fault(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    FAULTS[plant.__name__] = plant
    return plant


@fault
def check_apart_from_registration(patch: Patch) -> None:
    """The lock is looked at first, and the claim registered a moment later without looking again."""
    submit, not_admitted = Ledger.submit, lock_admission._not_admitted

    async def in_two_steps(self: Ledger, submission: Submission) -> Receipt:
        request = submission.request
        if isinstance(request, Admit):
            look = Guard(request.actor, frozenset(), request.epoch, request.writes, request.exclusive)
            answer = await self.peek(replace(submission, request=look))
            if isinstance(answer, Refused):
                return Receipt(answer, None, frozenset(), 0)
            await asyncio.sleep(0.01)
        return await submit(self, submission)

    def only_guards(board_: Board, request: Guard | Admit) -> Refused | None:
        return None if isinstance(request, Admit) else not_admitted(board_, request)

    patch.setattr(Ledger, "submit", in_two_steps)
    patch.setattr(lock_admission, "_not_admitted", only_guards)


@fault
def lock_kept_in_memory(patch: Patch) -> None:
    """Locks are written to a dictionary of the process: right until the process dies."""
    memory: dict[int, LockRow] = {}
    read, show, recover = lock_row, SqlLocks.lock, recovery.recover

    async def remember(self: Changes, connection: Any, dialect: str) -> None:
        memory.update(self.locks)

    async def remembered(self: SqlLocks, device_id: int) -> LockView:
        view = await show(self, device_id)
        return replace(view, row=memory.get(device_id, view.row))

    async def forgetting(*arguments: Any) -> Any:
        memory.clear()
        return await recover(*arguments)

    patch.setattr(Changes, "_write_locks", remember)
    patch.setattr("opensdm.stores.board.lock_row", lambda row: memory.get(row.device_id) or read(row))
    patch.setattr(SqlLocks, "lock", remembered)
    patch.setattr("tests.gatehouse.recover", forgetting)


@fault
def group_one_by_one(patch: Patch) -> None:
    """A group lock is a loop over its devices."""

    async def lock_each(operation: LockGroup, work: Work) -> LockReply:
        listing: Any = await work.execute(ListDevices())
        for shown in listing.items:
            if shown.device.nf_id == operation.nf_id:
                await work.execute(LockDevice(device_id=shown.device.device_id))
        reply: LockReply = await whole(operation, work)
        return reply

    whole = HANDLERS[LockGroup]
    patch.setitem(cast(dict[Any, Any], HANDLERS), LockGroup, lock_each)


@fault
def unlock_by_anyone(patch: Patch) -> None:
    """Unlock frees whatever it finds."""
    release = lock.release_lock

    def freely(board_: Board, request: ReleaseLock) -> Decision:
        holders = [row for row in board_.rows(request.devices) if row.held]
        if holders:
            holder = Actor(holders[0].holder_id or 0, holders[0].holder_name or "", None, request.actor.door)
            request = replace(request, actor=holder)
        return release(board_, request)

    patch.setattr(lock, "release_lock", freely)


@fault
def epoch_reset(patch: Patch) -> None:
    """An unlocked device starts counting again."""
    freed = LockRow.freed
    patch.setattr(LockRow, "freed", lambda self: replace(freed(self), epoch=0))


@fault
def override_without_fence(patch: Patch) -> None:
    """The lock is gone, the old owner's work runs on."""
    take_away = lock.take_away

    def gently(board_: Board, request: TakeAway) -> Decision:
        return take_away(board_, replace(request, mode=OverrideMode.GRACEFUL))

    patch.setattr(lock, "take_away", gently)


@fault
def end_of_work_ends_the_lock(patch: Patch) -> None:
    """A push unlocks when it is done, as if the lock had been its own."""
    end = lock.end_claim

    def and_unlock(board_: Board, request: EndClaim) -> Decision:
        decision = end(board_, request)
        claim = board_.claims.get(request.claim_id)
        rows = [board_.locks[d].freed() for d in claim.tickets] if claim else []
        return replace(decision, locks=tuple(rows))

    patch.setattr(lock, "end_claim", and_unlock)


@fault
def locks_bind_only_lockers(patch: Patch) -> None:
    """A foreign lock refuses locking, and nothing else."""
    not_admitted = lock_admission._not_admitted

    def permissive(board_: Board, request: Guard | Admit) -> Refused | None:
        refused = not_admitted(board_, request)
        return None if refused and refused.code is RefusalCode.DEVICE_LOCKED else refused

    patch.setattr(lock_admission, "_not_admitted", permissive)


@fault
def two_writers(patch: Patch) -> None:
    """Exclusive claims do not exclude."""
    patch.setattr(lock_admission, "_writers", lambda board_, request: [])
    patch.setattr(lock_admission, "_written_now", lambda board_, request: None)


@fault
def lock_without_asking_for_work(patch: Patch) -> None:
    """A lock is granted while another user's work runs."""
    patch.setattr(Board, "running_on", lambda self, devices: [])


@fault
def claims_survive_a_crash(patch: Patch) -> None:
    """Recovery forgets that nobody runs the old claims any more."""

    async def forget(*arguments: Any) -> None:
        return None

    patch.setattr(recovery, "_interrupt", forget)


@fault
def change_without_an_event(patch: Patch) -> None:
    """An unlock leaves no event."""
    add = Changes.add

    def silently(self: Changes, decision: Decision) -> None:
        freed = isinstance(decision.answer, lock.Released)
        add(self, replace(decision, events=()) if freed else decision)

    patch.setattr(Changes, "add", silently)


@fault
def administrators_walk_through(patch: Patch) -> None:
    """A privileged user is not refused."""
    foreign = lock_parts.foreign_locks

    def but_not_for_them(board_: Board, actor: Actor, devices: Any) -> list[lock.Blocker]:
        return [] if actor.user_name == "admin" else foreign(board_, actor, devices)

    patch.setattr(lock_admission, "foreign_locks", but_not_for_them)


@fault
def epoch_not_compared(patch: Patch) -> None:
    """The epoch a caller carries is ignored."""
    for module in (lock_taking, lock_ending, lock_admission):
        patch.setattr(module, "stale_epoch", lambda board_, request: None)


@fault
def the_old_owner_is_not_told(patch: Patch) -> None:
    """An override leaves no word for whom it was taken from."""
    take_away = lock.take_away
    patch.setattr(lock, "take_away", lambda board_, request: replace(take_away(board_, request), lost=()))


@fault
def override_keeps_the_epoch(patch: Patch) -> None:
    """After an override the old epoch would still pass."""
    take_away = lock.take_away

    def same_epoch(board_: Board, request: TakeAway) -> Decision:
        decision = take_away(board_, request)
        before = {row.device_id: row.epoch for row in board_.locks.values()}
        return replace(decision, locks=tuple(replace(r, epoch=before[r.device_id]) for r in decision.locks))

    patch.setattr(lock, "take_away", same_epoch)
