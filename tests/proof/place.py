"""Where an invariant is tried: a database with users, one node on it or several, and work that begins and ends at will.

What is not as it must be is a `Broken`, with a sentence that holds no number: the page of planted faults shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from opensdm.core.errors import SdmError
from opensdm.core.lock import Actor, Admit, Admitted, BeginStep, ClaimRow, EndClaim, FinishStep, LockPolicy, LockRow
from opensdm.core.operations import (
    AddNetworkFunction,
    AssignDevice,
    DeviceEnrolment,
    GroupEnrolment,
    ListDevices,
    Operation,
    PushChanges,
    ShowLock,
)
from opensdm.core.submission import Receipt, Submission, Target
from opensdm.gate import Caller
from opensdm.handlers import HANDLERS
from opensdm.stores.database import Connection, look
from tests.gatehouse import House, open_house
from tests.simulation.workbench import Job, Workbench, begin

DOORS = ("rest", "soap", "web", "cli")
SUCCESS = "SUCCESS"
SOON_S = 30.0
"""Far more than anything here takes; only what never comes is caught by it."""
PATIENT = LockPolicy(wait_s=0, queue_s=0, max_wait_s=600)
_ports = itertools.count(444)


class Broken(AssertionError):
    """An invariant does not hold."""


def must(holds: object, otherwise: str) -> None:
    """Raise Broken with that sentence unless it holds."""
    if not holds:
        raise Broken(otherwise)


@dataclass
class Node(House):
    """A gate on the database, with a workbench for pushes."""

    bench: Workbench = field(default_factory=Workbench)

    async def say(self, user: str, operation: Operation, door: str = "rest") -> str:
        """SUCCESS, or the code of the refusal."""
        return await self.answer(await self.caller(user, door), operation)

    async def answer(self, caller: Caller, operation: Operation) -> str:
        try:
            await self.gate.execute(caller, operation)
        except SdmError as error:
            return error.code
        return SUCCESS

    async def row(self, device_id: int) -> LockRow:
        """The lock as this node shows it."""
        row: LockRow = (await self.gate.execute(self.local, ShowLock(device_id=device_id))).row
        return row

    async def holder(self, device_id: int) -> str | None:
        return (await self.row(device_id)).holder_name

    async def pair(self, name: str) -> tuple[int, list[int]]:
        """A network function whose group holds two devices: its id and theirs."""
        members = tuple(
            DeviceEnrolment(f"{name}-{i}", {"primary.ip": f"198.51.100.{i}:{next(_ports)}"}) for i in (1, 2)
        )
        reply = await self.gate.execute(
            self.local,
            AddNetworkFunction(
                nf_name=name, parent_full_name="Home", category_name="SP Edge & Core", type_name="Device Cluster",
                groups=(GroupEnrolment({}, members),),
            ),
        )  # fmt: skip
        listing = await self.gate.execute(self.local, ListDevices(filters={"nfName": name}))
        ids = sorted(shown.device.device_id for shown in listing.items)
        for device_id in ids:
            await self.gate.execute(self.local, AssignDevice(device_id=device_id))
        return reply.function.nf_id, ids

    # ------------------------------------------------------------------------------ work

    async def push(self, user: str, device_id: int) -> tuple[str, Job | None]:
        """Begin a push through the gate: its job once it runs, or the code of the refusal."""
        caller = await self.caller(user)
        async with asyncio.timeout(SOON_S):
            return await begin(self.gate, caller, device_id)

    async def working(self, user: str, device_id: int) -> Job:
        """As `push`, where it has to begin."""
        code, job = await self.push(user, device_id)
        must(job is not None, f"work of {user} on a device that is free for it was refused: {code}")
        assert job is not None
        return job

    async def write(self, job: Job) -> str:
        """One write to the device; SUCCESS or the code of what it met."""
        job.orders.put_nowait("write")
        async with asyncio.timeout(SOON_S):
            error = await job.replies.get()
        return error.code if error is not None else SUCCESS

    async def finish(self, job: Job) -> str:
        job.orders.put_nowait("end")
        return await self.outcome(job)

    async def outcome(self, job: Job) -> str:
        assert job.task is not None
        try:
            async with asyncio.timeout(SOON_S):
                await job.task
        except SdmError as error:
            return error.code
        return SUCCESS

    # ------------------------------------------------------------------------------ claims without a handler

    async def submit(self, devices: frozenset[int], request: Any) -> Receipt:
        return await self.ledger.submit(Submission(Target(devices=devices), request))

    async def admitted(self, user: str, device_id: int) -> ClaimRow:
        """A write of that user that has begun, and that nothing here carries on."""
        ids = {u.user_name: u.user_id for u in await self.ledger.read(lambda tx: tx.identity.users())}
        actor = Actor(ids[user], user, None, "rest")
        request = Admit(actor, frozenset(), 0, "PushChanges", self.ledger.incarnation, exclusive=True)
        receipt = await self.submit(frozenset((device_id,)), request)
        assert isinstance(receipt.answer, Admitted) and receipt.answer.claim is not None, receipt.answer
        return receipt.answer.claim

    async def step(self, claim: ClaimRow, limit_s: float) -> Any:
        """Begin a step on the device; the ledger's answer."""
        request = BeginStep(claim.claim_id, self.ledger.incarnation, round(limit_s * 1e6))
        return (await self.submit(frozenset(claim.tickets), request)).answer

    async def step_done(self, claim: ClaimRow) -> None:
        await self.submit(frozenset(claim.tickets), FinishStep(claim.claim_id))

    async def end(self, claim: ClaimRow) -> None:
        await self.submit(frozenset(claim.tickets), EndClaim(claim.claim_id))

    # ------------------------------------------------------------------------------ waiting

    def asks(self, user: str, operation: Operation) -> asyncio.Task[str]:
        """A request that may have to wait; its task ends with its code."""
        return asyncio.ensure_future(self.say(user, operation))

    async def until_waiting(self, device_id: int, number: int = 1) -> None:
        await soon(lambda: self._waits(device_id, number), "a request that waits is shown as waiting")

    async def _waits(self, device_id: int, number: int) -> bool:
        return len((await self.gate.execute(self.local, ShowLock(device_id=device_id))).waiting) >= number

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        return list(await look(self.database, sql, **values))

    async def write_row(self, sql: str, **values: Any) -> None:
        """Change the database behind everybody's back, as time or a crash would."""

        async def work(connection: Connection) -> None:
            await connection.execute(text(sql), values)

        await self.database.transact(work)

    def jump(self, seconds: float) -> None:
        """From now on the database's clock is so far ahead, or behind."""
        real, ahead = self.database.clock, round(seconds * 1e6)

        async def later(connection: Connection) -> int:
            return await real(connection) + ahead

        setattr(self.database, "clock", later)  # noqa: B010 (a method of this one object)


