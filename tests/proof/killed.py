"""A process that dies before or after one statement of one transition, and what its database holds then.

The process is a fork of this one: it opens a node, brings about what the transition needs, makes it, and is killed by
SIGKILL at the place it was given. Places are counted, so that all of them can be tried.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, select

from opensdm.core.operations import ConfirmDevice, LockDevice, OverrideLock, VerifyLocks
from opensdm.stores.database import Connection, Database, open_database
from opensdm.stores.secrets import SecretBox
from opensdm.stores.tables import metadata
from tests.proof.place import SUCCESS, Node, Place, must, place, soon
from tests.proof.transitions import TRANSITIONS, Scene

COMMIT, COMMITTED = "commit", "committed"
BEFORE_ALL = -1
"""Dies with everything prepared, and nothing of the transition begun."""
Rows = dict[str, list[dict[str, Any]]]
_PASSING = {"transaction_id", "incarnation", "coalesce_key"}
"""What differs between two runs that did the same."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")


@dataclass
class Killer:
    """Counts the places that are passed in the writing transactions; dies at the one with the number `at`."""

    at: int | None
    armed: bool = False
    passed: list[str] = field(default_factory=list)

    def reach(self, what: str) -> None:
        if not self.armed:
            return
        if len(self.passed) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed.append(what)

    def watch(self, database: Database) -> None:
        """Every statement of every engine that may write, and the end of every transaction."""
        engine: Engine = getattr(database, "_write_engine", None) or database._writer.sync_engine  # type: ignore[attr-defined]

        @event.listens_for(engine, "before_cursor_execute")
        def before(_: Any, __: Any, statement: str, *___: Any) -> None:
            self.reach(f"before {_short(statement)}")

        @event.listens_for(engine, "after_cursor_execute")
        def after(_: Any, __: Any, statement: str, *___: Any) -> None:
            self.reach(f"after {_short(statement)}")

        @event.listens_for(engine, "commit")
        def commit(_: Any) -> None:
            self.reach(COMMIT)

        transact = database.transact

        async def told(work: Any, **options: Any) -> Any:
            done = await transact(work, **options)
            self.reach(COMMITTED)
            return done

        setattr(database, "transact", told)  # noqa: B010 (a method of this one object)


def _short(statement: str) -> str:
    return " ".join(statement.split())[:60]


def made(name: str, url: str, directory: Path, at: int | None) -> list[str]:
    """Make that transition in a process of its own, which dies at that place: the places it passed, all with None.

    Whatever it did not write down by itself is lost with it.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            killer = Killer(at)
            asyncio.run(_live(name, url, directory, killer))
            os.write(writing, "\n".join(killer.passed).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        passed = told.read().splitlines()
    _, status = os.waitpid(child, 0)
    must(passed if at is None else os.WIFSIGNALED(status), f"the process that makes {name} ended by itself")
    return passed


async def _live(name: str, url: str, directory: Path, killer: Killer) -> None:
    at = Place(url, directory)
    node = await at.open()
    act = await TRANSITIONS[name](await Scene.of(node))
    killer.watch(node.database)
    killer.armed = True
    if killer.at == BEFORE_ALL:
        os.kill(os.getpid(), signal.SIGKILL)
    await act()
    killer.armed = False


async def rows_in(url: str, directory: Path) -> Rows:
    """All that a database holds of the installation, in any order but one; times only as being there or not."""
    database = open_database(url, SecretBox.load(directory / "secret.key"))

    async def all_tables(connection: Connection) -> Rows:
        return {
            table.name: sorted((_lasting(row) for row in await connection.execute(select(table))), key=str)
            for table in metadata.sorted_tables
            if table.name != "node"
        }

    try:
        return await database.query(all_tables)
    finally:
        await database.close()


def _lasting(row: Any) -> dict[str, Any]:
    """A row without what the clock and the counting of transactions put into it."""
    return {
        name: value is not None if name.endswith("_us") or name in _PASSING else _timeless(value)
        for name, value in row._mapping.items()
    }


def _timeless(value: Any) -> Any:
    """Refusals are audited in their words, which name times."""
    return _TIME.sub("then", value) if isinstance(value, str) else value


async def check_next_life(url: str, directory: Path) -> None:
    """The next start finds locks that its events explain, nothing that still runs or waits, and devices to be had."""
    async with place(url, directory) as at:
        before = await rows_in(url, directory)
        node = await at.open()
        verified = await node.gate.execute(node.local, VerifyLocks())
        must(not verified.differences, "after the death of a process the events do not explain the locks")
        held = {row["device_id"]: (row["holder_id"], row["epoch"]) for row in before["device_lock"]}
        for device, (holder, epoch) in held.items():
            row = await node.row(device)
            must((row.holder_id, row.epoch) == (holder, epoch), "the death of a process changed a lock")
        must(not await node.rows("SELECT * FROM lock_pending"), "a request of a dead process waits")
        for device in held:
            await _to_be_had(node, device)


async def _to_be_had(node: Node, device: int) -> None:
    holder = await node.holder(device)
    if await node.rows("SELECT * FROM claim WHERE state = 'INTERRUPTED' AND unfenced = 1"):
        confirm = ConfirmDevice(device_id=device, note="looked: nothing runs there")
        must(await node.say(holder or "carol", confirm) == SUCCESS, "a confirmation was refused")
    if holder not in (None, "carol"):
        code = await node.say("admin", OverrideLock(device_id=device, reason="its owner's process died"))
        must(code == SUCCESS, f"the lock of a user whose process died cannot be ended: {code}")

    async def locked() -> bool:
        return await node.say("carol", LockDevice(device_id=device)) == SUCCESS

    await soon(locked, "a device is to be had after the process that worked on it died")
