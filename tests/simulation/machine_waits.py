"""The rules of the state machine for requests that wait, and for leases; `machine` has the others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from sqlalchemy import text

from opensdm.core.errors import SdmError
from opensdm.core.operations import ExpireLeases, LockDevice, LockDevices, Operation
from opensdm.stores.database import Connection, look
from tests.simulation.model import ModelLock, ModelWait, Stage, step

T = TypeVar("T")
WORKERS = st.sampled_from(["alice", "bob", "carol"])
MEMBER = st.integers(0, 1)
PICK = st.integers(0, 5)
SOON_S = 20
MOST_WAITS = 3


class WaitingRules:
    """What `LockMachine` does about waits; the model's side of promotion, cancellation and the end of leases."""

    stage: ClassVar[Stage]
    model: list[ModelLock]
    waits: list[ModelWait]
    ids: list[int]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        raise NotImplementedError

    def do(self, user: str, operation: Operation, door: str = "rest") -> str:
        raise NotImplementedError

    def expect(self, got: str, wanted: str) -> None:
        raise NotImplementedError

    def _lock(self, user: str, members: list[int]) -> str:
        raise NotImplementedError

    # ------------------------------------------------------------------------------ waiting

    @step(user=WORKERS, members=st.sampled_from([[0], [1], [0, 1]]))
    def wait(self, user: str, members: list[int]) -> None:
        """A lock request that waits where there is something to wait for, and is answered at once where not."""
        rows = [self.model[m] for m in members]
        free_of_locks = all(row.holder in (None, user) for row in rows) and not self._barred(user, members)
        busy = any(row.foreign_work(user) for row in rows) and any(row.holder is None for row in rows)
        if not (free_of_locks and busy) or len(self.waits) >= MOST_WAITS:
            wanted = self._lock(user, members)
            if wanted != "DEVICE_BUSY":
                self.expect(self.do(user, self._request(members, 600)), wanted)
                self._promoted()
            return
        self.waits.append(self.run(self._begin_waiting(user, members)))

    def _request(self, members: list[int], wait_s: float) -> LockDevices:
        return LockDevices(device_ids=tuple(self.ids[m] for m in members), wait_s=wait_s)

    async def _begin_waiting(self, user: str, members: list[int]) -> ModelWait:
        house = self.stage.house
        caller, operation = await house.caller(user), self._request(members, 600)

        async def ask() -> str:
            try:
                await house.gate.execute(caller, operation)
            except SdmError as error:
                return error.code
            return "SUCCESS"

        task = asyncio.ensure_future(ask())
        async with asyncio.timeout(SOON_S):
            while not task.done() and await self._rows_of_waits() == len(self.waits):  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert not task.done(), f"a request that has to wait was answered {task.result()}"
        return ModelWait(user, members, task)

    @step(pick=PICK)
    def hang_up(self, pick: int) -> None:
        """A client that waits goes away: it bars nobody any more."""
        if not self.waits:
            return
        wait = self.waits.pop(pick % len(self.waits))
        wait.task.cancel()
        self.run(self._until_waiting(len(self.waits)))

    async def _until_waiting(self, number: int) -> None:
        """Until so many requests wait for these devices."""
        async with asyncio.timeout(SOON_S):
            while await self._rows_of_waits() != number:  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def _rows_of_waits(self) -> int:
        found = "SELECT DISTINCT pending_id FROM lock_pending_device WHERE device_id IN (:one, :two)"
        return len(await look(self.stage.house.database, found, one=self.ids[0], two=self.ids[1]))

    def _cancelled(self, user: str, members: list[int]) -> None:
        """R7: what the owner waits for on these devices is over, and answered so."""
        gone = [w for w in self.waits if w.user == user and set(w.members) & set(members)]
        for wait in gone:
            self.waits.remove(wait)
            code = self.run(_answer(wait))
            assert code in ("DEVICE_BUSY", "DEVICE_LOCKED", "LOCK_LOST"), f"R7: {code}"
            for m in wait.members:
                if code == "LOCK_LOST" and wait.user in self.model[m].untold:
                    self.model[m].untold.discard(wait.user)
                    break

    def _promoted(self) -> None:
        """Whoever waits for nothing any more has the lock, within a moment."""
        for wait in list(self.waits):
            if not any(self.model[m].foreign_work(wait.user) for m in wait.members):
                self.waits.remove(wait)
                self.expect(self.run(_answer(wait)), "SUCCESS")
                for m in wait.members:
                    self.model[m].granted(wait.user)
                    self.model[m].untold.discard(wait.user)

    # ------------------------------------------------------------------------------ leases

    @step(user=WORKERS, member=MEMBER)
    def lease(self, user: str, member: int) -> None:
        wanted = self._lock(user, [member])
        self.expect(self.do(user, LockDevice(device_id=self.ids[member], lease_s=3600)), wanted)
        if wanted == "SUCCESS":
            self.model[member].leased, self.model[member].due = True, False

    @step(member=MEMBER)
    def time_passes(self, member: int) -> None:
        """The lease of a device is over. Its lock ends, unless its holder has work there."""
        row = self.model[member]
        row.due = row.leased and row.holder is not None
        self.run(self._end_the_lease(self.ids[member]))
        self._lapse()
        self._promoted()

    async def _end_the_lease(self, device_id: int) -> None:
        async def work(connection: Connection) -> None:
            due = "UPDATE device_lock SET lease_until_us = 1 WHERE device_id = :id AND lease_until_us IS NOT NULL"
            await connection.execute(text(due), {"id": device_id})

        await self.stage.house.database.transact(work)
        await self.stage.house.gate.execute(self.stage.house.system, ExpireLeases())

    def _lapse(self) -> None:
        for member, row in enumerate(self.model):
            if row.due and row.holder is not None and not row.own_work():
                self._taken_away(member)

    def _awaited(self, member: int) -> bool:
        return any(member in w.members for w in self.waits)

    def _barred(self, user: str, members: list[int]) -> bool:
        return any(w.user != user and set(w.members) & set(members) for w in self.waits)

    def _taken_away(self, member: int, *, untold: bool = True) -> None:
        """A lock ended against its owner's will: the owner is to be told, and what they wait for there is over."""
        row = self.model[member]
        assert row.holder is not None
        owner = row.holder
        if untold:
            row.untold.add(owner)
        row.freed()
        row.epoch += 1
        self._cancelled(owner, [member])


async def _answer(wait: ModelWait) -> str:
    async with asyncio.timeout(SOON_S):
        return await wait.task
