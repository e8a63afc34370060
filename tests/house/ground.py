"""The ground that operations are walked on: one laid-out store, copied for each test, and a virtual SBC.

Alice holds `edge-a`, which stands in the group `West` and is loaded, and `spare`, which is not managed yet; a push of
hers is over. Bob and the administrator staged a change on `edge-a` before she took it.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from opensdm.core.element import Element
from opensdm.core.operations import (
    AddDeviceGroup,
    AddElement,
    LoadConfiguration,
    LockDevice,
    MoveNetworkFunction,
    Operation,
    PushAction,
    PushChanges,
    ReadDeviceFacts,
    ShowDevice,
    UnassignDevice,
)
from opensdm.core.submission import Receipt, Submission
from opensdm.gate import Caller
from opensdm.stores.database import Connection, Database, Work, unavailable
from opensdm.stores.ledger import Ledger
from tests.gatehouse import USERS, House, house_with_users, open_house
from tests.simulator.box import PASSWORD, USER, Box, LoopThread

T = TypeVar("T")

REASON = "maintenance 4711"
NOBODY, CONSOLE, OWNER_AGAIN = "nobody", "console", "alice again"
TRACES = {"audit_entry", "session", "login_failure", "sqlite_sequence"}
"""Tables that a refusal may write: that it happened, and that its sender is still there."""


@dataclass(frozen=True)
class Ground:
    """Where everything is, and the sessions of everyone; `OWNER_AGAIN` is a second session of alice."""

    directory: Path
    box: Box
    tokens: Mapping[str, str]
    device_id: int
    nf_id: int
    spare_id: int
    west_id: int
    task_id: str
    """Of a push of alice's that is over."""


kept: Ground | None = None
"""Set by a process that runs pytest many times over; every other run lays its own."""


@contextmanager
def laid(directory: Path) -> Iterator[Ground]:
    """Lay the ground in an empty directory; the virtual SBC runs until the end."""
    loop = LoopThread()
    box = Box(loop, job_delay_s=0.01)
    try:
        yield box.run(_lay(directory, box))
    finally:
        box.begin_close().result(20)
        loop.close()


async def _lay(directory: Path, box: Box) -> Ground:
    address = f"{box.address[0]}:{box.address[1]}"
    plain = {"username": USER, "password": PASSWORD, "transport": "http"}
    async with house_with_users(f"sqlite:///{directory}/opensdm.db", directory) as house:
        west = await house.do("admin", AddDeviceGroup(group_name="West", parent_full_name="Home"))
        device_id = await house.enrol("edge-a", address, **plain)
        nf_id = (await house.do("alice", ShowDevice(device_id=device_id))).device.nf_id
        await house.do("alice", MoveNetworkFunction(nf_id=nf_id, parent_full_name="Home/West"))
        await house.do("alice", LoadConfiguration(device_id=device_id))
        pushed = await house.do("alice", PushChanges(device_id=device_id, action=PushAction.SAVE_ACTIVATE))
        spare_id = await house.enrol("spare", "192.0.2.2")
        await house.do("alice", UnassignDevice(device_id=spare_id))
        for user in ("bob", "admin"):
            theirs = Element("realmConfig", {"id": f"of-{user}"})
            await house.do(user, AddElement(device_id=device_id, element=theirs))
        for held in (device_id, spare_id):
            await house.do("alice", LockDevice(device_id=held, reason=REASON))
        tokens = {user: (await house.caller(user)).token or "" for user in USERS}
        tokens[OWNER_AGAIN] = (await house.caller("alice", "soap", again=True)).token or ""
    return Ground(directory, box, tokens, device_id, nf_id, spare_id, west.group.group_id, pushed.task_id)


Act = Callable[[], Awaitable[Any]]


class Fickle:
    """The real database behind a line that can fail: `writes` and `reads` go through while they are True.

    `lost_answers`: that many commits happen, and nobody hears of it. `before_read`: runs before the next read, once.
    """

    def __init__(self, real: Database) -> None:
        self.real = real
        self.dialect, self.url, self.secrets = real.dialect, real.url, real.secrets
        self.writes = self.reads = True
        self.lost_answers = 0
        self.before_read: Act | None = None

    @property
    def place(self) -> str:
        return self.real.place

    async def transact(self, work: Work[T], *, within_s: float | None = None) -> T:
        if not self.writes:
            raise unavailable(OSError("no way to the database"))
        value = await self.real.transact(work, within_s=within_s)
        if self.lost_answers:
            self.lost_answers -= 1
            raise unavailable(OSError("no way back from the database"))
        return value

    async def query(self, work: Work[T]) -> T:
        act, self.before_read = self.before_read, None
        if act is not None:
            await act()
        if not self.reads:
            raise unavailable(OSError("no way to the database"))
        return await self.real.query(work)

    async def clock(self, connection: Connection) -> int:
        return await self.real.clock(connection)

    async def close(self) -> None:
        await self.real.close()


