"""Kept versions of a device's configuration: list, show, compare, keep, restore. All of it from v1.4 on."""

from __future__ import annotations

import re

from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.operations import BackUpDevice, CompareVersions, ListVersions, RestoreVersion, ShowVersion
from opensdm.core.results import Comparison, Listing, PushReply, TaskStarted, VersionShown
from opensdm.core.versions import Version
from opensdm.doors.rest import history_shapes, requests
from opensdm.doors.rest.configuration import DEVICES, pushed
from opensdm.doors.rest.history_replies import comparison, version, version_shown
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import PAGING, page, page_info
from opensdm.doors.rest.routing import Call, Endpoint, Reply

_NUMBER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


async def list_versions(call: Call) -> Reply:
    asked = page(call)
    operation = ListVersions(device_id=call.id("device_id"), offset=asked.offset, limit=asked.limit)
    found: Listing[Version] = await call.execute(operation)
    return listed(history_shapes.VERSIONS, "versions", map(version, found.items), asked, found.total)


async def show_version(call: Call) -> Reply:
    """With a slice of its elements, of all types unless one is asked for."""
    asked = page(call)
    operation = ShowVersion(
        device_id=call.id("device_id"),
        number=_number(call),
        element_path=call.query.get("elementTypePath", "").strip() or None,
        offset=asked.offset,
        limit=asked.limit,
    )
    shown: VersionShown = await call.execute(operation)
    info = page_info(asked, len(shown.elements), shown.total)
    return Reply.of(history_shapes.VERSION_SHOWN, version_shown(shown) | {"pageInfo": info})


async def compare(call: Call) -> Reply:
    """From this version to another, or to our present copy."""
    other = call.query.get("with")
    if other is not None and not _NUMBER.fullmatch(other.strip()):
        raise InvalidRequest("with: expected the number of a version", field="with", expected="a version number")
    operation = CompareVersions(
        device_id=call.id("device_id"), old=_number(call), new=None if other is None else int(other)
    )
    found: Comparison = await call.execute(operation)
    return Reply.of(history_shapes.COMPARISON, comparison(found))


async def back_up(call: Call) -> Reply:
    operation = BackUpDevice(device_id=call.id("device_id"), comment=(call.body.get("comment") or "").strip())
    kept: Version = await call.execute(operation)
    return Reply.of(history_shapes.VERSION, version(kept))


async def restore(call: Call) -> Reply:
    requests.action(call, "Restore")
    operation = RestoreVersion(
        device_id=call.id("device_id"), number=_number(call), as_task=call.body.get("asTask") or False
    )
    reply: PushReply | TaskStarted = await call.execute(operation)
    return pushed(call, reply)


def _number(call: Call) -> int:
    """A version's number in the path. What cannot be one names nothing: NotFound."""
    wire = call.path["number"]
    if not _NUMBER.fullmatch(wire):
        raise NotFound(f"there is no version {wire[:60]!r}: versions are numbered 1, 2, 3 and so on")
    return int(wire)


_VERSIONS = DEVICES + "/{device_id}/versions"
_ONE = _VERSIONS + "/{number}"

ENDPOINTS = (
    Endpoint("GET", _VERSIONS, list_versions, query=PAGING, since=OWN_VERSION),
    Endpoint("POST", _VERSIONS, back_up, body=history_shapes.BACKUP, since=OWN_VERSION),
    Endpoint("GET", _ONE, show_version, query=PAGING | {"elementTypePath"}, since=OWN_VERSION),
    Endpoint("GET", _ONE + "/compare", compare, query=frozenset({"with"}), since=OWN_VERSION),
    Endpoint("POST", _ONE + "/action", restore, body=history_shapes.VERSION_ACTION, since=OWN_VERSION),
)
