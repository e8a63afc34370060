"""A state machine over the real gate and the real store, beside a model small enough to be right by eye.

Every rule does one thing at the gate and says what the model expects; after each, every lock as the gate
shows it must be the model's. A crash drops the server where it stands and starts it again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Coroutine
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from opensdm.core.errors import SdmError
from opensdm.core.lock import LockRow, OverrideMode
from opensdm.core.lock_replay import Replay
from opensdm.core.operations import (
    AddNetworkFunction,
    AssignDevice,
    DeviceEnrolment,
    DiscardChanges,
    ExpireLeases,
    GroupEnrolment,
    ListDevices,
    ListLockEvents,
    ListLocks,
    LockDevice,
    LockGroup,
    Operation,
    OverrideLock,
    ShowLock,
    UnlockDevice,
    UnlockGroup,
)
from tests.simulation.machine_waits import WaitingRules
from tests.simulation.model import ModelLock, ModelWait, ModelWork, Stage, step, watched
from tests.simulation.workbench import Job, Workbench, begin

T = TypeVar("T")
WORKERS = st.sampled_from(["alice", "bob", "carol"])
ANYONE = st.sampled_from(["alice", "bob", "carol", "admin"])
MEMBER = st.integers(0, 1)
PICK = st.integers(0, 5)
DOORS = st.sampled_from(["rest", "soap", "web", "cli"])
_names = itertools.count(1)


class LockMachine(WaitingRules, RuleBasedStateMachine):
    """Subclassed with a `stage` for each database and each planted fault."""

    stage: ClassVar[Stage]
    failed = False

    @initialize()
    def enrol(self) -> None:
        self.model: list[ModelLock] = [ModelLock(), ModelLock()]
        self.waits: list[ModelWait] = []
        self.run(self._enrol())

    async def _enrol(self) -> None:
        name, house = f"fn-{next(_names)}", self.stage.house
        members = tuple(
            DeviceEnrolment(f"{name}-{i}", {"primary.ip": f"198.51.100.{i}:{next(_names) % 60000 + 1}"}) for i in (1, 2)
        )
        self.nf = await house.gate.execute(
            house.local,
            AddNetworkFunction(
                nf_name=name, parent_full_name="Home", category_name="SP Edge & Core", type_name="Device Cluster",
                groups=(GroupEnrolment({}, members),),
            ),
        )  # fmt: skip
        self.nf_id: int = self.nf.function.nf_id
        listing = await house.gate.execute(house.local, ListDevices(filters={"nfName": name}))
        self.ids: list[int] = sorted(shown.device.device_id for shown in listing.items)
        assert len(self.ids) == 2
        for device_id in self.ids:
            await house.gate.execute(house.local, AssignDevice(device_id=device_id))

    # ------------------------------------------------------------------------------ plumbing

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.stage.run(work)

    def do(self, user: str, operation: Operation, door: str = "rest") -> str:
        """SUCCESS or the code of the refusal."""

        async def attempt() -> str:
            try:
                self.reply = await self.stage.house.gate.execute(await self.stage.house.caller(user, door), operation)
            except SdmError as error:
                self.error = error
                return error.code
            return "SUCCESS"

        return self.run(attempt())

    def expect(self, got: str, wanted: str) -> None:
        assert got == wanted, f"the gate said {got}, the rules say {wanted}"

    # ------------------------------------------------------------------------------ locks

    @step(user=ANYONE, member=MEMBER, door=DOORS)
    def lock(self, user: str, member: int, door: str) -> None:
        self.expect(self.do(user, LockDevice(device_id=self.ids[member]), door), self._lock(user, [member]))

    @step(user=ANYONE)
    def lock_group(self, user: str) -> None:
        got = self.do(user, LockGroup(nf_id=self.nf_id, group_id=self.nf_id))
        self.expect(got, self._lock(user, [0, 1]))
        if got == "DEVICE_LOCKED":
            foreign = {self.ids[i] for i in (0, 1) if self.model[i].holder not in (None, user)}
            assert foreign == {b.device_id for b in self.error.blockers if b.kind == "lock"}

    def _lock(self, user: str, members: list[int]) -> str:
        rows = [self.model[m] for m in members]
        if any(row.holder not in (None, user) for row in rows) or self._barred(user, members):
            return "DEVICE_LOCKED"
        if any(row.foreign_work(user) for row in rows) and any(row.holder is None for row in rows):
            return "DEVICE_BUSY"
        for row in rows:
            row.granted(user)
            row.untold.discard(user)
        return "SUCCESS"

    @step(user=ANYONE, member=MEMBER, door=DOORS)
    def unlock(self, user: str, member: int, door: str) -> None:
        self.expect(self.do(user, UnlockDevice(device_id=self.ids[member]), door), self._unlock(user, [member]))

    @step(user=ANYONE)
    def unlock_group(self, user: str) -> None:
        self.expect(self.do(user, UnlockGroup(nf_id=self.nf_id, group_id=self.nf_id)), self._unlock(user, [0, 1]))

    def _unlock(self, user: str, members: list[int]) -> str:
        rows = [self.model[m] for m in members]
        mine = [row for row in rows if row.holder == user]
        if not mine and any(row.holder for row in rows):
            return "NOT_LOCK_OWNER"
        for row in mine:
            row.freed()
        for row in rows:
            row.untold.discard(user)
        self._cancelled(user, [m for m in members if self.model[m] in mine])
        return "SUCCESS"

    @step(member=MEMBER, mode=st.sampled_from(OverrideMode), transfer=st.booleans())
    def override(self, member: int, mode: OverrideMode, transfer: bool) -> None:
        row = self.model[member]
        operation = OverrideLock(device_id=self.ids[member], reason="outage", mode=mode, transfer=transfer)
        got = self.do("admin", operation)
        if row.holder is None:
            self.expect(got, "LOCK_CHANGED")
            return
        self.expect(got, "SUCCESS")
        self._taken_away(member, untold=row.holder != "admin")
        for work in row.work:
            work.fenced = work.fenced or mode is OverrideMode.NOW
        self._forget_fenced(row)
        if transfer and not row.foreign_work("admin") and not self._barred("admin", [member]):
            row.granted("admin")
        self._promoted()

    @step(user=WORKERS, member=MEMBER)
    def override_without_privilege(self, user: str, member: int) -> None:
        self.expect(self.do(user, OverrideLock(device_id=self.ids[member], reason="mine!")), "FORBIDDEN")

    @step(user=WORKERS, member=MEMBER, operation=st.sampled_from([LockDevice, UnlockDevice, DiscardChanges]))
    def carry_a_stale_epoch(self, user: str, member: int, operation: type[Any]) -> None:
        stale = self.model[member].epoch + 1
        self.expect(self.do(user, operation(device_id=self.ids[member], epoch=stale)), "LOCK_LOST")
        self.model[member].untold.discard(user)

    # ------------------------------------------------------------------------------ work

    @step(user=ANYONE, member=MEMBER, door=DOORS)
    def change(self, user: str, member: int, door: str) -> None:
        """A guarded change without a claim."""
        got = self.do(user, DiscardChanges(device_id=self.ids[member]), door)
        self.expect(got, self._admission(user, self.model[member]))

    def _admission(self, user: str, row: ModelLock, *, exclusive: bool = False) -> str:
        if user in row.untold:
            row.untold.discard(user)
            return "LOCK_LOST"
        if row.holder not in (None, user) or self._barred(user, [self.model.index(row)]):
            return "DEVICE_LOCKED"
        return "DEVICE_BUSY" if exclusive and row.work else "SUCCESS"

    @step(user=ANYONE, member=MEMBER)
    def begin_work(self, user: str, member: int) -> None:
        row = self.model[member]
        wanted = self._admission(user, row, exclusive=True)
        got, job = self.run(self._begin(user, self.ids[member]))
        self.expect(got, wanted)
        if job is not None:
            row.work.append(ModelWork(user, job))

    async def _begin(self, user: str, device_id: int) -> tuple[str, Job | None]:
        caller = await self.stage.house.caller(user)
        return await begin(self.stage.house.gate, caller, device_id)

    # What is drawn never depends on what happened: a race may end either way, and Hypothesis must not care.

    @step(pick=PICK)
    def step_work(self, pick: int) -> None:
        """A write to the device: allowed unless fenced, and never while another user holds the device."""
        if (some := self._some_work(pick)) is None:
            return
        row, work = some
        before = len(self.stage.bench.writes)
        error = self.run(self._order(work.job, "write"))
        if work.fenced:
            assert error is not None and error.code == "LOCK_LOST"
            assert len(self.stage.bench.writes) == before, "I11: a write after the fence"
            self.run(self._finish(work.job))
            self._drop(row, work)
        else:
            assert error is None, error
            assert len(self.stage.bench.writes) == before + 1

    @step(pick=PICK)
    def end_work(self, pick: int) -> None:
        if (some := self._some_work(pick)) is None:
            return
        row, work = some
        work.job.orders.put_nowait("end")
        code = self.run(self._finish(work.job))
        self.expect(code, "LOCK_LOST" if work.fenced else "SUCCESS")
        self._drop(row, work)

    def _some_work(self, pick: int) -> tuple[ModelLock, ModelWork] | None:
        running = [(row, work) for row in self.model for work in (*row.work, *self._fenced(row))]
        return running[pick % len(running)] if running else None

    @staticmethod
    async def _order(job: Job, order: str) -> SdmError | None:
        job.orders.put_nowait(order)
        return await job.replies.get()

    @staticmethod
    async def _finish(job: Job) -> str:
        assert job.task is not None
        try:
            await job.task
        except SdmError as error:
            return error.code
        return "SUCCESS"

    # Fenced work is over for the rules, but still runs here: its next step must be refused.

    def _fenced(self, row: ModelLock) -> list[ModelWork]:
        return self.__dict__.setdefault("fenced_work", {}).setdefault(id(row), [])  # type: ignore[no-any-return]

    def _forget_fenced(self, row: ModelLock) -> None:
        self._fenced(row).extend(w for w in row.work if w.fenced)
        row.work = [w for w in row.work if not w.fenced]

    def _drop(self, row: ModelLock, work: ModelWork) -> None:
        for works in (row.work, self._fenced(row)):
            if work in works:
                works.remove(work)
        if row.leased and work.user == row.holder and not work.fenced:
            row.due = False
        self._lapse()
        self._promoted()

    @step(user=WORKERS, member=MEMBER, mode=st.sampled_from(OverrideMode))
    def override_mid_work(self, user: str, member: int, mode: OverrideMode) -> None:
        """The story of an outage in one go: she locks, works, is overridden, and goes on writing."""
        row = self.model[member]
        if row.holder or row.work or self._fenced(row) or row.untold or self._awaited(member):
            return
        self.lock(user=user, member=member, door="rest")
        self.begin_work(user=user, member=member)
        self.override(member=member, mode=mode, transfer=False)
        self.step_work(pick=0)

    # ------------------------------------------------------------------------------ races

    @step(first=WORKERS, second=WORKERS, member=MEMBER)
    def race(self, first: str, second: str, member: int) -> None:
        """A lock and foreign work asked for at the same instant: never both."""
        row = self.model[member]
        if first == second or row.holder or row.work or self._fenced(row) or row.untold or self._awaited(member):
            return
        codes, job = self.run(self._race(first, second, self.ids[member]))
        assert codes in (("SUCCESS", "DEVICE_LOCKED"), ("DEVICE_BUSY", "SUCCESS")), f"I2: {codes}"
        if codes[0] == "SUCCESS":
            row.granted(first)
        else:
            assert job is not None
            row.work.append(ModelWork(second, job))

    async def _race(self, first: str, second: str, device_id: int) -> tuple[tuple[str, str], Job | None]:
        async def take() -> str:
            try:
                await self.stage.house.gate.execute(caller, LockDevice(device_id=device_id))
            except SdmError as error:
                return error.code
            return "SUCCESS"

        caller = await self.stage.house.caller(first)
        await self.stage.house.caller(second)
        locked, (begun, job) = await asyncio.gather(take(), self._begin(second, device_id))
        return (locked, begun), job

    # ------------------------------------------------------------------------------ crash

    @step()
    def crash(self) -> None:
        """The server dies where it stands; locks survive, running work is interrupted."""
        self.run(self.stage.house.crash())
        tokens = self.stage.house.tokens
        self.stage.bench = Workbench()
        self.stage.house = self.run(_await(self.stage.open(self.stage.bench)))
        self.stage.house.tokens = tokens
        for wait in self.waits:
            wait.task.cancel()
        self.waits.clear()
        for row in self.model:
            row.work = []
            self._fenced(row).clear()
        self.run(self.stage.house.gate.execute(self.stage.house.system, ExpireLeases()))
        self._lapse()

    # ------------------------------------------------------------------------------ what must hold

    @invariant()
    @watched
    def locks_are_the_models(self) -> None:
        if not hasattr(self, "ids"):
            return
        shown = self.run(self._shown())
        for device_id, row in zip(self.ids, self.model, strict=True):
            view = shown[device_id]
            assert (view.row.holder_name, view.row.epoch) == (row.holder, row.epoch), f"I1/I4/I5 on {device_id}"

    async def _shown(self) -> dict[int, Any]:
        house = self.stage.house
        views = [await house.gate.execute(house.local, ShowLock(device_id=d)) for d in self.ids]
        return {view.row.device_id: view for view in views}

    @watched
    def teardown(self) -> None:
        if not hasattr(self, "ids") or self.failed:
            return
        self.run(self._end_everything())
        self.run(self._replay())

    async def _end_everything(self) -> None:
        for wait in self.waits:
            wait.task.cancel()
        await self._until_waiting(0)
        for row in self.model:
            for work in (*row.work, *self._fenced(row)):
                work.job.orders.put_nowait("end")
                await self._finish(work.job)

    async def _replay(self) -> None:
        """I9: the events of each device, replayed, give its state."""
        house = self.stage.house
        for device_id, row in zip(self.ids, self.model, strict=True):
            listing = await house.gate.execute(house.local, ListLockEvents(device_id=device_id))
            replay = Replay()
            for event in listing.items:
                replay.add(event)
            told = replay.locks.get(device_id, LockRow(device_id, ""))
            assert (told.holder_name, told.epoch) == (row.holder, row.epoch)
            view = await house.gate.execute(house.local, ShowLock(device_id=device_id))
            replay.compare([view.row])
            assert replay.finish() == ()
        locks = await house.gate.execute(house.local, ListLocks())
        assert {v.row.device_id for v in locks.items} >= {
            d for d, row in zip(self.ids, self.model, strict=True) if row.holder
        }


async def _await(value: Awaitable[T]) -> T:
    return await value
