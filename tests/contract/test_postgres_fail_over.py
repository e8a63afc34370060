"""One database on several servers: the primary is found, a standby never worked on, and silence has an end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lab.postgres_pair import PostgresPair
from lab.proxy import CuttingProxy
from opensdm.core.database_url import postgres_servers
from opensdm.core.errors import InvalidRequest, StoreUnavailable
from opensdm.stores import postgres, postgres_dial
from opensdm.stores.database import Connection, Database, look, open_database
from opensdm.stores.schema import migrate, newest, revision
from opensdm.stores.secrets import SecretBox


@asynccontextmanager
async def opened(url: str, directory: Path) -> AsyncIterator[Database]:
    database = open_database(url, SecretBox.create(directory / f"{time.monotonic_ns()}.key"))
    try:
        yield database
    finally:
        await database.close()


async def write(database: Database, name: str, within_s: float | None = None) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(text("INSERT INTO installation (name, value) VALUES (:n, '')"), {"n": name})

    await database.transact(work, within_s=within_s)


async def names(database: Database) -> set[str]:
    return {row.name for row in await look(database, "SELECT name FROM installation WHERE name LIKE 'mark%'")}


async def until_written(database: Database, name: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await write(database, name)
            except StoreUnavailable:
                await asyncio.sleep(0.05)


def alone(url: str, port: int) -> str:
    """The same database at one of its servers."""
    return next(dsn for dsn in postgres_servers(url).dsns if f":{port}/" in dsn)


@pytest.fixture
async def url(pair: PostgresPair, request: pytest.FixtureRequest) -> str:
    made = pair.create_database(f"fail_over_{abs(hash(request.node.name)) % 10**9}")
    assert await migrate(made) == newest()
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "SILENCE_S", 1.0)
    monkeypatch.setattr(postgres_dial, "CONNECT_TIMEOUT_S", 1.0)


async def test_the_new_primary_is_found_by_writes_and_reads(pair: PostgresPair, url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as database:
        await write(database, "mark-1")
        assert await names(database) == {"mark-1"}
        pair.kill_primary()
        with pytest.raises(StoreUnavailable):
            await write(database, "mark-2")
        pair.promote_standby()
        await until_written(database, "mark-3")
        assert await names(database) == {"mark-1", "mark-3"}
        assert await revision(url) == newest(), "commands find it, too"
        pair.rejoin()
        await until_written(database, "mark-4")


async def test_a_standby_is_neither_read_nor_written(pair: PostgresPair, url: str, tmp_path: Path) -> None:
    there = alone(url, pair.standby.port)
    with pytest.raises(StoreUnavailable) as refused:
        await migrate(there)
    assert "standby" in str(refused.value.__cause__)
    async with opened(there, tmp_path) as database:
        with pytest.raises(StoreUnavailable):
            await write(database, "mark-1")
        with pytest.raises(StoreUnavailable):
            await names(database)


@pytest.mark.usefixtures("impatient")
async def test_what_a_replaced_primary_says_is_not_believed(pair: PostgresPair, url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as database:
        await write(database, "mark-1")
        assert await names(database) == {"mark-1"}
        old = pair.primary
        pair.pause_primary()
        pair.promote_standby()
        await until_written(database, "mark-2")
        old.resume()
        assert old.sql("select count(*) from installation where name = 'mark-2'", url.split("/")[-1].split("?")[0]) == (
            "0"
        ), "it still answers, with what is past"
        for _ in range(8):
            assert await names(database) == {"mark-1", "mark-2"}
        async with opened(alone(url, old.port), tmp_path) as late:
            with pytest.raises(StoreUnavailable):
                await write(late, "mark-3")
        pair.rejoin()


@pytest.mark.usefixtures("impatient")
async def test_of_two_primaries_the_one_promoted_last_is_worked_on(
    pair: PostgresPair, url: str, tmp_path: Path
) -> None:
    old = pair.primary
    pair.pause_primary()
    pair.promote_standby()
    old.resume()
    for order in (url, ",".join(reversed(url.split("@")[1].split("/")[0].split(",")))):
        turned = url if order == url else url.replace(url.split("@")[1].split("/")[0], order)
        async with opened(turned, tmp_path) as database:
            await write(database, f"mark-{len(turned)}-{turned == url}", within_s=5)
    pair.rejoin()


@pytest.mark.usefixtures("impatient")
async def test_a_commit_without_its_standby_is_neither_answered_nor_seen(
    pair: PostgresPair, url: str, tmp_path: Path
) -> None:
    async with opened(url, tmp_path) as database:
        pair.kill_standby()
        with pytest.raises(StoreUnavailable):
            await write(database, "mark-1")
        await asyncio.sleep(0.2)
        assert await names(database) == set(), "a commit that is cancelled would stand here alone"
        pair.restart_standby()
        await until_written(database, "mark-2")
        assert await names(database) == {"mark-1", "mark-2"}


@pytest.mark.usefixtures("impatient")
async def test_a_link_that_carries_nothing_has_an_end_and_a_new_beginning(
    pair: PostgresPair, url: str, tmp_path: Path
) -> None:
    port = pair.primary.port
    async with CuttingProxy("127.0.0.1", port) as proxy:
        through = alone(url, port).replace(f":{port}/", f":{proxy.listens_at}/")
        async with opened(through, tmp_path) as database:
            await write(database, "mark-1")
            assert await names(database) == {"mark-1"}
            proxy.hold_at(1, "to_device")
            proxy.hold_at(1, "from_device")
            began = time.monotonic()
            for refused in await asyncio.gather(
                *(write(database, f"mark-lost-{n}") for n in range(4)),
                *(names(database) for _ in range(4)),
                return_exceptions=True,
            ):
                assert isinstance(refused, StoreUnavailable)
            assert time.monotonic() - began < 20
            proxy.behave()
            await until_written(database, "mark-2")
            assert "mark-2" in await names(database)


async def test_connections_are_kept_alive_on_both_sides(pair: PostgresPair, url: str) -> None:
    connection: Any = await postgres_dial.Dialer(url).connect({})
    assert await connection.fetchval("SHOW tcp_keepalives_idle") == str(postgres_dial.KEEPALIVE_S)
    peer = connection._transport.get_extra_info("socket")
    assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == postgres_dial.KEEPALIVE_S
    connection.terminate()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("mysql://h/db", "sqlite:/// or postgresql://"),
        ("postgresql://u@h1:5432,/db", "HOST:PORT"),
        ("postgresql://u@h1:port,h2/db", "HOST:PORT"),
        ("postgresql://u@h1,h2/db?target_session_attrs=standby", "read-write"),
    ],
)
def test_a_wrong_url_is_refused_with_what_is_right(wrong: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        postgres_servers(wrong)


def test_each_server_gets_its_own_address() -> None:
    found = postgres_servers("postgresql+asyncpg://u:p@h1:1,[::1]:2/db?sslmode=require&target_session_attrs=primary")
    assert found.dsns == ("postgresql://u:p@h1:1/db?sslmode=require", "postgresql://u:p@[::1]:2/db?sslmode=require")
    assert found.shown == "h1:1,[::1]:2/db"
