"""What lists for people are drawn from: devices found by words, and the locks of what is on a page."""

from __future__ import annotations

from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import MAX_DEVICES, FindDevices, ShowLocks
from opensdm.core.ports import LockView, Page, Transaction, Work
from opensdm.core.results import DeviceFound, Listing
from opensdm.handlers.loaded import all_shown

MAX_WORDS, MAX_LENGTH = 8, 200


async def find_devices(operation: FindDevices, work: Work) -> Listing[DeviceFound]:
    words = operation.words.split()
    if len(words) > MAX_WORDS or len(operation.words) > MAX_LENGTH:
        raise InvalidRequest(f"at most {MAX_WORDS} words to look for, and {MAX_LENGTH} characters", field="words")
    page, user_id = Page(operation.offset, operation.limit), work.session.user_id

    async def query(tx: Transaction) -> tuple[tuple[DeviceFound, ...], int]:
        devices, total = await tx.inventory.found(words, operation.beneath, page, operation.trouble)
        locks = {view.row.device_id: view for view in await tx.locks.locks_on([d.device_id for d in devices])}
        shown = await all_shown(tx, devices, user_id)
        return tuple(DeviceFound(each, locks[each.device.device_id]) for each in shown), total

    items, total = await work.read(query)
    return Listing(items, total, operation.offset)


async def show_locks(operation: ShowLocks, work: Work) -> Listing[LockView]:
    if len(operation.device_ids) > MAX_DEVICES:
        raise InvalidRequest(f"at most {MAX_DEVICES} devices at a time", field="deviceIds")
    found = await work.read(lambda tx: tx.locks.locks_on(operation.device_ids))
    return Listing(tuple(found), len(found))


HANDLERS_HERE = {FindDevices: find_devices, ShowLocks: show_locks}
