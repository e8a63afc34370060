"""Streams of events at the REST door, each in a place of its session's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from falcon.asgi import SSEvent

from opensdm.doors.rest.routing import Call, Reply
from opensdm.doors.streams import FoundT, never_over, streamed


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
    events = streamed(call.pace, found, told, look, over=over, opening=opening)
    return Reply.stream(call.streams.placed(call.caller.token or "", events))
