"""Network functions. A function is also a group of the tree, under the same id; its devices hang on groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, insert, select, text, update

from opensdm.core.errors import AlreadyExists, NotFound
from opensdm.core.inventory import DeviceGroup, NetworkFunction, wire_id
from opensdm.core.ports import NewDevice, Page
from opensdm.stores.devices import Devices
from opensdm.stores.groups import FUNCTION, Groups, full_names, wire_ids
from opensdm.stores.repository import conditions, paged
from opensdm.stores.tables import device_group, network_function

CLUSTER, SINGLE = "CLUSTER", "DEVICE"

_FUNCTIONS = select(
    network_function.c.nf_id,
    network_function.c.category,
    network_function.c.type_name,
    network_function.c.group_type,
    device_group.c.group_name,
    device_group.c.parent_id,
).join(device_group, device_group.c.group_id == network_function.c.nf_id)
_BY_ID = _FUNCTIONS.where(network_function.c.nf_id == bindparam("nf_id"))
_GROUPS_OF = select(device_group).where(device_group.c.nf_id == bindparam("nf_id")).order_by(device_group.c.group_id)

_DEVICES_OF = "(SELECT device_id FROM device WHERE nf_id = :nf_id)"
_DELETES = tuple(
    text(sql)
    for sql in (
        f"DELETE FROM pending_change WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM configuration WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM config_version WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM config_use WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM device_drift WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM device_session WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM task_progress WHERE task_id IN (SELECT task_id FROM task WHERE device_id IN {_DEVICES_OF})",  # noqa: S608
        f"DELETE FROM task WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM lock_loss WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        f"DELETE FROM device_lock WHERE device_id IN {_DEVICES_OF}",  # noqa: S608
        "DELETE FROM device WHERE nf_id = :nf_id",
        "DELETE FROM network_function WHERE nf_id = :nf_id",
        "DELETE FROM device_group WHERE nf_id = :nf_id AND group_id <> :nf_id",
        "DELETE FROM device_group WHERE group_id = :nf_id",
    )
)
"""In the order that foreign keys ask for. Lock events and the audit trail stay: they tell what was.

Chunks that only these devices referred to go when versions are pruned."""


class Functions(Devices, Groups):
    """The part of `InventoryStore` about network functions."""

    async def functions(self, filters: Mapping[str, str], page: Page) -> tuple[list[NetworkFunction], int]:
        query = _FUNCTIONS
        texts: dict[str, Sequence[ColumnElement[Any]]] = {
            "id": (wire_ids(network_function.c.nf_id),),
            "name": (device_group.c.group_name,),
            "groupType": (network_function.c.group_type,),
            "parentGroupId": (wire_ids(device_group.c.parent_id),),
            "parentGroupFullName": (),
        }
        if "parentGroupFullName" in filters:
            parent = full_names()
            query = query.join(parent, parent.c.group_id == device_group.c.parent_id)
            texts["parentGroupFullName"] = (parent.c.full_name, parent.c.home_name)
        query = query.where(*conditions("network functions", filters, texts, {}))
        total = await self._total(query)
        rows = (await self._connection.execute(paged(query.order_by(network_function.c.nf_id), page))).all()
        return await self._functions_shown(rows), total

    async def function(self, nf_id: int) -> NetworkFunction:
        row = (await self._connection.execute(_BY_ID, {"nf_id": nf_id})).first()
        if row is None:
            raise NotFound(f"there is no network function {wire_id(nf_id)}")
        return (await self._functions_shown([row]))[0]

    async def add_function(
        self, nf_name: str, parent_id: int, category: str, type_name: str, devices: Sequence[NewDevice]
    ) -> NetworkFunction:
        """A function with its devices; a `group_name` among them makes it a cluster with groups of its own."""
        group_names = list(dict.fromkeys(d.group_name for d in devices if d.group_name is not None))
        nf_id, *others = await self._next_ids(1 + len(group_names) + len(devices))
        await self._check_parent(parent_id)
        await self._check_free(nf_name, parent_id)
        _check_different(group_names, "device group")
        _check_different([d.device_name for d in devices], "device")
        await self._insert_group(nf_id, nf_name, parent_id, FUNCTION, nf_id=nf_id)
        group_type = CLUSTER if group_names else SINGLE
        values = {"nf_id": nf_id, "category": category, "type_name": type_name, "group_type": group_type}
        await self._connection.execute(insert(network_function), values)
        group_ids: dict[str | None, int] = {None: nf_id}
        for group_id, name in zip(others, group_names, strict=False):
            await self._insert_group(group_id, name, nf_id, FUNCTION, nf_id=nf_id)
            group_ids[name] = group_id
        for device_id, device in zip(others[len(group_names) :], devices, strict=True):
            await self._insert_device(device_id, nf_id, group_ids[device.group_name], device)
        return await self.function(nf_id)

    async def move_function(self, nf_id: int, parent_id: int) -> None:
        await self._hold_tree()
        function = await self.function(nf_id)
        await self._check_parent(parent_id)
        await self._check_free(function.nf_name, parent_id, but=nf_id)
        moved = update(device_group).where(device_group.c.group_id == nf_id).values(parent_id=parent_id)
        await self._connection.execute(moved)

    async def delete_function(self, nf_id: int) -> None:
        """The function, its groups, its devices and all that hangs on these, except history."""
        await self._hold_tree()
        await self.function(nf_id)
        for statement in _DELETES:
            await self._connection.execute(statement, {"nf_id": nf_id})

    async def function_groups(self, nf_id: int) -> list[DeviceGroup]:
        """The function's own group first, then those inside it."""
        await self.function(nf_id)
        return await self._shown((await self._connection.execute(_GROUPS_OF, {"nf_id": nf_id})).all())

    async def _functions_shown(self, rows: Sequence[Any]) -> list[NetworkFunction]:
        paths = await self._paths(row.parent_id for row in rows)
        return [
            NetworkFunction(
                row.nf_id, row.group_name, row.parent_id, paths[row.parent_id], row.category, row.type_name,
                row.group_type,
            )
            for row in rows
        ]  # fmt: skip


def _check_different(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise AlreadyExists(f"two {what}s of one network function cannot both be called {name!r}")
        seen.add(name.casefold())
