"""Who stands at a door, and one operation on its way through the gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from opensdm.core.identity import (
    LOCAL_USER_ID,
    LOCAL_USER_NAME,
    SYSTEM_USER_ID,
    SYSTEM_USER_NAME,
    Area,
    Level,
    Session,
)
from opensdm.core.lock import Actor, ClaimRow
from opensdm.core.operations import Kind, Operation
from opensdm.core.submission import AuditDraft
from opensdm.gate.waiting import Patience


class Principal(StrEnum):
    """On whose word a caller is believed."""

    SESSION = "session"
    """A token; the doors to the network know nothing else."""
    SYSTEM = "system"
    """The server's own clock."""
    LOCAL = "local"
    """The console: whoever may open the socket in the data directory."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands at a door: the door's name, the client's address, and what proves who it is.

    `passive`: the request was sent by an open page and not by the person before it; it is no use of the session, which
    ends when that person does nothing.
    """

    door: str
    address: str
    request_id: str
    token: str | None = field(default=None, repr=False)
    principal: Principal = Principal.SESSION
    passive: bool = False


@dataclass(slots=True)
class Run:
    """One operation on its way through the gate."""

    caller: Caller
    operation: Operation
    session: Session
    claim: ClaimRow | None = None
    uncertain: bool = False
    audited: bool = False
    patience: Patience = field(default_factory=Patience)
    parent: ClaimRow | None = None
    """The claim of the composite this is a part of."""

    @property
    def task_id(self) -> str | None:
        """Of long work: named after its claim, whose number is never used again."""
        return f"T{self.claim.claim_id}" if self.claim is not None and self.operation.rule.task else None

    @property
    def actor(self) -> Actor:
        session = self.session
        return Actor(session.user_id, session.user_name, session.session_id, self.caller.door)

    def draft(self, *, result: str | None = None, refusals_only: bool = False) -> AuditDraft:
        operation, caller, session = self.operation, self.caller, self.session
        described = ", ".join(f"{k}={v}" for k, v in operation.describe().items() if k != "device_id")
        return AuditDraft(
            session.user_id or None, session.user_name, caller.door, caller.address, operation.name,
            operation.rule.tag, caller.request_id, described, result, refusals_only,
            device_id=getattr(operation, "device_id", None),
        )  # fmt: skip


def nobody(operation: Operation, caller: Caller) -> Session:
    """The session of whoever is not known yet; a login is told by the name it gives."""
    name = str(getattr(operation, "user_name", "")) if operation.rule.kind is Kind.PUBLIC else ""
    return Session(None, 0, name[:50] or "-", "", caller.door, {})


def own_session(caller: Caller) -> Session:
    """The session of the server itself, or of its console."""
    every = dict.fromkeys(Area, Level.FULL)
    if caller.principal is Principal.SYSTEM:
        return Session(None, SYSTEM_USER_ID, SYSTEM_USER_NAME, "", caller.door, every)
    return Session(None, LOCAL_USER_ID, LOCAL_USER_NAME, "", caller.door, every)
