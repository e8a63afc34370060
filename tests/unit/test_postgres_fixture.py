"""The private PostgreSQL keeps its promises: empty databases, no superuser, and committed rows that survive a crash."""

import os

import asyncpg
import pytest

from tests.postgres import PostgresServer


async def test_each_test_gets_an_empty_database_and_no_superuser(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        tables = await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'")
        is_superuser = await connection.fetchval("select current_setting('is_superuser')")
        await connection.execute("create table mark (id integer)")
    finally:
        await connection.close()
    assert (tables, is_superuser) == (0, "off")


def test_two_databases_do_not_share_tables(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()
    postgres_server.sql("create table mark (id integer)", first)
    count = "select count(*) from pg_tables where tablename = 'mark'"
    assert (postgres_server.sql(count, first), postgres_server.sql(count, second)) == ("1", "0")
    postgres_server.drop_database(first)
    postgres_server.drop_database(second)
    assert not {first, second} & set(postgres_server.sql("select datname from pg_database").split())


def test_the_server_demands_a_password_and_listens_on_loopback_only(postgres_server: PostgresServer) -> None:
    postgres_server.password, kept = "wrong", postgres_server.password
    try:
        with pytest.raises(RuntimeError, match="password authentication failed"):
            postgres_server.sql("select 1")
    finally:
        postgres_server.password = kept
    assert postgres_server.sql("show listen_addresses") == "127.0.0.1"


def test_a_crash_keeps_what_was_committed_and_leaves_no_process(own_postgres: PostgresServer) -> None:
    database = own_postgres.create_database()
    own_postgres.sql("create table mark (id integer); insert into mark values (7)", database)
    postmaster = own_postgres.pid
    os.kill(postmaster, 0)
    own_postgres.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(postmaster, 0)
    own_postgres.start()
    assert "was not properly shut down" in own_postgres.log.read_text()
    assert own_postgres.sql("select id from mark", database) == "7"
    own_postgres.restart()
    assert own_postgres.sql("show fsync") == "on"


def test_the_server_runs_as_nobody_special(postgres_server: PostgresServer) -> None:
    written_by_the_server = postgres_server.directory / "data" / "postmaster.pid"
    assert int(written_by_the_server.read_text().split()[0]) == postgres_server.pid
    assert written_by_the_server.stat().st_uid != 0
    assert postgres_server.directory.stat().st_mode & 0o077 == 0
