"""The pair keeps its promises: what was answered is on both, a cut-off primary commits nothing, and it comes back."""

import asyncpg
import pytest

from lab.postgres_pair import PostgresPair


async def connected(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url, timeout=10)


async def test_what_was_committed_survives_the_end_of_the_primary(pair: PostgresPair) -> None:
    url = pair.create_database("survives")
    connection = await connected(url)
    await connection.execute("create table mark (id integer)")
    await connection.execute("insert into mark values (1)")
    pair.kill_primary()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.execute("insert into mark values (2)")
    pair.promote_standby()
    connection = await connected(url)
    assert await connection.fetchval("select sum(id) from mark") == 1
    pair.rejoin()
    await connection.execute("insert into mark values (3)")
    await connection.close()
    assert pair.standby.sql("select sum(id) from mark", "survives") == "4"


async def test_a_cut_off_primary_answers_reads_and_no_commit(pair: PostgresPair) -> None:
    url = pair.create_database("cut")
    connection = await connected(url)
    await connection.execute("create table mark (id integer)")
    old = pair.primary
    pair.pause_primary()
    pair.promote_standby()
    old.resume()
    assert await connection.fetchval("select count(*) from mark") == 0
    with pytest.raises(TimeoutError):
        await connection.execute("insert into mark values (1)", timeout=0.3)
    connection.terminate()
    assert pair.primary.sql("select count(*) from mark", "cut") == "0"
    pair.rejoin()
