"""The crash runs see what they are meant to see: servers with a fault in them, killed under load, are each caught."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.prove import faulty_server
from tests.simulation.crash import install, storm
from tests.simulation.crash_model import Violation

LIVES = 30
"""More than enough: most faults are seen after two or three."""

pytestmark = [pytest.mark.prove, pytest.mark.slow]


@pytest.mark.parametrize("fault", [fault.__name__ for fault in faulty_server.FAULTS])
async def test_a_planted_fault_is_caught(fault: str, tmp_path: Path) -> None:
    install(tmp_path / "data")
    program = (sys.executable, faulty_server.__file__, fault)
    with pytest.raises(Violation) as caught:
        async with storm(tmp_path / "data", None, seed=5, program=program) as subject:
            for _ in range(LIVES):
                await subject.life_until_random_kill()
    print(f"{fault}: after {subject.tally.kills} kills: {caught.value}")
