"""The rules alone, at random and fast, before a judge that knows the invariants and not the rules."""

from __future__ import annotations

import os

import pytest

from tests.proof import faults
from tests.proof.faults import Fault
from tests.proof.place import Broken
from tests.proof.walk import walks

REQUESTS = int(os.environ.get("OPENSDM_WALK_REQUESTS", "20000"))
ANSWERS = (
    "TakeLock Locked", "TakeLock Waiting", "TakeLock DEVICE_LOCKED", "TakeLock DEVICE_BUSY", "TakeLock LOCK_LOST",
    "Promote Locked", "Promote Waiting", "Promote DEVICE_BUSY", "GiveUp DEVICE_BUSY", "ReleaseLock Released",
    "ReleaseLock NOT_LOCK_OWNER", "TakeAway Overridden", "TakeAway LOCK_CHANGED", "Admit Admitted", "Admit Queued",
    "Admit DEVICE_LOCKED", "Admit LOCK_LOST", "StartClaim Admitted", "StartClaim Queued", "StartClaim DEVICE_LOCKED",
    "BeginStep Stepped", "BeginStep LOCK_LOST", "Fence Done", "Fence LOCK_LOST", "Guard Admitted", "Guard DEVICE_BUSY",
    "Guard LOCK_LOST", "Confirm Confirmed", "Confirm DEVICE_BUSY", "Confirm DEVICE_LOCKED", "AskRelease Asked",
    "AskRelease INVALID_REQUEST",
)  # fmt: skip
"""A walk that comes by none of these says little."""
SEEN_BY_THE_RULES_ALONE = (
    "a_held_lock_is_given_again", "a_barrier_bars_nobody", "two_users_wait", "a_relock_is_a_new_grant",
    "a_refused_request_waits_all_the_same", "an_open_step_is_forgotten", "a_release_leaves_the_waits",
    "a_promotion_does_not_look_again", "queued_work_is_not_checked_when_it_starts",
    "lock_without_asking_for_work", "locks_bind_only_lockers", "epoch_reset", "override_without_fence",
    "an_override_forgets_the_write_it_cuts", "a_deletion_leaves_the_waits", "a_late_end_is_believed",
    "end_of_work_ends_the_lock", "two_writers", "unlock_by_anyone",
)  # fmt: skip


def test_the_rules_keep_the_invariants() -> None:
    seen = walks(REQUESTS, seed=4)
    assert not [answer for answer in ANSWERS if not seen[answer]], seen


@pytest.mark.prove
def test_the_rules_keep_the_invariants_a_million_times() -> None:
    seen = walks(1_000_000, seed=5)
    print(f"{sum(seen.values())} requests")
    for answer, number in seen.most_common():
        print(f"{number:8} {answer}")


@pytest.mark.parametrize("fault", [f for f in faults.FAULTS if f.name in SEEN_BY_THE_RULES_ALONE], ids=lambda f: f.name)
def test_the_judge_sees_a_planted_fault(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as planted:
        fault.plant(planted)
        with pytest.raises(Broken) as seen:
            walks(100_000, seed=6)
    print(f"{fault.name}: {seen.value}")


def test_all_of_them_are_planted() -> None:
    assert set(SEEN_BY_THE_RULES_ALONE) <= {fault.name for fault in faults.FAULTS}
