"""The server is killed under load, at random and at its failpoints; what it said before is true after each restart.

`make prove` kills it 200 times on each database, and at every failpoint there is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opensdm.stores.failpoints import TRANSITIONS, all_failpoints
from tests.simulation.crash import install, storm, through
from tests.simulation.crash_model import Violation

ON_SQLITE = ("begin_step.committed", "interrupt.written", "take_lock.written", "guard.committed", "write.decided")
ON_POSTGRESQL = (
    "finish_step.decided", "fence.written", "end_claim.committed", "release_lock.committed", "take_away.decided",
    "admit.written",
)  # fmt: skip
"""One stage of each transition; all of them on both databases in the long form."""
KILLS, PATIENCE_S = 4, 6.0
"""Random kills on each database; and how long the end of a step that was cut off is waited for."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation to copy: making one takes three commands."""
    data = tmp_path_factory.mktemp("crash") / "data"
    install(data)
    return data


def test_every_transition_has_a_failpoint_here() -> None:
    chosen = (*ON_SQLITE, *ON_POSTGRESQL)
    assert sorted(name.partition(".")[0] for name in chosen) == sorted(TRANSITIONS)
    assert set(chosen) <= set(all_failpoints())


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
