"""How many streams of events are open: each costs a connection and a look now and then, for up to an hour."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from prometheus_client import Gauge

from opensdm.doors.errors import StreamsTaken, TooManyStreams

EventT = TypeVar("EventT")
OPEN = Gauge("opensdm_event_streams", "Streams of events that are open")


class StreamPlaces:
    """Places of one door: so many for each session, and so many in all."""

    def __init__(self, per_session: int, in_all: int) -> None:
        self._per_session = per_session
        self._in_all = in_all
        self._taken: Counter[str] = Counter()

    def take(self, session: str) -> Callable[[], None]:
        """A place for one stream; what is answered gives it back, once however often it is called.

        Raises TooManyStreams when this session has all of its own, StreamsTaken when there is none for anybody.
        """
        if self._taken[session] >= self._per_session:
            raise TooManyStreams(
                f"this session follows {self._per_session} streams of events already, which is the most: end one, or "
                "ask for what they tell instead",
                streams=self._per_session,
            )
        if self._taken.total() >= self._in_all:
            raise StreamsTaken(f"all {self._in_all} streams of events of this server are taken", streams=self._in_all)
        self._taken[session] += 1
        OPEN.inc()
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if given_back:
                return
            given_back = True
            OPEN.dec()
            self._taken[session] -= 1
            if not self._taken[session]:
                del self._taken[session]

        return give_back

    def placed(self, session: str, events: AsyncIterator[EventT]) -> AsyncIterator[EventT]:
        """The same events, in a place of that session's until they end. Raises as `take`."""
        give_back = self.take(session)

        async def within() -> AsyncIterator[EventT]:
            try:
                async for event in events:
                    yield event
            finally:
                give_back()

        stream = within()
        weakref.finalize(stream, give_back)  # one that nobody ever began to read
        return stream
