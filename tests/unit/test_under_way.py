"""Operations whose caller has gone: refusals are nobody's news, faults are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from opensdm.core.errors import NotFound
from opensdm.gate.under_way import UnderWay


async def ended_alone(failure: BaseException | None) -> tuple[list[str], list[Any]]:
    """What is logged, and what the loop complains of."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def work() -> None:
        await asyncio.sleep(0)
        if failure is not None:
            raise failure

    under_way = UnderWay()
    task = under_way.begin(work(), "PushChanges")
    under_way.leave(task)
    with capture_logs() as logs:
        await asyncio.wait({task})
        await asyncio.sleep(0)
        del task
    assert not under_way
    return [f"{entry['operation']}: {entry['event']}" for entry in logs], complaints


@pytest.mark.parametrize(
    ("failure", "logged"),
    [
        (None, []),
        (NotFound("gone"), []),
        (asyncio.CancelledError(), []),
        (ValueError("a fault"), ["PushChanges: an operation failed after its caller had gone"]),
    ],
)
async def test_only_faults_are_told(failure: BaseException | None, logged: list[str]) -> None:
    assert await ended_alone(failure) == (logged, [])
