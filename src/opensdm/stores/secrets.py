"""Sealing what must not be readable in the database: device secrets, configurations, staged changes."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from opensdm.core.errors import StoreUnavailable


class SecretBox:
    """Seals with the newest key, opens with any. Keys are Fernet keys (44 characters), newest first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise StoreUnavailable("the secret key file holds no key")
        try:
            self._box = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            # The library's words would do no harm, but a key file's content never goes into a message.
            raise StoreUnavailable("the secret key file holds a line that is not a key") from None
        self._oldest = keys[-1]
        self._digest_key = hmac.digest(self._oldest, b"opensdm content digest", "sha256")

    @classmethod
    def load(cls, path: Path) -> SecretBox:
        """Read a key file: one key per line, newest first. StoreUnavailable when it is missing or damaged."""
        try:
            lines = path.read_bytes().split()
        except OSError as error:
            raise StoreUnavailable(f"the secret key file {path.name} cannot be read: {error.strerror}") from error
        return cls(lines)

    @classmethod
    def create(cls, path: Path) -> SecretBox:
        """Write a new key file that only its owner can read; FileExistsError rather than lose an old key."""
        key = Fernet.generate_key()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return cls([key])

    def seal(self, plain: bytes) -> bytes:
        return self._box.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """StoreUnavailable when none of the keys fits, or the bytes were altered."""
        try:
            return self._box.decrypt(sealed)
        except InvalidToken:
            raise StoreUnavailable(
                "a stored secret cannot be opened with this secret key file; use the one it was written with"
            ) from None

    def digest(self, content: bytes, size: int = 20) -> bytes:
        """Tells contents apart and, to whom the key is missing, nothing of them. Adding a key keeps it."""
        return hashlib.blake2b(content, digest_size=size, key=self._digest_key).digest()

    def key_check(self) -> str:
        """Tells key files apart and tells nothing of the key. Taken from the oldest: adding a key keeps it."""
        return hmac.digest(self._oldest, b"opensdm key check", "sha256").hex()[:32]
