"""Operations on device groups, network functions and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opensdm.core.identity import Area, Level
from opensdm.core.inventory import Trouble
from opensdm.core.operation import Claim, Kind, Operation, Rule, Scope, observe


@dataclass(frozen=True, kw_only=True)
class ListDevices(Operation, rule=observe("device:inventory:listed", Area.INVENTORY)):
    """`filters`: wire field name to a pattern with `*`. `managed`: only assigned devices."""

    filters: Mapping[str, str] = field(default_factory=dict)
    managed: bool = False
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class FindDevices(Operation, rule=observe("device:inventory:searched", Area.INVENTORY)):
    """Devices by name, each with its lock. `words`, divided by blanks: every one is in a device's name, address,
    platform, software version, serial number or network function. `beneath`: the id of a device group. `trouble`: only
    managed devices that have it.
    """

    words: str = ""
    beneath: int | None = None
    trouble: Trouble | None = None
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowDevice(Operation, rule=observe("device:inventory:shown", Area.INVENTORY, Scope.DEVICE)):
    device_id: int
    managed: bool = False


@dataclass(frozen=True, kw_only=True)
class ListDeviceGroups(Operation, rule=observe("group:inventory:listed", Area.INVENTORY)):
    filters: Mapping[str, str] = field(default_factory=dict)
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowDeviceGroup(Operation, rule=observe("group:inventory:shown", Area.INVENTORY)):
    group_id: int


@dataclass(frozen=True, kw_only=True)
class AddDeviceGroup(
    Operation, rule=Rule(Kind.CHANGE, "group:inventory:added", Area.INVENTORY, Level.FULL, Scope.SERVER)
):
    group_name: str
    parent_full_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeDeviceGroup(
    Operation, rule=Rule(Kind.CHANGE, "group:inventory:changed", Area.INVENTORY, Level.FULL, Scope.DEVICE_GROUP)
):
    """Rename, move, or both; an absent field stays as it is."""

    group_id: int
    group_name: str | None = None
    parent_full_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeleteDeviceGroup(
    Operation, rule=Rule(Kind.CHANGE, "group:inventory:deleted", Area.INVENTORY, Level.FULL, Scope.DEVICE_GROUP)
):
    group_id: int


@dataclass(frozen=True, kw_only=True)
class ListCategories(Operation, rule=observe("function:category:listed", Area.INVENTORY)):
    pass


@dataclass(frozen=True, kw_only=True)
class ShowCategory(Operation, rule=observe("function:category:shown", Area.INVENTORY)):
    """Also answers the list of types, and with `type_name` the parameters of one type."""

    category_id: int
    type_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class ListNetworkFunctions(Operation, rule=observe("function:inventory:listed", Area.INVENTORY)):
    filters: Mapping[str, str] = field(default_factory=dict)
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowNetworkFunction(Operation, rule=observe("function:inventory:shown", Area.INVENTORY)):
    nf_id: int


@dataclass(frozen=True, kw_only=True)
class ListFunctionGroups(Operation, rule=observe("function:group:listed", Area.INVENTORY)):
    nf_id: int


@dataclass(frozen=True, kw_only=True)
class ShowFunctionGroup(Operation, rule=observe("function:group:shown", Area.INVENTORY)):
    nf_id: int
    group_id: int


@dataclass(frozen=True)
class DeviceEnrolment:
    """What is needed to enrol one device; parameter names as on the wire (`primary.ip`, ...)."""

    device_name: str | None
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class GroupEnrolment:
    """A group inside a clustered network function, with its devices."""

    parameters: Mapping[str, str] = field(repr=False)
    devices: tuple[DeviceEnrolment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AddNetworkFunction(
    Operation, rule=Rule(Kind.CHANGE, "function:inventory:added", Area.INVENTORY, Level.FULL, Scope.SERVER)
):
    nf_name: str
    parent_full_name: str | None
    category_name: str
    type_name: str
    parameters: Mapping[str, str] = field(repr=False, default_factory=dict)
    groups: tuple[GroupEnrolment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MoveNetworkFunction(
    Operation,
    rule=Rule(Kind.CHANGE, "function:inventory:moved", Area.INVENTORY, Level.FULL, Scope.NETWORK_FUNCTION),
):
    nf_id: int
    parent_full_name: str


@dataclass(frozen=True, kw_only=True)
class DeleteNetworkFunction(
    Operation,
    rule=Rule(
        Kind.CHANGE, "function:inventory:deleted", Area.INVENTORY, Level.FULL, Scope.NETWORK_FUNCTION,
        exclusive=True, alone=True, drop=True,
    ),
):  # fmt: skip
    nf_id: int


@dataclass(frozen=True, kw_only=True)
class ChangeCredentials(
    Operation,
    rule=Rule(
        Kind.CHANGE, "function:credentials:changed", Area.INVENTORY, Level.FULL, Scope.FUNCTION_GROUP, exclusive=True
    ),
):
    """`parameters`: wire names and values; `xxxx` keeps a secret as it is."""

    nf_id: int
    group_id: int
    parameters: Mapping[str, str] = field(repr=False, default_factory=dict)


@dataclass(frozen=True)
class FunctionRow:
    """One network function of a bulk import: `number` is its line or place, counted from 1."""

    number: int
    nf_name: str
    parent_full_name: str | None
    category_name: str
    type_name: str
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ImportNetworkFunctions(
    Operation, rule=Rule(Kind.CHANGE, "function:inventory:imported", Area.INVENTORY, Level.FULL, Scope.SERVER)
):
    """Add many network functions, each in a transaction of its own; `dry_run` only says what would happen."""

    rows: tuple[FunctionRow, ...] = field(repr=False)
    dry_run: bool = False
    assign: bool = False
    """Also make each device managed."""


@dataclass(frozen=True, kw_only=True)
class ExportNetworkFunctions(Operation, rule=observe("function:inventory:exported", Area.INVENTORY)):
    """All network functions in the form in which they can be imported again; secrets read `xxxx`."""


@dataclass(frozen=True, kw_only=True)
class ProbeHost(
    Operation,
    rule=Rule(
        Kind.TOUCH, "host:device:probed", Area.INVENTORY, Level.FULL, Scope.HOST, claim=Claim.SHARED,
        reaches_device=True,
    ),
):  # fmt: skip
    """What works on a host that is not enrolled, and what does not; reads only.

    A host that is enrolled is refused: it is probed as the device it is, under its lock.
    """

    platform: str
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ProbeDevice(
    Operation,
    rule=Rule(
        Kind.TOUCH, "device:state:probed", Area.INVENTORY, Level.VIEW, Scope.DEVICE, claim=Claim.SHARED,
        reaches_device=True,
    ),
):  # fmt: skip
    """What works on an enrolled device, and what does not; reads only."""

    device_id: int
