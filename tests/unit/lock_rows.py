"""Rows and boards for tests of the lock rules."""

from __future__ import annotations

from dataclasses import replace

from opensdm.core.lock import (
    Actor,
    Admit,
    Board,
    ClaimRow,
    ClaimState,
    Decision,
    LockRow,
    PendingRow,
    Refused,
)

ALICE, BOB, ADMIN = 11, 12, 10
NAMES = {ALICE: "alice", BOB: "bob", ADMIN: "admin"}
NOW = 1_000_000_000
NODE = 7


def actor(user_id: int, session_id: int | None = None) -> Actor:
    return Actor(user_id, NAMES[user_id], session_id or user_id * 100, "rest")


def devices(*ids: int) -> frozenset[int]:
    return frozenset(ids)


def free(device_id: int, epoch: int = 0) -> LockRow:
    return LockRow(device_id, f"edge-{device_id}", epoch=epoch)


def held(device_id: int, user_id: int, epoch: int = 1) -> LockRow:
    return replace(
        free(device_id, epoch), holder_id=user_id, holder_name=NAMES[user_id], since_us=NOW - 5, door="rest",
        session_id=user_id * 100, reason="maintenance 4711",
    )  # fmt: skip


def claim(
    claim_id: int, user_id: int, *ids: int, exclusive: bool = True, state: ClaimState = ClaimState.RUNNING
) -> ClaimRow:
    return ClaimRow(
        claim_id, user_id, NAMES[user_id], "PushChanges", dict.fromkeys(ids, 0), exclusive, state, NODE, NOW
    )


def board(*rows: LockRow, claims: tuple[ClaimRow, ...] = (), pending: tuple[PendingRow, ...] = ()) -> Board:
    return Board(
        NOW,
        {r.device_id: r for r in rows},
        {c.claim_id: c for c in claims},
        {p.pending_id: p for p in pending},
        live_incarnations=frozenset({NODE}),
    )


def refused(decision: Decision) -> Refused:
    assert isinstance(decision.answer, Refused)
    assert not decision.locks and not decision.events and not decision.claims, "I10: a refusal changes nothing"
    return decision.answer


def admit(user_id: int, *ids: int, exclusive: bool = True, claim_id: int = 1, **more: object) -> Admit:
    return Admit(actor(user_id), devices(*ids), claim_id, "PushChanges", NODE, exclusive, **more)  # type: ignore[arg-type]
