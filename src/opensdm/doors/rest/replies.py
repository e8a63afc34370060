"""From results of the core to wire dictionaries, field for field; shapes then write them in the published order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opensdm.core.audit import AuditEntry
from opensdm.core.identity import Area, Level, UserGroup
from opensdm.core.inventory import CATEGORIES, Category, Device, DeviceGroup, ParameterType, wire_id
from opensdm.core.lock import Blocker, LockEvent, LostLock
from opensdm.core.lock_replay import LockDifference
from opensdm.core.ports import AskRow, DeviceFacts, LockView, NodeRow, RunningWork, WaitingRequest
from opensdm.core.results import (
    DeviceShown,
    FunctionShown,
    GroupShown,
    OverrideReply,
    ParameterValue,
    SessionShown,
)
from opensdm.core.versions import Drift
from opensdm.doors.times import published, rfc3339, to_the_microsecond

Wire = dict[str, Any]

NO_PARENT = "ID0"
YES_NO = {True: "Yes", False: "No"}


def _at(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)


# ------------------------------------------------------------------------------------------- server


def cluster_member(node: NodeRow) -> Wire:
    """What is known of a node; the counters of the published form that we do not keep are left out."""
    return {
        "downTime": "NA" if node.live else published(node.heartbeat_us),
        "heartBeatCount": node.heartbeats,
        "ipAddress": node.address,
        "lastHeartBeatTime": published(node.heartbeat_us),
        "name": node.node_name,
        "status": "UP" if node.live else "DOWN",
        "upTime": published(node.started_us),
    }


def session_info(shown: SessionShown) -> Wire:
    session = shown.session
    return {
        "userName": session.user_name,
        "userGroup": session.group,
        "door": session.door,
        "created": _at(session.created_us or None),
        "idleTimeout": session.idle_timeout_s // 60,
        "rights": [
            {"area": area.value, "level": session.level(area).name.capitalize()} for area in sorted(session.rights)
        ],
        "locks": [device_lock(view) for view in shown.locks],
    }


def user_group(group: UserGroup) -> Wire:
    """Every area: the level it comes to, and what is stored, which an area above may hold back."""
    return {
        "name": group.group_name,
        "rights": [
            {
                "area": area.value, "level": group.level(area).name.capitalize(),
                "stored": group.rights.get(area, Level.NONE).name.capitalize(),
            }
            for area in Area
        ],
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- inventory


def device(shown: DeviceShown) -> Wire:
    """An inventory device; `groupParameters` where the result carries them, in the detail form."""
    d = shown.device
    return {
        "bootstrapState": _bootstrap_state(d),
        "connectivityStatus": d.reachable,
        "description": d.description,
        "groupParameters": [parameter(each) for each in shown.parameters] or None,
        "id": wire_id(d.device_id),
        "ip": d.ip,
        "key": f"{d.device_name}_{d.ip}",
        "manageable": d.assigned,
        "name": d.device_name,
        "nfId": wire_id(d.nf_id),
        "nfName": d.nf_name,
        "parentGroupId": wire_id(d.group_id),
        "platformInfo": {"platform": d.platform, "serialNumber": d.serial_number},
        "softwareInfo": _software_info(d),
    }


def managed_device(shown: DeviceShown) -> Wire:
    """A device as the configuration resources show it; `pendingChanges` is about the caller's own."""
    d = shown.device
    return device(shown) | {
        "drift": None if shown.drift is None else drift(shown.drift),
        "lastOperation": d.last_operation,
        "loadedConfigVersion": None if d.loaded_version is None else str(d.loaded_version),
        "pendingChanges": YES_NO[shown.pending_changes],
        "status": shown.status or d.status,
        "statusChangeTime": None if d.status_changed_us is None else published(d.status_changed_us),
    }


def drift(found: Drift) -> Wire:
    """What was found on the device that we did not put there."""
    return {
        "foundAt": rfc3339(found.found_us),
        "total": found.total,
        "elements": [{"elementTypePath": path, "key": list(key) or None} for path, key in found.changed],
        "lockedBy": found.locked_by,
        "version": found.version,
    }


def _software_info(d: Device) -> Wire | None:
    """Nothing before the device has answered once."""
    wire = {"configVersion": d.config_version or None, "version": d.software_version or None}
    return wire if any(wire.values()) else None


