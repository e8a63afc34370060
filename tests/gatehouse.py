"""The real gate on a real database with real drivers, for tests: open, crash, open again.

A `House` is what the server is without its doors. `crash()` throws it away as a power cut would: nothing
is finished, ended or flushed beyond what was committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text

from opensdm.core.identity import Area, Level, SessionPolicy
from opensdm.core.lock import LockPolicy
from opensdm.core.operations import AddNetworkFunction, AddUser, AssignDevice, ListDevices, Login, Operation
from opensdm.core.ports import DriverRegistry
from opensdm.drivers.registry import Registry
from opensdm.gate import Caller, Gate
from opensdm.gate.gate import Handler
from opensdm.gate.run import Principal
from opensdm.handlers import HANDLERS
from opensdm.stores.database import Connection, Database, open_database
from opensdm.stores.ledger import Ledger
from opensdm.stores.recovery import recover
from opensdm.stores.secrets import SecretBox
from tests.migrated import set_up

PASSWORD = "correct-horse-7"
USERS = {
    "alice": "provisioners",
    "bob": "provisioners",
    "carol": "LIAdministrators",
    "admin": "administrators",
    "mona": "monitors",
}
AT_ONCE = LockPolicy(wait_s=0, queue_s=0)
"""Nobody waits who does not say so."""
_requests = itertools.count(1)


class QuickPasswords:
    """Argon2 as in production, at a cost that lets a test log in a thousand times."""

    def __init__(self) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))

    async def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        return password_hash is not None and self._hasher.verify(password, password_hash)


@dataclass
class House:
    """An open gate. `caller(name)` logs a user in once and gives that user's caller; `again` a second session."""

    url: str
    key_file: Path
    database: Database
    ledger: Ledger
    gate: Gate
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def local(self) -> Caller:
        return Caller("cli", "console", f"t-{next(_requests)}", principal=Principal.LOCAL)

    @property
    def system(self) -> Caller:
        return Caller("clock", "server", f"t-{next(_requests)}", principal=Principal.SYSTEM)

    async def caller(self, user_name: str, door: str = "rest", *, again: bool = False) -> Caller:
        if again or user_name not in self.tokens:
            entry = Caller(door, "127.0.0.1", f"t-{next(_requests)}")
            logged_in = await self.gate.execute(entry, Login(user_name=user_name, password=PASSWORD))
            if again:
                return Caller(door, "127.0.0.1", f"t-{next(_requests)}", token=logged_in.token)
            self.tokens[user_name] = logged_in.token
        return Caller(door, "127.0.0.1", f"t-{next(_requests)}", token=self.tokens[user_name])

    async def do(self, user_name: str, operation: Operation) -> Any:
        return await self.gate.execute(await self.caller(user_name), operation)

    async def add_users(self) -> None:
        for name, group in USERS.items():
            await self.gate.execute(self.local, AddUser(user_name=name, group=group, password=PASSWORD))

    async def enrol(self, name: str, address: str = "192.0.2.1:443", **parameters: str) -> int:
        """A network function with one device of that name, assigned; answers the device's id."""
        wanted = {"primary.ip": address, "username": "ops", "password": "s3cret-pw", **parameters}
        await self.gate.execute(
            self.local,
            AddNetworkFunction(
                nf_name=name, parent_full_name="Home", category_name="SP Edge & Core", type_name="Device",
                parameters=wanted,
            ),
        )  # fmt: skip
        listing = await self.gate.execute(self.local, ListDevices(filters={"name": name}))
        device_id: int = listing.items[0].device.device_id
        await self.gate.execute(self.local, AssignDevice(device_id=device_id))
        return device_id

    async def close(self) -> None:
        await self.gate.drain(10)
        await self.gate.drivers.close()
        await self.ledger.stop()
        await self.database.close()

    async def crash(self) -> None:
        """Stop without finishing anything: tasks are dropped where they stand, connections cut."""
        task = self.ledger._task
        self.ledger._task = None
        doomed = {t for t in (task, *self.gate._tasks) if t is not None}
        while running := [t for t in doomed if not t.done()]:
            for victim in running:
                victim.cancel()  # again and again: what tries to tidy up on its way out does not get to
            await asyncio.sleep(0)
        await self.gate.drivers.close()  # the process would be gone, and its connections with it
        with contextlib.suppress(Exception):
            await self.database.close()


async def open_house(
    url: str,
    key_file: Path,
    *,
    drivers: DriverRegistry | None = None,
    handlers: Mapping[type[Operation], Handler] = HANDLERS,
    make_ledger: Callable[[Database, int], Ledger] = Ledger,
    lock_policy: LockPolicy = AT_ONCE,
    node_name: str = "test-node",
) -> House:
    """Open the database at `url`, recover, and stand the gate on it. The same url again: a restart."""
    box = _secret_box(key_file)
    await set_up(url)
    database = open_database(url, box)
    recovered = await recover(database, node_name, "127.0.0.1")
    ledger = make_ledger(database, recovered.incarnation)
    ledger.start()
    gate = Gate(
        ledger=ledger,
        reader=ledger,
        drivers=drivers or Registry(),
        handlers=handlers,
        passwords=QuickPasswords(),
        incarnation=recovered.incarnation,
        session_policy=SessionPolicy(),
        lock_policy=lock_policy,
    )
    return House(url, key_file, database, ledger, gate)


def _secret_box(key_file: Path) -> SecretBox:
    return SecretBox.load(key_file) if key_file.exists() else SecretBox.create(key_file)


@asynccontextmanager
async def house_with_users(url: str, directory: Path, **options: Any) -> AsyncIterator[House]:
    """A fresh house with the users of `USERS`."""
    house = await open_house(url, directory / "secret.key", **options)
    await house.add_users()
    try:
        yield house
    finally:
        await house.close()


async def store_right(house: House, group: str, area: Area, level: Level) -> None:
    """As nothing here does yet: a right of a group is stored anew, behind everybody's back."""
    put = text(
        "INSERT INTO group_right (group_id, area, level)"
        " SELECT group_id, :area, :level FROM user_group WHERE group_name = :group"
        " ON CONFLICT (group_id, area) DO UPDATE SET level = excluded.level"
    )

    async def change(connection: Connection) -> None:
        await connection.execute(put, {"area": area.value, "level": int(level), "group": group})

    await house.database.transact(change)
