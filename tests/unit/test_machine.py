"""A missing tool must never pass for a passed test."""

import pytest

from tests import machine


@pytest.fixture(autouse=True)
def unreported(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Keep what these tests call missing out of the summary of the run."""
    parts: set[str] = set()
    monkeypatch.setattr(machine, "missing_parts", parts)
    return parts


def test_a_laptop_skips_and_remembers(monkeypatch: pytest.MonkeyPatch, unreported: set[str]) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="frobnicate is missing"):
        machine.tool("frobnicate")
    assert unreported == {"frobnicate"}


def test_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="frobnicate is missing, and CI=true demands it"):
        machine.tool("frobnicate")


def test_a_tool_that_is_there_is_found() -> None:
    assert machine.tool("sh").endswith("/sh")
