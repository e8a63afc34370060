"""The audit trail: who did what, through which door, with what result."""

from __future__ import annotations

from dataclasses import dataclass

SUCCESS = "SUCCESS"
AUDIT_FILTERS = frozenset(("user", "door", "operation", "device", "result", "requestId"))
"""What the trail can be filtered by, beside time: exact, or with `*`."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row. `result` is SUCCESS or the code of the refusal; `count` > 1 where refusals were coalesced."""

    at_us: int
    user_id: int | None
    user_name: str
    door: str
    address: str
    operation: str
    tag: str
    device_id: int | None
    device_name: str | None
    result: str
    detail: str
    request_id: str
    entry_id: int = 0
    count: int = 1
