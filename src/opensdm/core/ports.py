"""What the inside asks of the outside: protocols for stores, drivers and clocks.

Every repository below is bound to one transaction. Outside a write transaction it only reads; a
write on a read transaction is refused by the database itself. Methods raise `core.errors` classes;
`NotFound` where an id is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from opensdm.core.audit import AuditEntry
from opensdm.core.element import Element, Schema
from opensdm.core.identity import Area, Level, Session, SessionPolicy, User
from opensdm.core.inventory import Credentials, Device, DeviceGroup, NetworkFunction
from opensdm.core.lock import Actor, Answer, LockEvent, LockRow, ReleaseLock, TakeAway, TakeLock
from opensdm.core.operations import Operation
from opensdm.core.permit import Permit, Read, Verifier, Write
from opensdm.core.staging import ChangeSet, Configuration, PendingChange
from opensdm.core.task import Progress, Task, TaskState
from opensdm.core.validation import Key
from opensdm.core.versions import Drift, Version, VersionNote

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list: `offset` counts from 0; `limit` None means everything."""

    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to be enrolled. `secrets` are stored encrypted, `parameters` in the clear."""

    device_name: str
    address: str
    platform: str
    parameters: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    secondary_address: str | None = None
    read_only: bool = False
    reachable: bool = False
    group_name: str | None = None
    """The group inside a clustered network function; None: the function's own group."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device says of itself. `role`: active, standby, standalone, ..., as the device words it."""

    platform: str
    software_version: str
    host_name: str
    role: str
    serial_number: str = "--"
    state: str = ""
    health_percent: int | None = None
    up_time: str = ""


@dataclass(frozen=True, slots=True)
class LockView:
    """A lock as shown to people: the row, and what is known of its holder and of running work."""

    row: LockRow
    idle_s: int | None
    holder_logged_in: bool
    orphaned: bool
    running: tuple[RunningWork, ...] = ()


@dataclass(frozen=True, slots=True)
class RunningWork:
    """A claim that is not over, as shown."""

    operation: str
    owner: str
    since_us: int
    state: str
    step_until_us: int | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A stored session with its user's present standing."""

    session_id: int
    user: User
    door: str
    rights: Mapping[Area, Level]
    created_us: int
    last_used_us: int
    idle_timeout_s: int


class InventoryStore(Protocol):
    """Groups, network functions, devices."""

    async def groups(self, filters: Mapping[str, str], page: Page) -> tuple[list[DeviceGroup], int]: ...
    async def group(self, group_id: int) -> DeviceGroup: ...
    async def group_named(self, full_name: str) -> DeviceGroup: ...
    async def add_group(self, group_name: str, parent_id: int, *, top_level: bool) -> DeviceGroup: ...
    async def change_group(self, group_id: int, *, group_name: str, parent_id: int, top_level: bool) -> DeviceGroup: ...
    async def delete_group(self, group_id: int) -> None: ...
    async def functions(self, filters: Mapping[str, str], page: Page) -> tuple[list[NetworkFunction], int]: ...
    async def function(self, nf_id: int) -> NetworkFunction: ...
    async def add_function(
        self, nf_name: str, parent_id: int, category: str, type_name: str, devices: Sequence[NewDevice]
    ) -> NetworkFunction: ...
    async def move_function(self, nf_id: int, parent_id: int) -> None: ...
    async def delete_function(self, nf_id: int) -> None: ...
    async def function_groups(self, nf_id: int) -> list[DeviceGroup]: ...
    async def devices(
        self, filters: Mapping[str, str], page: Page, *, managed: bool = False
    ) -> tuple[list[Device], int]: ...
    async def device(self, device_id: int) -> Device: ...
    async def devices_in(self, group_id: int) -> list[Device]:
        """All devices of a group and of the groups beneath it, by id."""

    async def credentials(self, device_id: int) -> Credentials: ...
    async def set_parameters(
        self, device_id: int, parameters: Mapping[str, str], secrets: Mapping[str, str], *, read_only: bool
    ) -> None:
        """Replaces the named parameters and secrets; others stay. `primary.ip` changes the address."""

    async def set_assigned(self, device_id: int, assigned: bool) -> None: ...
    async def set_polled(
        self, device_id: int, *, reachable: bool, facts: DeviceFacts | None, error: str | None
    ) -> None: ...
    async def set_operation(self, device_id: int, *, last_operation: str, status: str) -> None: ...
    async def set_left_session(self, device_id: int, note: str | None) -> None:
        """What `Credentials.left_session` answers from now on; stored sealed."""

    async def learn_parameters(self, device_id: int, parameters: Mapping[str, str]) -> None:
        """Sets those of the parameters that have no value yet: the first one to learn something wins."""

    async def writing(self, device_id: int) -> tuple[int, bool]:
        """The newest exclusive claim's number on a device (0: none), and whether any is not over.

        Asked before and after a read of the device, it tells whether the read may have met a write.
        """


