"""Many network functions at once: into the inventory, and out of it in the same form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from opensdm.core.enrolment import endpoint
from opensdm.core.errors import AccessDenied, AlreadyExists, InvalidRequest, NotFound, SdmError, StoreUnavailable
from opensdm.core.inventory import HOME_GROUP_ID, HOME_GROUP_NAME, Device, NetworkFunction, wire_id
from opensdm.core.operations import (
    AddNetworkFunction,
    AssignDevice,
    ExportNetworkFunctions,
    FunctionRow,
    ImportNetworkFunctions,
)
from opensdm.core.ports import NewDevice, Page, Transaction, Work
from opensdm.core.results import ExportReply, FunctionShown, ImportedRow, ImportReply
from opensdm.handlers.enrolment import CLUSTER_TYPE, NewFunction, new_function

MAX_ROWS = 10_000
_BREATH = 50
"""Rows checked before somebody else has a turn."""
_FOLDER = "FOLDER"

Place = tuple[int, str]
"""A group's id and a name in it, without case."""
Endpoint = tuple[str, str]


@dataclass(slots=True)
class Inventory:
    """What is taken and by whom, as words for people; `groups` are those the rows name, None where there is none."""

    groups: dict[str, int | None] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)
    endpoints: dict[Endpoint, str] = field(default_factory=dict)

    def check(self, new: NewFunction, group_name: str) -> None:
        """Raises InvalidRequest or AlreadyExists where a row cannot be added to this inventory."""
        group_id = self.groups[group_name]
        if group_id is None:
            raise InvalidRequest(f"there is no device group {group_name!r}; add it first")
        if taken := self.names.get((group_id, new.nf_name.casefold())):
            raise AlreadyExists(f"{taken} has the name {new.nf_name!r} in group {group_name!r} already")
        for each in new.devices:
            for address, wanted in _endpoints(each):
                if taken := self.endpoints.get(wanted):
                    raise AlreadyExists(f"{address} is an address of {taken} already")

    def take(self, row: FunctionRow, new: NewFunction, group_name: str) -> None:
        """From here on this row's names and addresses are taken."""
        group_id = self.groups[group_name]
        assert group_id is not None
        self.names[group_id, new.nf_name.casefold()] = f"row {row.number}"
        for device in new.devices:
            self.endpoints |= {wanted: f"row {row.number}" for _, wanted in _endpoints(device)}


async def import_network_functions(operation: ImportNetworkFunctions, work: Work) -> ImportReply:
    """Check every row, then add the good ones, each by an operation of its own.

    That the import began is committed before the first of them: whoever may not is refused before anything happens.
    """
    if len(operation.rows) > MAX_ROWS:
        raise InvalidRequest(f"{len(operation.rows)} network functions at once; at most {MAX_ROWS} can be imported")
    await work.commit(_began)
    inventory = await work.read(lambda tx: _inventory(tx, {_group_name(row) for row in operation.rows}))
    checked = await _checked(operation.rows, inventory, work)
    if not operation.dry_run:
        checked = await _added(operation, checked, work)
    good = sum(row.ok or row.nf_id is not None for row in checked)
    return ImportReply(operation.dry_run, good, sum(not row.ok for row in checked), tuple(checked))


async def _began(transaction: Transaction) -> None:
    """Nothing but the audit row that the gate writes with it."""


async def _inventory(transaction: Transaction, group_names: set[str]) -> Inventory:
    store, everything = transaction.inventory, Page()
    found = Inventory({name: await _group_id(transaction, name) for name in sorted(group_names)})
    for group in (await store.groups({}, everything))[0]:
        if group.parent_id is not None:
            found.names[group.parent_id, group.group_name.casefold()] = f"device group {wire_id(group.group_id)}"
    for function in (await store.functions({}, everything))[0]:
        found.names[function.parent_id, function.nf_name.casefold()] = f"network function {wire_id(function.nf_id)}"
    found.names[HOME_GROUP_ID, HOME_GROUP_NAME.casefold()] = "the root of the inventory"
    for device in (await store.devices({}, everything))[0]:
        who = f"device {device.device_name!r} ({wire_id(device.device_id)})"
        for address in (device.ip, device.parameters.get("secondary.ip")):
            if address:
                found.endpoints[endpoint(address, device.parameters.get("port"))] = who
    return found


