"""Staged changes: each user's own, by device and named set; compressed and sealed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import bindparam, text

from opensdm.core.element import Element
from opensdm.core.staging import ChangeSet, PendingChange
from opensdm.core.validation import Key
from opensdm.stores.repository import Repository, parts

_CHANGES = text(
    """
    SELECT path, element_key, body, at_us FROM pending_change
     WHERE user_id = :user_id AND device_id = :device_id AND change_set = :change_set
     ORDER BY at_us, path, element_key
    """
)
_PUT_CHANGE = text(
    """
    INSERT INTO pending_change (user_id, device_id, change_set, path, element_key, body, at_us)
    VALUES (:user_id, :device_id, :change_set, :path, :element_key, :body, :at_us)
    ON CONFLICT (user_id, device_id, change_set, path, element_key) DO UPDATE
       SET body = excluded.body, at_us = excluded.at_us
    """
)
_DROP_CHANGE = text(
    """
    DELETE FROM pending_change
     WHERE user_id = :user_id AND device_id = :device_id AND change_set = :change_set AND path = :path
       AND element_key = :element_key
    """
)
_DISCARD = text(
    "DELETE FROM pending_change WHERE user_id = :user_id AND device_id = :device_id AND change_set = :change_set"
)
_SETS = text(
    """
    SELECT change_set, count(*) AS changes, min(at_us) AS first_us, max(at_us) AS last_us
      FROM pending_change WHERE user_id = :user_id AND device_id = :device_id
     GROUP BY change_set
    """
)
_CHANGED_DEVICES = text("SELECT DISTINCT device_id FROM pending_change WHERE user_id = :user_id")
_STAGED_KEYS = text(
    """
    SELECT DISTINCT device_id, path, element_key FROM pending_change
     WHERE user_id = :user_id AND device_id IN :devices
    """
).bindparams(bindparam("devices", expanding=True))

_sides = msgspec.json.Decoder(tuple[Element | None, Element | None])


class StagedChanges(Repository):
    """The part of `ConfigurationStore` about staged changes."""

    async def changes(self, user_id: int, device_id: int, change_set: str = "") -> list[PendingChange]:
        """Oldest first."""
        key = {"user_id": user_id, "device_id": device_id, "change_set": change_set}
        found = []
        for row in (await self._connection.execute(_CHANGES, key)).all():
            before, after = _sides.decode(zlib.decompress(self._secrets.open(row.body)))
            found.append(PendingChange(row.path, tuple(json.loads(row.element_key)), before, after, row.at_us))
            await self._connection.breathe()
        return found

    async def put_change(self, user_id: int, device_id: int, change: PendingChange, change_set: str = "") -> None:
        key = {
            "user_id": user_id, "device_id": device_id, "change_set": change_set, "path": change.path,
            "element_key": json.dumps(list(change.key), ensure_ascii=False),
        }  # fmt: skip
        if change.before == change.after:
            await self._connection.execute(_DROP_CHANGE, key)
            return
        body = self._secrets.seal(zlib.compress(msgspec.json.encode((change.before, change.after))))
        await self._connection.execute(_PUT_CHANGE, {**key, "body": body, "at_us": change.at_us})

    async def discard_changes(self, user_id: int, device_id: int, change_set: str = "") -> int:
        """Answers how many there were."""
        key = {"user_id": user_id, "device_id": device_id, "change_set": change_set}
        return (await self._connection.execute(_DISCARD, key)).rowcount

    async def change_sets(self, user_id: int, device_id: int) -> list[ChangeSet]:
        rows = await self._connection.execute(_SETS, {"user_id": user_id, "device_id": device_id})
        found = [ChangeSet(row.change_set, row.changes, row.first_us, row.last_us) for row in rows]
        return sorted(found, key=lambda each: each.name)  # here, because PostgreSQL sorts as its locale says

    async def devices_with_changes(self, user_id: int, device_ids: Sequence[int]) -> frozenset[int]:
        changed = await self._connection.scalars(_CHANGED_DEVICES, {"user_id": user_id})
        return frozenset(changed.all()) & frozenset(device_ids)

    async def staged_keys(self, user_id: int, device_ids: Sequence[int]) -> Mapping[int, frozenset[Key]]:
        found: dict[int, set[Key]] = {device_id: set() for device_id in device_ids}
        for part in parts(sorted(found)):
            for row in await self._connection.execute(_STAGED_KEYS, {"user_id": user_id, "devices": part}):
                found[row.device_id].add((row.path, tuple(json.loads(row.element_key))))
        return {device_id: frozenset(keys) for device_id, keys in found.items()}
