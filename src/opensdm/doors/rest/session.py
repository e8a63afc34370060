"""The session cookie, as published: `JSESSIONID=<32 hex>.<node>`."""

from __future__ import annotations

COOKIE = "JSESSIONID"
PATH = "/rest"
_MAX_TOKEN = 256


def token_of(cookie_header: str | None) -> str | None:
    """The session id a request carries: the cookie's value, or a header that holds nothing but the bare id.

    Whether there is such a session is for the gate to say; here it is only found. None where there is none.
    """
    if cookie_header is None:
        return None
    bare: str | None = None
    for part in cookie_header.split(";"):
        name, equals, value = part.strip().partition("=")
        if name == COOKIE and equals:
            return _bounded(value.strip().strip('"'))
        if not equals and name and bare is None:
            bare = name
    return _bounded(bare) if bare is not None else None


def set_cookie(token: str, *, secure: bool) -> str:
    """The `Set-Cookie` of a login. It has no expiry of its own: the server decides when a session ends."""
    return f"{COOKIE}={token}; Path={PATH}; HttpOnly{'; Secure' if secure else ''}; SameSite=Lax"


def drop_cookie(*, secure: bool) -> str:
    """The `Set-Cookie` of a logout."""
    return f"{COOKIE}=; Max-Age=0; Path={PATH}; HttpOnly{'; Secure' if secure else ''}; SameSite=Lax"


def _bounded(token: str) -> str | None:
    return token if token and len(token) <= _MAX_TOKEN and token.isascii() and token.isprintable() else None
