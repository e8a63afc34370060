"""Bringing a database to this program's schema, once, even when several nodes start together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from opensdm.core.errors import StoreUnavailable
from opensdm.stores.database import Connection as OpenConnection
from opensdm.stores.database import Database, unavailable

_ADVISORY_KEY = 0x4F53444D  # "OSDM"; held only for the length of the migration's transaction


async def migrate(url: str) -> str:
    """Run the migrations that are missing; answers the revision reached. StoreUnavailable if unreachable."""
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
    current = _current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise StoreUnavailable(f"the database is at schema {current}, newer than this program; upgrade the program")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    reached = _current(connection)
    assert reached is not None
    return reached


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
