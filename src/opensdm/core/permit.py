"""Permits: proof that the gate admitted one operation to some devices.

The type says how far it reaches (`Permit[Read]`, `Permit[Write]`), so that a driver method cannot be
called with too little; the gate's seal says, at each step, whether this very object is alive.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Read:
    """May read from the device."""


class Write(Read):
    """May also write to it."""


ReachT_co = TypeVar("ReachT_co", bound=Read, covariant=True)


@dataclass(frozen=True, eq=False)
class Permit(Generic[ReachT_co]):
    """Issued by the gate's seal alone, which knows it by identity; a copy opens nothing.

    `claim_id` is None for machinery and other reads that take no claim.
    """

    reach: type[ReachT_co]
    devices: frozenset[int]
    operation: str
    claim_id: int | None


@dataclass(frozen=True, slots=True)
class StepWindow:
    """How long a write may still be sent: an instant of `time.monotonic()`."""

    send_before: float


class Verifier(Protocol):
    """What a driver holds of the gate: it can ask about permits and issue none."""

    def check(self, permit: Permit[Read], device_id: int) -> None:
        """Pass, or raise HouseRuleBroken for a permit that is forged, spent or for another device."""

    def step(self, permit: Permit[Write], device_id: int, limit_s: float) -> AbstractAsyncContextManager[StepWindow]:
        """Wrap exactly one southbound write that the device answers within `limit_s`.

        Entering commits the step and yields until when the write may be sent; raises LockLost when
        the work was fenced. Leaving normally means the device answered; leaving by an exception means
        that we do not know, and the device counts as busy until the limit has passed.
        """

    async def note_session(self, permit: Permit[Write], device_id: int, note: str | None) -> None:
        """Keep, sealed, what it takes to end this session on the device should we vanish; None forgets it.

        Written before the device's own lock is asked for. Raises LockLost when the work was fenced.
        """
