"""Every expected failure, drawn once. Codes are stable; statuses are the doors' business.

    SdmError
    ├─ InvalidRequest
    │   ├─ MalformedBody
    │   ├─ UnknownElementType
    │   └─ UnknownAttribute
    ├─ AccessDenied
    │   ├─ NotLoggedIn
    │   │   └─ LoginFailed
    │   ├─ Forbidden
    │   └─ TooManyAttempts
    ├─ NotFound
    ├─ Conflict
    │   ├─ AlreadyExists
    │   ├─ NotEmpty
    │   ├─ NotLoaded
    │   ├─ NotAssigned
    │   ├─ StaleConfiguration
    │   │   └─ RebaseConflict
    │   ├─ NotRestorable
    │   ├─ Cancelled
    │   └─ LockRefused
    │       ├─ DeviceLocked
    │       ├─ DeviceBusy
    │       ├─ NotLockOwner
    │       ├─ LockLost
    │       ├─ LockChanged
    │       └─ ReadOnlyDevice
    ├─ DeviceFault
    │   ├─ Unreachable
    │   ├─ UntrustedDevice
    │   ├─ Rejected
    │   ├─ DeviceSideLocked
    │   ├─ EditLost
    │   └─ RollbackFailed
    └─ StoreUnavailable

A broken rule of the house (`HouseRuleBroken`) is not an SdmError: it is a bug, and loud.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from opensdm.core.lock_values import Blocker


@dataclass(frozen=True, slots=True)
class NextStep:
    """One call that helps the refused caller. A door renders it in its own tongue, ready to run.

    `action` is the name of an operation (`ShowLock`, `Login`, ...); `arguments` are its fields, with
    wire ids where they name a device, and a placeholder in capitals where only the caller knows. `sender`: the name of
    the user whom it helps.
    """

    action: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sender: str = ""


class SdmError(Exception):
    """An expected failure: a stable `code`, a sentence for people, typed facts for programs."""

    code: ClassVar[str] = "FAILED"

    def __init__(
        self,
        message: str,
        *,
        blockers: tuple[Blocker, ...] = (),
        next_steps: tuple[NextStep, ...] = (),
        **facts: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.blockers = blockers
        self.next_steps = next_steps
        self.facts: dict[str, Any] = facts


class InvalidRequest(SdmError):
    """The request itself is wrong; sending it again unchanged cannot help."""

    code = "INVALID_REQUEST"


class MalformedBody(InvalidRequest):
    """The body cannot be read as what the operation expects."""


class UnknownElementType(InvalidRequest):
    """The device knows no such element type."""

    code = "UNKNOWN_ELEMENT_TYPE"


class UnknownAttribute(InvalidRequest):
    """The element type has no such attribute."""

    code = "UNKNOWN_ATTRIBUTE"


class AccessDenied(SdmError):
    """Who asks may not."""

    code = "ACCESS_DENIED"


class NotLoggedIn(AccessDenied):
    """No session, or one that has ended."""

    code = "NOT_LOGGED_IN"


class LoginFailed(NotLoggedIn):
    """Wrong user or password; which of the two is not said."""

    code = "LOGIN_FAILED"


class TooManyAttempts(AccessDenied):
    """Repeated failures; `retryAfterSeconds` says when the next attempt is looked at."""

    code = "TOO_MANY_ATTEMPTS"


class Forbidden(AccessDenied):
    """The session is fine, the privilege is missing."""

    code = "FORBIDDEN"


class NotFound(SdmError):
    """No such thing, or not visible to the caller."""

    code = "NOT_FOUND"


class Conflict(SdmError):
    """The request is fine, the present state does not allow it."""

    code = "CONFLICT"


class AlreadyExists(Conflict):
    """Something of that name or those keys is there already."""

    code = "ALREADY_EXISTS"


class NotEmpty(Conflict):
    """It still contains something."""

    code = "NOT_EMPTY"


class NotLoaded(Conflict):
    """The device's configuration was never loaded."""

    code = "NOT_LOADED"


class NotAssigned(Conflict):
    """The device is in the inventory but not managed yet."""

    code = "NOT_ASSIGNED"


class StaleConfiguration(Conflict):
    """What the staged changes are based on is no longer what is stored, or on the device."""

    code = "STALE_CONFIGURATION"


class RebaseConflict(StaleConfiguration):
    """Staged and outside changes touch the same attributes; fact `conflicts` lists them."""

    code = "REBASE_CONFLICT"


class NotRestorable(Conflict):
    """The version was read while a push ran and may be a mixture, or is of other software."""

    code = "NOT_RESTORABLE"


class Cancelled(Conflict):
    """Its owner asked for it to stop."""

    code = "CANCELLED"


class LockRefused(Conflict):
    """The lock rules say no."""

    code = "LOCK_REFUSED"


class DeviceLocked(LockRefused):
    """Another user holds the device, or is waiting for it."""

    code = "DEVICE_LOCKED"


class DeviceBusy(LockRefused):
    """Work is running on the device."""

    code = "DEVICE_BUSY"


class NotLockOwner(LockRefused):
    """Only the holder unlocks."""

    code = "NOT_LOCK_OWNER"


class LockLost(LockRefused):
    """The caller's lock was taken away or has ended; facts say by whom, when and why."""

    code = "LOCK_LOST"


class LockChanged(LockRefused):
    """The lock is not the one the override expected."""

    code = "LOCK_CHANGED"


class ReadOnlyDevice(LockRefused):
    """The device was enrolled read-only; nobody writes to it."""

    code = "READ_ONLY_DEVICE"


class DeviceFault(SdmError):
    """The device, not we, said no or nothing."""

    code = "DEVICE_FAULT"


class Unreachable(DeviceFault):
    """No answer from the device."""

    code = "UNREACHABLE"


class UntrustedDevice(DeviceFault):
    """The device's key or certificate is unknown or has changed; facts `presented` and `expected` are fingerprints."""

    code = "UNTRUSTED_DEVICE"


class Rejected(DeviceFault):
    """The device refused what was sent; its own words are in the message."""

    code = "REJECTED"


class DeviceSideLocked(DeviceFault):
    """Somebody holds the device's own configuration lock."""

    code = "DEVICE_SIDE_LOCKED"


class EditLost(DeviceFault):
    """The device said yes and did not do it: the read-back differs."""

    code = "EDIT_LOST"


class RollbackFailed(DeviceFault):
    """A push failed and so did putting the old configuration back."""

    code = "ROLLBACK_FAILED"


class StoreUnavailable(SdmError):
    """Our own database did not answer; the outcome of the request may be unknown."""

    code = "UNAVAILABLE"


class HouseRuleBroken(Exception):
    """A bug: something tried to pass beside the gate. Never caught as an expected failure."""


def all_errors() -> list[type[SdmError]]:
    """Every class of the tree, parents before children."""
    found: list[type[SdmError]] = [SdmError]
    for parent in found:
        found.extend(sorted(parent.__subclasses__(), key=lambda c: c.__name__))
    return found
