"""Taking, releasing, asking for and overriding locks from pages; a refusal is shown by the door itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from opensdm.core.errors import InvalidRequest, SdmError
from opensdm.core.inventory import wire_id
from opensdm.core.lock import OverrideMode
from opensdm.core.operations import (
    AskForLock,
    ConfirmDevice,
    ListTasks,
    LoadConfiguration,
    LockDevice,
    Operation,
    OverrideLock,
    PushAction,
    PushChanges,
    ShowLock,
    ShowLocks,
    ShowPendingChanges,
    UnlockDevice,
)
from opensdm.core.ports import LockView
from opensdm.core.results import ChangesShown, Listing, OverrideReply, TaskStarted
from opensdm.core.task import Task, TaskState
from opensdm.doors.web.devices import listed
from opensdm.doors.web.refusals import Refusal, told
from opensdm.doors.web.routing import Call, Reply, Route, id_number

AT_ONCE = 16
"""Devices of one selection that are asked for at the same time; each is a request of its own."""
MAX_SELECTED = 500
LATER = 50
"""Pushes that the same user may have begun since those of a selection."""
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one device of a selection. `task_id`: of work that goes on, with a page of its own. `note`: why
    there was nothing to do."""

    device_id: int
    refused: Refusal | None = None
    task_id: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """What can be done to a selection: the operation for one device and its reason, and what is said of those done.

    `staged_only`: on devices on which its reader staged something. `redraws`: the list says something else afterwards.
    """

    operation: Callable[[int, str | None], Operation]
    done: str
    state: str
    staged_only: bool = False
    redraws: bool = False


DEEDS: Mapping[str, Deed] = {
    "lock": Deed(lambda device, reason: LockDevice(device_id=device, reason=reason, wait_s=0), "locked", "yours"),
    "unlock": Deed(lambda device, _: UnlockDevice(device_id=device), "unlocked", "free"),
    "load": Deed(
        lambda device, _: LoadConfiguration(device_id=device), "loaded", "its configuration is here", redraws=True
    ),
    "push": Deed(
        lambda device, _: PushChanges(device_id=device, action=PushAction.SAVE_ACTIVATE, as_task=True),
        "being pushed to",
        "push began",
        staged_only=True,
    ),
}


async def lock(call: Call) -> Reply:
    device_id, minutes = call.id("device"), call.sent_number("lease")
    await call.execute(
        LockDevice(
            device_id=device_id,
            reason=call.sent("reason") or None,
            lease_s=None if minutes is None else minutes * MINUTE_S,
        )
    )
    return await answered(call, device_id, "The device is yours until you unlock it.")


async def unlock(call: Call) -> Reply:
    """`epoch`, where it is sent: what another session of the reader's holds for itself is let go by that."""
    device_id = call.id("device")
    await call.execute(UnlockDevice(device_id=device_id, epoch=call.sent_number("epoch")))
    return await answered(call, device_id, "You released the device.")


async def ask(call: Call) -> Reply:
    device_id = call.id("device")
    await call.execute(AskForLock(device_id=device_id, message=call.sent("message") or None))
    return await answered(call, device_id, "The holder was asked. You are told here as soon as the device is free.")


async def override(call: Call) -> Reply:
    """Takes away the very lock that the page showed, and no other."""
    device_id = call.id("device")
    reply: OverrideReply = await call.execute(
        OverrideLock(
            device_id=device_id,
            reason=call.sent("reason"),
            expected_holder=call.sent("holder") or None,
            expected_epoch=call.sent_number("epoch"),
            mode=OverrideMode.GRACEFUL if call.sent("mode") == OverrideMode.GRACEFUL else OverrideMode.NOW,
            transfer=call.sent("transfer") == "yes",
        )
    )
    words = "The lock was taken away." if reply.settled else "The lock was taken away; work of its holder still ends."
    return await answered(call, device_id, words)


async def confirm(call: Call) -> Reply:
    device_id = call.id("device")
    await call.execute(ConfirmDevice(device_id=device_id, note=call.sent("note")))
    return await answered(call, device_id, "Confirmed: what was cut off there bars nobody any more.")


