"""Fixtures for all tests, and the summary line that makes a skipped database impossible to overlook."""

# Imported now, and not by its plugin when all is over: CPython 3.11 now and then cannot compile any more once greenlets
# have run ("AST constructor recursion depth mismatch").
import hypothesis  # noqa: F401
import pytest

from tests.machine import missing_parts

pytest_plugins = ["tests.postgres", "tests.lab_fixtures"]

POSTGRES_FIXTURES = {"postgres_server", "postgres_url", "migrated_postgres_url", "own_postgres", "pair"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if POSTGRES_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("postgres")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for part in sorted(missing_parts):
        terminalreporter.section(f"NOT TESTED: {part} is missing on this machine", red=True, bold=True)
