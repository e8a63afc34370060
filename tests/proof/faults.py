"""Hurried changes, each of which breaks an invariant. `test_faults` plants them and sees the invariant's test fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from sqlalchemy import text

from opensdm.core import lock, lock_admission, lock_claims, lock_ending, lock_taking
from opensdm.core.lock import Board, ClaimState, Decision, Locked, Refused, TakeLock
from opensdm.core.lock_requests import ReleaseLock
from opensdm.core.operation import Operation
from opensdm.core.operations import Logout, UnlockDevice
from opensdm.core.ports import LockView, Work
from opensdm.core.store_ports import Page
from opensdm.gate.waiting import Patience, Waits
from opensdm.handlers import HANDLERS
from opensdm.stores import recovery
from opensdm.stores.database import Connection, Database
from opensdm.stores.locks import SqlLocks
from tests.simulation.faults import FAULTS as OLDER

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@dataclass(frozen=True)
class Fault:
    """`breaks`: the invariant whose test must see it. `many_nodes`: only where there are several."""

    breaks: str
    plant: Plant
    many_nodes: bool = False

    @property
    def name(self) -> str:
        return self.plant.__name__

    @property
    def told(self) -> str:
        return " ".join((self.plant.__doc__ or "").split())


FAULTS: list[Fault] = [
    Fault("i02", OLDER["lock_without_asking_for_work"]),
    Fault("i02", OLDER["locks_bind_only_lockers"]),
    Fault("i04", OLDER["epoch_reset"]),
    Fault("i04", OLDER["override_keeps_the_epoch"]),
    Fault("i05", OLDER["lock_kept_in_memory"]),
    Fault("i06", OLDER["group_one_by_one"]),
    Fault("i08", OLDER["unlock_by_anyone"]),
    Fault("i09", OLDER["change_without_an_event"]),
    Fault("i10", OLDER["epoch_not_compared"]),
    Fault("i11", OLDER["override_without_fence"]),
    Fault("i15", OLDER["claims_survive_a_crash"]),
    Fault("i16", OLDER["end_of_work_ends_the_lock"]),
    Fault("i18", OLDER["two_writers"]),
]


def breaks(invariant: str, *, many_nodes: bool = False) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        FAULTS.append(Fault(invariant, plant, many_nodes))
        return plant

    return add


@breaks("i01")
def a_held_lock_is_given_again(patch: Patch) -> None:
    """Whoever asks for a lock gets it, held or not."""

    def anyway(board: Board, request: TakeLock) -> Decision:
        freed = {d: board.locks[d].freed() for d in request.devices}
        return honest(replace(board, locks={**board.locks, **freed}), request)

    honest = lock_taking.take_lock
    patch.setattr(lock, "take_lock", anyway)


@breaks("i03")
def a_barrier_bars_nobody(patch: Patch) -> None:
    """A lock request waits, and new work of others is admitted meanwhile."""
    patch.setattr(lock_admission, "foreign_pending", lambda *_: [])


@breaks("i03")
def two_users_wait(patch: Patch) -> None:
    """Requests of two users wait for one device."""
    patch.setattr(lock_taking, "foreign_pending", lambda *_: [])


@breaks("i07")
def a_relock_is_a_new_grant(patch: Patch) -> None:
    """Locking one's own lock again raises its epoch: a client that tries again loses what it had."""

    def anew(board: Board, request: TakeLock) -> Decision:
        decision = honest(board, request)
        if not isinstance(decision.answer, Locked) or decision.locks:
            return decision
        rows = tuple(replace(row, epoch=row.epoch + 1) for row in decision.answer.locks)
        return replace(decision, answer=Locked(rows), locks=rows)

    honest = lock_taking.take_lock
    patch.setattr(lock, "take_lock", anew)


@breaks("i07")
def a_second_unlock_is_refused(patch: Patch) -> None:
    """Unlocking a free device is an error."""

    def strictly(board: Board, request: ReleaseLock) -> Decision:
        if not any(row.held for row in board.rows(request.devices)):
            return Decision(Refused(lock.RefusalCode.NOT_LOCK_OWNER))
        return honest(board, request)

    honest = lock_ending.release_lock
    patch.setattr(lock, "release_lock", strictly)


