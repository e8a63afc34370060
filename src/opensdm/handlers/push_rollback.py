"""Putting back what was there before a push that failed, and saying what the device holds if that fails, too."""

from __future__ import annotations

from collections.abc import Sequence

from opensdm.core.difference import differences
from opensdm.core.element import Element, Schema
from opensdm.core.errors import DeviceSideLocked, EditLost, Rejected, RollbackFailed, SdmError
from opensdm.core.ports import ElementEdit
from opensdm.core.results import Held
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key
from opensdm.handlers.aside import aside
from opensdm.handlers.push_course import Course
from opensdm.handlers.push_stages import shortfalls
from opensdm.handlers.staleness import named

OLD, NEW, OTHER, UNSURE = "old", "new", "other", "unknown"


async def roll_back(course: Course, problem: SdmError) -> SdmError:
    """Put back what was there before; answers what to report. Raises LockLost only."""
    second = await course.tried(_restore(course))
    if second is None:
        course.holds(Held(c.path, c.key, OLD) for c in course.plan.changes)
        return problem
    course.holds(await _held(course))
    return RollbackFailed(
        f"{problem.message}. Putting the old configuration back failed, too: {second.message}. "
        "What the device holds now is uncertain; the next push or load looks",
        cause=problem.code,
    )


async def _restore(course: Course) -> None:
    async with course.stage("restore", stops=False):
        if course.can.restore and not (course.plan.base == "saved" and course.may_be_saved):
            await _by_itself(course)
        if course.can.candidate:
            await _put_back_candidate(course)
        else:
            await _undo(course, await course.changed_from_before(running=True))
            if course.may_be_saved:
                await course.device.save(course.permit)
        await _confirm_restored(course)


async def _by_itself(course: Course) -> None:
    """The device's own way back; what was saved already cannot be the source of it."""
    source = "running" if course.may_be_saved or course.can.saves_last else course.plan.base
    try:
        await course.device.restore(course.permit, source)
    except (Rejected, DeviceSideLocked):
        # The device's lock may have gone with a session it ended; with a new one the old state is in reach.
        await course.device.lock(course.permit)
        await course.device.restore(course.permit, source)


async def _put_back_candidate(course: Course) -> None:
    """Edit by edit what the device did not put back itself; then run and keep it as far as the push had got."""
    await _undo(course, await course.changed_from_before(running=False))
    again = course.may_run and bool(await course.changed_from_before(running=True))
    keep = course.may_be_saved or (again and not course.can.saves_last)
    if keep and not course.can.saves_last:
        await course.device.save(course.permit)
    if again:
        await course.device.activate(course.permit)
        await course.device.confirm(course.permit)
    if keep and course.can.saves_last:
        await course.device.save(course.permit)


async def _undo(course: Course, left: Sequence[PendingChange]) -> None:
    """The opposite of each edit, last one first."""
    if not left:
        return
    present = await course.touched(running=not course.can.candidate)
    order = {(c.path, c.key): place for place, c in enumerate(course.plan.changes)}
    for change in sorted(left, key=lambda c: order[c.path, c.key], reverse=True):
        edit = ElementEdit(present.get((change.path, change.key)), change.before)
        await course.device.write(course.permit, course.schema, edit)


async def _confirm_restored(course: Course) -> None:
    """By what the device shows, wherever the push may have left something."""
    left = await course.changed_from_before(running=not course.can.candidate)
    if course.can.candidate and course.may_run:
        left += await course.changed_from_before(running=True)
    if left:
        raise EditLost(f"the device still holds something else than before: {named((c.path, c.key) for c in left)}")


async def _held(course: Course) -> list[Held]:
    """What the device holds of each element now, by its own word if it gives one."""
    try:
        theirs = await course.touched(running=course.may_run or not course.can.candidate)
    except SdmError:
        return unsure(course)
    return await aside(_judged, course.schema, course.plan.changes, theirs)


def unsure(course: Course) -> list[Held]:
    """When nobody can look: what nothing was sent of is as it was, unless the whole was being taken back."""
    sent = {(c.path, c.key) for c in course.begun}
    known = bool(course.begun) and not course.may_run
    return [Held(c.path, c.key, OLD if known and (c.path, c.key) not in sent else UNSURE) for c in course.plan.changes]


def _judged(schema: Schema, changes: Sequence[PendingChange], theirs: dict[Key, Element]) -> list[Held]:
    return [Held(c.path, c.key, _state(schema, c, theirs)) for c in changes]


def _state(schema: Schema, change: PendingChange, theirs: dict[Key, Element]) -> str:
    """Where both fit, because only a secret changed, which devices do not show, nobody knows."""
    is_old = not differences(schema, change.before, theirs.get((change.path, change.key)))
    is_new = not shortfalls(schema, [change], theirs)
    if is_old and is_new:
        return UNSURE
    return OLD if is_old else NEW if is_new else OTHER
