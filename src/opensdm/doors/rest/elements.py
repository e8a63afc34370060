"""Staged edits: C10 and C12 to C17; at v1.4 in change sets of a name, with what they change."""

from __future__ import annotations

from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import (
    AddElement,
    ApplyBatch,
    DeleteElement,
    DiscardChanges,
    ListChangeSets,
    ListElements,
    MoveChanges,
    RetrieveElement,
    ShowPendingChanges,
    UpdateElement,
)
from opensdm.core.results import ChangesShown, ElementsShown
from opensdm.core.staging import ChangeSet
from opensdm.doors.rest import provisioning_shapes, requests, resources
from opensdm.doors.rest.diff import diff
from opensdm.doors.rest.large import LARGE, beside
from opensdm.doors.rest.listing import listed, listed_whole
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.provisioning_replies import change_set, config_element, configuration_changes
from opensdm.doors.rest.query import PAGING, cut, page, page_info
from opensdm.doors.rest.routing import Call, Endpoint, Reply

CONFIGS = "/configuration/deviceConfigs/{device_id}"
PLAIN = "text/plain"
_SET = frozenset({"changeSet"})


async def list_elements(call: Call) -> Reply:
    asked = page(call)
    operation = ListElements(
        device_id=call.id("device_id"),
        element_path=call.query.get("elementTypePath", "").strip(),
        offset=asked.offset,
        limit=asked.limit,
        change_set=requests.change_set(call),
    )
    if not operation.element_path:
        raise InvalidRequest(
            "which elements? Say so with elementTypePath, as in ?elementTypePath=realmConfig", field="elementTypePath"
        )
    shown: ElementsShown = await call.execute(operation)
    wire = map(config_element, shown.items)
    large = len(shown.items) >= LARGE
    return await beside(large, listed, resources.CONFIG_ELEMENTS, "configElements", wire, asked, shown.total)


async def add_element(call: Call) -> Reply:
    return await _staged(call, AddElement)


async def retrieve_element(call: Call) -> Reply:
    return await _staged(call, RetrieveElement)


async def update_element(call: Call) -> Reply:
    return await _staged(call, UpdateElement)


async def delete_element(call: Call) -> Reply:
    await call.execute(_edit(call, DeleteElement))
    return Reply.nothing()


async def apply_batch(call: Call) -> Reply:
    """All or nothing; what is staged then is in the list of changes."""
    operation = ApplyBatch(
        device_id=call.id("device_id"), edits=requests.batch(call), change_set=requests.change_set(call)
    )
    await call.execute(operation)
    return Reply.nothing()


_OnElement = type[AddElement] | type[RetrieveElement] | type[UpdateElement] | type[DeleteElement]


def _edit(call: Call, operation: _OnElement) -> AddElement | RetrieveElement | UpdateElement | DeleteElement:
    return operation(
        device_id=call.id("device_id"),
        element=requests.element(call),
        parent=requests.parent(call),
        change_set=requests.change_set(call),
    )


async def _staged(call: Call, operation: _OnElement) -> Reply:
    element: Element = await call.execute(_edit(call, operation))
    return Reply.of(resources.CONFIG_ELEMENT, config_element(element))


# ---------------------------------------------------------------------------------- staged changes


async def list_changes(call: Call) -> Reply:
    """As a text all of them, unless a slice is asked for: a diff that ends after fifty would pass for the whole."""
    asked = page(call)
    if call.wanted == PLAIN and "limitation" not in call.query:
        asked = asked._replace(limit=None)
    operation = ShowPendingChanges(device_id=call.id("device_id"), change_set=requests.change_set(call))
    shown: ChangesShown = await call.execute(operation)
    changes = cut(shown.changes, asked)
    text = await diff(changes, shown.differences) if call.own else ""
    if call.wanted == PLAIN:
        return Reply.plain(text, f"{PLAIN}; charset=utf-8")
    wire = await beside(len(changes) >= LARGE, configuration_changes, changes, shown.differences)
    info = page_info(asked, len(wire), len(shown.changes))
    values = {"pageInfo": info, "changedConfigElements": wire, "diff": text or None}
    return Reply.of(resources.CONFIGURATION_CHANGES, values)


async def discard_changes(call: Call) -> Reply:
    await call.execute(DiscardChanges(device_id=call.id("device_id"), change_set=requests.change_set(call)))
    return Reply.nothing()


async def move_changes(call: Call) -> Reply:
    """All of one set, or nothing; a set that is not named is the one without a name."""
    operation = MoveChanges(
        device_id=call.id("device_id"),
        change_set=requests.named_set(call, call.body.get("changeSet")),
        into=requests.named_set(call, call.body.get("into")),
    )
    await call.execute(operation)
    return Reply.nothing()


async def list_change_sets(call: Call) -> Reply:
    found: tuple[ChangeSet, ...] = await call.execute(ListChangeSets(device_id=call.id("device_id")))
    wire = [change_set(each) for each in found]
    return listed_whole(call, provisioning_shapes.CHANGE_SETS, "changeSets", wire)


_ONE, _ELEMENTS = resources.CONFIG_ELEMENT, CONFIGS + "/configElements"

ENDPOINTS = (
    Endpoint("GET", _ELEMENTS, list_elements, query=PAGING | _SET | {"elementTypePath"}),
    Endpoint("POST", _ELEMENTS + "/add", add_element, body=_ONE, query=_SET),
    Endpoint("POST", _ELEMENTS + "/retrieve", retrieve_element, body=_ONE, query=_SET),
    Endpoint("POST", _ELEMENTS + "/update", update_element, body=_ONE, query=_SET),
    Endpoint("POST", _ELEMENTS + "/delete", delete_element, body=_ONE, query=_SET),
    Endpoint("POST", _ELEMENTS + "/batch", apply_batch, body=resources.CONFIG_BATCH, query=_SET, since=OWN_VERSION),
    Endpoint("GET", CONFIGS + "/configurationChanges", list_changes, query=PAGING | _SET, offers=(PLAIN,)),
    Endpoint("DELETE", CONFIGS + "/configurationChanges", discard_changes, query=_SET),
    Endpoint(
        "POST", CONFIGS + "/configurationChanges/move", move_changes, body=provisioning_shapes.MOVED_CHANGES,
        since=OWN_VERSION,
    ),
    Endpoint("GET", CONFIGS + "/changeSets", list_change_sets, query=PAGING, since=OWN_VERSION),
)  # fmt: skip
