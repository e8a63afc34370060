"""Endpoints as data: one row per method and path, the same handlers behind every version.

An endpoint's `answer` gets a `Call`, which holds everything of the request it may know, and nothing below the gate
but `execute`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from falcon.asgi import SSEvent

from opensdm.core.errors import NotFound
from opensdm.core.operations import Operation
from opensdm.doors.rest.media import OWN_VERSION, Medium, Version
from opensdm.doors.rest.settings import RestSettings
from opensdm.doors.rest.shapes import Shape
from opensdm.doors.stream_places import StreamPlaces
from opensdm.doors.streams import Pace
from opensdm.gate import Caller, Gate

VERSIONS: Mapping[str, Version] = {f"v1.{minor}": (1, minor) for minor in range(OWN_VERSION[1] + 1)}
FIRST: Version = (1, 0)
BASE = "/rest"

_WIRE_ID = re.compile(r"ID([1-9][0-9]{0,17})", re.ASCII)


def never() -> bool:
    """For servers that end without a word."""
    return False


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: a status, a resource with its shape or nothing, and headers beyond those of every reply.

    Instead of a resource it may be a `text` of its own `text_type`, or a stream of `events`.
    """

    status: HTTPStatus
    shape: Shape | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    text_type: str = ""
    events: AsyncIterator[SSEvent | None] | None = None

    @classmethod
    def of(cls, shape: Shape, values: Mapping[str, Any], *headers: tuple[str, str]) -> Reply:
        return cls(HTTPStatus.OK, shape, values, headers)

    @classmethod
    def accepted(cls, shape: Shape, values: Mapping[str, Any], *headers: tuple[str, str]) -> Reply:
        return cls(HTTPStatus.ACCEPTED, shape, values, headers)

    @classmethod
    def plain(cls, text: str, text_type: str, *headers: tuple[str, str]) -> Reply:
        return cls(HTTPStatus.OK, headers=headers, text=text, text_type=text_type)

    @classmethod
    def stream(cls, events: AsyncIterator[SSEvent | None]) -> Reply:
        return cls(HTTPStatus.OK, events=events)

    @classmethod
    def nothing(cls, *headers: tuple[str, str]) -> Reply:
        return cls(HTTPStatus.NO_CONTENT, headers=headers)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: path fields, query, body under wire names, and who asks.

    `epoch`: the fencing token of the `Lock-Epoch` header or the body, from v1.4 on. `minimal`: the caller prefers
    no body in the reply. `medium`: the type an example body in an error is shown in. `text`: a body that is neither
    XML nor JSON but one of the types the endpoint reads besides; `body` is empty then. `wanted`: the type among
    those the endpoint offers besides XML and JSON that the caller asked for. `last_event_id`: where a stream is to
    go on. `streams`: the places for streams. `stopping`: whether the server is, so that whoever waits is let go.
    """

    gate: Gate
    settings: RestSettings
    version: Version
    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    shape: Shape | None
    medium: Medium
    streams: StreamPlaces
    base: str = ""
    epoch: int | None = None
    minimal: bool = False
    secure: bool = False
    text: str | None = None
    wanted: str | None = None
    last_event_id: str | None = None
    stopping: Callable[[], bool] = never

    @property
    def own(self) -> bool:
        """Whether the version is one of ours, a superset of the published ones."""
        return self.version >= OWN_VERSION

    @property
    def pace(self) -> Pace:
        """Of streams of events."""
        return Pace(self.settings.heartbeat_s, self.stopping)

    async def execute(self, operation: Operation) -> Any:
        """Through the gate, as this caller, with the caller's epoch."""
        if self.epoch is not None and operation.epoch is None:
            operation = replace(operation, epoch=self.epoch)
        return await self.gate.execute(self.caller, operation)

    def url(self, path: str) -> str:
        """Where a resource of the same version is, for `Location`."""
        major, minor = self.version
        return f"{(self.settings.public_url or '').rstrip('/')}{BASE}/v{major}.{minor}{path}"

    def id(self, name: str) -> int:
        """A path field that is an id, `ID7`. What cannot be an id names nothing: NotFound."""
        return number_of(self.path[name], name)


def number_of(wire: str, what: str) -> int:
    """`ID7` -> 7. Raises NotFound for anything else."""
    found = _WIRE_ID.fullmatch(wire)
    if found is None:
        raise NotFound(f"there is no {what.removesuffix('_id').replace('_', ' ')} {wire[:60]!r}: ids look like ID7")
    return int(found[1])


Answer = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path below `/rest/{version}`.

    `body`: the shape of the request, None where a body is ignored. `query`: the parameters it knows. `since`: the
    first version that has it. `device_lock`: its published statuses are those of the device lock path. `acts`: a
    GET that changes something, as published; it has no HEAD. `offers` and `reads`: media types of the reply and of the
    body besides XML and JSON.
    """

    method: str
    path: str
    answer: Answer
    body: Shape | None = None
    query: frozenset[str] = frozenset()
    since: Version = FIRST
    device_lock: bool = False
    acts: bool = False
    offers: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether sending it may change something: such requests are not taken from other web sites' pages."""
        return self.acts or self.method != "GET"


def by_path(endpoints: Sequence[Endpoint]) -> dict[str, dict[str, Endpoint]]:
    """Endpoints by path, then method. TypeError for two on one."""
    found: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        methods = found.setdefault(endpoint.path, {})
        if methods.setdefault(endpoint.method, endpoint) is not endpoint:
            raise TypeError(f"{endpoint.method} {endpoint.path} is declared twice")
    return found


def allowed(methods: Mapping[str, Endpoint], version: Version) -> list[str]:
    """The methods a path has in a version, for `Allow`; none: the path does not exist there."""
    found = [e for e in methods.values() if version >= e.since]
    heads = ["HEAD"] if any(e.method == "GET" and not e.acts for e in found) else []
    return sorted({e.method for e in found}.union(heads))


def find(methods: Mapping[str, Endpoint], method: str, version: Version) -> Endpoint | None:
    """The endpoint for a method; HEAD is answered as GET, without the body."""
    endpoint = methods.get("GET" if method == "HEAD" else method)
    if endpoint is None or version < endpoint.since or (method == "HEAD" and endpoint.acts):
        return None
    return endpoint
