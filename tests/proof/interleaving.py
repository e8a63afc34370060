"""Many clients at the gates of one process, whose tasks take their turns in any order; each answer is checked.

Between episodes nothing is under way: the history of one is checked to its end, and the next begins from what it left.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from opensdm.core.errors import SdmError
from opensdm.core.lock import LockPolicy, OverrideMode
from opensdm.core.operations import (
    DiscardChanges,
    LockDevice,
    LockGroup,
    OverrideLock,
    PushAction,
    PushChanges,
    ShowLock,
    UnlockDevice,
    UnlockGroup,
)
from opensdm.core.ports import Transaction, Work
from opensdm.core.results import PushReply
from opensdm.gate.seal import Seal
from opensdm.handlers import HANDLERS
from tests.gatehouse import House, open_house
from tests.proof.history import Write, check_guarded, holds
from tests.proof.place import Node, Place
from tests.simulation import crash_model as model
from tests.simulation.crash_model import SUCCESS, Answer, Call, Kind, Lock, Possible, Violation

USERS = ("alice", "bob", "carol", "admin")
KINDS = {"lock": 22, "unlock": 18, "group": 5, "ungroup": 4, "override": 3, "push": 14, "discard": 8, "show": 10}
STEP_S = 30.0


class AnyOrder(asyncio.SelectorEventLoop):
    """Of the tasks that could go on, any goes on next: awaits meet in any order.

    Tasks change places among themselves only, and with none but their neighbours' run: what the loop itself has to do
    between them keeps its place.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]  # the one place where the order is made
        handles = [ready.popleft() for _ in range(len(ready))]  # one by one: a thread may add to it meanwhile
        for is_task, run in itertools.groupby(handles, key=_is_task):
            some = list(run)
            if is_task:
                self._rng.shuffle(some)
            ready.extend(some)
        super()._run_once()  # type: ignore[misc]


def _is_task(handle: Any) -> bool:
    return (
        isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)
        or "TaskStep" in type(handle._callback).__name__
    )


@dataclass
class Bench:
    """The device behind every push: a few writes, each a real step of the claim, noted with the instant it arrived."""

    clock: itertools.count[int]
    writes: list[Write]
    seal: Seal | None = None

    async def push(self, operation: PushChanges, work: Work) -> PushReply:
        assert self.seal is not None
        for _ in range(2):
            async with self.seal.step(work.permit_write(), operation.device_id, STEP_S):
                self.writes.append(Write(operation.device_id, work.session.user_name, next(self.clock)))
                await asyncio.sleep(0)

        async def record(transaction: Transaction) -> None:
            await transaction.inventory.set_operation(operation.device_id, last_operation="Save", status="In Sync")

        await work.commit(record)
        return PushReply(operation.action, status=SUCCESS)


