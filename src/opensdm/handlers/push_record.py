"""What a push leaves in our own record: the copy, what is staged still, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from opensdm.core.device_status import Status
from opensdm.core.element import Element
from opensdm.core.errors import SdmError
from opensdm.core.operations import Prefer, PushAction
from opensdm.core.ports import Transaction
from opensdm.core.rebase import rebase
from opensdm.core.results import FAILED, SUCCEEDED, PushReply
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key
from opensdm.core.versions import Source, settled
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import by_key, version_note
from opensdm.handlers.push_course import Course

TOO_LATE = "it was asked to stop when the device had taken the changes over already, so it went on to its end"


async def after_success(course: Course, note: str | None = None) -> PushReply:
    """The device holds the changes; our copy becomes what it shows. Failing here undoes nothing there."""
    try:
        await _record(course, *await _new_copy(course))
    except SdmError as problem:
        await mark_uncertain(course)
        return failed(course, problem, "the device took the changes over, but our copy could not be brought up to date")
    course.final = True  # for a save alone, too: it is done and on record
    await course.stop_if_asked()
    said = TOO_LATE if course.too_late else note
    return replace(course.reply, status=SUCCEEDED, validation_message=said)


async def _new_copy(course: Course) -> tuple[tuple[Element, ...], tuple[str, ...] | None]:
    """What becomes part of our copy, and of which types: of all when more than our edits may be new."""
    plan, running = course.plan, course.plan.action is not PushAction.SAVE
    if plan.whole or not plan.changes or plan.view.device.status != Status.IN_SYNC:
        return await course.device.read_elements(course.permit, course.schema, running=running), None
    shown = course.read_back if course.read_back is not None else await course.touched(running=running)
    if plan.named:
        return await aside(_amended, course, plan.view.configuration.elements, shown), plan.paths
    return tuple(shown.values()), plan.paths


def _amended(course: Course, copy: Sequence[Element], shown: Mapping[Key, Element]) -> tuple[Element, ...]:
    """Our copy of the changed types with the changed elements as the device shows them; the others as they were."""
    plan, schema = course.plan, course.schema
    ours = by_key(schema, (element for element in copy if element.path in plan.paths))
    touched = {(change.path, change.key) for change in plan.changes}
    # What a device shows beyond what it was asked for is as good as what we have; what is new comes last.
    kept = {key: shown.get(key, element) for key, element in ours.items() if key in shown or key not in touched}
    return tuple({**kept, **shown}.values())


async def _record(course: Course, elements: tuple[Element, ...], paths: tuple[str, ...] | None) -> None:
    plan, device = course.plan, course.plan.view.device
    device_id = device.device_id
    status = Status.MODIFIED if plan.action is PushAction.SAVE else Status.IN_SYNC
    stored = await aside(by_key, course.schema, elements)
    packed = await course.work.pack(elements)

    async def effect(transaction: Transaction) -> None:
        note = version_note(course.work, plan.source, device.software_version, plan.comment)
        await transaction.configurations.save_configuration(device_id, packed, note, paths)
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
            left = replace(now, before=base, after=base)
            if now.after != pushed.after:
                left = _on_top(course, replace(now, before=pushed.after), base)
            await store.put_change(user_id, device_id, left, name)


def _on_top(course: Course, change: PendingChange, base: Element | None) -> PendingChange:
    """A change of what was pushed, laid over what the device made of that: it may say more than was sent."""
    done = rebase(course.schema, () if base is None else (base,), [change], Prefer.MINE)
    return (*done.changes, *done.dropped)[0]


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
