"""Those who wait for a device: for a lock behind foreign work, or for their turn to write.

Nobody holds anything of the database meanwhile. One look for all of them, whenever this node's ledger has committed
what may have freed a device, and a few times a second for what other nodes and the clock do, finds whose turn may
have come; only those ask the rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import structlog
from prometheus_client import Gauge

from opensdm.core.errors import SdmError
from opensdm.core.lock import Promote, Queued, StartClaim, Waiting
from opensdm.core.submission import LedgerPort

log = structlog.get_logger("opensdm.gate")

WAITING = Gauge("opensdm_waiting_requests", "Requests that wait on this node for a device")

LOOK_EVERY_S = 0.2
LOOK_PAUSE_S = 0.005
"""Between two looks at least, however much is committed."""


class Patience:
    """Of one client: whether it still waits for its answer."""

    __slots__ = ("called", "gone")

    def __init__(self) -> None:
        self.gone = False
        self.called = asyncio.Event()

    def hang_up(self) -> None:
        self.gone = True
        self.called.set()


class Waits:
    """Everybody who waits on this node."""

    def __init__(self, ledger: LedgerPort) -> None:
        self._ledger = ledger
        self._waiting: dict[Patience, Promote | StartClaim] = {}
        self._looking: asyncio.Task[None] | None = None
        self._stopped = False

    def __len__(self) -> int:
        return len(self._waiting)

    def stop(self) -> None:
        """Nobody waits any more, now or later: the node stops."""
        self._stopped = True
        for patience in self._waiting:
            patience.called.set()

    async def turn(self, request: Promote | StartClaim, until: float, patience: Patience) -> bool:
        """Wait until the request may have a new answer. False: time is up, the client is gone or the node stops."""
        if not self._open_to(patience):
            return False
        self._waiting[patience] = request
        WAITING.inc()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="waiting requests")
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await patience.called.wait()
        except TimeoutError:
            return False
        finally:
            del self._waiting[patience]
            WAITING.dec()
            if not self._waiting and self._looking is not None:
                self._looking.cancel()
                self._looking = None
        patience.called.clear()
        return self._open_to(patience)

    def _open_to(self, patience: Patience) -> bool:
        return not (self._stopped or patience.gone)

    async def _look(self) -> None:
        while True:
            freed = self._ledger.next_freed()
            try:
                await self._call_whose_turn_it_is()
            except SdmError as error:
                log.warning("waiting requests were not looked at", code=error.code, message=error.message)
            except Exception:
                log.exception("waiting requests were not looked at")
            await asyncio.sleep(LOOK_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S - LOOK_PAUSE_S):
                    await freed.wait()

    async def _call_whose_turn_it_is(self) -> None:
        waiting = list(self._waiting.items())
        answers = await self._ledger.peek_all([request for _, request in waiting])
        for (patience, _), answer in zip(waiting, answers, strict=True):
            if not isinstance(answer, Waiting | Queued):
                patience.called.set()
