"""Network functions: what kinds there are, adding, moving and deleting them, and how their devices are entered."""

from __future__ import annotations

from collections.abc import Mapping

from opensdm.core.enrolment import ADDRESSES, check_pair, checked_changes, parameter_types
from opensdm.core.errors import Conflict, InvalidRequest, NotFound
from opensdm.core.inventory import CATEGORIES, HOME_GROUP_NAME, Device, DeviceGroup, NetworkFunction, wire_id
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
from opensdm.core.ports import Page, Transaction, Work
from opensdm.core.results import CategoryShown, FunctionShown, GroupShown, Listing
from opensdm.handlers.enrolment import named_type, new_function, offered
from opensdm.handlers.inventory import shown_parameters


async def list_categories(operation: ListCategories, work: Work) -> Listing[CategoryShown]:
    return Listing(tuple(CategoryShown(c) for c in CATEGORIES), len(CATEGORIES))


async def show_category(operation: ShowCategory, work: Work) -> CategoryShown:
    category = next((c for c in CATEGORIES if c.category_id == operation.category_id), None)
    if category is None:
        raise NotFound(f"there is no network function category {wire_id(operation.category_id)}")
    if operation.type_name is None:
        return CategoryShown(category)
    if named_type(operation.type_name, category) is None:
        raise NotFound(f"category {category.name!r} has no type {operation.type_name!r}; {offered(category)}")
    return CategoryShown(category, parameter_types(work.platforms))


async def list_network_functions(operation: ListNetworkFunctions, work: Work) -> Listing[FunctionShown]:
    page = Page(operation.offset, operation.limit)
    functions, total = await work.read(lambda tx: tx.inventory.functions(operation.filters, page))
    return Listing(tuple(FunctionShown(f) for f in functions), total, operation.offset)


async def show_network_function(operation: ShowNetworkFunction, work: Work) -> FunctionShown:
    async def query(tx: Transaction) -> FunctionShown:
        return await _function_shown(tx, await tx.inventory.function(operation.nf_id))

    return await work.read(query)


async def list_function_groups(operation: ListFunctionGroups, work: Work) -> Listing[GroupShown]:
    async def query(tx: Transaction) -> tuple[GroupShown, ...]:
        groups = await tx.inventory.function_groups(operation.nf_id)
        return tuple([await _group_shown(tx, group, work) for group in groups])

    items = await work.read(query)
    return Listing(items, len(items))


async def show_function_group(operation: ShowFunctionGroup, work: Work) -> GroupShown:
    async def query(tx: Transaction) -> GroupShown:
        return await _group_shown(tx, await _group_of(tx, operation.nf_id, operation.group_id), work)

    return await work.read(query)


async def add_network_function(operation: AddNetworkFunction, work: Work) -> FunctionShown:
    """A function with its devices, whether they can be reached or not."""
    new = new_function(operation, work.platforms)

    async def effect(tx: Transaction) -> FunctionShown:
        parent = await tx.inventory.group_named(operation.parent_full_name or HOME_GROUP_NAME)
        function = await tx.inventory.add_function(
            new.nf_name, parent.group_id, new.category.name, new.type_name, new.devices
        )
        return await _function_shown(tx, function)

    return await work.commit(effect)


async def move_network_function(operation: MoveNetworkFunction, work: Work) -> FunctionShown:
    async def effect(tx: Transaction) -> FunctionShown:
        parent = await tx.inventory.group_named(operation.parent_full_name)
        await tx.inventory.move_function(operation.nf_id, parent.group_id)
        return await _function_shown(tx, await tx.inventory.function(operation.nf_id))

    return await work.commit(effect)


async def delete_network_function(operation: DeleteNetworkFunction, work: Work) -> None:
    await work.commit(lambda tx: tx.inventory.delete_function(operation.nf_id))


async def change_credentials(operation: ChangeCredentials, work: Work) -> GroupShown:
    """Change parameters of all devices of a group; what is not named stays, and nothing changed is fine."""
    changes = checked_changes(operation.parameters, work.platforms)
    secret_names = {t.name for t in parameter_types(work.platforms) if t.secret}
    secrets = {name: changes.pop(name) for name in secret_names & changes.keys()}
    read_only = changes.pop("read.only", None)

    async def effect(tx: Transaction) -> GroupShown:
        group = await _group_of(tx, operation.nf_id, operation.group_id)
        devices = await tx.inventory.devices_in(group.group_id)
        for device in devices:
            _check_fits(changes, device, group, len(devices))
            keep = device.read_only if read_only is None else read_only == "true"
            await tx.inventory.set_parameters(device.device_id, changes, secrets, read_only=keep)
        return await _group_shown(tx, group, work)

    return await work.commit(effect)


def _check_fits(changes: Mapping[str, str], device: Device, group: DeviceGroup, devices: int) -> None:
    """What only one device can have is not given to several, and the platform never changes."""
    now = device.parameters
    if changes.get("platform", device.platform) != device.platform:
        raise Conflict("the platform of a device is set when it is added; delete the network function and add it anew")
    if devices > 1 and any(changes.get(name, now.get(name)) != now.get(name) for name in ADDRESSES):
        raise InvalidRequest(f"group {group.full_name!r} has {devices} devices; an address belongs to one of them")
    check_pair(changes.get("primary.ip", device.ip), changes.get("secondary.ip", now.get("secondary.ip")))


async def _function_shown(tx: Transaction, function: NetworkFunction) -> FunctionShown:
    groups = await tx.inventory.function_groups(function.nf_id)
    return FunctionShown(function, tuple(groups), tuple(await tx.inventory.devices_in(function.nf_id)))


async def _group_of(tx: Transaction, nf_id: int, group_id: int) -> DeviceGroup:
    for group in await tx.inventory.function_groups(nf_id):
        if group.group_id == group_id:
            return group
    raise NotFound(f"network function {wire_id(nf_id)} has no group {wire_id(group_id)}")


async def _group_shown(tx: Transaction, group: DeviceGroup, work: Work) -> GroupShown:
    devices = await tx.inventory.devices_in(group.group_id)
    return GroupShown(group, shown_parameters(parameter_types(work.platforms), devices))


HANDLERS_HERE = {
    ListCategories: list_categories,
    ShowCategory: show_category,
    ListNetworkFunctions: list_network_functions,
    ShowNetworkFunction: show_network_function,
    ListFunctionGroups: list_function_groups,
    ShowFunctionGroup: show_function_group,
    AddNetworkFunction: add_network_function,
    MoveNetworkFunction: move_network_function,
    DeleteNetworkFunction: delete_network_function,
    ChangeCredentials: change_credentials,
}
