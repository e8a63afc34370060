"""Locks as people see them. Nothing here decides or writes: that is the ledger's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import TextClause, bindparam, text

from opensdm.core.errors import NotFound
from opensdm.core.inventory import wire_id
from opensdm.core.lock import EventKind, LockEvent, LockRow, LockScope, PendingRow
from opensdm.core.ports import AskRow, LockView, Page, RunningWork, WaitingRequest
from opensdm.stores.identity import LIVE
from opensdm.stores.repository import ESCAPE, SECOND_US, Repository, like_pattern, parts, sliced

T = TypeVar("T")

STALE_IDLE_S = 1800
"""A lock whose holder has done nothing for this long is shown as stale, even if that user never times out."""

_VIEWS = f"""
    SELECT v.*, coalesce(v.own_used_us, v.any_used_us) AS live_used_us
      FROM (SELECT l.device_id, d.device_name, l.epoch, l.revoked, l.holder_id, h.user_name AS holder_name, l.since_us,
                   l.door, l.session_id, l.reason, l.scope, l.lease_s, l.lease_until_us, l.uncertain, l.read_only,
                   d.platform, h.disabled,
                   (SELECT s.last_used_us FROM session s JOIN user_account u ON u.user_id = s.user_id
                     WHERE s.session_id = l.session_id AND {LIVE}) AS own_used_us,
                   (SELECT max(s.last_used_us) FROM session s JOIN user_account u ON u.user_id = s.user_id
                     WHERE s.user_id = l.holder_id AND {LIVE}) AS any_used_us,
                   (SELECT max(s.last_used_us) FROM session s WHERE s.user_id = l.holder_id) AS ever_used_us
              FROM device_lock l
              JOIN device d ON d.device_id = l.device_id
              LEFT JOIN user_account h ON h.user_id = l.holder_id) v
"""  # noqa: S608
_STALE = "(v.disabled = 1 OR v.any_used_us IS NULL OR coalesce(v.own_used_us, v.any_used_us) < :idle_since_us)"
_HELD = {
    None: "v.holder_id IS NOT NULL",
    True: f"v.holder_id IS NOT NULL AND {_STALE}",
    False: f"v.holder_id IS NOT NULL AND NOT {_STALE}",
}
_ONE = text(f"{_VIEWS} WHERE v.device_id = :device_id")
_BY_HOLDER = f"AND (CAST(:holder AS text) IS NULL OR lower(v.holder_name) LIKE CAST(:holder AS text) ESCAPE '{ESCAPE}')"
_SEVERAL = text(f"{_VIEWS} WHERE v.device_id IN :devices ORDER BY v.device_id").bindparams(
    bindparam("devices", expanding=True)
)
_LISTS = {
    stale: text(f"{_VIEWS} WHERE {held} {_BY_HOLDER} ORDER BY v.since_us, v.device_id LIMIT :rows OFFSET :first")
    for stale, held in _HELD.items()
}
_COUNTS = {
    stale: text(f"SELECT count(*) FROM ({_VIEWS} WHERE {held} {_BY_HOLDER}) counted")  # noqa: S608
    for stale, held in _HELD.items()
}
NOT_OVER = """c.state <> 'ENDED'
       AND NOT (c.state = 'QUEUED' AND c.deadline_us <= :now_us)
       AND (c.step_until_us > :now_us OR c.unfenced = 1 AND c.step_until_us IS NOT NULL
            OR c.state <> 'INTERRUPTED' AND NOT EXISTS (
                   SELECT 1 FROM claim_device t JOIN device_lock l ON l.device_id = t.device_id
                    WHERE t.claim_id = c.claim_id AND t.ticket < l.revoked))"""
"""The condition under which a claim `c` is not over, by the same rule as `Board.over`: interrupted or fenced ones only
until their step ends, or on a device that nothing fences until somebody confirms."""
_RUNNING = text(
    f"""
    SELECT on_device.device_id, c.operation, o.user_name, c.started_us, c.state, c.step_until_us
      FROM claim_device on_device
      JOIN claim c ON c.claim_id = on_device.claim_id
      JOIN user_account o ON o.user_id = c.owner_id
     WHERE on_device.live = 1 AND on_device.device_id IN :devices AND {NOT_OVER}
     ORDER BY c.claim_id
    """  # noqa: S608
).bindparams(bindparam("devices", expanding=True))

_EVENT = """event_id, kind, device_id, device_name, epoch, revoked, actor_id, actor_name, holder_id, holder_name, door,
           reason, at_us, scope, session_id, lease_s, lease_until_us, former_id, former_name"""
_EVENTS = text(
    f"SELECT {_EVENT} FROM lock_event WHERE device_id = :device_id ORDER BY event_id LIMIT :rows OFFSET :first"  # noqa: S608
)
_EVENTS_AFTER = {
    every: text(
        f"""
        SELECT {_EVENT} FROM lock_event
         WHERE event_id > :after AND event_id <= :top {"" if every else "AND device_id = :device_id"}
         ORDER BY event_id LIMIT :rows
        """  # noqa: S608
    )
    for every in (True, False)
}
_LAST_EVENT = text("SELECT coalesce(max(event_id), 0) FROM lock_event")
_WAITING = text(
    """
    SELECT t.device_id, u.user_name, p.since_us, p.deadline_us
      FROM lock_pending_device t
      JOIN lock_pending p ON p.pending_id = t.pending_id
      JOIN user_account u ON u.user_id = p.owner_id
     WHERE t.device_id IN :devices AND p.deadline_us > :now_us
     ORDER BY p.pending_id
    """
).bindparams(bindparam("devices", expanding=True))
_ROWS_AFTER = text(
    """
    SELECT l.device_id, d.device_name, l.epoch, l.revoked, l.holder_id, h.user_name AS holder_name, l.since_us, l.door,
           l.session_id, l.reason, l.scope, l.lease_s, l.lease_until_us, l.uncertain, l.read_only, d.platform
      FROM device_lock l
      JOIN device d ON d.device_id = l.device_id
      LEFT JOIN user_account h ON h.user_id = l.holder_id
     WHERE l.device_id > :device_id ORDER BY l.device_id LIMIT :rows
    """
)
_REQUESTS = text(
    """
    SELECT t.device_id, p.pending_id, p.owner_id, u.user_name, p.since_us, p.deadline_us, p.session_id, p.scope,
           p.incarnation, p.request_id
      FROM lock_pending p
      JOIN lock_pending_device t ON t.pending_id = p.pending_id
      JOIN user_account u ON u.user_id = p.owner_id
     WHERE p.deadline_us > :now_us
     ORDER BY p.pending_id
    """
)
_WAITED_FOR = text(
    """
    SELECT DISTINCT t.device_id FROM lock_pending_device t JOIN lock_pending p ON p.pending_id = t.pending_id
     WHERE p.deadline_us > :now_us ORDER BY t.device_id
    """
)
_ASK = """
    SELECT a.device_id, d.device_name, a.asker_id, u.user_name AS asker_name, l.holder_id, a.message, a.at_us, a.epoch
      FROM lock_ask a
      JOIN device_lock l ON l.device_id = a.device_id AND l.epoch = a.epoch AND l.holder_id IS NOT NULL
      JOIN device d ON d.device_id = a.device_id
      JOIN user_account u ON u.user_id = a.asker_id
