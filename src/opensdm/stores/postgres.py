"""PostgreSQL through asyncpg: plain READ COMMITTED transactions with explicit row locks, and a bound for each answer.

A statement that the server does not answer is not cancelled but cut off, its connection with it. The difference matters
for a commit that waits for its synchronous standby: cancelled, it would stand on the primary alone and be seen there.
"""

from __future__ import annotations

import asyncio
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import CursorResult, Executable, ScalarResult, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from opensdm.stores.database import READERS, Connection, Parameters, Work, sqlstate, translated, unavailable
from opensdm.stores.postgres_dial import CONNECT_TIMEOUT_S, Dialer, NoPrimary
from opensdm.stores.secrets import SecretBox

T = TypeVar("T")

WRITERS = 3
"""The ledger, the heartbeat, and the end of dead nodes, which may wait for rows: none waits for another."""
STATEMENT_TIMEOUT_MS = 10_000
"""A statement that takes longer is refused by the server, and the request with it (rule R10)."""
SILENCE_S = 12.0
"""A server that says nothing for this long is given up: longer than it may take to refuse a statement by itself."""


class PostgresDatabase:
    """One PostgreSQL, on one server or on several of which one is the primary."""

    dialect = "postgresql"

    def __init__(self, url: str, secrets: SecretBox) -> None:
        self.url = url
        self.secrets = secrets
        self._dialer = Dialer(url)
        self._writer = self._engine(WRITERS, default_transaction_read_only="off")
        self._reader = self._engine(
            READERS, default_transaction_read_only="on", default_transaction_isolation="repeatable read"
        )

    @property
    def place(self) -> str:
        home = self._dialer.home
        return "" if home is None else f"{home.system}:{home.database}/{home.timeline}"

    async def transact(self, work: Work[T], *, within_s: float | None = None) -> T:
        done = await self._run(self._writer, work, within_s or SILENCE_S)
        self._dialer.doubt = False
        return done

    async def query(self, work: Work[T]) -> T:
        return await self._run(self._reader, work, SILENCE_S)

    async def clock(self, connection: Connection) -> int:
        return int(await connection.scalar(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")))

    async def close(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()

    async def _run(self, engine: AsyncEngine, work: Work[T], silence_s: float) -> T:
        try:
            async with engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                with _Watch(self._dialer, driver, silence_s) as watch:
                    async with connection.begin():
                        done = await work(_OnLoop(connection, watch))
                        watch.stir()
                if not self._dialer.current(driver):
                    raise NoPrimary("the database moved while it was asked")
                return done
        except (OSError, TimeoutError) as error:
            raise unavailable(error) from error
        except SQLAlchemyError as error:
            raise translated(error, outage=_is_lost(error)) from error

    def _engine(self, size: int, **settings: str) -> AsyncEngine:
        bounds = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        settings |= {name: str(STATEMENT_TIMEOUT_MS) for name in bounds}
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=partial(self._dialer.connect, settings),
            hide_parameters=True,  # a failed statement is logged without the hashes and sealed values it carried
            pool_size=size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_S,
        )

        @event.listens_for(engine.sync_engine, "checkout")
        def look(connection: Any, _: object, __: object) -> None:
            if not self._dialer.current(connection.driver_connection):
                connection.driver_connection.terminate()
                raise DisconnectionError

        return engine


class _OnLoop:
    """SQLAlchemy's asynchronous connection, narrowed to what a transaction's work may do, each with its bound."""

    def __init__(self, connection: AsyncConnection, watch: _Watch) -> None:
        self._connection = connection
        self._watch = watch

    async def execute(self, statement: Executable, parameters: Parameters = None, /) -> CursorResult[Any]:
        self._watch.stir()
        return await self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, parameters: Parameters = None, /) -> Any:
        return (await self.execute(statement, parameters)).scalar()

    async def scalars(self, statement: Executable, parameters: Parameters = None, /) -> ScalarResult[Any]:
        return (await self.execute(statement, parameters)).scalars()

    async def breathe(self) -> None:
        await asyncio.sleep(0)


class _Watch:
    """Ends a connection on which a statement has run for `silence_s` without an answer; whoever waits hears of it."""

    def __init__(self, dialer: Dialer, driver: Any, silence_s: float) -> None:
        self._dialer = dialer
        self._driver = driver
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        self.stir()
        self._timer = self._loop.call_at(self._due, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def stir(self) -> None:
        """A statement begins: from now on counts."""
        self._due = self._loop.time() + self._silence_s

    def _look(self) -> None:
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look)
            return
        self._dialer.doubt = True
        self._driver.terminate()


def _is_lost(error: SQLAlchemyError) -> bool:
    """Connection-level failures and shutdowns: SQLSTATE class 08 and 57P, or no SQLSTATE at all."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeout | DisconnectionError)
    state = sqlstate(error)
    return error.connection_invalidated or state is None or state[:2] in ("08", "53", "57", "25") or state == "55P03"
