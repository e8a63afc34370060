"""A store opened for a test, with a hand on its clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from opensdm.core.identity import User
from opensdm.core.inventory import Device
from opensdm.core.lock import Actor, Answer, Request
from opensdm.core.operations import Scope
from opensdm.core.ports import Effect, NewDevice, Transaction
from opensdm.core.submission import AuditDraft, Submission, Target
from opensdm.core.versions import Source, VersionNote
from opensdm.stores.database import Connection, Database, look, open_database
from opensdm.stores.ledger import Ledger
from opensdm.stores.recovery import recover
from opensdm.stores.schema import migrate
from opensdm.stores.secrets import SecretBox
from opensdm.stores.transaction import StoreTransaction

T = TypeVar("T")

SECOND_US = 1_000_000
NOTE = VersionNote(Source.LOAD, "alice", "r-1", "SCZ910", "as it was")


@dataclass(slots=True)
class OpenStore:
    """An open database with its ledger and its keys. `ahead_s` moves the clock that repositories see."""

    database: Database
    ledger: Ledger
    keys: Path
    ahead_s: float = 0

    async def write(self, effect: Effect[T]) -> T:
        async def work(connection: Connection) -> T:
            return await effect(await self._transaction(connection))

        return await self.database.transact(work)

    async def read(self, query: Callable[[Transaction], Awaitable[T]]) -> T:
        async def work(connection: Connection) -> T:
            return await query(await self._transaction(connection))

        return await self.database.query(work)

    async def rows(self, sql: str, **values: object) -> list[Any]:
        """What the database itself holds, beside the repositories."""
        return await look(self.database, sql, **values)

    async def restart(self) -> None:
        """A new run of the node on the same database, with the keys read from their file."""
        await self.ledger.stop()
        await self.database.close()
        self.database = open_database(self.database.url, SecretBox.load(self.keys))
        self.ledger = Ledger(self.database, (await recover(self.database, "node-1", "192.0.2.200")).incarnation)
        self.ledger.start()

    async def decide(self, request: Request, *devices: int, audit: AuditDraft | None = None) -> Answer:
        """Have the ledger decide a lock request."""
        target = Target(Scope.DEVICE, devices[0]) if len(devices) == 1 else Target(devices=frozenset(devices))
        answer = (await self.ledger.submit(Submission(target, request, audit=audit))).answer
        assert answer is not None
        return answer

    async def _transaction(self, connection: Connection) -> StoreTransaction:
        now_us = await self.database.clock(connection) + int(self.ahead_s * SECOND_US)
        return StoreTransaction(connection, now_us, self.database.secrets)

    # ------------------------------------------------------------------------- things tests begin with

    async def add_user(self, name: str, group: str = "provisioners") -> User:
        return await self.write(lambda tx: tx.identity.add_user(name, group, "a hash"))

    async def add_device(
        self, name: str, address: str, parent_id: int = 1, secrets: Mapping[str, str] | None = None, **parameters: str
    ) -> Device:
        """A network function with one device of its name."""
        new = NewDevice(name, address, "acme_sbc", parameters, secrets or {})

        async def effect(tx: Transaction) -> Device:
            function = await tx.inventory.add_function(name, parent_id, "SP Edge & Core", "Device", [new])
            (device,) = await tx.inventory.devices_in(function.nf_id)
            return device

        return await self.write(effect)

    async def log_in(self, user: User, *, idle_timeout_s: int = 1800, token_hash: bytes | None = None) -> int:
        hashed = token_hash or user.user_name.encode()
        return await self.write(
            lambda tx: tx.identity.open_session(
                user.user_id, hashed, "rest", "192.0.2.99", idle_timeout_s=idle_timeout_s, max_sessions=1000
            )
        )


def actor(user: User, session_id: int | None = None) -> Actor:
    return Actor(user.user_id, user.user_name, session_id, "rest")


@asynccontextmanager
async def open_store(url: str, directory: Path) -> AsyncIterator[OpenStore]:
    """Set up the database behind `url`, recover it and run its ledger; `directory` gets the key file."""
    await migrate(url)
    database = open_database(url, SecretBox.create(directory / "secret.key"))
    ledger = Ledger(database, (await recover(database, "node-1", "192.0.2.200")).incarnation)
    ledger.start()
    store = OpenStore(database, ledger, directory / "secret.key")
    try:
        yield store
    finally:
        await store.ledger.stop()
        await store.database.close()
