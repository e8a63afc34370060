"""What the inside asks of the outside: protocols for drivers and for what a handler holds; stores have a module of
their own, whose names are here, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from opensdm.core.element import Element, Schema
from opensdm.core.identity import Session, SessionPolicy
from opensdm.core.inventory import Credentials
from opensdm.core.lock import Actor, Answer, LockPolicy, LockRequest
from opensdm.core.node import NodeRhythm
from opensdm.core.operations import Operation
from opensdm.core.permit import Permit, Read, Verifier, Write
from opensdm.core.store_ports import (
    Activity,
    AskRow,
    AuditStore,
    ConfigurationStore,
    DeviceFacts,
    Effect,
    IdentityStore,
    InventoryStore,
    LockStore,
    LockView,
    NewDevice,
    NodeRow,
    NodeStore,
    Packed,
    Page,
    RunningWork,
    SessionRow,
    TaskStore,
    Transaction,
    WaitingRequest,
)

__all__ = [
    "Activity", "AskRow", "AuditStore", "Capabilities", "ConfigurationStore", "DeviceConnection", "DeviceFacts",
    "Driver", "DriverRegistry", "Effect", "ElementEdit", "IdentityStore", "InventoryStore", "LockStore", "LockView",
    "NewDevice", "NodeRow", "NodeStore", "Packed", "Page", "Passwords", "RunningWork", "SessionRow", "TaskStore",
    "Transaction", "WaitingRequest", "Work",
]  # fmt: skip

T = TypeVar("T")


# ---------------------------------------------------------------------------------------- drivers


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can promise of its devices, so that callers know what they may ask."""

    candidate: bool = False
    """Edits are collected beside what runs; without it each write runs at once."""
    device_lock: bool = False
    verify: bool = False
    separate_save: bool = False
    """`SaveConfig` and `ActivateConfig` can be asked for alone: what is saved need not run yet."""
    saves_last: bool = False
    """Changes run first and are kept over a reboot afterwards (NETCONF, routers); an SBC saves, then activates."""
    restore: bool = False
    """The device can put back `running` or `saved` by itself; without it a push undoes edit by edit."""
    confirmed_commit: bool = False
    """An activation undoes itself unless it is confirmed."""
    ends_foreign_session: bool = False
    """A session that an earlier run of ours left on the device can be ended from a new one."""
    unfenced: bool = False
    """A write cut off may reach the device at any time later: it can neither be locked nor asked to confirm a write,
    nor can an earlier session be ended. After an interruption somebody must look and confirm."""
    writes: bool = True
    """False: the platform is there to be loaded and backed up."""


@dataclass(frozen=True, slots=True)
class ElementEdit:
    """One write to a device: `before` None creates, `after` None deletes, else replaces."""

    before: Element | None
    after: Element | None


class DeviceConnection(Protocol):
    """A driver's connection to one device. Each method asks the gate's verifier about its permit.

    Raises `DeviceFault` classes; `LockLost` when a step is refused by the fence. Element names are
    northbound; the driver translates.
    """

    capabilities: Capabilities

    @property
    def learned(self) -> Mapping[str, str]:
        """Device parameters found out at this connection and to be kept: a key trusted on first use. Mostly empty."""

    async def facts(self, permit: Permit[Read]) -> DeviceFacts: ...
    async def read_schema(self, permit: Permit[Read]) -> Schema: ...
    async def read_elements(
        self, permit: Permit[Read], schema: Schema, paths: Sequence[str] | None = None, *, running: bool = False
    ) -> tuple[Element, ...]:
        """Top-level elements with children, of the named types or all; `running` or the editing configuration.

        Without a candidate the two are one.
        """

    async def read_named(
        self, permit: Permit[Read], schema: Schema, elements: Sequence[Element], *, running: bool = False
    ) -> tuple[Element, ...]:
        """Those of some top-level elements that the device has, as it has them, found by their keys.

        Where the device cannot be asked for single elements, all of their types may come along.
        """

    def preview(self, schema: Schema, edit: ElementEdit) -> tuple[str, ...]:
        """What a write would send, a line each, secrets masked; asks nothing of the device."""

    async def lock(self, permit: Permit[Write]) -> None:
        """Takes the device's own configuration lock, for this connection; nothing where there is none.

        A session that an earlier run of ours left on the device (`Credentials.left_session`) is ended first.
        """

    async def unlock(self, permit: Permit[Write]) -> None: ...
    async def write(self, permit: Permit[Write], schema: Schema, edit: ElementEdit) -> None:
        """Puts one edit into the editing configuration; without a candidate it runs at once."""

    async def verify(self, permit: Permit[Write]) -> str | None:
        """None when the device finds the editing configuration valid, else its own words."""

    async def save(self, permit: Permit[Write]) -> None:
        """Keeps the configuration over a reboot: the editing one, or with `saves_last` the running one."""

    async def activate(self, permit: Permit[Write]) -> None:
        """Makes it run: what was saved, or with `saves_last` what was edited. Nothing without a candidate."""

    async def confirm(self, permit: Permit[Write]) -> None:
        """Makes an activation final, where it would undo itself; else nothing."""

    async def restore(self, permit: Permit[Write], source: str) -> None:
        """Replaces the editing configuration by `running` or `saved`, and undoes an activation not yet confirmed."""

    async def close(self) -> None:
        """Ends this connection; gives up the device's session and with it the device-side lock."""


