"""What a refusal looks like: who stands in the way, since when and why, and what this reader may do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opensdm.core.errors import DeviceBusy, DeviceLocked, LockChanged, LockLost, NotLockOwner, NotLoggedIn, SdmError
from opensdm.core.identity import Area, Level
from opensdm.core.inventory import wire_id
from opensdm.core.lock import Blocker
from opensdm.doors.errors import INTERNAL_ERROR, retry_after_s
from opensdm.doors.web.routing import Call


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the reader may do next: a link, or with `post` a form that is sent at once."""

    label: str
    url: str
    icon: str = "chevron-right"
    post: bool = False


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


_TITLES = {
    "DEVICE_LOCKED": "Somebody else holds this device",
    "DEVICE_BUSY": "Work is running on this device",
    "NOT_LOCK_OWNER": "This lock is not yours",
    "LOCK_LOST": "Your lock was taken away",
    "LOCK_CHANGED": "The lock is another one by now",
    "READ_ONLY_DEVICE": "This device is read-only",
    "FORBIDDEN": "You may not do this",
    "NOT_FOUND": "There is no such thing",
    "NOT_LOGGED_IN": "You are not signed in",
    "LOGIN_FAILED": "Sign-in failed",
    "TOO_MANY_ATTEMPTS": "Too many attempts",
    "INVALID_REQUEST": "This cannot be done as asked",
    "UNREACHABLE": "The device does not answer",
    "STALE_CONFIGURATION": "The configuration changed underneath",
    "UNAVAILABLE": "The database does not answer",
    INTERNAL_ERROR: "The server failed",
}
_WORDS = {"NOT_LOGGED_IN": "Your session is over. Copy what you typed before you sign in again."}
"""What is said on a page instead of what the gate says to a program."""
_HELD = (DeviceLocked, NotLockOwner, LockChanged)


def refusal(error: SdmError, call: Call | None, request_id: str) -> Refusal:
    """An expected failure, with what helps this reader."""
    words = _sentence(_WORDS.get(error.code, error.message))
    return Refusal(
        _TITLES.get(error.code, "This was not done"), words, error.code, request_id,
        error.blockers, tuple(_steps(error, call)) if call is not None else (),
        retry_after_s(error), isinstance(error, LockLost),
    )  # fmt: skip


def bug(request_id: str) -> Refusal:
    """What nobody expected: logged whole, told as nothing but its request id."""
    words = "Nothing is known of what became of it. The server's log tells more under this request id."
    return Refusal(_TITLES[INTERNAL_ERROR], words, INTERNAL_ERROR, request_id)


def _sentence(message: str) -> str:
    whole = message[:1].upper() + message[1:]
    return whole if whole.endswith((".", "!", "?")) else whole + "."


def _steps(error: SdmError, call: Call) -> Iterable[Step]:
    if isinstance(error, NotLoggedIn):
        yield Step("Sign in", call.sign_in, "user")
    if call.known is None:
        return
    first = next((each for each in error.blockers if each.kind == "lock"), None)
    device_id = first.device_id if first is not None else _device_of(error)
    if device_id is None:
        return
    page = f"/web/devices/{wire_id(device_id)}"
    if first is not None and isinstance(error, _HELD):
        if call.may(Area.DEVICE_LOCK, Level.FULL) and first.holder_id != call.session.user_id:
            yield Step(f"Ask {first.holder} to release", f"{page}/ask", "bell", post=True)
        if call.may(Area.LOCK_OVERRIDE, Level.FULL):
            yield Step("Override…", f"{page}#override", "shield-lock")
    if isinstance(error, DeviceBusy) and any(each.unconfirmed for each in error.blockers):
        yield Step("Look and confirm…", f"{page}#confirm", "check")
    if isinstance(error, LockLost) and call.may(Area.DEVICE_LOCK, Level.FULL):
        yield Step("Lock it again", f"{page}/lock", "lock", post=True)
    yield Step("Open the device", page, "router")


def _device_of(error: SdmError) -> int | None:
    if error.blockers:
        return error.blockers[0].device_id
    named = str(error.facts.get("deviceId", ""))
    return int(named[2:]) if named.startswith("ID") and named[2:].isdigit() else None
