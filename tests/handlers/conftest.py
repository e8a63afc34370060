"""The real gate on SQLite, with users, for handler tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gatehouse import House, house_with_users


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_with_users(f"sqlite:///{tmp_path}/opensdm.db", tmp_path) as house:
        yield house
