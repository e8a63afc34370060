"""The server is killed under load, at random and at its failpoints; what it said before is true after each restart.

`make prove` kills it 200 times on each database, and at every failpoint there is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.simulation.crash import install, storm, through
from tests.simulation.crash_model import Violation

ON_SQLITE = ("begin_step.committed", "interrupt.written", "promote.written")
ON_POSTGRESQL = ("fence.written", "give_up.committed", "start_claim.decided")
"""Where work is cut off in the middle, or somebody waits; all places on both databases in the long form.

Every place of every transition, for itself: `tests/proof/test_statements.py`.
"""
KILLS, PATIENCE_S = 3, 6.0
"""Random kills on each database; and how long the end of a step that was cut off is waited for."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation to copy: making one takes three commands."""
    data = tmp_path_factory.mktemp("crash") / "data"
    install(data)
    return data


async def test_kills_on_sqlite(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(installed, tmp_path / "data")
    async with storm(tmp_path / "data", None, seed=1) as subject:
        await through(subject, ON_SQLITE, KILLS, PATIENCE_S)


async def test_kills_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    install(tmp_path / "data", postgres_url)
    async with storm(tmp_path / "data", postgres_url, seed=2) as subject:
        await through(subject, ON_POSTGRESQL, KILLS, PATIENCE_S)


async def test_a_server_that_loses_its_last_commits_is_caught(installed: Path, tmp_path: Path) -> None:
    """The same storm on a disk that forgets: what was committed since the last checkpoint is gone after the kill."""
    shutil.copytree(installed, tmp_path / "data")
    async with storm(tmp_path / "data", None, seed=3) as subject:
        assert await subject.start()
        await subject.inspect()
        await subject.trouble(most=10)
        await subject.kill()
        (tmp_path / "data" / "opensdm.sqlite3-wal").unlink()
        assert await subject.start()
        with pytest.raises(Violation) as caught:
            await subject.inspect()
        print(f"caught: {caught.value}")
