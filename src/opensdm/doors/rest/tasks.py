"""Long work, from v1.4 on: how it stands, what happens in it as it happens, and a way to stop it.

Whoever waits here looks again and again through the gate: a session that ends, ends the waiting.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from falcon.asgi import SSEvent

from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import CancelTask, ListTasks, ShowTask
from opensdm.core.results import Listing, TaskShown
from opensdm.core.task import Task, TaskState
from opensdm.doors.rest import history_shapes, requests
from opensdm.doors.rest.fields import Form
from opensdm.doors.rest.history_replies import progress, task, task_shown
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import PAGING, filters, number, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply
from opensdm.doors.rest.shapes import Shape
from opensdm.doors.rest.streams import stream
from opensdm.doors.streams import EVENT_STREAM

TASKS = "/configuration/tasks"
FILTERS = frozenset(("deviceId", "userName", "state", "operation"))
MAX_WAIT_S = 30
LOOK_EVERY_S = 0.25
DONE = "done"
_EVENT_ID = re.compile(rf"([0-9]{{1,10}})(-{DONE})?", re.ASCII)
_OWN = Form(own=True)


async def list_tasks(call: Call) -> Reply:
    asked = page(call)
    operation = ListTasks(filters=filters(call, FILTERS), offset=asked.offset, limit=asked.limit)
    found: Listing[Task] = await call.execute(operation)
    return listed(history_shapes.TASKS, "tasks", map(task, found.items), asked, found.total)


async def show_task(call: Call) -> Reply:
    """With what happened past `after`; with `waitSeconds` once there is such a thing, or the task is over."""
    after = number(call, "after") or 0
    wait_s = number(call, "waitSeconds", MAX_WAIT_S) or 0
    until = time.monotonic() + wait_s
    while True:
        shown = await _look(call, after)
        left_s = until - time.monotonic()
        if shown.progress or _over(shown) or left_s <= 0 or call.stopping():
            return Reply.of(history_shapes.TASK, task_shown(shown))
        await asyncio.sleep(min(LOOK_EVERY_S, left_s))


async def watch_task(call: Call) -> Reply:
    """Server-sent events: `progress` for each thing that happens, and `done` with the task at its end.

    A client that was told of the end, and comes back as browsers do, gets 204, which tells it to stay away.
    """
    after, told = _position(call)
    shown = await _look(call, after)
    if told and _over(shown):
        return Reply.nothing()

    async def look(seen: _Seen) -> _Seen:
        await asyncio.sleep(LOOK_EVERY_S)
        return _Seen.of(await _look(call, seen.after), seen.after)

    seen = _Seen.of(shown, after)
    return stream(call, seen, _told, look, over=lambda found: _over(found.shown))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A task as it was found, and the number of the last event that was."""

    shown: TaskShown
    after: int

    @classmethod
    def of(cls, shown: TaskShown, after: int) -> _Seen:
        return cls(shown, shown.progress[-1].number if shown.progress else after)


def _told(seen: _Seen) -> Iterator[SSEvent]:
    for each in seen.shown.progress:
        yield _event("progress", str(each.number), history_shapes.PROGRESS, progress(each))
    if _over(seen.shown):
        yield _event(DONE, f"{seen.after}-{DONE}", history_shapes.TASK, task(seen.shown.task))


async def cancel_task(call: Call) -> Reply:
    requests.action(call, "Cancel")
    shown: TaskShown = await call.execute(CancelTask(task_id=call.path["task_id"]))
    return Reply.of(history_shapes.TASK, task_shown(shown))


async def _look(call: Call, after: int) -> TaskShown:
    shown: TaskShown = await call.execute(ShowTask(task_id=call.path["task_id"], after=after))
    return shown


def _over(shown: TaskShown) -> bool:
    return shown.task.state is not TaskState.RUNNING


def _position(call: Call) -> tuple[int, bool]:
    """The number of the last event the client has, and whether it has heard of the end."""
    last = (call.last_event_id or "").strip()
    if not last:
        return number(call, "after") or 0, False
    found = _EVENT_ID.fullmatch(last)
    if found is None:
        raise InvalidRequest("Last-Event-ID: expected an id that came with an event", field="Last-Event-ID")
    return int(found[1]), found[2] is not None


def _event(name: str, event_id: str, shape: Shape, values: dict[str, object]) -> SSEvent:
    return SSEvent(event=name, event_id=event_id, json=shape.to_value(values, _OWN))


_ONE = TASKS + "/{task_id}"

ENDPOINTS = (
    Endpoint("GET", TASKS, list_tasks, query=PAGING | FILTERS, since=OWN_VERSION),
    Endpoint("GET", _ONE, show_task, query=frozenset({"after", "waitSeconds"}), since=OWN_VERSION),
    Endpoint(
        "GET", _ONE + "/events", watch_task, query=frozenset({"after"}), since=OWN_VERSION, offers=(EVENT_STREAM,)
    ),
    Endpoint("POST", _ONE + "/action", cancel_task, body=history_shapes.TASK_ACTION, since=OWN_VERSION),
)
