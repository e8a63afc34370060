"""What the tests need from the machine: a tool that is missing is a loud skip on a laptop and a failure in CI."""

import os
import shutil
from typing import NoReturn

import pytest

missing_parts: set[str] = set()


def missing(part: str) -> NoReturn:
    """Skip the test because the machine lacks `part`; fail it instead when CI=true."""
    missing_parts.add(part)
    if os.environ.get("CI") == "true":
        pytest.fail(f"{part} is missing, and CI=true demands it", pytrace=False)
    pytest.skip(f"{part} is missing")


def tool(name: str) -> str:
    """Path of the program `name` on PATH; see `missing` for what happens without it."""
    return shutil.which(name) or missing(name)
