"""Versions and tasks as wire dictionaries."""

from __future__ import annotations

from typing import Any

from opensdm.core.inventory import wire_id
from opensdm.core.results import Comparison, TaskShown, TaskStarted, VersionShown
from opensdm.core.task import Progress, Task
from opensdm.core.versions import Version
from opensdm.doors.rest.provisioning_replies import config_element, difference, stored_result
from opensdm.doors.times import rfc3339

Wire = dict[str, Any]


def version(each: Version) -> Wire:
    note = each.note
    return {
        "number": each.number,
        "taken": rfc3339(each.taken_us),
        "source": note.source.value,
        "userName": note.user_name,
        "requestId": note.request_id,
        "softwareVersion": note.software_version,
        "comment": note.comment or None,
        "torn": note.torn,
        "restorable": each.restorable,
        "current": each.current,
        "digest": each.digest,
        "elementCount": each.elements,
    }


def version_shown(shown: VersionShown) -> Wire:
    return version(shown.version) | {"configElements": [config_element(each) for each in shown.elements]}


def comparison(found: Comparison) -> Wire:
    return {
        "old": version(found.old),
        "new": version(found.new),
        "total": found.total,
        "differences": [difference(each) for each in found.differences],
    }


def task_started(started: TaskStarted) -> Wire:
    """Of a task that was admitted a moment ago; how it stands is for its own resource to say."""
    return {"id": started.task_id, "operation": started.operation, "deviceId": wire_id(started.device_id)}


def task(each: Task) -> Wire:
    return {
        "id": each.task_id,
        "operation": each.operation,
        "deviceId": wire_id(each.device_id),
        "deviceName": each.device_name,
        "userName": each.user_name,
        "state": each.state.value,
        "started": rfc3339(each.started_us),
        "ended": None if each.ended_us is None else rfc3339(each.ended_us),
        "cancelAsked": each.cancel_asked,
        "errorCode": each.error_code,
        "errorMessage": each.error_message,
        "saveActivateResult": stored_result(each.result),
    }


def task_shown(shown: TaskShown) -> Wire:
    return task(shown.task) | {"progress": [progress(each) for each in shown.progress]}


def progress(each: Progress) -> Wire:
    return {
        "id": each.number,
        "at": rfc3339(each.at_us),
        "stage": each.stage,
        "state": each.state,
        "note": each.note or None,
        "done": each.done,
        "total": each.total,
    }
