"""What the inside asks of stores.

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
from opensdm.core.identity import Area, Level, User, UserGroup
from opensdm.core.inventory import Credentials, Device, DeviceGroup, NetworkFunction, Trouble
from opensdm.core.lock import LockEvent, LockRow, PendingRow
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
    waiting: tuple[WaitingRequest, ...] = ()
    asks: tuple[AskRow, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A lock request that waits for the device; until then it bars new work of others."""

    owner: str
    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class AskRow:
    """Somebody asks the holder of a lock to release it; gone with that lock."""

    device_id: int
    device_name: str
    asker_id: int
    asker_name: str
    holder_id: int
    message: str | None
    at_us: int
    epoch: int


@dataclass(frozen=True, slots=True)
class RunningWork:
    """A claim that is not over, as shown."""

    operation: str
    owner: str
    since_us: int
    state: str
    step_until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """What runs on a device, or was cut short on it. `busy`: an exclusive claim that is not over."""

    busy: bool = False
    uncertain: bool = False


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


@dataclass(frozen=True, slots=True)
class Packed:
    """A configuration made ready to be stored before a transaction begins; `parts` is the store's own affair."""

    elements: tuple[Element, ...] = field(repr=False)
    parts: Any = field(repr=False)


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
    async def found(
        self, words: Sequence[str], beneath: int | None, page: Page, trouble: Trouble | None = None
    ) -> tuple[list[Device], int]:
        """Devices by name, of a group and what is beneath it, that have every one of these words in what is shown."""

    async def device(self, device_id: int) -> Device: ...
    async def devices_in(self, group_id: int) -> list[Device]:
        """All devices of a group and of the groups beneath it, by id."""

    async def credentials(self, device_id: int) -> Credentials: ...
    async def set_parameters(
        self, device_id: int, parameters: Mapping[str, str], secrets: Mapping[str, str], *, read_only: bool
    ) -> None:
        """Replaces the named parameters and secrets; others stay. `primary.ip` changes the address."""

    async def check_unknown(self, credentials: Credentials) -> None:
        """Raises InvalidRequest, naming the device, when one of the addresses is that of an enrolled device."""

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

    async def activity(self, device_ids: Sequence[int]) -> Mapping[int, Activity]:
        """Of each of these devices on which anything runs or was cut short."""


class IdentityStore(Protocol):
    """Users, groups' rights, sessions, failed attempts. Tokens come in hashed."""

    async def user_named(self, user_name: str) -> tuple[User, str] | None:
        """The account, without regard to case, and its password hash."""

    async def users(self) -> list[User]: ...
    async def groups(self) -> list[UserGroup]: ...
    async def add_user(self, user_name: str, group: str, password_hash: str) -> User: ...
    async def set_disabled(self, user_id: int, disabled: bool) -> None: ...
    async def delete_user(self, user_id: int) -> None:
        """With what is staged. The row stays for what names it, and is found by no name; its id is never another's."""

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
        self,
        device_id: int,
        elements: Sequence[Element] | Packed,
        note: VersionNote,
        paths: Sequence[str] | None = None,
    ) -> Configuration:
        """A new version that becomes our copy. With `paths` only elements of these types are replaced, others stay.

        Answers the copy with the given elements only.
        """

    async def add_version(self, device_id: int, elements: Sequence[Element] | Packed, note: VersionNote) -> Version:
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
    async def drifts(self, device_ids: Sequence[int]) -> Mapping[int, Drift]:
        """Of each of these devices that has any."""

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
    async def waited_for(self) -> list[int]:
        """The devices that a lock request waits for, by id."""

    async def locks_on(self, device_ids: Sequence[int]) -> list[LockView]:
        """Of those of these devices that are there, held or free, by id."""

    async def events(self, device_id: int, page: Page) -> tuple[list[LockEvent], int]: ...
    async def events_after(
        self, after: int, top: int, device_id: int | None, limit: int
    ) -> tuple[list[LockEvent], int]:
        """Events with ids greater than `after` and at most `top`, oldest first; and up to where they were looked at."""

    async def last_event(self) -> int:
        """The id of the newest event; 0 when there is none."""

    async def rows_after(self, device_id: int, limit: int) -> list[LockRow]:
        """The locks of all devices, held or free, by device id."""

    async def waiting_requests(self) -> list[PendingRow]:
        """Those that still bar others, oldest first."""

    async def asks(self, user_id: int) -> list[AskRow]:
        """Those on locks of this user, and this user's own; oldest first."""

    async def due_leases(self) -> list[int]:
        """Devices whose locks' leases have run out, unless work of their owners holds them up."""


class AuditStore(Protocol):
    """The trail. Rows are added with the write they tell of; nothing here changes or removes one."""

    async def entries(
        self, filters: Mapping[str, str], since_us: int | None, until_us: int | None, page: Page
    ) -> tuple[list[AuditEntry], int]: ...


class NodeStore(Protocol):
    """Server nodes, for the server's own state page."""

    async def nodes(self, dead_after_s: float) -> list[NodeRow]:
        """A node that did not beat for so long is not live, whatever its row says."""


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
