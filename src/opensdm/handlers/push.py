"""The push: a user's staged changes onto the device, step by step, each with its published flag.

Whatever refuses before the device is asked to change anything raises. From the device's own lock on, the
answer is a `PushReply` that says how far it came. After a loss of the lock nothing more is sent: no
rollback, not even an unlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opensdm.core.device_status import SAVE_ONLY, Status, copied_from
from opensdm.core.element import Schema
from opensdm.core.errors import Cancelled, LockLost, RollbackFailed, SdmError
from opensdm.core.operations import PushAction, PushChanges
from opensdm.core.ports import DeviceConnection, ElementEdit, Transaction, Work
from opensdm.core.references import types_concerned
from opensdm.core.results import PushReply
from opensdm.core.staging import PendingChange
from opensdm.core.versions import Source
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import Loaded, Types, loaded, managed_device
from opensdm.handlers.push_compare import check_action, compare_with_device, software_changed
from opensdm.handlers.push_course import Course, Plan
from opensdm.handlers.push_record import after_success, failed, mark_uncertain
from opensdm.handlers.push_rollback import roll_back, unsure
from opensdm.handlers.push_stages import apply, lock, unlock
from opensdm.handlers.staleness import check_changes, refuse_masked

LAST_OPERATION = {
    PushAction.SAVE: SAVE_ONLY,
    PushAction.ACTIVATE: "Activate",
    PushAction.SAVE_ACTIVATE: "SaveAndActivate",
}


async def push_changes(operation: PushChanges, work: Work) -> PushReply:
    view = await work.read(lambda transaction: view_to_push(transaction, work, operation.device_id, operation))
    check_action(work.capabilities(view.device.platform), view.device.platform, operation.action)
    changes = to_send(view, operation.action)
    await aside(checked, view, changes)
    connection = await work.connect(operation.device_id)
    course = Course(work, plan_of(operation, view, changes), connection)
    if await software_changed(course):
        return course.reply
    await compare_with_device(course)
    if not course.can.candidate:
        await aside(_writable, changes, connection, course.schema)
    nothing_to_do = not changes and operation.action is not PushAction.ACTIVATE
    return await run(course, "there were no staged changes" if nothing_to_do else None)


async def view_to_push(transaction: Transaction, work: Work, device_id: int, operation: PushChanges) -> Loaded:
    """As much of our copy as it takes; all of it where the device has to be compared with all of it."""
    device = await managed_device(transaction, device_id)
    paths: Types | None = _nothing if operation.action is PushAction.ACTIVATE else types_concerned
    if work.uncertain or device.status == Status.UNCERTAIN:
        paths = None
    return await loaded(transaction, device_id, work.session.user_id, operation.change_set, paths)


def _nothing(schema: Schema, changes: Sequence[PendingChange]) -> tuple[str, ...]:
    return ()


def to_send(view: Loaded, action: PushAction) -> tuple[PendingChange, ...]:
    """In the order they were staged; what goes makes room for what comes."""
    if action is PushAction.ACTIVATE:
        return ()
    return tuple(sorted(view.changes, key=lambda change: change.after is not None))


def checked(view: Loaded, changes: Sequence[PendingChange]) -> None:
    check_changes(view, changes)
    refuse_masked(view.schema, changes)


def _writable(changes: Sequence[PendingChange], connection: DeviceConnection, schema: Schema) -> None:
    """Where each write runs at once, what cannot be written is to be known before the first."""
    for change in changes:
        connection.preview(schema, ElementEdit(change.before, change.after))


def plan_of(operation: PushChanges, view: Loaded, changes: tuple[PendingChange, ...]) -> Plan:
    return Plan(
        view, operation.action, changes, Source.PUSH, LAST_OPERATION[operation.action], operation.change_set,
        base=copied_from(view.device),
    )  # fmt: skip


# ------------------------------------------------------------------------------------- on the device


async def run(course: Course, note: str | None = None) -> PushReply:
    """Everything that may change the device, and what our record makes of it. `note` is said of a success."""
    try:
        failure = await _on_device(course)
    except LockLost as lost:
        if course.disturbed:
            course.holds(unsure(course))
        return failed(course, lost)
    if failure is None:
        return await after_success(course, note)
    if isinstance(failure, RollbackFailed):
        await mark_uncertain(course)
    return failed(course, failure)


async def _on_device(course: Course) -> SdmError | None:
    """The failure, if it failed. Raises LockLost only."""
    failure = await course.tried(lock(course))
    if failure is not None:
        return failure
    failure = await course.tried(apply(course))
    if failure is not None and course.disturbed:
        failure = await roll_back(course, _cancelled(course, failure))
    unlocking = await course.tried(unlock(course))
    if unlocking is not None:
        # Not getting rid of the device's lock undoes nothing of what was done; it falls with its session.
        course.reply = replace(course.reply, error_message=unlocking.message)
    return failure


def _cancelled(course: Course, failure: SdmError) -> SdmError:
    if isinstance(failure, Cancelled):
        return Cancelled(f"{failure.message}: the device is as it was before")
    return failure


HANDLERS_HERE = {PushChanges: push_changes}
