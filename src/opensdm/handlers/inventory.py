"""Devices and device groups."""

from __future__ import annotations

from dataclasses import replace

from opensdm.core.enrolment import parameter_types
from opensdm.core.errors import InvalidRequest, NotAssigned
from opensdm.core.inventory import HOME_GROUP_ID, Device, ParameterType, check_group_name, wire_id
from opensdm.core.operations import (
    AddDeviceGroup,
    ChangeDeviceGroup,
    DeleteDeviceGroup,
    ListDeviceGroups,
    ListDevices,
    ShowDevice,
    ShowDeviceGroup,
)
from opensdm.core.ports import Page, Transaction, Work
from opensdm.core.results import DeviceShown, GroupShown, Listing, ParameterValue
from opensdm.handlers.loaded import all_shown, shown


async def list_devices(operation: ListDevices, work: Work) -> Listing[DeviceShown]:
    user_id = work.session.user_id

    async def query(tx: Transaction) -> tuple[tuple[DeviceShown, ...], int]:
        page = Page(operation.offset, operation.limit)
        devices, total = await tx.inventory.devices(operation.filters, page, managed=operation.managed)
        return await all_shown(tx, devices, user_id), total

    items, total = await work.read(query)
    return Listing(items, total, operation.offset)


async def show_device(operation: ShowDevice, work: Work) -> DeviceShown:
    """One device with its parameters. NotAssigned when the managed form of a device is asked for that is not."""
    user_id, types = work.session.user_id, parameter_types(work.platforms)

    async def query(tx: Transaction) -> DeviceShown:
        found = await shown(tx, operation.device_id, user_id)
        return replace(found, parameters=shown_parameters(types, [found.device]))

    device = await work.read(query)
    if operation.managed and not device.device.assigned:
        name = device.device.device_name
        raise NotAssigned(f"device {name!r} ({wire_id(operation.device_id)}) is in the inventory but not managed yet")
    return device


async def list_device_groups(operation: ListDeviceGroups, work: Work) -> Listing[GroupShown]:
    page = Page(operation.offset, operation.limit)
    groups, total = await work.read(lambda tx: tx.inventory.groups(operation.filters, page))
    return Listing(tuple(GroupShown(g) for g in groups), total, operation.offset)


async def show_device_group(operation: ShowDeviceGroup, work: Work) -> GroupShown:
    return GroupShown(await work.read(lambda tx: tx.inventory.group(operation.group_id)))


async def add_device_group(operation: AddDeviceGroup, work: Work) -> GroupShown:
    """Without a parent the group is shown at the top level; its place, and the rights on it, are under `Home`."""
    name, parent_full_name = check_group_name(operation.group_name), operation.parent_full_name

    async def effect(tx: Transaction) -> GroupShown:
        if parent_full_name is None:
            return GroupShown(await tx.inventory.add_group(name, HOME_GROUP_ID, top_level=True))
        parent = await tx.inventory.group_named(parent_full_name)
        return GroupShown(await tx.inventory.add_group(name, parent.group_id, top_level=False))

    return await work.commit(effect)


async def change_device_group(operation: ChangeDeviceGroup, work: Work) -> GroupShown:
    """Rename, move, or both in one step."""
    if operation.group_name is None and operation.parent_full_name is None:
        raise InvalidRequest("nothing to change: send a name, a parentGroupFullName, or both")
    name = None if operation.group_name is None else check_group_name(operation.group_name)

    async def effect(tx: Transaction) -> GroupShown:
        group = await tx.inventory.group(operation.group_id)
        parent_id, top_level = group.parent_id or HOME_GROUP_ID, group.top_level
        if operation.parent_full_name is not None:
            parent_id, top_level = (await tx.inventory.group_named(operation.parent_full_name)).group_id, False
        changed = await tx.inventory.change_group(
            group.group_id, group_name=name or group.group_name, parent_id=parent_id, top_level=top_level
        )
        return GroupShown(changed)

    return await work.commit(effect)


async def delete_device_group(operation: DeleteDeviceGroup, work: Work) -> None:
    await work.commit(lambda tx: tx.inventory.delete_group(operation.group_id))


def shown_parameters(types: tuple[ParameterType, ...], devices: list[Device]) -> tuple[ParameterValue, ...]:
    """Every parameter with the value that all the devices share; None where they differ or have none."""
    shown = []
    for parameter in types:
        values = {device.parameters.get(parameter.name) for device in devices}
        shown.append(ParameterValue(parameter, values.pop() if len(values) == 1 else None))
    return tuple(shown)


HANDLERS_HERE = {
    ListDevices: list_devices,
    ShowDevice: show_device,
    ListDeviceGroups: list_device_groups,
    ShowDeviceGroup: show_device_group,
    AddDeviceGroup: add_device_group,
    ChangeDeviceGroup: change_device_group,
    DeleteDeviceGroup: delete_device_group,
}
