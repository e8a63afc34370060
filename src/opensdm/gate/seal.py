"""The seal: the only maker of permits, and the one drivers ask about them.

A permit is known by identity. A copy, a permit of an operation that ended, one for another device or
one that reaches less far than what is tried: each is a bug, and raises HouseRuleBroken. Whether the
work behind a true permit may still write is for the ledger, asked by a committed step before each write.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from opensdm.core.errors import DeviceFault, HouseRuleBroken, Unreachable
from opensdm.core.lock import BeginStep, Fence, FinishStep, Refused
from opensdm.core.permit import Permit, Read, StepWindow, Write
from opensdm.core.ports import Transaction
from opensdm.gate.policy import refusal
from opensdm.gate.writer import Writer

SEND_MARGIN_S = 0.5
"""How long before its limit a step may no longer be sent: the wire and the device need time, too."""


class Seal:
    """Knows every permit that is alive. `incarnation` is the node's, which each step proves again."""

    def __init__(self, writer: Writer, incarnation: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._incarnation = incarnation
        self._clock = clock
        self._alive: dict[int, Permit[Read]] = {}

    def renew(self, incarnation: int) -> None:
        """From now on steps prove this incarnation, which no claim of an earlier one is of."""
        self._incarnation = incarnation

    def issue_read(self, devices: frozenset[int], operation: str, claim_id: int | None) -> Permit[Read]:
        return self._enter(Permit(Read, devices, operation, claim_id))

    def issue_write(self, devices: frozenset[int], operation: str, claim_id: int) -> Permit[Write]:
        permit = Permit(Write, devices, operation, claim_id)
        self._enter(permit)
        return permit

    def spend(self, permit: Permit[Read]) -> None:
        """The operation has ended; the permit opens nothing any more."""
        self._alive.pop(id(permit), None)

    def check(self, permit: Permit[Read], device_id: int) -> None:
        if self._alive.get(id(permit)) is not permit:
            raise HouseRuleBroken("a permit the gate does not know, or whose operation has ended")
        if device_id not in permit.devices:
            raise HouseRuleBroken(f"a permit of {permit.operation} was used on device {device_id}, not one of its own")

    @asynccontextmanager
    async def step(self, permit: Permit[Write], device_id: int, limit_s: float) -> AsyncIterator[StepWindow]:
        """One southbound write. Raises LockLost when the work was fenced meanwhile."""
        self.check(permit, device_id)
        if permit.reach is not Write or permit.claim_id is None:
            raise HouseRuleBroken(f"{permit.operation} holds no permit to write")
        issued = self._clock()
        answer = await self._writer.decide_claim(
            BeginStep(permit.claim_id, self._incarnation, round(limit_s * 1_000_000)), permit.devices
        )
        if isinstance(answer, Refused):
            raise refusal(answer)
        try:
            yield StepWindow(issued + limit_s - SEND_MARGIN_S)
        except DeviceFault as fault:
            # A refusal is an answer, too. Silence is not: then the step stays open until its limit.
            if not isinstance(fault, Unreachable):
                await self._writer.decide_claim(FinishStep(permit.claim_id), permit.devices)
            raise
        await self._writer.decide_claim(FinishStep(permit.claim_id), permit.devices)

    async def note_session(self, permit: Permit[Write], device_id: int, note: str | None) -> None:
        """Recorded under the fence before the device's own lock is asked for: a crash leaves it for whoever follows."""
        self.check(permit, device_id)
        if permit.reach is not Write or permit.claim_id is None:
            raise HouseRuleBroken(f"{permit.operation} holds no permit to write")

        async def effect(transaction: Transaction) -> None:
            await transaction.inventory.set_left_session(device_id, note)

        answer = await self._writer.fenced(Fence(permit.claim_id, self._incarnation), permit.devices, effect)
        if isinstance(answer, Refused):
            raise refusal(answer)

    def _enter(self, permit: Permit[Read]) -> Permit[Read]:
        self._alive[id(permit)] = permit
        return permit
