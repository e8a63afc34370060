"""Managing devices and editing their configuration: our copy, and each user's staged changes on top of it."""

from __future__ import annotations

from dataclasses import replace

from opensdm.core.difference import masked, same
from opensdm.core.effective import added, fold, locate, removed, updated, validate_change
from opensdm.core.element import Element, Schema
from opensdm.core.errors import AlreadyExists, InvalidRequest, NotAssigned
from opensdm.core.operations import (
    AddElement,
    AssignDevice,
    DeleteElement,
    DiscardChanges,
    ListElements,
    LoadConfiguration,
    RetrieveElement,
    ShowPendingChanges,
    UnassignDevice,
    UpdateElement,
)
from opensdm.core.permit import Permit, Read
from opensdm.core.ports import DeviceConnection, DeviceFacts, Transaction, Work
from opensdm.core.results import ChangesShown, DeviceShown, ElementsShown
from opensdm.core.staging import PendingChange
from opensdm.core.validation import element_type, key_of, validate
from opensdm.core.versions import Source, VersionNote
from opensdm.handlers.loaded import Loaded, loaded, managed_device, shown

IN_SYNC, SAVED_ONLY, UNCERTAIN = "In Sync", "Modified", "Uncertain"
"""Modified: the device keeps changes of ours that it does not run yet. Uncertain: of work that was cut short."""

# ------------------------------------------------------------------------------------------ managing


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
    note = VersionNote(Source.LOAD, work.session.user_name, work.request_id, facts.software_version)
    status = UNCERTAIN if work.uncertain else device.status
    if status not in (SAVED_ONLY, UNCERTAIN) or not await _leftovers(connection, permit, schema, elements):
        status = IN_SYNC

    async def effect(transaction: Transaction) -> DeviceShown:
        if is_new:
            await transaction.configurations.save_schema(schema)
        await transaction.configurations.save_configuration(device_id, elements, note)
        await transaction.inventory.set_polled(device_id, reachable=True, facts=facts, error=None)
        await transaction.inventory.set_operation(device_id, last_operation="Load", status=status)
        return await shown(transaction, device_id, work.session.user_id)

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
    editing = {key_of(schema, e): e for e in await connection.read_elements(permit, schema)}
    active = {key_of(schema, e): e for e in running}
    return editing.keys() != active.keys() or any(not same(schema, editing[k], active[k]) for k in editing)


# ------------------------------------------------------------------------------------------- reading


async def list_elements(operation: ListElements, work: Work) -> ElementsShown:
    """Elements of one type with the caller's changes applied; of a sub-element type, from all elements that have it."""
    if not operation.element_path:
        raise InvalidRequest("which elements? Say so with elementTypePath")
    view = await _view(work, operation.device_id)
    element_type(view.schema, operation.element_path)
    tops = view.elements(operation.element_path)
    found = [e for top in tops for e in top.walk() if e.path == operation.element_path]
    last = None if operation.limit is None else operation.offset + operation.limit
    page = tuple(masked(view.schema, e) for e in found[operation.offset : last])
    return ElementsShown(page, len(found), operation.offset)


async def retrieve_element(operation: RetrieveElement, work: Work) -> Element:
    """One element by its keys; whatever else the request carries is not looked at."""
    view = await _view(work, operation.device_id)
    trail = locate(view.schema, view.elements(operation.element.path), operation.element, operation.parent)
    return masked(view.schema, trail[-1])


async def show_pending_changes(operation: ShowPendingChanges, work: Work) -> ChangesShown:
    async def query(transaction: Transaction) -> tuple[list[PendingChange], Schema | None]:
        device = await transaction.inventory.device(operation.device_id)
        changes = await transaction.configurations.changes(work.session.user_id, operation.device_id)
        return changes, await transaction.configurations.schema(device.platform, device.software_version)

    changes, schema = await work.read(query)
    return ChangesShown(tuple(_shown_change(schema, change) for change in changes))


async def _view(work: Work, device_id: int) -> Loaded:
    return await work.read(lambda transaction: loaded(transaction, device_id, work.session.user_id))


def _shown_change(schema: Schema | None, change: PendingChange) -> PendingChange:
    return replace(change, before=_shown_element(schema, change.before), after=_shown_element(schema, change.after))


def _shown_element(schema: Schema | None, element: Element | None) -> Element | None:
    """Without the schema nobody can tell which values are secret, so none is shown."""
    if element is None:
        return None
    if schema is None or element.path not in schema.types:
        return Element(element.path)
    return masked(schema, element)


# ------------------------------------------------------------------------------------------- staging


async def add_element(operation: AddElement, work: Work) -> Element:
    """Stage a new element, or a sub-element of the one `parent` names. Raises AlreadyExists for keys that are there."""
    new = operation.element

    async def effect(transaction: Transaction) -> Element:
        view = await loaded(transaction, operation.device_id, work.session.user_id)
        validate(view.schema, new)
        before, after = added(view.schema, view.elements(new.path), new, operation.parent)
        await _stage(transaction, work, view, before, after)
        return masked(view.schema, new)

    return await work.commit(effect)


async def update_element(operation: UpdateElement, work: Work) -> Element:
    """Stage new values of some attributes; `xxxx` keeps a secret. Answers the whole element as it will be."""

    async def effect(transaction: Transaction) -> Element:
        view = await loaded(transaction, operation.device_id, work.session.user_id)
        path = operation.element.path
        before, after = updated(view.schema, view.elements(path), operation.element, operation.parent)
        await _stage(transaction, work, view, before[0], after[0])
        return masked(view.schema, after[-1])

    return await work.commit(effect)


async def delete_element(operation: DeleteElement, work: Work) -> None:
    """Stage the removal of an element with everything beneath it."""

    async def effect(transaction: Transaction) -> None:
        view = await loaded(transaction, operation.device_id, work.session.user_id)
        path = operation.element.path
        before, after = removed(view.schema, view.elements(path), operation.element, operation.parent)
        await _stage(transaction, work, view, before, after)

    await work.commit(effect)


async def discard_changes(operation: DiscardChanges, work: Work) -> None:
    """The caller's own changes only."""

    async def effect(transaction: Transaction) -> None:
        await transaction.inventory.device(operation.device_id)
        await transaction.configurations.discard_changes(work.session.user_id, operation.device_id)

    await work.commit(effect)


async def _stage(
    transaction: Transaction, work: Work, view: Loaded, before: Element | None, after: Element | None
) -> None:
    change = fold(view.schema, view.changes, before, after, transaction.now_us)
    validate_change(view.schema, change)
    await transaction.configurations.put_change(work.session.user_id, view.device.device_id, change)


HANDLERS_HERE = {
    AssignDevice: assign_device,
    UnassignDevice: unassign_device,
    LoadConfiguration: load_configuration,
    ListElements: list_elements,
    RetrieveElement: retrieve_element,
    ShowPendingChanges: show_pending_changes,
    AddElement: add_element,
    UpdateElement: update_element,
    DeleteElement: delete_element,
    DiscardChanges: discard_changes,
}