class Meanwhile(Ledger):
    """A ledger on which something else can happen at the last moment: right before an operation is taken in."""

    def __init__(self, database: Database, incarnation: int) -> None:
        self.line = Fickle(database)
        super().__init__(self.line, incarnation)
        self._operation = ""
        self._act: Act | None = None

    def before(self, operation: str, act: Act) -> None:
        """Run `act` when the next submission of this operation arrives, once; one without audit goes by its request."""
        self._operation, self._act = operation, act

    @property
    def happened(self) -> bool:
        return self._act is None

    async def submit(self, submission: Submission) -> Receipt:
        act = self._act
        audit, request = submission.audit, submission.request
        name = audit.operation if audit is not None else type(request).__name__
        if act is not None and name == self._operation:
            self._act = None
            await act()
        return await super().submit(submission)


@dataclass
class Walk:
    """An open gate on a copy of the ground, and what can be seen of it from outside."""

    ground: Ground
    house: House
    file: Path

    @property
    def ledger(self) -> Meanwhile:
        assert isinstance(self.house.ledger, Meanwhile)
        return self.house.ledger

    @property
    def line(self) -> Fickle:
        return self.ledger.line

    async def caller(self, user: str) -> Caller:
        if user == CONSOLE:
            return self.house.local
        known = await self.house.caller("alice" if user == NOBODY else user)
        return Caller(known.door, known.address, known.request_id) if user == NOBODY else known

    async def do(self, user: str, operation: Operation) -> Any:
        return await self.house.gate.execute(await self.caller(user), operation)

    def everything(self) -> dict[str, list[Any]]:
        """All that a refusal must leave as it is. Numbers that were drawn for claims may stay unused."""
        with sqlite3.connect(self.file) as database:
            names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = {n: sorted(database.execute(f"SELECT * FROM {n}"), key=repr) for n in names - TRACES}  # noqa: S608
        found["counter"] = [row for row in found["counter"] if row[0] != "claim"]
        found["written to the device"] = [entry.sequence for entry in self.ground.box.simulator.journal.entries()]
        return found

    def rows(self, sql: str, **values: Any) -> list[sqlite3.Row]:
        """What a statement of the test's own finds, or changes."""
        with sqlite3.connect(self.file) as database:
            database.row_factory = sqlite3.Row
            return list(database.execute(sql, values))

    def push(self) -> PushChanges:
        return PushChanges(device_id=self.ground.device_id, action=PushAction.SAVE)

    def ask(self) -> ReadDeviceFacts:
        return ReadDeviceFacts(device_id=self.ground.device_id)

    def claims(self) -> list[tuple[str, str]]:
        """Operation and state of what this gate admitted."""
        found = self.rows("SELECT operation, state FROM claim WHERE incarnation = :i", i=self.house.gate.incarnation)
        return [(row["operation"], row["state"]) for row in found]

    def uncertain(self) -> bool:
        (row,) = self.rows("SELECT uncertain FROM device_lock WHERE device_id = :d", d=self.ground.device_id)
        return bool(row["uncertain"])

    def trail(self, caller: Caller) -> list[sqlite3.Row]:
        """The audit rows of one call."""
        return self.rows("SELECT * FROM audit_entry WHERE request_id = :request", request=caller.request_id)


def _use_sessions(file: Path) -> None:
    """As if each had just been used: else, minutes after they were opened, the first call notes that with a write."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE session SET last_used_us = ?", (time.time_ns() // 1000,))


async def walk(ground: Ground, directory: Path, **options: Any) -> Walk:
    """Open a gate on a fresh copy of the ground. `options` as of `open_house`."""
    for name in ("opensdm.db", "secret.key"):
        shutil.copy(ground.directory / name, directory / name)
    file = directory / "opensdm.db"
    _use_sessions(file)
    house = await open_house(f"sqlite:///{file}", directory / "secret.key", make_ledger=Meanwhile, **options)
    house.tokens = dict(ground.tokens)
    return Walk(ground, house, file)