async def _group_id(transaction: Transaction, full_name: str) -> int | None:
    try:
        group = await transaction.inventory.group_named(full_name)
    except NotFound:
        return None
    return group.group_id if group.kind == _FOLDER else None


async def _checked(rows: Sequence[FunctionRow], inventory: Inventory, work: Work) -> list[ImportedRow]:
    """What would become of each row, were they added in this order; other users have their turns meanwhile."""
    found = []
    for place, row in enumerate(rows):
        if place % _BREATH == 0:
            await asyncio.sleep(0)
        try:
            new = new_function(_addition(row), work.platforms)
            inventory.check(new, _group_name(row))
            inventory.take(row, new, _group_name(row))
            found.append(ImportedRow(row.number, row.nf_name, ok=True))
        except SdmError as error:
            found.append(_failed(row, error))
    return found


async def _added(operation: ImportNetworkFunctions, checked: Sequence[ImportedRow], work: Work) -> list[ImportedRow]:
    """Add what was found good. A caller who may no longer, or a store that is away, ends it for all that is left."""
    found: list[ImportedRow] = []
    ended: SdmError | None = None
    for row, so_far in zip(operation.rows, checked, strict=True):
        if so_far.ok and ended is None:
            so_far, ended = await _add(row, operation.assign, work)
        elif so_far.ok and ended is not None:
            so_far = _failed(row, ended, f"not tried any more: {ended.message}")
        found.append(so_far)
    return found


async def _add(row: FunctionRow, assign: bool, work: Work) -> tuple[ImportedRow, SdmError | None]:
    """One row through the front door. The error is one that would meet every other row, too."""
    done = ImportedRow(row.number, row.nf_name, ok=True)
    try:
        shown = await work.execute(_addition(row))
        assert isinstance(shown, FunctionShown)
        device_ids = tuple(device.device_id for device in shown.devices)
        done = replace(done, nf_id=shown.function.nf_id, device_ids=device_ids)
        for device_id in device_ids if assign else ():
            await work.execute(AssignDevice(device_id=device_id))
    except SdmError as error:
        words = error.message if done.nf_id is None else f"added, but not assigned: {error.message}"
        failed = replace(done, ok=False, code=error.code, message=words)
        return failed, error if isinstance(error, (AccessDenied, StoreUnavailable)) else None
    return done, None


async def export_network_functions(operation: ExportNetworkFunctions, work: Work) -> ExportReply:
    """By id. A function of several devices is named, and left out: a row is one device or pair."""

    async def query(tx: Transaction) -> tuple[list[NetworkFunction], list[Device]]:
        everything = Page()
        return (await tx.inventory.functions({}, everything))[0], (await tx.inventory.devices({}, everything))[0]

    functions, devices = await work.read(query)
    by_function: dict[int, list[Device]] = {}
    for device in devices:
        by_function.setdefault(device.nf_id, []).append(device)
    rows: list[FunctionRow] = []
    left_out: list[str] = []
    for function in functions:
        if function.type_name == CLUSTER_TYPE:
            left_out.append(f"{function.parent_full_name}/{function.nf_name}")
            continue
        (device,) = by_function[function.nf_id]
        row = FunctionRow(
            len(rows) + 1, function.nf_name, function.parent_full_name, function.category, function.type_name,
            device.parameters,
        )  # fmt: skip
        rows.append(row)
    return ExportReply(tuple(rows), tuple(left_out))


def _addition(row: FunctionRow) -> AddNetworkFunction:
    return AddNetworkFunction(
        nf_name=row.nf_name,
        parent_full_name=row.parent_full_name,
        category_name=row.category_name,
        type_name=row.type_name,
        parameters=row.parameters,
    )


def _group_name(row: FunctionRow) -> str:
    return row.parent_full_name or HOME_GROUP_NAME


def _failed(row: FunctionRow, error: SdmError, message: str | None = None) -> ImportedRow:
    return ImportedRow(row.number, row.nf_name, ok=False, code=error.code, message=message or error.message)


def _endpoints(device: NewDevice) -> Iterator[tuple[str, Endpoint]]:
    for address in (device.address, device.secondary_address):
        if address:
            yield address, endpoint(address, device.parameters.get("port"))


HANDLERS_HERE = {
    ImportNetworkFunctions: import_network_functions,
    ExportNetworkFunctions: export_network_functions,
}
