"""The session cookie of this door, as published: `JSESSIONID=<32 hex>.<node>`."""

from __future__ import annotations

from opensdm.doors.http import session_cookie

PATH = "/rest"


def set_cookie(token: str, *, secure: bool) -> str:
    """The `Set-Cookie` of a login."""
    return session_cookie(token, PATH, secure=secure)


def drop_cookie(*, secure: bool) -> str:
    """The `Set-Cookie` of a logout."""
    return session_cookie(None, PATH, secure=secure)
