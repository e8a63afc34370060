"""The web GUI's routes on the application that serves REST: how a request becomes a `Call`, and a reply bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import falcon
import falcon.asgi
import structlog

from opensdm.core.errors import Forbidden, HouseRuleBroken, MalformedBody, NotFound, NotLoggedIn, SdmError
from opensdm.core.operations import ShowSession
from opensdm.core.results import SessionShown
from opensdm.doors.errors import MethodNotAllowed, UnsupportedMedia, row
from opensdm.doors.http import check_coding, check_site, read_body, request_id
from opensdm.doors.stream_places import StreamPlaces
from opensdm.doors.streams import EVENT_STREAM, Pace, ended
from opensdm.doors.web import (
    assets,
    audit,
    change_sets,
    changes,
    comparing,
    device,
    devices,
    elements,
    home,
    live,
    locking,
    locks,
    provisioning,
    pushing,
    sign_in,
    users,
    versions,
)
from opensdm.doors.web.refusals import Refusal, bug, told
from opensdm.doors.web.rendering import render
from opensdm.doors.web.routing import Answer, Call, Reply, Route
from opensdm.doors.web.safety import (
    CSRF_FIELD,
    CSRF_HEADER,
    DONE_COOKIE,
    HEADERS,
    PATH,
    SESSION_COOKIE,
    THEME_COOKIE,
    VISITOR_COOKIE,
    check_csrf,
    cookies_of,
    csrf_token,
)
from opensdm.doors.web.settings import WebSettings
from opensdm.gate import Caller, Gate

DOOR = "web"
ROUTES: tuple[Route, ...] = (
    *sign_in.ROUTES, *home.ROUTES, *devices.ROUTES, *device.ROUTES, *locking.ROUTES, *live.ROUTES,
    *locks.ROUTES, *audit.ROUTES, *users.ROUTES,
    *provisioning.ROUTES, *elements.ROUTES, *changes.ROUTES, *change_sets.ROUTES, *pushing.ROUTES,
    *comparing.ROUTES, *versions.ROUTES,
)  # fmt: skip
THEMES = ("auto", "light", "dark")
_HTML = "text/html; charset=utf-8"

log = structlog.get_logger("opensdm.web")

App = falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]


def never() -> bool:
    return False


def add_web_routes(
    app: App, gate: Gate, settings: WebSettings | None = None, stopping: Callable[[], bool] = never
) -> None:
    """Everything below `/web`, and `/` that leads there. Once the server is `stopping`, nobody waits on."""
    door = _Door(gate, settings or WebSettings(), stopping)
    app.add_route("/", _Front())
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    for path, methods in by_path.items():
        app.add_route(PATH + path, _Path(door, methods))
    app.add_route(f"{assets.BASE}{{stamp}}/{{name:path}}", _Static())
    app.add_sink(door.nowhere, prefix=re.compile(rf"{PATH}(?:/.*)?$"))


class _Front:
    """Whoever asks for the server itself wants to look at it."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.status = HTTPStatus.SEE_OTHER
        resp.set_header("Location", PATH)


