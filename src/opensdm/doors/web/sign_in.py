"""Signing in and out, staying signed in, and the look of the pages."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

from opensdm.core.errors import InvalidRequest, LoginFailed, NotLoggedIn, SdmError, TooManyAttempts
from opensdm.core.operations import Login, Logout, LogoutEverywhere, ShowSession
from opensdm.core.results import LoggedIn, SessionShown
from opensdm.doors.errors import row
from opensdm.doors.web.refusals import refusal
from opensdm.doors.web.routing import Call, Reply, Route
from opensdm.doors.web.safety import (
    PATH,
    SESSION_COOKIE,
    THEME_COOKIE,
    VISITOR_COOKIE,
    cookie,
    csrf_token,
    new_visitor,
)

YEAR_S = 365 * 86_400
_WHY = {
    "idle": "You were signed out because nothing was done for a while.",
    "over": "Your session is over: it was ended from elsewhere, or nothing was done for a while.",
    "out": "You are signed out.",
}


async def show_sign_in(call: Call) -> Reply:
    """The form is tied to a cookie of this browser, so that no other site can sign anybody in."""
    return _form(call, user_name="", notice=_WHY.get(call.asked("why"), ""))


async def sign_in(call: Call) -> Reply:
    """Which part was wrong is said by nobody: the gate does not tell."""
    try:
        made: LoggedIn = await call.execute(
            Login(user_name=call.sent("user"), password=(call.form.get("password") or ("",))[0])
        )
    except (LoginFailed, TooManyAttempts) as error:
        return _form(call, user_name=call.sent("user"), notice="", error=error)
    return Reply.to(
        _own_page(call.sent("next")),
        ("Set-Cookie", cookie(SESSION_COOKIE, made.token, secure=call.secure)),
        ("Set-Cookie", cookie(VISITOR_COOKIE, None, secure=call.secure)),
    )


async def out_of_date(call: Call) -> Reply:
    """The form is not of this visit, most often because another tab signed in since: then there is nothing to do."""
    name = call.sent("user")
    if call.caller.token is not None:
        with contextlib.suppress(NotLoggedIn):
            shown: SessionShown = await call.execute(ShowSession())
            if shown.session.user_name.casefold() == name.casefold():
                return Reply.to(_own_page(call.sent("next")))
    notice = "This form was out of date. Nobody was signed in by it: please send it once more."
    return replace(_form(call, user_name=name, notice=notice), status=HTTPStatus.FORBIDDEN)


async def sign_out(call: Call) -> Reply:
    await call.execute(LogoutEverywhere() if call.sent("everywhere") == "yes" else Logout())
    where = {"why": "idle", "next": call.sent("next")} if call.sent("why") == "idle" else {"why": "out"}
    gone = cookie(SESSION_COOKIE, None, secure=call.secure)
    return Reply.to(f"{PATH}/sign-in?{urlencode(where)}", ("Set-Cookie", gone))


async def stay(call: Call) -> Reply:
    """The reader is there: asked for by the warning before an idle session ends."""
    await call.execute(ShowSession())
    return Reply.nothing()


async def set_theme(call: Call) -> Reply:
    theme = call.sent("theme")
    if theme not in ("auto", "light", "dark"):
        raise InvalidRequest("theme: expected auto, light or dark", field="theme")
    return Reply.nothing(("Set-Cookie", cookie(THEME_COOKIE, theme, secure=call.secure, lasting_s=YEAR_S)))


def _form(call: Call, *, user_name: str, notice: str, error: SdmError | None = None) -> Reply:
    visitor = call.visitor or new_visitor()
    reply = Reply.page(
        "sign_in.html",
        HTTPStatus.OK if error is None else row(type(error)).status(exact=True),
        user_name=user_name,
        notice=notice,
        next=_own_page(call.sent("next") or call.asked("next")),
        refusal=None if error is None else refusal(error, None, call.caller.request_id),
        csrf=csrf_token(visitor),
    )
    made = ("Set-Cookie", cookie(VISITOR_COOKIE, visitor, secure=call.secure))
    return Reply(reply.template, reply.values, reply.status, headers=(made,))


def _own_page(path: str) -> str:
    """Where to go after sign-in: a page of ours; anything else leads home."""
    inside = path == PATH or path.startswith((f"{PATH}/", f"{PATH}?"))
    plain = path.isprintable() and path.isascii() and "\\" not in path and not path.startswith(f"{PATH}/sign-in")
    return path if inside and plain else PATH


ROUTES = (
    Route("GET", "/sign-in", show_sign_in, anyone=True),
    Route("POST", "/sign-in", sign_in, anyone=True, out_of_date=out_of_date),
    Route("POST", "/sign-out", sign_out),
    Route("POST", "/stay", stay),
    Route("POST", "/theme", set_theme),
)
