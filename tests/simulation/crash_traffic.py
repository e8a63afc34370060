"""Clients of a server that will be killed: each sends what comes to its mind, and writes down what it was told."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from tests.doors import wire
from tests.simulation.crash_model import SUCCESS, Answer, Call, Kind, Lock, Violation

DOORS = (("v1.1", "xml"), ("v1.3", "json"), ("v1.4", "json"))
OWN = DOORS[2]
ANSWER_S = 30.0
LOCKS, CONFIG = "/inventory/deviceMgmt/devices", "/configuration"

SAID: Mapping[str, frozenset[str]] = {
    "lock": frozenset((SUCCESS, "DEVICE_LOCKED", "DEVICE_BUSY", "LOCK_LOST")),
    "lease": frozenset((SUCCESS, "DEVICE_LOCKED", "INVALID_REQUEST")),
    "ask": frozenset((SUCCESS, "INVALID_REQUEST")),
    "unlock": frozenset((SUCCESS, "NOT_LOCK_OWNER")),
    "override": frozenset((SUCCESS, "LOCK_CHANGED")),
    "show": frozenset((SUCCESS,)),
    "stage": frozenset((SUCCESS, "DEVICE_LOCKED", "LOCK_LOST", "NOT_LOADED")),
    "discard": frozenset((SUCCESS, "DEVICE_LOCKED", "LOCK_LOST")),
    "load": frozenset((SUCCESS, "DEVICE_LOCKED", "DEVICE_BUSY", "LOCK_LOST", "UNREACHABLE")),
    "push": frozenset(
        (SUCCESS, "DEVICE_LOCKED", "DEVICE_BUSY", "LOCK_LOST", "UNREACHABLE", "NOT_LOADED", "STALE_CONFIGURATION")
    ),
}
"""What each request may be answered, whatever happens; anything else is a fault.

LOCK_LOST for a lock: it waited for a group of which its user held a device, until that was taken away.
"""

MIX = {
    "lock": 20, "unlock": 16, "override": 6, "show": 8, "stage": 12, "discard": 2, "load": 4, "push": 4, "login": 1,
    "leave": 4, "lease": 3, "ask": 3,
}  # fmt: skip
MOST_LEFT = 9
"""Of one life's waiting requests, how many the client hangs up on: each doubles what may have become of the locks."""


class NoAnswer(Exception):
    """The server went away. `sent` False: not one byte reached it."""

    def __init__(self, sent: bool) -> None:
        super().__init__("no answer")
        self.sent = sent


@dataclass(frozen=True)
class Group:
    """A network function's group and all its devices, by id."""

    nf_id: int
    group_id: int
    devices: tuple[int, ...]


@dataclass(frozen=True)
class Estate:
    """The devices there are: those locked together, and those that a virtual SBC stands behind.

    `leased` is in none of these: its locks end by the clock, so that only its history tells whether they are right.
    """

    cells: tuple[tuple[int, ...], ...]
    groups: tuple[Group, ...]
    reachable: tuple[int, ...]
    leased: int = 0

    @property
    def devices(self) -> tuple[int, ...]:
        return tuple(d for cell in self.cells for d in cell)


class Line:
    """One client's connection to one life of the server, which answers within `ANSWER_S`.

    With `patience_s` the client hangs up after that time, and nothing is wrong with it.
    """

    def __init__(self, url: str, token: str | None = None, *, patience_s: float | None = None) -> None:
        self._may_hang = patience_s is not None
        self._http = httpx2.AsyncClient(base_url=url, timeout=patience_s or ANSWER_S, trust_env=False, verify=False)
        self.token = token

    async def send(
        self, door: tuple[str, str], method: str, path: str, body: str | None = None, request_id: str | None = None
    ) -> httpx2.Response:
        version, medium = door
        headers = {"Accept": f"application/{medium}"}
        if body is not None:
            headers["Content-Type"] = f"application/{medium}"
        if self.token is not None:
            headers["Cookie"] = f"JSESSIONID={self.token}"
        if request_id is not None:
            headers["X-Request-Id"] = request_id
        try:
            return await self._http.request(method, f"/rest/{version}{path}", content=body, headers=headers)
        except httpx2.TimeoutException as failure:
            if self._may_hang:
                raise NoAnswer(sent=True) from failure
            raise Violation(f"{method} {path} was not answered within {ANSWER_S:g} s") from failure
        except httpx2.ConnectError as failure:
            raise NoAnswer(sent=False) from failure
        except httpx2.HTTPError as failure:
            raise NoAnswer(sent=True) from failure

    async def get(self, path: str) -> Any:
        """A read at our own version, which must succeed."""
        answer = await self.send(OWN, "GET", path)
        if answer.status_code != 200:
            raise Violation(f"GET {path} was answered {answer.status_code}: {answer.text}")
        return answer.json()

    async def log_in(self, user: str, password: str, request_id: str) -> str:
        body = wire.simple("json", "session", userName=user, password=password)
        answer = await self.send(OWN, "POST", "/admin/login", body, request_id)
        if answer.status_code != 200:
            raise Violation(f"the login of {user} was answered {answer.status_code}: {answer.text}")
        return str(answer.json()["sessionId"])

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._http.aclose()