class _Static:
    """Files of the one stamp there is."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, stamp: str, name: str) -> None:
        asset = assets.assets().get(name) if stamp == assets.stamp() else None
        if asset is None:
            raise NotFound(f"there is no {req.path[:200]}")
        packs = "gzip" in (req.get_header("Accept-Encoding") or "")
        resp.content_type, resp.data = asset.media_type, asset.packed if packs else asset.data
        if packs:
            resp.set_header("Content-Encoding", "gzip")
        resp.set_header("Vary", "Accept-Encoding")
        resp.set_header("Cache-Control", assets.FOREVER)


class _Path:
    """All methods of one path."""

    def __init__(self, door: _Door, methods: Mapping[str, Route]) -> None:
        self._door = door
        self._methods = methods

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, **path: str) -> None:
        await self._door.serve(self._methods, req, resp, path)

    on_head = on_post = on_put = on_delete = on_patch = on_options = on_get


class _Door:
    """What all pages share."""

    def __init__(self, gate: Gate, settings: WebSettings, stopping: Callable[[], bool]) -> None:
        self.gate = gate
        self.settings = settings
        self.pace = Pace(settings.heartbeat_s, stopping)
        self.places = StreamPlaces(settings.streams_per_session, settings.streams)

    async def serve(
        self,
        methods: Mapping[str, Route],
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        path: Mapping[str, str],
    ) -> None:
        call = self._asked(req, path)
        for name, value in HEADERS:
            resp.set_header(name, value)
        try:
            route = methods.get("GET" if req.method == "HEAD" else req.method)
            if route is None:
                there = ", ".join(methods)
                raise MethodNotAllowed(f"{req.method} is not allowed here; allowed are {there}", allowed=[*methods])
            call = call.passive() if route.passive else call
            call, answer = await self._known(req, call, route)
            self._write(resp, await answer(call), call)
        except SdmError as error:
            await self._refuse(req, resp, error, call)
        except Exception as error:
            tell = log.critical if isinstance(error, HouseRuleBroken) else log.error
            tell("request failed", request_id=call.caller.request_id, path=req.path, exc_info=error)
            self._show_refusal(resp, bug(call.caller.request_id), HTTPStatus.INTERNAL_SERVER_ERROR, call)

    async def nowhere(self, req: falcon.asgi.Request, resp: falcon.asgi.Response | None, **_: Any) -> None:
        """A page that is not there: told to those who are signed in, others sign in first."""
        assert resp is not None
        await self.serve({"GET": Route("GET", "", _not_there)}, req, resp, {})

    # ---------------------------------------------------------------------------------- reading

    def _asked(self, req: falcon.asgi.Request, path: Mapping[str, str]) -> Call:
        """What is known of a request before its sender is."""
        cookies = cookies_of(req.get_header("Cookie"))
        theme = cookies.get(THEME_COOKIE, "auto")
        return Call(
            gate=self.gate,
            settings=self.settings,
            caller=Caller(DOOR, req.remote_addr, request_id(req), cookies.get(SESSION_COOKIE)),
            method=req.method,
            url=f"{req.path}?{req.query_string}" if req.query_string else req.path,
            path=path,
            query=parse_qs(req.query_string, keep_blank_values=True, max_num_fields=1000),
            form={},
            pace=self.pace,
            places=self.places,
            fragment=req.get_header("HX-Request") == "true",
            page=_page(req),
            secure=self._secure(req),
            last_event_id=req.get_header("Last-Event-ID"),
            visitor=cookies.get(VISITOR_COOKIE),
            done=cookies.get(DONE_COOKIE, ""),
            theme=theme if theme in THEMES else "auto",
        )

    async def _known(self, req: falcon.asgi.Request, call: Call, route: Route) -> tuple[Call, Answer]:
        """The request with its form and its sender, and what answers it. Nothing has been done yet when this raises."""
        changes: dict[str, Any] = {}
        answer = route.answer
        if not route.anyone:
            if call.caller.token is None:
                # Whoever comes for the first time is led to sign in, which is no refusal to keep on record.
                raise NotLoggedIn("no session: sign in first")
            shown: SessionShown = await call.execute(ShowSession())
            changes |= {"known": shown.session, "locks": shown.locks}
        if route.method == "POST":
            check_site(req)
            changes["form"] = form = await self._form(req)
            tied_to = call.visitor if route.anyone else call.caller.token
            try:
                check_csrf(req.get_header(CSRF_HEADER) or (form.get(CSRF_FIELD) or (None,))[0], tied_to)
            except Forbidden:
                if route.out_of_date is None:
                    raise
                answer = route.out_of_date
        return replace(call, **changes), answer

    async def _form(self, req: falcon.asgi.Request) -> Mapping[str, Sequence[str]]:
        check_coding(req)
        media = (req.content_type or "").partition(";")[0].strip().lower()
        if media not in ("application/x-www-form-urlencoded", ""):
            raise UnsupportedMedia(f"the type {media[:60]!r} is not read here; pages send forms")
        body = await read_body(req, self.settings.max_body_bytes, self.settings.body_timeout_s)
        try:
            return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20_000, errors="strict")
        except ValueError:
            raise MalformedBody("the form cannot be read") from None

    def _secure(self, req: falcon.asgi.Request) -> bool:
        if self.settings.cookie_secure is not None:
            return self.settings.cookie_secure
        return req.scheme == "https" or (self.settings.public_url or "").startswith("https:")

    # ---------------------------------------------------------------------------------- writing

    def _write(self, resp: falcon.asgi.Response, reply: Reply, call: Call) -> None:
        resp.status = reply.status
        for name, value in reply.headers:
            resp.append_header(name, value)
        if reply.location is not None:
            _send_to(resp, reply.location, call)
        elif reply.template is not None:
            self._draw(resp, reply.template, reply.values, call)
        elif reply.events is not None:
            resp.sse = reply.events
        elif reply.text is not None:
            resp.content_type, resp.stream = reply.text_type, reply.text

    def _draw(self, resp: falcon.asgi.Response, template: str, values: Mapping[str, Any], call: Call) -> None:
        tied_to = call.caller.token if call.known is not None else call.visitor
        shared = {"call": call, "me": call.known, "csrf": csrf_token(tied_to) if tied_to else ""}
        resp.content_type = _HTML
        resp.text = render(template, **shared | dict(values))

    # ---------------------------------------------------------------------------------- failures

    async def _refuse(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, error: SdmError, call: Call) -> None:
        status = row(type(error)).status(exact=True)
        nobody = isinstance(error, NotLoggedIn)
        if nobody and req.get_header("Accept") == EVENT_STREAM:
            resp.sse = ended(error)  # the browser's source of events tells the page nothing of a status
            return
        by_itself = call.fragment and call.caller.passive
        if nobody and call.method in ("GET", "HEAD") and not by_itself:
            resp.status = HTTPStatus.SEE_OTHER
            _send_to(resp, call.sign_in, call)
            return
        shown = await told(error, call)
        if shown.retry_after_s is not None:
            resp.set_header("Retry-After", str(shown.retry_after_s))
        if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
            # What is left of the body is not read; the connection cannot be used again.
            resp.set_header("Connection", "close")
        self._show_refusal(resp, shown, status, call)

    def _show_refusal(self, resp: falcon.asgi.Response, shown: Refusal, status: HTTPStatus, call: Call) -> None:
        """Into the page that is there, so that nothing typed is lost; as a page of its own where there is none."""
        resp.status = status
        if call.fragment:
            resp.set_header("HX-Retarget", "#refusal")
            resp.set_header("HX-Reswap", "innerHTML show:window:top")
            resp.set_header("HX-Push-Url", "false")
            self._draw(resp, "refusal.html", {"refusal": shown}, call)
        else:
            self._draw(resp, "error.html", {"refusal": shown, "status": status}, call)


async def _not_there(call: Call) -> Reply:
    raise NotFound(f"there is no page {call.url.partition('?')[0][:200]}")


def _page(req: falcon.asgi.Request) -> str:
    """Path and query of the page that the reader has open: the one asked for, or the one that it is a part of."""
    if req.get_header("HX-Request") != "true":
        at, query = (req.path, req.query_string) if req.method == "GET" else ("", "")
    else:
        try:
            there = urlsplit(req.get_header("HX-Current-URL") or "")
        except ValueError:
            return ""
        at, query = there.path, there.query
    return f"{at}?{query}" if query else at


def _send_to(resp: falcon.asgi.Response, location: str, call: Call) -> None:
    """htmx follows a redirect by itself and would put that page into a part of this one; it is told instead."""
    if call.fragment:
        resp.status = HTTPStatus.NO_CONTENT
        resp.set_header("HX-Redirect", location)
    else:
        resp.set_header("Location", location)
