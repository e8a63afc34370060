"""What a batch writes: the last state of each changed row, and every event in order."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from opensdm.core.errors import HouseRuleBroken
from opensdm.core.lock import AskedRow, ClaimRow, ClaimState, Decision, LockEvent, LockRow, LostLock, PendingRow
from opensdm.stores import statements
from opensdm.stores.database import Connection


@dataclass(slots=True)
class Changes:
    """Gathers decisions; `write` puts them into the transaction that decided them."""

    locks: dict[int, LockRow] = field(default_factory=dict)
    new_claims: dict[int, ClaimRow] = field(default_factory=dict)
    claims: dict[int, ClaimRow] = field(default_factory=dict)
    events: list[LockEvent] = field(default_factory=list)
    lost: dict[tuple[int, int], LostLock] = field(default_factory=dict)
    told: set[tuple[int, int]] = field(default_factory=set)
    pending: dict[int, PendingRow] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    asks: dict[tuple[int, int], AskedRow] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        self.locks.update((row.device_id, row) for row in decision.locks)
        for claim in decision.claims:
            if not claim.tickets:
                continue  # of a host that is no device: it bars nobody, and its end would not find it again
            fresh = decision.new_claim or claim.claim_id in self.new_claims
            (self.new_claims if fresh else self.claims)[claim.claim_id] = claim
        self.events.extend(decision.events)
        for lost in decision.lost:
            self.lost[(lost.device_id, lost.user_id)] = lost
            self.told.discard((lost.device_id, lost.user_id))
        for key in decision.told:
            self.lost.pop(key, None)
            self.told.add(key)
        self.pending.update((row.pending_id, row) for row in decision.pending)
        for pending_id in decision.cancelled:
            if self.pending.pop(pending_id, None) is None:
                self.cancelled.add(pending_id)
        self.asks.update(((row.device_id, row.asker_id), row) for row in decision.asks)

    def forget(self, device_id: int) -> None:
        """The device is gone with its rows; only its events are still to be written."""
        self.locks.pop(device_id, None)

    async def write(self, connection: Connection, dialect: str, now_us: int) -> None:
        if self.locks:
            await self._write_locks(connection, dialect)
        if self.new_claims:
            await connection.execute(statements.INSERT_CLAIM, [_claim_values(c) for c in self.new_claims.values()])
            tickets = [
                {"claim_id": c.claim_id, "device_id": d, "ticket": t}
                for c in self.new_claims.values()
                for d, t in c.tickets.items()
            ]
            await connection.execute(statements.INSERT_CLAIM_DEVICE, tickets)
        if self.claims:
            await self._write_claims(connection, now_us)
        if self.events:
            await connection.execute(statements.INSERT_EVENT[dialect], [_event_values(e) for e in self.events])
        await self._write_losses(connection)
        await self._write_pending(connection)
        if self.asks:
            await connection.execute(statements.UPSERT_ASK, [_ask_values(row) for row in self.asks.values()])

    async def _write_pending(self, connection: Connection) -> None:
        if self.pending:
            await connection.execute(statements.INSERT_PENDING, [_pending_values(p) for p in self.pending.values()])
            devices = [{"pending_id": p.pending_id, "device_id": d} for p in self.pending.values() for d in p.devices]
            await connection.execute(statements.INSERT_PENDING_DEVICE, devices)
        if self.cancelled:
            pending = {"pending": sorted(self.cancelled)}
            await connection.execute(statements.DELETE_PENDING_DEVICES, pending)
            await connection.execute(statements.DELETE_PENDING, pending)

    async def _write_locks(self, connection: Connection, dialect: str) -> None:
        rows = [_lock_values(row) for row in self.locks.values()]
        values = rows if dialect == "sqlite" else {name: [row[name] for row in rows] for name in rows[0]}
        written = await connection.execute(statements.WRITE_LOCKS[dialect], values)
        if written.rowcount != len(rows):
            raise HouseRuleBroken(f"{len(rows)} lock rows were to be written and {written.rowcount} took their epoch")

    async def _write_claims(self, connection: Connection, now_us: int) -> None:
        for claim in self.claims.values():
            ended = now_us if claim.state is ClaimState.ENDED else None
            values = {
                "claim_id": claim.claim_id, "state": claim.state.value, "step_until_us": claim.step_until_us,
                "ended_us": ended, "started_us": claim.started_us, "unfenced": int(claim.unfenced),
            }  # fmt: skip
            await connection.execute(statements.UPDATE_CLAIM, values)
        over = [c.claim_id for c in self.claims.values() if c.state is ClaimState.ENDED]
        if over:
            await connection.execute(statements.END_CLAIM_DEVICES, {"claims": over})

    async def _write_losses(self, connection: Connection) -> None:
        if self.told:
            keys = [{"device_id": d, "user_id": u} for d, u in sorted(self.told)]
            await connection.execute(statements.DELETE_LOSS, keys)
        if self.lost:
            await connection.execute(statements.UPSERT_LOSS, [asdict(lost) for lost in self.lost.values()])


def _lock_values(row: LockRow) -> dict[str, Any]:
    return {
        "device_id": row.device_id, "epoch": row.epoch, "revoked": row.revoked, "holder_id": row.holder_id,
        "since_us": row.since_us, "door": row.door, "session_id": row.session_id, "reason": row.reason,
        "scope": row.scope.value, "lease_s": row.lease_s, "lease_until_us": row.lease_until_us,
        "uncertain": int(row.uncertain),
    }  # fmt: skip


def _claim_values(claim: ClaimRow) -> dict[str, Any]:
    return {
        "claim_id": claim.claim_id, "owner_id": claim.owner_id, "operation": claim.operation,
        "exclusive": int(claim.exclusive), "state": claim.state.value, "incarnation": claim.incarnation,
        "parent_id": claim.parent_id, "request_id": claim.request_id, "started_us": claim.started_us,
        "step_until_us": claim.step_until_us, "session_id": claim.session_id, "deadline_us": claim.deadline_us,
        "unfenced": int(claim.unfenced),
    }  # fmt: skip


def _pending_values(row: PendingRow) -> dict[str, Any]:
    return {
        "pending_id": row.pending_id, "owner_id": row.owner_id, "incarnation": row.incarnation,
        "since_us": row.since_us, "deadline_us": row.deadline_us, "session_id": row.session_id,
        "scope": row.scope.value, "request_id": row.request_id,
    }  # fmt: skip


def _ask_values(row: AskedRow) -> dict[str, Any]:
    return {
        "device_id": row.device_id, "asker_id": row.asker_id, "message": row.message, "at_us": row.at_us,
        "epoch": row.epoch,
    }  # fmt: skip


def _event_values(event: LockEvent) -> dict[str, Any]:
    return {**asdict(event), "kind": event.kind.value, "scope": event.scope.value}
