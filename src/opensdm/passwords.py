"""Password hashing: argon2id, off the event loop, and few at a time."""

from __future__ import annotations

import asyncio
import secrets
import string
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

GENERATED_LENGTH = 20
CONCURRENCY = 2
"""Hashes computed at the same time: each takes a core and its memory for tens of milliseconds."""
_SALT_BYTES, _HASH_BYTES = 16, 32


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash costs: passes over `memory_kib` KiB by `lanes` threads.

    The default is the argon2id parameter set that the OWASP password storage guide names for 19 MiB.
    """

    passes: int = 2
    memory_kib: int = 19_456
    lanes: int = 1


class Argon2Passwords:
    """Implements `core.ports.Passwords`. Hashes with `cost`; verifies hashes of any cost."""

    def __init__(self, cost: Cost | None = None, *, concurrency: int = CONCURRENCY) -> None:
        cost = cost or Cost()
        self._hasher = PasswordHash(
            (
                Argon2Hasher(
                    time_cost=cost.passes,
                    memory_cost=cost.memory_kib,
                    parallelism=cost.lanes,
                    hash_len=_HASH_BYTES,
                    salt_len=_SALT_BYTES,
                ),
            )
        )
        self._nobody = _hash_of_nothing(cost)
        self._threads = ThreadPoolExecutor(concurrency, "passwords")

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is that of the hash. As slow for `None` (no such user), so that timing tells nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password, password_hash)

    def close(self) -> None:
        """End the threads; a hash at hand is finished."""
        self._threads.shutdown(wait=True)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        try:
            matches = self._hasher.verify(password, password_hash or self._nobody)
        except PwdlibError:
            # Accounts that cannot log in have no hash at all; they cost the same time as anyone.
            self._hasher.verify(password, self._nobody)
            return False
        return matches and password_hash is not None


def generated_password() -> str:
    """A password nobody chose: letters and digits, so that it can be typed and pasted anywhere."""
    while True:
        password = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(GENERATED_LENGTH))
        if any(c.isdigit() for c in password) and any(c.isalpha() for c in password):
            return password


def _hash_of_nothing(cost: Cost) -> str:
    """A hash of the given cost that no password has, as far as anyone can know: its value is random."""
    salt, value = (_unpadded(secrets.token_bytes(size)) for size in (_SALT_BYTES, _HASH_BYTES))
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt}${value}"


def _unpadded(raw: bytes) -> str:
    return b64encode(raw).decode().rstrip("=")
