"""`opensdm` with a fault planted in it, as a program: the first argument names the fault, the rest is the command line.

Each fault is one that only a crash, a restart or a lost answer brings to light.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, text

from opensdm.cli import main
from opensdm.core.lock import Locked, LockRow, Refused, TakeLock
from opensdm.core.operations import Scope
from opensdm.core.submission import Receipt, Submission, Target
from opensdm.stores import audit_rows, database, ledger, recovery
from opensdm.stores.database import Connection, Database
from opensdm.stores.targets import resolve


def recovery_ends_nothing() -> None:
    """Claims of dead runs stay as they were."""

    async def interrupt(*_: object) -> None:
        return None

    recovery._interrupt = interrupt  # type: ignore[assignment]


def a_restart_forgets_epochs() -> None:
    """Devices that nobody holds begin anew with epoch 0."""
    _before_recovery("UPDATE device_lock SET epoch = 0, revoked = 0 WHERE holder_id IS NULL")


def a_restart_frees_a_device() -> None:
    """One lock ends with the crash, as if it had been kept in memory."""
    _before_recovery(
        "UPDATE device_lock SET holder_id = NULL, reason = NULL"
        " WHERE device_id = (SELECT max(device_id) FROM device_lock WHERE holder_id IS NOT NULL)"
    )


def a_restart_ends_a_session() -> None:
    _before_recovery("UPDATE session SET ended_us = 1 WHERE session_id = (SELECT max(session_id) FROM session)")


def answers_come_before_commits() -> None:
    """25 transactions share one commit and are answered before it. Only a kill shows it: reads see all of them."""
    honest, honest_close = database.SqliteDatabase._in_thread, database.SqliteDatabase.close
    transactions = 0

    def in_thread(self: database.SqliteDatabase, engine: Engine, work: database.Work[Any]) -> Any:
        nonlocal transactions
        transactions += 1
        if transactions < 25:  # recovery
            return honest(self, engine, work)
        connection = self._connection(engine)
        if transactions % 25 == 0 and connection.in_transaction():
            connection.commit()
        if not connection.in_transaction():
            connection.begin()
        return database._run_to_end(database._started(work, database._InThread(connection)))

    async def query(self: database.SqliteDatabase, work: database.Work[Any]) -> Any:
        return await self._run(self._writer, self._write_engine, work)

    async def close(self: database.SqliteDatabase) -> None:
        for connection in self._opened:
            connection.commit()
        await honest_close(self)

    database.SqliteDatabase.close = close  # type: ignore[method-assign]
    database.SqliteDatabase._in_thread = in_thread  # type: ignore[method-assign]
    database.SqliteDatabase.query = query  # type: ignore[method-assign]


def a_group_is_locked_one_by_one() -> None:
    """Each device of a group in a commit of its own."""
    honest = ledger.Ledger.submit

    async def submit(self: ledger.Ledger, submission: Submission) -> Receipt:
        if not isinstance(submission.request, TakeLock) or submission.target.scope is Scope.DEVICE:
            return await honest(self, submission)

        async def members(connection: Connection) -> frozenset[int] | None:
            return (await resolve(connection, [submission.target]))[0]

        rows: list[LockRow] = []
        for device in sorted(await self.database.query(members) or ()):
            receipt = await honest(self, replace(submission, target=Target(Scope.DEVICE, device)))
            if not isinstance(receipt.answer, Locked):
                assert isinstance(receipt.answer, Refused)
                return receipt
            rows += receipt.answer.locks
        return replace(receipt, answer=Locked(tuple(rows)))

    ledger.Ledger.submit = submit  # type: ignore[method-assign]


def the_audit_trail_has_holes() -> None:
    """One batch in fifty is committed without its rows."""
    honest = audit_rows.AuditRows.write
    chance = random.Random(1)

    async def write(self: audit_rows.AuditRows, connection: Connection) -> None:
        if chance.random() > 0.02:
            await honest(self, connection)

    audit_rows.AuditRows.write = write  # type: ignore[method-assign]


FAULTS: Sequence[Callable[[], None]] = (
    recovery_ends_nothing,
    a_restart_forgets_epochs,
    a_restart_frees_a_device,
    a_restart_ends_a_session,
    answers_come_before_commits,
    a_group_is_locked_one_by_one,
    the_audit_trail_has_holes,
)


def _before_recovery(statement: str) -> None:
    honest = recovery.recover

    async def recover(database: Database, node_name: str, address: str, **more: Any) -> recovery.Recovered:
        async def work(connection: Connection) -> None:
            await connection.execute(text(statement))

        await database.transact(work)
        return await honest(database, node_name, address, **more)

    recovery.recover = recover  # the server is imported by its command, and finds this one


if __name__ == "__main__":
    chosen = sys.argv.pop(1)
    next(fault for fault in FAULTS if fault.__name__ == chosen)()
    main()
