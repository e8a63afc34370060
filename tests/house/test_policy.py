"""What a refusal says, and what it recommends, for every error and every kind of caller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensdm.core import errors as e
from opensdm.core.identity import DEFAULT_RIGHTS, LOCAL_USER_ID, Area, Level, Session
from opensdm.core.lock import Blocker, LostLock, RefusalCode, Refused
from opensdm.core.operations import (
    REGISTRY,
    AssignDevice,
    Kind,
    ListDevices,
    LockDevice,
    LockGroup,
    Login,
    Operation,
    PushAction,
    PushChanges,
    ShowNetworkFunction,
)
from opensdm.gate.policy import advise, refusal, utc

AT = 1_764_000_000_000_000
HELD = Blocker("lock", 7, "edge-a", 3, "alice", AT, "rest", "maintenance 4711", 42)
WORK = Blocker("work", 7, "edge-a", 3, "alice", AT, running="PushChanges")
WAITING = Blocker("pending", 7, "edge-a", 3, "alice", AT)
LOST = LostLock(7, 4, 41, "admin", "outage", AT)


def session(group: str) -> Session:
    return Session(1, 9, "somebody", group, "rest", DEFAULT_RIGHTS[group])


CONSOLE = Session(None, LOCAL_USER_ID, "local-console", "", "cli", dict.fromkeys(Area, Level.FULL))
STRANGER = Session(None, 0, "-", "", "rest", {})
CALLERS = [*map(session, DEFAULT_RIGHTS), CONSOLE, STRANGER]
OPERATIONS: list[Operation] = [
    LockDevice(device_id=7),
    LockGroup(nf_id=6, group_id=6),
    ShowNetworkFunction(nf_id=6),
    ListDevices(),
    AssignDevice(device_id=7),
    Login(user_name="u", password="p"),
]


def test_instants_are_written_in_utc() -> None:
    assert utc(AT) == "2025-11-24T16:00:00Z"


# ------------------------------------------------------------------------------------ sentences


@pytest.mark.parametrize(
    ("refused", "error", "sentence"),
    [
        (
            Refused(RefusalCode.DEVICE_LOCKED, (HELD,)),
            e.DeviceLocked,
            f"edge-a is locked by alice since {utc(AT)} (maintenance 4711)",
        ),
        (
            Refused(RefusalCode.DEVICE_LOCKED, (Blocker("lock", 7, "edge-a", 3, "alice"),)),
            e.DeviceLocked,
            "edge-a is locked by alice",
        ),
        (
            Refused(RefusalCode.DEVICE_LOCKED, (WAITING, WORK)),
            e.DeviceLocked,
            f"alice is waiting for edge-a since {utc(AT)}; PushChanges of alice is running on edge-a since {utc(AT)}",
        ),
        (
            Refused(RefusalCode.DEVICE_BUSY, (WORK,) * 7),
            e.DeviceBusy,
            "; ".join([f"PushChanges of alice is running on edge-a since {utc(AT)}"] * 5 + ["and 2 more"]),
        ),
        (Refused(RefusalCode.NOT_LOCK_OWNER, (HELD,)), e.NotLockOwner, None),
        (
            Refused(RefusalCode.LOCK_LOST, device_id=7, lost=LOST),
            e.LockLost,
            f"your lock on ID7 was taken away by admin at {utc(AT)} (outage); lock the device again before you go on",
        ),
        (
            Refused(RefusalCode.LOCK_LOST, lost=LostLock(7, 4, 41, "system", None, AT)),
            e.LockLost,
            f"your lock on ID7 was taken away by system at {utc(AT)}; lock the device again before you go on",
        ),
        (
            Refused(RefusalCode.LOCK_LOST, (HELD,), 7, lost=LOST),
            e.LockLost,
            f"your lock on ID7 was taken away by admin at {utc(AT)} (outage); "
            f"edge-a is locked by alice since {utc(AT)} (maintenance 4711)",
        ),
        (Refused(RefusalCode.LOCK_LOST, note="this work was fenced"), e.LockLost, "this work was fenced"),
        (Refused(RefusalCode.LOCK_LOST), e.LockLost, "your lock has ended"),
        (
            Refused(RefusalCode.LOCK_CHANGED, (HELD,), 7, note="another user holds the lock"),
            e.LockChanged,
            f"another user holds the lock; edge-a is locked by alice since {utc(AT)} (maintenance 4711)",
        ),
        (Refused(RefusalCode.LOCK_CHANGED, note="the device is not locked"), e.LockChanged, "the device is not locked"),
        (
            Refused(RefusalCode.READ_ONLY_DEVICE, device_id=7),
            e.ReadOnlyDevice,
            "device ID7 was enrolled read-only: nothing is written to it by anyone",
        ),
        (
            Refused(RefusalCode.INVALID_REQUEST, note="an epoch goes with one device"),
            e.InvalidRequest,
            "an epoch goes with one device",
        ),
    ],
)
def test_a_refusal_says_who_since_when_and_why(refused: Refused, error: type[e.SdmError], sentence: str | None) -> None:
    made = refusal(refused)
    assert type(made) is error and made.blockers == refused.blockers
    assert made.message == (sentence or f"edge-a is locked by alice since {utc(AT)} (maintenance 4711)")


def test_every_refusal_of_the_rules_has_its_error() -> None:
    assert {refusal(Refused(code, (HELD,), 7)).code for code in RefusalCode} == {code.value for code in RefusalCode}


def test_a_lost_lock_is_told_in_facts_and_absent_ones_stay_away() -> None:
    told = refusal(Refused(RefusalCode.LOCK_LOST, device_id=7, lost=LOST))
    assert told.facts == {
        "deviceId": "ID7", "takenBy": "admin", "takenAtUs": AT, "reason": "outage", "lostEpoch": 41
    }  # fmt: skip
    silent = refusal(Refused(RefusalCode.LOCK_LOST, lost=LostLock(7, 4, 41, "system", None, AT)))
    assert silent.facts == {"takenBy": "system", "takenAtUs": AT, "lostEpoch": 41}


# ------------------------------------------------------------------------------------ what helps


def actions(error: e.SdmError, caller: Session | None, operation: Operation = OPERATIONS[0]) -> list[str]:
    return [step.action for step in advise(error, caller, operation)]


@pytest.mark.parametrize("error", e.all_errors())
def test_every_error_recommends_what_its_caller_may_send(error: type[e.SdmError]) -> None:
    for caller in CALLERS:
        for operation in OPERATIONS:
            for blockers in ((), (HELD,), (WORK, HELD)):
                steps = advise(error("x", blockers=blockers), caller, operation)
                assert 1 <= len(steps) <= 2 and len(set(map(repr, steps))) == len(steps)
                for step in steps:
                    rule = REGISTRY[step.action].rule
                    REGISTRY[step.action](**step.arguments)
                    assert rule.area is None or caller.level(rule.area) >= rule.level, (caller.group, step)
                    assert rule.kind is not Kind.MACHINERY
                    assert caller is not CONSOLE or rule.kind is not Kind.LOCK


def test_who_may_take_a_lock_away_is_told_how_and_nobody_else() -> None:
    locked = e.DeviceLocked("x", blockers=(HELD,))
    assert actions(locked, session("administrators")) == ["AskForLock", "OverrideLock"]
    assert actions(locked, session("provisioners")) == ["AskForLock", "LockDevice"]
    assert actions(locked, session("monitors")) == ["ShowLock", "ListLocks"]
    assert actions(e.DeviceLocked("x", blockers=(WAITING,)), session("administrators")) == ["LockDevice", "ShowLock"]
    assert actions(e.LockLost("x", blockers=(HELD,)), session("provisioners")) == ["AskForLock", "LockDevice"]
    ask, wait = advise(locked, session("provisioners"), OPERATIONS[0])
    assert ask.arguments == {"device_id": 7} and wait.arguments == {"device_id": 7, "wait_s": 600}
    assert ask.sender == wait.sender == "somebody"
    override = advise(locked, session("administrators"), OPERATIONS[0])[1]
    assert override.arguments == {"device_id": 7, "reason": "WHY", "expected_holder": "alice"}


def test_what_is_ones_own_is_not_asked_for() -> None:
    """A lock of another session of the caller's goes by its epoch; own work is not waited for with a lock."""
    own = replace(session("administrators"), user_id=3)
    locked = e.DeviceLocked("x", blockers=(HELD,))
    release, take = advise(locked, own, OPERATIONS[0])
    assert (release.action, release.arguments) == ("UnlockDevice", {"device_id": 7, "epoch": 42})
    assert (take.action, take.arguments) == ("LockDevice", {"device_id": 7})
    assert actions(e.DeviceBusy("x", blockers=(WORK,)), own) == ["ShowLock", "ShowDevice"]
    assert actions(e.LockLost("x", blockers=(HELD,)), own) == ["LockDevice", "ListLockEvents"]


