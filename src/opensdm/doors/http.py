"""What the doors that speak HTTP share: reading a body within bounds, who asks, where we are, and calls to show."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import falcon.asgi

from opensdm.core.errors import Forbidden, MalformedBody
from opensdm.doors.errors import RequestTooSlow, UnsupportedMedia
from opensdm.doors.xml import BodyTooLarge

COOKIE = "JSESSIONID"
"""The published name of the cookie that carries a session's id."""
COOKIES = "cookies.txt"

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_FOREIGN_SITES = ("cross-site", "same-site")
_MAX_TOKEN = 256


# ----------------------------------------------------------------------------------------- the body


async def read_body(req: falcon.asgi.Request, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. Raises BodyTooLarge, RequestTooSlow, MalformedBody for one that ends early."""
    announced = req.content_length
    if announced is not None and announced > max_bytes:
        raise _too_large(max_bytes)
    received = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in req.stream:
                received += chunk
                if len(received) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise RequestTooSlow(f"the body did not arrive within {timeout_s:g} s") from None
    if announced is not None and len(received) < announced:
        raise MalformedBody(f"the body has {len(received)} bytes, {announced} were announced")
    return bytes(received)


def check_coding(req: falcon.asgi.Request) -> None:
    """Raises UnsupportedMedia for a compressed body."""
    coding = req.get_header("Content-Encoding")
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        raise UnsupportedMedia(f"the content coding {coding[:40]!r} is not read; send the body as it is")


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {max_bytes} bytes, which is the most that is read", maxBytes=max_bytes)


# ------------------------------------------------------------------------------ who is still there


class Presence:
    """Of one client, as long as its request is worked on: when it hangs up, that is cancelled.

    What is to be done in spite of it is the gate's to say.
    """

    __slots__ = ("_task", "left")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self.left = False

    def hang_up(self) -> None:
        """Called when the connection is lost before the answer is complete."""
        if self._task is not None:
            self.left = True
            self._task.cancel()

    def answered(self) -> None:
        self._task = None


HANG_UP = "opensdm.hang_up"
"""Where the scope of a request has what the listener calls when the connection is lost before the answer is sent."""
_PRESENCE = "opensdm.presence"


def leave_with_client(req: falcon.asgi.Request) -> Presence:
    """From now on this request ends with a CancelledError when its client hangs up, as a stream is to."""
    presence = req.scope[_PRESENCE] = Presence()
    req.scope[HANG_UP] = presence.hang_up
    return presence


@contextmanager
def while_client_is_there(req: falcon.asgi.Request) -> Iterator[None]:
    """What is done inside ends with a CancelledError when the client hangs up."""
    presence = leave_with_client(req)
    try:
        yield
    finally:
        presence.answered()


def has_left(scope: Mapping[str, Any]) -> bool:
    """Whether a CancelledError is of nobody's interest any more: the client of this request hung up."""
    presence = scope.get(_PRESENCE)
    return isinstance(presence, Presence) and presence.left


# ---------------------------------------------------------------------------------------- who asks


def request_id(req: falcon.asgi.Request) -> str:
    """The caller's own `X-Request-Id` if it is one, else a new one, the same whenever this request is asked."""
    known = getattr(req.context, "request_id", None)
    if isinstance(known, str):
        return known
    sent = req.get_header("X-Request-Id")
    found = sent if sent is not None and _REQUEST_ID.fullmatch(sent) else uuid4().hex
    req.context.request_id = found
    return found


def check_site(req: falcon.asgi.Request) -> None:
    """A browser says when a page of another site makes it send something; no such page acts in a user's name."""
    if req.get_header("Sec-Fetch-Site") in _FOREIGN_SITES:
        raise Forbidden("requests that change something are not taken from the pages of other sites")


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
            return bounded_token(value.strip().strip('"'))
        if not equals and name and bare is None:
            bare = name
    return bounded_token(bare) if bare is not None else None


def bounded_token(token: str) -> str | None:
    """A session id as it may be looked for; None for what cannot be one."""
    return token if token and len(token) <= _MAX_TOKEN and token.isascii() and token.isprintable() else None


def session_cookie(token: str | None, path: str, *, secure: bool) -> str:
    """The `Set-Cookie` of a login, or with None of a logout. It does not expire: the server ends sessions."""
    value = f"{COOKIE}={token}" if token is not None else f"{COOKIE}=; Max-Age=0"
    return f"{value}; Path={path}; HttpOnly{'; Secure' if secure else ''}; SameSite=Lax"


# ------------------------------------------------------------------------------------ where we are


def base_url(scheme: str, host: str | None, server: str, public_url: str | None) -> str:
    """Where clients reach us: as set, else by the `Host` they sent if it is one, else the listening address."""
    if public_url:
        return public_url.rstrip("/")
    if host is None or not _HOST.fullmatch(host):
        host = server
    return f"{scheme}://{host}"


def base_of(req: falcon.asgi.Request, public_url: str | None) -> str:
    """`base_url` for a request."""
    host, port = req.scope.get("server") or ("localhost", None)
    return base_url(req.scheme, req.get_header("Host"), f"{host}:{port}" if port else host, public_url)


def curl(method: str, url: str, body: str | None = None, media_type: str | None = None, *, login: bool = False) -> str:
    """A curl line that a POSIX shell takes as it stands, whatever the names in it hold."""
    words = ["curl", "-c" if login else "-b", COOKIES]
    if method == "HEAD":
        words.append("-I")
    elif method != ("GET" if body is None else "POST"):
        words += ["-X", method]
    if body is not None:
        words += ["-H", f"Content-Type: {media_type}", "-d", body]
    return " ".join(shlex.quote(word) for word in [*words, url])
