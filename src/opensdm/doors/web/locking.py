"""Taking, releasing, asking for and overriding locks from pages; a refusal is shown by the door itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from opensdm.core.errors import InvalidRequest, SdmError
from opensdm.core.inventory import wire_id
from opensdm.core.lock import OverrideMode
from opensdm.core.operations import (
    AskForLock,
    ConfirmDevice,
    LoadConfiguration,
    LockDevice,
    Operation,
    OverrideLock,
    PushAction,
    PushChanges,
    ShowLock,
    ShowLocks,
    UnlockDevice,
)
from opensdm.core.ports import LockView
from opensdm.core.results import Listing, OverrideReply, TaskStarted
from opensdm.doors.web.refusals import Refusal, told
from opensdm.doors.web.routing import Call, Reply, Route, id_number

AT_ONCE = 16
"""Devices of one selection that are asked for at the same time; each is a request of its own."""
MAX_SELECTED = 500
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one device of a selection. `task_id`: of work that goes on, with a page of its own."""

    device_id: int
    refused: Refusal | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What can be done to a selection: the operation for one device and its reason, and what is said of those done."""

    operation: Callable[[int, str | None], Operation]
    done: str
    state: str


DEEDS: Mapping[str, Deed] = {
    "lock": Deed(lambda device, reason: LockDevice(device_id=device, reason=reason, wait_s=0), "locked", "yours"),
    "unlock": Deed(lambda device, _: UnlockDevice(device_id=device), "unlocked", "free"),
    "load": Deed(lambda device, _: LoadConfiguration(device_id=device), "loaded", "its configuration is here"),
    "push": Deed(
        lambda device, _: PushChanges(device_id=device, action=PushAction.SAVE_ACTIVATE, as_task=True),
        "being pushed to",
        "push began",
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
    device_id = call.id("device")
    await call.execute(UnlockDevice(device_id=device_id))
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
    views = {view.row.device_id: view for view in found.items}
    done = sum(outcome.refused is None for outcome in outcomes)
    return Reply.page("selection_results.html", deed=deed, outcomes=outcomes, views=views, done=done)


async def _each(call: Call, deed: Deed, chosen: Sequence[int], reason: str | None) -> list[Outcome]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(device_id: int) -> Outcome:
        try:
            async with turns:
                reply = await call.execute(deed.operation(device_id, reason))
        except SdmError as error:
            return Outcome(device_id, await told(error, call))
        return Outcome(device_id, task_id=reply.task_id if isinstance(reply, TaskStarted) else None)

    return await asyncio.gather(*(one(device_id) for device_id in chosen))


_DEVICE = "/devices/{device}"
ROUTES = (
    Route("POST", _DEVICE + "/lock", lock),
    Route("POST", _DEVICE + "/unlock", unlock),
    Route("POST", _DEVICE + "/ask", ask),
    Route("POST", _DEVICE + "/override", override),
    Route("POST", _DEVICE + "/confirm", confirm),
    Route("POST", "/selection", act_on_selection),
)
