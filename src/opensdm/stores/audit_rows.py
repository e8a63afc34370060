"""Audit rows of a batch, written in the transaction whose outcome they tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opensdm.core.audit import SUCCESS
from opensdm.core.errors import SdmError
from opensdm.core.lock import Blocker, Board, EventKind, LockEvent, Queued, Refused, Waiting
from opensdm.core.submission import AuditDraft
from opensdm.stores import statements
from opensdm.stores.database import Connection

if TYPE_CHECKING:
    from opensdm.stores.batch import Outcome

MAX_ROWS_PER_GROUP = 1000
"""A group operation leaves one row per device up to here, then one row for the rest."""
DETAIL_LENGTH = 500


@dataclass(slots=True)
class AuditRows:
    """Gathers rows; refusals of one user, device, operation and second become one row with a count."""

    successes: list[dict[str, Any]] = field(default_factory=list)
    refusals: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, outcome: Outcome, board: Board) -> None:
        draft = outcome.submission.audit
        if draft is None or isinstance(outcome.answer, Waiting | Queued):
            return  # what waits is told of when it is decided
        if isinstance(outcome.answer, Refused) and outcome.error is None:
            names = [(b.device_id, b.device_name) for b in outcome.answer.blockers]
            self._refuse(
                draft, outcome, outcome.answer.code.value, _because(outcome.answer), _named(board, outcome, names)
            )
        elif isinstance(outcome.error, SdmError):
            asked = [] if draft.device_id is None or outcome.devices else [(draft.device_id, None)]
            self._refuse(draft, outcome, outcome.error.code, outcome.error.message, _named(board, outcome, asked))
        elif outcome.error is None and not draft.refusals_only and (outcome.value or not draft.if_value):
            for device_id, device_name in _named(board, outcome, [])[:MAX_ROWS_PER_GROUP]:
                result = draft.result or SUCCESS
                self.successes.append(audit_row(draft, outcome.at_us, device_id, device_name, result, draft.detail))

    def add_expired(self, events: Iterable[LockEvent]) -> None:
        """A lease's end is nobody's request, and on record all the same."""
        for event in events:
            if event.kind is EventKind.EXPIRED:
                draft = AuditDraft(
                    event.actor_id, event.actor_name, event.door, "server", "ExpireLeases", event.kind.value, ""
                )  # fmt: skip
                detail = event.reason or ""
                row = audit_row(draft, event.at_us, event.device_id, event.device_name, SUCCESS, detail)
                self.successes.append(row)

    def _refuse(
        self, draft: AuditDraft, outcome: Outcome, code: str, why: str, devices: list[tuple[int | None, str | None]]
    ) -> None:
        detail = f"{draft.detail}; {why}" if draft.detail else why
        for device_id, device_name in devices[:MAX_ROWS_PER_GROUP]:
            second = outcome.at_us // 1_000_000
            key = f"{draft.user_name}|{draft.address}|{device_id}|{draft.operation}|{code}|{second}"
            if known := self.refusals.get(key):
                known["count"] += 1
                continue
            row = audit_row(draft, outcome.at_us, device_id, device_name, code, detail)
            self.refusals[key] = {**row, "coalesce_key": key}

    async def write(self, connection: Connection) -> None:
        rows = self.successes + list(self.refusals.values())
        if rows:
            await _name_devices(connection, rows)
            await connection.execute(statements.INSERT_AUDIT, rows)


async def _name_devices(connection: Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Devices that were refused before their rows were looked at; one that does not exist stays a number."""
    nameless = [row for row in rows if row["device_id"] is not None and row["device_name"] is None]
    if nameless:
        wanted = sorted({row["device_id"] for row in nameless})
        found = await connection.execute(statements.DEVICE_NAMES, {"devices": wanted})
        names = {row.device_id: row.device_name for row in found}
        for row in nameless:
            row["device_name"] = names.get(row["device_id"])


def _named(
    board: Board, outcome: Outcome, blockers: Iterable[tuple[int, str | None]]
) -> list[tuple[int | None, str | None]]:
    """The devices a row is written for: the blocking ones of a refusal, else all of the target."""
    named: dict[int, str | None] = dict(blockers)
    if not named:
        known = board.locks
        named = {d: known[d].device_name if d in known else None for d in sorted(outcome.devices)}
    return list(named.items()) or [(None, None)]


def _because(refused: Refused) -> str:
    if refused.lost is not None:
        return f"lock taken by {refused.lost.by_name}"
    return "; ".join(_blocker_words(b) for b in refused.blockers[:3]) or refused.note or "read-only device"


def _blocker_words(blocker: Blocker) -> str:
    verb = {"lock": "locked by", "pending": "awaited by", "work": f"{blocker.running} runs for"}[blocker.kind]
    return f"{verb} {blocker.holder}"


def audit_row(
    draft: AuditDraft, at_us: int, device_id: int | None, device_name: str | None, result: str, detail: str
) -> dict[str, Any]:
    """The values of one row, as `statements.INSERT_AUDIT` takes them."""
    return {
        "at_us": at_us, "user_id": draft.user_id, "user_name": draft.user_name, "door": draft.door,
        "address": draft.address, "operation": draft.operation, "tag": draft.tag, "device_id": device_id,
        "device_name": device_name, "result": result, "detail": detail[:DETAIL_LENGTH],
        "request_id": draft.request_id, "count": 1, "coalesce_key": None,
    }  # fmt: skip
