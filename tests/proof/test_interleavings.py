"""Tasks interleaved at random, at one gate and at three: every answer is one that a single server could have given."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from tests.proof.faults import FAULTS, Fault
from tests.proof.interleaving import AnyOrder, Crowd
from tests.proof.place import place
from tests.simulation.crash_model import Violation

EPISODES = int(os.environ.get("OPENSDM_EPISODES", "10"))
OPERATIONS = int(os.environ.get("OPENSDM_OPERATIONS", "1000000"))
REQUESTS = 12
MANY, FUNCTIONS = 96, 16
"""Clients and functions of the long form."""

SEEN_HERE = (
    "a_held_lock_is_given_again", "lock_without_asking_for_work", "locks_bind_only_lockers", "group_one_by_one",
    "reads_come_from_a_cache",
)  # fmt: skip


def crowded(
    url: str, directory: Path, nodes: int, seed: int, episodes: int, clients: int = 12, functions: int = 1
) -> Crowd:
    """A crowd after so many episodes, on a loop that runs tasks in any order."""
    rng = random.Random(seed)

    async def run() -> Crowd:
        async with place(url, directory) as at:
            crowd = Crowd(at, rng)
            await crowd.settle_in(nodes, functions)
            for _ in range(episodes):
                await crowd.episode(clients, REQUESTS)
            return crowd

    with asyncio.Runner(loop_factory=lambda: AnyOrder(rng)) as runner:
        return runner.run(run())


def test_one_node(tmp_path: Path) -> None:
    crowd = crowded(f"sqlite:///{tmp_path}/crowd.db", tmp_path, 1, 1, EPISODES)
    assert crowd.guarded > 0 and crowd.codes["lock DEVICE_LOCKED"] and crowd.codes["push SUCCESS"]


def test_three_nodes(tmp_path: Path, migrated_postgres_url: str) -> None:
    crowd = crowded(migrated_postgres_url, tmp_path, 3, 2, EPISODES)
    assert crowd.guarded > 0 and crowd.codes["lock DEVICE_LOCKED"] and crowd.codes["push SUCCESS"]


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.name in SEEN_HERE], ids=lambda f: f.name)
def test_a_planted_fault_is_seen(fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as planted:
        fault.plant(planted)
        with pytest.raises((Violation, ExceptionGroup)) as seen:
            crowded(f"sqlite:///{tmp_path}/crowd.db", tmp_path, 1, 3, 60)
    print(seen.value)


def report(crowd: Crowd, began: float) -> None:
    print(f"{crowd.codes.total()} operations in {time.monotonic() - began:.0f} s")
    print(f"{crowd.guarded} writes on devices under a reported lock, none of them foreign")
    for what, number in sorted(crowd.codes.items()):
        print(f"{number:8} {what}")


@pytest.mark.prove
@pytest.mark.slow
def test_a_million_operations_at_one_node(tmp_path: Path) -> None:
    began, episodes = time.monotonic(), OPERATIONS // (MANY * REQUESTS) + 1
    report(crowded(f"sqlite:///{tmp_path}/crowd.db", tmp_path, 1, 4, episodes, MANY, FUNCTIONS), began)


@pytest.mark.prove
@pytest.mark.slow
def test_a_hundred_thousand_operations_on_three_nodes(tmp_path: Path, migrated_postgres_url: str) -> None:
    began, episodes = time.monotonic(), OPERATIONS // 10 // (MANY * REQUESTS) + 1
    report(crowded(migrated_postgres_url, tmp_path, 3, 4, episodes, MANY, FUNCTIONS), began)
