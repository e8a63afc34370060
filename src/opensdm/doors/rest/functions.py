"""Network functions: N1 to N12. The lock of a function's group, N13, is with the locks."""

from __future__ import annotations

from opensdm.core.inventory import FUNCTION_FILTERS
from opensdm.core.operations import (
    AddNetworkFunction,
    ChangeCredentials,
    DeleteNetworkFunction,
    ListCategories,
    ListFunctionGroups,
    ListNetworkFunctions,
    MoveNetworkFunction,
    ShowCategory,
    ShowFunctionGroup,
    ShowNetworkFunction,
)
from opensdm.core.results import CategoryShown, FunctionShown, GroupShown, Listing
from opensdm.doors.rest import replies, requests, resources
from opensdm.doors.rest.listing import listed, listed_whole
from opensdm.doors.rest.query import PAGING, filters, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply

CATEGORIES = "/inventory/nfMgmt/nfCategories"
FUNCTIONS = "/inventory/nfMgmt/nfs"


async def list_categories(call: Call) -> Reply:
    found: Listing[CategoryShown] = await call.execute(ListCategories())
    wire = [replies.category(each.category) for each in found.items]
    return listed_whole(call, resources.NF_CATEGORIES, "nfCategories", wire)


async def show_category(call: Call) -> Reply:
    shown: CategoryShown = await call.execute(ShowCategory(category_id=call.id("category_id")))
    return Reply.of(resources.NF_CATEGORY, replies.category(shown.category, types=True))


async def list_types(call: Call) -> Reply:
    shown: CategoryShown = await call.execute(ShowCategory(category_id=call.id("category_id")))
    return listed_whole(call, resources.NF_TYPES, "nfTypes", replies.nf_types(shown.category))


async def show_type(call: Call) -> Reply:
    """The parameters that adding a network function of this type takes."""
    operation = ShowCategory(category_id=call.id("category_id"), type_name=call.path["type_name"])
    shown: CategoryShown = await call.execute(operation)
    wire = [replies.parameter_type(each) for each in shown.parameters]
    return listed_whole(call, resources.PARAMETERS, "parameters", wire)


async def list_functions(call: Call) -> Reply:
    asked = page(call)
    found: Listing[FunctionShown] = await call.execute(
        ListNetworkFunctions(filters=filters(call, FUNCTION_FILTERS), offset=asked.offset, limit=asked.limit)
    )
    wire = [replies.network_function(each, detail=False) for each in found.items]
    return listed(resources.NFS, "nfList", wire, asked, found.total)


async def show_function(call: Call) -> Reply:
    shown: FunctionShown = await call.execute(ShowNetworkFunction(nf_id=call.id("nf_id")))
    return Reply.of(resources.NF, replies.network_function(shown, detail=True))


async def add_function(call: Call) -> Reply:
    operation = AddNetworkFunction(
        nf_name=call.body["name"],
        parent_full_name=call.body.get("parentGroupFullName") or None,
        category_name=requests.named(call, "nfCategory"),
        type_name=requests.named(call, "nfType"),
        parameters=requests.parameters(call, call.body.get("parameters")),
        groups=tuple(requests.enrolment(call, config) for config in call.body.get("nfcConfigs") or ()),
    )
    shown: FunctionShown = await call.execute(operation)
    return Reply.of(resources.NF, replies.network_function(shown, detail=True))


async def move_function(call: Call) -> Reply:
    operation = MoveNetworkFunction(nf_id=call.id("nf_id"), parent_full_name=call.body["parentGroupFullName"])
    await call.execute(operation)
    return Reply.nothing()


async def delete_function(call: Call) -> Reply:
    await call.execute(DeleteNetworkFunction(nf_id=call.id("nf_id")))
    return Reply.nothing()


async def list_groups(call: Call) -> Reply:
    found: Listing[GroupShown] = await call.execute(ListFunctionGroups(nf_id=call.id("nf_id")))
    wire = [replies.device_group(each) for each in found.items]
    return listed_whole(call, resources.DEVICE_GROUPS, "deviceGroups", wire)


async def show_group(call: Call) -> Reply:
    operation = ShowFunctionGroup(nf_id=call.id("nf_id"), group_id=call.id("group_id"))
    shown: GroupShown = await call.execute(operation)
    return Reply.of(resources.DEVICE_GROUP, replies.device_group(shown))


async def change_group(call: Call) -> Reply:
    """Of the whole group that published clients send back, only the parameters can change here."""
    operation = ChangeCredentials(
        nf_id=call.id("nf_id"),
        group_id=call.id("group_id"),
        parameters=requests.parameters(call, call.body["parameters"]),
    )
    shown: GroupShown = await call.execute(operation)
    return Reply.of(resources.DEVICE_GROUP, replies.device_group(shown))


ENDPOINTS = (
    Endpoint("GET", CATEGORIES, list_categories, query=PAGING),
    Endpoint("GET", CATEGORIES + "/{category_id}", show_category),
    Endpoint("GET", CATEGORIES + "/{category_id}/nfTypes", list_types, query=PAGING),
    Endpoint("GET", CATEGORIES + "/{category_id}/nfTypes/{type_name}", show_type, query=PAGING),
    Endpoint("GET", FUNCTIONS, list_functions, query=FUNCTION_FILTERS | PAGING),
    Endpoint("POST", FUNCTIONS, add_function, body=resources.NF_CONFIG),
    Endpoint("GET", FUNCTIONS + "/{nf_id}", show_function),
    Endpoint("PUT", FUNCTIONS + "/{nf_id}", move_function, body=resources.MOVED_NF),
    Endpoint("DELETE", FUNCTIONS + "/{nf_id}", delete_function),
    Endpoint("GET", FUNCTIONS + "/{nf_id}/groups", list_groups, query=PAGING),
    Endpoint("GET", FUNCTIONS + "/{nf_id}/groups/{group_id}", show_group),
    Endpoint("PUT", FUNCTIONS + "/{nf_id}/groups/{group_id}", change_group, body=resources.CHANGED_CREDENTIALS),
)
