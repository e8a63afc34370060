"""What a page is here: a route, the request it is asked with, and the reply it gives."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from falcon.asgi import SSEvent

from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.identity import Area, Level, Session
from opensdm.core.operations import Operation
from opensdm.core.ports import LockView
from opensdm.doors.stream_places import StreamPlaces
from opensdm.doors.streams import Pace
from opensdm.doors.web.safety import PATH
from opensdm.doors.web.settings import WebSettings
from opensdm.gate import Caller, Gate

_ID = re.compile(r"ID([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: a template with what it shows, a redirect, a text of another type, or a stream of events."""

    template: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK
    location: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    text: AsyncIterator[bytes] | None = None
    text_type: str = ""
    events: AsyncIterator[SSEvent | None] | None = None

    @classmethod
    def page(cls, template: str, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> Reply:
        """A whole page, or a fragment for htmx to put into one."""
        return cls(template, values, status)

    @classmethod
    def to(cls, location: str, *headers: tuple[str, str]) -> Reply:
        """Go and see another page; what was sent is not sent again when that one is loaded anew."""
        return cls(status=HTTPStatus.SEE_OTHER, location=location, headers=headers)

    @classmethod
    def nothing(cls, *headers: tuple[str, str]) -> Reply:
        return cls(status=HTTPStatus.NO_CONTENT, headers=headers)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read. `session` and `locks` (the caller's own) are None on pages for nobody in particular.

    `fragment`: htmx asks for a part of a page; `page`: the one that the reader has open. `form` has every value of a
    field in the order they were sent. `done`: what was just done, for the page that comes next to say.
    """

    gate: Gate
    settings: WebSettings
    caller: Caller
    method: str
    url: str
    path: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    form: Mapping[str, Sequence[str]]
    pace: Pace
    places: StreamPlaces
    fragment: bool = False
    page: str = ""
    secure: bool = False
    last_event_id: str | None = None
    visitor: str | None = None
    theme: str = "auto"
    done: str = ""
    known: Session | None = None
    locks: tuple[LockView, ...] = ()

    @property
    def session(self) -> Session:
        if self.known is None:
            raise RuntimeError("a page for nobody in particular asked who its reader is")
        return self.known

    async def execute(self, operation: Operation) -> Any:
        """Through the gate, as this caller."""
        return await self.gate.execute(self.caller, operation)

    @property
    def sign_in(self) -> str:
        """Where a reader without a session goes, and comes back from to the page that was open."""
        return f"{PATH}/sign-in?next={quote(self.page, safe='')}" if self.page else f"{PATH}/sign-in"

    def passive(self) -> Call:
        """This call as one that an open page makes by itself: it does not keep the session from becoming idle."""
        return replace(self, caller=replace(self.caller, passive=True))

    def may(self, area: Area, level: Level = Level.VIEW) -> bool:
        """Only for what a page shows; whether it may be done is for the gate to say."""
        return self.known is not None and self.known.level(area) >= level

    # ---------------------------------------------------------------------------------- what was sent

    def id(self, name: str) -> int:
        """A wire id in the path, as a number. Raises NotFound for what is none."""
        return id_number(self.path[name])

    def asked(self, name: str, default: str = "") -> str:
        """A field of the query, the first of that name, without blanks around it."""
        return (self.query.get(name) or (default,))[0].strip()

    def asked_number(self, name: str, default: int, most: int = 10**9) -> int:
        text = self.asked(name)
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            return default
        return min(int(text), most)

    def sent(self, name: str) -> str:
        """A field of the form, the first of that name, without blanks around it; "" where it is not there."""
        return (self.form.get(name) or ("",))[0].strip()

    def sent_number(self, name: str) -> int | None:
        text = self.sent(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise InvalidRequest(f"{name}: expected a whole number", field=name)
        return int(text)


def id_number(text: str) -> int:
    match = _ID.fullmatch(text)
    if match is None:
        raise NotFound(f"{text[:40]!r} is no id; ids look like ID7")
    return int(match[1])


Answer = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One page or fragment. `path` is below `/web`, with `{name}` fields. `anyone`: no session is needed.

    `passive`: open pages ask for it by themselves. A POST is taken only with the token of the page it came from;
    `out_of_date` answers one without, where a refusal alone would not help.
    """

    method: str
    path: str
    answer: Answer
    anyone: bool = False
    passive: bool = False
    out_of_date: Answer | None = None
