"""The stages of a push that may change the device, in the order its platform needs."""

from __future__ import annotations

from collections.abc import Sequence

from opensdm.core.difference import Difference, differences, missing_from
from opensdm.core.element import Element, Schema
from opensdm.core.errors import DeviceSideLocked, EditLost, Rejected, StaleConfiguration
from opensdm.core.operations import PushAction
from opensdm.core.ports import ElementEdit
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key
from opensdm.handlers.aside import aside
from opensdm.handlers.push_compare import whole_difference
from opensdm.handlers.push_course import Course
from opensdm.handlers.staleness import named, refuse_stale


async def lock(course: Course) -> None:
    if not course.can.device_lock:
        await course.stop_if_asked()
        await course.device.lock(course.permit)
        return
    async with course.stage("lock"):
        await course.device.lock(course.permit)


async def unlock(course: Course) -> None:
    if not course.can.device_lock:
        await course.device.unlock(course.permit)
        return
    async with course.stage("unlock", stops=False):
        await course.device.unlock(course.permit)


async def apply(course: Course) -> None:
    """From the first write to the last: what was edited runs, and is kept over a reboot, as the action says."""
    if course.plan.leftovers:
        await _clean_up(course)
    if course.plan.action is not PushAction.ACTIVATE:
        await _edit(course)
    if course.can.saves_last:
        await _run(course)
        await _save(course)
        return
    if course.plan.action is not PushAction.ACTIVATE:
        await _save(course)
    if course.plan.action is not PushAction.SAVE:
        await _run(course)


async def _clean_up(course: Course) -> None:
    """Take back what work that was cut short left in the device's editing configuration."""
    if not course.can.restore:
        raise StaleConfiguration(
            "the device holds edits of work that was cut short, and cannot take them back by itself: undo them there"
        )
    course.disturbed = True
    await course.device.restore(course.permit, course.plan.base)
    refuse_stale(await whole_difference(course, running=False), "the device holds something else")


async def _edit(course: Course) -> None:
    if course.plan.changes:
        await _write(course)
    if course.can.verify:
        await _verify(course)
    if course.plan.changes and course.can.candidate:
        await _read_back(course, running=False)


async def _write(course: Course) -> None:
    total = len(course.plan.changes)
    async with course.stage("create"):
        for done, change in enumerate(course.plan.changes):
            if done:
                await course.tell("create", done, total)
            course.disturbed = True
            course.begun.append(change)
            await course.device.write(course.permit, course.schema, ElementEdit(change.before, change.after))
    if not course.can.candidate:
        course.may_run = True


async def _verify(course: Course) -> None:
    async with course.stage("validation"):
        words = await course.device.verify(course.permit)
        if words is not None:
            course.refused_as_invalid(words)
            raise Rejected(f"the device does not accept the configuration: {words}")


async def _run(course: Course) -> None:
    """What was edited runs, as the device itself shows it, and for good."""
    if course.can.candidate:
        async with course.stage("activate"):
            course.may_run = True
            await course.device.activate(course.permit)
    if not course.can.confirmed_commit:
        course.final = course.can.candidate
    if course.plan.changes:
        await _read_back(course, running=True)
    if course.can.confirmed_commit:
        await course.stop_if_asked()
        await course.device.confirm(course.permit)
    course.final = True


async def _save(course: Course) -> None:
    async with course.stage("save"):
        course.may_be_saved = True
        try:
            await course.device.save(course.permit)
        except (Rejected, DeviceSideLocked):
            course.may_be_saved = False
            raise


async def _read_back(course: Course, *, running: bool) -> None:
    """A device may say yes and lose the edit; what it holds is what counts."""
    async with course.stage("integrity_check", "running" if running else "editing"):
        theirs = await course.touched(running=running)
        lost = await aside(shortfalls, course.schema, course.plan.changes, theirs)
        if lost:
            raise EditLost(
                f"the device said yes and did not do it: {named((d.path, d.key) for d in lost)} reads back differently"
                f"{' from what it runs' if running and course.can.candidate else ''}; the staged changes are kept"
            )
        course.read_back = theirs


def shortfalls(schema: Schema, changes: Sequence[PendingChange], theirs: dict[Key, Element]) -> list[Difference]:
    """Where a device does not hold what the changes were to bring."""
    return [d for c in changes for d in _shortfall(schema, c, theirs.get((c.path, c.key)))]


def _shortfall(schema: Schema, change: PendingChange, theirs: Element | None) -> list[Difference]:
    if change.after is None:
        return differences(schema, None, theirs)
    return missing_from(schema, change.after, theirs)
