"""The sessions one connection has on its device: from the pool and back, what identifies them, and how old ones end.

Ids of sessions start anew when a device does. So a session is noted with the time it began, as the device tells it,
and one that began at another time is somebody else's and left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from lxml import etree

from opensdm.core.errors import Unreachable
from opensdm.core.inventory import Credentials
from opensdm.drivers.netconf_session import NetconfSession, open_session
from opensdm.drivers.netconf_xml import MONITORING, Reply, element, get
from opensdm.drivers.pool import Pool, PoolKey, pool_key

PROOF_S = 5.0
"""How long a new session may take to answer its first, small question."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SessionNote:
    """A session on a device: its id and when it began, in the device's words; `began` empty: it does not say."""

    session_id: str
    began: str

    def written(self) -> str:
        return json.dumps({"session": self.session_id, "began": self.began})


def read_note(note: str | None) -> SessionNote | None:
    """A note as it was written; what is no such note is taken for none."""
    try:
        said = json.loads(note or "null")
        return SessionNote(str(said["session"]), str(said["began"])) if said["session"] else None
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as the device lists it."""

    began: str
    user: str
    source: str

    def is_(self, noted: SessionNote) -> bool:
        """Whether it is the very session that was noted, under the same number."""
        return self.began == noted.began


class Sessions:
    """At most one session at a time, taken when needed. `tainted`: not to be used by anybody else afterwards."""

    def __init__(self, device_id: int, credentials: Credentials, pool: Pool[NetconfSession]) -> None:
        self._credentials = credentials
        self._pool = pool
        self._key: PoolKey = pool_key(device_id, credentials)
        self._untried = False
        self.current: NetconfSession | None = None
        self.tainted = False
        self.learned: Mapping[str, str] = {}

    async def reach(self) -> NetconfSession:
        """The session in hand while it lives, else another one. Raises what `open_session` raises."""
        if self.current is not None and not self.current.closed:
            return self.current
        self.drop()
        self.current, self._untried = await self._pool.acquire(self._key, self._open)
        self.learned = self.learned or self.current.learned
        return self.current

    async def read(self, request: etree._Element, read: Callable[[Reply], T]) -> T:
        """Ask once more on another session when one from the pool turns out to be dead at its first use."""
        session = await self.reach()
        try:
            said = await session.ask(request, read)
        except Unreachable:
            if not self._untried:
                raise
            return await (await self.reach()).ask(request, read)
        self._untried = False
        return said

    async def seen(self) -> Mapping[str, Seen]:
        """The sessions on the device by id; empty where it does not tell."""
        return await self.read(_sessions_wanted(), _read_seen)

    async def _open(self) -> NetconfSession:
        """A session that has answered. netconfd loses a request that it reads together with our hello: then anew."""
        session = await open_session(self._credentials)
        try:
            return await _proven(session)
        except Unreachable:
            return await _proven(await open_session(self._credentials))

    def drop(self) -> None:
        """End the session in hand: its locks and unconfirmed commits on the device go with it."""
        session, self.current = self.current, None
        if session is not None:
            self._pool.release(self._key, session, healthy=False)

    def give_back(self) -> None:
        """Leave the session in hand to whoever needs one next, unless it is tainted."""
        session, self.current = self.current, None
        if session is not None:
            self._pool.release(self._key, session, healthy=not self.tainted)


async def _proven(session: NetconfSession) -> NetconfSession:
    """One that does not prove itself is nobody's to close later: it ends here."""
    try:
        await session.ask(_sessions_wanted(), lambda _: None, timeout_s=PROOF_S)
    except BaseException:
        session.close()
        raise
    return session


def _sessions_wanted() -> etree._Element:
    asked = element(f"{{{MONITORING}}}netconf-state")
    element(f"{{{MONITORING}}}sessions", asked)
    return get([asked])


def _read_seen(reply: Reply) -> Mapping[str, Seen]:
    found = {}
    for node in reply.data.iter(f"{{{MONITORING}}}session"):
        said = [
            node.findtext(f"{{{MONITORING}}}{name}", "").strip()
            for name in ("session-id", "login-time", "username", "source-host")
        ]
        found[said[0]] = Seen(*said[1:])
    return found
