"""A private PostgreSQL for the tests: its own directory, port, password and end; the system's clusters stay untouched.

Ask for `postgres_url` to get a new empty database, for `postgres_server` to reach the shared server behind it, and for
`own_postgres` to get a server that a test may kill. OPENSDM_TEST_FSYNC=off trades durability for speed.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.postgres import PostgresServer, account, programs
from lab.postgres_pair import PostgresPair, postgres_pair
from opensdm.stores.schema import migrate
from tests.machine import missing

__all__ = ["PostgresServer", "account", "private_server", "programs"]


@contextmanager
def private_server(*, fsync: bool = True) -> Iterator[PostgresServer]:
    """A new server in a directory of its own, both gone at the end, however the test ended."""
    found = programs()
    if found is None:
        missing("PostgreSQL (apt-get install postgresql)")
    # Not pytest's tmp_path: that is closed to the account the server runs as, and too long for a socket path.
    with tempfile.TemporaryDirectory(prefix="opensdm-pg-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(found, Path(directory), account(), fsync)
        try:
            server.initialise()
            yield server
        finally:
            if server.process is not None:
                server.kill()


def _fsync_wanted() -> bool:
    return os.environ.get("OPENSDM_TEST_FSYNC", "on") != "off"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server all tests share; a test that stops it starts it again."""
    with private_server(fsync=_fsync_wanted()) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Address of a new empty database, dropped after the test."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: PostgresServer) -> str:
    name = postgres_server.create_database()
    # In a thread, whose event loop is nobody else's.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, migrate(postgres_server.url(name))).result()
    return name


@pytest.fixture
def migrated_postgres_url(postgres_server: PostgresServer, _migrated_template: str) -> Iterator[str]:
    """Address of a database that is set up and holds nothing yet, dropped after the test."""
    name = postgres_server.create_database(_migrated_template)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, always with fsync: for crashes."""
    with private_server(fsync=True) as server:
        yield server


@pytest.fixture(scope="module")
def pair() -> Iterator[PostgresPair]:
    """A primary and its synchronous standby for a module's tests; each leaves both running, and following again."""
    if programs() is None:
        missing("PostgreSQL (apt-get install postgresql)")
    with postgres_pair() as running:
        yield running
