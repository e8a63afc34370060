"""The same request about a lock at every door that has it: how the device stands, who asks, what all are to hear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opensdm.core.lock import LockScope, OverrideMode
from opensdm.core.ports import LockView
from tests.doors.lock_doors import NOBODY

FREE, HELD, SESSION, WORK, CUT, LOST = "free", "held", "held for one session", "at work", "cut off", "lost"
"""How the device stands: alice holds it, or another session of hers does, a push of hers runs, or was cut off in a
write that nothing keeps from arriving late, or admin took it."""
REASON = "change 4711 (night)"
EPOCH, STALE = "the epoch of the lock", "an epoch from before"

After = Callable[[LockView], Any]


def holder(view: LockView) -> Any:
    return view.row.holder_name


def terms(view: LockView) -> Any:
    row = view.row
    return row.holder_name, row.reason, row.lease_s, row.scope


def asks(view: LockView) -> Any:
    return [(ask.asker_name, ask.message) for ask in view.asks]


def works(view: LockView) -> Any:
    return [work.operation for work in view.running]


@dataclass(frozen=True)
class Row:
    """`code` "" for success. `after`, `leaves`: what is looked at afterwards, and what it is. `view`: of a check."""

    name: str
    operation: str
    user: str
    given: str
    code: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    after: After = holder
    leaves: Any = None
    view: str | None = None


_HOLDERS = {FREE: None, WORK: None, CUT: None, LOST: "admin"}


def _refused(name: str, operation: str, user: str, given: str, code: str, **fields: Any) -> Row:
    return Row(name, operation, user, given, code, fields, leaves=_HOLDERS.get(given, "alice"))


def _done(name: str, operation: str, user: str, given: str, after: After, leaves: Any, **fields: Any) -> Row:
    return Row(name, operation, user, given, "", fields, after, leaves)


def _check(name: str, user: str, given: str, view: str, **fields: Any) -> Row:
    return Row(name, "CheckLock", user, given, "", fields, holder, _HOLDERS.get(given, "alice"), view)


_TERMS = {"reason": "change 9", "lease_s": 120, "scope": LockScope.SESSION, "wait_s": 0}
_OVERRIDE = {"reason": "outage"}

ROWS: tuple[Row, ...] = (
    # ------------------------------------------------------------------------------- lock, unlock
    _done("lock a free device", "LockDevice", "bob", FREE, holder, "bob"),
    _done("lock my own again", "LockDevice", "alice", HELD, terms, ("alice", REASON, None, "user")),
    _refused("lock another's", "LockDevice", "bob", HELD, "DEVICE_LOCKED"),
    _refused("an administrator locks another's", "LockDevice", "admin", HELD, "DEVICE_LOCKED"),
    _refused("lock without the right", "LockDevice", "mona", HELD, "FORBIDDEN"),
    _refused("lock without a session", "LockDevice", NOBODY, HELD, "NOT_LOGGED_IN"),
    _refused("lock with a stale epoch", "LockDevice", "alice", HELD, "LOCK_LOST", epoch=STALE),
    _done("unlock my own", "UnlockDevice", "alice", HELD, holder, None),
    _done("unlock a free device", "UnlockDevice", "bob", FREE, holder, None),
    _refused("unlock another's", "UnlockDevice", "bob", HELD, "NOT_LOCK_OWNER"),
    _refused("an administrator unlocks another's", "UnlockDevice", "admin", HELD, "NOT_LOCK_OWNER"),
    _refused("unlock without the right", "UnlockDevice", "mona", HELD, "FORBIDDEN"),
    _done("unlock with its epoch", "UnlockDevice", "alice", HELD, holder, None, epoch=EPOCH),
    _refused("unlock with a stale epoch", "UnlockDevice", "alice", HELD, "LOCK_LOST", epoch=STALE),
    # --------------------------------------------------------------------------------- its terms
    _done("lock with a reason", "LockDevice", "bob", FREE, terms, ("bob", "change 9", None, "user"), reason="change 9"),
    _done("lock with a lease", "LockDevice", "bob", FREE, terms, ("bob", None, 120, "user"), lease_s=120),
    _refused("lock with too long a lease", "LockDevice", "bob", FREE, "INVALID_REQUEST", lease_s=86_460),
    _done("lock for a session", "LockDevice", "bob", FREE, terms, ("bob", None, None, "session"), scope="session"),
    _done("do not wait where nobody works", "LockDevice", "bob", FREE, holder, "bob", wait_s=0),
    _refused("a wait never waits for a lock", "LockDevice", "bob", HELD, "DEVICE_LOCKED", wait_s=1),
    _refused("do not wait for work", "LockDevice", "bob", WORK, "DEVICE_BUSY", wait_s=0),
    _refused("another session of the holder locks", "LockDevice", "alice", SESSION, "DEVICE_LOCKED"),
    _refused("another session of the holder unlocks", "UnlockDevice", "alice", SESSION, "NOT_LOCK_OWNER"),
    _refused("another session of the holder stages", "AddElement", "alice", SESSION, "DEVICE_LOCKED"),
    _done("another session unlocks with the epoch", "UnlockDevice", "alice", SESSION, holder, None, epoch=EPOCH),
    # -------------------------------------------------------------------------------------- many
    _done("lock a group", "LockGroup", "bob", FREE, holder, "bob"),
    _refused("lock a group of another's", "LockGroup", "bob", HELD, "DEVICE_LOCKED"),
    _done("lock a group with terms", "LockGroup", "bob", FREE, terms, ("bob", "change 9", 120, "session"), **_TERMS),
    _done("unlock a group of mine", "UnlockGroup", "alice", HELD, holder, None),
    _refused("unlock a group of another's", "UnlockGroup", "bob", HELD, "NOT_LOCK_OWNER"),
    _done("lock several", "LockDevices", "bob", FREE, terms, ("bob", "change 9", 120, "session"), **_TERMS),
    _refused("lock several of another's", "LockDevices", "bob", HELD, "DEVICE_LOCKED"),
    _done("unlock several of mine", "UnlockDevices", "alice", HELD, holder, None),
    _refused("unlock several of another's", "UnlockDevices", "bob", HELD, "NOT_LOCK_OWNER"),
    # --------------------------------------------------------------------------------------- ask
    _done("ask the holder", "AskForLock", "bob", HELD, asks, [("bob", "soon?")], message="soon?"),
    _done("ask without a word", "AskForLock", "bob", HELD, asks, [("bob", None)], message=""),
    _refused("ask nobody", "AskForLock", "bob", FREE, "INVALID_REQUEST", message="soon?"),
    _refused("ask myself", "AskForLock", "alice", HELD, "INVALID_REQUEST", message="soon?"),
    _refused("ask without the right", "AskForLock", "mona", HELD, "FORBIDDEN", message="soon?"),
    # ---------------------------------------------------------------------------------- override
    _done("override", "OverrideLock", "admin", HELD, holder, None, **_OVERRIDE),
    _done("override whom I expect", "OverrideLock", "admin", HELD, holder, None, **_OVERRIDE, expected_holder="alice"),
    _refused("override another than I expect", "OverrideLock", "admin", HELD, "LOCK_CHANGED", **_OVERRIDE,
             expected_holder="bob"),
    _done("override what I saw", "OverrideLock", "admin", HELD, holder, None, **_OVERRIDE, expected_epoch=EPOCH),
    _refused("override what I saw before", "OverrideLock", "admin", HELD, "LOCK_CHANGED", **_OVERRIDE,
             expected_epoch=STALE),
    _refused("override nobody", "OverrideLock", "admin", FREE, "LOCK_CHANGED", **_OVERRIDE, expected_holder="alice"),
    _refused("override without a reason", "OverrideLock", "admin", HELD, "INVALID_REQUEST", reason=""),
    _refused("override without the right", "OverrideLock", "bob", HELD, "FORBIDDEN", **_OVERRIDE),
    _done("override and take", "OverrideLock", "admin", HELD, holder, "admin", **_OVERRIDE, transfer=True),
    _done("override gracefully", "OverrideLock", "admin", HELD, holder, None, **_OVERRIDE, mode=OverrideMode.GRACEFUL),
    # ------------------------------------------------------------------------------------- check
    _check("would I get a free one", "bob", FREE, "grant"),
    _check("would I get mine", "alice", HELD, "held"),
    _check("would I get another's", "bob", HELD, "refuse"),
    _check("would I get one at work", "bob", WORK, "wait"),
    _refused("check without a session", "CheckLock", NOBODY, HELD, "NOT_LOGGED_IN"),
    # ----------------------------------------------------------------------------------- confirm
    _refused("confirm another's", "ConfirmDevice", "bob", HELD, "DEVICE_LOCKED", note="at rest"),
    _done("confirm what is at rest", "ConfirmDevice", "alice", HELD, holder, "alice", note="at rest"),
    _refused("lock what somebody must look at", "LockDevice", "bob", CUT, "DEVICE_BUSY"),
    _done("confirm what was cut off", "ConfirmDevice", "bob", CUT, works, [], note="at rest"),
    _refused("confirm without the right", "ConfirmDevice", "mona", HELD, "FORBIDDEN", note="at rest"),
    # ------------------------------------------------------------------------------------- write
    _refused("load another's", "LoadConfiguration", "bob", HELD, "DEVICE_LOCKED"),
    _refused("stage for another's", "AddElement", "bob", HELD, "DEVICE_LOCKED"),
    _refused("push to another's", "PushChanges", "bob", HELD, "DEVICE_LOCKED"),
    _refused("load what was taken from me", "LoadConfiguration", "alice", LOST, "LOCK_LOST"),
    _refused("stage for what was taken from me", "AddElement", "alice", LOST, "LOCK_LOST"),
    _refused("load one at work", "LoadConfiguration", "bob", WORK, "DEVICE_BUSY"),
    _refused("push to one at work", "PushChanges", "bob", WORK, "DEVICE_BUSY"),
    _refused("stage without the right", "AddElement", "mona", HELD, "FORBIDDEN"),
    _refused("stage for what was never loaded", "AddElement", "alice", HELD, "NOT_LOADED"),
)  # fmt: skip