@pytest.mark.parametrize(
    ("error", "operation", "recommended"),
    [
        (e.DeviceBusy("x", blockers=(WORK,)), OPERATIONS[0], ["LockDevice", "ShowLock"]),
        (e.ReadOnlyDevice("x"), OPERATIONS[0], ["ShowLock", "ShowDevice"]),
        (e.DeviceBusy("x"), OPERATIONS[1], ["ListLocks", "ShowSession"]),
        (e.DeviceLocked("x"), OPERATIONS[1], ["ListLocks", "ShowSession"]),
        (e.LockLost("x"), OPERATIONS[0], ["LockDevice", "ListLockEvents"]),
        (e.LockLost("x"), OPERATIONS[1], ["ListLocks", "ShowSession"]),
        (e.NotLoggedIn("x"), OPERATIONS[0], ["Login"]),
        (e.TooManyAttempts("x"), OPERATIONS[5], ["Login"]),
        (e.NotLoaded("x"), OPERATIONS[0], ["LoadConfiguration", "ShowPendingChanges"]),
        (e.StaleConfiguration("x"), OPERATIONS[0], ["LoadConfiguration", "RebaseChanges"]),
        (e.StaleConfiguration("x", base="copy"), OPERATIONS[0], ["RebaseChanges", "CheckSync"]),
        (e.StaleConfiguration("x"), OPERATIONS[1], ["ShowSession"]),
        (e.RebaseConflict("x"), OPERATIONS[0], ["CheckSync", "RebaseChanges"]),
        (e.NotAssigned("x"), OPERATIONS[0], ["AssignDevice", "ShowDevice"]),
        (e.NotFound("x"), OPERATIONS[0], ["ListDevices", "ShowSession"]),
        (e.NotFound("x"), OPERATIONS[1], ["ListNetworkFunctions", "ShowSession"]),
        (e.NotFound("x"), OPERATIONS[2], ["ListNetworkFunctions", "ShowSession"]),
        (e.StoreUnavailable("x"), OPERATIONS[3], ["ShowServer", "ShowSession"]),
        (e.Rejected("x"), OPERATIONS[0], ["ShowDevice", "ShowSession"]),
        (e.InvalidRequest("x"), OPERATIONS[3], ["ShowSession"]),
    ],
)
def test_what_is_recommended(error: e.SdmError, operation: Operation, recommended: list[str]) -> None:
    assert actions(error, session("provisioners"), operation) == recommended


def test_the_way_out_of_stale_stays_in_the_callers_change_set() -> None:
    push = PushChanges(device_id=7, action=PushAction.SAVE_ACTIVATE, change_set="worker-1")
    steps = advise(e.StaleConfiguration("x", base="copy"), session("provisioners"), push)
    assert [step.arguments for step in steps] == [{"device_id": 7, "change_set": "worker-1"}] * 2


def test_before_anybody_is_known_only_the_error_itself_counts() -> None:
    assert actions(e.NotLoggedIn("x"), None) == ["Login"]
    assert actions(e.StoreUnavailable("x"), None, OPERATIONS[3]) == ["ShowServer", "ShowSession"]
    assert actions(e.StoreUnavailable("x"), STRANGER, OPERATIONS[5]) == ["Login"]
