"""The schema: migrations make what the tables say, keep what was there, and do all or nothing; on both databases."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import opensdm.stores
from opensdm.core.element import Element
from opensdm.core.errors import NotFound, StoreUnavailable
from opensdm.core.ports import Page
from opensdm.core.staging import PendingChange
from opensdm.core.versions import Source, VersionNote
from opensdm.stores import tables
from opensdm.stores.schema import migrate, newest, revision
from opensdm.stores.secrets import SecretBox
from opensdm.testing import OpenStore, open_store

T = TypeVar("T")

REALM = Element("realmConfig", {"id": "core", "secret": "s3cret"}, (Element("realmConfig/sub", {"id": "1"}),))
SIP = Element("sipInterface", {"id": "sip"})
NOTE = VersionNote(Source.PUSH, "alice", "r-1", "SCZ910")
USER, DEVICE = 77, 7


@dataclass(frozen=True)
class Blank:
    """A database that nothing was set up in yet, and the directory of its keys."""

    url: str
    directory: Path

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Something that blocks, in a transaction of its own."""
        if self.url.startswith("sqlite"):
            with create_engine(self.url, poolclass=NullPool).begin() as connection:
                return work(connection)
        url = make_url(self.url).set(drivername="postgresql+asyncpg")
        async with create_async_engine(url, poolclass=NullPool).begin() as asynchronous:
            return await asynchronous.run_sync(work)


@pytest.fixture(params=("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)))
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Blank:
    if request.param == "sqlite":
        return Blank(f"sqlite:///{tmp_path}/opensdm.db", tmp_path)
    return Blank(request.getfixturevalue("postgres_url"), tmp_path)


def set_up_first(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(opensdm.stores.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


def fill_first(connection: Connection, box: SecretBox) -> None:
    """A loaded device with a staged change, as the program of schema 0001 wrote them."""

    def add(table: str, **values: Any) -> None:
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)  # noqa: S608

    def packed(value: object) -> bytes:
        return box.seal(zlib.compress(msgspec.json.encode(value)))

    add(
        "user_account", user_id=USER, user_name="alice", name_key="alice", group_id=3, password_hash="a hash",
        created_us=1,
    )  # fmt: skip
    add("device_group", group_id=6, group_name="edge-a", name_key="edge-a", parent_id=1, kind="FUNCTION", nf_id=6)
    add("network_function", nf_id=6, category="SP Edge & Core", type_name="Device", group_type="DEVICE")
    add(
        "device", device_id=DEVICE, device_name="edge-a", nf_id=6, group_id=6, address="192.0.2.1",
        platform="acme_sbc", parameters="{}", secrets=box.seal(b"{}"),
    )  # fmt: skip
    add("device_lock", device_id=DEVICE)
    add("configuration", device_id=DEVICE, version=5, loaded_us=1234, body=packed((REALM, SIP)))
    add(
        "pending_change", user_id=USER, device_id=DEVICE, path="realmConfig", element_key=json.dumps(["core"]),
        body=packed((REALM, None)), at_us=99,
    )  # fmt: skip


async def test_migrations_make_the_tables(blank: Blank) -> None:
    assert await migrate(blank.url) == newest() == await revision(blank.url)

    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))

    found = await blank.run(differences)
    assert [each for each in found if "comment" not in str(each[0])] == []


async def test_what_the_first_schema_held_survives(blank: Blank) -> None:
    await blank.run(set_up_first)
    box = SecretBox.create(blank.directory / "old.key")
    await blank.run(lambda connection: fill_first(connection, box))
    async with open_store(blank.url, blank.directory) as store:
        store.keys = blank.directory / "old.key"
        await store.restart()
        await _reads_and_goes_on(store)


async def _reads_and_goes_on(store: OpenStore) -> None:
    staged = await store.read(lambda tx: tx.configurations.changes(USER, DEVICE))
    assert staged == [PendingChange("realmConfig", ("core",), REALM, None, 99)]
    kept = await store.read(lambda tx: tx.configurations.configuration(DEVICE))
    assert kept is not None and (kept.version, kept.loaded_us, kept.elements) == (5, 1234, (REALM, SIP))
    part = await store.read(lambda tx: tx.configurations.configuration(DEVICE, ["sipInterface"]))
    assert part is not None and part.elements == (SIP,)
    assert await store.read(lambda tx: tx.configurations.versions(DEVICE, Page())) == ([], 0)
    added = await store.write(lambda tx: tx.configurations.add_version(DEVICE, [SIP], NOTE))
    assert added.number == 6
    old = await store.read(lambda tx: tx.configurations.version(DEVICE, 5))
    assert (old.current, old.taken_us, old.elements, old.note.source) == (True, 1234, 2, Source.LOAD)
    assert await store.read(lambda tx: tx.configurations.configuration(DEVICE)) == kept
    saved = await store.write(lambda tx: tx.configurations.save_configuration(DEVICE, [], NOTE, ["sipInterface"]))
    assert saved.version == 7
    now = await store.read(lambda tx: tx.configurations.configuration(DEVICE))
    assert now is not None and now.elements == (REALM,)
    assert await store.read(lambda tx: tx.configurations.version_elements(DEVICE, 5)) == (REALM, SIP)
    with pytest.raises(NotFound):
        await store.read(lambda tx: tx.configurations.version(DEVICE, 4))


async def test_a_migration_that_fails_leaves_everything_as_it_was(blank: Blank) -> None:
    await blank.run(set_up_first)
    box = SecretBox.create(blank.directory / "old.key")
    await blank.run(lambda connection: fill_first(connection, box))
    await blank.run(lambda connection: connection.execute(text("CREATE TABLE device_session (x INTEGER)")))
    with pytest.raises(StoreUnavailable):
        await migrate(blank.url)

    def state(connection: Connection) -> tuple[set[str], int]:
        names = set(inspect(connection).get_table_names())
        return names, int(connection.execute(text("SELECT count(*) FROM pending_change")).scalar_one())

    names, staged = await blank.run(state)
    assert not names & {"config_version", "task", "pending_change_0001"} and staged == 1
    assert await revision(blank.url) == "0001"
    await blank.run(lambda connection: connection.execute(text("DROP TABLE device_session")))
    assert await migrate(blank.url) == newest()
