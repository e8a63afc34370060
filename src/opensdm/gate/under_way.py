"""What is under way at the gate: whatever was begun goes on by itself, until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from prometheus_client import Gauge

from opensdm.core.errors import SdmError

log = structlog.get_logger("opensdm.gate")

UNDER_WAY = Gauge("opensdm_operations_under_way", "Operations that have begun and not ended, without looks")


class UnderWay(set[asyncio.Task[Any]]):
    """Tasks of this gate; one that has ended is in it no more."""

    def begin(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self.add(task)
        UNDER_WAY.inc()
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.discard(task)
        UNDER_WAY.dec()

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Its caller is gone: a refusal, audited as any other, is nobody's news; a fault of ours is logged."""
        task.add_done_callback(_unheard)


def _unheard(task: asyncio.Task[Any]) -> None:
    fault = None if task.cancelled() else task.exception()
    if fault is not None and not isinstance(fault, SdmError):
        log.error("an operation failed after its caller had gone", operation=task.get_name(), exc_info=fault)
