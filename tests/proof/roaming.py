"""Clients of several servers: each request goes to any of them, and whoever gets no answer asks the next."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx2

from tests.doors import wire
from tests.proof.cluster import USERS, Cluster, Member
from tests.simulation.crash_estate import enrol
from tests.simulation.crash_model import SUCCESS, Call, Kind, Violation
from tests.simulation.crash_traffic import (
    CONFIG,
    OWN,
    SAID,
    Client,
    Estate,
    Line,
    NoAnswer,
    Record,
    Sessions,
    answer_of,
)

PASSWORD = "correct-horse-7"
MIX = {"lock": 24, "unlock": 18, "override": 5, "show": 10, "stage": 10, "load": 4, "push": 8}
FREE_KINDS = ("stage", "load", "push")
"""Work may be answered anything but a fault of the server's own: devices, databases and nodes go away under it."""
FAULTS_OF_OURS = ("INTERNAL_ERROR",)
CALM_S = 0.05
"""How long a client that got no answer holds back."""
PATIENCE_S = 2.5
"""How long it waits for one: longer than any lock request of its own may."""


@dataclass
class Counts:
    """What the clients were answered, in words for people."""

    sent: int = 0
    unknown: int = 0
    refused: int = 0
    unavailable: int = 0
    silent: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.sent} operations, {self.refused} refused, {self.unknown} of unknown outcome "
            f"({self.unavailable} told so, {self.silent} without an answer)"
        )


class Roamer(Client):
    """One user at one session, everywhere."""

    WAITS = (None, 1)

    def __init__(self, user: str, token: str, cluster: Cluster, estate: Estate, seed: float) -> None:
        self._members = cluster.members
        self._lines: dict[str, Line] = {}
        self._token = token
        self._held_back_until: dict[str, float] = {}
        self.counts = Counts()
        super().__init__(user, PASSWORD, Line("http://127.0.0.1:1"), estate, Sessions(), random.Random(seed))

    async def roam(self, record: Record, ended: asyncio.Event) -> None:
        kinds = [kind for kind in MIX if kind != "override" or self._user == "admin"]
        weights = [MIX[kind] for kind in kinds]
        try:
            while not ended.is_set():
                (kind,) = self._rng.choices(kinds, weights)
                if (member := self._some_member()) is None:
                    await asyncio.sleep(CALM_S)
                    continue
                self.counts.sent += 1
                try:
                    await self._one(kind, record)
                except NoAnswer as silence:
                    self.counts.silent += silence.sent
                    self._held_back_until[member.name] = time.monotonic() + self._rng.uniform(CALM_S, 3.0)
                await asyncio.sleep(self._rng.choice((0, 0, 0.002)))
        finally:
            for line in self._lines.values():
                await line.__aexit__()

    def _some_member(self) -> Member | None:
        now = time.monotonic()
        ready = [m for m in self._members if m.url is not None and self._held_back_until.get(m.name, 0) < now]
        if not ready:
            return None
        member = self._rng.choice(ready)
        assert member.url is not None
        if member.url not in self._lines:
            self._lines[member.url] = Line(member.url, self._token, patience_s=PATIENCE_S)
        self._line = self._lines[member.url]
        return member

    def _answered(self, kind: str, call: Call, reply: httpx2.Response, record: Record) -> None:
        answer = answer_of(reply)
        if answer.code == "UNAVAILABLE":
            self.counts.unavailable += 1
            record.calls.append(call)
            return
        known = answer.code in SAID[kind] or (kind in FREE_KINDS and answer.code not in FAULTS_OF_OURS)
        if not known:
            raise Violation(f"{kind} of {self._user} was answered {reply.status_code}: {reply.text}")
        self.counts.refused += answer.code != SUCCESS
        self.counts.codes[f"{kind} {answer.code}"] += 1
        record.calls.append(replace(call, ended=time.time(), answer=answer))

    def _working(self, call: Call, kind: str, door: tuple[str, str]) -> tuple[Call, str, str, str | None]:
        """Every user writes an element of their own, so that what reaches a device tells whose it is."""
        call, method, path, body = super()._working(call, kind, door)
        if kind == "stage":
            body = wire.element(door[1], "realmConfig", id=realm_of(self._user), description=call.call_id)
        return call, method, path, body


def realm_of(user: str) -> str:
    return f"of-{user}"


async def settle_in(cluster: Cluster) -> tuple[Estate, Mapping[str, str]]:
    """Enrol the devices, give every user an element on each that is reachable, log everybody in; tokens by user."""
    first = cluster.members[0]
    assert first.url is not None
    tokens: dict[str, str] = {}
    async with Line(first.url) as line:
        for user in USERS:
            line.token = None
            tokens[user] = await line.log_in(user, PASSWORD, f"setup-{user}")
        line.token = tokens["admin"]
        estate = await enrol(line, cluster.ports)
        for device in estate.reachable:
            for user in USERS:
                element = wire.element("json", "realmConfig", id=realm_of(user))
                await _done(line, f"{CONFIG}/deviceConfigs/ID{device}/configElements/add", element)
            push = wire.simple("json", "deviceAction", type="SaveActivateConfig")
            await _done(line, f"{CONFIG}/devices/ID{device}/action", push)
    return estate, tokens


async def _done(line: Line, path: str, body: str) -> None:
    answer = await line.send(OWN, "POST", path, body)
    if answer.status_code not in (200, 204) or '"FAILED"' in answer.text:
        raise Violation(f"POST {path} was answered {answer.status_code}: {answer.text}")


def is_lock_change(call: Call) -> bool:
    return call.kind in (Kind.LOCK, Kind.UNLOCK, Kind.OVERRIDE)
