"""Two databases behind one face: SQLite for one machine, PostgreSQL when that is not enough.

A transaction's work is a coroutine over a `Connection`. On PostgreSQL it runs on the event loop over
asyncpg. On SQLite it runs to its end inside the database's own thread: one hop for the whole
transaction instead of one for each statement, and nothing but the database can be waited for in it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection as BlockingConnection
from sqlalchemy import CursorResult, Engine, Executable, ScalarResult, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from opensdm.core.database_url import SQLITE
from opensdm.core.errors import HouseRuleBroken, StoreUnavailable
from opensdm.stores.secrets import SecretBox
from opensdm.stores.transaction import StoreTransaction

T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

READERS = 4
"""Reading connections: SQLite threads; also the PostgreSQL pool's share for reads."""


class Connection(Protocol):
    """What stores see of a transaction: buffered statements, nothing else."""

    async def execute(self, statement: Executable, parameters: Parameters = None, /) -> CursorResult[Any]: ...
    async def scalar(self, statement: Executable, parameters: Parameters = None, /) -> Any: ...
    async def scalars(self, statement: Executable, parameters: Parameters = None, /) -> ScalarResult[Any]: ...
    async def breathe(self) -> None:
        """Called between pieces of long computing, so that it holds up nobody on the event loop."""


Work = Callable[[Connection], Awaitable[T]]
"""A transaction's work. It asks for the clock itself, after it has locked what it must."""


class Database(Protocol):
    """One open database. `transact` is the ledger's; everyone else reads."""

    dialect: str
    url: str
    secrets: SecretBox

    @property
    def place(self) -> str:
        """`CLUSTER/TIMELINE` of the server worked on; empty for an embedded database."""

    async def transact(self, work: Work[T], *, within_s: float | None = None) -> T:
        """Run work in one write transaction; it is durable when this returns.

        `within_s`: give up a server that is silent for this long, for whoever knows better than the store.
        """

    async def query(self, work: Work[T]) -> T:
        """Run work in one read-only transaction: all of it sees one moment, with everything committed before it."""

    async def clock(self, connection: Connection) -> int:
        """The database's clock, now, in microseconds."""

    async def close(self) -> None: ...


async def read(database: Database, query: Callable[[StoreTransaction], Awaitable[T]]) -> T:
    """Run a query over the repositories in one read transaction."""

    async def work(connection: Connection) -> T:
        return await query(StoreTransaction(connection, await database.clock(connection), database.secrets))

    return await database.query(work)


def open_database(url: str, secrets: SecretBox) -> Database:
    """Open `sqlite:///PATH` or `postgresql://...`; connects lazily. InvalidRequest for anything else."""
    if url.startswith(SQLITE):
        return SqliteDatabase(Path(url.removeprefix(SQLITE)), secrets)
    # Imported here: commands on an embedded database should not wait for a driver they do not use.
    from opensdm.stores.postgres import PostgresDatabase

    return PostgresDatabase(url, secrets)


async def look(database: Database, sql: str, **values: object) -> list[Any]:
    """Rows as the database itself holds them, past the repositories; for contract suites, which prove those."""

    async def work(connection: Connection) -> list[Any]:
        return list((await connection.execute(text(sql), values)).all())

    return await database.query(work)


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """Undo what happens inside, alone, when it raises."""
    await connection.execute(text("SAVEPOINT effect"))
    try:
        yield
    except BaseException:
        await connection.execute(text("ROLLBACK TO SAVEPOINT effect"))
        await connection.execute(text("RELEASE SAVEPOINT effect"))
        raise
    await connection.execute(text("RELEASE SAVEPOINT effect"))


def unavailable(error: Exception) -> StoreUnavailable:
    """The one sentence for a database that did not answer; its own words go to the log, not to clients."""
    failure = StoreUnavailable(
        "the database did not answer, so the outcome of this request is unknown; look at the state, then try again"
    )
    failure.__cause__ = error
    return failure


def translated(error: Exception, *, outage: bool) -> Exception:
    """What a failure of the driver means to whoever asked. `outage`: the store failed, and not what was asked of it."""
    if sqlstate(error) == "25006" or "readonly database" in str(error):
        return HouseRuleBroken("a read tried to write")
    return unavailable(error) if outage else error


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a driver error, if it carries one."""
    original = getattr(error, "orig", None)
    for candidate in (original, getattr(original, "__cause__", None)):
        state = getattr(candidate, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


# ------------------------------------------------------------------------------------------ SQLite


class _InThread:
    """A blocking connection with coroutine methods that never wait: for use inside the database's thread."""

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection

    async def execute(self, statement: Executable, parameters: Parameters = None, /) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, parameters: Parameters = None, /) -> Any:
        return self._connection.execute(statement, parameters).scalar()

    async def scalars(self, statement: Executable, parameters: Parameters = None, /) -> ScalarResult[Any]:
        return self._connection.execute(statement, parameters).scalars()

    async def breathe(self) -> None:
        """Nothing: this thread is not the event loop's."""


def _run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that only talks to an `_InThread` connection; it has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise HouseRuleBroken("a transaction's work waited for something that is not its database")


class SqliteDatabase:
    """One file, one writing connection, a few that can only read."""

    dialect = "sqlite"
    place = ""

    def __init__(self, path: Path, secrets: SecretBox) -> None:
        self.url = f"sqlite:///{path}"
        self.secrets = secrets
        self._write_engine = self._engine(path, "BEGIN IMMEDIATE", query_only=False)
        self._read_engine = self._engine(path, "BEGIN", query_only=True)
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._held = threading.local()
        self._opened: list[BlockingConnection] = []

    async def transact(self, work: Work[T], *, within_s: float | None = None) -> T:
        return await self._run(self._writer, self._write_engine, work)

    async def query(self, work: Work[T]) -> T:
        return await self._run(self._readers, self._read_engine, work)

    async def clock(self, connection: Connection) -> int:
        return time.time_ns() // 1000

    async def close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        for connection in self._opened:
            connection.close()
        self._write_engine.dispose()
        self._read_engine.dispose()

    async def _run(self, threads: ThreadPoolExecutor, engine: Engine, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, self._in_thread, engine, work)

    def _in_thread(self, engine: Engine, work: Work[T]) -> T:
        try:
            connection = self._connection(engine)
            with connection.begin():
                return _run_to_end(_started(work, _InThread(connection)))
        except (DBAPIError, sqlite3.Error) as error:
            raise translated(error, outage=_is_outage(error)) from error

    def _connection(self, engine: Engine) -> BlockingConnection:
        connection: BlockingConnection | None = getattr(self._held, "connection", None)
        if connection is None:
            connection = self._held.connection = engine.connect()
            self._opened.append(connection)
        return connection

    @staticmethod
    def _engine(path: Path, begin: str, *, query_only: bool) -> Engine:
        engine = create_engine(
            f"sqlite:///{path}",
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "timeout": 10},
        )

        @event.listens_for(engine, "connect")
        def configure(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = None  # we say BEGIN ourselves, and say which
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
                connection.execute(f"PRAGMA {pragma}")
            if query_only:
                connection.execute("PRAGMA query_only=ON")

        @event.listens_for(engine, "begin")
        def start(connection: BlockingConnection) -> None:
            connection.exec_driver_sql(begin)

        return engine


async def _started(work: Work[T], connection: Connection) -> T:
    return await work(connection)


def _is_outage(error: Exception) -> bool:
    """Failures of the store itself (full disk, lost file), as against a statement that was refused."""
    original = getattr(error, "orig", error)
    return isinstance(original, sqlite3.OperationalError)
