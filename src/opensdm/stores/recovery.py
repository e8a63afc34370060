"""Before a door opens: this node's new incarnation. While it serves: its heartbeat, and the end of nodes that died.

A node is dead when its heartbeat is past by the database's clock, or when it starts again. Whoever finds that writes it
down: the incarnation ends, its claims are interrupted with their open steps kept, its waiting requests are deleted.
Locks, epochs, fences and the work of every other node stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from opensdm.core.audit import SUCCESS
from opensdm.core.errors import StoreUnavailable
from opensdm.core.identity import SYSTEM_USER_ID, SYSTEM_USER_NAME
from opensdm.core.lock import Interrupt, abandon, decide
from opensdm.core.node import RHYTHM
from opensdm.core.submission import AuditDraft
from opensdm.stores import statements
from opensdm.stores.audit_rows import audit_row
from opensdm.stores.board import load_board
from opensdm.stores.changes import Changes
from opensdm.stores.database import Connection, Database
from opensdm.stores.failpoints import failpoint
from opensdm.stores.node_statements import (
    DEAD_CLAIMS,
    DEAD_PENDING,
    END_NODES,
    HEARTBEAT,
    INSERT_NODE,
    NEXT_INCARNATION,
    NODES_TO_END,
    OTHER_NODES,
    OWN_CLAIMS,
    OWN_PENDING,
    STALE_NODES,
    STOP_NODE,
)
from opensdm.stores.nodes import hold_incarnation
from opensdm.stores.repository import SECOND_US
from opensdm.stores.schema import newest


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery did."""

    incarnation: int
    interrupted_claims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat found. Not alive: this incarnation was declared dead. `dead_peers`: someone has to recover."""

    alive: bool
    dead_peers: bool


async def recover(
    database: Database,
    node_name: str,
    address: str,
    *,
    home: str = "",
    alone: bool = True,
    dead_after_s: float = RHYTHM.dead_after_s,
) -> Recovered:
    """Start a new incarnation of this node, and end its former ones and every node whose heartbeat is past.

    `home` says where the node runs. `alone`: the caller just took that data directory for itself, so an earlier
    incarnation of the same home is dead whatever its heartbeat says; otherwise only the heartbeat tells.

    Raises StoreUnavailable while another node of that name is alive, and on SQLite while any is.
    """

    async def work(connection: Connection) -> Recovered:
        now_us = await database.clock(connection)
        stale_us = _stale_us(now_us, dead_after_s)
        values = {"node_name": node_name, "stale_us": stale_us}
        ending = (await connection.execute(NODES_TO_END[database.dialect], values)).all()
        _refuse_twin(ending, node_name, home if alone else None, stale_us, now_us)
        if database.dialect == "sqlite":
            await _refuse_second_node(connection, node_name, stale_us)
        claims = await _end(connection, database, ending)
        incarnation = int(await connection.scalar(NEXT_INCARNATION))
        values = {
            "incarnation": incarnation, "node_name": node_name, "address": address, "now_us": now_us, "home": home,
            "program": newest(),
        }  # fmt: skip
        await connection.execute(INSERT_NODE, values)
        detail = f"incarnation {incarnation}, {len(claims)} interrupted operation(s)"
        await _audit(connection, now_us, node_name, "server:state:recovered", detail)
        failpoint("interrupt.written")
        return Recovered(incarnation, claims)

    recovered = await database.transact(work)
    failpoint("interrupt.committed")
    return recovered


async def recover_peers(database: Database, incarnation: int, dead_after_s: float) -> tuple[int, ...]:
    """End every node whose heartbeat is past; answers their incarnations. Two nodes that do it at once do it once."""

    async def work(connection: Connection) -> tuple[int, ...]:
        now_us = await database.clock(connection)
        values = {"node_name": "", "stale_us": _stale_us(now_us, dead_after_s)}
        ending = (await connection.execute(NODES_TO_END[database.dialect], values)).all()
        ending = [row for row in ending if row.incarnation != incarnation]
        if not ending:
            return ()
        claims = await _end(connection, database, ending)
        for row in ending:
            since_s = (now_us - row.heartbeat_us) // SECOND_US
            detail = (
                f"incarnation {row.incarnation} gave no sign of life for {since_s} s; "
                f"{len(claims)} interrupted operation(s) of all dead nodes"
            )
            await _audit(connection, now_us, row.node_name, "server:state:died", detail)
        return tuple(row.incarnation for row in ending)

    return await database.transact(work)


async def reconnect(database: Database, incarnation: int, known: Collection[int]) -> tuple[int, ...]:
    """After a commit whose answer was lost: end what it may have left of ours and nobody knows.

    Interrupted are claims that nobody works under, deleted are requests that nobody waits for. `known` are the numbers
    of both, which are of one kind.
    """

    async def work(connection: Connection) -> tuple[int, ...]:
        await hold_incarnation(connection, database.dialect, incarnation)
        own = {"incarnation": incarnation}
        claims = tuple(c for c in (await connection.scalars(OWN_CLAIMS, own)).all() if c not in known)
        pending = tuple(p for p in (await connection.scalars(OWN_PENDING, own)).all() if p not in known)
        await _interrupt(connection, database, claims, pending)
        return claims

    return await database.transact(work)


async def beat(database: Database, incarnation: int, dead_after_s: float) -> Beat:
    """One heartbeat, and whether a peer's is past."""

    async def work(connection: Connection) -> Beat:
        now_us = await database.clock(connection)
        beaten = await connection.execute(HEARTBEAT, {"incarnation": incarnation, "now_us": now_us})
        stale = await connection.scalar(STALE_NODES, {"stale_us": _stale_us(now_us, dead_after_s)})
        return Beat(beaten.rowcount == 1, bool(stale))

    # One that hangs must leave time for another try before a peer takes this node for dead.
    return await database.transact(work, within_s=dead_after_s / 3)


