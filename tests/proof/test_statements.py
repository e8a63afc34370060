"""The process is killed before and after every statement of every transition: all of it is there afterwards, or none.

Each place of each transition is one life of a process that dies there, and the next life, which is inspected. `make
test` takes one place of each; `make prove` all of them, on both databases.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from opensdm.stores.failpoints import TRANSITIONS as FAILPOINTS
from tests.postgres import PostgresServer
from tests.proof.killed import BEFORE_ALL, COMMIT, COMMITTED, check_next_life, made, rows_in
from tests.proof.place import must, place
from tests.proof.transitions import TRANSITIONS

Fresh = Callable[[], str]
"""The address of a new database with users and devices."""


def test_every_transition_is_made_here() -> None:
    assert set(FAILPOINTS) <= set(TRANSITIONS)


async def _founded(url: str, directory: Path) -> None:
    async with place(url, directory) as at:
        node = await at.first()
        await node.enrol("edge-a")
        await node.enrol("edge-b", "192.0.2.2:443")


@pytest.fixture(scope="module")
def fresh_sqlite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fresh]:
    directory = tmp_path_factory.mktemp("killed")
    asyncio.run(_founded(f"sqlite:///{directory}/base.db", directory))

    def fresh() -> str:
        for old in directory.glob("try.db*"):
            old.unlink()
        shutil.copyfile(directory / "base.db", directory / "try.db")
        return f"sqlite:///{directory}/try.db"

    return directory, fresh


@pytest.fixture
def fresh_postgres(
    postgres_server: PostgresServer, migrated_postgres_url: str, tmp_path: Path
) -> Iterator[tuple[Path, Fresh]]:
    asyncio.run(_founded(migrated_postgres_url, tmp_path))
    base = migrated_postgres_url.rpartition("/")[2]
    copies: list[str] = []

    def fresh() -> str:
        while copies:
            postgres_server.drop_database(copies.pop())
        copies.append(postgres_server.create_database(base))
        return postgres_server.url(copies[0])

    yield tmp_path, fresh
    while copies:
        postgres_server.drop_database(copies.pop())


def killed_everywhere(name: str, ground: tuple[Path, Fresh], chosen: Callable[[int], Iterable[int]]) -> str:
    """Dies at each chosen place; what is left is what was before or, once committed, what was to be."""
    directory, fresh = ground
    url = fresh()
    made(name, url, directory, BEFORE_ALL)
    before = asyncio.run(rows_in(url, directory))
    url = fresh()
    passed = made(name, url, directory, None)
    after = asyncio.run(rows_in(url, directory))
    must(after != before, f"{name} changes nothing")
    assert passed.count(COMMIT) == passed.count(COMMITTED) == 1 and passed[-1] == COMMITTED
    for place_number in chosen(len(passed)):
        url = fresh()
        made(name, url, directory, place_number)
        left = asyncio.run(rows_in(url, directory))
        committed = passed[place_number] == COMMITTED
        where = f"{name}, killed {passed[place_number]}"
        expected = after if committed else before
        parted = {table: (rows, expected[table]) for table, rows in left.items() if rows != expected[table]}
        must(not parted, f"{where}: what is left is neither all of it nor nothing: {parted}")
        asyncio.run(check_next_life(url, directory))
    return f"{name}: {len(passed)} places"


def some(count: int) -> Iterable[int]:
    """One place in the middle of the writing, and the last one."""
    return (count * 2 // 3, count - 1)


@pytest.mark.parametrize("name", TRANSITIONS)
def test_killed_on_sqlite(name: str, fresh_sqlite: tuple[Path, Fresh]) -> None:
    killed_everywhere(name, fresh_sqlite, some)


@pytest.mark.prove
@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSITIONS)
def test_killed_everywhere_on_sqlite(name: str, fresh_sqlite: tuple[Path, Fresh]) -> None:
    print(killed_everywhere(name, fresh_sqlite, range))


@pytest.mark.prove
@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSITIONS)
def test_killed_everywhere_on_postgresql(name: str, fresh_postgres: tuple[Path, Fresh]) -> None:
    print(killed_everywhere(name, fresh_postgres, range))
