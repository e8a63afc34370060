"""The history of a device's configuration: what was kept, what changed from one to another, and keeping more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opensdm.core.device_status import Status
from opensdm.core.difference import Difference, differences, same
from opensdm.core.element import Element, Schema
from opensdm.core.errors import NotAssigned, NotFound, NotLoaded
from opensdm.core.operations import (
    BackUpDevice,
    BackUpOnSchedule,
    CompareVersions,
    ListVersions,
    ShowVersion,
)
from opensdm.core.ports import Page, Transaction, Work
from opensdm.core.references import top_of
from opensdm.core.results import Comparison, Listing, VersionShown
from opensdm.core.validation import element_type
from opensdm.core.versions import Source, Version
from opensdm.handlers.aside import aside
from opensdm.handlers.configuration import device_schema
from opensdm.handlers.elements import all_masked
from opensdm.handlers.loaded import by_key, managed_device, version_note
from opensdm.handlers.locks import checked_reason

MAX_SHOWN = 500
"""How many differences one answer carries; it says how many there are."""

# ------------------------------------------------------------------------------------------- showing


async def list_versions(operation: ListVersions, work: Work) -> Listing[Version]:
    async def query(transaction: Transaction) -> tuple[list[Version], int]:
        await transaction.inventory.device(operation.device_id)
        page = Page(operation.offset, operation.limit)
        return await transaction.configurations.versions(operation.device_id, page)

    found, total = await work.read(query)
    return Listing(tuple(found), total, operation.offset)


async def show_version(operation: ShowVersion, work: Work) -> VersionShown:
    """A slice of its elements, secrets masked as its own software's schema says."""
    path = operation.element_path

    async def query(transaction: Transaction) -> tuple[Version, Schema, tuple[Element, ...]]:
        store, device_id = transaction.configurations, operation.device_id
        version = await store.version(device_id, operation.number)
        schema = await schema_of(transaction, version)
        if path is not None:
            element_type(schema, path)
        wanted = None if path is None else [top_of(path)]
        return version, schema, await store.version_elements(device_id, operation.number, wanted)

    version, schema, elements = await work.read(query)
    found = elements if path is None else await aside(_of_type, elements, path)
    last = None if operation.limit is None else operation.offset + operation.limit
    page = await aside(all_masked, schema, found[operation.offset : last])
    return VersionShown(version, page, len(found), operation.offset)


async def compare_versions(operation: CompareVersions, work: Work) -> Comparison:
    """Read with the schema of the newer one; types it does not know are left out."""

    async def query(transaction: Transaction) -> tuple[Version, Version, Schema, list[tuple[Element, ...]]]:
        store, device_id = transaction.configurations, operation.device_id
        number = operation.new
        if number is None:
            number = (await transaction.inventory.device(device_id)).loaded_version
            if number is None:
                raise NotLoaded("the configuration was never loaded: there is no present copy to compare with")
        old, new = await store.version(device_id, operation.old), await store.version(device_id, number)
        paths = await store.differing_paths(device_id, old.number, new.number)
        sides = [await store.version_elements(device_id, v.number, paths) for v in (old, new)]
        return old, new, await schema_of(transaction, max(old, new, key=lambda v: v.number)), sides

    old, new, schema, (before, after) = await work.read(query)
    found, total = await aside(first_differences, schema, before, after)
    return Comparison(old, new, found, total)


async def schema_of(transaction: Transaction, version: Version) -> Schema:
    """Of the software that the device ran when the version was taken."""
    device = await transaction.inventory.device(version.device_id)
    schema = await transaction.configurations.schema(device.platform, version.note.software_version)
    if schema is None:
        raise NotFound(
            f"the element types of {device.platform} {version.note.software_version!r} are not known any more, so "
            f"nobody can tell what in version {version.number} is secret"
        )
    return schema


def _of_type(elements: Sequence[Element], path: str) -> tuple[Element, ...]:
    return tuple(e for top in elements for e in top.walk() if e.path == path)


def first_differences(
    schema: Schema, old: Sequence[Element], new: Sequence[Element], most: int = MAX_SHOWN
) -> tuple[tuple[Difference, ...], int]:
    """The first of the differences from one configuration to another, and how many there are."""
    before, after = by_key(schema, _known(schema, old)), by_key(schema, _known(schema, new))
    found: list[Difference] = []
    total = 0
    for key in {**before, **after}:
        was, now = before.get(key), after.get(key)
        if not same(schema, was, now):
            here = differences(schema, was, now)
            total += len(here)
            found.extend(here[: max(0, most - len(found))])
    return tuple(found), total


def _known(schema: Schema, elements: Sequence[Element]) -> tuple[Element, ...]:
    known = (e for e in elements if e.path in schema.types)
    return tuple(replace(e, children=_known(schema, e.children)) if e.children else e for e in known)


# ------------------------------------------------------------------------------------------- keeping


async def back_up_device(operation: BackUpDevice, work: Work) -> Version:
    """Keep what the device runs as a version beside our copy."""
    device_id, comment = operation.device_id, checked_reason(operation.comment) or ""
    device = await work.read(lambda transaction: managed_device(transaction, device_id))
    connection, permit = await work.connect(device_id), work.permit_read()
    facts = await connection.facts(permit)
    schema, is_new = await device_schema(work, connection, permit, facts)
    elements = await connection.read_elements(permit, schema, running=True)

    async def effect(transaction: Transaction) -> Version:
        if is_new:
            await transaction.configurations.save_schema(schema)
        if work.uncertain:
            # What an earlier work left on the device is for the next push or load to find; this only kept it.
            await transaction.inventory.set_operation(
                device_id, last_operation=device.last_operation, status=Status.UNCERTAIN
            )
        note = version_note(work, Source.BACKUP, facts.software_version, comment)
        return await transaction.configurations.add_version(device_id, elements, note)

    return await work.commit(effect)


async def back_up_on_schedule(operation: BackUpOnSchedule, work: Work) -> Version | None:
    """The same by the server itself, beside anybody's lock; None for a device that is not there to be managed.

    An exclusive claim that was live, or came, while the device was read may have written: then the version may be
    a mixture, and says so.
    """
    device_id = operation.device_id

    async def before(transaction: Transaction) -> tuple[int, bool]:
        await managed_device(transaction, device_id)
        return await transaction.inventory.writing(device_id)

    try:
        newest, writing = await work.read(before)
    except (NotAssigned, NotFound):
        return None
    connection, permit = await work.connect(device_id), work.permit_read()
    facts = await connection.facts(permit)
    schema, is_new = await device_schema(work, connection, permit, facts)
    elements = await connection.read_elements(permit, schema, running=True)

    async def effect(transaction: Transaction) -> Version:
        if is_new:
            await transaction.configurations.save_schema(schema)
        torn = writing or await transaction.inventory.writing(device_id) != (newest, False)
        note = version_note(work, Source.SCHEDULE, facts.software_version, torn=torn)
        return await transaction.configurations.add_version(device_id, elements, note)

    return await work.commit(effect)


HANDLERS_HERE = {
    ListVersions: list_versions,
    ShowVersion: show_version,
    CompareVersions: compare_versions,
    BackUpDevice: back_up_device,
    BackUpOnSchedule: back_up_on_schedule,
}
