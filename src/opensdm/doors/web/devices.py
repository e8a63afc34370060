"""The list of devices: a tree of groups beside it, a filter that the server answers at each keystroke."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import HOME_GROUP_ID, DeviceGroup, Trouble, wire_id
from opensdm.core.operations import FindDevices, ListDeviceGroups
from opensdm.core.results import DeviceFound, GroupShown, Listing
from opensdm.doors.web.routing import Call, Reply, Route, id_number

PAGE = 50
URL = "/web/devices"


async def list_devices(call: Call) -> Reply:
    """The page; for htmx only the list, as the filter narrows it."""
    group = call.asked("group")
    values = await listed(call, call.query)
    if call.fragment:
        return Reply.page("device_list.html", **values)
    groups: Listing[GroupShown] = await call.execute(ListDeviceGroups())
    chosen = id_number(group) if group else HOME_GROUP_ID
    tree = [each.group for each in groups.items]
    return Reply.page("devices.html", tree=branches(tree), open=_above(tree, chosen), chosen=chosen, **values)


async def listed(call: Call, sent: Mapping[str, Sequence[str]], ticked: Container[str] = ()) -> dict[str, Any]:
    """What the list that a query or form names is drawn from. `ticked`: ids of devices that are selected."""
    words, group, trouble, offset = (_first(sent, name) for name in ("q", "group", "trouble", "offset"))
    operation = FindDevices(
        words=words,
        beneath=id_number(group) if group else None,
        trouble=_trouble(trouble),
        offset=int(offset) if offset.isascii() and offset.isdigit() and len(offset) <= 9 else 0,
        limit=PAGE,
    )
    found: Listing[DeviceFound] = await call.execute(operation)
    kept = {name: value for name, value in (("q", words), ("group", group), ("trouble", trouble)) if value}
    return {
        "found": found, "words": words, "group": group, "trouble": trouble, "limit": PAGE, "ticked": ticked,
        "more": f"{URL}?{urlencode({**kept, 'offset': ''})}",
    }  # fmt: skip


def _first(sent: Mapping[str, Sequence[str]], name: str) -> str:
    return (sent.get(name) or ("",))[0].strip()


def _trouble(text: str) -> Trouble | None:
    try:
        return Trouble(text) if text else None
    except ValueError:
        raise InvalidRequest(f"trouble: expected {' or '.join(Trouble)}", field="trouble") from None


def branches(groups: Sequence[DeviceGroup]) -> Mapping[int | None, Sequence[DeviceGroup]]:
    """The groups beneath each group, by name; those without a parent beneath None."""
    found: dict[int | None, list[DeviceGroup]] = {}
    for group in sorted(groups, key=lambda each: each.group_name.casefold()):
        found.setdefault(group.parent_id, []).append(group)
    return found


def _above(groups: Sequence[DeviceGroup], group_id: int) -> frozenset[int]:
    """The groups that are open so that one of them is seen: itself and those above it."""
    parents = {group.group_id: group.parent_id for group in groups}

    def way() -> Iterator[int]:
        at: int | None = group_id
        while at is not None and at in parents:
            yield at
            at = parents[at]

    return frozenset(way()) | {HOME_GROUP_ID}


def page_of(device_id: int) -> str:
    return f"{URL}/{wire_id(device_id)}"


ROUTES = (Route("GET", "/devices", list_devices),)
