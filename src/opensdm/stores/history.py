"""Whether the database still is what this node knew, and what is done where it is not: every epoch is raised.

A database that was restored shows an older world. Epochs given out since would be given out again, and a script that
still carries one would pass for its holder. The database cannot tell this by itself, so each node keeps a mark of it in
its data directory: the newest lock event it saw, and the database's *generation*, a random word that every raise adds
to a list in the database. A mark of a generation before the newest is settled; one that the list lacks is of a later
world than the database's.

A promoted standby that was synchronous has all that was answered, and the mark is there: then epochs stay. Otherwise
every epoch grows by a step no device passes in practice, of held locks too: their holders stay, and whoever carries an
epoch from before hears LOCK_LOST and looks again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import structlog

from opensdm.core.audit import SUCCESS
from opensdm.core.identity import SYSTEM_USER_ID, SYSTEM_USER_NAME
from opensdm.core.lock import EventKind
from opensdm.core.submission import AuditDraft
from opensdm.stores import statements
from opensdm.stores.audit_rows import audit_row
from opensdm.stores.database import Connection, Database
from opensdm.stores.history_statements import (
    ADD_FACT,
    EVENT,
    FACTS,
    HOLD_FACTS,
    LIVE_PEERS,
    LOCK_ALL,
    NEWEST_EVENT,
    RAISE_EVENTS,
    SET_FACT,
    STEPS,
    SYNCHRONOUS,
)
from opensdm.stores.repository import SECOND_US

log = structlog.get_logger("opensdm.history")

EPOCH_STEP = 1_000_000_000
"""More grants of one device than any restored database lacks: a thousand a second for eleven days."""
NUMBER_STEP = 1_000_000
"""The same for ids, which are never reused either."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a node saw last. `event`: what that event tells; `synchronous`: whether commits waited for a standby."""

    generation: str
    event_id: int
    event: str
    synchronous: bool


class Memory:
    """The mark, kept outside of the database by `write` and found again by `read`."""

    def __init__(self, read: Callable[[], Mapping[str, object]], write: Callable[[Mapping[str, object]], None]) -> None:
        self._write = write
        try:
            self.mark: Mark | None = Mark(**read())  # type: ignore[arg-type]
        except (TypeError, ValueError):
            self.mark = None  # none yet, or not ours: as in a new directory

    def keep(self, mark: Mark) -> None:
        if mark != self.mark:
            self._write(asdict(mark))
            self.mark = mark


@dataclass(frozen=True, slots=True)
class _World:
    """What the database says of itself. `home`: the cluster and timeline it was at when a node last looked."""

    generations: tuple[str, ...]
    home: str
    here: str
    mark_is_there: bool
    live_peers: bool


async def settle_history(database: Database, memory: Memory, node_name: str, dead_after_s: float) -> str | None:
    """Compare, raise every epoch where that is called for, and keep a new mark. Why it was raised, or None."""

    async def work(connection: Connection) -> tuple[Mark, str | None]:
        now_us = await database.clock(connection)
        peers = {"node_name": node_name, "stale_us": now_us - round(dead_after_s * SECOND_US)}
        world = await _world(connection, database, memory.mark, peers)
        why = _why(world, memory.mark)
        if why is not None or not world.generations or world.home != world.here:
            # Another node may be about to say the same: it has, once we hold the row.
            await connection.execute(ADD_FACT, [{"name": "history", "value": ""}, {"name": "home", "value": ""}])
            await connection.execute(HOLD_FACTS[database.dialect])
            world = await _world(connection, database, memory.mark, peers)
            why = _why(world, memory.mark)
            world = await _enter(connection, database, world, now_us, node_name, why)
        return await _mark(connection, database, world.generations[-1]), why

    mark, why = await database.transact(work)
    await asyncio.to_thread(memory.keep, mark)
    if why is not None:
        log.critical("every epoch was raised", why=why)
    return why


