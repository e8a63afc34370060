"""Faults and slowness that a test can ask of the virtual SBC. Nothing of this exists on a real device."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

OPERATIONS = frozenset({"verify", "save", "activate", "restore", "backup"})
ROLES = ("active", "standby", "out of service", "standalone")


@dataclass
class Controls:
    """The switches; the defaults are a healthy, quick device. Durations in seconds.

    `write_delay_s`: wait after a configuration write (lock, unlock, element, management) before its answer.
    `job_delay_s`: how long each job takes. `fail_jobs`: the operations whose jobs fail.
    `drop_after_writes`: answer that many more element writes, then cut the connection of the next one, once;
    `drop_applies` tells whether that one is stored before the cut.
    `lose_edits`: answer that many element writes as done, without storing them.
    `switch_before_writes`: handle that many more configuration writes, then let the pair switch over just before the
    next one is handled, once.
    `role`: what `/system/status` says; only `active` and `standalone` accept configuration writes.
    """

    write_delay_s: float = 0.0
    job_delay_s: float = 0.2
    fail_jobs: frozenset[str] = field(default_factory=frozenset)
    drop_after_writes: int | None = None
    drop_applies: bool = False
    lose_edits: int = 0
    switch_before_writes: int | None = None
    role: str = "active"

    def update(self, wanted: dict[str, Any]) -> None:
        """Set the named switches, all or none; `ValueError` names the one that is unknown or has a bad value."""
        checked = {name: _checked(name, value) for name, value in wanted.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "fail_jobs": sorted(self.fail_jobs)}

    @property
    def writable(self) -> bool:
        return self.role in {"active", "standalone"}

    def take_lost_edit(self) -> bool:
        """Whether the edit at hand is to be lost; counts it."""
        if self.lose_edits == 0:
            return False
        self.lose_edits -= 1
        return True

    def take_drop(self) -> bool:
        """Whether the connection of the element write at hand is to be cut; counts the write."""
        due, self.drop_after_writes = _counted(self.drop_after_writes)
        return due

    def take_switch(self) -> bool:
        """Whether the pair switches over before the configuration write at hand; counts the write."""
        due, self.switch_before_writes = _counted(self.switch_before_writes)
        return due


def _counted(left: int | None) -> tuple[bool, int | None]:
    """Whether a countdown is over, and what is left of it."""
    if left is None:
        return False, None
    return (True, None) if left == 0 else (False, left - 1)


def _checked(name: str, value: Any) -> Any:
    match name:
        case "write_delay_s" | "job_delay_s" if _is_number(value) and 0 <= value <= 3600:
            return float(value)
        case "lose_edits" if _is_count(value):
            return value
        case "drop_after_writes" | "switch_before_writes" if value is None or _is_count(value):
            return value
        case "drop_applies" if isinstance(value, bool):
            return value
        case "role" if value in ROLES:
            return value
        case "fail_jobs" if isinstance(value, (list, set, tuple, frozenset)) and OPERATIONS.issuperset(value):
            return frozenset(value)
    known = {each.name for each in fields(Controls)}
    raise ValueError(f"{name} cannot be {value!r}" if name in known else f"there is no control {name}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