class Driver(Protocol):
    """Opens connections to the devices of one platform."""

    platform: str
    capabilities: Capabilities

    def connect(self, device_id: int, credentials: Credentials, verifier: Verifier) -> DeviceConnection: ...


class DriverRegistry(Protocol):
    """Finds the driver of a platform."""

    def driver(self, platform: str) -> Driver:
        """Raises InvalidRequest that names the platforms there are."""

    def platforms(self) -> tuple[str, ...]: ...
    async def close(self) -> None:
        """Ends connections that are kept open between operations."""


# ------------------------------------------------------------------------------------- what a handler gets


class Passwords(Protocol):
    """Password hashing, off the event loop and with bounded concurrency."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, password: str, password_hash: str | None) -> bool:
        """As slow for `None` (no such user) as for a real hash, so that timing tells nothing."""


class Work(Protocol):
    """What the gate hands a handler; dead once the operation has ended (HouseRuleBroken)."""

    @property
    def session(self) -> Session: ...
    @property
    def request_id(self) -> str: ...
    @property
    def address(self) -> str:
        """The client's address, for throttling and the session's record."""

    @property
    def passwords(self) -> Passwords: ...
    @property
    def platforms(self) -> tuple[str, ...]: ...
    @property
    def session_policy(self) -> SessionPolicy: ...

    async def read(self, query: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run a query in one read transaction."""

    async def pack(self, elements: Sequence[Element]) -> Sequence[Element] | Packed:
        """A large configuration made ready to be stored, so that no transaction is long; a small one as it is."""

    async def commit(self, effect: Effect[T], *, found: str | None = None) -> T:
        """Run the operation's effect in one transaction with its lock check; exactly once per operation.

        For an operation that holds a claim: with the fence instead, and as often as needed. `found`, for the server's
        own work only: the tag of an audit row that is left where the effect answers something true.
        """

    async def decide(self, request: LockRequest) -> Answer:
        """Lock operations only: have the rules decide, on the devices the operation names; raises refusals.

        What may wait is answered when its wait is over.
        """

    async def foresee(self, request: LockRequest) -> Answer:
        """What the rules would answer now, on the devices the operation names; nothing happens."""

    async def expire(self, devices: Sequence[int]) -> None:
        """The server's own work only: end the leases that are due on these devices."""

    async def settled_events(self) -> int:
        """The id of a lock event up to which all are there: none with a smaller id can still come."""

    @property
    def lock_policy(self) -> LockPolicy: ...
    @property
    def rhythm(self) -> NodeRhythm:
        """By which nodes are found dead."""

    @property
    def actor(self) -> Actor:
        """The caller as owner of locks and claims."""

    def permit_read(self) -> Permit[Read]:
        """Only for operations whose rule reaches the device."""

    def permit_write(self) -> Permit[Write]:
        """Only for change operations whose rule reaches the device."""

    async def connect(self, device_id: int) -> DeviceConnection:
        """A connection to one of the operation's devices, closed by the gate at its end."""

    async def connect_host(self, platform: str, credentials: Credentials) -> DeviceConnection:
        """A connection to a host that is not enrolled, for operations of scope HOST; closed by the gate at its end."""

    def capabilities(self, platform: str) -> Capabilities:
        """What a platform's driver can do. Raises InvalidRequest for a platform there is none for."""

    @property
    def task_id(self) -> str | None:
        """Of operations that are kept as tasks."""

    async def progress(
        self, stage: str, state: str, note: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        """Tell those who watch the task; never fails."""

    async def cancel_asked(self) -> bool:
        """Whether the task's owner wants it to stop."""

    async def execute(self, operation: Operation) -> object:
        """Send a part of a composite through the front door again, as the same caller."""

    @property
    def uncertain(self) -> bool:
        """An earlier exclusive claim was cut short: read the device back before relying on our copy."""
