"""The laid-out ground, once; an open gate on a copy of it, for each test that asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opensdm.core.operations import PushChanges, ReadDeviceFacts
from opensdm.core.ports import Work
from opensdm.core.results import PushReply
from opensdm.handlers import HANDLERS
from tests.house import ground as laid_out
from tests.house.ground import Ground, Walk

Open = Callable[..., Awaitable[Walk]]
Body = Callable[[Work], Awaitable[Any]]
Doing = Callable[[Body], Awaitable[Walk]]


class Pause:
    """Where a handler waits for the test."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, work: Work) -> None:
        self.begun.set()
        await self.go_on.wait()


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    if laid_out.kept is not None:
        yield laid_out.kept
        return
    with laid_out.laid(tmp_path_factory.mktemp("ground")) as ground:
        yield ground


@pytest.fixture
async def begin(ground: Ground, tmp_path: Path) -> AsyncIterator[Open]:
    """`await begin()`, or with handlers or drivers of the test's own; closed in the end."""
    begun: list[Walk] = []

    async def begin(**options: object) -> Walk:
        begun.append(await laid_out.walk(ground, tmp_path, **options))
        return begun[-1]

    yield begin
    for each in begun:
        await each.house.close()


@pytest.fixture
async def walk(begin: Open) -> Walk:
    return await begin()


@pytest.fixture
def doing(begin: Open) -> Doing:
    """`await doing(body)`: a gate where a push, and asking for facts, run that body instead of their handlers."""

    async def open_with(body: Body) -> Walk:
        async def push(operation: PushChanges, work: Work) -> PushReply:
            await body(work)
            return PushReply(operation.action, status="SUCCESS")

        async def facts(operation: ReadDeviceFacts, work: Work) -> None:
            await body(work)

        return await begin(handlers={**HANDLERS, PushChanges: push, ReadDeviceFacts: facts})

    return open_with
