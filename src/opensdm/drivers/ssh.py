"""SSH to one device: host keys checked, every wait bounded, failures in words."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import AnyStr

import asyncssh

from opensdm.core.enrolment import split_address
from opensdm.core.errors import DeviceFault, Rejected, Unreachable, UntrustedDevice
from opensdm.core.inventory import Credentials
from opensdm.drivers.base import NotSent
from opensdm.drivers.departure import Departure

CONNECT_S = 8.0
KEEPALIVE_S = 15.0
HOST_KEY = "ssh.host.key"
"""Device parameter: the key the device must show, `ssh-ed25519 AAAA...`."""
TRUST = "ssh.trust"
"""Device parameter: `known` refuses a device whose key is not pinned, `first-use` pins the first one it shows."""
DEFAULT_PORT = 22


@dataclass(slots=True)
class SshLink:
    """An open, authenticated SSH connection. `learned`: the device parameters to keep, when a key was pinned."""

    connection: asyncssh.SSHClientConnection
    address: str
    learned: Mapping[str, str]
    departure: Departure

    @property
    def closed(self) -> bool:
        return self.connection.is_closed()

    def close(self) -> None:
        self.connection.close()

    async def send(self, writer: asyncssh.SSHWriter[AnyStr], data: AnyStr, send_before: float | None) -> None:
        """Write, and wait until all of it has left us; the one place that does, for everything over SSH.

        With `send_before`, an instant of `time.monotonic()`, no byte leaves after it: the connection ends instead,
        with NotSent when none left at all, else with what a lost connection raises.
        """
        self.departure.send_before = math.inf if send_before is None else send_before
        if self.departure.late:
            self.connection.abort()
            reason = "the time in which this write could be sent has passed"
            raise NotSent(Unreachable(f"device at {self.address}: {reason}", address=self.address))
        writer.channel.set_write_buffer_limits(0)
        writer.write(data)
        try:
            async with asyncio.timeout(None if send_before is None else send_before - time.monotonic()):
                await writer.drain()
        except BaseException:
            self.connection.abort()
            raise
        self.departure.send_before = math.inf


async def open_ssh(credentials: Credentials, *, default_port: int = DEFAULT_PORT) -> SshLink:
    """Connect and log in. Raises Unreachable, UntrustedDevice, or Rejected for a wrong user or password."""
    host, port = split_address("primary.ip", credentials.address)
    chosen = port or int(credentials.parameters.get("port") or default_port)
    address = f"{host}:{chosen}"
    check = _HostKeyCheck(address, credentials.parameters)
    departure = Departure()
    try:
        async with asyncio.timeout(CONNECT_S):
            connection = await asyncssh.connect(
                host,
                chosen,
                tunnel=departure,
                username=credentials.username,
                password=credentials.password,
                client_keys=None,
                agent_path=None,
                config=None,
                gss_host=None,
                known_hosts=([], [], []),
                client_factory=lambda: check,
                preferred_auth=("password", "keyboard-interactive"),
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=3,
            )
    except (asyncssh.Error, OSError, TimeoutError) as failure:
        raise check.refusal or _translated(address, credentials.username, failure) from failure
    return SshLink(connection, address, check.learned, departure)


class _HostKeyCheck(asyncssh.SSHClient):
    """Compares the key a device shows with the pinned one, or pins it where that was asked for."""

    def __init__(self, address: str, parameters: Mapping[str, str]) -> None:
        self._address = address
        self._expected = parameters.get(HOST_KEY, "").strip()
        self._first_use = parameters.get(TRUST, "known") == "first-use"
        self.learned: dict[str, str] = {}
        self.refusal: UntrustedDevice | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if self._expected:
            if _same_key(self._expected, key):
                return True
            self.refusal = UntrustedDevice(
                f"device at {self._address} shows another host key than before: {key.get_fingerprint()} instead of "
                f"{_fingerprint(self._expected)}. If the device was replaced on purpose, set its parameter {HOST_KEY} "
                "to the new key, or to nothing to learn it anew",
                presented=key.get_fingerprint(), expected=_fingerprint(self._expected),
            )  # fmt: skip
            return False
        if self._first_use:
            self.learned[HOST_KEY] = _text(key)
            return True
        self.refusal = UntrustedDevice(
            f"nobody has said yet which host key the device at {self._address} has; it shows {key.get_fingerprint()}. "
            f"If that is right, set its parameter {HOST_KEY} to {_text(key)!r}, or {TRUST} to 'first-use'",
            presented=key.get_fingerprint(), presentedKey=_text(key), expected=None,
        )  # fmt: skip
        return False


def _text(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def _same_key(expected: str, key: asyncssh.SSHKey) -> bool:
    return expected.split()[:2] == _text(key).split()


def _fingerprint(text: str) -> str:
    try:
        return asyncssh.import_public_key(text).get_fingerprint()
    except asyncssh.KeyImportError:
        return "a key that cannot be read"


def _translated(address: str, username: str, failure: BaseException) -> DeviceFault:
    match failure:
        case asyncssh.PermissionDenied():
            return Rejected(
                f"device at {address} refused the login of user {username!r}", address=address, stage="login"
            )
        case socket.gaierror():
            return Unreachable(f"device at {address}: its name has no address", address=address, stage="name")
        case TimeoutError():
            reason = "it did not answer in time"
        case ConnectionRefusedError():
            reason = "no connection"
        case asyncssh.Error():
            reason = "the SSH session failed (" + " ".join(failure.reason.split())[:200] + ")"
        case _:
            reason = "no connection"
    return Unreachable(f"device at {address}: {reason}", address=address)
