"""Content negotiation: which of XML and JSON a request is in, and which its reply is to be in.

Pure functions over header values. What cannot be served comes back as `NotAcceptable` (406) or
`Unsupported` (415), not as an exception: the door owns statuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

Version = tuple[int, int]
"""An API version, `(1, 3)` for `v1.3`."""

OWN_VERSION: Version = (1, 4)
"""The first version that is ours: a superset of the published ones."""


class Medium(StrEnum):
    """The two media types; the value is what `Content-Type` says."""

    XML = "application/xml"
    JSON = "application/json"


_NAMES = {
    "application/xml": Medium.XML,
    "text/xml": Medium.XML,
    "application/json": Medium.JSON,
    "text/json": Medium.JSON,
}
_RANGES = {
    "*/*": (Medium.XML, Medium.JSON),
    "application/*": (Medium.XML, Medium.JSON),
    **{name: (medium,) for name, medium in _NAMES.items()},
}
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_UTF8 = ("utf-8", "utf8")
OFFERED = tuple(str(medium) for medium in Medium)


@dataclass(frozen=True, slots=True)
class NotAcceptable:
    """None of what `Accept` asks for is offered; the error itself goes out in the version's default type."""

    accept: str

    @property
    def message(self) -> str:
        return f"no reply in {self.accept[:200]!r}; offered are {' and '.join(OFFERED)}"


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The request body's type, or its character set, cannot be read."""

    content_type: str
    charset: str | None = None

    @property
    def message(self) -> str:
        if self.charset is not None:
            return f"the charset {self.charset[:40]!r} is not read; send UTF-8"
        return f"bodies of type {self.content_type[:200]!r} are not read; send {' or '.join(OFFERED)}"


def default_medium(version: Version) -> Medium:
    """What a caller gets who asks for nothing: XML in the published versions, JSON in ours."""
    return Medium.JSON if version >= OWN_VERSION else Medium.XML


def request_medium(content_type: str | None, version: Version, body: bytes = b"") -> Medium | Unsupported:
    """The type of a request body. Without `Content-Type` the first character tells, else the version's default.

    A `charset` parameter other than UTF-8 is unsupported.
    """
    if content_type is None or not content_type.strip():
        return _sniffed(body) or default_medium(version)
    return _declared_medium(content_type)


def reply_medium(accept: str | None, request: Medium | None, version: Version) -> Medium | NotAcceptable:
    """The type of the reply: best quality, then the most exact range, then the request's own type, then the default.

    `request` is the type of the request body, None where there was none.
    """
    preferred = request or default_medium(version)
    if accept is None or not accept.strip():
        return preferred
    return _best(accept, preferred)


def asked_text(accept: str | None, offered: tuple[str, ...]) -> str | None:
    """Which of further types the reply is to be in: the first one that `Accept` names, not behind XML or JSON.

    Ranges such as `*/*` mean those two, as everywhere.
    """
    if accept is None or not offered:
        return None
    qualities: dict[str, float] = {}
    for item in accept.split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        qualities[name.lower()] = _quality(parameters) or 0.0
    best = max((quality for name, quality in qualities.items() if name in _NAMES), default=0.0)
    return next((name for name in offered if qualities.get(name, 0.0) > 0 and qualities[name] >= best), None)


def text_type(content_type: str | None, read: tuple[str, ...]) -> str | Unsupported | None:
    """The type of a body that is neither XML nor JSON, if it is one of those that are `read`; UTF-8 only."""
    name, *parameters = (part.strip() for part in (content_type or "").split(";"))
    if name.lower() not in read:
        return None
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        charset = value.strip().strip('"')
        if key.strip().lower() == "charset" and charset.lower() not in _UTF8:
            return Unsupported(content_type or "", charset)
    return name.lower()


def _sniffed(body: bytes) -> Medium | None:
    first = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"<":
        return Medium.XML
    return Medium.JSON if first in (b"{", b"[") else None


@lru_cache(maxsize=256)
def _declared_medium(content_type: str) -> Medium | Unsupported:
    name, *parameters = (part.strip() for part in content_type.split(";"))
    medium = _NAMES.get(name.lower())
    if medium is None:
        return Unsupported(content_type)
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        charset = value.strip().strip('"')
        if key.strip().lower() == "charset" and charset.lower() not in _UTF8:
            return Unsupported(content_type, charset)
    return medium


@lru_cache(maxsize=256)
def _best(accept: str, preferred: Medium) -> Medium | NotAcceptable:
    """Of equally good types the preferred one; each type is judged by the most exact range that names it."""
    judged: dict[Medium, tuple[int, float]] = {}
    for item in accept.split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = _quality(parameters)
        exactness = 2 - name.count("*")
        for medium in _RANGES.get(name.lower(), ()) if quality is not None else ():
            judged[medium] = max(judged.get(medium, (-1, 0.0)), (exactness, quality or 0.0))
    ranked = sorted(
        ((quality, exactness, medium is preferred, medium) for medium, (exactness, quality) in judged.items()),
        reverse=True,
    )
    if not ranked or ranked[0][0] == 0.0:
        return NotAcceptable(accept)
    return ranked[0][3]


def _quality(parameters: list[str]) -> float | None:
    """The `q` parameter; 1 where there is none, None where it cannot be read, and the range is then passed over."""
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            return float(value) if _QUALITY.fullmatch(value.strip()) else None
    return 1.0
