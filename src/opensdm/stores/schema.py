"""Bringing a database to this program's schema, once, even when several nodes start together.

Nodes of two programs may work on one database while it is upgraded. A migration says in `serves` which is the oldest
revision whose programs go on beside it: one that only adds serves those before it, and what a program does not use any
more is taken away by a later release, whose migration serves no older one. That is kept in the database, so that an
older program knows whether a newer schema still suits it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from opensdm.core.errors import StoreUnavailable
from opensdm.core.node import RHYTHM
from opensdm.stores.database import Connection as OpenConnection
from opensdm.stores.database import Database, unavailable

_SERVES = text("SELECT value FROM installation WHERE name = 'serves'")
_NOTE_SERVES = text(
    "INSERT INTO installation (name, value) VALUES ('serves', :serves)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_ADVISORY_KEY = 0x4F53444D  # "OSDM"; held only for the length of the migration's transaction


async def migrate(url: str) -> str:
    """Run the migrations that are missing; answers the revision reached, a later one where this program may stay.

    StoreUnavailable if unreachable, if this program is too old, or if nodes run that would be too old afterwards.
    """
    try:
        if url.startswith("sqlite:///"):
            return _migrate_sqlite(url)
        return await _migrate_postgres(url)
    except (DBAPIError, OSError, TimeoutError) as error:
        raise unavailable(error) from error


async def revision(url: str) -> str | None:
    """The revision a database is at; None for one that was never set up."""
    try:
        if url.startswith("sqlite:///"):
            return _sqlite_revision(url)
        async with _postgres(url).connect() as async_connection:
            return await async_connection.run_sync(_current)
    except (DBAPIError, OSError, TimeoutError) as error:
        raise unavailable(error) from error


def _sqlite_revision(url: str) -> str | None:
    if not Path(url.removeprefix("sqlite:///")).exists():
        return None
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return _current(connection)


def newest() -> str:
    """The revision this program works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> str:
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    current = _current(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        if connection.scalar(_SERVES) in known:
            return current
        raise StoreUnavailable(f"the database is at schema {current}, newer than this program; upgrade the program")
    head = scripts.get_revision(newest())
    serves: str = getattr(head.module, "serves", head.revision)
    if current is not None and current < serves:
        _refuse_older_nodes(connection, serves)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.execute(_NOTE_SERVES, {"serves": serves})
    reached = _current(connection)
    assert reached is not None
    return reached


def _refuse_older_nodes(connection: Connection, serves: str) -> None:
    """Nobody takes away what a running node uses. An embedded database has no other nodes."""
    if connection.dialect.name == "sqlite":
        return
    columns = {column["name"] for column in inspect(connection).get_columns("node")}
    program = "program" if "program" in columns else "''"
    older = text(
        f"SELECT node_name, address FROM node WHERE live = 1 AND {program} < :serves"  # noqa: S608 (one of two words)
        " AND heartbeat_us > extract(epoch FROM clock_timestamp()) * 1000000 - :dead_after_us ORDER BY node_name"
    )
    values = {"serves": serves, "dead_after_us": round(RHYTHM.dead_after_s * 1e6)}
    found = [f"{row.node_name} ({row.address})" for row in connection.execute(older, values)]
    if found:
        raise StoreUnavailable(
            f"still running are {', '.join(found)}, whose program is too old for the schema of this one: upgrade them "
            "first to the release before this, or stop them"
        )


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _migrate_sqlite(url: str) -> str:
    """All or nothing: Python's sqlite3 opens no transaction for `CREATE` and `DROP` by itself, so we say BEGIN."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        reached = _upgrade(connection)
        connection.exec_driver_sql("COMMIT")
        return reached


async def _migrate_postgres(url: str) -> str:
    async with _postgres(url).begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
        return await connection.run_sync(_upgrade)


def _postgres(url: str) -> AsyncEngine:
    """The primary, without the bounds of a statement: moving old rows may take its time."""
    from opensdm.stores.postgres_dial import Dialer

    connect = partial(Dialer(url).connect, {"default_transaction_read_only": "off"})
    return create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=connect)


async def check_key(database: Database) -> None:
    """Refuse to run with another secret key than the one the stored secrets were sealed with."""
    mine = database.secrets.key_check()

    async def work(connection: OpenConnection) -> str:
        sql = text("SELECT value FROM installation WHERE name = 'key_check'")
        known = await connection.scalar(sql)
        if known is None:
            insert = text("INSERT INTO installation (name, value) VALUES ('key_check', :value) ON CONFLICT DO NOTHING")
            await connection.execute(insert, {"value": mine})
            known = await connection.scalar(sql)
        return str(known)

    if await database.transact(work) != mine:
        raise StoreUnavailable(
            "the secret key of this data directory is not the one this database was set up with; "
            "put the right secret.key there, or use the right database"
        )
