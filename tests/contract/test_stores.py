"""The store contract, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensdm.testing import OpenStore, StoreContract, open_store


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OpenStore]:
        async with open_store(f"sqlite:///{tmp_path}/opensdm.db", tmp_path) as store:
            yield store


class TestPostgres(StoreContract):
    @pytest.fixture
    async def store(self, postgres_url: str, tmp_path: Path) -> AsyncIterator[OpenStore]:
        async with open_store(postgres_url, tmp_path) as store:
            yield store
