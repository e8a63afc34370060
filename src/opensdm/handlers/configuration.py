"""Managing devices: which ones are, and taking over what they run."""

from __future__ import annotations

from collections.abc import Sequence

from opensdm.core.device_status import Status
from opensdm.core.difference import same
from opensdm.core.element import Element, Schema
from opensdm.core.errors import AlreadyExists, NotAssigned
from opensdm.core.operations import AssignDevice, LoadConfiguration, UnassignDevice
from opensdm.core.permit import Permit, Read
from opensdm.core.ports import DeviceConnection, DeviceFacts, Transaction, Work
from opensdm.core.results import DeviceShown
from opensdm.core.versions import Source
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import by_key, managed_device, shown, version_note


async def assign_device(operation: AssignDevice, work: Work) -> DeviceShown:
    async def effect(transaction: Transaction) -> DeviceShown:
        device = await transaction.inventory.device(operation.device_id)
        if device.assigned:
            raise AlreadyExists(f"{device.device_name} is managed already")
        await transaction.inventory.set_assigned(operation.device_id, True)
        return await shown(transaction, operation.device_id, work.session.user_id)

    return await work.commit(effect)


async def unassign_device(operation: UnassignDevice, work: Work) -> None:
    """The device stays in the inventory; staged changes and our copy stay, too, for when it is assigned again."""

    async def effect(transaction: Transaction) -> None:
        device = await transaction.inventory.device(operation.device_id)
        if not device.assigned:
            raise NotAssigned(f"{device.device_name} is not managed")
        await transaction.inventory.set_assigned(operation.device_id, False)

    await work.commit(effect)


async def load_configuration(operation: LoadConfiguration, work: Work) -> DeviceShown:
    """Take over what the device is running. Nobody's staged changes are touched; a push tells what became stale."""
    device_id = operation.device_id
    device = await work.read(lambda transaction: managed_device(transaction, device_id))
    connection, permit = await work.connect(device_id), work.permit_read()
    facts = await connection.facts(permit)
    schema, is_new = await device_schema(work, connection, permit, facts)
    elements = await connection.read_elements(permit, schema, running=True)
    status = Status.UNCERTAIN if work.uncertain else device.status
    if status not in (Status.MODIFIED, Status.UNCERTAIN) or not await _leftovers(connection, permit, schema, elements):
        status = Status.IN_SYNC

    async def effect(transaction: Transaction) -> DeviceShown:
        if is_new:
            await transaction.configurations.save_schema(schema)
        note = version_note(work, Source.LOAD, facts.software_version)
        await transaction.configurations.save_configuration(device_id, elements, note)
        await transaction.configurations.set_drift(device_id, None)
        await transaction.inventory.set_polled(device_id, reachable=True, facts=facts, error=None)
        await transaction.inventory.set_operation(device_id, last_operation="Load", status=status)
        return await shown(transaction, device_id, work.session.user_id, own_work=True)

    return await work.commit(effect)


async def device_schema(
    work: Work, connection: DeviceConnection, permit: Permit[Read], facts: DeviceFacts
) -> tuple[Schema, bool]:
    """The schema of the device's software, from the store if any device of that software was loaded before."""
    known = await work.read(lambda tx: tx.configurations.schema(facts.platform, facts.software_version))
    if known is not None:
        return known, False
    return await connection.read_schema(permit), True


async def _leftovers(
    connection: DeviceConnection, permit: Permit[Read], schema: Schema, running: tuple[Element, ...]
) -> bool:
    """Whether the device holds edits that nobody has activated."""
    if not connection.capabilities.candidate:
        return False
    return await aside(differ, schema, await connection.read_elements(permit, schema), running)


def differ(schema: Schema, ones: Sequence[Element], others: Sequence[Element]) -> bool:
    """Whether two configurations say different things."""
    here, there = by_key(schema, ones), by_key(schema, others)
    return here.keys() != there.keys() or any(not same(schema, here[key], there[key]) for key in here)


HANDLERS_HERE = {
    AssignDevice: assign_device,
    UnassignDevice: unassign_device,
    LoadConfiguration: load_configuration,
}
