"""Sessions of ours on an SBC that may still hold its lock: what is noted of them, so that they can be ended later.

A crashed server, a fenced push or a dead connection gives nothing back. Whoever is admitted to the device next ends
the lock with the token it belongs to, instead of waiting until the device forgets it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from opensdm.core.errors import LockLost, StoreUnavailable
from opensdm.core.permit import Permit, Write
from opensdm.drivers.base import PermitGuard


@dataclass(frozen=True, slots=True)
class LeftSession:
    """A token on one unit that may hold the unit's lock, until `until` (seconds since the Unix epoch)."""

    unit: str
    token: str = field(repr=False)
    until: float

    @property
    def ends(self) -> str:
        return datetime.fromtimestamp(self.until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_note(note: str | None) -> list[LeftSession]:
    """The sessions of a note that are not over yet; none where it cannot be read."""
    try:
        known = msgspec.json.decode(note or "[]", type=list[LeftSession])
    except msgspec.MsgspecError:
        return []
    return [session for session in known if session.until > time.time()]


class SessionNotes:
    """What is noted of one device. Each change is written before the next byte leaves; LockLost when fenced."""

    def __init__(self, guard: PermitGuard, note: str | None) -> None:
        self._guard = guard
        self._sessions = read_note(note)

    def left_at(self, unit: str, own_token: str) -> list[LeftSession]:
        """Sessions before this one that may hold the unit's lock, the newest first."""
        now = time.time()
        return [s for s in reversed(self._sessions) if s.unit == unit and s.token != own_token and s.until > now]

    async def add(self, permit: Permit[Write], session: LeftSession, *, instead_of: str = "") -> None:
        """One more session, or a renewed one in place of the one with the token `instead_of`."""
        others = [s for s in self._sessions if s.token not in (session.token, instead_of)]
        await self._change(permit, [*others, session])

    async def forget(self, permit: Permit[Write], *tokens: str) -> None:
        """These sessions hold no lock any more."""
        await self._change(permit, [s for s in self._sessions if s.token not in tokens])

    async def still_noted(self, permit: Permit[Write]) -> bool:
        """Writes the note once more: False when that may not, or cannot, be done."""
        try:
            await self._write(permit)
        except (LockLost, StoreUnavailable):
            return False
        return True

    async def _change(self, permit: Permit[Write], sessions: list[LeftSession]) -> None:
        if sessions != self._sessions:
            self._sessions = sessions
            await self._write(permit)

    async def _write(self, permit: Permit[Write]) -> None:
        note = msgspec.json.encode(self._sessions).decode() if self._sessions else None
        await self._guard.note_session(permit, note)