class IdentityStore(Protocol):
    """Users, groups' rights, sessions, failed attempts. Tokens come in hashed."""

    async def user_named(self, user_name: str) -> tuple[User, str] | None:
        """The account, without regard to case, and its password hash."""

    async def users(self) -> list[User]: ...
    async def add_user(self, user_name: str, group: str, password_hash: str) -> User: ...
    async def set_disabled(self, user_id: int, disabled: bool) -> None: ...
    async def set_password(self, user_id: int, password_hash: str) -> None: ...
    async def session(self, token_hash: bytes) -> SessionRow | None:
        """The live session of a token: not ended, not idle too long, its user not disabled."""

    async def open_session(
        self,
        user_id: int,
        token_hash: bytes,
        door: str,
        address: str,
        *,
        idle_timeout_s: int,
        max_sessions: int,
        absolute_s: int = 86_400,
    ) -> int:
        """Past `max_sessions` of one user the least recently used one ends."""

    async def has_session_from(self, user_id: int, address: str) -> bool:
        """Whether this user has logged in from this address, as far back as sessions are kept."""

    async def end_session(self, session_id: int) -> None: ...
    async def end_sessions_of(self, user_id: int, *, but: int | None = None) -> int:
        """All sessions of a user, except perhaps one; answers how many ended."""

    async def touch_session(self, session_id: int) -> None: ...
    async def failures_since(self, keys: Sequence[str], since_us: int) -> Mapping[str, tuple[int, int]]:
        """For each key (`user:bob`, `address:192.0.2.1`): failed logins, and the newest one's time."""

    async def record_failure(self, keys: Sequence[str], since_us: int) -> None:
        """One more failure for each key; one whose newest failure is older than `since_us` starts at 1 again."""

    async def clear_failures(self, keys: Sequence[str]) -> None: ...
    async def expire_rows(self) -> int:
        """Delete long-ended sessions, ended claims and old failures; answers how many rows went."""


class ConfigurationStore(Protocol):
    """Our copies of device configurations, their history and schemas, and every user's staged changes.

    A change set is named; the unnamed one (`""`) is what the published API knows. `paths` are types of top-level
    elements: what they leave out is neither read nor decoded.
    """

    async def configuration(self, device_id: int, paths: Sequence[str] | None = None) -> Configuration | None: ...
    async def save_configuration(
        self, device_id: int, elements: Sequence[Element], note: VersionNote, paths: Sequence[str] | None = None
    ) -> Configuration:
        """A new version that becomes our copy. With `paths` only elements of these types are replaced, others stay.

        Answers the copy with the given elements only.
        """

    async def add_version(self, device_id: int, elements: Sequence[Element], note: VersionNote) -> Version:
        """A new version beside our copy, which stays as it is. A `torn` one that equals a version that was not
        torn, of those kept around it, is not torn either.
        """

    async def versions(self, device_id: int, page: Page) -> tuple[list[Version], int]:
        """Newest first."""

    async def version(self, device_id: int, number: int) -> Version: ...
    async def version_elements(
        self, device_id: int, number: int, paths: Sequence[str] | None = None
    ) -> tuple[Element, ...]: ...
    async def differing_paths(self, device_id: int, one: int, other: int) -> tuple[str, ...]:
        """The types in which two versions differ, found without decoding either."""

    async def prune_versions(self, keep: int) -> int:
        """Drop the oldest versions past `keep` of each device, never its current one, and content nobody refers to."""

    async def drift(self, device_id: int) -> Drift | None: ...
    async def set_drift(self, device_id: int, drift: Drift | None) -> None: ...
    async def schema(self, platform: str, version: str) -> Schema | None: ...
    async def save_schema(self, schema: Schema) -> None: ...
    async def changes(self, user_id: int, device_id: int, change_set: str = "") -> list[PendingChange]: ...
    async def put_change(self, user_id: int, device_id: int, change: PendingChange, change_set: str = "") -> None:
        """One row per element; a change whose `before` equals its `after` is removed."""

    async def discard_changes(self, user_id: int, device_id: int, change_set: str = "") -> int: ...
    async def change_sets(self, user_id: int, device_id: int) -> list[ChangeSet]:
        """Those that hold anything, by name."""

    async def devices_with_changes(self, user_id: int, device_ids: Sequence[int]) -> frozenset[int]: ...
    async def staged_keys(self, user_id: int, device_ids: Sequence[int]) -> Mapping[int, frozenset[Key]]:
        """Of each device, the top-level elements this user has staged changes of, in any change set."""


