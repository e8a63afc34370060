"""Every invariant of the lock by its name, on both databases; on PostgreSQL with two nodes where it speaks of nodes.

`test_faults` plants a fault for each and sees it caught here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.proof import claims, locks
from tests.proof.place import Place, place

Invariant = Callable[[Place], Awaitable[None]]
INVARIANTS: dict[str, Invariant] = {
    name: body
    for module in (locks, claims)
    for name, body in sorted(vars(module).items())
    if name.partition("_")[0] in {*(f"i{n:02}" for n in range(1, 20)), "r01", "r07", "r08", "r12", "zombies"}
}
MANY_NODES = {"i19_recovery_of_one_node_leaves_every_other_nodes_work_alone"}
"""Those that say nothing where there can be but one node."""


def test_none_is_missing() -> None:
    assert sorted({name[:3] for name in INVARIANTS if name[0] == "i"}) == [f"i{n:02}" for n in range(1, 20)]


@pytest.mark.parametrize("name", sorted(INVARIANTS.keys() - MANY_NODES))
async def test_on_sqlite(name: str, tmp_path: Path) -> None:
    async with place(f"sqlite:///{tmp_path}/proof.db", tmp_path) as at:
        await INVARIANTS[name](at)


@pytest.mark.parametrize("name", sorted(INVARIANTS))
async def test_on_postgresql(name: str, tmp_path: Path, migrated_postgres_url: str) -> None:
    async with place(migrated_postgres_url, tmp_path) as at:
        await INVARIANTS[name](at)
