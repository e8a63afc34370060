"""Removing a gate call breaks the build: each is taken away once, and the tests named for it are seen to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.house.sabotage import CUTS, UNTOUCHED, mutilated

ROOT = Path(__file__).parents[2]


def sabotaged() -> dict[str, dict[str, Any]]:
    """What the tests say with each call gone, and with none gone: all from one process of its own."""
    # A pytest that runs in parallel, or measures coverage, tells its children so; this one is on its own.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "COVERAGE_"))}
    command = [sys.executable, "-m", "tests.house.sabotage"]
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_every_missing_call_is_noticed() -> None:
    """By each test that is named for it, and in that test's own body: what it does is what catches the fault."""
    found = sabotaged()
    assert found[UNTOUCHED]["failed"] == {}, "with every call in place they all pass"
    assert len(found[UNTOUCHED]["passed"]) >= len({test for cut in CUTS.values() for test in cut.tests})
    for name, cut in CUTS.items():
        for test in cut.tests:
            failures = {at: how for at, how in found[name]["failed"].items() if at.startswith(test)}
            assert failures, f"without {name!r} {test} still passes"
            assert all(how.startswith("call: ") for how in failures.values()), failures


@pytest.mark.parametrize("name", sorted(CUTS))
def test_a_cut_is_where_it_says(name: str) -> None:
    mutilated(CUTS[name])
