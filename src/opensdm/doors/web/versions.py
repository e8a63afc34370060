"""One kept version of a configuration: what a restore would change in our copy, and the restore itself."""

from __future__ import annotations

import re

from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.operations import CompareVersions, RestoreVersion, ShowVersion
from opensdm.core.results import Comparison, TaskStarted, VersionShown
from opensdm.core.validation import describe_key
from opensdm.core.versions import Version
from opensdm.doors.web.changes import Line
from opensdm.doors.web.provisioning import base_of, desk, page
from opensdm.doors.web.routing import Call, Reply, Route

_NUMBER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


async def show_version(call: Call) -> Reply:
    """Beside our copy as it is now. Where nothing was loaded there is none, and the version stands for itself."""
    device_id, number = call.id("device"), _number(call)
    at = await desk(call)
    current = at.shown.device.loaded_version
    comparison: Comparison | None = None
    if current is None:
        alone: VersionShown = await call.execute(ShowVersion(device_id=device_id, number=number, limit=0))
        version = alone.version
    else:
        comparison = await call.execute(CompareVersions(device_id=device_id, old=current, new=number))
        version = comparison.new
    return page(
        call, "version.html", at, active_tab="", version=version, comparison=comparison, rows=_lines(comparison),
        why_not=_why_not(at.shown.device.assigned, at.shown.device.read_only, version), open="",
    )  # fmt: skip


def _why_not(assigned: bool, read_only: bool, version: Version) -> str:
    """What keeps anybody from restoring this version; the gate says so, too."""
    if not version.restorable:
        return "It was read while other work wrote to the device: it may be a mixture, so it cannot be restored."
    if read_only:
        return "The device was enrolled read-only: nothing is ever written to it."
    return "" if assigned else "The device is not managed."


def _lines(found: Comparison | None) -> list[Line]:
    each = () if found is None else found.differences
    return [Line(describe_key((d.path, d.key)), d.attribute or "", d.old, d.new) for d in each]


async def restore(call: Call) -> Reply:
    """As a task, which is watched like a push."""
    device_id, number = call.id("device"), _number(call)
    if call.sent("sure") != "yes":
        raise InvalidRequest(f"sure: tick that the device shall hold version {number} again", field="sure")
    started: TaskStarted = await call.execute(RestoreVersion(device_id=device_id, number=number, as_task=True))
    return Reply.to(f"{base_of(device_id)}/tasks/{started.task_id}")


def _number(call: Call) -> int:
    text = call.path["number"]
    if not _NUMBER.fullmatch(text):
        raise NotFound(f"there is no version {text[:40]!r}: versions are numbered 1, 2, 3 and so on")
    return int(text)


_ONE = "/devices/{device}/provisioning/versions/{number}"
ROUTES = (Route("GET", _ONE, show_version), Route("POST", _ONE + "/restore", restore))
