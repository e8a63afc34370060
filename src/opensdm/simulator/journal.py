"""The journal of the virtual SBC: every request that could change the device, who sent it, and what came of it.

It is the witness of the tests: it shows that no write but the expected ones reached the device. Reads are kept
apart, so that it can also show that nothing at all came.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

CAPACITY = 100_000
READ_CAPACITY = 10_000


@dataclass(frozen=True)
class Entry:
    """One request.

    `stored` tells whether the device changed, `answered` whether the client got the answer (False: the connection
    was cut). `kind` is token, lock, unlock, element, management or other; `subject` names the element or the action.
    `at_us` is wall time in microseconds since the Unix epoch, `monotonic_us` only orders entries of one process.
    """

    sequence: int
    at_us: int
    monotonic_us: int
    kind: str
    subject: str
    user: str | None
    token: str | None
    client: str
    method: str
    path: str
    body_sha256: str
    status: int
    stored: bool
    answered: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Note:
    """What is known of a request while it is handled; becomes an entry when its status is known."""

    client: str
    method: str
    path: str
    kind: str = "other"
    subject: str = ""
    user: str | None = None
    token: str | None = None
    body_sha256: str = ""
    stored: bool = False
    answered: bool = True


@dataclass
class Journal:
    """Entries in the order their outcome was known; the oldest are dropped, and counted, beyond `CAPACITY`."""

    dropped: int = 0
    reads_dropped: int = 0
    _reads: deque[Entry] = field(default_factory=lambda: deque(maxlen=READ_CAPACITY))
    _entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=CAPACITY))
    _sequence: int = 0

    def record(self, note: Note, status: int) -> None:
        self._sequence += 1
        self.dropped += len(self._entries) == CAPACITY
        self._entries.append(_entry(self._sequence, note, status))

    def record_read(self, note: Note, status: int) -> None:
        """Numbered by the write before it."""
        self.reads_dropped += len(self._reads) == READ_CAPACITY
        self._reads.append(_entry(self._sequence, note, status))

    def reads(self) -> list[Entry]:
        """The requests that could change nothing, oldest first."""
        return list(self._reads)

    def between(self, since_us: int, until_us: int) -> list[Entry]:
        """Everything that came within a time (microseconds since the Unix epoch), reads too."""
        both = [*self._entries, *self._reads]
        return sorted((e for e in both if since_us <= e.at_us <= until_us), key=lambda e: e.monotonic_us)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All entries, oldest first, or those of one kind."""
        return [entry for entry in self._entries if kind in (None, entry.kind)]

    def writes(self) -> list[Entry]:
        """The element writes that changed the device."""
        return [entry for entry in self if entry.kind == "element" and entry.stored]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())


def _entry(sequence: int, note: Note, status: int) -> Entry:
    at_us, monotonic_us = time.time_ns() // 1000, time.monotonic_ns() // 1000
    return Entry(sequence=sequence, at_us=at_us, monotonic_us=monotonic_us, status=status, **vars(note))