class TaskStore(Protocol):
    """Long work and its progress."""

    async def open_task(self, task_id: str, operation: str, device_id: int, user_id: int, claim_id: int) -> None: ...
    async def task(self, task_id: str) -> Task:
        """A task left RUNNING by a claim that is not is INTERRUPTED."""

    async def tasks(self, filters: Mapping[str, str], page: Page) -> tuple[list[Task], int]:
        """Newest first. `filters`: deviceId, userName, state, operation."""

    async def add_progress(
        self, task_id: str, stage: str, state: str, note: str = "", done: int | None = None, total: int | None = None
    ) -> None: ...
    async def progress(self, task_id: str, after: int = 0) -> list[Progress]:
        """Oldest first, those numbered past `after`."""

    async def finish_task(
        self, task_id: str, state: TaskState, result: Mapping[str, Any] | None, error_code: str | None,
        error_message: str | None,
    ) -> None: ...  # fmt: skip
    async def ask_cancel(self, task_id: str) -> None: ...
    async def cancel_asked(self, task_id: str) -> bool: ...


class LockStore(Protocol):
    """Lock state for showing; deciding is the ledger's."""

    async def lock(self, device_id: int) -> LockView: ...
    async def locks(self, *, holder: str | None, stale: bool | None, page: Page) -> tuple[list[LockView], int]: ...
    async def events(self, device_id: int, page: Page) -> tuple[list[LockEvent], int]: ...
    async def standing(self, session_ids: Sequence[int]) -> Mapping[int, tuple[int, bool]]:
        """For sessions: idle seconds, and whether still logged in."""


class AuditStore(Protocol):
    """The trail. Rows are added with the write they tell of; nothing here changes or removes one."""

    async def entries(
        self, filters: Mapping[str, str], since_us: int | None, until_us: int | None, page: Page
    ) -> tuple[list[AuditEntry], int]: ...


class NodeStore(Protocol):
    """Server nodes, for the server's own state page."""

    async def nodes(self) -> list[NodeRow]: ...


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One server node; `live` by the database's clock."""

    node_name: str
    incarnation: int
    address: str
    started_us: int
    heartbeat_us: int
    heartbeats: int
    live: bool


class Transaction(Protocol):
    """One database transaction, reading or writing; `now_us` is the database's clock at its start."""

    now_us: int

    @property
    def inventory(self) -> InventoryStore: ...
    @property
    def identity(self) -> IdentityStore: ...
    @property
    def configurations(self) -> ConfigurationStore: ...
    @property
    def tasks(self) -> TaskStore: ...
    @property
    def locks(self) -> LockStore: ...
    @property
    def audit(self) -> AuditStore: ...
    @property
    def nodes(self) -> NodeStore: ...


Effect = Callable[[Transaction], Awaitable[T]]
"""What a handler does in the database: runs inside the transaction that checked the lock."""


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

    async def commit(self, effect: Effect[T]) -> T:
        """Run the operation's effect in one transaction with its lock check; exactly once per operation.

        For an operation that holds a claim: with the fence instead, and as often as needed.
        """

    async def decide(self, request: TakeLock | ReleaseLock | TakeAway) -> Answer:
        """Lock operations only: have the rules decide, on the devices the operation names; raises refusals."""

    @property
    def actor(self) -> Actor:
        """The caller as owner of locks and claims."""

    def permit_read(self) -> Permit[Read]:
        """Only for operations whose rule reaches the device."""

    def permit_write(self) -> Permit[Write]:
        """Only for change operations whose rule reaches the device."""

    async def connect(self, device_id: int) -> DeviceConnection:
        """A connection to one of the operation's devices, closed by the gate at its end."""

    async def execute(self, operation: Operation) -> object:
        """Send a part of a composite through the front door again, as the same caller."""

    @property
    def uncertain(self) -> bool:
        """An earlier exclusive claim was cut short: read the device back before relying on our copy."""
