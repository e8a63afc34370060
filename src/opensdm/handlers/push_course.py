"""A push on its way: what it is to do, how far it has come, and the stages it tells of."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from opensdm.core.difference import Difference, differences
from opensdm.core.element import Element, Schema
from opensdm.core.errors import Cancelled, LockLost, SdmError, Unreachable
from opensdm.core.operations import PushAction
from opensdm.core.permit import Permit, Write
from opensdm.core.ports import Capabilities, DeviceConnection, Work
from opensdm.core.results import FAILED, SUCCEEDED, UNKNOWN, Held, PushReply
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key
from opensdm.core.versions import Source
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import Loaded, by_key, changed_types

BEGUN = "BEGUN"
EDITS_BETWEEN_LOOKS = 20
SECONDS_BETWEEN_LOOKS = 0.5
"""How often a stage of many edits tells how far it is, and looks whether it is to stop."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a push is to do. `changes` in the order in which they are sent; `view` holds what they are based on.

    `base`: where the device keeps that, `running` or `saved`. `leftovers`: edits of others, or of work that was cut
    short, are taken back first. `whole`: afterwards all of our copy is read anew, not just the types changed.
    """

    view: Loaded
    action: PushAction
    changes: tuple[PendingChange, ...]
    source: Source
    last_operation: str
    change_set: str = ""
    base: str = "running"
    leftovers: bool = False
    whole: bool = False
    comment: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """The types that are changed."""
        return changed_types(self.view.schema, self.changes)


class Course:
    """`reply` collects the flags. `begun`: changes of which something was sent. `disturbed`: there is something to
    put back. `may_run`, `may_be_saved`: the device
    was asked to run, or to keep, what was written, and did not say no. `final`: there is no stopping any more.
    """

    def __init__(self, work: Work, plan: Plan, device: DeviceConnection) -> None:
        self.work = work
        self.plan = plan
        self.device = device
        self.permit: Permit[Write] = work.permit_write()
        self.reply = PushReply(plan.action, task_id=work.task_id or "")
        self.begun: list[PendingChange] = []
        self.disturbed = False
        self.may_run = False
        self.may_be_saved = False
        self.final = False
        self.too_late = False
        self.read_back: dict[Key, Element] | None = None
        self._looked = 0.0

    @property
    def schema(self) -> Schema:
        return self.plan.view.schema

    @property
    def can(self) -> Capabilities:
        """What this very device can do, which may be known only once it was spoken to."""
        return self.device.capabilities

    # ------------------------------------------------------------------------------------- stages

    @asynccontextmanager
    async def stage(self, flag: str, note: str = "", *, stops: bool = True) -> AsyncIterator[None]:
        """Sets the published flag of one stage by how it ends. `stops`: it does not begin if the task is to stop."""
        if stops:
            await self.stop_if_asked()
        await self.work.progress(flag, BEGUN, note)
        ended = FAILED
        try:
            yield
            ended = SUCCEEDED
        except Unreachable:
            ended = UNKNOWN
            raise
        finally:
            flags: dict[str, Any] = {flag: ended}
            self.reply = replace(self.reply, **flags)
            await self.work.progress(flag, ended, note)

    async def tell(self, flag: str, done: int, total: int) -> None:
        """Between edits, now and then: how far it is, and whether it is to stop."""
        if done % EDITS_BETWEEN_LOOKS and time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        await self.stop_if_asked()
        await self.work.progress(flag, BEGUN, "", done, total)

    async def stop_if_asked(self) -> None:
        """Raises Cancelled, unless the device runs the changes for good already: then it is too late."""
        self._looked = time.monotonic()
        try:
            asked = await self.work.cancel_asked()
        except SdmError:
            return  # whether it was cannot be known now; the next look tells
        if asked and self.final:
            self.too_late = True
        elif asked:
            raise Cancelled("stopped, as its owner asked")

    async def tried(self, part: Coroutine[Any, Any, None]) -> SdmError | None:
        """The failure of one part, if it failed; LockLost passes, since it ends everything."""
        try:
            await part
        except LockLost:
            raise
        except SdmError as failure:
            return failure
        return None

    def refused_as_invalid(self, words: str) -> None:
        self.reply = replace(self.reply, validation_message=words)

    def holds(self, elements: Iterable[Held]) -> None:
        self.reply = replace(self.reply, holds=tuple(elements))

    # ------------------------------------------------------------------------------------- reading

    async def touched(self, *, running: bool) -> dict[Key, Element]:
        """The elements of the changed types, as the device shows them now."""
        if not self.plan.changes:
            return {}
        found = await self.device.read_elements(self.permit, self.schema, self.plan.paths, running=running)
        return await aside(by_key, self.schema, found)

    async def changed_from_before(self, *, running: bool) -> list[PendingChange]:
        """The changes whose elements are not on the device as they were before."""
        theirs = await self.touched(running=running)
        return await aside(_differing, self.schema, self.plan.changes, theirs)


def _differing(
    schema: Schema, changes: Sequence[PendingChange], theirs: dict[Key, Element]
) -> list[PendingChange]:  # fmt: skip
    return [c for c in changes if differences(schema, c.before, theirs.get((c.path, c.key)))]


def base_differences(
    schema: Schema, changes: Sequence[PendingChange], theirs: dict[Key, Element]
) -> list[Difference]:  # fmt: skip
    """Where a device does not hold what changes are based on."""
    return [d for c in changes for d in differences(schema, c.before, theirs.get((c.path, c.key)))]
