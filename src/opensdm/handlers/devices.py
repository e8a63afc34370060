"""Asking devices about themselves: at a user's wish, and by the server's own polls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opensdm.core.device_status import Status, copied_from
from opensdm.core.difference import same
from opensdm.core.element import Element, Schema
from opensdm.core.errors import DeviceFault, InvalidRequest, NotFound, SdmError
from opensdm.core.operations import PollDevice, ReadDeviceFacts
from opensdm.core.ports import DeviceConnection, DeviceFacts, Transaction, Work
from opensdm.core.validation import Key
from opensdm.core.versions import MAX_DRIFT, Drift, Source
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import Loaded, by_key, loaded, version_note

DRIFT_FOUND = "device:drift:found"


async def read_device_facts(operation: ReadDeviceFacts, work: Work) -> DeviceFacts:
    connection = await work.connect(operation.device_id)
    return await connection.facts(work.permit_read())


async def poll_device(operation: PollDevice, work: Work) -> None:
    """Record whether the device answers, and what it says of itself. Never writes to the device."""
    facts, error, connection = None, None, None
    try:
        connection = await work.connect(operation.device_id)
        facts = await connection.facts(work.permit_read())
    except NotFound:
        return  # deleted since the poll was due
    except (DeviceFault, InvalidRequest) as fault:
        error = fault.message

    async def effect(transaction: Transaction) -> None:
        await transaction.inventory.set_polled(
            operation.device_id, reachable=facts is not None, facts=facts, error=error
        )

    comparison = None
    if operation.compare and connection is not None and facts is not None:
        comparison = await _compared(operation.device_id, work, connection, facts)
    await work.commit(effect)
    if comparison is not None:
        await _record(comparison, work)


# --------------------------------------------------------------------------------------------- drift


@dataclass(frozen=True, slots=True)
class Compared:
    """What the device holds beside our copy. `newest`: the last exclusive claim before it was read."""

    view: Loaded
    newest: int
    theirs: tuple[Element, ...]
    differing: tuple[Key, ...]
    known: Drift | None
    """A drift on record that is the very same."""


async def _compared(device_id: int, work: Work, connection: DeviceConnection, facts: DeviceFacts) -> Compared | None:
    """None where there is nothing to compare, or where somebody's work may be in between."""

    async def before(transaction: Transaction) -> tuple[Loaded, int, bool, Drift | None]:
        newest, writing = await transaction.inventory.writing(device_id)
        uncertain = (await transaction.inventory.activity([device_id])).get(device_id)
        view = await loaded(transaction, device_id, work.session.user_id)
        quiet = not writing and uncertain is None and view.device.status != Status.UNCERTAIN
        return view, newest, quiet, await transaction.configurations.drift(device_id)

    try:
        view, newest, quiet, drift = await work.read(before)
        if not quiet or facts.software_version != view.device.software_version:
            return None
        running = copied_from(view.device) == "running"
        theirs = await connection.read_elements(work.permit_read(), view.schema, running=running)
        differing = await aside(differing_keys, view.schema, view.configuration.elements, theirs)
        known = drift if drift is not None and await _is_known(device_id, work, view.schema, drift, theirs) else None
    except SdmError:
        return None  # the poll itself said what there is to say of a device that does not answer
    return Compared(view, newest, theirs, differing, known)


async def _is_known(
    device_id: int, work: Work, schema: Schema, drift: Drift, theirs: tuple[Element, ...]
) -> bool:  # fmt: skip
    number = drift.version
    if number is None:
        return False
    kept = await work.read(lambda tx: tx.configurations.version_elements(device_id, number))
    return not await aside(differing_keys, schema, kept, theirs)


def differing_keys(schema: Schema, ours: Sequence[Element], theirs: Sequence[Element]) -> tuple[Key, ...]:
    """The top-level elements that two configurations do not share, or disagree on."""
    here, there = by_key(schema, ours), by_key(schema, theirs)
    return tuple(key for key in {**here, **there} if not same(schema, here.get(key), there.get(key)))


async def _record(comparison: Compared, work: Work) -> None:
    """Note the drift, or that there is none. Nothing at all when a writing operation came in between."""
    view, device_id = comparison.view, comparison.view.device.device_id

    async def effect(transaction: Transaction) -> bool:
        device = await transaction.inventory.device(device_id)
        quiet = await transaction.inventory.writing(device_id) == (comparison.newest, False)
        if not quiet or device.loaded_version != view.device.loaded_version:
            return False
        if not comparison.differing:
            await transaction.configurations.set_drift(device_id, None)
            return False
        if comparison.known is not None:
            return False
        await _add_drift(transaction, comparison, work)
        return True

    await work.commit(effect, found=DRIFT_FOUND)


async def _add_drift(transaction: Transaction, comparison: Compared, work: Work) -> None:
    device = comparison.view.device
    lock = (await transaction.locks.lock(device.device_id)).row
    note = version_note(work, Source.DRIFT, device.software_version)
    version = await transaction.configurations.add_version(device.device_id, comparison.theirs, note)
    drift = Drift(
        transaction.now_us, len(comparison.differing), comparison.differing[:MAX_DRIFT], lock.holder_name,
        version.number,
    )  # fmt: skip
    await transaction.configurations.set_drift(device.device_id, drift)


HANDLERS_HERE = {ReadDeviceFacts: read_device_facts, PollDevice: poll_device}
