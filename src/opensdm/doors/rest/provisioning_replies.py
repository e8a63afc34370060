"""Configuration results as wire dictionaries: elements, staged changes, pushes, and the way out of stale changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from opensdm.core.difference import Difference
from opensdm.core.element import Element
from opensdm.core.operations import PushAction
from opensdm.core.rebase import Clash
from opensdm.core.results import Held, PushPreview, PushReply, RebaseReply, SyncReport
from opensdm.core.staging import ChangeSet, PendingChange
from opensdm.doors.times import published, rfc3339

Wire = dict[str, Any]


def config_element(each: Element) -> Wire:
    return {
        "attributes": [{"name": name, "value": value} for name, value in each.attributes.items()],
        "childrenElements": [config_element(child) for child in each.children] or None,
        "elementTypePath": each.path,
    }


# ---------------------------------------------------------------------------------- staged changes


def configuration_change(change: PendingChange, found: Iterable[Difference] = ()) -> Wire:
    """`found`: attribute by attribute what the staged changes change, where it is known."""
    return {
        "name": ",".join(part for part in change.key if part) or change.path,
        "operation": change.edit.value,
        "timestamp": published(change.at_us),
        "elementTypePath": change.path,
        "attributes": _changed_attributes(change, found) or None,
    }


def configuration_changes(changes: Sequence[PendingChange], found: Iterable[Difference]) -> list[Wire]:
    by_element: dict[tuple[str, tuple[str, ...]], list[Difference]] = {}
    for each in found:
        by_element.setdefault((each.path, each.key), []).append(each)
    return [configuration_change(change, by_element.get((change.path, change.key), ())) for change in changes]


def _changed_attributes(change: PendingChange, found: Iterable[Difference]) -> list[Wire]:
    """The element's own attributes that differ; its sub-elements are in the diff.

    Two masked values do not tell that a secret changes, what was found beforehand does.
    """
    before = change.before.attributes if change.before is not None else {}
    after = change.after.attributes if change.after is not None else {}
    changed = {each.attribute for each in found if each.attribute is not None}
    return [
        {"name": name, "oldValue": before.get(name), "newValue": after.get(name)}
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name) or name in changed
    ]


def change_set(each: ChangeSet) -> Wire:
    return {
        "name": each.name,
        "changes": each.changes,
        "first": rfc3339(each.first_us),
        "last": rfc3339(each.last_us),
    }


# ------------------------------------------------------------------------------------- differences


def difference(each: Difference) -> Wire:
    return {
        "elementTypePath": each.path,
        "key": list(each.key) or None,
        "attribute": each.attribute,
        "old": each.old,
        "new": each.new,
    }


def conflict(each: Clash) -> Wire:
    return {
        "elementTypePath": each.path,
        "key": list(each.key) or None,
        "attribute": each.attribute,
        "base": each.base,
        "mine": each.mine,
        "theirs": each.theirs,
    }


def push_preview(shown: PushPreview, text: str) -> Wire:
    return {
        "ready": shown.ready,
        "code": shown.code,
        "message": shown.message,
        "changes": configuration_changes(shown.changes, shown.differences),
        "differences": [difference(each) for each in shown.differences],
        "outside": [difference(each) for each in shown.outside],
        "sends": list(shown.sends),
        "diff": text or None,
    }


def sync_report(report: SyncReport) -> Wire:
    return {
        "state": report.state,
        "message": report.message,
        "outsideTotal": report.outside_total,
        "outside": [difference(each) for each in report.outside],
        "staged": [difference(each) for each in report.staged],
        "conflicts": [conflict(each) for each in report.conflicts],
    }


def rebase_result(reply: RebaseReply, text: str) -> Wire:
    return {
        "dropped": reply.dropped,
        "resolved": [conflict(each) for each in reply.resolved],
        "changes": configuration_changes(reply.changes, ()),
        "diff": text or None,
    }


# -------------------------------------------------------------------------------------------- push


def save_activate_result(reply: PushReply) -> Wire:
    message = ": ".join(part for part in (reply.error_code, reply.error_message) if part)
    return {
        "action": reply.action.value,
        "errorMessage": message or None,
        "isActivateConfigSuccess": reply.activate,
        "isCreateSuccess": reply.create,
        "isDeviceFirmwareChangedFailure": "true" if reply.firmware_changed else "false",
        "isEraseCacheSuccess": reply.erase_cache,
        "isIntegrityCheckSuccess": reply.integrity_check,
        "isLockSuccess": reply.lock,
        "isRestoreConfigSuccess": reply.restore,
        "isSaveConfigSuccess": reply.save,
        "isUnlockSuccess": reply.unlock,
        "isValidationSuccess": reply.validation,
        "status": reply.status,
        "taskId": reply.task_id,
        "validationErrorMessage": reply.validation_message,
        "holds": [held(each) for each in reply.holds] or None,
    }


def held(each: Held) -> Wire:
    return {"elementTypePath": each.path, "key": list(each.key) or None, "state": each.state}


_PUSH_FIELDS = frozenset(f.name for f in fields(PushReply))


def stored_result(data: Mapping[str, Any] | None) -> Wire | None:
    """The result of a finished task, which was kept as plain data; None for one that is no push's."""
    if data is None or not {"action", "status"} <= data.keys():
        return None
    plain = {name: value for name, value in data.items() if name in _PUSH_FIELDS}
    plain["action"] = PushAction(plain["action"])
    plain["holds"] = tuple(Held(h["path"], tuple(h["key"]), h["state"]) for h in plain.get("holds") or ())
    return save_activate_result(PushReply(**plain))
