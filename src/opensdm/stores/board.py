"""Reading the rows the lock rules need, into a `Board`."""

from __future__ import annotations

from typing import Any

from opensdm.core.lock import Board, ClaimRow, ClaimState, LockScope, LostLock, PendingRow
from opensdm.stores import statements
from opensdm.stores.database import Connection
from opensdm.stores.locks import lock_row


async def load_board(connection: Connection, devices: frozenset[int], now_us: int) -> Board:
    """The board of these devices. On PostgreSQL their lock rows are locked already when it is to be written."""
    board = Board(now_us)
    if not devices:
        return board
    wanted = {"devices": sorted(devices)}
    rows = (await connection.execute(statements.READ_LOCKS, wanted)).all()
    board.locks = {row.device_id: lock_row(row) for row in rows}
    if any(row.has_claims for row in rows):
        for row in await connection.execute(statements.READ_CLAIMS, wanted):
            _add_claim(board, row)
    if any(row.has_claims or row.has_pending for row in rows):
        board.live_incarnations = frozenset((await connection.scalars(statements.READ_LIVE_NODES)).all())
    if any(row.has_pending for row in rows):
        for row in await connection.execute(statements.READ_PENDING, wanted):
            _add_pending(board, row)
    if any(row.has_losses for row in rows):
        for row in await connection.execute(statements.READ_LOSSES, wanted):
            lost = LostLock(row.device_id, row.user_id, row.epoch, row.by_name, row.reason, row.at_us)
            board.lost[(lost.device_id, lost.user_id)] = lost
    return board


def _add_claim(board: Board, row: Any) -> None:
    known = board.claims.get(row.claim_id)
    tickets = {**(known.tickets if known else {}), row.device_id: row.ticket}
    board.claims[row.claim_id] = ClaimRow(
        row.claim_id, row.owner_id, row.owner_name, row.operation, tickets, bool(row.exclusive),
        ClaimState(row.state), row.incarnation, row.started_us, row.step_until_us, row.parent_id, row.request_id,
        row.session_id, row.deadline_us, bool(row.unfenced),
    )  # fmt: skip
    board.revoked[row.device_id] = row.revoked


def _add_pending(board: Board, row: Any) -> None:
    known = board.pending.get(row.pending_id)
    devices = (known.devices if known else frozenset()) | {row.device_id}
    board.pending[row.pending_id] = PendingRow(
        row.pending_id, row.owner_id, row.owner_name, devices, row.deadline_us, row.since_us,
        row.session_id, LockScope(row.scope), row.incarnation, row.request_id,
    )  # fmt: skip
