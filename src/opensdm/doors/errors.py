"""The one table from error class to what each door answers. Nothing else in the program knows a status.

A class without a row of its own has its parent's, found along its ancestry: a new error is never unanswered.
The errors below it are the doors' own: requests turned away before they became an operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from opensdm.core import errors as e
from opensdm.doors import xml


class TransportError(e.InvalidRequest):
    """The request cannot become an operation: its method, media type or pace is not one a door serves."""


class MethodNotAllowed(TransportError):
    """The path exists, the method does not; fact `allowed`."""

    code = "METHOD_NOT_ALLOWED"


class NotAcceptable(TransportError):
    """No reply in any of the types the caller accepts."""

    code = "NOT_ACCEPTABLE"


class UnsupportedMedia(TransportError):
    """The body is of a type, character set or coding that is not read."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class RequestTooSlow(TransportError):
    """The body did not arrive in time."""

    code = "REQUEST_TIMEOUT"


class NotOffered(TransportError):
    """A published call that this server has nothing behind, or whose meaning was never published."""

    code = "NOT_OFFERED"


class TooManyStreams(e.SdmError):
    """The session follows as many streams of events as one may; the setting `rest.streams_per_session`."""

    code = "TOO_MANY_STREAMS"


class StreamsTaken(TooManyStreams):
    """All streams of events that this server has are taken; the setting `rest.streams`."""


INTERNAL_ERROR = "INTERNAL_ERROR"
"""The code of what is a bug of ours; it has no class, since nothing raises it on purpose."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one error class is answered.

    `published`: the HTTP status up to v1.3, from the documented set. `exact`: from v1.4 on. `device_lock`: the
    published status on the device lock path where its wording differs. `exit_code`: of the command line.
    `retry_after_s`: what `Retry-After` says, unless the error knows better (fact `retryAfterSeconds`).
    `soap_admin`: over SOAP always an `AcmeAdminWSFault`, for access errors; else the fault of the interface asked.
    `soap_server`: a `Server` fault, since sending the very same later may succeed; else a `Client` fault.
    """

    published: HTTPStatus
    exact: HTTPStatus
    exit_code: int = 1
    retry_after_s: int | None = None
    device_lock: HTTPStatus | None = None
    soap_admin: bool = False
    soap_server: bool = False

    def status(self, *, exact: bool, device_lock: bool = False) -> HTTPStatus:
        """The status for a version of ours (`exact`) or a published one."""
        if exact:
            return self.exact
        return self.device_lock or self.published if device_lock else self.published


_BAD, _CONFLICT = HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT
_DENIED, _FAULT = HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR

TABLE: dict[type[e.SdmError], Row] = {
    e.SdmError: Row(_BAD, _BAD),
    e.InvalidRequest: Row(_BAD, _BAD),
    MethodNotAllowed: Row(HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.METHOD_NOT_ALLOWED),
    NotAcceptable: Row(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.NOT_ACCEPTABLE),
    UnsupportedMedia: Row(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    RequestTooSlow: Row(HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT),
    xml.WrongCharset: Row(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    xml.BodyTooLarge: Row(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    e.AccessDenied: Row(_DENIED, _DENIED, soap_admin=True),
    e.NotLoggedIn: Row(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNAUTHORIZED, soap_admin=True),
    e.TooManyAttempts: Row(
        HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.TOO_MANY_REQUESTS, retry_after_s=60, soap_admin=True
    ),
    TooManyStreams: Row(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.TOO_MANY_REQUESTS, retry_after_s=30),
    StreamsTaken: Row(HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=30),
    e.Forbidden: Row(_DENIED, _DENIED, device_lock=HTTPStatus.UNAUTHORIZED, soap_admin=True),
    e.NotFound: Row(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND),
    e.Conflict: Row(_BAD, _CONFLICT, soap_server=True),
    e.DeviceLocked: Row(_BAD, HTTPStatus.LOCKED, exit_code=3, soap_server=True),
    e.DeviceBusy: Row(_BAD, _CONFLICT, exit_code=4, retry_after_s=5, soap_server=True),
    e.NotLockOwner: Row(_BAD, _DENIED, exit_code=5, soap_server=True),
    e.LockLost: Row(_BAD, _CONFLICT, exit_code=6, soap_server=True),
    e.DeviceFault: Row(_FAULT, HTTPStatus.BAD_GATEWAY, soap_server=True),
    e.Unreachable: Row(_FAULT, HTTPStatus.GATEWAY_TIMEOUT, soap_server=True),
    e.StoreUnavailable: Row(
        HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=2, soap_server=True
    ),
}


def row(error: type[e.SdmError]) -> Row:
    """The row of an error class: its own, or that of its nearest ancestor that has one."""
    for ancestor in error.__mro__:
        found = TABLE.get(ancestor)
        if found is not None:
            return found
    raise TypeError(f"{error.__name__} is no SdmError")


def retry_after_s(error: e.SdmError) -> int | None:
    """After how many seconds sending the same again makes sense; None where it does not."""
    known = error.facts.get("retryAfterSeconds")
    return known if isinstance(known, int) else row(type(error)).retry_after_s
