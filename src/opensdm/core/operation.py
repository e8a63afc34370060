"""What an operation is, and the rule each one must name before it can be imported."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar

from opensdm.core.identity import Area, Level


class Kind(StrEnum):
    """The class of an operation under a foreign lock; see `docs/architecture.md`."""

    PUBLIC = "public"
    """Needs no session: login, and nothing that shows or changes a device."""
    OBSERVE = "observe"
    LOCK = "lock"
    """Takes, frees or takes away locks: decided by the lock rules themselves."""
    TOUCH = "touch"
    CHANGE = "change"
    MACHINERY = "machinery"


class Claim(StrEnum):
    """What mark the operation leaves on its devices while it runs."""

    NONE = "none"
    SHARED = "shared"
    EXCLUSIVE = "exclusive"


class Scope(StrEnum):
    """How the target devices are found, inside the transaction that decides."""

    SERVER = "server"
    DEVICE = "device"
    DEVICES = "devices"
    NETWORK_FUNCTION = "network_function"
    FUNCTION_GROUP = "function_group"
    DEVICE_GROUP = "device_group"
    HOST = "host"
    """An address that no device here has: nothing to lock; an enrolled one is refused."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the gate treats an operation.

    `tag` is the audit tag (scope:object:past tense). `writes` marks what a read-only device refuses.
    `alone` asks that no claim at all is on the devices. `reaches_device` marks the operations that get
    a permit. `local` marks those that only the local console of the server may send. `task` marks long work on
    one device that is kept as a task, with its progress.
    """

    kind: Kind
    tag: str
    area: Area | None
    level: Level
    scope: Scope = Scope.SERVER
    claim: Claim = Claim.NONE
    writes: bool = False
    exclusive: bool = False
    alone: bool = False
    drop: bool = False
    reaches_device: bool = False
    local: bool = False
    task: bool = False


REGISTRY: dict[str, type[Operation]] = {}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One request, as data. `epoch` is the fencing token a caller may carry."""

    rule: ClassVar[Rule]
    epoch: int | None = None

    def __init_subclass__(cls, *, rule: Rule | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rule is None:
            raise TypeError(f"{cls.__name__} names no rule: every operation says how it is gated")
        _check_rule(cls.__name__, rule)
        if cls.__name__ in REGISTRY:
            raise TypeError(f"two operations are called {cls.__name__}")
        cls.rule = rule
        REGISTRY[cls.__name__] = cls

    @property
    def name(self) -> str:
        return type(self).__name__

    def describe(self) -> dict[str, Any]:
        """The fields for the audit trail, without what is secret."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.repr and getattr(self, f.name) is not None}


def _check_rule(name: str, rule: Rule) -> None:
    """Refuse, at import, rules that could open a way around the gate."""
    if rule.claim is not Claim.NONE and rule.kind not in (Kind.TOUCH, Kind.CHANGE):
        raise TypeError(f"{name}: only touch and change operations take claims")
    if rule.kind is Kind.TOUCH and rule.claim is Claim.NONE:
        raise TypeError(f"{name}: a touch operation takes a claim")
    if rule.reaches_device and rule.kind is Kind.CHANGE and rule.claim is not Claim.EXCLUSIVE:
        raise TypeError(f"{name}: a change that reaches the device takes an exclusive claim")
    if rule.reaches_device and rule.kind not in (Kind.TOUCH, Kind.CHANGE, Kind.MACHINERY):
        raise TypeError(f"{name}: {rule.kind} operations never reach a device")
    about_devices = rule.kind in (Kind.LOCK, Kind.TOUCH) or rule.claim is not Claim.NONE or rule.reaches_device
    if rule.scope is Scope.SERVER and about_devices:
        raise TypeError(f"{name}: names no device")
    if rule.task and (rule.claim is not Claim.EXCLUSIVE or rule.scope is not Scope.DEVICE):
        raise TypeError(f"{name}: a task holds an exclusive claim on one device")
    if rule.area is None and rule.kind not in (Kind.PUBLIC, Kind.MACHINERY) and not rule.local:
        raise TypeError(f"{name}: names no privilege")


def observe(tag: str, area: Area, scope: Scope = Scope.SERVER) -> Rule:
    """The rule of a read: no claim, no lock check, the View level of its area."""
    return Rule(Kind.OBSERVE, tag, area, Level.VIEW, scope)
