"""Changes set aside under a name: one set shown, filled from what is staged, staged again, or deleted."""

from __future__ import annotations

from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.operations import DiscardChanges, MoveChanges, ShowPendingChanges
from opensdm.core.results import ChangesShown
from opensdm.doors.web.changes import sets_of, side_by_side
from opensdm.doors.web.provisioning import base_of, desk, go_on, page
from opensdm.doors.web.routing import Call, Reply, Route


async def show_set(call: Call) -> Reply:
    """A set is there as long as it holds something."""
    at, name = await desk(call), call.path["set"]
    shown: ChangesShown = await call.execute(ShowPendingChanges(device_id=call.id("device"), change_set=name))
    if not shown.changes:
        raise NotFound(f"you have set nothing aside under the name {name!r} on this device")
    return page(
        call, "change_set.html", at, active_tab="changes", staged=side_by_side(at, shown), sets=await sets_of(call),
        set_name=name, open="",
    )  # fmt: skip


async def set_aside(call: Call) -> Reply:
    """All that is staged; what the set holds already stays in it."""
    device_id, name = call.id("device"), call.sent("into")
    if not name:
        raise InvalidRequest("into: give the changes a name, such as change-4711", field="into")
    await call.execute(MoveChanges(device_id=device_id, into=name))
    return go_on(call, f"{base_of(device_id)}/changes/{name}", "set-aside")


async def stage_again(call: Call) -> Reply:
    """Beside what was staged meanwhile."""
    device_id = call.id("device")
    await call.execute(MoveChanges(device_id=device_id, change_set=call.path["set"]))
    return go_on(call, f"{base_of(device_id)}/changes", "staged-again")


async def delete(call: Call) -> Reply:
    device_id = call.id("device")
    await call.execute(DiscardChanges(device_id=device_id, change_set=call.path["set"]))
    return go_on(call, f"{base_of(device_id)}/changes", "set-deleted")


_CHANGES = "/devices/{device}/provisioning/changes"
_SET = _CHANGES + "/{set}"
ROUTES = (
    Route("POST", _CHANGES, set_aside),
    Route("GET", _SET, show_set),
    Route("POST", _SET + "/stage-again", stage_again),
    Route("POST", _SET + "/delete", delete),
)
