"""What a session may do, and what helps it when it may not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from opensdm.core.errors import (
    DeviceBusy,
    DeviceLocked,
    Forbidden,
    InvalidRequest,
    LockChanged,
    LockLost,
    LockRefused,
    NextStep,
    NotAssigned,
    NotFound,
    NotLoaded,
    NotLockOwner,
    NotLoggedIn,
    ReadOnlyDevice,
    RebaseConflict,
    SdmError,
    StaleConfiguration,
    StoreUnavailable,
    TooManyAttempts,
)
from opensdm.core.identity import LOCAL_USER_ID, Area, Level, Session
from opensdm.core.inventory import wire_id
from opensdm.core.lock import Blocker, RefusalCode, Refused
from opensdm.core.operations import REGISTRY, Kind, LockGroup, Operation, Prefer

MAX_NEXT = 2
WORTH_WAITING_S = 600
"""For another's lock or work, where waiting is recommended."""
_LOGIN = NextStep("Login", {"user_name": "USER", "password": "PASSWORD"})
"""What helps whoever has no session, or one that may do nothing."""


def require(session: Session, operation: Operation) -> None:
    """Raise Forbidden unless the session has the operation's privilege."""
    rule = operation.rule
    if rule.kind is Kind.MACHINERY and not session.is_machinery:
        raise Forbidden(f"{operation.name} is the server's own work")
    if rule.kind is Kind.LOCK and session.session_id is None:
        raise Forbidden(f"{session.user_name} holds no locks; log in as a user")
    if rule.area is None or session.is_machinery:
        return
    if session.level(rule.area) < rule.level:
        wanted = "Full" if rule.level is Level.FULL else "View"
        raise Forbidden(
            f"user group {session.group!r} does not have {wanted} on {rule.area.value!r}, which {operation.name} needs",
            privilege=rule.area.value,
            userGroup=session.group,
        )


# ------------------------------------------------------------------------------------ refusals

_CLASSES: dict[RefusalCode, type[SdmError]] = {
    RefusalCode.DEVICE_LOCKED: DeviceLocked,
    RefusalCode.DEVICE_BUSY: DeviceBusy,
    RefusalCode.NOT_LOCK_OWNER: NotLockOwner,
    RefusalCode.LOCK_LOST: LockLost,
    RefusalCode.LOCK_CHANGED: LockChanged,
    RefusalCode.READ_ONLY_DEVICE: ReadOnlyDevice,
    RefusalCode.INVALID_REQUEST: InvalidRequest,
}


def refusal(refused: Refused) -> SdmError:
    """The error a refusal of the lock rules is, with a sentence that says who, since when and why."""
    cls = _CLASSES[refused.code]
    facts: dict[str, Any] = {}
    if refused.device_id is not None:
        facts["deviceId"] = wire_id(refused.device_id)
    if refused.lost is not None:
        lost = refused.lost
        facts |= {"takenBy": lost.by_name, "takenAtUs": lost.at_us, "reason": lost.reason, "lostEpoch": lost.epoch}
    return cls(_sentence(refused), blockers=refused.blockers, **{k: v for k, v in facts.items() if v is not None})


def _sentence(refused: Refused) -> str:
    match refused.code:
        case RefusalCode.LOCK_LOST if refused.lost is not None:
            lost = refused.lost
            because = f" ({lost.reason})" if lost.reason else ""
            now = [*_lines(refused)] or ["lock the device again before you go on"]
            taken = f"your lock on {wire_id(lost.device_id)} was taken away by {lost.by_name} at {utc(lost.at_us)}"
            return "; ".join([taken + because, *now])
        case RefusalCode.LOCK_LOST:
            return "; ".join([refused.note or "your lock has ended", *_lines(refused)])
        case RefusalCode.LOCK_CHANGED:
            return "; ".join([refused.note, *_lines(refused)])
        case RefusalCode.DEVICE_BUSY | RefusalCode.DEVICE_LOCKED if refused.note:
            return "; ".join([refused.note, *_lines(refused)])
        case RefusalCode.READ_ONLY_DEVICE:
            return (
                f"device {wire_id(refused.device_id or 0)} was enrolled read-only: nothing is written to it by anyone"
            )
        case RefusalCode.INVALID_REQUEST:
            return refused.note
        case _:
            return "; ".join(_lines(refused))


def _lines(refused: Refused) -> Iterable[str]:
    shown = refused.blockers[:5]
    for b in shown:
        because = f" ({b.reason})" if b.reason else ""
        since = f" since {utc(b.since_us)}" if b.since_us is not None else ""
        match b.kind:
            case "lock":
                yield f"{b.device_name} is locked by {b.holder}{since}{because}"
            case "pending":
                yield f"{b.holder} is waiting for {b.device_name}{since}"
            case _ if b.unconfirmed:
                yield (
                    f"{b.running} of {b.holder} was cut off on {b.device_name}{since} and may still write there: "
                    "look at the device, then confirm"
                )
            case _:
                yield f"{b.running} of {b.holder} is running on {b.device_name}{since}"
    if len(refused.blockers) > len(shown):
        yield f"and {len(refused.blockers) - len(shown)} more"


