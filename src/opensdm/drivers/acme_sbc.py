"""Acme Packet / Oracle SBCs over their device-side REST API.

Reads need a token; writes need the device's own lock, which lives and dies with a token. A pair of units is
one device with two addresses: only the active one is written to.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from opensdm.core.element import Element, Schema
from opensdm.core.errors import DeviceSideLocked, Rejected
from opensdm.core.inventory import Credentials
from opensdm.core.permit import Permit, Read, Verifier, Write
from opensdm.core.ports import Capabilities, DeviceFacts, ElementEdit
from opensdm.drivers.acme_edits import ELEMENTS, requests_for
from opensdm.drivers.acme_elements import Translator, build_schema
from opensdm.drivers.acme_http import Answer, Params, struck_out, words
from opensdm.drivers.acme_session import UnitSession
from opensdm.drivers.acme_units import Units
from opensdm.drivers.acme_xml import JobState
from opensdm.drivers.base import PermitGuard
from opensdm.drivers.names import Definition, load_definition

WRITE_LIMIT_S = 15.0
JOB_LIMIT_S = 180.0
JOB_MARGIN_S = 5.0
LOCK, UNLOCK = "configuration/lock", "configuration/unlock"
MANAGEMENT = "configuration/management"


@dataclass(frozen=True, slots=True)
class LeftLock:
    """The device's own lock as a connection of ours left it; it falls at `until` (`time.monotonic()`)."""

    address: str
    token: str
    until: float

    @property
    def ends(self) -> str:
        left = timedelta(seconds=max(0.0, self.until - time.monotonic()))
        return (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%SZ")


CAPABILITIES = Capabilities(
    candidate=True, device_lock=True, verify=True, separate_save=True, restore=True, ends_foreign_session=True
)


class AcmeSbcDriver:
    """Opens connections, and remembers device-side locks that connections of ours did not give back.

    A fenced push may not send anything more, not even an unlock. Whoever is admitted to the device next ends that
    old lock with the token it belongs to, instead of waiting until the device forgets it.
    """

    capabilities = CAPABILITIES

    def __init__(self, definition: Definition | None = None) -> None:
        self._definition = definition or load_definition("acme_sbc")
        self._left: dict[int, LeftLock] = {}
        self.platform = self._definition.platform

    def connect(self, device_id: int, credentials: Credentials, verifier: Verifier) -> AcmeSbcConnection:
        """No traffic yet. Raises InvalidRequest for transport parameters that make no sense."""
        units = Units(credentials, self._definition)
        return AcmeSbcConnection(PermitGuard(verifier, device_id), units, self._left)


class AcmeSbcConnection:
    """One device. Every method asks about its permit first; every write is one step of the gate."""

    capabilities = CAPABILITIES

    def __init__(self, guard: PermitGuard, units: Units, left: dict[int, LeftLock]) -> None:
        self._guard = guard
        self._units = units
        self._left = left
        self._locked_with: Permit[Write] | None = None
        self._locked_lineage = 0

    @property
    def learned(self) -> Mapping[str, str]:
        return {}

    def preview(self, schema: Schema, edit: ElementEdit) -> tuple[str, ...]:
        requests = requests_for(Translator(self._units.definition, schema), schema, edit)
        return tuple(request.shown for request in requests)

    # ------------------------------------------------------------------------------------------ reading

    async def facts(self, permit: Permit[Read]) -> DeviceFacts:
        self._guard.reading(permit)
        unit = await self._reach()
        status = (await unit.get("system/status")).envelope
        health = status.value("healthScorePercent")
        return DeviceFacts(
            platform=self._units.definition.platform,
            software_version=await self._software_version(unit),
            host_name=status.value("hostName"),
            role=status.value("role").lower(),
            state=status.value("systemState"),
            health_percent=int(health) if health.isdecimal() else None,
            up_time=status.value("upTime"),
        )

    async def read_schema(self, permit: Permit[Read]) -> Schema:
        """All types the device lists; a type whose metadata it will not show is left out."""
        self._guard.reading(permit)
        unit = await self._reach()
        names = (await unit.get("configuration/elementTypes")).envelope.type_names()
        types = []
        for name in names:
            try:
                answer = await unit.get("configuration/elementTypes/metadata", [("elementType", name)])
            except Rejected as refusal:
                if refusal.facts.get("status") not in (400, 404):
                    raise
                continue
            types.append(answer.envelope.element_type(name))
        return build_schema(self._units.definition, await self._software_version(unit), types)

    async def read_elements(
        self, permit: Permit[Read], schema: Schema, paths: Sequence[str] | None = None, *, running: bool = False
    ) -> tuple[Element, ...]:
        """Of the editing configuration unless `running`; a sub-element's path reads the type that contains it."""
        self._guard.reading(permit)
        unit = await self._reach()
        translator = Translator(self._units.definition, schema)
        wanted = [p for p in schema.types if "/" not in p] if paths is None else [p.split("/")[0] for p in paths]
        found: list[Element] = []
        for path in dict.fromkeys(wanted):
            async for page in unit.pages(translator.device_type(path), running=running):
                found += [translator.to_north(element) for element in page]
                await self._keep_token(unit)
        return tuple(found)

    async def _software_version(self, unit: UnitSession) -> str:
        said = (await unit.get("system/version")).envelope
        named = [*said.anywhere("buildVersion"), *said.anywhere("softwareVersion"), *said.anywhere("version")]
        return next((text for text in named if text), "")

    # ----------------------------------------------------------------------------------------- the lock

    async def lock(self, permit: Permit[Write]) -> None:
        """Take the device's own lock, on the active unit. An earlier lock of ours is ended first."""
        self._guard.writing(permit)
        unit = await self._units.find_active()
        answer = await self._send(permit, unit, "POST", LOCK)
        left = self._left.get(self._guard.device_id)
        if answer.status == 423 and left is not None and left.address == unit.address:
            await self._end_left(permit, unit, left)
            answer = await self._send(permit, unit, "POST", LOCK)
        self._expect(unit, answer, (200, 204), "its configuration lock")
        self._left.pop(self._guard.device_id, None)
        self._locked_with, self._locked_lineage = permit, unit.lineage

    async def unlock(self, permit: Permit[Write]) -> None:
        """Give the device's lock back; nothing to do when it is gone already."""
        self._guard.writing(permit)
        unit = self._units.open_unit
        if unit is not None and self._holds(unit):
            answer = await self._send(permit, unit, "POST", UNLOCK)
            self._expect(unit, answer, (200, 204), "to give up its configuration lock")
        self._locked_with = None

    async def _end_left(self, permit: Permit[Write], unit: UnitSession, left: LeftLock) -> None:
        async def send(send_before: float) -> Answer:
            return await unit.send_as(left.token, "POST", UNLOCK, send_before)

        await self._guard.step(permit, WRITE_LIMIT_S, send)

    def _holds(self, unit: UnitSession) -> bool:
        return self._locked_with is not None and unit.lineage == self._locked_lineage

    def _locked_unit(self) -> UnitSession:
        unit = self._units.open_unit
        if unit is None or self._locked_with is None:
            raise Rejected("the device's own lock is not held; it is taken before anything is written")
        if not self._holds(unit):
            raise Rejected("the device has ended our session, and with it its lock")
        return unit

    # ------------------------------------------------------------------------------------------ writing

    async def write(self, permit: Permit[Write], schema: Schema, edit: ElementEdit) -> None:
        """Create, change or delete one top-level element with its sub-elements."""
        self._guard.writing(permit)
        unit = self._locked_unit()
        for request in requests_for(Translator(self._units.definition, schema), schema, edit):
            answer = await self._send(permit, unit, request.method, ELEMENTS, request.params, request.body)
            self._expect(unit, answer, request.good, request.what, request.hide)

    async def verify(self, permit: Permit[Write]) -> str | None:
        state = await self._job(permit, "PUT", "verify")
        return None if _succeeded(state) else state.message or "the device does not say why"

    async def save(self, permit: Permit[Write]) -> None:
        await self._must(permit, "PUT", "save")

    async def activate(self, permit: Permit[Write]) -> None:
        """Makes the saved configuration the running one."""
        await self._must(permit, "POST", "activate")

    async def confirm(self, permit: Permit[Write]) -> None:
        """Nothing: an activation is final."""
        self._guard.writing(permit)

    async def restore(self, permit: Permit[Write], source: str) -> None:
        await self._must(permit, "PUT", "restore", [("restoreSource", source)])

    async def _must(self, permit: Permit[Write], method: str, action: str, params: Params = ()) -> None:
        state = await self._job(permit, method, action, params)
        if not _succeeded(state):
            raise Rejected(f"the device could not {action} the configuration: {state.message or 'it does not say why'}")

    async def _job(self, permit: Permit[Write], method: str, action: str, params: Params = ()) -> JobState:
        """One step from the request to the job's end: until then the device is changing."""
        self._guard.writing(permit)
        unit = self._locked_unit()
        await self._units.require_active(unit)
        await self._keep_token(unit)
        deadline = time.monotonic() + JOB_LIMIT_S - JOB_MARGIN_S

        async def run(send_before: float) -> Answer | JobState:
            answer = await unit.send(method, MANAGEMENT, send_before, [("action", action), *params])
            return answer if answer.status != 202 else await unit.job_end(answer, deadline)

        outcome = await self._guard.step(permit, JOB_LIMIT_S, run)
        if isinstance(outcome, Answer):
            raise self._refusal(unit, outcome, f"to {action} the configuration")
        return replace(outcome, message=struck_out(outcome.message, {self._units.credentials.password, unit.token}))

    # ------------------------------------------------------------------------------------------ sending

    async def _reach(self) -> UnitSession:
        unit = await self._units.reach()
        await self._keep_token(unit)
        return unit

    async def _keep_token(self, unit: UnitSession) -> None:
        """Renew the token when it is due. While it holds the device's lock that prolongs the lock: a step, too."""
        if not unit.due:
            return
        if self._locked_with is not None and self._holds(unit):
            unit.accept_token(await self._guard.step(self._locked_with, WRITE_LIMIT_S, unit.renew))
        else:
            await unit.log_in()

    async def _send(
        self,
        permit: Permit[Write],
        unit: UnitSession,
        method: str,
        path: str,
        params: Params = (),
        body: bytes | None = None,
    ) -> Answer:
        """One write in one step. 401 is not tried again here: a lock would have gone with the token.

        The lock itself is asked for right after a read, which replaces a forgotten token.
        """
        await self._keep_token(unit)

        async def send(send_before: float) -> Answer:
            return await unit.send(method, path, send_before, params, body)

        answer = await self._guard.step(permit, WRITE_LIMIT_S, send)
        if answer.status == 401:
            self._locked_with = None
        return answer

    def _expect(
        self, unit: UnitSession, answer: Answer, good: Collection[int], what: str, hide: Collection[str] = ()
    ) -> None:
        if answer.status not in good:
            raise self._refusal(unit, answer, what, hide)

    def _refusal(
        self, unit: UnitSession, answer: Answer, what: str, hide: Collection[str] = ()
    ) -> DeviceSideLocked | Rejected:
        """423 is somebody's lock on the device itself; any other no is Rejected, with the device's words."""
        if answer.status != 423:
            return unit.refused(answer, what, hide)
        said = words(answer, {self._units.credentials.password})
        left = self._left.get(self._guard.device_id)
        ours = f"; an earlier session of this server may hold it, until {left.ends} at the latest" if left else ""
        return DeviceSideLocked(
            f"the device itself is locked or busy on its own side{f' ({said})' if said else ''}{ours}", deviceSays=said
        )

    async def close(self) -> None:
        """End the connection. A device lock it still holds falls with its token; until then it is remembered."""
        unit = self._units.open_unit
        if unit is not None and self._holds(unit) and unit.token:
            self._left[self._guard.device_id] = LeftLock(unit.address, unit.token, unit.token_ends)
        self._locked_with = None
        await self._units.close()


def _succeeded(state: JobState) -> bool:
    return state.status.lower() in {"success", "succeeded", "completed"}
