"""What may be asked of the ledger: a target, a request to decide, an effect, and the audit row it leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from opensdm.core.element import Element
from opensdm.core.identity import Area, Level
from opensdm.core.lock import Answer, Promote, Request, StartClaim
from opensdm.core.operations import Scope
from opensdm.core.ports import Effect, Packed, Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Which devices a request is about: resolved inside the transaction that decides it.

    `target_id` is a device, network function or group id; `within` the function a group must belong to.
    Scope DEVICES and a claim's own requests name them in `devices`; scope SERVER has none.
    """

    scope: Scope = Scope.SERVER
    target_id: int = 0
    within: int | None = None
    devices: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """What must still be true of the asking session, read in the same transaction. None: the server itself."""

    session_id: int | None
    area: Area | None = None
    level: Level = Level.NONE


@dataclass(frozen=True, slots=True)
class AuditDraft:
    """The audit row to be written with the outcome; the ledger fills in time, devices and result."""

    user_id: int | None
    user_name: str
    door: str
    address: str
    operation: str
    tag: str
    request_id: str
    detail: str = ""
    result: str | None = None
    """A result known beforehand (a finished push); None: decided by the outcome."""
    refusals_only: bool = False
    """Admission of work leaves a row only when refused; its end leaves the row of its result."""
    if_value: bool = False
    """A row only where the effect answers something true: what it was to look for is there."""
    device_id: int | None = None
    """The device that was named, for refusals that never got as far as looking it up."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One member of a batch. `alone` keeps it from sharing a batch, for effects that move devices about."""

    target: Target = field(default_factory=Target)
    request: Request | None = None
    effect: Effect[Any] | None = None
    standing: Standing | None = None
    audit: AuditDraft | None = None
    alone: bool = False
    empty_target: str | None = None
    """The refusal's sentence when the target has no devices; None: that is fine."""


class Signal(Protocol):
    """Something that will have happened. Take it before looking, then wait for it, and nothing is missed."""

    async def wait(self) -> object: ...


class LedgerPort(Protocol):
    """The one writer, as the gate sees it."""

    async def submit(self, submission: Submission) -> Receipt: ...
    async def peek(self, submission: Submission) -> Answer:
        """What the rules would answer now, on a read transaction: a hint, never an admission."""

    async def peek_all(self, requests: Sequence[Promote | StartClaim]) -> list[Answer | None]:
        """The same for all who wait, in one read; None where a device of theirs is gone."""

    def next_freed(self) -> Signal:
        """Set by the next commit that may let somebody go on who waits for a device."""

    def next_told(self) -> Signal:
        """Set by the next commit with lock events."""

    async def write(self, effect: Effect[T]) -> T: ...


class ReaderPort(Protocol):
    """Reads, each in one read-only transaction that sees all that was committed before it."""

    async def read(self, query: Callable[[Transaction], Awaitable[T]]) -> T: ...
    async def settled_events(self) -> int:
        """The id of a lock event up to which all are there: none with a smaller id can still come."""

    async def pack(self, elements: Sequence[Element]) -> Packed:
        """Everything about storing a configuration that takes no transaction, in a thread."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a submission came to: the answer of the rules (None without a request) and the effect's value."""

    answer: Answer | None
    value: Any
    devices: frozenset[int]
    at_us: int
