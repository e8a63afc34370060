"""A real server process that is killed again and again under real clients, and what must be true after each restart.

`Storm` is one installation and everybody around it: users at every version and form of the REST door, devices that
nobody answers for, and virtual SBCs. A life of the server is `start`, `inspect`, `trouble`; then it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import asyncpg

from opensdm.simulator import VirtualSbc
from tests.program import ADMIN_PASSWORD, OPENSDM, done, environment
from tests.simulation.crash_estate import TOKEN_LIFE_S, enrol
from tests.simulation.crash_judge import Judge, Look, open_steps
from tests.simulation.crash_model import SUCCESS, Event, Possible, Violation
from tests.simulation.crash_traffic import (
    LOCKS,
    MIX,
    OWN,
    Client,
    Line,
    NoAnswer,
    Record,
    Sessions,
    answer_of,
    device_of,
    lock_of,
    traffic,
)

PASSWORD = ADMIN_PASSWORD
USERS = ("alice", "alice", "bob", "bob", "admin", "admin")
"""The clients: two sessions of each user."""
START_S, FAILPOINT_S, LONGEST_LIFE_S = 60.0, 60.0, 1.2
COUNTS = {"interrupt": 1, "write": 12, "give_up": 1, "leave_queue": 1, "expire": 1, "start_claim": 1, "promote": 1}
"""How often a place is passed before the server dies there: recovery passes its own once, and every start writes."""
EVENTS_PAGE, AUDIT_PAGE = 1000, 1000
PATIENCE = {"OPENSDM_LOCK_WAIT_S": "0", "OPENSDM_LOCK_QUEUE_S": "0.2", "OPENSDM_LOCK_MAX_WAIT_S": "30"}
"""Lock requests wait that say so; writes wait for their turn so shortly that it does not always come."""
UNENDED = "SELECT count(*) FROM claim WHERE state IN ('RUNNING', 'QUEUED')"


def install(data: Path, database: str | None = None) -> None:
    """A data directory with the users of `USERS`, made by the program itself."""
    place = ("--data", data, *(("--database", database) if database else ()))
    done("init", *place, OPENSDM_ADMIN_PASSWORD=ADMIN_PASSWORD)
    for name in sorted({*USERS} - {"admin"}):
        done("user", "add", name, "--group", "provisioners", *place, OPENSDM_PASSWORD=PASSWORD)


class Server:
    """`opensdm serve` on one data directory, one process after another."""

    def __init__(self, program: Sequence[str], data: Path, log: Path, settings: Mapping[str, str] = PATIENCE) -> None:
        self._program = program
        self._data = data
        self._log = log
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self, failpoint: str | None = None) -> None:
        extra = dict(self._settings)
        if failpoint:
            extra["OPENSDM_FAILPOINT"] = failpoint
        with self._open_log() as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._program, "serve", "--data", str(self._data), "--listen", "127.0.0.1:0", "--plain-http",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment(**extra),
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def url(self) -> str | None:
        """Where it listens, once it says so; None when it died first."""
        assert self._process is not None and self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START_S)
        if not line:
            return None
        said, _, url = line.decode().strip().partition("opensdm: listening on ")
        assert not said and url, line
        return url

    async def died(self, within_s: float) -> bool:
        """Whether it kills itself in that time, as a failpoint makes it."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within_s)
        return self._process.returncode == -signal.SIGKILL

    async def end(self, how: signal.Signals) -> None:
        """End it: at once, or in good order. It must have run until now."""
        assert self._process is not None
        if self._process.returncode is not None:
            raise Violation(f"the server ended by itself, with {self._process.returncode}: {self.last_words()}")
        self._process.send_signal(how)
        code = await asyncio.wait_for(self._process.wait(), START_S)
        if code != (0 if how is signal.SIGTERM else -how):
            raise Violation(f"the server ended with {code}: {self.last_words()}")

    async def clear(self) -> None:
        """Nothing of it is left, whatever happened."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def check_log(self, *expected: str) -> None:
        """No life of it had anything to complain of: warnings tell of crashes, errors of faults."""
        for line in self._log.read_text().splitlines():
            if not line.startswith("{") or json.loads(line)["level"] not in ("info", "warning", *expected):
                raise Violation(f"in the server's log: {line}")

    def last_words(self) -> str:
        return self._log.read_text()[-3000:]

    def _open_log(self) -> BinaryIO:
        return self._log.open("ab")


@dataclass
class Tally:
    kills: int = 0
    failpoints: int = 0
    requests: int = 0
    unknown: int = 0
    inspections: int = 0
    cut_off: set[tuple[int, float]] = field(default_factory=set)
    """Devices found with a step of work that a kill cut off, and until when it is open."""
    began: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return (
            f"{self.kills} random kills, {self.failpoints} failpoints, {self.inspections} inspections; "
            f"{self.requests} requests, {self.unknown} without an answer, {len(self.cut_off)} steps cut off; "
            f"{time.monotonic() - self.began:.0f} s"
        )


class Storm:
    """See the module. `database` is for looking only; the data directory names it for the server."""

    def __init__(self, program: Sequence[str], data: Path, database: str | None, rng: random.Random) -> None:
        self._database = database
        self._data = data
        self._rng = rng
        self.server = Server(program, data, data.parent / "server.log")
        self.tally = Tally()
        self._url: str | None = None
        self._tokens: list[str] = []
        self._sessions = Sessions()
        self._record = Record()
        self._since = time.time()
        self._open_until: dict[int, float] = {}

    async def found(self, ports: list[int]) -> None:
        """The first life: devices are enrolled and loaded, and everybody logs in. It ends in good order."""
        assert await self.start(), self.server.last_words()
        async with self._line() as line:
            for number, user in enumerate(USERS):
                self._tokens.append(await line.log_in(user, PASSWORD, f"setup-{number}"))
            line.token = self._tokens[0]
            self._estate = await enrol(line, ports)
        self._possible = [Possible(cell) for cell in self._estate.cells]
        self._told: dict[int, list[Event]] = {d: [] for d in self._watched}
        await self.stop()

    # ------------------------------------------------------------------------------------------- a life

    async def start(self, failpoint: str | None = None) -> bool:
        """Whether it came as far as opening its doors."""
        await self.server.spawn(failpoint)
        self._url = await self.server.url()
        return self._url is not None

    async def kill(self) -> None:
        await self.server.end(signal.SIGKILL)

    async def stop(self) -> None:
        await self.server.end(signal.SIGTERM)

    async def trouble(self, mix: Mapping[str, int] = MIX, most: int | None = None) -> None:
        """Requests from all clients, until the server is gone or each has sent `most`."""
        async with AsyncExitStack() as lines:
            clients = [
                Client(
                    user, PASSWORD, await lines.enter_async_context(self._line(token)), self._estate, self._sessions,
                    random.Random(self._rng.random()),
                )
                for user, token in zip(USERS, self._tokens, strict=True)
            ]  # fmt: skip
            try:
                await traffic(clients, self._record, mix, most)
            except ExceptionGroup as group:
                raise group.exceptions[0] from group

    async def life_until_random_kill(self) -> None:
        """Killed at any instant: mostly under load, now and then before its doors are open."""
        self.tally.kills += 1
        if self._rng.random() < 0.1:
            await self.server.spawn()
            await asyncio.sleep(self._rng.uniform(0.1, 2.0))
            await self.kill()
            return
        assert await self.start(), self.server.last_words()
        await self.inspect()
        load = asyncio.create_task(self.trouble())
        try:
            await asyncio.wait({load}, timeout=self._rng.uniform(0.02, LONGEST_LIFE_S))
            await self.kill()
            await load
        finally:
            load.cancel()

    async def life_until_failpoint(self, name: str) -> None:
        """The server kills itself there; one that cannot be reached fails."""
        self.tally.failpoints += 1
        count = COUNTS.get(name.partition(".")[0], 2)
        if await self.start(f"{name}:{count}"):
            with contextlib.suppress(NoAnswer):
                await self.inspect()
            load = asyncio.create_task(self.trouble())
            reached = await self.server.died(FAILPOINT_S)
            await self.server.clear()
            await load
        else:
            reached = await self.server.died(START_S)
        assert reached, f"the failpoint {name} was not reached (time {count}): {self.server.last_words()}"

    # -------------------------------------------------------------------------------------- inspections

    async def inspect(self) -> None:
        """Compare what the server shows with all that was sent and answered since the last time."""
        async with self._line(self._tokens[USERS.index("admin")]) as line:
            look = await self._look(line)
        self.tally.inspections += 1
        self.tally.requests += self._record.sent
        self.tally.unknown += self._record.unknown
        Judge(self._record, self._sessions, look).all(self._possible, self._told, self._open_until)
        self._open_until = open_steps(look)
        self.tally.cut_off.update(self._open_until.items())
        self._sessions.ended.clear()
        self._record, self._since = Record(), time.time()

    async def _look(self, line: Line) -> Look:
        look = Look(unended_claims=await self._count(UNENDED))
        for device in self._watched:
            row, later = await line.get(f"{LOCKS}/ID{device}/lock"), None
            while row != later:  # a lease may end in between
                look.events[device] = await self._events(line, device)
                row, later = await line.get(f"{LOCKS}/ID{device}/lock"), row
            look.locks[device], look.running[device] = lock_of(row), row.get("running") or []
        await self._read_audit(line, look)
        for token in [*self._tokens, *(t for _, t in self._sessions.alive), *self._sessions.ended]:
            line.token, own = token, line.token
            look.sessions[token] = (await line.send(OWN, "GET", "/admin/session")).status_code
            line.token = own
        return look

    @property
    def _watched(self) -> tuple[int, ...]:
        return (*self._estate.devices, self._estate.leased)

    async def _events(self, line: Line, device: int) -> list[Event]:
        """The device's history from the last event on that was known before."""
        first = max(1, len(self._told[device]))
        page = await line.get(f"{LOCKS}/ID{device}/lock/events?offset={first}&limitation={EVENTS_PAGE}")
        return [
            Event(e["kind"], int(e["epoch"]), e["actor"], e.get("holder"), e.get("reason"))
            for e in page.get("lockEvents") or []
        ]

    async def _read_audit(self, line: Line, look: Look) -> None:
        since = datetime.fromtimestamp(self._since - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        offset, total = 1, 1
        while offset <= total:
            page = await line.get(f"/admin/audit?since={since}&offset={offset}&limitation={AUDIT_PAGE}")
            total = int(page["pageInfo"]["total"])
            offset += AUDIT_PAGE
            for entry in page.get("auditEntries") or []:
                device = device_of(entry) if entry.get("deviceId") else None
                rows = look.audit.setdefault(entry["requestId"], {})
                # An override that was done may have waited in vain for the lock, in the name of the same request.
                rows[device] = SUCCESS if rows.get(device) == SUCCESS else entry["result"]

    async def _count(self, sql: str) -> int:
        if self._database is None:
            return await asyncio.to_thread(self._count_in_file, sql)
        connection = await asyncpg.connect(self._database)
        try:
            return int(await connection.fetchval(sql))
        finally:
            await connection.close()

    def _count_in_file(self, sql: str) -> int:
        with contextlib.closing(sqlite3.connect(f"file:{self._data / 'opensdm.sqlite3'}?mode=ro", uri=True)) as file:
            return int(file.execute(sql).fetchone()[0])

    # ------------------------------------------------------------------------------------------ the end

    async def settle(self, patience_s: float) -> tuple[int, int]:
        """A last life without a kill: work that runs alone is admitted on every device whose open step is over.

        A device whose step is open for longer than `patience_s` must be busy. Answers how many devices were waited
        for, and how many are still busy.
        """
        assert await self.start(), self.server.last_words()
        await self.inspect()
        waited, busy = 0, 0
        for device in sorted(self._estate.devices, key=lambda d: self._open_until.get(d, 0.0)):
            left_s = self._open_until.get(device, 0.0) - time.time()
            if left_s > patience_s:
                busy += 1
                await self._works_alone(device, "DEVICE_BUSY")
                continue
            waited += device in self._open_until
            await asyncio.sleep(max(0.0, left_s))
            await self._works_alone(device, SUCCESS, "UNREACHABLE")
        await self.stop()
        self.server.check_log()
        return waited, busy

    async def _works_alone(self, device: int, *expected: str) -> None:
        async with self._line(self._tokens[0]) as line:
            holder = lock_of(await line.get(f"{LOCKS}/ID{device}/lock")).holder or "alice"
            line.token = self._tokens[USERS.index(holder)]
            for _ in range(2):  # whoever lost a lock is told so once
                answer = answer_of(await line.send(OWN, "GET", f"/configuration/devices/ID{device}/loadConfig"))
                if answer.code != "LOCK_LOST":
                    break
        if answer.code not in expected:
            raise Violation(f"loading device {device} for {holder} was answered {answer.code}, not {expected}")

    def _line(self, token: str | None = None) -> Line:
        assert self._url is not None
        return Line(self._url, token)


@asynccontextmanager
async def storm(
    data: Path, database: str | None, seed: int, program: Sequence[str] = (str(OPENSDM),)
) -> AsyncIterator[Storm]:
    """A storm over an installed data directory, with its virtual SBCs; no process outlives it."""
    sbcs = [
        VirtualSbc(
            f"sbc-{n}", username="ops", password="s3cret-pw", plain_http=True, token_lifetime_s=TOKEN_LIFE_S,
            job_delay_s=0.05,
        )
        for n in range(4)
    ]  # fmt: skip
    made = Storm(program, data, database, random.Random(seed))
    try:
        ports = [(await sbc.start("127.0.0.1", 0))[1] for sbc in sbcs]
        await made.found(ports)
        yield made
    finally:
        await made.server.clear()
        await asyncio.gather(*(sbc.stop() for sbc in sbcs))


async def through(subject: Storm, failpoints: Sequence[str], kills: int, patience_s: float) -> None:
    """Every failpoint, then so many random kills, then the end; prints what happened."""
    for name in failpoints:
        await subject.life_until_failpoint(name)
    for _ in range(kills):
        await subject.life_until_random_kill()
    waited, busy = await subject.settle(patience_s)
    print(f"{subject.tally}; {waited} devices waited for, {busy} still busy")
