"""The SOAP door's routes: the list of services, their WSDLs, and requests, routed by the name of what is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Any

import falcon
import falcon.asgi
import structlog

from opensdm.core.errors import HouseRuleBroken, InvalidRequest, SdmError
from opensdm.doors import xml
from opensdm.doors.errors import NotOffered, UnsupportedMedia, retry_after_s, row
from opensdm.doors.http import (
    base_of,
    bounded_token,
    check_coding,
    check_site,
    read_body,
    request_id,
    session_cookie,
    token_of,
    while_client_is_there,
)
from opensdm.doors.soap import admin, config, contract, device, envelope, faults, inventory
from opensdm.doors.soap.calls import Answer, Answers, Call, NotHere
from opensdm.doors.soap.contract import Contract, Message
from opensdm.doors.soap.envelope import SESSION_NAMES, Fault, Version
from opensdm.doors.soap.names import SERVICES, Names
from opensdm.doors.soap.settings import SoapSettings
from opensdm.gate import Caller, Gate

DOOR = "soap"
ANSWERS: Answers = {**admin.ANSWERS, **device.ANSWERS, **inventory.ANSWERS, **config.ANSWERS}

log = structlog.get_logger("opensdm.soap")

_MEDIA_TYPES = ("text/xml", "application/xml", "application/soap+xml")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]{1,40})", re.IGNORECASE)
_TOO_MUCH = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT)


def add_soap_routes(
    app: falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response], gate: Gate, settings: SoapSettings | None = None
) -> None:
    """Everything below the door's base path, on the application that serves REST."""
    door = _Door(gate, settings or SoapSettings())
    app.add_sink(door.serve, prefix=re.compile(rf"{re.escape(door.settings.names.base)}(?:/.*)?$"))


def check_answers(answers: Answers) -> None:
    """TypeError for a published operation that nothing answers, and for an answer to none."""
    if odd := answers.keys() ^ contract.messages().keys():
        raise TypeError(f"the WSDL files and what is answered differ: {', '.join(sorted(odd))}")


check_answers(ANSWERS)


@dataclass(slots=True)
class _Exchange:
    """What is known of a request so far, so that a failure at any point is answered in the caller's form."""

    request_id: str
    base: str
    version: Version
    service: str


