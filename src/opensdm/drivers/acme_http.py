"""HTTP to one unit of an SBC: bounded in time and size, and never later than a write may be sent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from opensdm.core.errors import Rejected, Unreachable, UntrustedDevice
from opensdm.core.inventory import MASKED
from opensdm.drivers.acme_tls import Pins, Transport
from opensdm.drivers.acme_xml import Envelope
from opensdm.drivers.base import NO_ANSWER, NotSent, unreachable

CONNECT_S = 4.0
ANSWER_S = 20.0
MAX_BODY = 32 * 1024 * 1024
_PARSED_INLINE = 64 * 1024
"""Longer answers are parsed in a thread, so that they stall nobody else."""
SHORTEST_SECRET = 3

_WITHOUT_ANSWER: tuple[type[Exception], ...] = (Unreachable, *NO_ANSWER)

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the device: its HTTP status and its body, read."""

    status: int
    envelope: Envelope


class UnitHttp:
    """One unit's HTTP door. The connection is made when needed, and again after it was given up."""

    def __init__(self, address: str, transport: Transport) -> None:
        self.address = address
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None
        self.sound = False
        """Whether the last request was answered to its end."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        send_before: float | None = None,
    ) -> Answer:
        """Send one request and read its whole answer; raises Unreachable when there is none.

        With `send_before` (an instant of `time.monotonic()`) no byte of the request leaves after it, and NotSent
        is raised when none left at all.
        """
        departure = Departure(self.address, send_before, self._transport.pins)
        self.sound = False
        try:
            async with asyncio.timeout(CONNECT_S + ANSWER_S):
                status, content = await self._exchange(method, path, params, headers, body, departure)
        except _WITHOUT_ANSWER as problem:
            await self.close()
            failure = problem if isinstance(problem, Unreachable) else unreachable(self.address, problem)
            if send_before is not None and not departure.begun:
                raise NotSent(failure) from problem
            raise failure from problem
        except BaseException:
            # Cancelled in the middle: nothing more may leave on this connection.
            await asyncio.shield(self.close())
            raise
        envelope = await _read(content)
        self.sound = True
        return Answer(status, envelope)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _exchange(
        self,
        method: str,
        path: str,
        params: Params,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        departure: Departure,
    ) -> tuple[int, bytes]:
        request = self._open().build_request(
            method,
            path,
            params=list(params) or None,
            headers={"Accept": "application/xml", **(headers or {})},
            content=body,
            extensions={"timeout": departure.timeouts(), "trace": departure.trace},
        )
        response = await self._open().send(request, stream=True)
        try:
            return response.status_code, await self._body(response)
        finally:
            await response.aclose()

    async def _body(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MAX_BODY:
                raise Unreachable(f"device at {self.address}: its answer is larger than {MAX_BODY} bytes")
        return bytes(content)

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                base_url=f"{self._transport.scheme}://{self.address}",
                verify=self._transport.context or False,
                # Neither proxies nor .netrc of the server's environment: devices are reached directly.
                trust_env=False,
                follow_redirects=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "OpenSDM"},
                limits=httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30),
            )
        return self._client


class Departure:
    """Watches a request leave. With `send_before`, it does not leave later than that.

    With `pins` nothing leaves on a new connection before the unit has shown a certificate that is one of them.
    """

    def __init__(self, address: str, send_before: float | None, pins: Pins | None = None) -> None:
        self._address = address
        self._pins = pins
        self._send_before = math.inf if send_before is None else send_before
        self.begun = False

    def timeouts(self) -> dict[str, float]:
        left = max(0.01, min(CONNECT_S, self._send_before - time.monotonic()))
        return {"connect": left, "write": left, "pool": left, "read": ANSWER_S}

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Looks at the clock at the last moment there is: the connection stands, the next bytes are about to leave."""
        if event.endswith((".send_request_headers.started", ".send_request_body.started")):
            if time.monotonic() >= self._send_before:
                raise Unreachable(f"device at {self._address}: the time in which this write could be sent has passed")
            self.begun = True
        elif event == "connection.start_tls.complete" and self._pins is not None:
            await self._check(self._pins, info["return_value"])

    async def _check(self, pins: Pins, stream: Any) -> None:
        tls = stream.get_extra_info("ssl_object")
        try:
            pins.check(self._address, tls.getpeercert(binary_form=True) or b"")
        except UntrustedDevice:
            await stream.aclose()
            raise


async def _read(content: bytes) -> Envelope:
    if len(content) <= _PARSED_INLINE:
        return Envelope(content)
    return await asyncio.to_thread(Envelope, content)


def refused(answer: Answer, what: str, hide: Collection[str] = ()) -> Rejected:
    """What a definite no of the device is, with its own words; the secrets of `hide` are struck out."""
    meaning = _MEANINGS.get(answer.status, f"it answered with status {answer.status}")
    said = f": {answer.envelope.message}" if answer.envelope.message else ""
    return Rejected(struck_out(f"the device refused {what}: {meaning}{said}", hide), status=answer.status)


def words(answer: Answer, hide: Collection[str] = ()) -> str:
    return struck_out(answer.envelope.message, hide)


def struck_out(text: str, hide: Collection[str]) -> str:
    """The text without the secrets. What is shorter than three characters is in any text and tells nothing."""
    for secret in sorted((s for s in hide if len(s) >= SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(secret, MASKED)
    return text


_MEANINGS: Mapping[int, str] = {
    400: "the request is not valid there",
    401: "it does not accept the user name and password, or the session with it has ended",
    403: "the user it was given is not an administrator on it",
    404: "it has no such version, type or element",
    405: "it does not know this call",
    406: "it cannot answer in XML",
    409: "it is there already",
    415: "it cannot read the body",
    426: "it speaks HTTPS only",
}