@breaks("i08")
def a_logout_frees(patch: Patch) -> None:
    """The end of a session ends its user's locks, as a courtesy."""
    honest = HANDLERS[Logout]

    async def and_free(operation: Logout, work: Work) -> None:
        held, _ = await work.read(lambda tx: tx.locks.locks(holder=work.session.user_name, stale=None, page=Page()))
        for view in held:
            await work.execute(UnlockDevice(device_id=view.row.device_id))
        await honest(operation, work)

    patch.setitem(cast(dict[Any, Any], HANDLERS), Logout, and_free)


@breaks("i10")
def a_refused_request_waits_all_the_same(patch: Patch) -> None:
    """The row of a waiting request is written before its devices are looked at."""

    def first(board: Board, request: TakeLock) -> Decision:
        decision = honest(board, request)
        if request.wait_us > 0 and isinstance(decision.answer, Refused):
            return replace(decision, pending=(lock_taking.waiting_row(board, request),))
        return decision

    honest = lock_taking.take_lock
    patch.setattr(lock, "take_lock", first)


@breaks("i11")
def an_open_step_is_forgotten(patch: Patch) -> None:
    """Fenced work counts as over, though a write of it is still on its way."""
    honest = Board.over
    patch.setattr(Board, "over", lambda self, claim: honest(self, claim) or self.fenced(claim))


@breaks("i11")
def an_override_forgets_the_write_it_cuts(patch: Patch) -> None:
    """Whoever writes next is told nothing of a write that was cut, until the cut one has ended."""
    patch.setattr(lock_ending, "_cuts_writing", lambda *_: False)


@breaks("i12")
def reads_come_from_a_cache(patch: Patch) -> None:
    """A lock that was read is shown again without a look, for a second."""
    seen: dict[int, tuple[float, LockView]] = {}
    honest = SqlLocks.lock

    async def cached(self: SqlLocks, device_id: int) -> LockView:
        read_at, view = seen.get(device_id, (0.0, None))
        if view is None or time.monotonic() - read_at > 1.0:
            view = await honest(self, device_id)
            seen[device_id] = time.monotonic(), view
        return view

    patch.setattr(SqlLocks, "lock", cached)


@breaks("i13")
def locks_age(patch: Patch) -> None:
    """A lock without a lease ends after a month, since nobody can want it any longer."""
    month_us = 30 * 86_400 * 1_000_000

    def due(board: Board, row: Any) -> bool:
        old = row.held and row.since_us is not None and board.now_us - row.since_us > month_us
        return old or honest(board, row)

    async def all_devices(self: SqlLocks) -> list[int]:
        views, _ = await self.locks(holder=None, stale=None, page=Page())
        return [view.row.device_id for view in views]

    honest = lock_ending._due
    patch.setattr(lock_ending, "_due", due)
    patch.setattr(SqlLocks, "due_leases", all_devices)


@breaks("i14")
def nobody_looks_whose_turn_it_is(patch: Patch) -> None:
    """A request waits for its turn, and nothing ever looks whether that has come, or can come no more."""
    honest = Waits.turn

    async def for_ever(self: Waits, request: Any, until: float, patience: Patience) -> bool:
        return await honest(self, request, until + 3600, patience)

    async def nothing(self: Waits) -> None:
        return None

    patch.setattr(Waits, "turn", for_ever)
    patch.setattr(Waits, "_call_whose_turn_it_is", nothing)


@breaks("i14")
def whoever_hangs_up_goes_on_waiting(patch: Patch) -> None:
    """Nothing notices that the client of a waiting request is gone."""
    patch.setattr(Patience, "hang_up", lambda self: None)


@breaks("i15")
def recovery_comes_after_the_doors(patch: Patch) -> None:
    """A start opens its doors at once and clears up behind them."""
    honest = recovery._end

    async def later(connection: Connection, database: Database, ending: Any) -> tuple[int, ...]:
        return ()

    assert honest is not later
    patch.setattr(recovery, "_end", later)


@breaks("i17")
def operations_without_a_class(patch: Patch) -> None:
    """An operation that names no rule, or a wrong one, is registered like any other."""
    patch.setattr(Operation, "__init_subclass__", classmethod(lambda cls, **_: None))


@breaks("i17")
def a_door_of_its_own(patch: Patch) -> None:
    """Work that comes from the clock is admitted without a look at the lock."""
    honest = lock_admission._not_admitted

    def but_not_the_clock(board: Board, request: Any) -> Refused | None:
        return None if request.actor.door == "clock" else honest(board, request)

    patch.setattr(lock_admission, "_not_admitted", but_not_the_clock)