@dataclass
class Place:
    """One database. `open` a node on it, several where it is PostgreSQL."""

    url: str
    directory: Path
    policy: LockPolicy = PATIENT
    nodes: list[Node] = field(default_factory=list)

    @property
    def shared(self) -> bool:
        """Whether several nodes can be on it."""
        return self.url.startswith("postgresql")

    async def open(self, name: str = "one") -> Node:
        bench = Workbench()
        house = await open_house(
            self.url, self.directory / "secret.key", handlers={**HANDLERS, PushChanges: bench.push},
            lock_policy=self.policy, node_name=name,
        )  # fmt: skip
        bench.verifier = house.gate.seal
        node = Node(house.url, house.key_file, house.database, house.ledger, house.gate, bench=bench)
        self.nodes.append(node)
        return node

    async def first(self) -> Node:
        """The first node, with the users."""
        node = await self.open()
        await node.add_users()
        return node

    async def two(self) -> tuple[Node, Node]:
        """Two nodes with the same users, or twice the same one where there can be only one."""
        one = await self.first()
        return one, (await self.open("two") if self.shared else one)

    async def crash(self, node: Node) -> None:
        """This node is gone where it stands."""
        await node.crash()
        self.nodes.remove(node)

    async def again(self, node: Node, name: str = "one") -> Node:
        """A crash, and the next start."""
        await self.crash(node)
        return await self.open(name)

    async def close(self) -> None:
        for node in reversed(self.nodes):
            with contextlib.suppress(Exception):
                await node.crash()


async def soon(holds: Callable[[], Awaitable[object]], otherwise: str) -> None:
    """Wait until it holds; Broken after a time in which it must have come."""
    try:
        async with asyncio.timeout(SOON_S):
            while not await holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise Broken(f"never seen: {otherwise}") from None


async def answered(task: asyncio.Task[str], otherwise: str) -> str:
    """The code a request ends with; Broken if it does not end in time."""
    try:
        async with asyncio.timeout(SOON_S):
            return await task
    except TimeoutError:
        raise Broken(otherwise) from None


@asynccontextmanager
async def place(url: str, directory: Path) -> AsyncIterator[Place]:
    made = Place(url, directory)
    try:
        yield made
    finally:
        await made.close()
