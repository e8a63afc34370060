"""The statements about nodes: their incarnations, heartbeats and ends. Dialects differ only where it says so."""

from __future__ import annotations

from sqlalchemy import bindparam, text

NEXT_INCARNATION = text("UPDATE counter SET value = value + 1 WHERE name = 'incarnation' RETURNING value")

OWN_NODE = {
    "sqlite": text("SELECT incarnation FROM node WHERE incarnation = :incarnation AND live = 1"),
    "postgresql": text("SELECT incarnation FROM node WHERE incarnation = :incarnation AND live = 1 FOR KEY SHARE"),
}
"""The first statement of every batch: it admits nothing under an incarnation that ended. On PostgreSQL it holds the
row until the batch is over, against the end of the incarnation and not against its heartbeat. And because a row lock
is written to the log, the commit of any batch waits for the synchronous standby, even one that changes nothing."""

_NODES_TO_END = """
    SELECT incarnation, node_name, address, heartbeat_us, home
      FROM node WHERE live = 1 AND (node_name = :node_name OR heartbeat_us < :stale_us)
     ORDER BY incarnation
"""
NODES_TO_END = {"sqlite": text(_NODES_TO_END), "postgresql": text(_NODES_TO_END + " FOR UPDATE")}
"""On PostgreSQL a row that beats while we wait for it is looked at again, and left out."""

END_NODES = text("UPDATE node SET live = 0 WHERE incarnation IN :nodes").bindparams(bindparam("nodes", expanding=True))

OTHER_NODES = text(
    """
    SELECT node_name, address FROM node
     WHERE live = 1 AND node_name <> :node_name AND heartbeat_us >= :stale_us
    """
)

STALE_NODES = text("SELECT count(*) FROM node WHERE live = 1 AND heartbeat_us < :stale_us")

INSERT_NODE = text(
    """
    INSERT INTO node (incarnation, node_name, address, home, program, started_us, heartbeat_us, heartbeats, live)
    VALUES (:incarnation, :node_name, :address, :home, :program, :now_us, :now_us, 0, 1)
    """
)

HEARTBEAT = text(
    """
    UPDATE node SET heartbeat_us = :now_us, heartbeats = heartbeats + 1
     WHERE incarnation = :incarnation AND live = 1
    """
)

STOP_NODE = text("UPDATE node SET live = 0, heartbeat_us = :now_us WHERE incarnation = :incarnation AND live = 1")

DEAD_PENDING = text(
    """
    SELECT p.pending_id FROM lock_pending p JOIN node n ON n.incarnation = p.incarnation
     WHERE n.live = 0 ORDER BY p.pending_id
    """
)

DEAD_CLAIMS = text(
    """
    SELECT c.claim_id FROM claim c JOIN node n ON n.incarnation = c.incarnation
     WHERE c.state IN ('RUNNING', 'QUEUED') AND n.live = 0
     ORDER BY c.claim_id
    """
)

OWN_CLAIMS = text(
    """
    SELECT claim_id FROM claim
     WHERE incarnation = :incarnation AND state IN ('RUNNING', 'QUEUED') ORDER BY claim_id
    """
)
OWN_PENDING = text("SELECT pending_id FROM lock_pending WHERE incarnation = :incarnation ORDER BY pending_id")