def _bootstrap_state(d: Device) -> str:
    """Whether the device was ever reached: its version is known from then on."""
    if d.reachable or d.software_version:
        return "Activated"
    return "Failed" if d.poll_error else "Pending"


def device_facts(device_id: int, facts: DeviceFacts) -> Wire:
    return {"deviceId": wire_id(device_id)} | host_facts(facts)


def host_facts(facts: DeviceFacts) -> Wire:
    return {
        "hostName": facts.host_name,
        "platform": facts.platform,
        "softwareVersion": facts.software_version,
        "role": facts.role,
        "serialNumber": facts.serial_number,
        "state": facts.state or None,
        "healthPercent": facts.health_percent,
        "upTime": facts.up_time or None,
    }


def device_group(shown: GroupShown) -> Wire:
    wire = _group(shown.group)
    if shown.parameters:
        wire["parameters"] = [parameter(each) for each in shown.parameters]
    return wire


def _group(group: DeviceGroup) -> Wire:
    top = group.top_level or group.parent_id is None
    return {
        "fullName": group.full_name,
        "id": wire_id(group.group_id),
        "isHidden": False,
        "name": group.group_name,
        "parentGroupFullName": None if top else group.parent_full_name,
        "parentGroupId": NO_PARENT if top else wire_id(group.parent_id or 0),
        "type": "DEVICE" if group.nf_id is not None else None,
    }


def network_function(shown: FunctionShown, *, detail: bool) -> Wire:
    """The list form is without category, type, groups and devices."""
    nf = shown.function
    wire: Wire = {
        "groupType": nf.group_type,
        "hidden": False,
        "id": wire_id(nf.nf_id),
        "name": nf.nf_name,
        "parentGroupFullName": nf.parent_full_name,
        "parentGroupId": wire_id(nf.parent_id),
    }
    if not detail:
        return wire
    known = next((category(each) for each in CATEGORIES if each.name == nf.category), {"name": nf.category})
    return wire | {
        "groups": [_group(group) for group in shown.groups],
        "nfCategory": known,
        "nfType": {"name": nf.type_name},
        "children": [_child(d, shown.groups) for d in shown.devices],
    }


def _child(d: Device, groups: Sequence[DeviceGroup]) -> Wire:
    own = next((group for group in groups if group.group_id == d.group_id), None)
    return {
        "id": wire_id(d.device_id),
        "ipAddress": d.ip,
        "name": d.device_name,
        "parentGroupFullName": None if own is None else own.full_name,
        "parentGroupId": wire_id(d.group_id),
    }


def category(each: Category, *, types: bool = False) -> Wire:
    wire: Wire = {
        "id": wire_id(each.category_id), "name": each.name, "product": each.product, "vendor": each.vendor
    }  # fmt: skip
    if types:
        wire["nfTypes"] = nf_types(each)
    return wire


def nf_types(each: Category) -> list[Wire]:
    return [{"name": name} for name in each.type_names]


def parameter(shown: ParameterValue) -> Wire:
    return parameter_type(shown.type) | {"value": shown.value}


def parameter_type(each: ParameterType) -> Wire:
    """A parameter as a network function type offers it: its default stands where a value would."""
    return {
        "description": each.description,
        "label": each.label,
        "maxValue": each.maximum,
        "minValue": each.minimum,
        "name": each.name,
        "readOnly": False,
        "value": each.default,
        "validLists": {"valueList": list(each.choices)} if each.choices else None,
        "valueType": each.value_type,
        "defaultValue": each.default,
        "required": each.required,
    }


# -------------------------------------------------------------------------------------------- locks


def device_lock(view: LockView) -> Wire:
    row = view.row
    held = row.held
    return {
        "deviceId": wire_id(row.device_id),
        "deviceName": row.device_name,
        "state": "HELD" if held else "FREE",
        "holder": row.holder_name,
        "since": _at(row.since_us),
        "door": row.door,
        "reason": row.reason,
        "scope": row.scope if held else None,
        "epoch": row.epoch,
        "leaseSeconds": row.lease_s,
        "leaseUntil": _at(row.lease_until_us),
        "idleSeconds": view.idle_s if held else None,
        "holderLoggedIn": view.holder_logged_in if held else None,
        "orphaned": True if view.orphaned else None,
        "running": [_running(work) for work in view.running] or None,
        "waiting": [_waiting(each) for each in view.waiting] or None,
        "asks": [lock_ask(each) for each in view.asks] or None,
    }


