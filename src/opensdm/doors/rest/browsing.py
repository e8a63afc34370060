"""What pages for people are drawn from, at v1.4: devices found by words, the locks of many devices at once."""

from __future__ import annotations

from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import Trouble
from opensdm.core.operations import FindDevices, ShowLocks
from opensdm.core.ports import LockView
from opensdm.core.results import DeviceFound, Listing
from opensdm.doors.rest import extensions, replies, resources
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import PAGING, Slice, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply, number_of


async def find_devices(call: Call) -> Reply:
    asked, group = page(call), call.query.get("groupId")
    operation = FindDevices(
        words=call.query.get("words", ""),
        beneath=None if group is None else number_of(group.strip(), "group_id"),
        trouble=_trouble(call.query.get("trouble")),
        offset=asked.offset,
        limit=asked.limit,
    )
    found: Listing[DeviceFound] = await call.execute(operation)
    wire = (replies.device(each.shown) for each in found.items)
    return listed(resources.DEVICES, "devices", wire, asked, found.total)


def _trouble(text: str | None) -> Trouble | None:
    try:
        return None if text is None else Trouble(text.strip().lower())
    except ValueError:
        raise InvalidRequest(f"trouble: expected one of {', '.join(Trouble)}", field="trouble") from None


async def show_locks(call: Call) -> Reply:
    named = [each.strip() for each in call.query.get("deviceIds", "").split(",") if each.strip()]
    if not named:
        raise InvalidRequest("deviceIds: name the devices, separated by commas", field="deviceIds")
    operation = ShowLocks(device_ids=tuple(number_of(each, "device_id") for each in named))
    found: Listing[LockView] = await call.execute(operation)
    asked = Slice(0, None)
    return listed(extensions.DEVICE_LOCKS, "deviceLocks", map(replies.device_lock, found.items), asked, found.total)


_SEARCHED = PAGING | {"words", "groupId", "trouble"}
ENDPOINTS = (
    Endpoint("GET", "/inventory/search", find_devices, query=_SEARCHED, since=OWN_VERSION),
    Endpoint("GET", "/inventory/locks/several", show_locks, query=frozenset({"deviceIds"}), since=OWN_VERSION),
)
