"""Whoever follows lock events is woken when there are new ones, of this node or another: one look for all."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from opensdm.core.errors import SdmError
from opensdm.core.submission import LedgerPort, ReaderPort

log = structlog.get_logger("opensdm.gate")

LOOK_EVERY_S = 0.25


class EventWatch:
    """Looks only while somebody waits."""

    def __init__(self, ledger: LedgerPort, reader: ReaderPort) -> None:
        self._ledger = ledger
        self._reader = reader
        self._waiting: dict[asyncio.Event, int] = {}
        self._looking: asyncio.Task[None] | None = None

    async def since(self, after: int) -> None:
        """Return once there is an event with a greater id. Waits for ever: bound it."""
        came = asyncio.Event()
        self._waiting[came] = after
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="lock events")
        try:
            await came.wait()
        finally:
            del self._waiting[came]
            if not self._waiting and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            told = self._ledger.next_told()
            try:
                last = await self._reader.read(lambda transaction: transaction.locks.last_event())
                for came, after in self._waiting.items():
                    if last > after:
                        came.set()
            except SdmError as error:
                log.warning("lock events were not looked at", code=error.code, message=error.message)
            except Exception:
                log.exception("lock events were not looked at")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await told.wait()
