"""Kept configurations of devices: rows that name chunks, and the chunks, each stored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, text

from opensdm.core.element import Element
from opensdm.core.errors import NotFound
from opensdm.core.inventory import wire_id
from opensdm.core.ports import Page
from opensdm.core.versions import Source, Version, VersionNote
from opensdm.stores import content
from opensdm.stores.content import Manifest
from opensdm.stores.repository import Repository, parts, sliced

CHUNKS_AT_ONCE = 50
"""Chunks that one statement reads or writes: some 500 kB."""

_COLUMNS = """v.device_id, v.number, v.taken_us, v.source, v.user_name, v.request_id, v.software_version, v.comment,
           v.torn, v.digest, v.elements, CASE WHEN c.version = v.number THEN 1 ELSE 0 END AS is_current"""
_VERSIONS = text(
    f"""
    SELECT {_COLUMNS} FROM config_version v LEFT JOIN configuration c ON c.device_id = v.device_id
     WHERE v.device_id = :device_id ORDER BY v.number DESC LIMIT :rows OFFSET :first
    """  # noqa: S608
)
_VERSION = text(
    f"""
    SELECT {_COLUMNS} FROM config_version v LEFT JOIN configuration c ON c.device_id = v.device_id
     WHERE v.device_id = :device_id AND v.number = :number
    """  # noqa: S608
)
_COUNT = text("SELECT count(*) FROM config_version WHERE device_id = :device_id")
_MANIFEST = text("SELECT manifest FROM config_version WHERE device_id = :device_id AND number = :number")
_NEXT_NUMBER = text(
    """
    SELECT 1 + max(number) FROM (
        SELECT 0 AS number
        UNION ALL SELECT version FROM configuration WHERE device_id = :device_id
        UNION ALL SELECT max(number) FROM config_version WHERE device_id = :device_id) numbers
    """
)
_INSERT = text(
    """
    INSERT INTO config_version (device_id, number, taken_us, source, user_name, request_id, software_version, comment,
                                torn, digest, elements, manifest)
    VALUES (:device_id, :number, :taken_us, :source, :user_name, :request_id, :software_version, :comment,
            :torn, :digest, :elements, :manifest)
    """
)
_LAST_WHOLE = text(
    """
    SELECT number, digest FROM config_version
     WHERE device_id = :device_id AND number < :number AND torn = 0 ORDER BY number DESC LIMIT 1
    """
)
_NOT_TORN = text(
    """
    UPDATE config_version SET torn = 0
     WHERE device_id = :device_id AND number > :after AND number < :number AND torn = 1 AND digest = :digest
    """
)
_LEGACY = text("SELECT version, loaded_us, body FROM configuration WHERE device_id = :device_id AND length(body) > 0")
_ADOPTED = text("UPDATE configuration SET body = :body WHERE device_id = :device_id")

_KNOWN_CHUNKS = text("SELECT digest FROM config_chunk WHERE digest IN :digests").bindparams(
    bindparam("digests", expanding=True)
)
_CHUNKS = text("SELECT digest, body FROM config_chunk WHERE digest IN :digests").bindparams(
    bindparam("digests", expanding=True)
)
_INSERT_CHUNK = text("INSERT INTO config_chunk (digest, body) VALUES (:digest, :body) ON CONFLICT (digest) DO NOTHING")
_INSERT_USE = text(
    "INSERT INTO config_use (device_id, digest) VALUES (:device_id, :digest) ON CONFLICT (device_id, digest) DO NOTHING"
)

_PRUNE = text(
    """
    DELETE FROM config_version WHERE (device_id, number) IN (
        SELECT p.device_id, p.number
          FROM (SELECT device_id, number, row_number() OVER (PARTITION BY device_id ORDER BY number DESC) AS place
                  FROM config_version) p
         WHERE p.place > :keep
           AND NOT EXISTS (SELECT 1 FROM configuration c WHERE c.device_id = p.device_id AND c.version = p.number))
    RETURNING device_id
    """
)
_MANIFESTS = text("SELECT manifest FROM config_version WHERE device_id = :device_id")
_USES = text("SELECT digest FROM config_use WHERE device_id = :device_id")
_DROP_USE = text("DELETE FROM config_use WHERE device_id = :device_id AND digest = :digest")
_DROP_CHUNKS = text(
    """
    DELETE FROM config_chunk WHERE digest IN (
        SELECT c.digest FROM config_chunk c LEFT JOIN config_use u ON u.digest = c.digest WHERE u.digest IS NULL)
    """
)


class Versions(Repository):
    """The part of `ConfigurationStore` about versions."""

    async def add_version(self, device_id: int, elements: Sequence[Element], note: VersionNote) -> Version:
        await self._adopt_legacy(device_id)
        return await self._append(device_id, await self._stored(device_id, elements), note)

    async def versions(self, device_id: int, page: Page) -> tuple[list[Version], int]:
        total = int(await self._connection.scalar(_COUNT, {"device_id": device_id}))
        rows = await self._connection.execute(_VERSIONS, {"device_id": device_id, **sliced(page)})
        return [_version(row) for row in rows], total

    async def version(self, device_id: int, number: int) -> Version:
        row = (await self._connection.execute(_VERSION, {"device_id": device_id, "number": number})).first()
        if row is None:
            raise _no_version(device_id, number)
        return _version(row)

    async def version_elements(
        self, device_id: int, number: int, paths: Sequence[str] | None = None
    ) -> tuple[Element, ...]:
        return await self._elements(content.only(await self._manifest(device_id, number), paths))

    async def differing_paths(self, device_id: int, one: int, other: int) -> tuple[str, ...]:
        return content.differing(await self._manifest(device_id, one), await self._manifest(device_id, other))

    async def prune_versions(self, keep: int) -> int:
        """The newest version of a device always stays, so that its number is not given twice."""
        pruned = list((await self._connection.scalars(_PRUNE, {"keep": max(keep, 1)})).all())
        for device_id in sorted(set(pruned)):
            await self._drop_uses(device_id)
        await self._connection.execute(_DROP_CHUNKS)
        return len(pruned)

    async def _drop_uses(self, device_id: int) -> None:
        """Of the chunks a device referred to, let go those none of its versions does any more."""
        unused = set((await self._connection.scalars(_USES, {"device_id": device_id})).all())
        for manifest in (await self._connection.scalars(_MANIFESTS, {"device_id": device_id})).all():
            unused.difference_update(content.digests(content.read(manifest)))
            await self._connection.breathe()
        if unused:
            await self._connection.execute(_DROP_USE, [{"device_id": device_id, "digest": d} for d in sorted(unused)])

    # ------------------------------------------------------------------------------------- content

    async def _manifest(self, device_id: int, number: int) -> Manifest:
        manifest = await self._connection.scalar(_MANIFEST, {"device_id": device_id, "number": number})
        if manifest is None:
            raise _no_version(device_id, number)
        return content.read(manifest)

    async def _elements(self, manifest: Manifest) -> tuple[Element, ...]:
        found: dict[str, tuple[Element, ...]] = {}
        digests = content.digests(manifest)
        for start in range(0, len(digests), CHUNKS_AT_ONCE):
            part = digests[start : start + CHUNKS_AT_ONCE]
            for row in (await self._connection.execute(_CHUNKS, {"digests": part})).all():
                found[row.digest] = content.opened(self._secrets, row.body)
                await self._connection.breathe()
        return tuple(element for _, chunks in manifest for digest, _ in chunks for element in found[digest])

    async def _stored(self, device_id: int, elements: Sequence[Element]) -> Manifest:
        """The manifest of elements, whose chunks are in the database afterwards; only new ones are sealed and sent."""
        chunks: list[tuple[str, str, int]] = []
        bodies: dict[str, list[Element]] = {}
        for path, digest, held in content.cut(self._secrets, elements):
            chunks.append((path, digest, len(held)))
            bodies[digest] = held
            await self._connection.breathe()
        for part in parts(list(bodies)):
            known = set((await self._connection.scalars(_KNOWN_CHUNKS, {"digests": part})).all())
            await self._insert_chunks({d: bodies[d] for d in part if d not in known})
        if bodies:
            await self._connection.execute(_INSERT_USE, [{"device_id": device_id, "digest": d} for d in bodies])
        return content.gathered(chunks)

    async def _insert_chunks(self, bodies: dict[str, list[Element]]) -> None:
        rows: list[dict[str, Any]] = []
        for digest, held in bodies.items():
            rows.append({"digest": digest, "body": content.sealed(self._secrets, held)})
            await self._connection.breathe()
            if len(rows) == CHUNKS_AT_ONCE:
                await self._connection.execute(_INSERT_CHUNK, rows)
                rows = []
        if rows:
            await self._connection.execute(_INSERT_CHUNK, rows)

    # ---------------------------------------------------------------------------------------- rows

    async def _append(self, device_id: int, manifest: Manifest, note: VersionNote) -> Version:
        number = int(await self._connection.scalar(_NEXT_NUMBER, {"device_id": device_id}))
        version = Version(
            device_id, number, self._now_us, note, content.version_digest(self._secrets, manifest),
            content.count(manifest),
        )  # fmt: skip
        return await self._insert_version(await self._judged(version), manifest)

    async def _insert_version(self, version: Version, manifest: Manifest) -> Version:
        note = version.note
        values = {
            "device_id": version.device_id, "number": version.number, "taken_us": version.taken_us,
            "source": note.source.value, "user_name": note.user_name, "request_id": note.request_id,
            "software_version": note.software_version, "comment": note.comment, "torn": int(note.torn),
            "digest": version.digest, "elements": version.elements, "manifest": content.written(manifest),
        }  # fmt: skip
        await self._connection.execute(_INSERT, values)
        return version

    async def _judged(self, new: Version) -> Version:
        """A read that met a write and shows what was whole before or after it, is whole; so are equal ones between."""
        key = {"device_id": new.device_id, "number": new.number}
        before = (await self._connection.execute(_LAST_WHOLE, key)).first()
        if new.note.torn and (before is None or before.digest != new.digest):
            return new
        after = 0 if before is None else before.number
        await self._connection.execute(_NOT_TORN, {**key, "after": after, "digest": new.digest})
        return replace(new, note=replace(new.note, torn=False))

    async def _adopt_legacy(self, device_id: int) -> None:
        """Make a version of a copy that schema 0001 left, once there is a key at hand to open it."""
        row = (await self._connection.execute(_LEGACY, {"device_id": device_id})).first()
        if row is None:
            return
        manifest = await self._stored(device_id, content.opened(self._secrets, row.body))
        digest = content.version_digest(self._secrets, manifest)
        note = VersionNote(Source.LOAD, "", "", "", "our copy from before versions were kept")
        version = Version(device_id, row.version, row.loaded_us, note, digest, content.count(manifest))
        await self._insert_version(version, manifest)
        await self._connection.execute(_ADOPTED, {"device_id": device_id, "body": b""})


def _no_version(device_id: int, number: int) -> NotFound:
    return NotFound(f"there is no version {number} of the configuration of device {wire_id(device_id)}")


def _version(row: Any) -> Version:
    note = VersionNote(
        Source(row.source), row.user_name, row.request_id, row.software_version, row.comment, bool(row.torn)
    )  # fmt: skip
    return Version(row.device_id, row.number, row.taken_us, note, row.digest, row.elements, bool(row.is_current))
