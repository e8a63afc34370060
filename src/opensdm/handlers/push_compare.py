"""What a push looks at before it changes anything: whether the device still holds what the changes are based on."""

from __future__ import annotations

from dataclasses import replace

from opensdm.core.device_status import Status
from opensdm.core.difference import Difference
from opensdm.core.errors import InvalidRequest, StaleConfiguration
from opensdm.core.operations import PushAction
from opensdm.core.ports import Capabilities
from opensdm.handlers.aside import aside
from opensdm.handlers.push_course import Course, base_differences
from opensdm.handlers.staleness import named, refuse_stale, shown_differences
from opensdm.handlers.versions import first_differences


def check_action(can: Capabilities, platform: str, action: PushAction) -> None:
    """Raises InvalidRequest for what a platform cannot do."""
    if not can.writes:
        raise InvalidRequest(f"a device of platform {platform} is loaded and backed up only; nothing is written to it")
    if action is not PushAction.SAVE_ACTIVATE and not can.separate_save:
        raise InvalidRequest(
            f"on platform {platform} changes run as soon as they are "
            f"{'committed' if can.candidate else 'written'} and are kept then; use {PushAction.SAVE_ACTIVATE.value}",
            platform=platform, action=action.value,
        )  # fmt: skip


async def software_changed(course: Course) -> bool:
    """The published API has a flag of its own for this, so it is no refusal."""
    facts = await course.device.facts(course.permit)
    was = course.plan.view.device.software_version
    if facts.software_version == was:
        return False
    course.reply = replace(
        course.reply, firmware_changed=True, error_code=StaleConfiguration.code,
        error_message=f"the device runs {facts.software_version} now; our copy is of {was}: load it again",
    )  # fmt: skip
    return True


async def compare_with_device(course: Course) -> None:
    """Refuse when the device no longer holds what the changes are based on.

    After work that was cut short all of it is compared. What only that work can have left behind, because the
    running configuration is still ours, is cleaned up once the device is locked.
    """
    plan = course.plan
    suspect = course.work.uncertain or plan.view.device.status == Status.UNCERTAIN
    if suspect and plan.action is not PushAction.ACTIVATE:
        leftovers = bool(await whole_difference(course, running=False))
        if leftovers and plan.base == "running":
            refuse_stale(await whole_difference(course, running=True), "the device runs something else")
        course.plan = replace(plan, leftovers=leftovers)
        return
    found = await aside(base_differences, course.schema, plan.changes, await course.touched(running=False))
    if found and course.can.candidate and plan.base == "running":
        await _refuse_unfinished(course, found)
    refuse_stale(found, "the device holds something else")


async def _refuse_unfinished(course: Course, found: list[Difference]) -> None:
    """Edits that wait on the device itself are neither in what it runs nor in any copy that could be loaded."""
    running = await course.touched(running=True)
    if await aside(base_differences, course.schema, course.plan.changes, running):
        return
    raise StaleConfiguration(
        f"somebody edited {named((d.path, d.key) for d in found)} on the device itself and has not activated it; "
        "have it activated or undone there, then load the configuration again",
        differences=shown_differences(found),
        total=len(found),
    )


async def whole_difference(course: Course, *, running: bool) -> list[Difference]:
    """Where the device's configuration differs from the one the push is based on; the first of many."""
    theirs = await course.device.read_elements(course.permit, course.schema, running=running)
    found, _ = await aside(first_differences, course.schema, course.plan.view.configuration.elements, theirs)
    return list(found)
