"""Server nodes, several of which may share one database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeRhythm:
    """How a node shows that it lives: a heartbeat each `heartbeat_s`; without one for `dead_after_s` it is dead.

    Settings `node.*`, whose defaults these are. All nodes of one database share `dead_after_s`.
    """

    heartbeat_s: float = 5.0
    dead_after_s: float = 15.0


RHYTHM = NodeRhythm()
