"""Devices that speak NETCONF (RFC 6241) over SSH; what their elements are follows from their YANG modules.

Edits are collected in the candidate, committed with a time to confirm them, and copied to startup at the end, as far
as the device offers these; where it has no candidate, edits run at once, each whole or not at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from lxml import etree

from opensdm.core.element import Element, Schema
from opensdm.core.enrolment import split_address
from opensdm.core.errors import DeviceSideLocked, InvalidRequest, LockLost, Rejected
from opensdm.core.inventory import Credentials
from opensdm.core.permit import Permit, Read, Verifier, Write
from opensdm.core.ports import Capabilities, DeviceFacts, ElementEdit
from opensdm.core.validation import describe_key, key_of
from opensdm.drivers.base import PermitGuard
from opensdm.drivers.netconf_edits import config_of, edit_config, secrets_of, shown
from opensdm.drivers.netconf_modules import Texts, advertised, identity_request, read_identity, software_version
from opensdm.drivers.netconf_nodes import Places
from opensdm.drivers.netconf_session import NetconfSession
from opensdm.drivers.netconf_sessions import SessionNote, Sessions, read_note
from opensdm.drivers.netconf_xml import Reply, RpcError, base, get_config, struck_out
from opensdm.drivers.pool import Pool
from opensdm.drivers.yang import build_schema

PLATFORM = "netconf"
WRITE_LIMIT_S = 30.0
COMMIT_LIMIT_S = 120.0
ENDING_S, ENDING_POLL_S = 3.0, 0.1
"""How long the device may take to give the lock of a session that was ended back."""
VALIDATE, CONFIRM_S = "netconf.validate", "netconf.confirm.s"

CAPABILITIES = Capabilities(
    candidate=True, device_lock=True, verify=True, saves_last=True, restore=True, confirmed_commit=True,
    ends_foreign_session=True,
)  # fmt: skip
"""What the platform can; what one device lacks of it is skipped where that is harmless, and else a clear Rejected."""


class NetconfDriver:
    """Opens connections, and keeps their sessions open for a while after use."""

    platform = PLATFORM
    capabilities = CAPABILITIES

    def __init__(self, pool: Pool[NetconfSession] | None = None) -> None:
        self._pool = pool or Pool()

    def connect(self, device_id: int, credentials: Credentials, verifier: Verifier) -> NetconfConnection:
        """No traffic yet. Raises InvalidRequest for parameters that make no sense."""
        return NetconfConnection(PermitGuard(verifier, device_id), credentials, self._pool)

    async def close(self) -> None:
        """End the sessions kept open."""
        await self._pool.close()


class NetconfConnection:
    """One device. Every method asks about its permit first; every write is one step of the gate."""

    capabilities = CAPABILITIES

    def __init__(self, guard: PermitGuard, credentials: Credentials, pool: Pool[NetconfSession]) -> None:
        self._guard = guard
        self._credentials = credentials
        self._validates = _flag(credentials, VALIDATE)
        self._confirm_s = _seconds(credentials, CONFIRM_S, 60)
        self._sessions = Sessions(guard.device_id, credentials, pool)
        self._left = read_note(credentials.left_session)
        self._locked: SessionNote | None = None
        self._locked_in: NetconfSession | None = None
        self._unconfirmed = False
        self._confirm_before = 0.0
        self._places: Places | None = None

    @property
    def learned(self) -> Mapping[str, str]:
        return self._sessions.learned

    def preview(self, schema: Schema, edit: ElementEdit) -> tuple[str, ...]:
        return shown(self._places_of(schema), edit)

    # ------------------------------------------------------------------------------------------ reading

    async def facts(self, permit: Permit[Read]) -> DeviceFacts:
        """`software_version` tells modules apart, and with them schemas. A device without a name has its address."""
        self._guard.reading(permit)
        said = await self._sessions.read(identity_request(), read_identity)
        session = await self._sessions.reach()
        host, _ = split_address("primary.ip", self._credentials.address)
        return DeviceFacts(
            platform=PLATFORM,
            software_version=software_version(session.capabilities, said.get("software", "")),
            host_name=said.get("name", host),
            role="standalone",
        )

    async def read_schema(self, permit: Permit[Read]) -> Schema:
        """Of the modules the device gives, or that the folder `yang.path` has; slow for large models."""
        facts = await self.facts(permit)
        session = await self._sessions.reach()
        texts = await Texts(session, self._credentials.parameters.get("yang.path")).of(await advertised(session))
        return await asyncio.to_thread(build_schema, PLATFORM, facts.software_version, texts)

    async def read_elements(
        self, permit: Permit[Read], schema: Schema, paths: Sequence[str] | None = None, *, running: bool = False
    ) -> tuple[Element, ...]:
        """Of the candidate unless `running`; a sub-element's path reads the type that contains it."""
        self._guard.reading(permit)
        places = self._places_of(schema)
        wanted = None if paths is None else list(dict.fromkeys(path.partition("/")[0] for path in paths))
        if wanted == []:
            return ()
        source = "running" if running else _target(await self._sessions.reach())

        def read(reply: Reply) -> tuple[Element, ...]:
            if reply.errors:
                raise Rejected(f"the device refused to show its configuration: {reply.words(self._hidden())}")
            return places.read(reply.data, wanted)

        return await self._sessions.read(get_config(source, places.filters(wanted or ())), read)

    def _places_of(self, schema: Schema) -> Places:
        if self._places is None or self._places.schema is not schema:
            self._places = Places(schema)
        return self._places

    # ----------------------------------------------------------------------------------------- the lock

    async def lock(self, permit: Permit[Write]) -> None:
        """Lock the candidate, or running where there is none. What an earlier session of ours left is ended first."""
        self._guard.writing(permit)
        seen = await self._sessions.seen()
        session = await self._sessions.reach()
        if self._locked_in is session:
            return
        own = seen.get(session.session_id)
        note = SessionNote(session.session_id, own.began if own else "")
        left = [each for each in (self._left, self._locked) if each is not None and each != note]
        ended = {each.session_id for each in left if each.session_id in seen and seen[each.session_id].is_(each)}
        for session_id in ended:
            await self._end(permit, session, session_id)
        await self._guard.note_session(permit, note.written())
        self._left = self._locked = None
        try:
            await self._ask_for_lock(permit, session, ended, set() if seen else {each.session_id for each in left})
        except (Rejected, DeviceSideLocked):
            await self._guard.note_session(permit, None)
            raise
        self._locked, self._locked_in, self._unconfirmed = note, session, False

    async def _end(self, permit: Permit[Write], session: NetconfSession, session_id: str) -> None:
        """Nobody minds when it is gone already: the lock, asked for next, tells."""
        await self._step(permit, session, base("kill-session", base("session-id", value=session_id)))

    async def _ask_for_lock(
        self, permit: Permit[Write], session: NetconfSession, ended: set[str], suspects: set[str]
    ) -> None:
        """Uncommitted edits that nobody holds a lock for are thrown away.

        `suspects` may be sessions of ours, on a device that does not list its sessions; one that stands in the way is
        ended.
        """
        request = base("lock", base("target", base(_target(session))))
        until, cleaned = time.monotonic() + ENDING_S, False
        while True:
            reply = await self._step(permit, session, request)
            if not reply.errors:
                return
            dirty = reply.failed("resource-denied") if _target(session) == "candidate" else None
            if dirty is not None and not cleaned:
                cleaned = True
                await self._must(permit, session, base("discard-changes"), "could not throw old edits away")
                continue
            denied = reply.failed("lock-denied", "in-use")
            if denied is None:
                raise Rejected(f"the device refused its configuration lock: {reply.words(self._hidden())}")
            if denied.session in suspects - ended:
                await self._end(permit, session, denied.session)
                ended.add(denied.session)
                continue
            if denied.session not in ended or time.monotonic() > until:
                raise await self._side_locked(denied)
            await asyncio.sleep(ENDING_POLL_S)

    async def _side_locked(self, denied: RpcError) -> DeviceSideLocked:
        holder = (await self._sessions.seen()).get(denied.session)
        who = f"by its session {denied.session}" if denied.session.strip("0") else "by something that names no session"
        whose = f" of {holder.user} from {holder.source}" if holder is not None else ""
        return DeviceSideLocked(
            f"the device itself is locked or busy on its own side, {who}{whose} ({denied.words})",
            deviceSays=denied.words, sessionId=denied.session or None,
        )  # fmt: skip

    async def unlock(self, permit: Permit[Write]) -> None:
        """Give the device's lock back; nothing to do when it is gone already."""
        self._guard.writing(permit)
        session = self._sessions.current
        if session is not None and not session.closed and self._locked_in is session:
            request = base("unlock", base("target", base(_target(session))))
            await self._must(permit, session, request, "could not give up its configuration lock")
            self._locked = None
            # What was to be done is done: a fence that falls now leaves a note of a session that holds nothing.
            with suppress(LockLost):
                await self._guard.note_session(permit, None)
        self._locked_in = None

    def _locked_session(self) -> NetconfSession:
        session = self._sessions.current
        if session is None or self._locked_in is None:
            raise Rejected("the device's own lock is not held; it is taken before anything is written")
        if session.closed or self._locked_in is not session:
            raise Rejected("the device has ended our session, and with it its lock")
        return session

    # ------------------------------------------------------------------------------------------ writing

    async def write(self, permit: Permit[Write], schema: Schema, edit: ElementEdit) -> None:
        """Only what differs is sent; nothing, where the two sides say the same."""
        self._guard.writing(permit)
        session = self._locked_session()
        places = self._places_of(schema)
        if len(config_of(places, edit)) == 0:
            return
        request = edit_config(places, edit, _target(session), _edit_options(session))
        one = edit.after or edit.before
        what = describe_key(key_of(schema, one)) if one is not None else "nothing"
        done = "to delete " if edit.after is None else "" if edit.before is None else "the change of "
        await self._must(permit, session, request, f"refused {done}{what}", secrets_of(schema, edit))

    async def verify(self, permit: Permit[Write]) -> str | None:
        """None without asking where `netconf.validate` is false, or the device has no validation."""
        self._guard.writing(permit)
        session = self._locked_session()
        if not self._validates or not session.offers("validate"):
            return None
        reply = await self._step(permit, session, base("validate", base("source", base(_target(session)))))
        return reply.words(self._hidden()) if reply.errors else None

    async def activate(self, permit: Permit[Write]) -> None:
        """Commit; the device undoes it by itself unless `confirm` comes in time, where it knows how."""
        self._guard.writing(permit)
        session = self._locked_session()
        if not session.offers("candidate"):
            return
        confirmed = session.offers("confirmed-commit")
        terms = (base("confirmed"), base("confirm-timeout", value=str(self._confirm_s))) if confirmed else ()
        begun = time.monotonic()
        await self._must(
            permit, session, base("commit", *terms), "could not activate the edits", limit_s=COMMIT_LIMIT_S
        )
        self._unconfirmed, self._confirm_before = confirmed, begun + self._confirm_s

    async def confirm(self, permit: Permit[Write]) -> None:
        """Only in time: a commit that comes late would make it run once more."""
        self._guard.writing(permit)
        if not self._unconfirmed:
            return
        session = self._locked_session()
        if time.monotonic() > self._confirm_before:
            raise Rejected(f"nobody confirmed the activation within {self._confirm_s} s; the device has undone it")
        await self._must(permit, session, base("commit"), "could not confirm the activation", limit_s=COMMIT_LIMIT_S)
        self._unconfirmed = False

    async def save(self, permit: Permit[Write]) -> None:
        """Copy running to startup; a device without a startup of its own keeps what runs anyway."""
        self._guard.writing(permit)
        session = self._locked_session()
        if session.offers("startup"):
            request = base("copy-config", base("target", base("startup")), base("source", base("running")))
            await self._must(permit, session, request, "could not save the configuration")

    async def restore(self, permit: Permit[Write], source: str) -> None:
        """Throw away what was edited, after an unconfirmed activation was undone; `saved` fetches startup instead."""
        self._guard.writing(permit)
        session = self._locked_session()
        if not session.offers("candidate"):
            raise Rejected("this device cannot restore anything: it has no candidate, edits run at once")
        if source == "saved" and not session.offers("startup"):
            raise Rejected("this device cannot restore what was saved: it has no startup configuration of its own")
        if self._unconfirmed:
            await self._cancel(permit, session)
        if source == "saved":
            request = base("copy-config", base("target", base("candidate")), base("source", base("startup")))
        else:
            request = base("discard-changes")
        await self._must(permit, session, request, "could not restore its configuration")

    async def _cancel(self, permit: Permit[Write], session: NetconfSession) -> None:
        """At version 1.0 only the end of the session undoes a commit before its time."""
        if not session.offers("confirmed-commit", "1.1"):
            self._sessions.drop()
            raise Rejected("the device undoes what was activated now that our session has ended; its lock is gone, too")
        await self._must(
            permit, session, base("cancel-commit"), "could not restore what ran before", limit_s=COMMIT_LIMIT_S
        )
        self._unconfirmed = False

    # ------------------------------------------------------------------------------------------ sending

    async def _must(
        self, permit: Permit[Write], session: NetconfSession, request: etree._Element, failing: str,
        hide: Collection[str] = (), limit_s: float | None = None,
    ) -> None:  # fmt: skip
        reply = await self._step(permit, session, request, limit_s)
        denied = reply.failed("in-use", "lock-denied")
        if denied is not None:
            raise await self._side_locked(denied)
        if reply.errors:
            raise Rejected(struck_out(f"the device {failing}: {reply.words()}", {*self._hidden(), *hide}))

    async def _step(
        self, permit: Permit[Write], session: NetconfSession, request: etree._Element, limit_s: float | None = None
    ) -> Reply:
        """One write in one step. After anything but an answer nobody else uses the session."""
        limit = WRITE_LIMIT_S if limit_s is None else limit_s

        async def send(send_before: float) -> Reply:
            return await session.ask(request, lambda reply: reply, timeout_s=limit, send_before=send_before)

        try:
            return await self._guard.step(permit, limit, send)
        except BaseException:
            self._sessions.tainted = True
            raise

    def _hidden(self) -> Collection[str]:
        return {self._credentials.password}

    async def close(self) -> None:
        """Leave the session for the next connection, unless it still holds something on the device: then end it."""
        if self._locked_in is not None or self._unconfirmed:
            self._sessions.tainted = True
        self._locked_in = None
        self._sessions.give_back()


def _target(session: NetconfSession) -> str:
    """Where edits go."""
    if session.offers("candidate"):
        return "candidate"
    return "running"


def _edit_options(session: NetconfSession) -> list[etree._Element]:
    """Edits are checked together, when they are all there: one may refer to what a later one brings."""
    options = [base("default-operation", value="merge")]
    if session.offers("validate") and session.offers("candidate"):
        options.append(base("test-option", value="set"))
    if session.offers("rollback-on-error"):
        options.append(base("error-option", value="rollback-on-error"))
    return options


def _flag(credentials: Credentials, name: str) -> bool:
    match credentials.parameters.get(name, "true").lower():
        case "true":
            return True
        case "false":
            return False
        case other:
            raise InvalidRequest(f"device parameter {name} is true or false, not {other!r}")


def _seconds(credentials: Credentials, name: str, default: int) -> int:
    said = credentials.parameters.get(name, str(default))
    if not said.isdecimal() or not 1 <= int(said) <= 3600:
        raise InvalidRequest(f"device parameter {name} is a number of seconds from 1 to 3600, not {said!r}")
    return int(said)
