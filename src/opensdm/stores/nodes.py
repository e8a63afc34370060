"""Server nodes: which incarnations live, and what is shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from opensdm.core.errors import StoreUnavailable
from opensdm.core.ports import NodeRow
from opensdm.stores.node_statements import OWN_NODE
from opensdm.stores.repository import SECOND_US, Repository

if TYPE_CHECKING:
    from opensdm.stores.database import Connection

_NODES = text(
    """
    SELECT n.node_name, n.incarnation, n.address, n.started_us, n.heartbeat_us, n.heartbeats, n.live
      FROM node n
     WHERE n.incarnation = (SELECT max(m.incarnation) FROM node m WHERE m.node_name = n.node_name)
     ORDER BY n.node_name
    """
)
"""The newest start of each node; the earlier ones are history."""


ENDED = "this node was taken for dead and is starting again, and nothing was done; try again in a moment"


class IncarnationEnded(StoreUnavailable):
    """This incarnation was declared dead: nothing may be admitted under it any more."""


async def hold_incarnation(connection: Connection, dialect: str, incarnation: int) -> None:
    """Raise IncarnationEnded unless this incarnation lives, and keep it alive until the transaction is over."""
    if await connection.scalar(OWN_NODE[dialect], {"incarnation": incarnation}) is None:
        raise IncarnationEnded(ENDED)


class SqlNodes(Repository):
    """Implements `NodeStore`."""

    async def nodes(self, dead_after_s: float) -> list[NodeRow]:
        oldest_us = self._now_us - round(dead_after_s * SECOND_US)
        return [
            NodeRow(
                row.node_name, row.incarnation, row.address, row.started_us, row.heartbeat_us, row.heartbeats,
                live=bool(row.live) and row.heartbeat_us >= oldest_us,
            )
            for row in await self._connection.execute(_NODES)
        ]  # fmt: skip
