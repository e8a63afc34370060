"""Acme Packet / Oracle SBCs over their device-side REST API.

Reads need a token; writes need the device's own lock, which lives and dies with a token. A pair of units is
one device with two addresses: only the active one is written to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial

from opensdm.core.element import Element, Schema
from opensdm.core.errors import DeviceSideLocked, LockLost, Rejected, StoreUnavailable, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.core.permit import Permit, Read, Verifier, Write
from opensdm.core.ports import Capabilities, DeviceFacts, ElementEdit
from opensdm.core.validation import Key, key_of
from opensdm.drivers.acme_edits import ELEMENTS, requests_for, shown
from opensdm.drivers.acme_elements import Translator, build_schema
from opensdm.drivers.acme_http import Answer, Params, struck_out, words
from opensdm.drivers.acme_kept import KeptUnit, KeptUnits
from opensdm.drivers.acme_left import LeftSession, SessionNotes
from opensdm.drivers.acme_session import ACTIVE_ROLES, UnitSession
from opensdm.drivers.acme_units import Units
from opensdm.drivers.acme_xml import JobState
from opensdm.drivers.base import SEND_WITHIN_S, NotSent, PermitGuard
from opensdm.drivers.names import Definition, load_definition
from opensdm.drivers.pool import Pool

WRITE_LIMIT_S = 15.0
JOB_LIMIT_S = 180.0
JOB_MARGIN_S = 5.0
LOCK, UNLOCK = "configuration/lock", "configuration/unlock"
MANAGEMENT = "configuration/management"
ALONE = "standalone"
SWITCHED = (403, 423)
"""How a unit refuses a write when it is not the active one any more."""


CAPABILITIES = Capabilities(
    candidate=True, device_lock=True, verify=True, separate_save=True, restore=True, ends_foreign_session=True
)


class AcmeSbcDriver:
    """Opens connections, and keeps units connected and logged in between operations."""

    capabilities = CAPABILITIES

    def __init__(self, definition: Definition | None = None, pool: Pool[KeptUnit] | None = None) -> None:
        self._definition = definition or load_definition("acme_sbc")
        self._kept = KeptUnits(pool)
        self.platform = self._definition.platform

    def connect(self, device_id: int, credentials: Credentials, verifier: Verifier) -> AcmeSbcConnection:
        """No traffic yet. Raises InvalidRequest for transport parameters that make no sense."""
        units = Units(credentials, self._definition, self._kept.of(device_id, credentials))
        return AcmeSbcConnection(PermitGuard(verifier, device_id), units)

    async def close(self) -> None:
        """End what is kept open; at the server's end."""
        await self._kept.close()


