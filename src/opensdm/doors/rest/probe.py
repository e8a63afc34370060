"""What works on a host or a device, and what does not: from v1.4 on. Nothing is written to it."""

from __future__ import annotations

from typing import Any

from opensdm.core.operations import ProbeDevice, ProbeHost
from opensdm.core.ports import Capabilities
from opensdm.core.results import ProbeReport
from opensdm.doors.rest import bulk_shapes, replies, requests
from opensdm.doors.rest.inventory import DEVICES
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.routing import Call, Endpoint, Reply

Wire = dict[str, Any]


async def probe_device(call: Call) -> Reply:
    report: ProbeReport = await call.execute(ProbeDevice(device_id=call.id("device_id")))
    return Reply.of(bulk_shapes.PROBE_REPORT, probe_report(report))


async def probe_host(call: Call) -> Reply:
    """A host that is no device here: it is described as at its enrolment."""
    operation = ProbeHost(
        platform=call.body["platform"].strip(), parameters=requests.parameters(call, call.body["parameters"])
    )
    report: ProbeReport = await call.execute(operation)
    return Reply.of(bulk_shapes.PROBE_REPORT, probe_report(report))


def probe_report(report: ProbeReport) -> Wire:
    """A finding without `ok` was not tried."""
    facts = report.facts
    return {
        "address": report.address,
        "platform": report.platform,
        "findings": [{"step": each.step, "ok": each.ok, "message": each.message} for each in report.findings],
        "facts": None if facts is None else replies.host_facts(facts),
        "capabilities": None if report.capabilities is None else capabilities(report.capabilities),
        "elementTypes": report.element_types,
        "elements": report.elements,
        "trust": [{"name": name, "value": value} for name, value in report.trust.items()] or None,
    }


def capabilities(each: Capabilities) -> Wire:
    return {
        "candidate": each.candidate,
        "deviceLock": each.device_lock,
        "verify": each.verify,
        "separateSave": each.separate_save,
        "savesLast": each.saves_last,
        "restore": each.restore,
        "confirmedCommit": each.confirmed_commit,
        "endsForeignSession": each.ends_foreign_session,
        "writes": each.writes,
    }


ENDPOINTS = (
    Endpoint("POST", DEVICES + "/{device_id}/probe", probe_device, since=OWN_VERSION),
    Endpoint("POST", "/inventory/probe", probe_host, body=bulk_shapes.PROBE, since=OWN_VERSION),
)
