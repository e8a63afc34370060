"""Making a device hold a kept version again: a push of what differs, by the same stages and with the same proof."""

from __future__ import annotations

from collections.abc import Sequence

from opensdm.core.difference import same
from opensdm.core.element import Element, Schema
from opensdm.core.errors import NotRestorable
from opensdm.core.inventory import Device
from opensdm.core.operations import PushAction, RestoreVersion
from opensdm.core.permit import Permit, Read
from opensdm.core.ports import DeviceConnection, Transaction, Work
from opensdm.core.references import in_order_of_reference
from opensdm.core.results import PushReply
from opensdm.core.staging import Configuration, PendingChange
from opensdm.core.versions import Source, Version
from opensdm.handlers.aside import aside
from opensdm.handlers.configuration import differ
from opensdm.handlers.loaded import Loaded, by_key, managed_device
from opensdm.handlers.push import run
from opensdm.handlers.push_compare import check_action
from opensdm.handlers.push_course import Course, Plan
from opensdm.handlers.push_record import after_success
from opensdm.handlers.staleness import refuse_masked
from opensdm.handlers.versions import schema_of


async def restore_version(operation: RestoreVersion, work: Work) -> PushReply:
    """Based on what the device runs at this moment; nobody's staged changes are touched."""
    device_id = operation.device_id

    async def query(transaction: Transaction) -> tuple[Device, Version]:
        device = await managed_device(transaction, device_id)
        return device, await transaction.configurations.version(device_id, operation.number)

    device, version = await work.read(query)
    check_action(work.capabilities(device.platform), device.platform, PushAction.SAVE_ACTIVATE)
    if not version.restorable:
        raise NotRestorable(
            f"version {version.number} was read while other work wrote to the device, so it may be a mixture of before "
            "and after; restore one beside it",
            torn=True,
        )
    connection, permit = await work.connect(device_id), work.permit_read()
    await _check_software(connection, permit, version)
    wanted, schema = await work.read(lambda transaction: _kept(transaction, version))
    live = await connection.read_elements(permit, schema, running=True)
    changes = await aside(changes_between, schema, live, wanted)
    plan = Plan(
        Loaded(device, Configuration(device_id, 0, 0, live), schema, ()), PushAction.SAVE_ACTIVATE, changes,
        Source.RESTORE, "Restore", whole=True, comment=f"version {version.number}",
        leftovers=await _unfinished(connection, permit, schema, live),
    )  # fmt: skip
    course = Course(work, plan, connection)
    if not changes and not plan.leftovers:
        return await after_success(course, f"the device holds version {version.number} already")
    return await run(course)


async def _check_software(connection: DeviceConnection, permit: Permit[Read], version: Version) -> None:
    runs, was = (await connection.facts(permit)).software_version, version.note.software_version
    if runs != was:
        raise NotRestorable(
            f"version {version.number} is of software {was!r}, the device runs {runs!r}: what one of them holds may "
            "mean something else to the other",
            deviceRuns=runs, versionOf=was,
        )  # fmt: skip


async def _kept(transaction: Transaction, version: Version) -> tuple[tuple[Element, ...], Schema]:
    elements = await transaction.configurations.version_elements(version.device_id, version.number)
    return elements, await schema_of(transaction, version)


async def _unfinished(
    connection: DeviceConnection, permit: Permit[Read], schema: Schema, live: tuple[Element, ...]
) -> bool:
    """Whether edits wait on the device that nobody activated: they would be activated along with the version."""
    if not connection.capabilities.candidate:
        return False
    return await aside(differ, schema, await connection.read_elements(permit, schema), live)


def changes_between(
    schema: Schema, live: Sequence[Element], wanted: Sequence[Element]
) -> tuple[PendingChange, ...]:  # fmt: skip
    """What makes one configuration the other. Raises InvalidRequest where that would take an unknown secret."""
    here, there = by_key(schema, live), by_key(schema, wanted)
    changes = [
        PendingChange(*key, here.get(key), there.get(key), 0)
        for key in {**here, **there}
        if not same(schema, here.get(key), there.get(key))
    ]
    refuse_masked(schema, changes)
    return tuple(in_order_of_reference(schema, changes))


HANDLERS_HERE = {RestoreVersion: restore_version}