async def stop_node(database: Database, incarnation: int) -> None:
    """A clean stop, so that the next start need not wait for the heartbeat to grow stale."""

    async def work(connection: Connection) -> None:
        now_us = await database.clock(connection)
        await connection.execute(STOP_NODE, {"incarnation": incarnation, "now_us": now_us})

    await database.transact(work)


# ------------------------------------------------------------------------------------------ parts


def _stale_us(now_us: int, dead_after_s: float) -> int:
    return now_us - round(dead_after_s * SECOND_US)


def _refuse_twin(ending: Sequence[Row[Any]], node_name: str, home: str | None, stale_us: int, now_us: int) -> None:
    """Two live nodes of one name would end each other's work, in turns."""
    for row in ending:
        if row.node_name == node_name and row.heartbeat_us >= stale_us and row.home != home:
            age_s = max(0, now_us - row.heartbeat_us) // SECOND_US
            raise StoreUnavailable(
                f"another node named {node_name!r} ({row.address}) serves this database, seen alive {age_s} s ago: "
                "give this one a name of its own (node.name), or stop that one first"
            )


async def _refuse_second_node(connection: Connection, node_name: str, stale_us: int) -> None:
    others = (await connection.execute(OTHER_NODES, {"node_name": node_name, "stale_us": stale_us})).all()
    if others:
        raise StoreUnavailable(
            f"the node {others[0].node_name!r} ({others[0].address}) is serving this database file; stop it first. "
            "Several nodes share one database only where that is PostgreSQL"
        )


async def _end(connection: Connection, database: Database, ending: Sequence[Row[Any]]) -> tuple[int, ...]:
    """Declare these incarnations dead, and interrupt what dead ones left. Their rows are held by this transaction.

    A batch of theirs holds its node's row until it is over, so that nothing can be admitted behind our back.
    """
    if ending:
        await connection.execute(END_NODES, {"nodes": [row.incarnation for row in ending]})
    claims = tuple((await connection.scalars(DEAD_CLAIMS)).all())
    pending = tuple((await connection.scalars(DEAD_PENDING)).all())
    await _interrupt(connection, database, claims, pending)
    return claims


async def _interrupt(connection: Connection, database: Database, claims: Sequence[int], pending: Sequence[int]) -> None:
    if not claims and not pending:
        failpoint("interrupt.decided")
        return
    devices = frozenset((await connection.scalars(statements.DEVICES_OF_CLAIMS, {"claims": list(claims)})).all())
    devices |= frozenset((await connection.scalars(statements.DEVICES_OF_PENDING, {"pending": list(pending)})).all())
    if database.dialect == "postgresql":
        await connection.execute(statements.LOCK_ROWS, {"devices": sorted(devices)})
    board = await load_board(connection, devices, await database.clock(connection))
    changes = Changes()
    for claim_id in claims:
        decision = decide(board, Interrupt(claim_id))
        board.apply(decision)
        changes.add(decision)
    changes.add(abandon(board, pending))
    failpoint("interrupt.decided")
    await changes.write(connection, database.dialect, board.now_us)


async def _audit(connection: Connection, now_us: int, node_name: str, tag: str, detail: str) -> None:
    draft = AuditDraft(SYSTEM_USER_ID, SYSTEM_USER_NAME, "server", node_name, "Recover", tag, "")
    await connection.execute(statements.INSERT_AUDIT, audit_row(draft, now_us, None, None, SUCCESS, detail))
