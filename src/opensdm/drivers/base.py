"""What all drivers share: the discipline of permits and steps, and how connection failures read."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2

from opensdm.core.errors import HouseRuleBroken, Unreachable
from opensdm.core.permit import Permit, Read, Verifier, Write

T = TypeVar("T")
CauseT = TypeVar("CauseT", bound=BaseException)

SEND_WITHIN_S = 5.0
"""A write leaves us this soon after its step began, or never; the rest of the step's limit is the device's."""


class NotSent(Exception):
    """A write of which no byte left us: whatever the device does, it does not do this. `failure` is what to raise."""

    def __init__(self, failure: Unreachable) -> None:
        super().__init__(failure.message)
        self.failure = failure


class PermitGuard:
    """Asks the gate's verifier about the permit of every call on one device."""

    def __init__(self, verifier: Verifier, device_id: int) -> None:
        self._verifier = verifier
        self.device_id = device_id
        self._unsettled_until = 0.0

    def reading(self, permit: Permit[Read]) -> None:
        self._verifier.check(permit, self.device_id)

    def writing(self, permit: Permit[Write]) -> None:
        """The type checker refuses a `Permit[Read]`; so does this, for whoever did not ask it."""
        self._verifier.check(permit, self.device_id)
        if permit.reach is not Write:
            raise HouseRuleBroken(f"{permit.operation} may read from device {self.device_id}, not write to it")

    async def note_session(self, permit: Permit[Write], note: str | None) -> None:
        """Keep what it takes to end our session on the device should we vanish; None forgets it."""
        self.writing(permit)
        await self._verifier.note_session(permit, self.device_id, note)

    async def step(
        self,
        permit: Permit[Write],
        limit_s: float,
        send: Callable[[float], Awaitable[T]],
        send_within_s: float = SEND_WITHIN_S,
    ) -> T:
        """Run one southbound write as one step; a write of many lines may take longer to leave than one of one.

        `send` gets the instant of `time.monotonic()` before which its request must leave; it returns whatever the
        device answered, a refusal too, and raises only when the device did not answer. That leaves the step open,
        except for `NotSent`, which settles it, unless an earlier write of ours may still be on its way.
        """
        self.writing(permit)
        begun = time.monotonic()
        async with self._verifier.step(permit, self.device_id, limit_s) as window:
            try:
                async with asyncio.timeout(limit_s):
                    return await send(min(window.send_before, begun + send_within_s))
            except NotSent as unsent:
                failure = unsent.failure
                if time.monotonic() < self._unsettled_until:
                    raise failure from unsent
            except TimeoutError:
                self._unsettled_until = begun + limit_s
                raise Unreachable(f"device {self.device_id} did not answer within {limit_s:g} s") from None
            except BaseException:
                self._unsettled_until = begun + limit_s
                raise
        raise failure


# The most specific class first. A request that timed out or broke off may have reached the device.
_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (httpx2.ConnectTimeout, "it did not accept a connection in time"),
    (httpx2.ConnectError, "no connection"),
    (httpx2.PoolTimeout, "its connection was busy for too long"),
    (httpx2.TimeoutException, "it did not answer in time"),
    (httpx2.RemoteProtocolError, "it broke off in the middle of an answer"),
    (httpx2.NetworkError, "the connection was lost"),
    (httpx2.HTTPError, "the connection failed"),
    (TimeoutError, "it did not answer in time"),
)
NO_ANSWER = tuple(cls for cls, _ in _FAILURES)


def unreachable(address: str, failure: BaseException) -> Unreachable:
    """The failure in words that fit a sentence for people; names and certificates get their own.

    Fact `stage`, where we know: `name` when the name of the host has no address, `certificate` when it is not trusted.
    """
    certificate = _cause(failure, ssl.SSLCertVerificationError)
    if certificate is not None:
        why = certificate.verify_message
        reason = f"its certificate is not trusted ({why}); see the device parameters tls.ca and tls.verify"
        return Unreachable(f"device at {address}: {reason}", address=address, stage="certificate")
    if _cause(failure, socket.gaierror) is not None:
        return Unreachable(f"device at {address}: its name has no address", address=address, stage="name")
    reason = next((text for cls, text in _FAILURES if isinstance(failure, cls)), "no answer")
    return Unreachable(f"device at {address}: {reason}", address=address)


def _cause(failure: BaseException, wanted: type[CauseT]) -> CauseT | None:
    seen: BaseException | None = failure
    for _ in range(10):
        if isinstance(seen, wanted):
            return seen
        seen = None if seen is None else seen.__cause__ or seen.__context__
    return None