"""
_ASKS_ON = text(f"{_ASK} WHERE a.device_id IN :devices ORDER BY a.at_us, a.asker_id").bindparams(
    bindparam("devices", expanding=True)
)
_ASKS_OF = text(
    f"{_ASK} WHERE l.holder_id = :user_id OR a.asker_id = :user_id ORDER BY a.at_us, a.device_id, a.asker_id"
)
_DUE_LEASES = text("SELECT device_id FROM device_lock WHERE lease_until_us <= :now_us ORDER BY device_id")
_EVENT_COUNT = text("SELECT count(*) FROM lock_event WHERE device_id = :device_id")


class SqlLocks(Repository):
    """Implements `LockStore`."""

    async def lock(self, device_id: int) -> LockView:
        row = (await self._connection.execute(_ONE, self._values(device_id=device_id))).first()
        if row is None:
            raise NotFound(f"there is no device {wire_id(device_id)}")
        return (await self._views([row]))[0]

    async def locks(self, *, holder: str | None, stale: bool | None, page: Page) -> tuple[list[LockView], int]:
        """Held locks, oldest first. `holder` is a user name, without case, `*` standing for any run of characters."""
        values = self._values(
            holder=None if holder is None else like_pattern(holder.casefold()),
            idle_since_us=self._now_us - STALE_IDLE_S * SECOND_US,
        )
        if stale is None:
            del values["idle_since_us"]
        total = int(await self._connection.scalar(_COUNTS[stale], values))
        rows = (await self._connection.execute(_LISTS[stale], values | sliced(page))).all()
        return await self._views(rows), total

    async def waited_for(self) -> list[int]:
        return list((await self._connection.scalars(_WAITED_FOR, self._values())).all())

    async def locks_on(self, device_ids: Sequence[int]) -> list[LockView]:
        found: list[LockView] = []
        for part in parts(sorted(set(device_ids))):
            rows = (await self._connection.execute(_SEVERAL, self._values(devices=part))).all()
            found += await self._views(rows)
        return found

    async def events(self, device_id: int, page: Page) -> tuple[list[LockEvent], int]:
        """The history of one device's lock, oldest first; it outlives the device."""
        total = int(await self._connection.scalar(_EVENT_COUNT, {"device_id": device_id}))
        rows = await self._connection.execute(_EVENTS, {"device_id": device_id, **sliced(page)})
        return [_event(row) for row in rows], total

    async def events_after(
        self, after: int, top: int, device_id: int | None, limit: int
    ) -> tuple[list[LockEvent], int]:
        values = {"after": after, "top": top, "rows": limit}
        if device_id is not None:
            values["device_id"] = device_id
        rows = (await self._connection.execute(_EVENTS_AFTER[device_id is None], values)).all()
        events = [_event(row) for row in rows]
        return events, rows[-1].event_id if len(rows) == limit else max(after, top)

    async def last_event(self) -> int:
        return int(await self._connection.scalar(_LAST_EVENT))

    async def rows_after(self, device_id: int, limit: int) -> list[LockRow]:
        values = {"device_id": device_id, "rows": limit}
        return [lock_row(row) for row in await self._connection.execute(_ROWS_AFTER, values)]

    async def waiting_requests(self) -> list[PendingRow]:
        found: dict[int, list[Any]] = {}
        for row in await self._connection.execute(_REQUESTS, self._values()):
            found.setdefault(row.pending_id, []).append(row)
        return [_pending(rows) for rows in found.values()]

    async def asks(self, user_id: int) -> list[AskRow]:
        return [_ask(row) for row in await self._connection.execute(_ASKS_OF, {"user_id": user_id})]

    async def due_leases(self) -> list[int]:
        return list((await self._connection.scalars(_DUE_LEASES, self._values())).all())

    def _values(self, **values: Any) -> dict[str, Any]:
        return {"now_us": self._now_us, **values}

    def _since(self, at_us: int) -> int:
        return max(0, (self._now_us - at_us) // SECOND_US)

    async def _views(self, rows: Sequence[Any]) -> list[LockView]:
        devices = [row.device_id for row in rows]
        running = await self._by_device(_RUNNING, devices, _work)
        waiting = await self._by_device(_WAITING, devices, _request)
        asks = await self._by_device(_ASKS_ON, devices, _ask)
        return [
            replace(
                self._view(row),
                running=running.get(row.device_id, ()),
                waiting=waiting.get(row.device_id, ()),
                asks=asks.get(row.device_id, ()),
            )
            for row in rows
        ]

    def _view(self, row: Any) -> LockView:
        """Idle since the session that took the lock was used, if it lives; else since any of the holder's was."""
        if row.holder_id is None:
            return LockView(lock_row(row), None, holder_logged_in=False, orphaned=False)
        used_us = row.live_used_us if row.live_used_us is not None else row.ever_used_us
        return LockView(
            lock_row(row),
            None if used_us is None else self._since(used_us),
            holder_logged_in=row.any_used_us is not None,
            orphaned=bool(row.disabled),
        )

    async def _by_device(
        self, statement: TextClause, devices: Sequence[int], made: Callable[[Any], T]
    ) -> dict[int, tuple[T, ...]]:
        """What a statement finds of each device, in its order."""
        found: dict[int, list[T]] = {}
        for part in parts(sorted(set(devices))):
            for row in await self._connection.execute(statement, self._values(devices=part)):
                found.setdefault(row.device_id, []).append(made(row))
        return {device_id: tuple(each) for device_id, each in found.items()}


def lock_row(row: Any) -> LockRow:
    """A lock as both databases answer it: flags are integers there."""
    return LockRow(
        device_id=row.device_id, device_name=row.device_name, epoch=row.epoch, revoked=row.revoked,
        holder_id=row.holder_id, holder_name=row.holder_name, since_us=row.since_us, door=row.door,
        session_id=row.session_id, reason=row.reason, scope=LockScope(row.scope), lease_s=row.lease_s,
        lease_until_us=row.lease_until_us, uncertain=bool(row.uncertain), read_only=bool(row.read_only),
        platform=row.platform,
    )  # fmt: skip


def _work(row: Any) -> RunningWork:
    return RunningWork(row.operation, row.user_name, row.started_us, row.state, row.step_until_us)


def _request(row: Any) -> WaitingRequest:
    return WaitingRequest(row.user_name, row.since_us, row.deadline_us)


def _pending(rows: Sequence[Any]) -> PendingRow:
    first = rows[0]
    return PendingRow(
        first.pending_id, first.owner_id, first.user_name, frozenset(row.device_id for row in rows), first.deadline_us,
        first.since_us, first.session_id, LockScope(first.scope), first.incarnation, first.request_id,
    )  # fmt: skip


def _event(row: Any) -> LockEvent:
    return LockEvent(
        kind=EventKind(row.kind), device_id=row.device_id, device_name=row.device_name, epoch=row.epoch,
        actor_id=row.actor_id, actor_name=row.actor_name, holder_id=row.holder_id, holder_name=row.holder_name,
        door=row.door, reason=row.reason, at_us=row.at_us, revoked=row.revoked, scope=LockScope(row.scope),
        session_id=row.session_id, lease_s=row.lease_s, lease_until_us=row.lease_until_us, former_id=row.former_id,
        former_name=row.former_name, event_id=row.event_id,
    )  # fmt: skip


def _ask(row: Any) -> AskRow:
    return AskRow(
        row.device_id, row.device_name, row.asker_id, row.asker_name, row.holder_id, row.message, row.at_us, row.epoch
    )
