"""What a refusal looks like: who stands in the way, since when and why, and what this reader may do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opensdm.core.errors import (
    DeviceBusy,
    DeviceLocked,
    Forbidden,
    LockChanged,
    LockLost,
    NotLockOwner,
    NotLoggedIn,
    SdmError,
)
from opensdm.core.identity import Area, Level
from opensdm.core.inventory import wire_id
from opensdm.core.lock import Blocker
from opensdm.core.operations import ShowLock
from opensdm.core.ports import LockView
from opensdm.doors.errors import INTERNAL_ERROR, retry_after_s
from opensdm.doors.web.routing import Call


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the reader may do next: a link, or with `post` a form that is sent at once. `epoch`: which lock it
    means."""

    label: str
    url: str
    icon: str = "chevron-right"
    post: bool = False
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """A lock that was taken away: by whom, when and why, and how the device's lock is now."""

    by: str
    at_us: int
    reason: str | None
    now: LockView


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failure in words. `request_id` finds it in the audit trail and in the log."""

    title: str
    message: str
    code: str
    request_id: str
    blockers: tuple[Blocker, ...] = ()
    steps: tuple[Step, ...] = ()
    retry_after_s: int | None = None
    lost: bool = False
    loss: Loss | None = None


_TITLES = {
    "DEVICE_LOCKED": "Somebody else holds this device",
    "DEVICE_BUSY": "Work is running on this device",
    "NOT_LOCK_OWNER": "This lock is not yours",
    "LOCK_LOST": "Your lock was taken away",
    "LOCK_CHANGED": "The lock is another one by now",
    "READ_ONLY_DEVICE": "This device is read-only",
    "FORBIDDEN": "You may not do this",
    "NOT_FOUND": "Not found",
    "NOT_LOGGED_IN": "You are not signed in",
    "LOGIN_FAILED": "Sign-in failed",
    "TOO_MANY_ATTEMPTS": "Too many attempts",
    "INVALID_REQUEST": "This cannot be done as asked",
    "UNREACHABLE": "The device does not answer",
    "STALE_CONFIGURATION": "The configuration changed underneath",
    "UNAVAILABLE": "The database does not answer",
    INTERNAL_ERROR: "The server failed",
}
_HELD = (DeviceLocked, NotLockOwner, LockChanged, LockLost)


async def told(error: SdmError, call: Call) -> Refusal:
    """An expected failure, with what helps this reader; where a lock was lost, with who holds the device by now."""
    loss = await _loss(error, call) if isinstance(error, LockLost) and call.known is not None else None
    return refusal(error, call, call.caller.request_id, loss)


def refusal(error: SdmError, call: Call | None, request_id: str, loss: Loss | None = None) -> Refusal:
    """`call`: of a reader who may be offered steps."""
    return Refusal(
        _TITLES.get(error.code, "This was not done"), _words(error), error.code, request_id,
        () if loss is not None else error.blockers,
        tuple(_steps(error, call, loss)) if call is not None else (),
        retry_after_s(error), isinstance(error, LockLost), loss,
    )  # fmt: skip


def bug(request_id: str) -> Refusal:
    """What nobody expected: logged whole, told as nothing but its request id."""
    words = "Nothing is known of what became of it. The server's log tells more under this request id."
    return Refusal(_TITLES[INTERNAL_ERROR], words, INTERNAL_ERROR, request_id)


async def _loss(error: LockLost, call: Call) -> Loss | None:
    """None where nobody took the lock, or the device cannot be looked at any more."""
    device_id, by, at_us = _device_of(error), error.facts.get("takenBy"), error.facts.get("takenAtUs")
    if device_id is None or not isinstance(by, str) or not isinstance(at_us, int):
        return None
    try:
        now: LockView = await call.execute(ShowLock(device_id=device_id))
    except SdmError:
        return None
    return Loss(by, at_us, error.facts.get("reason"), now)


def _words(error: SdmError) -> str:
    """What the gate says to programs, for people: without names of operations, which no page has."""
    if type(error) is NotLoggedIn:
        return "Your session is over. Copy what you typed before you sign in again."
    group, area = error.facts.get("userGroup"), error.facts.get("privilege")
    if isinstance(error, Forbidden) and group and area and error.message.startswith("user group"):
        return f"Your user group, {group}, has too few rights on “{area}” for this. Ask an administrator."
    return _sentence(error.message)


def _sentence(message: str) -> str:
    whole = message[:1].upper() + message[1:]
    return whole if whole.endswith((".", "!", "?")) else whole + "."


def _steps(error: SdmError, call: Call, loss: Loss | None) -> Iterable[Step]:
    if isinstance(error, NotLoggedIn):
        yield Step("Sign in", call.sign_in, "user")
    if call.known is None:
        return
    first = next((each for each in error.blockers if each.kind == "lock"), None)
    device_id = first.device_id if first is not None else _device_of(error)
    if device_id is None:
        return
    page = f"/web/devices/{wire_id(device_id)}"
    may_lock, mine = call.may(Area.DEVICE_LOCK, Level.FULL), call.session.user_id
    if loss is not None and loss.now.row.holder_id is not None:
        yield from _about(loss.now.row.holder_id, loss.now.row.holder_name or "", page, call)
    elif first is not None and first.holder_id != mine and isinstance(error, _HELD):
        yield from _about(first.holder_id, first.holder, page, call)
    elif isinstance(error, LockLost) and may_lock:
        yield Step("Lock it again", f"{page}/lock", "lock", post=True)
    elif first is not None and isinstance(error, DeviceLocked | NotLockOwner) and may_lock:
        yield Step("Unlock what your other session holds", f"{page}/unlock", "lock-open", post=True, epoch=first.epoch)
    if isinstance(error, DeviceBusy) and any(each.unconfirmed for each in error.blockers):
        yield Step("Look and confirm…", f"{page}#confirm", "check")
    elif isinstance(error, DeviceBusy) and may_lock and any(each.holder_id != mine for each in error.blockers):
        yield Step("Wait for it and lock", f"{page}/lock", "lock", post=True)
    yield Step("Open the device", page, "router")


def _about(holder_id: int, holder: str, page: str, call: Call) -> Iterable[Step]:
    """What helps against somebody's lock; nothing does against one's own."""
    if holder_id == call.session.user_id:
        return
    if call.may(Area.DEVICE_LOCK, Level.FULL):
        yield Step(f"Ask {holder} to release", f"{page}/ask", "bell", post=True)
    if call.may(Area.LOCK_OVERRIDE, Level.FULL):
        yield Step("Override…", f"{page}#override", "shield-lock")


def _device_of(error: SdmError) -> int | None:
    if error.blockers:
        return error.blockers[0].device_id
    named = str(error.facts.get("deviceId", ""))
    return int(named[2:]) if named.startswith("ID") and named[2:].isdigit() else None
