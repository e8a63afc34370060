"""Removing a gate call breaks the build: each is taken away once, and a test is seen to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.house.sabotage import CUTS, UNTOUCHED, mutilated

ROOT = Path(__file__).parents[2]
Found = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def found() -> Found:
    """What the tests say with each call gone, and with none gone: all from one run of a process of its own."""
    command = [sys.executable, "-m", "tests.house.sabotage"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    result: Found = json.loads(done.stdout.splitlines()[-1])
    return result


def test_with_every_call_in_place_they_all_pass(found: Found) -> None:
    assert found[UNTOUCHED]["failed"] == {}
    assert len(found[UNTOUCHED]["passed"]) >= len({test for cut in CUTS.values() for test in cut.tests})


@pytest.mark.parametrize("name", sorted(CUTS))
def test_a_missing_call_is_noticed(found: Found, name: str) -> None:
    """Every test that is named for it fails, and in its own body: what it does is what catches the fault."""
    for test in CUTS[name].tests:
        failures = {at: how for at, how in found[name]["failed"].items() if at.startswith(test)}
        assert failures, f"without {name!r} {test} still passes"
        assert all(how.startswith("call: ") for how in failures.values()), failures


@pytest.mark.parametrize("name", sorted(CUTS))
def test_a_cut_is_where_it_says(name: str) -> None:
    mutilated(CUTS[name])
