"""Server nodes, as shown on the server's own state page."""

from __future__ import annotations

from sqlalchemy import text

from opensdm.core.ports import NodeRow
from opensdm.stores.repository import SECOND_US, Repository

NODE_STALE_S = 15
"""A node that did not beat for this long is shown as not live, whatever its row says."""

_NODES = text(
    """
    SELECT n.node_name, n.incarnation, n.address, n.started_us, n.heartbeat_us, n.heartbeats, n.live
      FROM node n
     WHERE n.incarnation = (SELECT max(m.incarnation) FROM node m WHERE m.node_name = n.node_name)
     ORDER BY n.node_name
    """
)
"""The newest start of each node; the earlier ones are history."""


class SqlNodes(Repository):
    """Implements `NodeStore`."""

    async def nodes(self) -> list[NodeRow]:
        oldest_us = self._now_us - NODE_STALE_S * SECOND_US
        return [
            NodeRow(
                row.node_name, row.incarnation, row.address, row.started_us, row.heartbeat_us, row.heartbeats,
                live=bool(row.live) and row.heartbeat_us >= oldest_us,
            )
            for row in await self._connection.execute(_NODES)
        ]  # fmt: skip
