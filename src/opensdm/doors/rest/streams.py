"""Server-sent events. Whoever listens looks again and again through the gate: a session that ends, ends the stream."""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from falcon.asgi import SSEvent

from opensdm.core.errors import SdmError
from opensdm.doors.rest.routing import Call, Reply

EVENT_STREAM = "text/event-stream"
STREAM_S = 3600.0
"""A stream ends after this long at the latest, or with the server; the client asks again from where it was."""

FoundT = TypeVar("FoundT")


def never_over(found: object) -> bool:
    """Of what has no end of its own."""
    return False


def stream(
    call: Call,
    found: FoundT,
    told: Callable[[FoundT], Iterable[SSEvent]],
    look: Callable[[FoundT], Awaitable[FoundT]],
    *,
    over: Callable[[FoundT], bool] = never_over,
    opening: Sequence[SSEvent] = (),
) -> Reply:
    """The stream of `streamed`, in a place of its session's until it ends. TooManyStreams when there is none."""
    give_back = call.streams.take(call.caller.token or "")

    async def placed() -> AsyncIterator[SSEvent | None]:
        try:
            async for event in streamed(call, found, told, look, over=over, opening=opening):
                yield event
        finally:
            give_back()

    events = placed()
    weakref.finalize(events, give_back)  # one that nobody ever began to read
    return Reply.stream(events)


async def streamed(
    call: Call,
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
        if over(found) or time.monotonic() >= until or call.stopping():
            return
        if time.monotonic() - silent_since >= call.settings.heartbeat_s:
            yield None
            silent_since = time.monotonic()
        try:
            found = await look(found)
        except SdmError as error:
            yield SSEvent(event="error", json={"code": error.code, "message": error.message})
            return
