"""Two programs on one database: migrations of a release only add, and what they take away waits for the older program.

The newer program is this one with migrations of a later release beside its own; the older one is this one as it is.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from opensdm.core.errors import StoreUnavailable
from opensdm.core.operations import LockDevice, UnlockDevice
from opensdm.stores import schema
from opensdm.stores.database import look
from opensdm.stores.recovery import stop_node
from tests.gatehouse import House, open_house

FIRST_TO_ROLL = "0006"
"""Migrations before it are of no release."""
ADDING = '''"""A later release."""

import sqlalchemy as sa
from alembic import op

revision = "0098"
down_revision = "{head}"
serves = "{head}"


def upgrade() -> None:
    op.add_column("device_lock", sa.Column("colour", sa.Text()))
    op.create_table("paint", sa.Column("name", sa.Text(), primary_key=True))
'''
TAKING_AWAY = '''"""The release after it."""

from alembic import op

revision = "0099"
down_revision = "0098"
serves = "0098"


def upgrade() -> None:
    op.drop_column("lock_ask", "message")
'''


@contextmanager
def later_program(directory: Path, *migrations: str) -> Iterator[None]:
    """Within it, this program is one that has these migrations, too."""
    own, scripts = schema._config(), directory / "migrations"
    shutil.copytree(str(own.get_main_option("script_location")), scripts, dirs_exist_ok=True)
    head = schema.newest()
    for number, text in enumerate(migrations):
        (scripts / "versions" / f"later_{number}.py").write_text(text.replace("{head}", head))

    def config() -> Config:
        own.set_main_option("script_location", str(scripts))
        return own

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_config", config)
        yield


async def works(house: House, device: int) -> None:
    """Locks, and what they leave on record."""
    (lock,) = (await house.do("alice", LockDevice(device_id=device))).locks
    assert lock.row.holder_name == "alice"
    await house.do("alice", UnlockDevice(device_id=device))
    kinds = [row.kind for row in await look(house.database, "SELECT kind FROM lock_event ORDER BY event_id")]
    assert kinds[-2:] == ["device:lock:taken", "device:lock:released"]


async def node(url: str, directory: Path, name: str) -> House:
    return await open_house(url, directory / "secret.key", node_name=name)


async def test_nodes_of_the_older_program_go_on_while_a_schema_is_added_to(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    url = migrated_postgres_url
    running = await node(url, tmp_path, "running")
    await running.add_users()
    device = await running.enrol("edge-a")
    with later_program(tmp_path / "later", ADDING):
        newer = await node(url, tmp_path, "newer")
        assert await schema.revision(url) == "0098"
        await works(newer, device)
    await works(running, device)
    started = await node(url, tmp_path, "started-later")
    await works(started, device)
    for house in (newer, running, started):
        await house.close()


async def test_what_an_older_program_uses_is_not_taken_away_under_it(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    url = migrated_postgres_url
    running = await node(url, tmp_path, "running")
    with later_program(tmp_path / "later", ADDING, TAKING_AWAY):
        with pytest.raises(StoreUnavailable, match=r"running \(127.0.0.1\), whose program is too old"):
            await schema.migrate(url)
        assert await schema.revision(url) == schema_before(), "nothing was done"
        await stop_node(running.database, running.ledger.incarnation)
        await running.close()
        assert await schema.migrate(url) == "0099"
    with pytest.raises(StoreUnavailable, match="newer than this program"):
        await node(url, tmp_path, "running")


def schema_before() -> str:
    """The revision of this program without those migrations."""
    scripts = Path(schema.__file__).parent / "migrations" / "versions"
    return max(path.name.partition("_")[0] for path in scripts.glob("0*.py"))


async def test_an_embedded_database_moves_on_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/opensdm.db"
    await schema.migrate(url)
    with later_program(tmp_path / "later", ADDING, TAKING_AWAY):
        assert await schema.migrate(url) == "0099"
    with pytest.raises(StoreUnavailable, match="newer than this program"):
        await schema.migrate(url)


# ------------------------------------------------------------------------------------ our own migrations


def _own() -> list[Path]:
    scripts = ScriptDirectory.from_config(schema._config())
    return [Path(each.path) for each in scripts.walk_revisions() if each.revision >= FIRST_TO_ROLL]


@pytest.mark.parametrize("path", _own(), ids=lambda path: path.stem)
def test_a_migration_that_serves_older_programs_only_adds(path: Path) -> None:
    tree = ast.parse(path.read_text())
    said = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}  # type: ignore[attr-defined]
    assert "serves" in said, "say which programs go on beside it"
    if ast.literal_eval(said["serves"]) == ast.literal_eval(said["revision"]):
        return
    for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "op":
            assert call.func.attr in ("add_column", "create_table", "create_index"), ast.unparse(call)
        if ast.unparse(call.func) == "sa.Column" and "nullable=False" in ast.unparse(call):
            assert "server_default" in ast.unparse(call), "an older program does not fill it"
