"""What a failure is told as: a typed fault with code, message, blockers and what helps, the fields of REST."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensdm.core.errors import NextStep, SdmError
from opensdm.core.inventory import wire_id
from opensdm.core.lock import Blocker
from opensdm.doors.commands import COMMANDS, Command
from opensdm.doors.errors import INTERNAL_ERROR, row
from opensdm.doors.http import curl
from opensdm.doors.soap import contract, envelope
from opensdm.doors.soap.calls import Wire
from opensdm.doors.soap.contract import Contract
from opensdm.doors.soap.envelope import Fault, NotUnderstood, VersionMismatch
from opensdm.doors.soap.names import FAULTS as SCHEMA
from opensdm.doors.soap.names import SERVICES
from opensdm.gate.policy import utc

FAULTS = {service: f"Acme{service.removesuffix('MgmtIF')}WSFault" for service in SERVICES}
ADMIN = "AdminMgmtIF"
_MAX_NEXT = 2


@dataclass(frozen=True, slots=True)
class Way:
    """How a recommended operation is called here. `carries`: which of its fields go into which parameter."""

    service: str
    name: str
    carries: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fixed: Mapping[str, str] = dataclasses.field(default_factory=dict)


_TARGET = {"device_id": "targetName"}
WAYS: Mapping[str, Way | Command] = {
    **COMMANDS,
    "Login": Way(ADMIN, "login", {"user_name": "username", "password": "password"}),
    "ShowServer": Way("DeviceMgmtIF", "getNNCDetails"),
    "ListDevices": Way("DeviceMgmtIF", "getAllManagedDeviceTargetNames"),
    "ListNetworkFunctions": Way("DeviceMgmtIF", "getAllManagedDeviceTargetNames"),
    "ShowDevice": Way("DeviceMgmtIF", "getSBCDetails", _TARGET),
    "AssignDevice": Way("DeviceMgmtIF", "loadDevice", _TARGET),
    "LoadConfiguration": Way("DeviceMgmtIF", "loadDevice", _TARGET),
    "DiscardChanges": Way("DeviceMgmtIF", "deleteUserChanges", _TARGET),
    "ShowPendingChanges": Way("DeviceMgmtIF", "getLCVContentSaveSessionReport", _TARGET, {"userName": ""}),
}
"""The operations that help and that this door has, and the commands on locks; others are not recommended here."""


def fault(error: SdmError, service: str, request_id: str, base: str, known: Contract) -> Fault:
    """An expected failure, as the fault that its interface declares."""
    if isinstance(error, VersionMismatch):
        return Fault("VersionMismatch", error.message)
    if isinstance(error, NotUnderstood):
        return Fault("MustUnderstand", error.message)
    told = row(type(error))
    name = FAULTS[ADMIN] if told.soap_admin else FAULTS[service]
    values = {
        "validation": [error.message],
        "code": error.code,
        "message": error.message,
        "requestId": request_id,
        "blockers": [_blocker(each) for each in error.blockers],
        "facts": _facts(error.facts),
        "next": _next(error, service, base, known),
    }
    return Fault("Server" if told.soap_server else "Client", error.message, _detail(name, values, known))


def bug(service: str, request_id: str, known: Contract) -> Fault:
    """What is said of a bug: that it happened and under which id it is logged, nothing else."""
    message = "the server failed on this request; its log tells more under this request id"
    values = {"validation": [message], "code": INTERNAL_ERROR, "message": message, "requestId": request_id}
    return Fault("Server", message, _detail(FAULTS[service], values, known))


def _detail(name: str, values: Wire, known: Contract) -> tuple[str, str, Sequence[Any]]:
    return name, known.namespaces[SCHEMA], contract.written_type("AcmeWSFault", values)


def _blocker(each: Blocker) -> Wire:
    return {
        "kind": each.kind,
        "deviceId": wire_id(each.device_id),
        "deviceName": each.device_name,
        "holder": each.holder,
        "since": None if each.since_us is None else utc(each.since_us),
        "door": each.door,
        "reason": each.reason,
        "idleSeconds": each.idle_s,
        "holderLoggedIn": each.holder_logged_in,
        "running": each.running,
        "stepUntil": None if each.step_until_us is None else utc(each.step_until_us),
        "epoch": each.epoch,
        "confirm": True if each.unconfirmed else None,
    }


def _facts(facts: Mapping[str, Any]) -> list[Wire]:
    """Typed facts by name; what is no plain value is written as JSON, times as text."""
    found = []
    for name, value in facts.items():
        if value is None:
            continue
        if name.endswith("Us") and isinstance(value, int):
            name, value = name.removesuffix("Us"), utc(value)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
        found.append({"name": name, "value": text})
    return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return str(value)


def _next(error: SdmError, service: str, base: str, known: Contract) -> list[str]:
    """One or two calls, ready to run."""
    steps = [step for step in error.next_steps if step.action in WAYS]
    lines = list(dict.fromkeys(_call(step, error, base, known) for step in steps))
    return lines[:_MAX_NEXT] or [curl("GET", f"{base}{known.names.path(service)}?wsdl")]


def _call(step: NextStep, error: SdmError, base: str, known: Contract) -> str:
    way = WAYS[step.action]
    if isinstance(way, Command):
        return way.line(step, base, error.blockers)
    values = [(wire, _argument(step.arguments.get(name), name)) for name, wire in way.carries.items()]
    body = envelope.example(known.namespaces[way.service], way.name, [*values, *way.fixed.items()])
    url = base + known.names.path(way.service)
    return curl("POST", url, body, "text/xml", login=step.action == "Login")


def _argument(value: Any, name: str) -> str:
    if value is None:
        return name.upper().replace("_", "-")
    return wire_id(value) if isinstance(value, int) else str(value)
