"""What a server that was killed may have left behind, judged from outside: by what was sent to it and what it answered.

`Possible` keeps every state its devices may be in. A request takes effect at one instant between its start and its
answer; one whose answer never came did so before the crash, wholly, or never will. No state left means that no
server with real locks could have given these answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

SUCCESS = "SUCCESS"


class Violation(AssertionError):
    """What was answered, or what was found after a restart, cannot have come about by the rules of the lock."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One device's lock; `holder` None means free."""

    holder: str | None = None
    epoch: int = 0
    reason: str | None = None

    def open_to(self, user: str) -> bool:
        return self.holder in (None, user)


class Kind(StrEnum):
    LOCK = "lock"
    UNLOCK = "unlock"
    OVERRIDE = "override"
    USE = "use"
    """Anything a foreign lock refuses and that leaves the lock as it is: staging, loading, pushing."""
    SHOW = "show"


@dataclass(frozen=True, slots=True)
class Answer:
    """`locks`: rows it showed, by device. `blockers`: holder and epoch of each lock that it named as in the way."""

    code: str
    locks: Mapping[int, Lock] = field(default_factory=dict)
    blockers: Mapping[int, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One request; several devices are a group, all of it or nothing. Times in seconds of one clock.

    `answer` None: none came, and whether it took effect is unknown. `work`: it is one of those that run alone on a
    device. `expected` and `transfer` are those of an override. `late`: what an answered call may still bring about; it
    has no answer and no audit row of its own.
    """

    call_id: str
    user: str
    kind: Kind
    devices: tuple[int, ...]
    begun: float
    ended: float | None = None
    answer: Answer | None = None
    reason: str | None = None
    expected: str | None = None
    transfer: bool = False
    work: bool = False
    late: bool = False

    @property
    def succeeded(self) -> bool:
        return self.answer is not None and self.answer.code == SUCCESS

    @property
    def changes(self) -> bool:
        """It may have changed a lock: it said so, or said nothing."""
        return self.kind not in (Kind.USE, Kind.SHOW) and (self.answer is None or self.succeeded)


State = tuple[Lock, ...]
Config = tuple[State, frozenset[str]]
"""One possible state, and the calls under way that have taken effect in it."""

TELLING = {
    Kind.LOCK: (SUCCESS, "DEVICE_LOCKED"),
    Kind.UNLOCK: (SUCCESS, "NOT_LOCK_OWNER"),
    Kind.OVERRIDE: (SUCCESS, "LOCK_CHANGED"),
    Kind.USE: (SUCCESS, "DEVICE_LOCKED"),
    Kind.SHOW: (SUCCESS,),
}
"""Answers that say something of the lock. Others (busy, not loaded, ...) change nothing and prove nothing."""


NEVER_RAN = ("DEVICE_LOCKED", "DEVICE_BUSY")


class Possible:
    """The states that devices locked together may be in. Feed it calls in the order of their instants."""

    def __init__(self, devices: Sequence[int], state: State | None = None) -> None:
        self.devices = tuple(devices)
        self._configs: set[Config] = {(state or tuple(Lock() for _ in devices), frozenset())}
        self._under_way: dict[str, Call] = {}

    def begin(self, call: Call) -> None:
        self._under_way[call.call_id] = call
        self._configs = {self._noticed(*config) for config in self._configs}

    def end(self, call: Call) -> None:
        """Its answer is there: it took effect before this."""
        possible = {(state, done - {call.call_id}) for state, done in self._reachable() if call.call_id in done}
        if not possible:
            raise Violation(f"{call} cannot be answered like this; possible were {self._words()}")
        del self._under_way[call.call_id]
        self._configs = possible

    def crash(self, happened: Mapping[str, bool]) -> None:
        """The server is gone: what had not taken effect never will. `happened`: what is known of lost answers."""
        unknown = {call_id: happened[call_id] for call_id in self._under_way if call_id in happened}
        possible = {
            (state, frozenset[str]())
            for state, done in self._reachable()
            if all((call_id in done) == known for call_id, known in unknown.items())
        }
        if not possible:
            raise Violation(f"the audit trail says {unknown}; possible were {self._words()}")
        self._under_way.clear()
        self._configs = possible

    def found(self, locks: Mapping[int, Lock]) -> None:
        """What the devices show while nothing is under way."""
        state = tuple(locks[d] for d in self.devices)
        if state not in {possible for possible, _ in self._configs}:
            raise Violation(f"found {self._named(state)}; possible were {self._words()}")
        self._configs = {(state, frozenset())}

    # ------------------------------------------------------------------------------------ the search

    def _reachable(self) -> set[Config]:
        """Every way in which calls under way may have taken effect by now, in any order."""
        seen = set(self._configs)
        todo = list(seen)
        while todo:
            state, done = todo.pop()
            for call in self._under_way.values():
                if not call.changes or call.call_id in done:
                    continue
                for after in self._effects(call, state):
                    config = self._noticed(after, done | {call.call_id})
                    if config not in seen:
                        seen.add(config)
                        todo.append(config)
        return seen

    def _noticed(self, state: State, done: frozenset[str]) -> Config:
        """A call that changes nothing is taken to have looked as soon as its answer fits."""
        looked = (c for c in self._under_way.values() if not c.changes and c.call_id not in done)
        return state, done.union(c.call_id for c in looked if any(True for _ in self._effects(c, state)))

    def _effects(self, call: Call, state: State) -> Iterator[State]:
        """The states this call can lead to from here with the answer it had."""
        here = [self.devices.index(d) for d in call.devices]
        for code, after in outcomes(call, [state[n] for n in here]):
            locks = dict(zip(call.devices, after, strict=True))
            if _fits(call, code, locks):
                whole = list(state)
                for n, lock in zip(here, after, strict=True):
                    whole[n] = lock
                yield tuple(whole)

    def _words(self) -> str:
        return " or ".join(sorted(f"{self._named(state)} after {sorted(done)}" for state, done in self._configs))

    def _named(self, state: State) -> str:
        return ", ".join(f"{d}: {s.holder}/{s.epoch}/{s.reason}" for d, s in zip(self.devices, state, strict=True))


def outcomes(call: Call, locks: Sequence[Lock]) -> Iterator[tuple[str, list[Lock]]]:
    """What may come of a call on these locks: the code of its answer, and the locks afterwards."""
    same, user = list(locks), call.user
    match call.kind:
        case Kind.LOCK if all(lock.open_to(user) for lock in locks):
            yield SUCCESS, [_taken(lock, call) for lock in locks]
        case Kind.USE if all(lock.open_to(user) for lock in locks):
            yield SUCCESS, same
        case Kind.LOCK | Kind.USE:
            yield "DEVICE_LOCKED", same
        case Kind.UNLOCK if any(lock.holder == user for lock in locks) or all(lock.holder is None for lock in locks):
            yield SUCCESS, [Lock(None, lock.epoch) if lock.holder == user else lock for lock in locks]
        case Kind.UNLOCK:
            yield "NOT_LOCK_OWNER", same
        case Kind.OVERRIDE if locks[0].holder is not None and locks[0].holder == call.expected:
            freed = Lock(None, locks[0].epoch + 1)
            yield SUCCESS, [freed]
            if call.transfer:  # to its new owner at once, unless work still runs
                yield SUCCESS, [_taken(freed, call)]
        case Kind.OVERRIDE:
            yield "LOCK_CHANGED", same
        case Kind.SHOW:
            yield SUCCESS, same


def _taken(lock: Lock, call: Call) -> Lock:
    if lock.holder is None:
        return Lock(call.user, lock.epoch + 1, call.reason)
    return lock if call.reason is None else replace(lock, reason=call.reason)


def _fits(call: Call, code: str, locks: Mapping[int, Lock]) -> bool:
    answer = call.answer
    if answer is None:
        return code == SUCCESS
    if answer.code != code or any(locks[d] != lock for d, lock in answer.locks.items()):
        return False
    if code != "DEVICE_LOCKED":
        return True
    foreign = {d: (lock.holder, lock.epoch) for d, lock in locks.items() if not lock.open_to(call.user)}
    return foreign == answer.blockers


def _tells(kind: Kind, answer: Answer) -> bool:
    """Whether the answer says something of the locks: one that only names who waits does not."""
    return answer.code in TELLING[kind] and (answer.code != "DEVICE_LOCKED" or bool(answer.blockers))


def feed(possible: Possible, calls: Iterable[Call]) -> None:
    """The calls of one life of the server, as far as they concern these devices and tell something."""
    instants: list[tuple[float, int, Call]] = []
    for call in calls:
        if call.devices[0] not in possible.devices:
            continue
        if call.answer is None and call.changes:
            instants.append((call.begun, 0, call))
        elif call.answer is not None and call.ended is not None and _tells(call.kind, call.answer):
            instants += [(call.begun, 0, call), (call.ended, 1, call)]
    for _, ending, call in sorted(instants, key=lambda instant: instant[:2]):
        (possible.end if ending else possible.begin)(call)


# ------------------------------------------------------------------------------------------- history


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a device's history as the server tells it; `epoch` and `holder` are those after the change."""

    kind: str
    epoch: int
    actor: str
    holder: str | None
    reason: str | None


def replayed(lock: Lock, events: Iterable[Event]) -> Lock:
    """The lock after these events. Violation for a step that no lock takes, such as a grant without a new epoch."""
    for event in events:
        after = _after(lock, event)
        if after is None or (after.holder, after.epoch) != (event.holder, event.epoch):
            raise Violation(f"{event} cannot follow on {lock}")
        lock = after
    return lock


def _after(lock: Lock, event: Event) -> Lock | None:
    match event.kind.rpartition(":")[2]:
        case "taken" if lock.holder is None:
            return Lock(event.actor, lock.epoch + 1, event.reason)
        case "noted" if lock.holder == event.actor:
            return replace(lock, reason=event.reason)
        case "released" if lock.holder == event.actor:
            return Lock(None, lock.epoch)
        case "overridden" | "expired" if lock.holder is not None:
            return Lock(None, lock.epoch + 1)
        case "waiting" | "abandoned" | "leased" | "asked":
            return lock
        case _:
            return None


# ---------------------------------------------------------------------------------------------- work


def check_busy(calls: Sequence[Call], open_until: Mapping[int, float]) -> None:
    """Work keeps a device busy while it runs, and work that a crash cut off until its open step is over; no longer.

    `open_until`: the end of the step that an earlier life of the server left open on a device, by the calls' clock.
    """
    work = [call for call in calls if call.work]
    for call in calls:
        if call.answer is None or call.answer.code != "DEVICE_BUSY" or call.ended is None:
            continue
        if any(open_until.get(d, 0.0) >= call.begun for d in call.devices):
            continue
        if not any(_overlap(call, call.ended, other) for other in work):
            raise Violation(f"{call} was refused as busy, and nothing was running")


def _overlap(call: Call, ended: float, other: Call) -> bool:
    if other is call or not set(call.devices) & set(other.devices):
        return False
    if other.answer is not None and other.answer.code in NEVER_RAN:
        return False
    return other.begun < ended and (other.ended is None or other.ended > call.begun)
