"""What keeps other sites, other pages and caches out: headers, cookies, and tokens in forms."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from opensdm.core.errors import Forbidden
from opensdm.doors.http import bounded_token

SESSION_COOKIE, VISITOR_COOKIE, THEME_COOKIE = "opensdm", "opensdm-visitor", "opensdm-theme"
DONE_COOKIE = "opensdm-done"
"""What was just done, until the next page says so: an address would say it again whenever it is opened."""
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
PATH = "/web"

HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'",
    ),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
)
"""Of every page. Images in the style sheet are `data:` URLs; scripts and styles are files of ours and nothing else."""


def cookies_of(header: str | None) -> dict[str, str]:
    """The cookies of a request that could be ours; the first of a name counts."""
    found: dict[str, str] = {}
    for part in (header or "").split(";"):
        name, equals, value = part.strip().partition("=")
        token = bounded_token(value.strip().strip('"')) if equals else None
        if token is not None:
            found.setdefault(name, token)
    return found


def cookie(name: str, value: str | None, *, secure: bool, lasting_s: int | None = None) -> str:
    """A `Set-Cookie` no script can read and no other site can send; None takes the cookie back."""
    age = "; Max-Age=0" if value is None else "" if lasting_s is None else f"; Max-Age={lasting_s}"
    return f"{name}={value or ''}{age}; Path={PATH}; HttpOnly{'; Secure' if secure else ''}; SameSite=Lax"


def new_visitor() -> str:
    """The value of the cookie that a sign-in form is tied to."""
    return secrets.token_hex(16)


def csrf_token(tied_to: str) -> str:
    """The token of forms of one session, or of one visitor: nobody can make it who does not know that secret."""
    return hmac.new(tied_to.encode(), b"opensdm web form", sha256).hexdigest()


def check_csrf(sent: str | None, tied_to: str | None) -> None:
    """Raises Forbidden unless the form came from a page of ours that was drawn for this very session."""
    if tied_to is None or sent is None or not hmac.compare_digest(sent.encode(), csrf_token(tied_to).encode()):
        raise Forbidden("this form is out of date or did not come from this page: load the page again, then send it")
