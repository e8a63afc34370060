"""Asking devices about themselves: at a user's wish, and by the server's own polls."""

from __future__ import annotations

from opensdm.core.errors import DeviceFault, InvalidRequest, NotFound
from opensdm.core.operations import PollDevice, ReadDeviceFacts
from opensdm.core.ports import DeviceFacts, Transaction, Work


async def read_device_facts(operation: ReadDeviceFacts, work: Work) -> DeviceFacts:
    connection = await work.connect(operation.device_id)
    return await connection.facts(work.permit_read())


async def poll_device(operation: PollDevice, work: Work) -> None:
    """Record whether the device answers, and what it says of itself. Never writes to the device."""
    facts, error = None, None
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

    await work.commit(effect)


HANDLERS_HERE = {ReadDeviceFacts: read_device_facts, PollDevice: poll_device}