def _waiting(each: WaitingRequest) -> Wire:
    return {"owner": each.owner, "since": rfc3339(each.since_us), "until": rfc3339(each.until_us)}


def lock_ask(ask: AskRow) -> Wire:
    return {
        "deviceId": wire_id(ask.device_id),
        "deviceName": ask.device_name,
        "asker": ask.asker_name,
        "at": rfc3339(ask.at_us),
        "message": ask.message,
        "epoch": ask.epoch,
    }


def _running(work: RunningWork) -> Wire:
    return {
        "operation": work.operation,
        "owner": work.owner,
        "since": rfc3339(work.since_us),
        "state": work.state,
        "stepUntil": _at(work.step_until_us),
    }


def overridden_lock(reply: OverrideReply) -> Wire:
    return device_lock(reply.lock) | {
        "settled": reply.settled,
        "stepUntil": _at(reply.step_until_us),
        "transferWaits": True if reply.waiting else None,
    }


def lock_event(event: LockEvent) -> Wire:
    return {
        "kind": event.kind.value,
        "at": rfc3339(event.at_us),
        "deviceId": wire_id(event.device_id),
        "deviceName": event.device_name,
        "epoch": event.epoch,
        "actor": event.actor_name,
        "holder": event.holder_name,
        "door": event.door,
        "reason": event.reason,
        "scope": event.scope if event.scope != "user" else None,
        "leaseUntil": _at(event.lease_until_us),
        "formerHolder": event.former_name,
        "id": event.event_id,
    }


_DIFFERENCES = {"since_us": "since", "lease_s": "leaseSeconds", "lease_until_us": "leaseUntil"}


def lock_difference(each: LockDifference) -> Wire:
    def shown(value: str | int | None) -> str | None:
        at = isinstance(value, int) and each.what.endswith("_us")
        return None if value is None else to_the_microsecond(int(value)) if at else str(value)

    return {
        "deviceId": wire_id(each.device_id),
        "deviceName": each.device_name,
        "what": _DIFFERENCES.get(each.what, each.what),
        "events": shown(each.told),
        "state": shown(each.found),
        "eventId": each.event_id,
    }


def blocker(each: Blocker) -> Wire:
    return {
        "kind": each.kind,
        "deviceId": wire_id(each.device_id),
        "deviceName": each.device_name,
        "holder": each.holder,
        "since": _at(each.since_us),
        "door": each.door,
        "reason": each.reason,
        "idleSeconds": each.idle_s,
        "holderLoggedIn": each.holder_logged_in,
        "running": each.running,
        "stepUntil": _at(each.step_until_us),
        "epoch": each.epoch,
        "confirm": True if each.unconfirmed else None,
    }


def lock_lost_header(lost: LostLock) -> tuple[str, str]:
    """`Lock-Lost: ID7; epoch=3; by=admin; at=2026-11-23T10:02:11Z; reason="..."`, in what a header may carry."""
    value = f"{wire_id(lost.device_id)}; epoch={lost.epoch}; by={_token(lost.by_name)}; at={rfc3339(lost.at_us)}"
    if lost.reason:
        quoted = "".join(c if " " <= c <= "~" else "?" for c in lost.reason).replace("\\", "\\\\").replace('"', '\\"')
        value += f'; reason="{quoted}"'
    return "Lock-Lost", value


def _token(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "?" for c in name)


# -------------------------------------------------------------------------------------------- audit


def audit_entry(entry: AuditEntry) -> Wire:
    return {
        "id": entry.entry_id or None,
        "at": rfc3339(entry.at_us),
        "user": entry.user_name,
        "door": entry.door,
        "address": entry.address,
        "operation": entry.operation,
        "tag": entry.tag,
        "deviceId": None if entry.device_id is None else wire_id(entry.device_id),
        "deviceName": entry.device_name,
        "result": entry.result,
        "detail": entry.detail or None,
        "requestId": entry.request_id,
        "count": entry.count,
    }


def lost_headers(lost: Iterable[LostLock]) -> tuple[tuple[str, str], ...]:
    return tuple(lock_lost_header(each) for each in lost)
