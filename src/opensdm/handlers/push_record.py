"""What a push leaves in our own record: the copy, what is staged still, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from opensdm.core.device_status import Status
from opensdm.core.element import Element
from opensdm.core.errors import SdmError
from opensdm.core.operations import PushAction
from opensdm.core.ports import Transaction
from opensdm.core.results import FAILED, SUCCEEDED, PushReply
from opensdm.core.validation import Key
from opensdm.core.versions import Source, settled
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import by_key, version_note
from opensdm.handlers.push_course import Course

TOO_LATE = "it was asked to stop when the device ran the changes already, so it went on to its end"


async def after_success(course: Course, note: str | None = None) -> PushReply:
    """The device holds the changes; our copy becomes what it shows. Failing here undoes nothing there."""
    try:
        await _record(course, *await _new_copy(course))
    except SdmError as problem:
        await mark_uncertain(course)
        return failed(course, problem, "the device took the changes over, but our copy could not be brought up to date")
    await course.stop_if_asked()
    said = TOO_LATE if course.too_late else note
    return replace(course.reply, status=SUCCEEDED, validation_message=said)


async def _new_copy(course: Course) -> tuple[tuple[Element, ...], tuple[str, ...] | None]:
    """What becomes part of our copy, and of which types: of all when more than our edits may be new."""
    plan, running = course.plan, course.plan.action is not PushAction.SAVE
    if plan.whole or not plan.changes or plan.view.device.status != Status.IN_SYNC:
        return await course.device.read_elements(course.permit, course.schema, running=running), None
    shown = course.read_back if course.read_back is not None else await course.touched(running=running)
    return tuple(shown.values()), plan.paths


async def _record(course: Course, elements: tuple[Element, ...], paths: tuple[str, ...] | None) -> None:
    plan, device = course.plan, course.plan.view.device
    device_id = device.device_id
    status = Status.MODIFIED if plan.action is PushAction.SAVE else Status.IN_SYNC
    stored = await aside(by_key, course.schema, elements)

    async def effect(transaction: Transaction) -> None:
        note = version_note(course.work, plan.source, device.software_version, plan.comment)
        await transaction.configurations.save_configuration(device_id, elements, note, paths)
        if plan.source is Source.PUSH:
            await _clear_pushed(course, transaction, stored)
        drift = await transaction.configurations.drift(device_id)
        if drift is not None:
            await transaction.configurations.set_drift(device_id, settled(drift, paths))
        await transaction.inventory.set_operation(device_id, last_operation=plan.last_operation, status=status)

    await course.work.commit(effect)


async def _clear_pushed(course: Course, transaction: Transaction, stored: Mapping[Key, Element]) -> None:
    """What was pushed is staged no more; what its owner staged meanwhile stays, on its new base."""
    user_id, device_id, name = course.work.session.user_id, course.plan.view.device.device_id, course.plan.change_set
    store = transaction.configurations
    present = {(c.path, c.key): c for c in await store.changes(user_id, device_id, name)}
    for pushed in course.plan.changes:
        now = present.get((pushed.path, pushed.key))
        if now is not None:
            base = stored.get((pushed.path, pushed.key))
            after = base if now.after == pushed.after else now.after
            await store.put_change(user_id, device_id, replace(now, before=base, after=after), name)


async def mark_uncertain(course: Course) -> None:
    """So that whoever comes next looks before relying on our copy."""
    device = course.plan.view.device

    async def effect(transaction: Transaction) -> None:
        await transaction.inventory.set_operation(
            device.device_id, last_operation=device.last_operation, status=Status.UNCERTAIN
        )

    try:
        await course.work.commit(effect)
    except SdmError:
        return  # the gate marks the claim's end uncertain where its fence or an open step says so


def failed(course: Course, failure: SdmError, note: str | None = None) -> PushReply:
    message = failure.message if note is None else f"{note}: {failure.message}"
    return replace(course.reply, status=FAILED, error_code=failure.code, error_message=message)
