"""The gate beside its model, on both databases; and proof that the comparison sees what it is meant to see."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from opensdm.core.operations import PushChanges
from opensdm.handlers import HANDLERS
from tests.gatehouse import House, open_house
from tests.simulation.faults import FAULTS
from tests.simulation.machine import LockMachine
from tests.simulation.model import Caught, Stage
from tests.simulation.workbench import Workbench

EXAMPLES = int(os.environ.get("OPENSDM_MACHINE_EXAMPLES", "20"))
"""Histories per database; `make prove` asks for many more."""


def how(examples: int, *, thorough: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        print_blob=False,
        verbosity=Verbosity.normal if thorough else Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


@contextmanager
def machine(url: str, directory: Path) -> Iterator[type[LockMachine]]:
    """A machine on a fresh database with users; each of its histories enrols devices of its own."""
    loop = asyncio.new_event_loop()

    async def stand(bench: Workbench) -> House:
        handlers = {**HANDLERS, PushChanges: bench.push}
        house = await open_house(url, directory / "secret.key", handlers=handlers)
        bench.verifier = house.gate.seal
        return house

    bench = Workbench()
    house = loop.run_until_complete(stand(bench))
    loop.run_until_complete(house.add_users())
    stage = Stage(loop, stand, house, bench)
    try:
        yield type("Machine", (LockMachine,), {"stage": stage})
    finally:
        loop.run_until_complete(stage.house.crash())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_the_gate_agrees_with_the_model_on_sqlite(tmp_path: Path) -> None:
    with machine(f"sqlite:///{tmp_path}/machine.db", tmp_path) as subject:
        run_state_machine_as_test(subject, settings=how(EXAMPLES, thorough=True))


def test_the_gate_agrees_with_the_model_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with machine(postgres_url, tmp_path) as subject:
        run_state_machine_as_test(subject, settings=how(EXAMPLES, thorough=True))


AT_ONCE_SEEN = {"check_apart_from_registration", "group_one_by_one", "two_writers"}
"""Faults that any few histories come upon; the others can take a minute each, and fail an invariant's own test too."""


def each_fault() -> list[ParameterSet]:
    return [
        pytest.param(name, marks=[] if name in AT_ONCE_SEEN else [pytest.mark.prove], id=name)
        for name in sorted(FAULTS)
    ]


@pytest.mark.parametrize("name", each_fault())
def test_a_planted_fault_is_caught(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with machine(f"sqlite:///{tmp_path}/machine.db", tmp_path) as subject:
        FAULTS[name](monkeypatch)
        subject.stage.planted = True
        # The machine's own comparison, or a guard of the store that a write came to: nothing else counts.
        with pytest.raises(Caught) as caught:
            run_state_machine_as_test(subject, settings=how(400, thorough=False))
        monkeypatch.undo()
    print(f"{name}: {caught.value}")
