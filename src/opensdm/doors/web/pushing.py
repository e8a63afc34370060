"""Pushing what is staged, and watching a push or restore step by step while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opensdm.core.operations import CancelTask, PushChanges, ShowTask
from opensdm.core.results import FAILED, NOT_APPLICABLE, SUCCEEDED, UNKNOWN, TaskShown, TaskStarted
from opensdm.core.task import Progress, TaskState
from opensdm.core.validation import describe_key
from opensdm.doors.web.changes import sent_action
from opensdm.doors.web.provisioning import base_of, desk, go_on, page
from opensdm.doors.web.routing import Call, Reply, Route

FLAGS = {
    "lock": "Lock the device itself",
    "validation": "Validate",
    "erase_cache": "Erase the cache",
    "create": "Write the changes",
    "integrity_check": "Read back and compare",
    "restore": "Put back what was there",
    "save": "Save",
    "activate": "Activate",
    "unlock": "Unlock the device itself",
}
HELD = {"old": "as before", "new": "as wanted", "other": "something else", "unknown": "not known"}


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: `state` `BEGUN` or its flag. `done` of `total` count edits within it."""

    title: str
    state: str
    note: str
    began_us: int
    ended_us: int | None = None
    done: int | None = None
    total: int | None = None

    @property
    def seconds(self) -> float | None:
        return None if self.ended_us is None else (self.ended_us - self.began_us) / 1_000_000


async def push(call: Call) -> Reply:
    """Always as a task: the page shows it run, and it goes on when the page is closed."""
    device_id = call.id("device")
    started: TaskStarted = await call.execute(PushChanges(device_id=device_id, action=sent_action(call), as_task=True))
    return Reply.to(f"{base_of(device_id)}/tasks/{started.task_id}")


async def show_task(call: Call) -> Reply:
    told: TaskShown = await call.execute(ShowTask(task_id=call.path["task"]))
    at = await desk(call)
    tab = "changes" if told.task.operation == PushChanges.__name__ else ""
    return page(call, "task.html", at, active_tab=tab, open="", **_values(call, told))


async def show_progress(call: Call) -> Reply:
    """The part of the page that moves; it asks for itself again until the task is over. Then all of the page is drawn
    anew, since what it says of the device and of what is staged has changed, too."""
    told: TaskShown = await call.execute(ShowTask(task_id=call.path["task"]))
    if told.task.state is not TaskState.RUNNING:
        return Reply.nothing(("HX-Refresh", "true"))
    return Reply.page("task_progress.html", base=base_of(call.id("device")), **_values(call, told))


async def cancel(call: Call) -> Reply:
    task_id = call.path["task"]
    await call.execute(CancelTask(task_id=task_id))
    return go_on(call, f"{base_of(call.id('device'))}/tasks/{task_id}", "cancelling")


def _values(call: Call, told: TaskShown) -> dict[str, Any]:
    task, result = told.task, told.task.result or {}
    return {
        "task": task, "steps": steps(told.progress), "running": task.state is TaskState.RUNNING,
        "flags": flags(result), "holds": held(result), "result": result,
        "stale": task.error_code in ("STALE_CONFIGURATION", "REBASE_CONFLICT"),
    }  # fmt: skip


def steps(progress: Iterable[Progress]) -> list[Step]:
    """What happened, stage by stage in the order they began; a stage may come again later."""
    found: list[Step] = []
    open_at: dict[tuple[str, str], int] = {}
    for each in progress:
        key = each.stage, each.note
        at = open_at.get(key)
        if at is None:
            title = FLAGS.get(each.stage, each.stage)
            found.append(Step(title, each.state, each.note, each.at_us, None, each.done, each.total))
            at = open_at[key] = len(found) - 1
        now = replace(found[at], state=each.state)
        if each.total is not None:
            now = replace(now, done=each.done, total=each.total)
        if each.state in (SUCCEEDED, FAILED, UNKNOWN):
            now = replace(now, ended_us=each.at_us)
            del open_at[key]
        found[at] = now
    return found


def flags(result: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The published flags of a push that had anything to do with it."""
    told = [(words, str(result.get(name, NOT_APPLICABLE))) for name, words in FLAGS.items()]
    return [(words, value) for words, value in told if value != NOT_APPLICABLE]


def held(result: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """Each element of a push that did not go through, and what the device holds of it."""
    return [
        (describe_key((str(each["path"]), tuple(each["key"]))), str(each["state"]), HELD.get(each["state"], ""))
        for each in result.get("holds") or ()
    ]


_BASE = "/devices/{device}/provisioning"
_TASK = _BASE + "/tasks/{task}"
ROUTES = (
    Route("POST", _BASE + "/push", push),
    Route("GET", _TASK, show_task),
    Route("GET", _TASK + "/progress", show_progress, passive=True),
    Route("POST", _TASK + "/cancel", cancel),
)