@dataclass
class Sessions:
    """Tokens by what was reported of them: alive, or ended by a logout."""

    alive: list[tuple[str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


@dataclass
class Record:
    """What happened in one life of the server. `logins`: request ids of logins and logouts that succeeded; `left`: how
    often a client hung up."""

    calls: list[Call] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    sent: int = 0
    left: int = 0

    @property
    def unknown(self) -> int:
        return sum(call.answer is None for call in self.calls)


class Client:
    """One user at one session, who uses whatever door comes first."""

    WAITS: Sequence[int | None] = (None, 0, 1, 3)
    """Seconds that a lock request may wait; None leaves it to the server."""
    _numbers = itertools.count(1)

    def __init__(
        self, user: str, password: str, line: Line, estate: Estate, sessions: Sessions, rng: random.Random
    ) -> None:
        self._user = user
        self._password = password
        self._line = line
        self._estate = estate
        self._sessions = sessions
        self._rng = rng
        self._next_lease = 0.0

    async def work(self, record: Record, mix: Mapping[str, int], most: int | None) -> None:
        """Send requests until the server does not answer any more, or `most` were sent."""
        kinds = [kind for kind in mix if kind != "override" or self._user == "admin"]
        weights = [mix[kind] for kind in kinds]
        try:
            for _ in itertools.count() if most is None else range(most):
                (kind,) = self._rng.choices(kinds, weights)
                record.sent += 1
                if kind == "login":
                    await self._come_and_go(record)
                elif kind == "leave":
                    await self._leave(record)
                else:
                    await self._one(kind, record)
                await asyncio.sleep(self._rng.choice((0, 0, 0.005, 0.02)))
        except NoAnswer:
            return

    # --------------------------------------------------------------------------------------- one request

    async def _one(self, kind: str, record: Record) -> None:
        rng, door = self._rng, self._rng.choice(DOORS)
        call_id = f"c{next(self._numbers)}"
        call = Call(call_id, self._user, Kind.USE, (rng.choice(self._estate.devices),), 0.0)
        if kind in ("lock", "unlock"):
            call, door, method, path, body = self._locking(call, kind, door)
        elif kind == "override":
            call, door, method, path, body = self._overriding(call)
        elif kind in ("lease", "ask"):
            call, door, method, path, body = self._leasing(call, kind)
        elif kind == "show":
            call = replace(call, kind=Kind.SHOW)
            door, method, path, body = OWN, "GET", f"{LOCKS}/ID{call.devices[0]}/lock", None
        else:
            call, method, path, body = self._working(call, kind, door)
        call = replace(call, begun=time.time())
        try:
            reply = await self._line.send(door, method, path, body, call_id)
        except NoAnswer as silence:
            if silence.sent:
                record.calls.append(call)
            raise
        self._answered(kind, call, reply, record)

    def _answered(self, kind: str, call: Call, reply: httpx2.Response, record: Record) -> None:
        answer = answer_of(reply)
        if answer.code not in SAID[kind]:
            raise Violation(f"{kind} of {self._user} was answered {reply.status_code}: {reply.text}")
        call = replace(call, ended=time.time(), answer=answer)
        record.calls.append(call)
        if call.transfer and call.succeeded and not any(lock.holder for lock in answer.locks.values()):
            record.calls.append(self._transfer(call))

    @staticmethod
    def _transfer(call: Call) -> Call:
        """The lock that an override waits for after its answer, while the work it fenced is not over."""
        return replace(call, call_id=f"{call.call_id}-transfer", kind=Kind.LOCK, answer=None, ended=None, late=True)

    async def _leave(self, record: Record) -> None:
        """Hang up on a lock request that may have to wait."""
        if record.left >= MOST_LEFT:
            return
        call_id, device = f"c{next(self._numbers)}", self._rng.choice(self._estate.reachable)
        call = Call(call_id, self._user, Kind.LOCK, (device,), time.time(), reason=call_id)
        body = json.dumps({"type": "Lock", "reason": call.reason, "waitSeconds": 30})
        path = f"{LOCKS}/ID{call.devices[0]}/action"
        try:
            async with asyncio.timeout(self._rng.uniform(0.05, 0.4)):
                reply = await self._line.send(OWN, "POST", path, body, call.call_id)
        except TimeoutError:
            record.left += 1
            record.calls.append(call)
        except NoAnswer as silence:
            if silence.sent:
                record.calls.append(call)
            raise
        else:
            self._answered("lock", call, reply, record)

    def _locking(self, call: Call, kind: str, door: tuple[str, str]) -> tuple[Call, tuple[str, str], str, str, str]:
        """Of one device, or of a group; at our own version with a reason that tells which call it was."""
        path, root = f"{LOCKS}/ID{call.devices[0]}/action", "deviceAction"
        if self._rng.random() < 0.3:
            group = self._rng.choice(self._estate.groups)
            call = replace(call, devices=group.devices)
            path = f"/inventory/nfMgmt/nfs/ID{group.nf_id}/groups/ID{group.group_id}/action"
            root = "deviceGroupAction"
        call = replace(call, kind=Kind(kind), reason=call.call_id if kind == "lock" and door == OWN else None)
        if call.reason is None:
            return call, door, "POST", path, wire.simple(door[1], root, type=kind.capitalize())
        wait = self._rng.choice(self.WAITS)
        wanted = {"type": "Lock", "reason": call.reason, **({} if wait is None else {"waitSeconds": wait})}
        return call, door, "POST", path, json.dumps(wanted)

    def _leasing(self, call: Call, kind: str) -> tuple[Call, tuple[str, str], str, str, str]:
        """A lock for a second on the device of the leases, so rarely that it ends, or the request to release it."""
        call = replace(call, devices=(self._estate.leased,))
        path = f"{LOCKS}/ID{self._estate.leased}"
        if kind == "ask" or time.monotonic() < self._next_lease:
            return call, OWN, "POST", f"{path}/lock/ask", json.dumps({"message": call.call_id})
        self._next_lease = time.monotonic() + 3.0
        wanted = {"type": "Lock", "reason": call.call_id, "leaseSeconds": 1}
        return call, OWN, "POST", f"{path}/action", json.dumps(wanted)

    def _overriding(self, call: Call) -> tuple[Call, tuple[str, str], str, str, str]:
        call = replace(
            call, kind=Kind.OVERRIDE, reason=call.call_id, expected=self._rng.choice(("alice", "bob")),
            transfer=self._rng.random() < 0.5,
        )  # fmt: skip
        wanted = {
            "reason": call.reason, "expectedHolder": call.expected, "transfer": call.transfer,
            "mode": self._rng.choice(("now", "graceful")),
        }  # fmt: skip
        return call, OWN, "POST", f"{LOCKS}/ID{call.devices[0]}/lock/override", json.dumps(wanted)

    def _working(self, call: Call, kind: str, door: tuple[str, str]) -> tuple[Call, str, str, str | None]:
        medium, reachable = door[1], self._rng.choice(self._estate.reachable)
        if kind == "load":
            if self._rng.random() < 0.7:
                call = replace(call, devices=(reachable,))
            return replace(call, work=True), "GET", f"{CONFIG}/devices/ID{call.devices[0]}/loadConfig", None
        if kind == "push":
            body = wire.simple(medium, "deviceAction", type="SaveActivateConfig")
            call = replace(call, devices=(reachable,), work=True)
            return call, "POST", f"{CONFIG}/devices/ID{reachable}/action", body
        staged = f"{CONFIG}/deviceConfigs/ID{call.devices[0]}"
        if kind == "discard":
            return call, "DELETE", f"{staged}/configurationChanges", None
        staged = f"{CONFIG}/deviceConfigs/ID{reachable}/configElements/update"
        body = wire.element(medium, "realmConfig", id="core", description=call.call_id)
        return replace(call, devices=(reachable,)), "POST", staged, body

    # -------------------------------------------------------------------------------------- sessions

    async def _come_and_go(self, record: Record) -> None:
        """A further session of this user, or the end of one; those with an unknown outcome are forgotten."""
        request_id, sessions = f"s{next(self._numbers)}", self._sessions
        if len(sessions.alive) < 4:
            sessions.alive.append((self._user, await self._line.log_in(self._user, self._password, request_id)))
            record.logins.append(request_id)
            return
        _, token = sessions.alive.pop(0)
        other, self._line.token = self._line.token, token
        try:
            reply = await self._line.send(OWN, "POST", "/admin/logout", None, request_id)
        finally:
            self._line.token = other
        if reply.status_code != 204:
            raise Violation(f"a logout was answered {reply.status_code}: {reply.text}")
        sessions.ended.append(token)
        record.logins.append(request_id)


# ------------------------------------------------------------------------------------------ replies


def answer_of(reply: httpx2.Response) -> Answer:
    """A reply in the model's words. A push that began is answered 200, and says how it ended."""
    body = wire.read(reply) if reply.content else {}
    if reply.status_code in (200, 204):
        shown = wire.listed(body["deviceLocks"]) if "deviceLocks" in body else [body] if "epoch" in body else []
        return Answer(SUCCESS, {device_of(row): lock_of(row) for row in shown})
    foreign = [b for b in wire.listed(body.get("blockers")) if b["kind"] == "lock"]
    return Answer(str(body["code"]), blockers={device_of(b): (b["holder"], int(b["epoch"])) for b in foreign})


def device_of(row: Mapping[str, Any]) -> int:
    return int(row["deviceId"].removeprefix("ID"))


def lock_of(row: Mapping[str, Any]) -> Lock:
    lock = Lock(row.get("holder"), int(row["epoch"]), row.get("reason"))
    if (row["state"] == "HELD") != (lock.holder is not None):
        raise Violation(f"{row} is both held and free")
    return lock


async def traffic(clients: Sequence[Client], record: Record, mix: Mapping[str, int], most: int | None = None) -> None:
    """All clients at once, until the server is gone; the first fault any of them sees ends it."""
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.work(record, mix, most))
