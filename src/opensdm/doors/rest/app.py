"""The REST door: an ASGI application that turns requests into operations for the gate, and results into replies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any

import falcon
import falcon.asgi
import structlog

from opensdm.core.errors import HouseRuleBroken, InvalidRequest, NotFound, SdmError
from opensdm.doors.errors import MethodNotAllowed, NotAcceptable, TransportError
from opensdm.doors.http import (
    base_of,
    check_site,
    has_left,
    leave_with_client,
    read_body,
    request_id,
    token_of,
    while_client_is_there,
)
from opensdm.doors.rest import (
    admin,
    audit,
    browsing,
    bulk,
    configuration,
    elements,
    functions,
    inventory,
    lock_requests,
    locks,
    probe,
    query,
    schema,
    tasks,
    versions,
)
from opensdm.doors.rest.body import body_medium, body_text, read_values
from opensdm.doors.rest.errors import ErrorReply, Exchange, answer, answer_bug, sent_path
from opensdm.doors.rest.extensions import ERROR
from opensdm.doors.rest.large import LONG, beside, is_large
from opensdm.doors.rest.media import OWN_VERSION, Version, asked_text, default_medium, reply_medium
from opensdm.doors.rest.media import NotAcceptable as NoMedium
from opensdm.doors.rest.routing import BASE, FIRST, VERSIONS, Call, Endpoint, Reply, allowed, by_path, find, never
from opensdm.doors.rest.settings import RestSettings
from opensdm.doors.stream_places import StreamPlaces
from opensdm.gate import Caller, Gate

__all__ = ["ENDPOINTS", "RestSettings", "build_app"]

DOOR = "rest"
ENDPOINTS: tuple[Endpoint, ...] = (
    *admin.ENDPOINTS,
    *inventory.ENDPOINTS,
    *browsing.ENDPOINTS,
    *functions.ENDPOINTS,
    *bulk.ENDPOINTS,
    *probe.ENDPOINTS,
    *configuration.ENDPOINTS,
    *schema.ENDPOINTS,
    *elements.ENDPOINTS,
    *versions.ENDPOINTS,
    *tasks.ENDPOINTS,
    *locks.ENDPOINTS,
    *lock_requests.ENDPOINTS,
    *audit.ENDPOINTS,
)

log = structlog.get_logger("opensdm.rest")

App = falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

_EPOCH = re.compile(r"[0-9]{1,18}", re.ASCII)
_MINIMAL = re.compile(r"(?:^|,)\s*return\s*=\s*\"?minimal\"?\s*(?:[,;]|$)", re.IGNORECASE)


def build_app(gate: Gate, settings: RestSettings | None = None, stopping: Callable[[], bool] = never) -> App:
    """The application; the server may add routes of its own beside `/rest`. Once it is `stopping`, nobody waits on."""
    door = _Door(gate, settings or RestSettings(), stopping)
    app: App = _PromptApp(middleware=[door])
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    app.add_error_handler(Exception, door.on_bug)
    app.add_error_handler(falcon.HTTPError, door.on_http_error)
    app.add_error_handler(SdmError, door.on_error)
    for path, methods in by_path(ENDPOINTS).items():
        app.add_route(f"{BASE}/{{version}}{path}", _Path(door, methods))
    return app


class _PromptApp(App):
    """Falcon waits for the first piece of every body before anything of ours runs, and without a limit.

    Here it is told at once that there may be a body; whoever reads it does so in the time it has. A request whose
    client has hung up ends without a word.
    """

    async def __call__(  # type: ignore[override]
        self, scope: dict[str, Any], receive: Receive, send: Any
    ) -> None:
        try:
            await super().__call__(scope, _without_waiting(receive) if scope["type"] == "http" else receive, send)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not has_left(scope):
                raise
            task.uncancel()


def _without_waiting(receive: Receive) -> Receive:
    told = False

    async def next_event() -> Mapping[str, Any]:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": b"", "more_body": True}

    return next_event


class _Path:
    """All methods of one path."""

    def __init__(self, door: _Door, methods: Mapping[str, Endpoint]) -> None:
        self._door = door
        self.methods = methods

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, version: str, **path: str) -> None:
        await self._door.serve(self.methods, req, resp, version, path)

    on_head = on_post = on_put = on_delete = on_patch = on_options = on_trace = on_connect = on_get


class _Door:
    """What all paths share: how a request becomes a `Call`, and how whatever comes of it is written."""

    def __init__(self, gate: Gate, settings: RestSettings, stopping: Callable[[], bool]) -> None:
        self.gate = gate
        self.settings = settings
        self.stopping = stopping
        self.streams = StreamPlaces(settings.streams_per_session, settings.streams)

    # ---------------------------------------------------------------------------------- serving

    async def serve(
        self,
        methods: Mapping[str, Endpoint],
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        version: str,
        path: Mapping[str, str],
    ) -> None:
        exchange = self.exchange(req)
        exchange.version = VERSIONS.get(version)
        if exchange.version is None:
            raise NotFound(f"there is no API version {version[:20]!r}; there are {', '.join(VERSIONS)}")
        exchange.endpoint = endpoint = _endpoint(methods, req.method, exchange.version)
        self._check_accept(req, exchange)
        call = await self._call(req, exchange, endpoint, path)
        with while_client_is_there(req) if endpoint.changes else nullcontext():
            reply = await endpoint.answer(call)
        if reply.events is not None:
            leave_with_client(req)
        await self._write(resp, reply, exchange)

    async def _call(
        self, req: falcon.asgi.Request, exchange: Exchange, endpoint: Endpoint, path: Mapping[str, str]
    ) -> Call:
        """The request, read as far as the endpoint asks. Nothing has been done yet when this raises."""
        version = exchange.version or FIRST
        own = version >= OWN_VERSION
        if endpoint.changes:
            check_site(req)
        values, text = await self._values(req, exchange, endpoint, version)
        exchange.caller = caller = Caller(
            DOOR, req.remote_addr, exchange.request_id, token_of(req.get_header("Cookie"))
        )
        return Call(
            gate=self.gate,
            settings=self.settings,
            version=version,
            caller=caller,
            path=path,
            query=query.known(req.params, endpoint.query, own=own),
            body=values,
            shape=endpoint.body,
            medium=exchange.sent or exchange.medium,
            streams=self.streams,
            base=exchange.base,
            epoch=_epoch(req, values) if own else None,
            minimal=own and _MINIMAL.search(req.get_header("Prefer") or "") is not None,
            secure=self._secure(req),
            text=text,
            wanted=exchange.wanted,
            last_event_id=req.get_header("Last-Event-ID"),
            stopping=self.stopping,
        )

    async def _values(
        self, req: falcon.asgi.Request, exchange: Exchange, endpoint: Endpoint, version: Version
    ) -> tuple[Mapping[str, Any], str | None]:
        """The fields of the body; or its text, where the endpoint reads the type it came in as such."""
        if endpoint.body is None:
            return {}, None
        body = await read_body(req, self.settings.max_body_bytes, self.settings.body_timeout_s)
        if not body.strip():
            if endpoint.body.optional:
                return {}, None
            # Nothing was sent: the example is in the type the caller announces, or else expects.
            named = req.content_type and body_text(req, b"", endpoint.reads) is None
            medium = body_medium(req, body, version) if named else exchange.medium
            raise endpoint.body.missing(medium)
        text = body_text(req, body, endpoint.reads)
        if text is not None:
            return {}, text
        exchange.sent = body_medium(req, body, version)
        self._check_accept(req, exchange)
        large = len(body) >= LONG
        return await beside(large, read_values, endpoint.body, body, exchange.sent, version, self.settings), None

    # ---------------------------------------------------------------------------------- the exchange

    def exchange(self, req: falcon.asgi.Request) -> Exchange:
        """What is known of this request; made at its first use."""
        known = getattr(req.context, "exchange", None)
        if isinstance(known, Exchange):
            return known
        version = VERSIONS.get(req.path.removeprefix(BASE + "/").partition("/")[0])
        exchange = Exchange(
            request_id=request_id(req),
            method=req.method,
            path=sent_path(req.path, req.query_string),
            base=base_of(req, self.settings.public_url),
            medium=default_medium(version or FIRST),
            version=version,
        )
        asked = reply_medium(req.get_header("Accept"), None, version or FIRST)
        if not isinstance(asked, NoMedium):
            exchange.medium = asked
        req.context.exchange = exchange
        return exchange

    def _check_accept(self, req: falcon.asgi.Request, exchange: Exchange) -> None:
        """Settle the reply's type, once more when the request's own type is known."""
        offered = exchange.endpoint.offers if exchange.endpoint is not None and exchange.exact else ()
        exchange.wanted = asked_text(req.get_header("Accept"), offered)
        if exchange.wanted is not None:
            return
        found = reply_medium(req.get_header("Accept"), exchange.sent, exchange.version or FIRST)
        if isinstance(found, NoMedium):
            raise NotAcceptable(found.message)
        exchange.medium = found

    def _secure(self, req: falcon.asgi.Request) -> bool:
        if self.settings.cookie_secure is not None:
            return self.settings.cookie_secure
        return req.scheme == "https" or (self.settings.public_url or "").startswith("https:")

    # ---------------------------------------------------------------------------------- writing

    async def _write(self, resp: falcon.asgi.Response, reply: Reply, exchange: Exchange) -> None:
        resp.status = reply.status
        for name, value in reply.headers:
            resp.append_header(name, value)
        if reply.shape is not None:
            version = exchange.version or FIRST
            resp.data = await beside(
                is_large(reply.values), reply.shape.write, reply.values, exchange.medium,
                version=version, lists=self.settings.lists,
            )  # fmt: skip
            resp.content_type = exchange.medium.value
        elif reply.text is not None:
            resp.data, resp.content_type = reply.text.encode("utf-8", "replace"), reply.text_type
        elif reply.events is not None:
            resp.sse = reply.events

    def _write_error(self, resp: falcon.asgi.Response, error: ErrorReply, exchange: Exchange) -> None:
        resp.status = error.status
        for name, value in error.headers:
            resp.set_header(name, value)
        version = exchange.version or FIRST
        resp.data = ERROR.write(error.values, exchange.medium, version=version, lists=self.settings.lists)
        resp.content_type = exchange.medium.value

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: object, succeeded: bool
    ) -> None:
        """Headers of every reply, whatever it is."""
        resp.set_header("X-Request-Id", self.exchange(req).request_id)
        resp.set_header("Server", "OpenSDM")
        resp.set_header("X-Content-Type-Options", "nosniff")
        for name, value in (("X-Frame-Options", "SAMEORIGIN"), ("Cache-Control", "no-store")):
            if resp.get_header(name) is None:
                resp.set_header(name, value)
        if self._secure(req):
            resp.set_header("Strict-Transport-Security", "max-age=31536000")

    # ---------------------------------------------------------------------------------- failures

    async def on_error(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, error: SdmError, params: dict[str, Any]
    ) -> None:
        exchange = self.exchange(req)
        self._write_error(resp, await answer(error, exchange, self.gate), exchange)

    async def on_http_error(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, error: falcon.HTTPError, params: dict[str, Any]
    ) -> None:
        """What the framework itself turned away: unknown paths, unknown methods, headers it cannot read."""
        await self.on_error(req, resp, self._translated(req, error), params)

    def _translated(self, req: falcon.asgi.Request, error: falcon.HTTPError) -> SdmError:
        if isinstance(error, falcon.HTTPNotFound):
            return NotFound(f"there is no {req.path[:200]}")
        if isinstance(error, falcon.HTTPMethodNotAllowed):
            there = [m.strip() for m in dict(error.headers or {}).get("Allow", "GET").split(",")]
            return MethodNotAllowed(f"{req.method} is not allowed here; allowed are {', '.join(there)}", allowed=there)
        if req.method not in falcon.HTTP_METHODS:
            return MethodNotAllowed(f"the method {req.method[:20]!r} is not known", allowed=["GET"])
        return TransportError(error.description or error.title or "the request cannot be read")

    async def on_bug(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, error: Exception, params: dict[str, Any]
    ) -> None:
        """Whatever nobody expected: logged whole, told as nothing but its request id."""
        exchange = self.exchange(req)
        tell = log.critical if isinstance(error, HouseRuleBroken) else log.error
        tell("request failed", request_id=exchange.request_id, method=req.method, path=req.path, exc_info=error)
        self._write_error(resp, answer_bug(exchange), exchange)


def _endpoint(methods: Mapping[str, Endpoint], method: str, version: Version) -> Endpoint:
    endpoint = find(methods, method, version)
    if endpoint is not None:
        return endpoint
    there = allowed(methods, version)
    if not there:
        since = ".".join(map(str, min(e.since for e in methods.values())))
        raise NotFound(f"this resource exists from v{since} on")
    raise MethodNotAllowed(f"{method} is not allowed here; allowed are {', '.join(there)}", allowed=there)


def _epoch(req: falcon.asgi.Request, values: Mapping[str, Any]) -> int | None:
    """The fencing token a caller may carry, in the header `Lock-Epoch` or the body."""
    header, found = req.get_header("Lock-Epoch"), values.get("epoch")
    if header is None:
        return found
    if not _EPOCH.fullmatch(header.strip()):
        raise InvalidRequest("Lock-Epoch: expected the integer that came with the lock", field="Lock-Epoch")
    if found is not None and found != int(header):
        raise InvalidRequest("Lock-Epoch and the epoch of the body differ", field="epoch")
    return int(header)
