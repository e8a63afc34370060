"""Looking at the device before anything is sent to it: what differs, and what a push would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opensdm.core.device_status import Status, copied_from
from opensdm.core.difference import Difference, differences
from opensdm.core.element import Element, Schema
from opensdm.core.errors import DeviceFault, SdmError, StaleConfiguration
from opensdm.core.operations import CheckSync, Prefer, PreviewPush
from opensdm.core.ports import DeviceConnection, ElementEdit, Work
from opensdm.core.rebase import Clash, rebase
from opensdm.core.references import types_concerned
from opensdm.core.results import PushPreview, SyncReport
from opensdm.core.staging import PendingChange
from opensdm.handlers.aside import aside
from opensdm.handlers.changes import shown_change, staged_differences
from opensdm.handlers.loaded import Loaded, by_key, changed_types, loaded
from opensdm.handlers.push import checked, to_send
from opensdm.handlers.push_compare import check_action
from opensdm.handlers.push_course import base_differences
from opensdm.handlers.staleness import refuse_stale
from opensdm.handlers.versions import MAX_SHOWN, first_differences

# --------------------------------------------------------------------------------------------- check


async def check_sync(operation: CheckSync, work: Work) -> SyncReport:
    """Device, our copy and the caller's staged changes, side by side, now. Nothing is written anywhere."""
    user_id = work.session.user_id
    view = await work.read(lambda tx: loaded(tx, operation.device_id, user_id, operation.change_set))
    connection, permit = await work.connect(operation.device_id), work.permit_read()
    facts = await connection.facts(permit)
    if facts.software_version != view.device.software_version:
        raise _other_software(view, facts.software_version)
    running = copied_from(view.device) == "running"
    theirs = await connection.read_elements(permit, view.schema, running=running)
    found = await aside(_side_by_side, view, theirs)
    uncertain = work.uncertain or view.device.status == Status.UNCERTAIN
    return SyncReport(
        _state(view, found), found.outside, found.total, found.staged[:MAX_SHOWN], found.clashes[:MAX_SHOWN],
        _said(view, found, uncertain=uncertain),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """`stale`: changes whose elements the device does not hold as they were when the changes were staged."""

    outside: tuple[Difference, ...]
    total: int
    staged: tuple[Difference, ...]
    stale: int
    clashes: tuple[Clash, ...]


def _side_by_side(view: Loaded, theirs: Sequence[Element]) -> Found:
    outside, total = first_differences(view.schema, view.configuration.elements, theirs)
    present = by_key(view.schema, theirs)
    stale = sum(bool(differences(view.schema, c.before, present.get((c.path, c.key)))) for c in view.changes)
    clashes = rebase(view.schema, theirs, view.changes, Prefer.NONE).clashes
    return Found(outside, total, tuple(staged_differences(view.schema, view.changes)), stale, clashes)


def _state(view: Loaded, found: Found) -> Status:
    if found.stale:
        return Status.CONFLICT
    if found.total:
        return Status.CHANGED_OUTSIDE
    return Status.MODIFIED if view.changes or view.device.status == Status.MODIFIED else Status.IN_SYNC


def _said(view: Loaded, found: Found, *, uncertain: bool) -> str | None:
    said = []
    if uncertain:
        said.append("work on the device was cut short: the next push or load looks at what it left")
    if found.clashes:
        said.append("load, then rebase and say whose values to take where both sides changed the same")
    elif found.stale:
        said.append("load, then rebase: what both sides changed does not overlap")
    elif found.total:
        said.append("load to take over what the device holds; what is staged stays")
    if view.device.status == Status.MODIFIED:
        said.append("the device keeps changes that it does not run yet")
    return "; ".join(said) or None


def _other_software(view: Loaded, runs: str) -> StaleConfiguration:
    was = view.device.software_version
    return StaleConfiguration(f"the device runs {runs} now; our copy is of {was}: load it again", deviceRuns=runs)


# ------------------------------------------------------------------------------------------- preview


async def preview_push(operation: PreviewPush, work: Work) -> PushPreview:
    """What would be sent, and what stands in its way as far as can be told without writing."""
    user_id, change_set = work.session.user_id, operation.change_set
    view = await work.read(lambda tx: loaded(tx, operation.device_id, user_id, change_set, types_concerned))
    changes = to_send(view, operation.action)
    preview = PushPreview(
        True,
        tuple(shown_change(view.schema, c) for c in changes[:MAX_SHOWN]),
        tuple((await aside(staged_differences, view.schema, changes))[:MAX_SHOWN]),
    )
    try:
        check_action(work.capabilities(view.device.platform), view.device.platform, operation.action)
        await aside(checked, view, changes)
    except SdmError as refusal:
        preview = _barred(preview, refusal)
    connection = await work.connect(operation.device_id)
    try:
        outside = await _outside(work, connection, view, changes)
        preview = replace(preview, outside=tuple(outside[:MAX_SHOWN]))
        refuse_stale(outside, "the device holds something else")
    except DeviceFault:
        raise
    except SdmError as refusal:
        preview = _barred(preview, refusal)
    try:
        return replace(preview, sends=await aside(_sends, changes, connection, view.schema))
    except SdmError as refusal:
        return _barred(preview, refusal)


def _barred(preview: PushPreview, refusal: SdmError) -> PushPreview:
    """The first thing that stands in its way is what its sender would hear."""
    if not preview.ready:
        return preview
    return replace(preview, ready=False, code=refusal.code, message=refusal.message)


async def _outside(
    work: Work, connection: DeviceConnection, view: Loaded, changes: Sequence[PendingChange]
) -> list[Difference]:
    permit = work.permit_read()
    facts = await connection.facts(permit)
    if facts.software_version != view.device.software_version:
        raise _other_software(view, facts.software_version)
    if not changes:
        return []
    paths = changed_types(view.schema, changes)
    theirs = await connection.read_elements(permit, view.schema, paths)
    return await aside(base_differences, view.schema, changes, await aside(by_key, view.schema, theirs))


def _sends(changes: Sequence[PendingChange], connection: DeviceConnection, schema: Schema) -> tuple[str, ...]:
    """At most so many lines; the changes are all there."""
    lines: list[str] = []
    for change in changes:
        if len(lines) >= MAX_SHOWN:
            break
        lines.extend(connection.preview(schema, ElementEdit(change.before, change.after)))
    return tuple(lines[:MAX_SHOWN])


HANDLERS_HERE = {CheckSync: check_sync, PreviewPush: preview_push}