def utc(at_us: int) -> str:
    """Microseconds as `2026-11-23T10:02:11Z`."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ------------------------------------------------------------------------------------- what next


def advise(error: SdmError, session: Session | None, operation: Operation) -> tuple[NextStep, ...]:
    """One or two calls that help this caller; each names an operation this caller may send."""
    steps = [s for s in _advice(error, session, operation) if session is None or _may(session, s)]
    told = tuple(steps[:MAX_NEXT]) or (_LOGIN,)
    return told if session is None else tuple(replace(step, sender=session.user_name) for step in told)


def _advice(error: SdmError, session: Session | None, operation: Operation) -> Iterable[NextStep]:
    device = _device_of(error, operation)
    match error:
        case DeviceLocked() | NotLockOwner() | LockChanged() | LockLost():
            yield from _about_locks(error, session, device)
        case DeviceBusy() if unconfirmed := [b for b in error.blockers if b.unconfirmed]:
            yield NextStep("ConfirmDevice", {"device_id": unconfirmed[0].device_id, "note": "WHAT YOU SAW"})
            yield NextStep("ShowLock", {"device_id": unconfirmed[0].device_id})
        case DeviceBusy() | ReadOnlyDevice() if device is not None:
            if any(not _own(session, each) for each in error.blockers):
                yield NextStep("LockDevice", {"device_id": device, "wait_s": WORTH_WAITING_S})
            yield NextStep("ShowLock", {"device_id": device})
            yield NextStep("ShowDevice", {"device_id": device})
        case LockRefused():
            yield NextStep("ListLocks")
        case NotLoggedIn() | TooManyAttempts():
            yield _LOGIN
            return
        case RebaseConflict() if device is not None:
            yield NextStep("CheckSync", {"device_id": device, **_change_set(operation)})
            yield NextStep("RebaseChanges", {"device_id": device, **_change_set(operation), "prefer": Prefer.MINE})
        case StaleConfiguration() if device is not None and error.facts.get("base") == "copy":
            yield NextStep("RebaseChanges", {"device_id": device, **_change_set(operation)})
            yield NextStep("CheckSync", {"device_id": device, **_change_set(operation)})
        case StaleConfiguration() if device is not None:
            yield NextStep("LoadConfiguration", {"device_id": device})
            yield NextStep("RebaseChanges", {"device_id": device, **_change_set(operation)})
        case NotLoaded() if device is not None:
            yield NextStep("LoadConfiguration", {"device_id": device})
            yield NextStep("ShowPendingChanges", {"device_id": device})
        case NotAssigned() if device is not None:
            yield NextStep("AssignDevice", {"device_id": device})
        case NotFound():
            group = isinstance(operation, LockGroup) or hasattr(operation, "nf_id")
            yield NextStep("ListNetworkFunctions" if group else "ListDevices")
        case StoreUnavailable():
            yield NextStep("ShowServer")
        case _:
            pass
    if device is not None and not isinstance(error, NotFound):
        yield NextStep("ShowDevice", {"device_id": device})
    yield NextStep("ShowSession")


def _about_locks(error: SdmError, session: Session | None, device: int | None) -> Iterable[NextStep]:
    """Ask who holds it, take it away, or wait for it. What another session of the same user holds goes by its epoch."""
    held = next((b for b in error.blockers if b.kind == "lock"), None)
    if held is not None and not _own(session, held):
        target = {"device_id": held.device_id}
        yield NextStep("AskForLock", target)
        yield NextStep("OverrideLock", {**target, "reason": "WHY", "expected_holder": held.holder})
    elif held is not None and not isinstance(error, LockLost):
        yield NextStep("UnlockDevice", {"device_id": held.device_id, "epoch": held.epoch})
    if device is not None:
        barred = any(not _own(session, each) for each in error.blockers)
        yield NextStep("LockDevice", {"device_id": device, **({"wait_s": WORTH_WAITING_S} if barred else {})})
        yield NextStep("ListLockEvents" if isinstance(error, LockLost) else "ShowLock", {"device_id": device})
    yield NextStep("ListLocks")


def _own(session: Session | None, each: Blocker) -> bool:
    return session is not None and each.holder_id == session.user_id


def _change_set(operation: Operation) -> dict[str, str]:
    """The named change set the refused caller worked on."""
    name = getattr(operation, "change_set", "")
    return {"change_set": name} if name else {}


def _device_of(error: SdmError, operation: Operation) -> int | None:
    if error.blockers:
        return error.blockers[0].device_id
    device_id = getattr(operation, "device_id", None)
    return device_id if isinstance(device_id, int) else None


def _may(session: Session, step: NextStep) -> bool:
    rule = REGISTRY[step.action].rule
    local = session.user_id == LOCAL_USER_ID
    return rule.area is None or (
        session.level(Area(rule.area)) >= rule.level and not (local and rule.kind is Kind.LOCK)
    )
