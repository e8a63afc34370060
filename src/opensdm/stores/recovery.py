"""Before a door opens: this node's new incarnation, and the end of what its dead runs left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from opensdm.core.audit import SUCCESS
from opensdm.core.errors import StoreUnavailable
from opensdm.core.identity import SYSTEM_USER_ID, SYSTEM_USER_NAME
from opensdm.core.lock import Board
from opensdm.core.submission import AuditDraft
from opensdm.stores import statements
from opensdm.stores.audit_rows import audit_row
from opensdm.stores.batch import interrupt
from opensdm.stores.changes import Changes
from opensdm.stores.database import Connection, Database
from opensdm.stores.failpoints import failpoint
from opensdm.stores.nodes import NODE_STALE_S

HEARTBEAT_S = 5


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery did."""

    incarnation: int
    interrupted_claims: tuple[int, ...]


async def recover(database: Database, node_name: str, address: str) -> Recovered:
    """Start a new incarnation of this node. Locks, epochs and fences stay as they are; dead claims do not run on.

    Until many nodes are supported, a second live node on one database is refused (StoreUnavailable).
    """

    async def work(connection: Connection) -> Recovered:
        now_us = await database.clock(connection)
        stale_us = now_us - NODE_STALE_S * 1_000_000
        await connection.execute(statements.END_NODE, {"node_name": node_name, "stale_us": stale_us})
        await _refuse_second_node(connection, node_name)
        incarnation = int(await connection.scalar(statements.NEXT_INCARNATION))
        claims = (await connection.scalars(statements.DEAD_CLAIMS)).all()
        changes = Changes()
        await interrupt(connection, Board(now_us), changes, claims)
        failpoint("interrupt.decided")
        await changes.write(connection, database.dialect, now_us)
        await connection.execute(statements.DELETE_DEAD_PENDING_DEVICES)
        await connection.execute(statements.DELETE_DEAD_PENDING)
        await connection.execute(
            statements.INSERT_NODE,
            {"incarnation": incarnation, "node_name": node_name, "address": address, "now_us": now_us},
        )
        await connection.execute(statements.INSERT_AUDIT, _audit(now_us, node_name, incarnation, len(claims)))
        failpoint("interrupt.written")
        return Recovered(incarnation, tuple(claims))

    recovered = await database.transact(work)
    failpoint("interrupt.committed")
    return recovered


async def _refuse_second_node(connection: Connection, node_name: str) -> None:
    others = (await connection.execute(statements.OTHER_NODES, {"node_name": node_name})).all()
    if others:
        other = others[0]
        raise StoreUnavailable(
            f"the node {other.node_name!r} ({other.address}) is serving this database; stop it first, "
            f"or wait {NODE_STALE_S} s after it died. Several nodes on one database are not supported yet"
        )


def _audit(now_us: int, node_name: str, incarnation: int, claims: int) -> dict[str, Any]:
    detail = f"incarnation {incarnation}, {claims} interrupted operation(s)"
    draft = AuditDraft(SYSTEM_USER_ID, SYSTEM_USER_NAME, "server", node_name, "Recover", "server:state:recovered", "")
    return audit_row(draft, now_us, None, None, SUCCESS, detail)


async def beat(database: Database, incarnation: int) -> bool:
    """One heartbeat; False when this incarnation was declared dead and must not go on."""

    async def work(connection: Connection) -> bool:
        now_us = await database.clock(connection)
        beaten = await connection.execute(statements.HEARTBEAT, {"incarnation": incarnation, "now_us": now_us})
        return beaten.rowcount == 1

    return await database.transact(work)


async def stop_node(database: Database, incarnation: int) -> None:
    """A clean stop, so that the next start need not wait for the heartbeat to grow stale."""

    async def work(connection: Connection) -> None:
        now_us = await database.clock(connection)
        await connection.execute(statements.STOP_NODE, {"incarnation": incarnation, "now_us": now_us})

    await database.transact(work)


async def check_key(database: Database) -> None:
    """Refuse to run with another secret key than the one the stored secrets were sealed with."""
    mine = database.secrets.key_check()

    async def work(connection: Connection) -> str:
        sql = text("SELECT value FROM installation WHERE name = 'key_check'")
        known = await connection.scalar(sql)
        if known is None:
            insert = text("INSERT INTO installation (name, value) VALUES ('key_check', :value)")
            await connection.execute(insert, {"value": mine})
        return str(known or mine)

    if await database.transact(work) != mine:
        raise StoreUnavailable(
            "the secret key of this data directory is not the one this database was set up with; "
            "put the right secret.key there, or use the right database"
        )