@breaks("i19", many_nodes=True)
def recovery_ends_everybodys_work(patch: Patch) -> None:
    """A start interrupts all claims there are, as if it were alone."""
    patch.setattr(recovery, "DEAD_CLAIMS", text("SELECT claim_id FROM claim WHERE state IN ('RUNNING', 'QUEUED')"))


@breaks("i19", many_nodes=True)
def recovery_ends_everybodys_waits(patch: Patch) -> None:
    """A start deletes all waiting requests there are, as if it were alone."""
    patch.setattr(recovery, "DEAD_PENDING", text("SELECT pending_id FROM lock_pending"))


# ------------------------------------------------------------------------------------- rules beside the invariants


@breaks("r01")
def scope_is_not_looked_at(patch: Patch) -> None:
    """A lock of one session binds other users only."""
    patch.setattr(lock.LockRow, "held_by", lambda self, actor: self.holder_id == actor.user_id)
    patch.setattr(lock_taking, "_mine", lambda row, actor, scope: row.held_by(actor))


@breaks("r07")
def a_release_leaves_the_waits(patch: Patch) -> None:
    """Requests of an owner who lets go wait on."""
    patch.setattr(lock_ending, "_requests", lambda *_: [])
    patch.setattr(lock_ending, "requests_of", lambda *_: ())


@breaks("r07")
def a_deletion_leaves_the_waits(patch: Patch) -> None:
    """Requests that name a deleted device wait on, for what is left."""
    honest = lock_admission.guard
    patch.setattr(lock, "guard", lambda board, request: replace(honest(board, request), cancelled=()))


@breaks("r07")
def a_promotion_does_not_look_again(patch: Patch) -> None:
    """A wait that was cancelled is granted what is left of it."""
    honest = lock_taking._gone
    patch.setattr(lock_taking, "_gone", lambda board, take: _granted_or(board, take, honest(board, take)))


def _granted_or(board: Board, take: TakeLock, refused: Decision) -> Decision:
    open_ones = frozenset(d for d in take.devices if board.locks[d].holder_id in (None, take.actor.user_id))
    return lock_taking._grant(board, replace(take, devices=open_ones)) if open_ones else refused


@breaks("r08")
def a_lease_cuts_work(patch: Patch) -> None:
    """A lease that is due ends its lock, whatever its owner is doing."""
    patch.setattr(
        lock_ending, "_due",
        lambda board, row: row.held and row.lease_until_us is not None and row.lease_until_us <= board.now_us,
    )  # fmt: skip


@breaks("r08")
def a_lease_is_not_counted_anew(patch: Patch) -> None:
    """Work that took longer than the lease costs its owner the lock."""
    patch.setattr(lock_claims, "_restarted_leases", lambda *_: {})


@breaks("r12")
def the_queue_has_no_order(patch: Patch) -> None:
    """Whoever looks first writes next."""

    def only_what_runs(board: Board, request: Any) -> Any:
        running = replace(board, claims={k: c for k, c in board.claims.items() if c.state is not ClaimState.QUEUED})
        return honest(running, request)

    honest = lock_admission._writers
    patch.setattr(lock_admission, "_writers", only_what_runs)
    turn = Waits._call_whose_turn_it_is

    async def last_first(self: Waits) -> None:
        self._waiting = dict(reversed(self._waiting.items()))
        await turn(self)

    patch.setattr(Waits, "_call_whose_turn_it_is", last_first)


@breaks("r12")
def queued_work_is_not_checked_when_it_starts(patch: Patch) -> None:
    """What was filed in time begins, whoever holds the device by then."""
    honest = lock_admission.start_claim

    def as_filed(board: Board, request: Any) -> Decision:
        patch_one = replace(board, pending={}, locks={d: r.freed() for d, r in board.locks.items()})
        return honest(patch_one, request)

    patch.setattr(lock, "start_claim", as_filed)


@breaks("zombies")
def a_late_end_is_believed(patch: Patch) -> None:
    """The end of work frees a device that nothing fences, whoever was taken for dead meanwhile."""
    honest = lock.end_claim

    def freed(board: Board, request: Any) -> Decision:
        decision = honest(board, request)
        return replace(decision, claims=tuple(replace(claim, unfenced=False) for claim in decision.claims))

    patch.setattr(lock, "end_claim", freed)


@breaks("zombies")
def time_is_enough_for_a_zombie(patch: Patch) -> None:
    """A device that nothing fences is free again once the step's limit is over."""
    honest = Board.over
    patch.setattr(Board, "over", lambda self, claim: honest(self, replace(claim, unfenced=False)))
