"""200 kills at random instants and one at every failpoint, on each database, under clients that never stop.

OPENSDM_CRASH_KILLS asks for more, or fewer.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opensdm.stores.failpoints import STAGES, all_failpoints
from tests.simulation.crash import install, storm, through

KILLS = int(os.environ.get("OPENSDM_CRASH_KILLS", "200"))
PATIENCE_S = 200.0
"""Longer than any step may be open."""

pytestmark = [pytest.mark.prove, pytest.mark.slow]


def in_turn() -> list[str]:
    """All failpoints that this traffic reaches: nothing has to be confirmed on devices that fence their writers.

    Each of recovery's comes right after a death that left work behind to recover from.
    """
    names = [name for name in all_failpoints() if not name.startswith("confirm.")]
    recovery = [name for name in names if name.startswith("interrupt.")]
    others = [name for name in names if name not in recovery]
    for name in recovery:
        others.insert(others.index(f"begin_step.{name.partition('.')[2]}") + 1, name)
    return others


async def test_200_kills_and_every_failpoint_on_sqlite(tmp_path: Path) -> None:
    install(tmp_path / "data")
    async with storm(tmp_path / "data", None, seed=11) as subject:
        await through(subject, in_turn(), KILLS, PATIENCE_S)


async def test_200_kills_and_every_failpoint_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    install(tmp_path / "data", postgres_url)
    async with storm(tmp_path / "data", postgres_url, seed=12) as subject:
        await through(subject, in_turn(), KILLS, PATIENCE_S)


def test_all_failpoints_are_visited() -> None:
    assert {*all_failpoints()} - {*in_turn()} == {f"confirm.{stage}" for stage in STAGES}
