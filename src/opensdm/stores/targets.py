"""From what a request names to the devices it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opensdm.core.operations import Scope
from opensdm.core.submission import Target
from opensdm.stores import statements
from opensdm.stores.database import Connection

Found = list[frozenset[int] | None]


async def resolve(connection: Connection, targets: Sequence[Target]) -> Found:
    """The devices of each target, in the same order; None where the target does not exist.

    A single device is taken at its word here: that its row is missing shows when rows are locked.
    """
    functions = await _functions(connection, _ids(targets, Scope.NETWORK_FUNCTION))
    groups = await _groups(connection, _ids(targets, Scope.DEVICE_GROUP) | _ids(targets, Scope.FUNCTION_GROUP))
    owners = await _owners(connection, _ids(targets, Scope.FUNCTION_GROUP))
    found: Found = []
    for target in targets:
        match target.scope:
            case Scope.SERVER | Scope.HOST | Scope.DEVICES:
                found.append(target.devices)
            case Scope.DEVICE:
                found.append(frozenset((target.target_id,)))
            case Scope.NETWORK_FUNCTION:
                found.append(functions.get(target.target_id))
            case Scope.FUNCTION_GROUP:
                belongs = owners.get(target.target_id) == target.within
                found.append(groups.get(target.target_id) if belongs else None)
            case Scope.DEVICE_GROUP:
                found.append(groups.get(target.target_id))
    return found


def _ids(targets: Sequence[Target], scope: Scope) -> set[int]:
    return {t.target_id for t in targets if t.scope is scope}


async def _functions(connection: Connection, ids: set[int]) -> dict[int, frozenset[int]]:
    if not ids:
        return {}
    rows = await connection.execute(statements.DEVICES_OF_FUNCTION, {"targets": sorted(ids)})
    return _gathered((row.target_id, row.device_id) for row in rows)


async def _groups(connection: Connection, ids: set[int]) -> dict[int, frozenset[int]]:
    if not ids:
        return {}
    rows = await connection.execute(statements.DEVICES_OF_GROUP, {"targets": sorted(ids)})
    return _gathered((row.target_id, row.device_id) for row in rows)


async def _owners(connection: Connection, ids: set[int]) -> dict[int, int]:
    if not ids:
        return {}
    rows = await connection.execute(statements.GROUPS_OF_FUNCTIONS, {"targets": sorted(ids)})
    return {row.group_id: row.nf_id for row in rows}


def _gathered(pairs: Iterable[tuple[int, int | None]]) -> dict[int, frozenset[int]]:
    sets: dict[int, set[int]] = {}
    for target_id, device_id in pairs:
        members = sets.setdefault(target_id, set())
        if device_id is not None:
            members.add(device_id)
    return {target_id: frozenset(members) for target_id, members in sets.items()}
