"""How a node stays alive among others: it beats, ends peers that died, and begins anew when it was taken for dead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from opensdm.core.errors import StoreUnavailable
from opensdm.core.node import RHYTHM, NodeRhythm
from opensdm.stores.database import Database
from opensdm.stores.history import Memory, settle_history
from opensdm.stores.ledger import Ledger
from opensdm.stores.recovery import beat, recover, recover_peers

log = structlog.get_logger("opensdm.node")

RETRY_S = 1.0
"""While the database is away it is asked more often than a heartbeat is due."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who a node is, and the rhythm it keeps."""

    node_name: str
    address: str
    home: str = ""
    rhythm: NodeRhythm = RHYTHM


class Liveness:
    """`run` is a task for as long as the node serves; `renewed` is told each new incarnation, before it admits work."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        identity: NodeIdentity,
        memory: Memory,
        renewed: Callable[[int], None],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._identity = identity
        self._memory = memory
        self._renewed = renewed
        self.away: str | None = None
        """Why this node cannot work, in a sentence; None while it can."""
        self._ending: asyncio.Task[None] | None = None
        self._last_s = self._since_s = time.monotonic()

    async def run(self) -> StoreUnavailable:
        """Go on until this node may not: answers why, in a sentence for people."""
        self._vouch(self._last_s)
        try:
            return await self._go_on()
        finally:
            if self._ending is not None:
                self._ending.cancel()

    async def _go_on(self) -> StoreUnavailable:
        while True:
            await self._pause()
            try:
                ended = await self._turn()
            except StoreUnavailable as error:
                self.away = "the database does not answer"
                log.warning("heartbeat failed", message=error.message, cause=str(error.__cause__))
                continue
            except Exception:
                self.away = "the database does not take the heartbeat"
                log.exception("heartbeat failed")
                continue
            if ended is not None:
                return ended
            self.away = None

    async def _pause(self) -> None:
        """Until the next heartbeat is due, or somebody found this incarnation dead."""
        beat_s = self._identity.rhythm.heartbeat_s
        due_s = beat_s if self.away is None else min(RETRY_S, beat_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(due_s):
                await self._ledger.ended.wait()
                await asyncio.sleep(RETRY_S if self.away else 0)

    async def _turn(self) -> StoreUnavailable | None:
        incarnation, began_s = self._ledger.incarnation, time.monotonic()
        found = await beat(self._database, incarnation, self._identity.rhythm.dead_after_s)
        if not found.alive:
            return await self._begin_anew(incarnation)
        await self._settle()
        self._ledger.ended.clear()
        self._vouch(began_s)
        patient = began_s - self._since_s >= self._identity.rhythm.dead_after_s
        if found.dead_peers and patient and (self._ending is None or self._ending.done()):
            self._ending = asyncio.create_task(self._end_peers(incarnation), name="recovery of peers")
        return None

    async def _end_peers(self, incarnation: int) -> None:
        """Beside the heartbeat: rows that a frozen node holds are waited for, until the database takes them from it."""
        try:
            for peer in await recover_peers(self._database, incarnation, self._identity.rhythm.dead_after_s):
                log.warning("a node was declared dead", incarnation=peer)
        except Exception as error:
            log.warning("dead nodes were not ended yet", error=str(error))

    async def _settle(self) -> None:
        """Where the database is another one than this node knew, see to its epochs before anything is admitted."""
        place = self._database.place
        await settle_history(self._database, self._memory, self._identity.node_name, self._identity.rhythm.dead_after_s)
        self._ledger.settled_place = place

    def _vouch(self, began_s: float) -> None:
        """A beat that began then has returned. After a break, peers get the time to come back that this node had.

        An embedded database has one server, which may believe its file whether or not that can be written.
        """
        dead_after_s = self._identity.rhythm.dead_after_s
        if began_s - self._last_s > dead_after_s:
            self._since_s = began_s
        self._last_s = began_s
        if self._database.dialect == "postgresql":
            self._ledger.trust.vouch(began_s, dead_after_s)

    async def _begin_anew(self, ended: int) -> StoreUnavailable | None:
        """The same process as a new incarnation; what ran under the old one is interrupted, and learns it at a step.

        Who else may be alive under our name is told by the heartbeat alone: then it is this process that must end.
        """
        self.away = "this node was taken for dead and is starting again"
        me, began_s = self._identity, time.monotonic()
        await self._settle()
        try:
            recovered = await recover(
                self._database, me.node_name, me.address, home=me.home, alone=False, dead_after_s=me.rhythm.dead_after_s
            )
        except StoreUnavailable as error:
            if error.__cause__ is not None:
                raise
            log.critical("declared dead", node=me.node_name, incarnation=ended)
            return error
        self._renewed(recovered.incarnation)
        self._ledger.renew(recovered.incarnation)
        self._vouch(began_s)
        log.critical(
            "taken for dead, and begun anew",
            node=me.node_name,
            ended=ended,
            incarnation=recovered.incarnation,
            interrupted=len(recovered.interrupted_claims),
        )
        return None