def _why(world: _World, mark: Mark | None) -> str | None:
    """Why answered changes may be missing, in a sentence; None where they are all there."""
    current = world.generations[-1] if world.generations else None
    if mark is not None and mark.generation not in world.generations:
        return "the database is an older copy than the one this node has worked on"
    known = mark is not None and mark.generation == current
    if known and not world.mark_is_there:
        return "a lock event that this node has seen is not in the database any more"
    (old_cluster, _, old_timeline), (cluster, _, timeline) = world.home.rpartition("/"), world.here.rpartition("/")
    if world.home and old_cluster != cluster:
        return "the database was moved to another server or made anew"
    if world.home and old_timeline != timeline and not (known and mark is not None and mark.synchronous):
        return "a standby was promoted that may lack what its primary had answered"
    if mark is None and current is not None and not world.live_peers:
        return "no node that works on this database, and not this one, knows whether it is the latest copy"
    return None


async def _world(connection: Connection, database: Database, mark: Mark | None, peers: Mapping[str, object]) -> _World:
    facts = {row.name: row.value for row in await connection.execute(FACTS)}
    there = mark is not None and await _event(connection, mark.event_id) == mark.event
    live = bool(await connection.scalar(LIVE_PEERS, peers))
    return _World(tuple(facts.get("history", "").split()), facts.get("home", ""), database.place, there, live)


async def _enter(
    connection: Connection, database: Database, world: _World, now_us: int, node_name: str, why: str | None
) -> _World:
    """Write down where the database is now, and begin a generation where there is reason or none yet."""
    if why is not None:
        devices = await _raise_epochs(connection, database, now_us, why)
        await _audit(connection, now_us, node_name, f"{why}; the epochs of {devices} device(s) were raised")
    elif world.home and world.home != world.here:
        await _audit(connection, now_us, node_name, "a synchronous standby was promoted, and nothing is missing")
    if why is not None or not world.generations:
        world = replace(world, generations=(*world.generations, secrets.token_hex(6)))
    await connection.execute(SET_FACT, {"name": "history", "value": " ".join(world.generations)})
    await connection.execute(SET_FACT, {"name": "home", "value": world.here})
    return replace(world, home=world.here)


async def _raise_epochs(connection: Connection, database: Database, now_us: int, why: str) -> int:
    if database.dialect == "postgresql":
        await connection.execute(LOCK_ALL)
    steps = {"epoch_step": EPOCH_STEP, "number_step": NUMBER_STEP}
    for statement in STEPS[database.dialect]:
        wanted = {name: value for name, value in steps.items() if f":{name}" in statement.text}
        await connection.execute(statement, wanted)
    told = {
        "kind": EventKind.RAISED.value, "actor_id": SYSTEM_USER_ID, "actor_name": SYSTEM_USER_NAME,
        "door": "server", "at_us": now_us,
    }  # fmt: skip
    return (await connection.execute(RAISE_EVENTS[database.dialect], told)).rowcount


async def _mark(connection: Connection, database: Database, generation: str) -> Mark:
    event_id = int(await connection.scalar(NEWEST_EVENT))
    synchronous = database.dialect == "postgresql" and bool(await connection.scalar(SYNCHRONOUS))
    return Mark(generation, event_id, await _event(connection, event_id), synchronous)


async def _event(connection: Connection, event_id: int) -> str:
    """What one event tells, in a form to compare; before the first event there is nothing to miss."""
    row = (await connection.execute(EVENT, {"event_id": event_id})).first()
    return "" if row is None else " ".join(str(value) for value in row)


async def _audit(connection: Connection, now_us: int, node_name: str, detail: str) -> None:
    draft = AuditDraft(SYSTEM_USER_ID, SYSTEM_USER_NAME, "server", node_name, "Recover", "server:state:restored", "")
    await connection.execute(statements.INSERT_AUDIT, audit_row(draft, now_us, None, None, SUCCESS, detail))
