"""Our copies of device configurations, their schemas, and staged changes: compressed, and sealed but for schemas."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import text

from opensdm.core.element import Element, Schema
from opensdm.core.staging import Configuration, PendingChange
from opensdm.stores.repository import Repository

_CONFIGURATION = text("SELECT version, loaded_us, body FROM configuration WHERE device_id = :device_id")
_SAVE_CONFIGURATION = text(
    """
    INSERT INTO configuration (device_id, version, loaded_us, body) VALUES (:device_id, 1, :now_us, :body)
    ON CONFLICT (device_id) DO UPDATE
       SET version = configuration.version + 1, loaded_us = excluded.loaded_us, body = excluded.body
    RETURNING version
    """
)
_SCHEMA = text("SELECT body FROM device_schema WHERE platform = :platform AND version = :version")
_SAVE_SCHEMA = text(
    """
    INSERT INTO device_schema (platform, version, body) VALUES (:platform, :version, :body)
    ON CONFLICT (platform, version) DO UPDATE SET body = excluded.body
    """
)
_CHANGES = text(
    """
    SELECT path, element_key, body, at_us FROM pending_change
     WHERE user_id = :user_id AND device_id = :device_id
     ORDER BY at_us, path, element_key
    """
)
_PUT_CHANGE = text(
    """
    INSERT INTO pending_change (user_id, device_id, path, element_key, body, at_us)
    VALUES (:user_id, :device_id, :path, :element_key, :body, :at_us)
    ON CONFLICT (user_id, device_id, path, element_key) DO UPDATE SET body = excluded.body, at_us = excluded.at_us
    """
)
_DROP_CHANGE = text(
    """
    DELETE FROM pending_change
     WHERE user_id = :user_id AND device_id = :device_id AND path = :path AND element_key = :element_key
    """
)
_DISCARD = text("DELETE FROM pending_change WHERE user_id = :user_id AND device_id = :device_id")
_CHANGED_DEVICES = text("SELECT DISTINCT device_id FROM pending_change WHERE user_id = :user_id")

_Sides = tuple[Element | None, Element | None]
_elements = msgspec.json.Decoder(tuple[Element, ...])
_sides = msgspec.json.Decoder(_Sides)
_schema = msgspec.json.Decoder(Schema)


class SqlConfigurations(Repository):
    """Implements `ConfigurationStore`."""

    async def configuration(self, device_id: int) -> Configuration | None:
        row = (await self._connection.execute(_CONFIGURATION, {"device_id": device_id})).first()
        if row is None:
            return None
        return Configuration(device_id, row.version, row.loaded_us, _elements.decode(self._unpacked(row.body)))

    async def save_configuration(self, device_id: int, elements: Sequence[Element]) -> Configuration:
        """Replaces our copy; its version is one more than the last."""
        values = {"device_id": device_id, "now_us": self._now_us, "body": self._packed(tuple(elements))}
        version = int(await self._connection.scalar(_SAVE_CONFIGURATION, values))
        return Configuration(device_id, version, self._now_us, tuple(elements))

    async def schema(self, platform: str, version: str) -> Schema | None:
        body = await self._connection.scalar(_SCHEMA, {"platform": platform, "version": version})
        return None if body is None else _schema.decode(zlib.decompress(body))

    async def save_schema(self, schema: Schema) -> None:
        body = zlib.compress(msgspec.json.encode(schema))
        values = {"platform": schema.platform, "version": schema.version, "body": body}
        await self._connection.execute(_SAVE_SCHEMA, values)

    async def changes(self, user_id: int, device_id: int) -> list[PendingChange]:
        """Oldest first."""
        rows = await self._connection.execute(_CHANGES, {"user_id": user_id, "device_id": device_id})
        found = []
        for row in rows:
            before, after = _sides.decode(self._unpacked(row.body))
            found.append(PendingChange(row.path, tuple(json.loads(row.element_key)), before, after, row.at_us))
        return found

    async def put_change(self, user_id: int, device_id: int, change: PendingChange) -> None:
        key = {
            "user_id": user_id, "device_id": device_id, "path": change.path,
            "element_key": json.dumps(list(change.key), ensure_ascii=False),
        }  # fmt: skip
        if change.before == change.after:
            await self._connection.execute(_DROP_CHANGE, key)
            return
        body = self._packed((change.before, change.after))
        await self._connection.execute(_PUT_CHANGE, {**key, "body": body, "at_us": change.at_us})

    async def discard_changes(self, user_id: int, device_id: int) -> int:
        """Answers how many there were."""
        return (await self._connection.execute(_DISCARD, {"user_id": user_id, "device_id": device_id})).rowcount

    async def devices_with_changes(self, user_id: int, device_ids: Sequence[int]) -> frozenset[int]:
        changed = await self._connection.scalars(_CHANGED_DEVICES, {"user_id": user_id})
        return frozenset(changed.all()) & frozenset(device_ids)

    def _packed(self, value: Any) -> bytes:
        return self._secrets.seal(zlib.compress(msgspec.json.encode(value)))

    def _unpacked(self, body: bytes) -> bytes:
        return zlib.decompress(self._secrets.open(body))
