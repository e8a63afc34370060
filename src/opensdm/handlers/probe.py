"""Probing: what works on a host and what does not, step by step. Reads only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from opensdm.core.errors import DeviceFault, Rejected, Unreachable, UntrustedDevice
from opensdm.core.operations import ProbeDevice, ProbeHost
from opensdm.core.permit import Permit, Read
from opensdm.core.ports import Capabilities, DeviceConnection, Work
from opensdm.core.results import Finding, ProbeReport
from opensdm.handlers.enrolment import host_credentials

ADDRESS, CONNECTION, TRUST, LOGIN, FACTS = "address", "connection", "trust", "login", "facts"
SCHEMA, CONFIGURATION, CAPABILITIES = "schema", "configuration", "capabilities"
REACHING = (ADDRESS, CONNECTION, TRUST, LOGIN)
"""Steps that a driver takes in one go: which of them failed is told by what it raised."""

_STAGES = {"name": ADDRESS, "certificate": TRUST, "login": LOGIN}
"""The fact `stage` of a driver's error: where on the way in it happened."""
_GOOD = {
    ADDRESS: "it can be found",
    CONNECTION: "it answers on its port",
    TRUST: "what it shows of itself is trusted",
    LOGIN: "it lets this user in",
}
_HOST_KEY = "ssh.host.key"
_WORDS = {
    "device_lock": "its own lock",
    "verify": "verify before use",
    "separate_save": "save and activate apart",
    "restore": "restore by itself",
    "confirmed_commit": "confirmed commit",
    "writes": "writing",
}


async def probe_host(operation: ProbeHost, work: Work) -> ProbeReport:
    credentials = host_credentials(operation.platform, operation.parameters, work.platforms)
    platform = credentials.parameters["platform"]
    connection = await work.connect_host(platform, credentials)
    probe = _Probe(connection, work.permit_read(), credentials.parameters)
    return await probe.report(credentials.address, platform, work.capabilities(platform))


async def probe_device(operation: ProbeDevice, work: Work) -> ProbeReport:
    device = await work.read(lambda tx: tx.inventory.device(operation.device_id))
    connection = await work.connect(operation.device_id)
    probe = _Probe(connection, work.permit_read(), device.parameters)
    return await probe.report(device.ip, device.platform, work.capabilities(device.platform))


@dataclass(slots=True)
class _Probe:
    """One run through the steps; the first that fails ends it."""

    connection: DeviceConnection
    permit: Permit[Read]
    parameters: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)
    trust: dict[str, str] = field(default_factory=dict)

    async def report(self, address: str, platform: str, capabilities: Capabilities) -> ProbeReport:
        found = ProbeReport(address, platform, (), capabilities=capabilities)
        step = FACTS
        try:
            facts = await self.connection.facts(self.permit)
            found = replace(found, facts=facts)
            self._reached()
            software = facts.software_version or "no version it names"
            self._good(FACTS, f"{facts.host_name or 'no name'}, software {software}, {facts.role or 'no role'}")
            step = SCHEMA
            schema = await self.connection.read_schema(self.permit)
            found = replace(found, element_types=len(schema.types))
            self._good(SCHEMA, f"{len(schema.types)} element types")
            step, begun = CONFIGURATION, time.monotonic()
            elements = await self.connection.read_elements(self.permit, schema, running=True)
            found = replace(found, elements=len(elements))
            self._good(CONFIGURATION, f"{len(elements)} elements, read in {time.monotonic() - begun:.1f} s")
        except DeviceFault as fault:
            self._failed(step, fault)
        self.findings.append(Finding(CAPABILITIES, ok=True, message=_offered(platform, capabilities)))
        return replace(found, findings=tuple(self.findings), trust=self.trust)

    def _reached(self) -> None:
        self._good(ADDRESS, _GOOD[ADDRESS])
        self._good(CONNECTION, _GOOD[CONNECTION])
        self._good(TRUST, self._trusted())
        self._good(LOGIN, _GOOD[LOGIN])

    def _trusted(self) -> str:
        learned = self.connection.learned.get(_HOST_KEY)
        if learned is not None:
            self.trust[_HOST_KEY] = learned
            return f"its host key was taken for right at first sight: {learned}"
        if self.parameters.get("transport") == "http":
            return "not asked for: transport is http"
        if self.parameters.get("tls.verify") == "false":
            return "not checked: tls.verify is false"
        return _GOOD[TRUST]

    def _good(self, step: str, message: str) -> None:
        self.findings.append(Finding(step, ok=True, message=message))

    def _failed(self, step: str, fault: DeviceFault) -> None:
        """The steps before the one that failed are good, those after it were not tried."""
        failed = _stage_of(fault) if step == FACTS else step
        if isinstance(fault, UntrustedDevice) and "presentedKey" in fault.facts:
            self.trust[_HOST_KEY] = fault.facts["presentedKey"]
        done = {finding.step for finding in self.findings}
        ok: bool | None = True
        for each in (*REACHING, FACTS, SCHEMA, CONFIGURATION):
            if each == failed:
                self.findings.append(Finding(each, ok=False, message=fault.message))
                ok = None
            elif each not in done:
                words = _GOOD[each] if ok else f"not tried: {failed} failed before it"
                self.findings.append(Finding(each, ok, self._trusted() if ok and each == TRUST else words))


def _stage_of(fault: DeviceFault) -> str:
    """Where on the way to its facts a device failed us."""
    stage = _STAGES.get(fault.facts.get("stage", ""))
    match fault:
        case UntrustedDevice():
            return TRUST
        case Unreachable():
            return stage or CONNECTION
        case Rejected():
            return stage or FACTS
        case _:
            return FACTS


def _offered(platform: str, capabilities: Capabilities) -> str:
    """What the platform can be asked for, and what not."""
    words = [(_WORDS[f.name], getattr(capabilities, f.name)) for f in fields(capabilities) if f.name in _WORDS]
    has, lacks = [w for w, there in words if there], [w for w, there in words if not there]
    return f"{platform} has: {', '.join(has) or 'nothing'}" + (f"; without: {', '.join(lacks)}" if lacks else "")


HANDLERS_HERE = {ProbeHost: probe_host, ProbeDevice: probe_device}
