"""The inventory tree: device groups, their names and places. Network functions stand in it as groups, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from opensdm.core.errors import AlreadyExists, Conflict, NotEmpty, NotFound
from opensdm.core.inventory import HOME_GROUP_ID, HOME_GROUP_NAME, DeviceGroup, wire_id
from opensdm.core.ports import Page
from opensdm.stores.repository import Repository, conditions, paged, parts
from opensdm.stores.tables import device_group

FOLDER, FUNCTION = "FOLDER", "FUNCTION"

_NEXT_IDS = text("UPDATE counter SET value = value + :n WHERE name = 'inventory' RETURNING value")
_SHOWN_PARENT = case((device_group.c.top_level == 1, 0), else_=func.coalesce(device_group.c.parent_id, 0))
_BY_ID = select(device_group).where(device_group.c.group_id == bindparam("group_id"))
_CHILD = select(device_group).where(
    device_group.c.parent_id == bindparam("parent_id"), device_group.c.name_key == bindparam("name_key")
)
_CHILDREN = text("SELECT group_id, kind FROM device_group WHERE parent_id = :group_id ORDER BY group_id LIMIT 1")
_ABOVE = text(
    """
    WITH RECURSIVE above(group_id, parent_id) AS (
        SELECT group_id, parent_id FROM device_group WHERE group_id = :group_id
        UNION
        SELECT g.group_id, g.parent_id FROM device_group g JOIN above ON g.group_id = above.parent_id
    )
    SELECT group_id FROM above
    """
)
_PATHS = text(
    """
    WITH RECURSIVE path(start_id, parent_id, group_name, top_level, depth) AS (
        SELECT group_id, parent_id, group_name, top_level, 0 FROM device_group WHERE group_id IN :groups
        UNION ALL
        SELECT path.start_id, g.parent_id, g.group_name, g.top_level, path.depth + 1
          FROM device_group g JOIN path ON g.group_id = path.parent_id
         WHERE path.top_level = 0
    )
    SELECT start_id, group_name FROM path ORDER BY start_id, depth DESC
    """
).bindparams(bindparam("groups", expanding=True))
"""From each group up to `Home`, or to the top-level group that is shown as a root of its own."""


def full_names() -> CTE:
    """Every group with its full name as shown, and as a path from `Home`: for filters, which need them all."""
    shown = cast(device_group.c.group_name, Text)
    tree = (
        select(device_group.c.group_id, shown.label("full_name"), shown.label("home_name"))
        .where(device_group.c.parent_id.is_(None))
        .cte("tree", recursive=True)
    )
    below = select(
        device_group.c.group_id,
        case(
            (device_group.c.top_level == 1, device_group.c.group_name),
            else_=tree.c.full_name + literal("/") + device_group.c.group_name,
        ),
        tree.c.home_name + literal("/") + device_group.c.group_name,
    ).join(tree, device_group.c.parent_id == tree.c.group_id)
    return tree.union_all(below)


def wire_ids(column: ColumnElement[Any]) -> ColumnElement[str]:
    """An id as it looks on the wire, for filters."""
    return literal("ID") + cast(column, Text)


class Groups(Repository):
    """The part of `InventoryStore` about groups."""

    async def groups(self, filters: Mapping[str, str], page: Page) -> tuple[list[DeviceGroup], int]:
        """Folders, by id; the groups of network functions are not among them."""
        query = select(device_group).where(device_group.c.kind == FOLDER)
        texts: dict[str, Sequence[ColumnElement[Any]]] = {
            "id": (wire_ids(device_group.c.group_id),),
            "name": (device_group.c.group_name,),
            "parentGroupId": (wire_ids(_SHOWN_PARENT),),
            "fullName": (),
            "parentGroupFullName": (),
        }
        if filters.keys() & {"fullName", "parentGroupFullName"}:
            own = full_names()
            parent = own.alias("parent")
            query = query.join(own, own.c.group_id == device_group.c.group_id)
            query = query.outerjoin(parent, parent.c.group_id == device_group.c.parent_id)
            texts["fullName"] = (own.c.full_name, own.c.home_name)
            texts["parentGroupFullName"] = (parent.c.full_name, parent.c.home_name)
        query = query.where(*conditions("device groups", filters, texts, {}))
        total = await self._total(query)
        rows = (await self._connection.execute(paged(query.order_by(device_group.c.group_id), page))).all()
        return await self._shown(rows), total

    async def group(self, group_id: int) -> DeviceGroup:
        return (await self._shown([await self._group_row(group_id)]))[0]

    async def group_named(self, full_name: str) -> DeviceGroup:
        """By full name, without case: `West` and `Home/West` are the same group."""
        row = await self._group_row(HOME_GROUP_ID)
        names = full_name.strip("/").split("/")
        if names[0].strip().casefold() == HOME_GROUP_NAME.casefold():
            names = names[1:]
        for name in names:
            row = await self._child(row.group_id, name)
            if row is None:
                raise NotFound(f"there is no device group {full_name!r}")
        return (await self._shown([row]))[0]

    async def add_group(self, group_name: str, parent_id: int, *, top_level: bool) -> DeviceGroup:
        (group_id,) = await self._next_ids(1)
        await self._check_parent(parent_id)
        await self._check_free(group_name, parent_id)
        await self._insert_group(group_id, group_name, parent_id, FOLDER, top_level=top_level)
        return await self.group(group_id)

    async def change_group(self, group_id: int, *, group_name: str, parent_id: int, top_level: bool) -> DeviceGroup:
        """Give a folder this name and this place. Conflict for `Home`, and for a place beneath itself."""
        await self._hold_tree()
        await self._folder(group_id)
        await self._check_parent(parent_id)
        if group_id in (await self._connection.scalars(_ABOVE, {"group_id": parent_id})).all():
            raise Conflict(f"device group {wire_id(group_id)} cannot be moved to itself or to a group beneath itself")
        await self._check_free(group_name, parent_id, but=group_id)
        await self._connection.execute(
            update(device_group)
            .where(device_group.c.group_id == group_id)
            .values(
                group_name=group_name, name_key=group_name.casefold(), parent_id=parent_id, top_level=int(top_level)
            )
        )
        return await self.group(group_id)

    async def delete_group(self, group_id: int) -> None:
        await self._hold_tree()
        row = await self._folder(group_id)
        child = (await self._connection.execute(_CHILDREN, {"group_id": group_id})).first()
        if child is not None:
            what = "network functions" if child.kind == FUNCTION else "groups"
            raise NotEmpty(
                f"device group {row.group_name!r} still holds {what}, such as {wire_id(child.group_id)}; "
                "move or delete them first"
            )
        await self._connection.execute(delete(device_group).where(device_group.c.group_id == group_id))

    # ------------------------------------------------------------------------------- for functions, too

    async def _next_ids(self, n: int) -> range:
        """New ids. The counter's row, written by every change of the tree, puts those changes in one order."""
        last = int(await self._connection.scalar(_NEXT_IDS, {"n": n}))
        return range(last - n + 1, last + 1)

    async def _hold_tree(self) -> None:
        """Keep every other change of the tree, by any node, waiting until this transaction ends.

        Without it two moves at the same time could put two groups beneath each other.
        """
        await self._next_ids(0)

    async def _group_row(self, group_id: int) -> Any:
        row = (await self._connection.execute(_BY_ID, {"group_id": group_id})).first()
        if row is None:
            raise NotFound(f"there is no device group {wire_id(group_id)}")
        return row

    async def _child(self, parent_id: int, name: str) -> Any:
        key = {"parent_id": parent_id, "name_key": name.strip().casefold()}
        return (await self._connection.execute(_CHILD, key)).first()

    async def _folder(self, group_id: int) -> Any:
        """The row of a folder that may be changed."""
        row = await self._group_row(group_id)
        if group_id == HOME_GROUP_ID:
            raise Conflict(f"{HOME_GROUP_NAME} is the root of the inventory: it is never renamed, moved or deleted")
        if row.kind != FOLDER:
            raise Conflict(
                f"{row.group_name!r} is the group of network function {wire_id(row.nf_id)}; move or delete the function"
            )
        return row

    async def _check_parent(self, parent_id: int) -> None:
        parent = await self._group_row(parent_id)
        if parent.kind != FOLDER:
            raise Conflict(f"{parent.group_name!r} is a network function; put this into a device group instead")

    async def _check_free(self, name: str, parent_id: int, *, but: int | None = None) -> None:
        """Siblings have different names, without case. `Home` right under `Home` could not be told from it."""
        taken = await self._child(parent_id, name)
        if taken is not None and taken.group_id != but:
            raise AlreadyExists(f"there is already a {taken.group_name!r} in that group: {wire_id(taken.group_id)}")
        if parent_id == HOME_GROUP_ID and name.casefold() == HOME_GROUP_NAME.casefold():
            raise AlreadyExists(f"{HOME_GROUP_NAME} is the root of the inventory; choose another name")

    async def _insert_group(
        self, group_id: int, name: str, parent_id: int, kind: str, *, nf_id: int | None = None, top_level: bool = False
    ) -> None:
        values = {
            "group_id": group_id, "group_name": name, "name_key": name.casefold(), "parent_id": parent_id,
            "kind": kind, "nf_id": nf_id, "top_level": int(top_level),
        }  # fmt: skip
        await self._connection.execute(insert(device_group), values)

    async def _paths(self, group_ids: Iterable[int]) -> dict[int, str]:
        """Full names of groups, as shown."""
        names: dict[int, list[str]] = {}
        for part in parts(sorted(set(group_ids))):
            for row in await self._connection.execute(_PATHS, {"groups": part}):
                names.setdefault(row.start_id, []).append(row.group_name)
        return {group_id: "/".join(path) for group_id, path in names.items()}

    async def _shown(self, rows: Sequence[Any]) -> list[DeviceGroup]:
        paths = await self._paths([r.group_id for r in rows] + [r.parent_id for r in rows if r.parent_id is not None])
        return [
            DeviceGroup(
                row.group_id, row.group_name, row.parent_id, paths[row.group_id],
                None if row.top_level else paths.get(row.parent_id), row.kind, row.nf_id, bool(row.top_level),
            )
            for row in rows
        ]  # fmt: skip
