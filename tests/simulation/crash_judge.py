"""The checks after one restart: what the server shows against all that was sent to it and answered before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.simulation import crash_model as model
from tests.simulation.crash_model import SUCCESS, Event, Kind, Lock, Possible, Violation
from tests.simulation.crash_traffic import Record, Sessions


@dataclass
class Look:
    """What a server that has just started shows, before anybody asks it for anything else."""

    locks: dict[int, Lock] = field(default_factory=dict)
    running: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    events: dict[int, list[Event]] = field(default_factory=dict)
    audit: dict[str, dict[int | None, str]] = field(default_factory=dict)
    """By request id and device: the result."""
    sessions: dict[str, int] = field(default_factory=dict)
    unended_claims: int = 0


@dataclass
class Judge:
    """The checks after one restart, each for itself."""

    record: Record
    sessions: Sessions
    look: Look

    def all(self, possible: list[Possible], told: dict[int, list[Event]], open_until: Mapping[int, float]) -> None:
        self.locks(possible)
        self.audited()
        self.histories(told)
        self.work(open_until)
        self.tokens()

    def audited(self) -> None:
        """Every success that was reported has its row, for each device of it."""
        for call in self.record.calls:
            if not call.succeeded or call.kind is Kind.SHOW:
                continue
            rows = self.look.audit.get(call.call_id, {})
            # A push that began and failed was answered with how far it came; its row says so, too.
            missing = [d for d in call.devices if rows.get(d) != SUCCESS and not (call.work and d in rows)]
            if missing:
                raise Violation(f"{call} succeeded, and the audit trail has {rows}")
        for request_id in self.record.logins:
            if self.look.audit.get(request_id) != {None: SUCCESS}:
                raise Violation(f"a login or logout was reported and not audited: {request_id}")

    def locks(self, possible: list[Possible]) -> None:
        """The locks are in a state that all that was answered can have led to."""
        for cell in possible:
            model.feed(cell, self.record.calls)
            unknown = [call for call in self.record.calls if call.answer is None and not call.late]
            cell.crash({call.call_id: self._happened(call) for call in unknown})
            cell.found(self.look.locks)

    def _happened(self, call: model.Call) -> bool:
        rows = [d for d, result in self.look.audit.get(call.call_id, {}).items() if result == SUCCESS]
        if rows and sorted(map(str, rows)) != sorted(map(str, call.devices)):
            raise Violation(f"{call} was audited for {rows} alone")
        return bool(rows)

    def histories(self, told: dict[int, list[Event]]) -> None:
        """Nothing told before is gone or changed, epochs only grow, and the replay is the state."""
        for device, events in self.look.events.items():
            before = told[device]
            if before and events[:1] != before[-1:]:
                raise Violation(f"device {device}: the event {before[-1]} has become {events[:1]}")
            before += events[1:] if before else events
            if model.replayed(Lock(), before) != self.look.locks[device]:
                raise Violation(f"device {device} shows {self.look.locks[device]} after {before[-3:]}")

    def work(self, open_until: Mapping[int, float]) -> None:
        """What ran has ended; what was refused as busy was so."""
        model.check_busy(self.record.calls, open_until)
        if self.look.unended_claims:
            raise Violation(f"{self.look.unended_claims} claims still run after the restart")
        for device, running in self.look.running.items():
            if any(work["state"] != "INTERRUPTED" or "stepUntil" not in work for work in running):
                raise Violation(f"device {device} still shows {running} after the restart")

    def tokens(self) -> None:
        """Sessions are what was reported of them."""
        for token, status in self.look.sessions.items():
            expected = 401 if token in self.sessions.ended else 200
            if status != expected:
                raise Violation(f"a session was answered {status}, not {expected}, after the restart")


def open_steps(look: Look) -> dict[int, float]:
    """Until when each device is busy with a step that was cut off; instants are told in whole seconds."""
    ends = {
        device: max(datetime.fromisoformat(work["stepUntil"]).timestamp() for work in running)
        for device, running in look.running.items()
        if running
    }
    return {device: end + 1.0 for device, end in ends.items()}
