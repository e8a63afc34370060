"""The store contract, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensdm.testing import OpenStore, StoreContract, open_store
from tests.migrated import set_up


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[OpenStore]:
        url = f"sqlite:///{tmp_path}/opensdm.db"
        await set_up(url)
        async with open_store(url, tmp_path) as store:
            yield store


class TestPostgres(StoreContract):
    @pytest.fixture
    async def store(self, migrated_postgres_url: str, tmp_path: Path) -> AsyncIterator[OpenStore]:
        async with open_store(migrated_postgres_url, tmp_path) as store:
            yield store
