"""How a unit proves who it is: by a certificate authority, by a certificate pinned at first sight, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from dataclasses import dataclass

from opensdm.core.enrolment import split_address
from opensdm.core.errors import InvalidRequest, UntrustedDevice
from opensdm.core.inventory import Credentials

FINGERPRINT = "tls.fingerprint"
"""Device parameter: SHA-256 fingerprints of the certificates its units may show, with a space between them."""
VERIFY = "tls.verify"
FIRST_USE = "first-use"
HTTPS_PORT = 443
_LOOK_S = 4.0


def fingerprint(certificate: bytes) -> str:
    """`AA:BB:...`, the SHA-256 of a certificate in DER form."""
    return hashlib.sha256(certificate).digest().hex(":").upper()


class Pins:
    """The certificates one device may show. Where none is known yet, those seen first are kept, one for each unit."""

    def __init__(self, known: str) -> None:
        self._known = [_normal(text) for text in known.replace(",", " ").split()]
        self._seen: dict[str, str] = {}

    @property
    def learned(self) -> dict[str, str]:
        """The parameter to keep, when this is the first sight."""
        return {FINGERPRINT: " ".join(dict.fromkeys(self._seen.values()))} if self._seen else {}

    def unseen(self, address: str) -> bool:
        """Whether the certificate at an address is still to be learned."""
        return not self._known and address not in self._seen

    def check(self, address: str, certificate: bytes) -> None:
        """Raises UntrustedDevice, which names both fingerprints, for a certificate that is not the pinned one."""
        shown = fingerprint(certificate)
        expected = self._known or [self._seen.setdefault(address, shown)]
        if shown in expected:
            return
        raise UntrustedDevice(
            f"device at {address} shows another certificate than before: SHA-256 {shown} instead of "
            f"{' or '.join(expected)}. If it was changed on purpose, set the device parameter {FINGERPRINT} to the new "
            "fingerprint, or to nothing to learn it anew",
            presented=shown, expected=" ".join(expected),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transport:
    """How to reach the units of one device. `context` None: plain HTTP. `pins`: only where certificates are pinned."""

    context: ssl.SSLContext | None
    pins: Pins | None = None

    @property
    def scheme(self) -> str:
        return "http" if self.context is None else "https"

    async def learn(self, address: str) -> None:
        """Look at the certificate of a unit that is not spoken to now, if it is to be pinned and the unit answers."""
        if self.pins is None or not self.pins.unseen(address):
            return
        certificate = None
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                certificate = await self._certificate(address)
        if certificate:
            self.pins.check(address, certificate)

    async def _certificate(self, address: str) -> bytes | None:
        host, port = split_address("secondary.ip", address)
        _, writer = await asyncio.open_connection(host, port or HTTPS_PORT, ssl=self.context, server_hostname=host)
        try:
            certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        finally:
            writer.transport.abort()
        return certificate


def transport_of(credentials: Credentials) -> Transport:
    """Reads the parameters `transport`, `tls.verify`, `tls.ca`, `tls.fingerprint`; InvalidRequest for what is none.

    HTTPS with a checked certificate unless the device's own parameters say otherwise.
    """
    parameters = credentials.parameters
    match parameters.get("transport", "https").lower():
        case "http":
            return Transport(None)
        case "https":
            verify = parameters.get(VERIFY, "true").lower()
            context = _context(verify, parameters.get("tls.ca"))
            return Transport(context, Pins(parameters.get(FINGERPRINT, "")) if verify == FIRST_USE else None)
        case other:
            raise InvalidRequest(f"device parameter transport is https or http, not {other!r}")


def _context(verify: str, authority: str | None) -> ssl.SSLContext:
    match verify:
        case "true" if authority:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                context.load_verify_locations(cadata=authority)
            except (ssl.SSLError, ValueError):
                raise InvalidRequest("device parameter tls.ca holds no certificate in PEM form") from None
        case "true":
            context = ssl.create_default_context()
        case "false" | "first-use":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        case other:
            raise InvalidRequest(f"device parameter {VERIFY} is true, false or {FIRST_USE}, not {other!r}")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _normal(text: str) -> str:
    digits = text.removeprefix("SHA256:").replace(":", "").upper()
    if len(digits) != 64 or not set(digits) <= set("0123456789ABCDEF"):
        raise InvalidRequest(f"device parameter {FINGERPRINT} holds SHA-256 fingerprints (AA:BB:...), not {text!r}")
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))
