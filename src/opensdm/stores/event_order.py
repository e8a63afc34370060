"""Up to which lock event the log is complete.

Ids are given out before they are committed. On PostgreSQL a transaction of another node, or this one's other half,
may hold an id smaller than one that is readable already. It then holds the table's row-exclusive lock, and has held it
since before it took the id. So: look at the newest readable id and, after that, at who holds the lock; once those few
transactions are over, nothing below that id can still come.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from opensdm.core.errors import StoreUnavailable
from opensdm.stores.database import Connection, Database

PAUSE_S = 0.005
LOOKS = 1000
"""Together as long as a statement may take at most."""

_NEWEST = text("SELECT coalesce(max(event_id), 0) FROM lock_event")
_WRITERS = text(
    """
    SELECT l.virtualtransaction FROM pg_locks l
     WHERE l.locktype = 'relation' AND l.relation = 'lock_event'::regclass AND l.mode = 'RowExclusiveLock'
       AND l.granted AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    """
)


async def settled_events(database: Database) -> int:
    """The id of an event below which none can still come. StoreUnavailable if a writer does not come to its end."""

    async def newest(connection: Connection) -> int:
        return int(await connection.scalar(_NEWEST))

    async def writers(connection: Connection) -> frozenset[str]:
        return frozenset((await connection.scalars(_WRITERS)).all())

    top = await database.query(newest)
    if database.dialect == "sqlite":
        return top  # one writer: the order of ids is the order of commits
    under_way = await database.query(writers)
    for _ in range(LOOKS):
        if not under_way:
            return top
        await asyncio.sleep(PAUSE_S)
        under_way &= await database.query(writers)
    raise StoreUnavailable("another node's write does not come to an end; try again in a moment")
