"""What the state machine compares the gate with, and how it notices."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis.stateful import rule

from opensdm.core.errors import HouseRuleBroken
from tests.gatehouse import House
from tests.simulation.workbench import Job, Workbench

T = TypeVar("T")


class Caught(BaseException):
    """The machine saw a fault. No Exception, so that Hypothesis neither replays nor shrinks the history."""


def watched(body: Callable[..., None]) -> Callable[..., None]:
    """On a stage with a planted fault, the first thing seen ends the run."""

    @functools.wraps(body)
    def run(self: Any, **drawn: Any) -> None:
        try:
            body(self, **drawn)
        except (AssertionError, HouseRuleBroken) as seen:
            self.failed = True
            if self.stage.planted:
                raise Caught(f"{type(seen).__name__} in {body.__name__}: {seen}") from seen
            raise

    return run


def step(**drawn: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule that is watched."""
    decorate: Callable[[Callable[..., None]], Any] = rule(**drawn)
    return lambda body: decorate(watched(body))


@dataclass
class ModelLock:
    """What must be true of one device."""

    holder: str | None = None
    epoch: int = 0
    untold: set[str] = field(default_factory=set)
    work: list[ModelWork] = field(default_factory=list)
    leased: bool = False
    due: bool = False
    """Its lease is over; the lock with it, unless its holder works."""

    def foreign_work(self, user: str) -> bool:
        return any(w.user != user for w in self.work)

    def own_work(self) -> bool:
        return any(w.user == self.holder for w in self.work)

    def granted(self, user: str) -> None:
        if self.holder is None:
            self.holder, self.epoch, self.leased, self.due = user, self.epoch + 1, False, False

    def freed(self) -> None:
        self.holder, self.leased, self.due = None, False, False


@dataclass
class ModelWait:
    """One request that waits for all of `members`; `task` ends with its code."""

    user: str
    members: list[int]
    task: asyncio.Task[str]


@dataclass
class ModelWork:
    """One claim that is not over. `fenced` work runs on, but its next step is refused."""

    user: str
    job: Job
    fenced: bool = False


@dataclass
class Stage:
    """What a run of the machine stands on; kept over its examples, each with devices of its own."""

    loop: asyncio.AbstractEventLoop
    open: Callable[[Workbench], Awaitable[House]]
    house: House
    bench: Workbench
    planted: bool = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))