class _Door:
    """How a request becomes a `Call`, and how whatever comes of it is written."""

    def __init__(self, gate: Gate, settings: SoapSettings) -> None:
        self.gate = gate
        self.settings = settings
        self.contract = Contract(settings.names)

    async def serve(self, req: falcon.asgi.Request, resp: falcon.asgi.Response | None, **_: Any) -> None:
        assert resp is not None
        if req.method == "POST":
            await self._answer(req, resp)
        elif req.method in ("GET", "HEAD"):
            self._show(req, resp)
        else:
            resp.status = HTTPStatus.METHOD_NOT_ALLOWED
            resp.set_header("Allow", "GET, HEAD, POST")

    # ---------------------------------------------------------------------------------- what is there

    def _show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        names, base = self.settings.names, base_of(req, self.settings.public_url)
        below = req.path.removeprefix(names.base).strip("/")
        service = service_of(names, below)
        if service is not None and (below.endswith(".wsdl") or "wsdl" in {name.lower() for name in req.params}):
            resp.content_type = "text/xml; charset=utf-8"
            resp.data = self.contract.wsdl(service, base + names.path(service))
        elif service is not None or not below:
            resp.content_type = "text/html; charset=utf-8"
            resp.text = _list_page(names, base)
        else:
            resp.status = HTTPStatus.NOT_FOUND
            resp.content_type = falcon.MEDIA_TEXT
            resp.text = f"there is no service here; the services are listed at {base}{names.base}\n"

    # ---------------------------------------------------------------------------------- requests

    async def _answer(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        names = self.settings.names
        service = service_of(names, req.path.removeprefix(names.base).strip("/"))
        asked_12 = (req.content_type or "").lower().startswith(Version.V12.media_type)
        exchange = _Exchange(
            request_id(req),
            base_of(req, self.settings.public_url),
            Version.V12 if asked_12 else Version.V11,
            service or faults.ADMIN,
        )
        try:
            data, cookie = await self._reply(req, exchange)
        except SdmError as error:
            told = faults.fault(error, exchange.service, exchange.request_id, exchange.base, self.contract)
            _set_headers(resp, error)
            self._refuse(resp, exchange, told)
        except Exception as error:
            tell = log.critical if isinstance(error, HouseRuleBroken) else log.error
            tell("request failed", request_id=exchange.request_id, path=req.path, exc_info=error)
            self._refuse(resp, exchange, faults.bug(exchange.service, exchange.request_id, self.contract))
        else:
            resp.content_type = f"{exchange.version.media_type}; charset=utf-8"
            resp.data = data
            if cookie is not None:
                secure = self._secure(req)
                resp.append_header("Set-Cookie", session_cookie(cookie or None, names.context, secure=secure))

    async def _reply(self, req: falcon.asgi.Request, exchange: _Exchange) -> tuple[bytes, str | None]:
        """The reply and the cookie to set. Nothing has been done when this raises for what was sent."""
        check_site(req)
        sent = await self._envelope(req)
        exchange.version = sent.version
        message = _message(sent.request, exchange.service)
        exchange.service = message.service
        token = sent.token or _header_token(req) or token_of(req.get_header("Cookie"))
        call = Call(self.gate, self.settings, Caller(DOOR, req.remote_addr, exchange.request_id, token), values={})
        answer = ANSWERS[message.name]
        if isinstance(answer, NotHere):
            await call.session()
            raise NotOffered(f"{message.name} is not offered: {answer.why}")
        call.values = contract.read(message, sent.request)
        with while_client_is_there(req):
            content = await _content(answer, call, message)
        return envelope.reply(sent.version, sent.request.namespace, f"{message.name}Response", content), call.cookie

    async def _envelope(self, req: falcon.asgi.Request) -> envelope.Envelope:
        check_coding(req)
        _check_type(req.content_type)
        body = await read_body(req, self.settings.max_body_bytes, self.settings.body_timeout_s)
        return envelope.read(body, self.settings.max_body_bytes)

    def _secure(self, req: falcon.asgi.Request) -> bool:
        if self.settings.cookie_secure is not None:
            return self.settings.cookie_secure
        return req.scheme == "https" or (self.settings.public_url or "").startswith("https:")

    def _refuse(self, resp: falcon.asgi.Response, exchange: _Exchange, told: Fault) -> None:
        """Faults are 500 as SOAP 1.1 says; of SOAP 1.2 those of the sender are 400."""
        senders = exchange.version is Version.V12 and told.code == "Client"
        resp.status = HTTPStatus.BAD_REQUEST if senders else HTTPStatus.INTERNAL_SERVER_ERROR
        resp.content_type = f"{exchange.version.media_type}; charset=utf-8"
        resp.data = envelope.fault(exchange.version, told)


async def _content(answer: Answer, call: Call, message: Message) -> list[xml.Element]:
    value: Any = await answer(call)
    return [] if message.returns is None else contract.written(message.returns, value)


def _message(request: xml.Node, service: str) -> Message:
    """By the local name alone, whatever the namespace and the path; the path decides where two interfaces have one."""
    found = contract.messages().get(request.name)
    if found is None:
        raise InvalidRequest(
            f"there is no operation {request.name[:60]!r}; the WSDLs name those there are (line {request.line})",
            line=request.line,
        )
    return next((message for message in found if message.service == service), found[0])


def service_of(names: Names, below: str) -> str | None:
    """The service of a path below the base: its own, or with `Service` or `.wsdl` after it, as lists name them."""
    stem = below.removesuffix(".wsdl")
    for service in SERVICES:
        if stem in (names.paths[service], names.paths[service] + "Service", service, f"{service}Service"):
            return service
    return None


def _check_type(declared: str | None) -> None:
    """Attachments and binary forms are not read. A request without a type is taken for XML."""
    media, _, rest = (declared or "text/xml").partition(";")
    if media.strip().lower() not in _MEDIA_TYPES:
        raise UnsupportedMedia(f"the type {media.strip()[:60]!r} is not read; send {' or '.join(_MEDIA_TYPES)}")
    charset = _CHARSET.search(rest)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia(f"the charset {charset[1]!r} is not read; send UTF-8")


def _header_token(req: falcon.asgi.Request) -> str | None:
    found = (req.get_header(name) for name in dict.fromkeys(name.upper() for name in SESSION_NAMES))
    sent = next((value for value in found if value), None)
    return None if sent is None else bounded_token(sent.strip())


def _set_headers(resp: falcon.asgi.Response, error: SdmError) -> None:
    after_s = retry_after_s(error)
    if after_s is not None:
        resp.set_header("Retry-After", str(after_s))
    if row(type(error)).exact in _TOO_MUCH:
        # What is left of the body is not read; the connection cannot be used again.
        resp.set_header("Connection", "close")


def _list_page(names: Names, base: str) -> str:
    """Plain HTML: the services with their WSDLs, as clients of the published server look for them."""
    items = []
    for service in SERVICES:
        url = escape(base + names.path(service))
        wsdl = escape(f"{base}{names.base}/{service}Service.wsdl")
        operations = sum(any(m.service == service for m in found) for found in contract.messages().values())
        items.append(
            f'<li>{service}: <a href="{url}?wsdl">{url}?wsdl</a>, <a href="{wsdl}">{service}Service.wsdl</a> '
            f"({operations} operations)</li>"
        )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>OpenSDM SOAP services</title></head>'
        f"<body><h1>SOAP services</h1><ul>{''.join(items)}</ul></body></html>\n"
    )
