"""The events of locks, replayed: what they say of each lock, and where that parts from what the database holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from opensdm.core.lock_values import EventKind, LockEvent, LockRow, PendingRow

_LATER_EPOCH = frozenset((EventKind.TAKEN, EventKind.OVERRIDDEN, EventKind.EXPIRED))
_BY_HOLDER = frozenset((EventKind.NOTED, EventKind.LEASED, EventKind.RELEASED, EventKind.DELETED))
_ENDS = frozenset((EventKind.RELEASED, EventKind.DELETED, EventKind.OVERRIDDEN, EventKind.EXPIRED))
_CARRIED = ("epoch", "revoked", "holder_id", "scope", "session_id", "lease_s", "lease_until_us")
"""What every event tells of the lock as it is after it."""
_STATE = (*_CARRIED, "since_us", "door", "reason")


@dataclass(frozen=True, slots=True)
class LockDifference:
    """Where what the events say (`told`) and what is there (`found`) part.

    `what`: a field of the lock, `kind` for an event that cannot follow those before it, `device` for a held lock
    without a device, `waiting` for a request no event tells of. With an `event_id` it is that event which does not
    follow; without one it is the present state. Values are as stored, with the units of their names, and people are
    `NAME, user NUMBER`.
    """

    device_id: int
    device_name: str
    what: str
    told: str | int | None
    found: str | int | None
    event_id: int | None = None


def after(row: LockRow, event: LockEvent) -> LockRow:
    """The lock after an event that follows this row: only what this kind of event changes comes from the event."""
    epoch = row.epoch + 1 if event.kind in _LATER_EPOCH else row.epoch
    if event.kind is EventKind.TAKEN:
        return replace(
            row, epoch=epoch, holder_id=event.actor_id, holder_name=event.actor_name, since_us=event.at_us,
            door=event.door, session_id=event.session_id, reason=event.reason, scope=event.scope,
            lease_s=event.lease_s, lease_until_us=event.lease_until_us,
        )  # fmt: skip
    if event.kind in _ENDS:
        fenced = event.kind is EventKind.OVERRIDDEN and event.revoked == epoch
        return replace(row.freed(), epoch=epoch, revoked=epoch if fenced else row.revoked)
    if event.kind is EventKind.NOTED:
        row = replace(row, reason=event.reason, scope=event.scope)
    if event.kind in (EventKind.NOTED, EventKind.LEASED):
        return replace(row, lease_s=event.lease_s, lease_until_us=event.lease_until_us)
    return row


@dataclass(slots=True)
class Replay:
    """Takes the events in their order; `compare` then goes through the locks that are there, and `finish` ends it.

    `pending`: the waiting requests that are compared, too.
    """

    pending: tuple[PendingRow, ...] = ()
    locks: dict[int, LockRow] = field(default_factory=dict)
    events: int = 0
    differences: list[LockDifference] = field(default_factory=list)
    _waits: dict[tuple[int, int], _Waits] = field(init=False)

    def __post_init__(self) -> None:
        self._waits = {(d, each.owner_id): _Waits() for each in self.pending for d in each.devices}

    def add(self, event: LockEvent) -> None:
        """One more event. One that cannot follow is noted, and believed from there on."""
        self.events += 1
        row = self.locks.get(event.device_id) or LockRow(event.device_id, event.device_name)
        if row.held and row.session_id is None:
            row = replace(row, session_id=event.session_id)  # events of the first form named no session
        then = replace(after(row, event), device_name=event.device_name)
        wrong = [*_out_of_turn(row, event), *_parted(then, event)]
        self.differences += wrong
        self.locks[event.device_id] = _believed(then, event) if wrong else then
        if waits := self._waits.get((event.device_id, event.actor_id or 0)):
            waits.add(event)

    def compare(self, rows: Iterable[LockRow]) -> None:
        """Each lock that is there with what its events say; one without events is free, and always was."""
        for row in rows:
            told = self.locks.pop(row.device_id, None) or LockRow(row.device_id, row.device_name)
            for name in _STATE:
                if getattr(told, name) != getattr(row, name) and not _untold(name, told):
                    self._differs(row, name.removesuffix("_id"), _value(told, name), _value(row, name))
            for each in self.pending:
                if row.device_id in each.devices and not self._waits[(row.device_id, each.owner_id)].covers(each):
                    self._differs(row, "waiting", None, f"{each.owner_name}, user {each.owner_id}")

    def finish(self) -> tuple[LockDifference, ...]:
        """Once all locks were compared: what is left has no device any more. Answers all differences, by device."""
        for row in self.locks.values():
            if row.held:
                self._differs(row, "device", f"held by {_value(row, 'holder_id')}", None)
        return tuple(sorted(self.differences, key=lambda each: each.device_id))

    def _differs(self, row: LockRow, what: str, told: str | int | None, found: str | int | None) -> None:
        self.differences.append(LockDifference(row.device_id, row.device_name, what, told, found))


@dataclass(slots=True)
class _Waits:
    """What the events say of one user's requests that wait, or waited, for one device.

    A request that was granted has no event of its own end: more may be told of than are there, and none less.
    """

    begun: list[int] = field(default_factory=list)
    given_up: int = 0

    def add(self, event: LockEvent) -> None:
        if event.kind is EventKind.WAITING:
            self.begun.append(event.at_us)
        elif event.kind is EventKind.GAVE_UP:
            self.given_up += 1

    def covers(self, row: PendingRow) -> bool:
        """Whether this request was told of; each event stands for one."""
        if row.since_us not in self.begun or len(self.begun) <= self.given_up:
            return False
        self.begun.remove(row.since_us)
        return True


def _out_of_turn(row: LockRow, event: LockEvent) -> Iterator[LockDifference]:
    """An event that has no place there, whatever it tells: a free lock does not end, and a held one is not taken."""
    if event.kind is EventKind.TAKEN:
        fits = not row.held and event.actor_id is not None
    elif event.kind in _BY_HOLDER:
        fits = row.held and event.actor_id == row.holder_id
    else:
        fits = row.held or event.kind not in _ENDS
    if not fits:
        told = f"held by {_value(row, 'holder_id')}" if row.held else "free"
        yield LockDifference(event.device_id, event.device_name, "kind", told, event.kind.value, event.event_id)


def _parted(then: LockRow, event: LockEvent) -> Iterator[LockDifference]:
    for name in _CARRIED:
        if getattr(then, name) != getattr(event, name):
            yield LockDifference(
                event.device_id, event.device_name, name.removesuffix("_id"), _value(then, name), _value(event, name),
                event.event_id,
            )  # fmt: skip


def _believed(then: LockRow, event: LockEvent) -> LockRow:
    """So that one fault is told once, and not by every event after it."""
    if event.holder_id is None:
        then = then.freed()
    return replace(then, holder_name=event.holder_name, **{name: getattr(event, name) for name in _CARRIED})


def _untold(name: str, told: LockRow) -> bool:
    """The session of a lock that was taken when events named none."""
    return name == "session_id" and told.held and told.session_id is None


def _value(of: LockRow | LockEvent, name: str) -> str | int | None:
    if name == "holder_id":
        return None if of.holder_id is None else f"{of.holder_name}, user {of.holder_id}"
    value: str | int | None = getattr(of, name)
    return value
