"""The clock is a door: what is due is sent through the gate as the server's own operations."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog

from opensdm.core.errors import SdmError
from opensdm.core.operations import BackUpOnSchedule, ExpireLeases, KeepHouse, ListDevices, Operation, PollDevice
from opensdm.core.results import DeviceShown, Listing
from opensdm.gate import Caller, Gate
from opensdm.gate.run import Principal

log = structlog.get_logger("opensdm.clock")

DOOR = "clock"
HOUSEKEEPING_S = 3600.0
LOOK_EVERY_S = 1.0
"""How often devices are looked up that are due, and how soon a new one is polled."""
LEASES_EVERY_S = 1.0
"""How late the end of a lease is told of at most, where nobody's request comes first."""
AFTER_FAILURE_S = 5.0
LOOK_SHARE = 20
"""Looking takes at most one part in so many of the time, however many devices there are."""
FIRST_WITHIN_S = 3600.0
JITTER = 0.1
"""A poll comes up to this share of the interval earlier or later, so that devices do not stay in step."""


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """`interval_s`: between two polls of one device. `concurrency`: devices polled at the same time.

    `compare_s`: between two polls of a device that also compare its configuration. `backup_s`: between two backups
    of it. 0 means never for both.
    """

    interval_s: float = 60.0
    concurrency: int = 8
    compare_s: float = 900.0
    backup_s: float = 86_400.0
    backup_concurrency: int = 4
    keep_versions: int = 500
    look_every_s: float = LOOK_EVERY_S
    housekeeping_s: float = HOUSEKEEPING_S


class Rounds:
    """One kind of work that comes round for each device: what is due, what is under way, how many at once."""

    def __init__(self, what: str, interval_s: float, concurrency: int, *, at_once: bool) -> None:
        self.what = what
        self.interval_s = interval_s
        self._at_once = at_once
        self._due: dict[int, float] = {}
        self._under_way: set[int] = set()
        self.slots = asyncio.Semaphore(concurrency)

    def due(self, known: set[int], now: float) -> list[int]:
        """Devices whose turn it is, longest due first; they count as under way until `done`.

        A device seen for the first time is due at once, or at some moment within the first hour, so that a start
        does not ask everything of all devices and a server that often starts still gets to each.
        """
        if not self.interval_s:
            return []
        for gone in self._due.keys() - known:
            del self._due[gone]
        for new in known - self._due.keys():
            self._due[new] = 0.0 if self._at_once else now + min(self.interval_s, FIRST_WITHIN_S) * random.random()  # noqa: S311 (no secret)
        waiting = sorted((self._due[device_id], device_id) for device_id in known - self._under_way)
        found = [device_id for due, device_id in waiting if due <= now]
        self._under_way.update(found)
        return found

    def done(self, device_id: int) -> None:
        self._under_way.discard(device_id)
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (no secret)
        self._due[device_id] = time.monotonic() + self.interval_s * spread


class Clock:
    """Polls devices, backs them up and keeps house until it is stopped; no failure of one of them ends it."""

    def __init__(self, gate: Gate, settings: ClockSettings) -> None:
        self._gate = gate
        self._settings = settings
        self._polls = Rounds("poll", settings.interval_s, settings.concurrency, at_once=True)
        self._backups = Rounds("backup", settings.backup_s, settings.backup_concurrency, at_once=False)
        self._compared: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._begin(self._again("polls", self._look))
        self._begin(self._again("housekeeping", self._keep_house))
        self._begin(self._again("leases", self._expire_leases))

    async def stop(self) -> None:
        """Send nothing more; what the gate has admitted ends by itself."""
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self, what: str, work: Callable[[], Awaitable[float]]) -> None:
        """Do the work for ever, each time after the pause it asked for, whatever comes of it."""
        while True:
            pause_s = AFTER_FAILURE_S
            try:
                pause_s = await work()
            except SdmError as error:
                log.warning("due work waits", what=what, code=error.code, message=error.message)
            except Exception:
                log.exception("due work failed", what=what)
            await asyncio.sleep(pause_s)

    # ------------------------------------------------------------------------------------ devices

    async def _look(self) -> float:
        """Begin what is due."""
        began = time.monotonic()
        listing: Listing[DeviceShown] = await self._send(ListDevices())
        known = {shown.device.device_id for shown in listing.items}
        managed = {shown.device.device_id for shown in listing.items if shown.device.assigned}
        now = time.monotonic()
        for device_id in self._polls.due(known, now):
            self._begin(self._turn(self._polls, self._poll(device_id, managed=device_id in managed)))
        for device_id in self._backups.due(managed, now):
            self._begin(self._turn(self._backups, BackUpOnSchedule(device_id=device_id)))
        return max(self._settings.look_every_s, (now - began) * LOOK_SHARE)

    def _poll(self, device_id: int, *, managed: bool) -> PollDevice:
        """A poll; of a managed device now and then one that compares, the first time soon after a start."""
        now = time.monotonic()
        compare = bool(self._settings.compare_s) and managed and now >= self._compared.get(device_id, 0.0)
        if compare:
            self._compared[device_id] = now + self._settings.compare_s
        return PollDevice(device_id=device_id, compare=compare)

    async def _turn(self, rounds: Rounds, operation: PollDevice | BackUpOnSchedule) -> None:
        device_id = operation.device_id
        try:
            async with rounds.slots:
                await self._send(operation)
        except SdmError as error:
            log.info(f"{rounds.what} failed", device_id=device_id, code=error.code, message=error.message)
        except Exception:
            log.exception(f"{rounds.what} failed", device_id=device_id)
        finally:
            rounds.done(device_id)

    # ------------------------------------------------------------------------------------ the house

    async def _keep_house(self) -> float:
        removed: int = await self._send(KeepHouse(keep_versions=self._settings.keep_versions))
        log.info("house kept", removed_rows=removed)
        return self._settings.housekeeping_s

    async def _expire_leases(self) -> float:
        await self._send(ExpireLeases())
        return LEASES_EVERY_S

    async def _send(self, operation: Operation) -> Any:
        caller = Caller(DOOR, "server", uuid4().hex, principal=Principal.SYSTEM)
        return await self._gate.execute(caller, operation)
