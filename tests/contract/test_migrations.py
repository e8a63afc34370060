"""The schema: migrations make what the tables say, keep what was there, and do all or nothing; on both databases."""

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Table, create_engine, insert, inspect, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import opensdm.stores
from opensdm.core.element import Element
from opensdm.core.errors import StoreUnavailable
from opensdm.core.ports import Page, Transaction
from opensdm.core.staging import PendingChange
from opensdm.core.versions import Source, VersionNote
from opensdm.stores import tables
from opensdm.stores.database import open_database
from opensdm.stores.ledger import Ledger
from opensdm.stores.recovery import recover
from opensdm.stores.schema import migrate, newest, revision
from opensdm.stores.secrets import SecretBox
from opensdm.testing import OpenStore

REALM = Element("realmConfig", {"id": "core", "secret": "s3cret"}, (Element("realmConfig/sub", {"id": "1"}),))
SIP = Element("sipInterface", {"id": "sip"})
NOTE = VersionNote(Source.PUSH, "alice", "r-1", "SCZ910")


@dataclass
class Blank:
    """A database that nothing was set up in yet."""

    url: str

    async def run(self, work: object) -> object:
        """Something blocking, in a transaction of its own."""
        assert callable(work)
        if self.url.startswith("sqlite"):
            with create_engine(self.url, poolclass=NullPool).begin() as connection:
                return work(connection)
        url = make_url(self.url).set(drivername="postgresql+asyncpg")
        async with create_async_engine(url, poolclass=NullPool).begin() as asynchronous:
            return await asynchronous.run_sync(work)


@pytest.fixture(params=("sqlite", "postgresql"))
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Blank:
    if request.param == "sqlite":
        return Blank(f"sqlite:///{tmp_path}/opensdm.db")
    return Blank(request.getfixturevalue("postgres_url"))
