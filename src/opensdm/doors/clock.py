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
from opensdm.core.operations import KeepHouse, ListDevices, Operation, PollDevice
from opensdm.core.results import DeviceShown, Listing
from opensdm.gate import Caller, Gate
from opensdm.gate.run import Principal

log = structlog.get_logger("opensdm.clock")

DOOR = "clock"
HOUSEKEEPING_S = 3600.0
LOOK_EVERY_S = 1.0
"""How often devices are looked up that are due, and how soon a new one is polled."""
AFTER_FAILURE_S = 5.0
LOOK_SHARE = 20
"""Looking takes at most one part in so many of the time, however many devices there are."""
JITTER = 0.1
"""A poll comes up to this share of the interval earlier or later, so that devices do not stay in step."""


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """`interval_s`: between two polls of one device. `concurrency`: devices polled at the same time."""

    interval_s: float = 60.0
    concurrency: int = 8
    look_every_s: float = LOOK_EVERY_S
    housekeeping_s: float = HOUSEKEEPING_S


class Clock:
    """Polls devices and keeps house until it is stopped; no failure of one of them ends it."""

    def __init__(self, gate: Gate, settings: ClockSettings) -> None:
        self._gate = gate
        self._settings = settings
        self._due: dict[int, float] = {}
        self._under_way: set[int] = set()
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._begin(self._again("polls", self._look))
        self._begin(self._again("housekeeping", self._keep_house))

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

    # ------------------------------------------------------------------------------------ polls

    async def _look(self) -> float:
        """Begin the polls that are due. A device seen for the first time since the start is due at once."""
        began = time.monotonic()
        listing: Listing[DeviceShown] = await self._send(ListDevices())
        known = {shown.device.device_id for shown in listing.items}
        for gone in self._due.keys() - known:
            del self._due[gone]
        now = time.monotonic()
        waiting = sorted((self._due.get(device_id, 0.0), device_id) for device_id in known - self._under_way)
        for due, device_id in waiting:
            if due > now:
                break
            self._under_way.add(device_id)
            self._begin(self._poll(device_id))
        return max(self._settings.look_every_s, (now - began) * LOOK_SHARE)

    async def _poll(self, device_id: int) -> None:
        try:
            async with self._slots:
                await self._send(PollDevice(device_id=device_id))
        except SdmError as error:
            log.info("poll failed", device_id=device_id, code=error.code, message=error.message)
        except Exception:
            log.exception("poll failed", device_id=device_id)
        finally:
            self._under_way.discard(device_id)
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (no secret)
            self._due[device_id] = time.monotonic() + self._settings.interval_s * spread

    # ------------------------------------------------------------------------------------ the house

    async def _keep_house(self) -> float:
        removed: int = await self._send(KeepHouse())
        log.info("house kept", removed_rows=removed)
        return self._settings.housekeeping_s

    async def _send(self, operation: Operation) -> Any:
        caller = Caller(DOOR, "server", uuid4().hex, principal=Principal.SYSTEM)
        return await self._gate.execute(caller, operation)
