"""The one error body, in the caller's form: what happened, what stands in the way, and what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from opensdm.core.difference import Difference
from opensdm.core.errors import NextStep, NotFound, SdmError
from opensdm.core.operations import ShowDevice
from opensdm.core.rebase import Clash
from opensdm.core.results import DeviceShown
from opensdm.doors.errors import INTERNAL_ERROR, MethodNotAllowed, UnsupportedMedia, retry_after_s, row
from opensdm.doors.http import curl
from opensdm.doors.rest.media import OWN_VERSION, Medium, Version
from opensdm.doors.rest.next_steps import render
from opensdm.doors.rest.provisioning_replies import conflict, difference
from opensdm.doors.rest.replies import blocker
from opensdm.doors.rest.routing import Endpoint
from opensdm.doors.times import rfc3339
from opensdm.gate import Caller, Gate

_LOOK_AROUND = (NextStep("ListDevices"), NextStep("ShowSession"))
_AFTER_A_BUG = (NextStep("ShowServer"),)
_MAX_NEXT = 2


@dataclass(slots=True)
class Exchange:
    """What is known of a request so far; grows while it is read, so that an error at any point is answered well.

    `path` is as the client sent it, below the base URL. `version` None: no such version; such errors are answered
    as the published versions would.
    """

    request_id: str
    method: str
    path: str
    base: str
    medium: Medium
    version: Version | None = None
    endpoint: Endpoint | None = None
    caller: Caller | None = None
    sent: Medium | None = None
    wanted: str | None = None

    @property
    def exact(self) -> bool:
        return self.version is not None and self.version >= OWN_VERSION


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error, ready to be written by the `error` shape."""

    status: HTTPStatus
    values: Mapping[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


async def answer(error: SdmError, exchange: Exchange, gate: Gate) -> ErrorReply:
    """How an expected failure is answered in the version it was asked in."""
    device_lock = exchange.endpoint is not None and exchange.endpoint.device_lock
    status = row(type(error)).status(exact=exchange.exact, device_lock=device_lock)
    values = _facts(error.facts) | {
        "code": error.code,
        "message": error.message,
        "requestId": exchange.request_id,
        "blockers": [blocker(each) for each in error.blockers] or None,
        "next": await _next(error, exchange, gate),
    }
    return ErrorReply(status, values, _headers(error))


def answer_bug(exchange: Exchange) -> ErrorReply:
    """What is said of a bug: that it happened and under which id it is logged, nothing else."""
    values = {
        "code": INTERNAL_ERROR,
        "message": "the server failed on this request; its log tells more under this request id",
        "requestId": exchange.request_id,
        "next": [render(step, exchange.base) for step in _AFTER_A_BUG],
    }
    return ErrorReply(HTTPStatus.INTERNAL_SERVER_ERROR, values)


def _headers(error: SdmError) -> tuple[tuple[str, str], ...]:
    headers = []
    after_s = retry_after_s(error)
    if after_s is not None:
        headers.append(("Retry-After", str(after_s)))
    if isinstance(error, MethodNotAllowed):
        headers.append(("Allow", ", ".join(error.facts["allowed"])))
    if row(type(error)).status(exact=True) in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        # What is left of the body is not read; the connection cannot be used again.
        headers.append(("Connection", "close"))
    return tuple(headers)


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Typed facts under their wire names; times leave the program as text."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if name.endswith("Us") and isinstance(value, int):
            found[name.removesuffix("Us")] = rfc3339(value)
        else:
            found[name] = _wire(value)
    return found


def _wire(value: Any) -> Any:
    """What facts may hold of the core's own types, under the names that replies use."""
    match value:
        case Clash():
            return conflict(value)
        case Difference():
            return difference(value)
        case list() | tuple():
            return [_wire(each) for each in value]
        case _:
            return value


# ------------------------------------------------------------------------------------ what next


async def _next(error: SdmError, exchange: Exchange, gate: Gate) -> list[str]:
    """One or two calls. What was refused before the gate saw it is answered with the same call, put right."""
    lines = list(_put_right(error, exchange))
    for step in error.next_steps or (() if lines else _LOOK_AROUND):
        if len(lines) < _MAX_NEXT:
            lines.append(render(step, exchange.base, await _names(step, exchange, gate), error.blockers))
    return lines


def _put_right(error: SdmError, exchange: Exchange) -> Sequence[str]:
    endpoint, url = exchange.endpoint, exchange.base + exchange.path
    if isinstance(error, MethodNotAllowed):
        return [curl(method, url) for method in error.facts["allowed"] if method != "HEAD"][:_MAX_NEXT]
    if endpoint is None or isinstance(error, NotFound):
        return ()
    send, login = error.facts.get("send"), endpoint.path == "/admin/login"
    if isinstance(send, str):
        return (curl(exchange.method, url, send, exchange.sent or exchange.medium, login=login),)
    if endpoint.body is not None and endpoint.body.sample is not None and not error.next_steps:
        medium = exchange.medium if isinstance(error, UnsupportedMedia) else exchange.sent or exchange.medium
        return (curl(exchange.method, url, endpoint.body.example(medium), medium, login=login),)
    return () if error.next_steps else (_without_query(exchange),)


def _without_query(exchange: Exchange) -> str:
    """The same call without the parameters that were wrong, but with those it cannot do without."""
    path, endpoint = exchange.path.partition("?")[0], exchange.endpoint
    if endpoint is not None and "elementTypePath" in endpoint.query:
        path += "?" + urlencode({"elementTypePath": "realmConfig"})
    return curl(exchange.method, exchange.base + path)


async def _names(step: NextStep, exchange: Exchange, gate: Gate) -> dict[str, str] | None:
    """A device is assigned by its names, and only this caller's own right to look may find them."""
    device_id = step.arguments.get("device_id")
    if step.action != "AssignDevice" or not isinstance(device_id, int) or exchange.caller is None:
        return None
    try:
        shown: DeviceShown = await gate.execute(exchange.caller, ShowDevice(device_id=device_id))
    except SdmError:
        return None
    return {"deviceName": shown.device.device_name, "nfName": shown.device.nf_name}


def sent_path(path: str, query_string: str) -> str:
    """A path as it may stand in a URL again, with its query."""
    encoded = quote(path, safe="/:@!$&'()*+,;=~-._")
    return f"{encoded}?{quote(query_string, safe='%/:@!$&()*+,;=~-._')}" if query_string else encoded
