"""Our copies of device configurations, what drifted from them, and the schemas they are of."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import bindparam, text

from opensdm.core.element import Element, Schema
from opensdm.core.errors import HouseRuleBroken
from opensdm.core.staging import Configuration
from opensdm.core.versions import Drift, VersionNote
from opensdm.stores import content
from opensdm.stores.repository import parts
from opensdm.stores.staging import StagedChanges
from opensdm.stores.versions import Versions

_CONFIGURATION = text(
    """
    SELECT c.version, c.loaded_us, c.body, v.manifest
      FROM configuration c
      LEFT JOIN config_version v ON v.device_id = c.device_id AND v.number = c.version
     WHERE c.device_id = :device_id
    """
)
_CURRENT = text("SELECT version FROM configuration WHERE device_id = :device_id")
_SET_CURRENT = text(
    """
    INSERT INTO configuration (device_id, version, loaded_us, body) VALUES (:device_id, :version, :now_us, :body)
    ON CONFLICT (device_id) DO UPDATE
       SET version = excluded.version, loaded_us = excluded.loaded_us, body = excluded.body
    """
)
_DRIFTS = text(
    "SELECT device_id, found_us, total, changed, locked_by, version FROM device_drift WHERE device_id IN :devices"
).bindparams(bindparam("devices", expanding=True))
_SET_DRIFT = text(
    """
    INSERT INTO device_drift (device_id, found_us, total, changed, locked_by, version)
    VALUES (:device_id, :found_us, :total, :changed, :locked_by, :version)
    ON CONFLICT (device_id) DO UPDATE
       SET found_us = excluded.found_us, total = excluded.total, changed = excluded.changed,
           locked_by = excluded.locked_by, version = excluded.version
    """
)
_NO_DRIFT = text("DELETE FROM device_drift WHERE device_id = :device_id")
_SCHEMA = text("SELECT body FROM device_schema WHERE platform = :platform AND version = :version")
_SAVE_SCHEMA = text(
    """
    INSERT INTO device_schema (platform, version, body) VALUES (:platform, :version, :body)
    ON CONFLICT (platform, version) DO UPDATE SET body = excluded.body
    """
)

_schema = msgspec.json.Decoder(Schema)
_changed = msgspec.json.Decoder(tuple[tuple[str, tuple[str, ...]], ...])


class SqlConfigurations(Versions, StagedChanges):
    """Implements `ConfigurationStore`."""

    async def configuration(self, device_id: int, paths: Sequence[str] | None = None) -> Configuration | None:
        row = (await self._connection.execute(_CONFIGURATION, {"device_id": device_id})).first()
        if row is None:
            return None
        if row.body:  # as schema 0001 left it
            elements = content.opened(self._secrets, row.body)
            if paths is not None:
                elements = tuple(element for element in elements if element.path in paths)
        else:
            elements = await self._elements(content.only(content.read(row.manifest), paths))
        return Configuration(device_id, row.version, row.loaded_us, elements)

    async def save_configuration(
        self, device_id: int, elements: Sequence[Element], note: VersionNote, paths: Sequence[str] | None = None
    ) -> Configuration:
        """With `paths`, a type keeps its place among the others; one that is new comes last."""
        if paths is not None and any(element.path not in paths for element in elements):
            raise HouseRuleBroken("a part of a configuration was to be saved with elements that are not of that part")
        await self._adopt_legacy(device_id)
        manifest = await self._stored(device_id, elements)
        current = None if paths is None else await self._connection.scalar(_CURRENT, {"device_id": device_id})
        if paths is not None and current is not None:
            manifest = content.replaced(await self._manifest(device_id, current), manifest, paths)
        number = (await self._append(device_id, manifest, note)).number
        values = {"device_id": device_id, "version": number, "now_us": self._now_us, "body": b""}
        await self._connection.execute(_SET_CURRENT, values)
        return Configuration(device_id, number, self._now_us, tuple(elements))

    # --------------------------------------------------------------------------------------- drift

    async def drift(self, device_id: int) -> Drift | None:
        return (await self.drifts([device_id])).get(device_id)

    async def drifts(self, device_ids: Sequence[int]) -> Mapping[int, Drift]:
        found: dict[int, Drift] = {}
        for part in parts(sorted(set(device_ids))):
            for row in await self._connection.execute(_DRIFTS, {"devices": part}):
                changed = _changed.decode(row.changed)
                found[row.device_id] = Drift(row.found_us, row.total, changed, row.locked_by, row.version)
        return found

    async def set_drift(self, device_id: int, drift: Drift | None) -> None:
        if drift is None:
            await self._connection.execute(_NO_DRIFT, {"device_id": device_id})
            return
        values = {
            "device_id": device_id, "found_us": drift.found_us, "total": drift.total, "locked_by": drift.locked_by,
            "changed": msgspec.json.encode(drift.changed).decode(), "version": drift.version,
        }  # fmt: skip
        await self._connection.execute(_SET_DRIFT, values)

    # ------------------------------------------------------------------------------------- schemas

    async def schema(self, platform: str, version: str) -> Schema | None:
        body = await self._connection.scalar(_SCHEMA, {"platform": platform, "version": version})
        return None if body is None else _schema.decode(zlib.decompress(body))

    async def save_schema(self, schema: Schema) -> None:
        body = zlib.compress(msgspec.json.encode(schema))
        values = {"platform": schema.platform, "version": schema.version, "body": body}
        await self._connection.execute(_SAVE_SCHEMA, values)
