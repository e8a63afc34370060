"""Provisioning one device: the tree of its element types, the elements of a type, and taking over what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from opensdm.core.element import Element, ElementType, Schema
from opensdm.core.errors import NotAssigned, NotLoaded, SdmError
from opensdm.core.inventory import wire_id
from opensdm.core.operations import (
    ListElements,
    ListElementTypes,
    LoadConfiguration,
    ShowDevice,
    ShowLock,
    ShowPendingChanges,
)
from opensdm.core.ports import LockView
from opensdm.core.references import top_of
from opensdm.core.results import ChangesShown, DeviceShown, ElementsShown, Listing
from opensdm.core.validation import key_of
from opensdm.doors.web.places import Place
from opensdm.doors.web.routing import Call, Reply, Route
from opensdm.doors.web.safety import DONE_COOKIE, cookie

PAGE = 50
MOST_COLUMNS = 5
SAID_S = 60
"""How long a page that says what was done may be on its way."""
DONE = {
    "loaded": "Our copy is what the device runs now. What you had staged is still there.",
    "added": "The new element is staged; the device gets it with your next push.",
    "updated": "Your edit is staged; the device gets it with your next push.",
    "deleted": "The removal is staged; the device gets it with your next push.",
    "discarded": "That change is discarded.",
    "discarded-all": "Your changes are discarded.",
    "set-aside": "Your changes are set aside under this name. A push does not send them until you stage them again.",
    "staged-again": "The changes are staged again, each based on what it was based on before.",
    "set-deleted": "The change set is deleted.",
    "rebased": "Your changes are based on the present configuration now.",
    "cancelling": "The task was asked to stop before its next step.",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What every provisioning page of a device shows around its own part. `why`: what keeps its elements from being
    shown, for which `tops` are empty then."""

    shown: DeviceShown
    view: LockView
    tops: tuple[ElementType, ...]
    schema: Schema
    changes: ChangesShown
    why: SdmError | None = None

    @property
    def base(self) -> str:
        return base_of(self.shown.device.device_id)

    @property
    def types(self) -> Mapping[str, ElementType]:
        return self.schema.types

    @property
    def touched(self) -> frozenset[str]:
        """The types of which something is staged."""
        return frozenset(change.path for change in self.changes.changes)


def base_of(device_id: int) -> str:
    return f"/web/devices/{wire_id(device_id)}/provisioning"


async def desk(call: Call) -> Desk:
    device_id = call.id("device")
    shown: DeviceShown = await call.execute(ShowDevice(device_id=device_id))
    view: LockView = await call.execute(ShowLock(device_id=device_id))
    changes: ChangesShown = await call.execute(ShowPendingChanges(device_id=device_id))
    why: SdmError | None = None
    tops: tuple[ElementType, ...] = ()
    try:
        listed: Listing[ElementType] = await call.execute(ListElementTypes(device_id=device_id))
        tops = listed.items
    except (NotLoaded, NotAssigned) as error:
        why = error
    return Desk(shown, view, tops, schema_of(shown, tops), changes, why)


def schema_of(shown: DeviceShown, tops: Iterable[ElementType]) -> Schema:
    """Enough of a schema to tell elements apart."""
    types: dict[str, ElementType] = {}
    left = list(tops)
    while left:
        kind = left.pop()
        types[kind.path] = kind
        left.extend(kind.children)
    return Schema(shown.device.platform, shown.device.software_version, types)


def page(call: Call, template: str, at: Desk, **values: Any) -> Reply:
    """A page with the desk around it, and once, what was just done on this device in words."""
    device, _, what = call.done.partition(".")
    told = DONE.get(what, "") if device == wire_id(at.shown.device.device_id) else ""
    reply = Reply.page(template, desk=at, shown=at.shown, done=told, **values)
    return replace(reply, headers=(("Set-Cookie", cookie(DONE_COOKIE, None, secure=call.secure)),)) if told else reply


def go_on(call: Call, location: str, what: str) -> Reply:
    """To a page of the same device, which then says what was done."""
    said = cookie(DONE_COOKIE, f"{call.path['device']}.{what}", secure=call.secure, lasting_s=SAID_S)
    return Reply.to(location, ("Set-Cookie", said))


# ------------------------------------------------------------------------------------------ elements


@dataclass(frozen=True, slots=True)
class Row:
    """One element of a list. `edit`: what is staged for it, if anything is."""

    place: Place
    element: Element
    edit: str = ""


async def show_elements(call: Call) -> Reply:
    """The elements of one type; without a type, of the first there is."""
    at = await desk(call)
    if at.why is not None:
        return page(call, "provisioning_none.html", at, active_tab="elements")
    path = call.asked("type") or next((kind.path for kind in at.tops), "")
    offset = call.asked_number("offset", 0)
    found: ElementsShown = await call.execute(
        ListElements(device_id=call.id("device"), element_path=path, offset=offset, limit=PAGE)
    )
    kind = at.types[path]
    rows = top_rows(at, found.items)
    return page(
        call, "elements.html", at, active_tab="elements", kind=kind, rows=rows, columns=telling(kind, found.items),
        found=found, limit=PAGE, more=f"{at.base}?{urlencode({'type': path, 'offset': ''})}", open=top_of(path),
    )  # fmt: skip


def top_rows(at: Desk, elements: Sequence[Element]) -> list[Row]:
    staged = {(change.path, change.key): change.edit.value for change in at.changes.changes}
    keys = [key_of(at.schema, element) for element in elements]
    return [Row(Place((key,)), element, staged.get(key, "")) for key, element in zip(keys, elements, strict=True)]


def telling(kind: ElementType, elements: Sequence[Element]) -> list[str]:
    """The attributes beside the keys that say something here: not all the same, and not just their defaults."""
    found = []
    for attribute in kind.attributes:
        values = {element.attributes.get(attribute.name, "") for element in elements}
        if not attribute.key and values - {"", attribute.default}:
            found.append(attribute.name)
    return found[:MOST_COLUMNS]


async def load(call: Call) -> Reply:
    """Waits until the device was read; what the reader staged stays."""
    device_id = call.id("device")
    await call.execute(LoadConfiguration(device_id=device_id))
    return go_on(call, base_of(device_id), "loaded")


_BASE = "/devices/{device}/provisioning"
ROUTES = (Route("GET", _BASE, show_elements), Route("POST", _BASE + "/load", load))