@dataclass
class Crowd:
    """Clients over some nodes. `codes`: how often each request had each answer."""

    at: Place
    rng: random.Random
    clock: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    codes: Counter[str] = field(default_factory=Counter)
    writes: list[Write] = field(default_factory=list)
    guarded: int = 0

    async def settle_in(self, nodes: int, functions: int = 1) -> None:
        """So many nodes, and so many pairs of devices and single ones."""
        self.nodes = [await self._node(f"node-{n}") for n in range(nodes)]
        first = self.nodes[0]
        await first.add_users()
        self.pairs = {}
        for n in range(functions):
            nf_id, pair = await Node.pair(first, f"pair-{n}")  # type: ignore[arg-type]
            self.pairs[nf_id] = tuple(pair)
        singles = [(await first.enrol(f"edge-{n}", f"192.0.2.{n + 1}:443"),) for n in range(functions)]
        cells = (*self.pairs.values(), *singles)
        self.devices = tuple(device for cell in cells for device in cell)
        self.possible = [Possible(cell) for cell in cells]
        for house, user in itertools.product(self.nodes, USERS):
            await house.caller(user)

    async def _node(self, name: str) -> House:
        bench = Bench(self.clock, self.writes)
        handlers = {**HANDLERS, PushChanges: bench.push}
        house = await open_house(
            self.at.url, self.at.directory / "secret.key", handlers=handlers, node_name=name,
            lock_policy=LockPolicy(wait_s=0, queue_s=1, max_wait_s=600),
        )  # fmt: skip
        bench.seal = house.gate.seal
        self.at.nodes.append(house)  # type: ignore[arg-type]
        return house

    # ------------------------------------------------------------------------------ an episode

    async def episode(self, clients: int, requests: int) -> None:
        """So many clients with so many requests each, then the check of everything they were told."""
        calls: list[Call] = []
        self.writes.clear()
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                user = USERS[number % len(USERS)]
                group.create_task(self._client(user, requests, calls))
        found = {}
        for device in self.devices:
            views = [await n.gate.execute(n.local, ShowLock(device_id=device)) for n in self.nodes]
            shown = {Lock(v.row.holder_name, v.row.epoch, v.row.reason) for v in views}
            if len(shown) != 1:
                raise Violation(f"device {device} is {shown} on different nodes")
            found[device] = shown.pop()
        for possible in self.possible:
            model.feed(possible, calls)
            possible.found(found)
        self.guarded += check_guarded(holds(calls), self.writes)

    async def _client(self, user: str, requests: int, calls: list[Call]) -> None:
        kinds = [k for k in KINDS if k != "override" or user == "admin"]
        for _ in range(requests):
            (kind,) = self.rng.choices(kinds, [KINDS[k] for k in kinds])
            house = self.rng.choice(self.nodes)
            call, operation = self._request(kind, user, f"c{next(self.clock)}")
            call = replace(call, begun=next(self.clock))
            try:
                reply = await house.gate.execute(await house.caller(user), operation)
                answer = Answer(SUCCESS, _shown(reply))
            except SdmError as error:
                foreign = {b.device_id: (b.holder, b.epoch or 0) for b in error.blockers if b.kind == "lock"}
                answer = Answer(error.code, blockers=foreign)
            self.codes[f"{kind} {answer.code}"] += 1
            calls.append(replace(call, ended=next(self.clock), answer=answer))
            for _ in range(self.rng.randrange(3)):
                await asyncio.sleep(0)

    def _request(self, kind: str, user: str, call_id: str) -> tuple[Call, Any]:
        rng, device = self.rng, self.rng.choice(self.devices)
        call = Call(call_id, user, Kind.USE, (device,), 0)
        wait_s = rng.choice((0, 0, 0.05, 5))
        nf_id, pair = rng.choice(tuple(self.pairs.items()))
        match kind:
            case "lock":
                call = replace(call, kind=Kind.LOCK, reason=call_id)
                return call, LockDevice(device_id=device, reason=call_id, wait_s=wait_s)
            case "group":
                call = replace(call, kind=Kind.LOCK, devices=pair, reason=call_id)
                return call, LockGroup(nf_id=nf_id, group_id=nf_id, reason=call_id, wait_s=wait_s)
            case "unlock":
                return replace(call, kind=Kind.UNLOCK), UnlockDevice(device_id=device)
            case "ungroup":
                call = replace(call, kind=Kind.UNLOCK, devices=pair)
                return call, UnlockGroup(nf_id=nf_id, group_id=nf_id)
            case "override":
                expected, mode = rng.choice(USERS[:3]), rng.choice(tuple(OverrideMode))
                call = replace(call, kind=Kind.OVERRIDE, expected=expected, reason=call_id)
                return call, OverrideLock(device_id=device, reason=call_id, expected_holder=expected, mode=mode)
            case "push":
                return replace(call, work=True), PushChanges(device_id=device, action=PushAction.SAVE)
            case "discard":
                return call, DiscardChanges(device_id=device)
            case _:
                return replace(call, kind=Kind.SHOW), ShowLock(device_id=device)


def _shown(reply: Any) -> dict[int, Lock]:
    """The locks an answer tells of, as the model has them."""
    rows = [view.row for view in getattr(reply, "locks", ()) if hasattr(view, "row")]
    one = getattr(reply, "row", None) or getattr(getattr(reply, "lock", None), "row", getattr(reply, "lock", None))
    rows += [one] if hasattr(one, "epoch") else []
    return {row.device_id: Lock(row.holder_name, row.epoch, row.reason) for row in rows}