class AcmeSbcConnection:
    """One device. Every method asks about its permit first; every write is one step of the gate."""

    capabilities = CAPABILITIES

    def __init__(self, guard: PermitGuard, units: Units) -> None:
        self._guard = guard
        self._units = units
        self._notes = SessionNotes(guard, units.credentials.left_session)
        self._locked_with: Permit[Write] | None = None
        self._locked_as: tuple[UnitSession, int] | None = None
        self._noted_token = ""

    @property
    def learned(self) -> Mapping[str, str]:
        return self._units.learned

    def preview(self, schema: Schema, edit: ElementEdit) -> tuple[str, ...]:
        return shown(Translator(self._units.definition, schema), schema, edit)

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
            await self._keep_token(unit)
            pages = unit.pages(translator.device_type(path), running=running, keep=lambda: self._keep_token(unit))
            async with aclosing(pages):
                async for page in pages:
                    # Reading a page takes a while of a processor, which is not the event loop's to spend.
                    found += await asyncio.to_thread(translator.page_to_north, page)
        return tuple(found)

    async def read_named(
        self, permit: Permit[Read], schema: Schema, elements: Sequence[Element], *, running: bool = False
    ) -> tuple[Element, ...]:
        """One request each; of a type without keys there is one at most."""
        self._guard.reading(permit)
        unit = await self._reach()
        translator = Translator(self._units.definition, schema)
        found: dict[Key, Element] = {}
        for element in elements:
            await self._keep_token(unit)
            keys = [(name, value) for name, values in translator.keys(element).items() for value in values or ("",)]
            pages = unit.pages(
                translator.device_type(element.path), running=running, keep=lambda: self._keep_token(unit), keys=keys
            )
            async with aclosing(pages):
                async for page in pages:
                    found |= {key_of(schema, each): each for each in translator.page_to_north(page)}
        return tuple(found.values())

    async def _software_version(self, unit: UnitSession) -> str:
        said = (await unit.get("system/version")).envelope
        named = [*said.anywhere("buildVersion"), *said.anywhere("softwareVersion"), *said.anywhere("version")]
        return next((text for text in named if text), "")

    # ----------------------------------------------------------------------------------------- the lock

    async def lock(self, permit: Permit[Write]) -> None:
        """Take the device's own lock, on the active unit. A lock that an earlier session of ours left is ended first.

        What it takes to end this one is noted before it is asked for, so that no crash leaves a lock nobody can end.
        """
        self._guard.writing(permit)
        unit = await self._units.find_active()
        await self._keep_token(unit)
        token = self._noted_token = unit.token
        await self._notes.add(permit, _session(unit))
        unit.may_hold_lock = True
        answer = await self._ask(permit, unit, token, LOCK)
        left = self._notes.left_at(unit.address, token)
        if answer.status == 423 and left:
            for session in left:
                await self._ask(permit, unit, session.token, UNLOCK)
            answer = await self._ask(permit, unit, token, LOCK)
        if answer.status not in (200, 204):
            unit.may_hold_lock = False
            await self._notes.forget(permit, token)
            raise self._refusal(unit, answer, "its configuration lock")
        self._locked_with, self._locked_as = permit, (unit, unit.lineage)
        await self._notes.forget(permit, *(session.token for session in left))

    async def unlock(self, permit: Permit[Write]) -> None:
        """Give the device's lock back; nothing to do when it is gone already."""
        self._guard.writing(permit)
        unit = self._units.open_unit
        if unit is not None and self._holds(unit):
            await self._still_active(unit)
        if unit is not None and self._holds(unit):
            answer = await self._send(permit, unit, "POST", UNLOCK)
            unit.may_hold_lock = answer.status not in (200, 204, 401)
            await self._forget_own(permit)
            self._expect(unit, answer, (200, 204), "to give up its configuration lock")
        self._locked_with = None
        await self._forget_own(permit)

    async def _forget_own(self, permit: Permit[Write]) -> None:
        """The lock is given back, or went with its token. A note that stays nevertheless ends nothing of anybody."""
        with suppress(LockLost, StoreUnavailable):
            await self._notes.forget(permit, self._noted_token)

    async def _ask(self, permit: Permit[Write], unit: UnitSession, token: str, path: str) -> Answer:
        """For the lock, or for an end of one, as one of our sessions."""

        async def send(send_before: float) -> Answer:
            return await unit.send_as(token, "POST", path, send_before)

        return await self._guard.step(permit, WRITE_LIMIT_S, send)

    def _holds(self, unit: UnitSession) -> bool:
        return self._locked_with is not None and self._locked_as == (unit, unit.lineage)

    def _locked_unit(self) -> UnitSession:
        unit = self._units.open_unit
        if unit is None or self._locked_with is None:
            raise Rejected("the device's own lock is not held; it is taken before anything is written")
        if not self._holds(unit):
            raise Rejected("the device has ended our session, and with it its lock")
        return unit

    async def _writable_unit(self, *, surely: bool = False) -> UnitSession:
        """The locked unit, if it still is the active one. A unit that is no pair's is asked only where it matters."""
        unit = self._locked_unit()
        if surely or unit.known_role != ALONE:
            await self._still_active(unit)
        return self._locked_unit()

    async def _still_active(self, unit: UnitSession, said: str = "") -> None:
        role = await unit.role()
        if role not in ACTIVE_ROLES:
            raise Rejected(
                f"the unit at {unit.address} is {role or 'of no role it names'} now{said}: the pair switched over "
                "during this work, and only an active unit is written to. What was edited and not saved is not on "
                "the unit that is active now"
            )

    # ------------------------------------------------------------------------------------------ writing

    async def write(self, permit: Permit[Write], schema: Schema, edit: ElementEdit) -> None:
        """Create, change or delete one top-level element with its sub-elements."""
        self._guard.writing(permit)
        for request in requests_for(Translator(self._units.definition, schema), schema, edit):
            unit = await self._writable_unit()
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
        self._guard.writing(permit)
        unit = self._locked_unit()
        # Release 8.2 has another name for the parameter than all that came after.
        old = unit.version == "v1.1" and "8.2" in await self._software_version(unit)
        await self._must(permit, "PUT", "restore", [("restoreType" if old else "restoreSource", source)])

    async def _must(self, permit: Permit[Write], method: str, action: str, params: Params = ()) -> None:
        state = await self._job(permit, method, action, params)
        if not _succeeded(state):
            await self._look_again(f" (its {action} ended with: {state.message})")
            raise Rejected(f"the device could not {action} the configuration: {state.message or 'it does not say why'}")

    async def _job(self, permit: Permit[Write], method: str, action: str, params: Params = ()) -> JobState:
        """From the request to the job's end. Under our own lock 423 means that a job is at work already, such as one
        whose answer was lost on its way to us: its end is waited for, and the request sent once more.
        """
        self._guard.writing(permit)
        for first in (True, False):
            unit = await self._writable_unit(surely=True)
            await self._keep_token(unit)
            outcome = await self._begun(permit, unit, method, [("action", action), *params])
            if first and isinstance(outcome, Answer) and outcome.status == 423:
                await unit.idle(time.monotonic() + JOB_LIMIT_S, partial(self._keep_token, unit))
            else:
                break
        if isinstance(outcome, Answer):
            if outcome.status in SWITCHED:
                await self._look_again()
            raise self._refusal(unit, outcome, f"to {action} the configuration")
        return replace(outcome, message=struck_out(outcome.message, {self._units.credentials.password, unit.token}))

    async def _begun(self, permit: Permit[Write], unit: UnitSession, method: str, params: Params) -> Answer | JobState:
        """How a job ended, or the device's no to it. One step: until the end the device is changing."""
        deadline = time.monotonic() + JOB_LIMIT_S - JOB_MARGIN_S

        async def run(send_before: float) -> Answer | JobState:
            answer = await unit.send(method, MANAGEMENT, send_before, params)
            if answer.status != 202:
                return answer
            return await unit.job_end(answer, deadline, lambda: self._keep_during_job(permit, unit, deadline))

        return await self._guard.step(permit, JOB_LIMIT_S, run)

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
            before = unit.token
            unit.accept_token(await self._guard.step(self._locked_with, WRITE_LIMIT_S, unit.renew))
            self._noted_token = unit.token
            await self._notes.add(self._locked_with, _session(unit), instead_of=before)
        else:
            await unit.log_in()

    async def _keep_during_job(self, permit: Permit[Write], unit: UnitSession, last: float) -> None:
        """Renew the token between two polls, unless the work was fenced meanwhile.

        The job's end is waited for in any case: without a new token the device forgets the old one and its lock.
        `last`: no later than this, an instant of `time.monotonic()`, and soon after the look whether it was fenced.
        """
        send_before = min(last, time.monotonic() + SEND_WITHIN_S)
        if not await self._notes.still_noted(permit):
            return
        before = unit.token
        try:
            answer = await unit.renew(send_before)
        except NotSent:  # of the renewal, which is not what this step is about
            return
        if answer.status == 200:
            unit.accept_token(answer)
            self._noted_token = unit.token
            with suppress(LockLost, StoreUnavailable):
                await self._notes.add(permit, _session(unit), instead_of=before)

    async def _look_again(self, said: str = "") -> None:
        """After a no that may come of a switchover: the unit is asked whether there was one."""
        unit = self._units.open_unit
        with suppress(Unreachable):
            if unit is not None:
                await self._still_active(unit, said)

    async def _send(
        self,
        permit: Permit[Write],
        unit: UnitSession,
        method: str,
        path: str,
        params: Params = (),
        body: bytes | None = None,
    ) -> Answer:
        """One write in one step. 401 is not tried again here: a lock would have gone with the token."""
        await self._keep_token(unit)

        async def send(send_before: float) -> Answer:
            return await unit.send(method, path, send_before, params, body)

        answer = await self._guard.step(permit, WRITE_LIMIT_S, send)
        if answer.status == 401:
            self._locked_with = None
        if answer.status in SWITCHED:
            await self._look_again()
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
        left = self._notes.left_at(unit.address, unit.token)
        until = max((session.ends for session in left), default="")
        ours = f"; an earlier session of this server may hold it, until {until} at the latest" if left else ""
        return DeviceSideLocked(
            f"the device itself is locked or busy on its own side{f' ({said})' if said else ''}{ours}", deviceSays=said
        )

    async def close(self) -> None:
        """Done with the device. A lock it still holds falls with its token, and until then stays noted."""
        self._locked_with = None
        await self._units.close()


def _session(unit: UnitSession) -> LeftSession:
    return LeftSession(unit.address, unit.token, time.time() + unit.token_ends - time.monotonic())


def _succeeded(state: JobState) -> bool:
    return state.status.lower() in {"success", "succeeded", "completed"}
