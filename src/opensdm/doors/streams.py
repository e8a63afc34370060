"""Server-sent events. Whoever listens looks again and again through the gate: a session that ends, ends the stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from falcon.asgi import SSEvent

from opensdm.core.errors import SdmError

EVENT_STREAM = "text/event-stream"
STREAM_S = 3600.0
"""A stream ends after this long at the latest, or with the server; the client asks again from where it was."""

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a stream may be silent before a comment keeps its connection open, and whether the server stops."""

    heartbeat_s: float
    stopping: Callable[[], bool]


def never_over(found: object) -> bool:
    """Of what has no end of its own."""
    return False


async def streamed(
    pace: Pace,
    found: FoundT,
    told: Callable[[FoundT], Iterable[SSEvent]],
    look: Callable[[FoundT], Awaitable[FoundT]],
    *,
    over: Callable[[FoundT], bool] = never_over,
    opening: Sequence[SSEvent] = (),
) -> AsyncIterator[SSEvent | None]:
    """The events of what was found, then of what each further look finds. A None is a comment that keeps the
    connection open. `look` takes its time by itself; what it raises is told as an `error` event, the last one.
    """
    until = time.monotonic() + STREAM_S
    silent_since = time.monotonic()
    for event in opening:
        yield event
    while True:
        for event in told(found):
            yield event
            silent_since = time.monotonic()
        if over(found) or time.monotonic() >= until or pace.stopping():
            return
        if time.monotonic() - silent_since >= pace.heartbeat_s:
            yield None
            silent_since = time.monotonic()
        try:
            found = await look(found)
        except SdmError as error:
            yield _last(error)
            return


async def ended(error: SdmError) -> AsyncIterator[SSEvent]:
    """The stream of whom it is refused from the start, where its client reads events and no statuses."""
    yield _last(error)


def _last(error: SdmError) -> SSEvent:
    return SSEvent(event="error", json={"code": error.code, "message": error.message})
