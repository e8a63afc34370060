"""Several real servers on a primary and its standby, and everything that can befall them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.postgres_pair import PostgresPair
from opensdm.simulator import VirtualSbc
from tests.program import ADMIN_PASSWORD, OPENSDM, Installation, done
from tests.proof.link import Link
from tests.simulation.crash import Server

USERS = ("alice", "bob", "carol", "admin")
RHYTHM = {
    "OPENSDM_NODE_HEARTBEAT_S": "0.3", "OPENSDM_NODE_DEAD_AFTER_S": "2",
    "OPENSDM_LOCK_WAIT_S": "0", "OPENSDM_LOCK_QUEUE_S": "1", "OPENSDM_LOCK_MAX_WAIT_S": "10",
}  # fmt: skip
"""Nobody waits who does not say so: the clients of the published versions cannot."""
TOKEN_LIFE_S = 10
"""How soon a virtual SBC forgets a session, and with it the lock that a killed server left on it."""


@dataclass
class Member:
    """One server, its own links to both databases, and what it is doing."""

    name: str
    server: Server
    links: list[Link]
    url: str | None = None
    asleep: bool = False

    async def start(self) -> None:
        await self.server.spawn()
        self.url = await self.server.url()
        assert self.url is not None, self.server.last_words()

    async def kill(self) -> None:
        self.url = None
        await self.server.end(signal.SIGKILL)

    def signal(self, how: signal.Signals) -> None:
        self.asleep = how is signal.SIGSTOP
        os.kill(self.server.pid, how)

    def cut(self) -> None:
        for link in self.links:
            link.cut()

    def mend(self) -> None:
        for link in self.links:
            link.mend()

    def slow(self, delay_s: float) -> None:
        for link in self.links:
            link.delay_s = delay_s


@dataclass
class Cluster:
    """The servers and the databases. `log` says what was done to them, and when."""

    pair: PostgresPair
    members: list[Member]
    sbcs: list[VirtualSbc]
    ports: list[int]
    rng: random.Random
    log: list[str] = field(default_factory=list)

    async def in_thread(self, what: str) -> None:
        """A deed of the pair, which blocks."""
        await asyncio.to_thread(getattr(self.pair, what))

    async def fail_over(self) -> None:
        """The primary is gone without a word; its standby takes its place. A new standby comes later."""
        await self.in_thread("kill_primary")
        await self.in_thread("promote_standby")
        await self.in_thread("wait_for_nobody")


@asynccontextmanager
async def cluster(pair: PostgresPair, directory: Path, nodes: int, seed: int) -> AsyncIterator[Cluster]:
    """So many servers, started, with users and two virtual SBCs; no process of theirs outlives it."""
    pair.create_database("site")
    sbcs = [
        VirtualSbc(
            f"sbc-{n}", username="ops", password="s3cret-pw", plain_http=True, token_lifetime_s=TOKEN_LIFE_S,
            job_delay_s=0.02,
        )
        for n in range(4)
    ]  # fmt: skip
    members: list[Member] = []
    try:
        ports = [(await sbc.start("127.0.0.1", 0))[1] for sbc in sbcs]
        for number in range(nodes):
            members.append(await _member(pair, directory / f"node-{number}", members))
        await asyncio.gather(*(member.start() for member in members))
        yield Cluster(pair, members, sbcs, ports, random.Random(seed))
    finally:
        for member in members:
            await member.server.clear()
            for link in member.links:
                await link.stop()
        await asyncio.gather(*(sbc.stop() for sbc in sbcs))


async def _member(pair: PostgresPair, data: Path, others: list[Member]) -> Member:
    """One data directory on the database, reached through links of its own; the first one makes the users."""
    links = [Link(port) for port in pair.ports]
    for link in links:
        await link.start()
    through = {port: link.port for port, link in zip(pair.ports, links, strict=True)}
    installation = Installation(data, pair.url("site", through=through))
    if others:
        first = Installation(data.parent / "node-0")
        await asyncio.to_thread(installation.init_beside, first)
    else:
        await asyncio.to_thread(installation.init)
        for name in sorted({*USERS} - {"admin"}):
            adding = ("user", "add", name, "--group", "provisioners", *installation.place)
            await asyncio.to_thread(done, *adding, OPENSDM_PASSWORD=ADMIN_PASSWORD)
    server = Server((str(OPENSDM),), data, data.parent / f"{data.name}.log", RHYTHM)
    return Member(data.name, server, links)
