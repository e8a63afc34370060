"""What keeps an open page true: padlocks as they change, how many are the reader's, asks to the reader, and locks that
came free or were lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from falcon.asgi import SSEvent

from opensdm.core.lock import EventKind, LockEvent
from opensdm.core.operations import FollowLockEvents, ListAsks, ShowLocks, ShowSession
from opensdm.core.ports import AskRow, LockView
from opensdm.core.results import Asks, Listing, LockEventsReply, SessionShown
from opensdm.doors.streams import streamed
from opensdm.doors.web.rendering import render
from opensdm.doors.web.routing import Call, Reply, Route, id_number
from opensdm.doors.web.safety import csrf_token
from opensdm.doors.web.words import idle, lasting

LOOK_EVERY_S = 0.7
"""Lock events wake a stream at once; work that begins and ends has no event, and is looked for this often."""
MAX_DEVICES = 200
_ENDED = (EventKind.RELEASED, EventKind.OVERRIDDEN, EventKind.EXPIRED)
_TAKEN_AWAY = (EventKind.OVERRIDDEN, EventKind.EXPIRED)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page was told so far. `asked`: devices its reader asks for; `held`: those the reader holds; `counted`: how
    many those were when the page was told last, None for never. `lost`: the events that took one of them away."""

    last_id: int
    views: Mapping[int, LockView] = field(default_factory=dict)
    changed: Sequence[LockView] = ()
    events: Sequence[LockEvent] = ()
    asks: Sequence[AskRow] = ()
    asked: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    counted: int | None = None
    lost: frozenset[int | None] = frozenset()


async def follow(call: Call) -> Reply:
    """Nothing here keeps a session in use: it ends when its reader does nothing, and the stream with it."""
    watched = tuple(dict.fromkeys(id_number(each) for each in call.query.get("device", ())))[:MAX_DEVICES]
    first = await _begin(call, watched)

    async def look(seen: Seen) -> Seen:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await call.gate.events_since(seen.last_id)
        return await _look(call, watched, seen)

    opening = (SSEvent(event="ready", json={}, retry=1000),)
    events = streamed(call.pace, first, lambda seen: _told(call, seen), look, opening=opening)
    events = call.places.placed(call.caller.token or "", events)
    return Reply(events=events, headers=(("X-Accel-Buffering", "no"),))


async def _begin(call: Call, watched: Sequence[int]) -> Seen:
    """The page is told of padlocks as they are now, since they may have changed while it was on its way."""
    here: LockEventsReply = await call.execute(FollowLockEvents())
    asks: Asks = await call.execute(ListAsks())
    now: SessionShown = await call.execute(ShowSession())  # after the events, so that none is missed between
    me = call.session.user_id
    views = await _views(call, watched)
    return Seen(
        here.last_id, views, tuple(views.values()),
        asks=tuple(ask for ask in asks.items if ask.holder_id == me),
        asked=frozenset(ask.device_id for ask in asks.items if ask.asker_id == me),
        held=frozenset(view.row.device_id for view in now.locks),
    )  # fmt: skip


async def _look(call: Call, watched: Sequence[int], seen: Seen) -> Seen:
    following: LockEventsReply = await call.execute(FollowLockEvents(after=seen.last_id))
    views, me, events = await _views(call, watched), call.session.user_id, following.events
    asks: tuple[AskRow, ...] = ()
    if any(event.kind is EventKind.ASKED for event in events):
        listed: Asks = await call.execute(ListAsks())
        fresh = {(event.device_id, event.actor_id) for event in events if event.kind is EventKind.ASKED}
        asks = tuple(a for a in listed.items if a.holder_id == me and (a.device_id, a.asker_id) in fresh)
    changed = tuple(view for number, view in views.items() if _changed(view, seen.views.get(number), me))
    over = {event.device_id for event in seen.events if event.kind in _ENDED}
    asked = (seen.asked - over) | {e.device_id for e in events if e.kind is EventKind.ASKED and e.actor_id == me}
    held, lost = _held(seen.held, events, me)
    return Seen(following.last_id, views, changed, events, asks, asked, held, len(seen.held), lost)


def _held(before: frozenset[int], events: Iterable[LockEvent], me: int) -> tuple[frozenset[int], frozenset[int | None]]:
    """What the reader holds after these events, each of which tells whose the lock is then; and those that took one."""
    held, lost = set(before), set()
    for event in events:
        if event.device_id in held and event.kind in _TAKEN_AWAY and event.actor_id != me:
            lost.add(event.event_id)
        if event.holder_id == me:
            held.add(event.device_id)
        else:
            held.discard(event.device_id)
    return frozenset(held), frozenset(lost)


async def _views(call: Call, watched: Sequence[int]) -> Mapping[int, LockView]:
    if not watched:
        return {}
    found: Listing[LockView] = await call.execute(ShowLocks(device_ids=tuple(watched)))
    return {view.row.device_id: view for view in found.items}


def _changed(view: LockView, before: LockView | None, me: int) -> bool:
    return before is None or lasting(view) != lasting(before) or _idle(view, me) != _idle(before, me)


def _idle(view: LockView, me: int) -> str:
    """As the reader sees it, of others only."""
    return "" if view.idle_s is None or view.row.holder_id == me else idle(view.idle_s)


# ----------------------------------------------------------------------------------------- telling


def _told(call: Call, seen: Seen) -> Iterator[SSEvent]:
    for view in seen.changed:
        yield SSEvent(event="part", json={"html": _drawn(call, "padlock.html", view=view)})
    if len(seen.held) != seen.counted:
        yield SSEvent(event="part", json={"html": _drawn(call, "lock_count.html", held=len(seen.held))})
    for ask in seen.asks:
        key = f"ask-{ask.device_id}-{ask.epoch}-{ask.asker_id}-{ask.at_us}"
        yield SSEvent(event="toast", json={"key": key, "html": _drawn(call, "toast_ask.html", ask=ask, key=key)})
    yield from _news(call, seen)


def _news(call: Call, seen: Seen) -> Iterable[SSEvent]:
    """What became of devices the reader asked for, and of locks the reader held."""
    me = call.session.user_id
    for event in seen.events:
        key = f"event-{event.event_id}"
        free = event.kind in _ENDED and event.device_id in seen.asked and event.actor_id != me
        lost = event.event_id in seen.lost
        if lost or free:
            html = _drawn(call, "toast_event.html", event=event, lost=lost, key=key)
            yield SSEvent(event="toast", json={"key": key, "html": html})


def _drawn(call: Call, template: str, **values: object) -> str:
    csrf = csrf_token(call.caller.token or "")
    return render(template, call=call, me=call.known, csrf=csrf, **values)


ROUTES = (Route("GET", "/events", follow, passive=True),)