async def answered(call: Call, device_id: int, words: str) -> Reply:
    """The part of the page that the form was in, as it is now; or where there is none, what was done in words."""
    view: LockView = await call.execute(ShowLock(device_id=device_id))
    match call.sent("from"):
        case "row":
            return Reply.page("padlock.html", view=view)
        case "panel":
            return Reply.page("lock_panel.html", view=view, done=words)
        case _ if call.fragment:
            return Reply.page("done.html", words=f"{view.row.device_name}: {words}")
        case _:
            return Reply.to(f"/web/devices/{wire_id(device_id)}")


# --------------------------------------------------------------------------------------- selections


async def act_on_selection(call: Call) -> Reply:
    """Every device for itself, and none waited for: what one is refused keeps the others from nothing."""
    deed = DEEDS.get(call.sent("kind"))
    chosen = tuple(dict.fromkeys(id_number(each) for each in call.form.get("device", ())))
    if deed is None:
        raise InvalidRequest(f"kind: expected one of {', '.join(DEEDS)}", field="kind")
    if not 1 <= len(chosen) <= MAX_SELECTED:
        raise InvalidRequest(f"choose from 1 to {MAX_SELECTED} devices", field="device")
    outcomes = await _each(call, deed, chosen, call.sent("reason") or None)
    found: Listing[LockView] = await call.execute(ShowLocks(device_ids=chosen))
    names = {view.row.device_id: view.row.device_name for view in found.items}
    begun = [outcome.task_id for outcome in outcomes if outcome.task_id is not None]
    values = await listed(call, call.form, frozenset(call.form.get("device", ()))) if deed.redraws else {}
    return Reply.page(
        "selection_results.html", deed=deed, outcomes=sorted(outcomes, key=_urgency), names=names,
        **await _tasks(call, begun), **values,
    )  # fmt: skip


def _urgency(outcome: Outcome) -> int:
    return 0 if outcome.refused else 1 if outcome.note else 2


async def show_tasks(call: Call) -> Reply:
    """How the pushes of a selection go on; once all are over, the list says what they changed."""
    values = await _tasks(call, call.query.get("task", ())[:MAX_SELECTED])
    over = all(task.state is not TaskState.RUNNING for task in values["tasks"])
    listed_anew = await listed(call, call.query, frozenset(call.query.get("device", ()))) if over else {}
    return Reply.page("selection_tasks.html", polled=True, **values, **listed_anew)


async def _tasks(call: Call, ids: Sequence[str]) -> dict[str, Any]:
    """Those pushes of the reader's; `asked`: how they are asked for again."""
    found: Listing[Task] = Listing((), 0)
    if ids:
        mine = {"userName": call.session.user_name, "operation": PushChanges.__name__}
        found = await call.execute(ListTasks(filters=mine, limit=len(ids) + LATER))
    tasks = sorted((task for task in found.items if task.task_id in set(ids)), key=lambda task: task.device_name)
    return {"tasks": tasks, "asked": urlencode([("task", each) for each in ids])}


async def _each(call: Call, deed: Deed, chosen: Sequence[int], reason: str | None) -> list[Outcome]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(device_id: int) -> Outcome:
        try:
            async with turns:
                if deed.staged_only and not await _staged(call, device_id):
                    return Outcome(device_id, note="you have nothing staged there")
                reply = await call.execute(deed.operation(device_id, reason))
        except SdmError as error:
            return Outcome(device_id, await told(error, call))
        return Outcome(device_id, task_id=reply.task_id if isinstance(reply, TaskStarted) else None)

    return await asyncio.gather(*(one(device_id) for device_id in chosen))


async def _staged(call: Call, device_id: int) -> bool:
    shown: ChangesShown = await call.execute(ShowPendingChanges(device_id=device_id))
    return bool(shown.changes)


_DEVICE = "/devices/{device}"
ROUTES = (
    Route("POST", _DEVICE + "/lock", lock),
    Route("POST", _DEVICE + "/unlock", unlock),
    Route("POST", _DEVICE + "/ask", ask),
    Route("POST", _DEVICE + "/override", override),
    Route("POST", _DEVICE + "/confirm", confirm),
    Route("POST", "/selection", act_on_selection),
    Route("GET", "/selection/tasks", show_tasks, passive=True),
)
