"""Devices: what they are called, how they are reached, and what was last seen of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, insert, or_, select, text, update

from opensdm.core.enrolment import endpoint, is_loopback
from opensdm.core.errors import AlreadyExists, InvalidRequest, NotFound
from opensdm.core.inventory import MASKED, Credentials, Device, Trouble, wire_id
from opensdm.core.ports import Activity, DeviceFacts, NewDevice, Page
from opensdm.stores.device_search import BENEATH, BY_NAME, narrowed
from opensdm.stores.groups import full_names, wire_ids
from opensdm.stores.lock_tables import device_lock
from opensdm.stores.locks import NOT_OVER
from opensdm.stores.repository import Repository, conditions, paged, parts
from opensdm.stores.tables import configuration, device, device_group

PRIMARY, SECONDARY, PLATFORM, READ_ONLY = "primary.ip", "secondary.ip", "platform", "read.only"
_COLUMNS = frozenset((PRIMARY, SECONDARY, PLATFORM, READ_ONLY))
"""Parameters that are columns, not part of the stored object."""

_FUNCTION = device_group.alias("function")
_DEVICES = (
    select(
        device,
        _FUNCTION.c.group_name.label("nf_name"),
        device_lock.c.read_only,
        configuration.c.version.label("loaded_version"),
    )
    .join(_FUNCTION, _FUNCTION.c.group_id == device.c.nf_id)
    .join(device_lock, device_lock.c.device_id == device.c.device_id)
    .outerjoin(configuration, configuration.c.device_id == device.c.device_id)
)
_BY_ID = _DEVICES.where(device.c.device_id == bindparam("device_id"))
_TEXTS: Mapping[str, Sequence[ColumnElement[Any]]] = {
    "id": (wire_ids(device.c.device_id),),
    "name": (device.c.device_name,),
    "ip": (device.c.address,),
    "nfId": (wire_ids(device.c.nf_id),),
    "nfName": (_FUNCTION.c.group_name,),
    "parentGroupId": (wire_ids(device.c.group_id),),
    "parentGroupFullName": (),
}
_FLAGS = {"connectivityStatus": device.c.reachable, "manageable": device.c.assigned}
_LEFT_SESSION = text("SELECT note FROM device_session WHERE device_id = :device_id")
_SET_LEFT_SESSION = text(
    """
    INSERT INTO device_session (device_id, note, at_us) VALUES (:device_id, :note, :now_us)
    ON CONFLICT (device_id) DO UPDATE SET note = excluded.note, at_us = excluded.at_us
    """
)
_NO_LEFT_SESSION = text("DELETE FROM device_session WHERE device_id = :device_id")
_WRITING = text(
    f"""
    SELECT coalesce(max(c.claim_id), 0) AS newest, coalesce(max(CASE WHEN {NOT_OVER} THEN 1 ELSE 0 END), 0) AS writes
      FROM claim_device on_device
      JOIN claim c ON c.claim_id = on_device.claim_id
     WHERE on_device.device_id = :device_id AND c.exclusive = 1
    """  # noqa: S608
)

_ACTIVITY = text(
    f"""
    SELECT device_id, max(busy) AS busy, max(uncertain) AS uncertain FROM (
        SELECT d.device_id, 1 AS busy, 0 AS uncertain FROM claim_device d JOIN claim c ON c.claim_id = d.claim_id
         WHERE d.live = 1 AND c.exclusive = 1 AND d.device_id IN :devices AND {NOT_OVER}
        UNION ALL
        SELECT device_id, 0, 1 FROM device_lock WHERE uncertain = 1 AND device_id IN :devices) seen
     GROUP BY device_id
    """  # noqa: S608
).bindparams(bindparam("devices", expanding=True))


class Devices(Repository):
    """The part of `InventoryStore` about devices."""

    async def devices(
        self, filters: Mapping[str, str], page: Page, *, managed: bool = False
    ) -> tuple[list[Device], int]:
        query, texts = _DEVICES, dict(_TEXTS)
        if "parentGroupFullName" in filters:
            groups = full_names()
            query = query.join(groups, groups.c.group_id == device.c.group_id)
            texts["parentGroupFullName"] = (groups.c.full_name, groups.c.home_name)
        query = query.where(*conditions("devices", filters, texts, _FLAGS))
        if managed:
            query = query.where(device.c.assigned == 1)
        total = await self._total(query)
        rows = await self._connection.execute(paged(query.order_by(device.c.device_id), page))
        return [_device(row) for row in rows], total

    async def found(
        self, words: Sequence[str], beneath: int | None, page: Page, trouble: Trouble | None = None
    ) -> tuple[list[Device], int]:
        """Which devices is asked of narrow rows first, and only what is shown of the page is read as a whole."""
        wanted = narrowed(words, beneath, trouble).order_by(*BY_NAME)
        ids, total = await self._numbered(wanted, page, at_once=bool(words))
        found: list[Device] = []
        for part in parts(ids):
            shown = _DEVICES.where(device.c.device_id.in_(part)).order_by(*BY_NAME)
            found += map(_device, await self._connection.execute(shown))
        return found, total

    async def _numbered(self, wanted: Select[Any], page: Page, *, at_once: bool) -> tuple[Sequence[int], int]:
        """A page of ids, and how many there are. `at_once`: looking at them is the work, so it is done in one pass."""
        if not at_once:
            return (await self._connection.scalars(paged(wanted, page))).all(), await self._total(wanted.order_by(None))
        counted: Select[Any] = wanted.add_columns(func.count().over())
        rows: Sequence[Any] = (await self._connection.execute(paged(counted, page))).all()
        if not rows and (page.offset or page.limit == 0):
            return (), await self._total(wanted.order_by(None))
        return [number for number, _ in rows], rows[0][1] if rows else 0

    async def device(self, device_id: int) -> Device:
        return _device(await self._device_row(device_id))

    async def devices_in(self, group_id: int) -> list[Device]:
        beneath = BENEATH.bindparams(group_id=group_id).subquery()
        query = _DEVICES.where(device.c.group_id.in_(select(beneath.c.group_id))).order_by(device.c.device_id)
        devices = [_device(row) for row in await self._connection.execute(query)]
        if not devices:
            known = select(device_group.c.group_id).where(device_group.c.group_id == group_id)
            if await self._connection.scalar(known) is None:
                raise NotFound(f"there is no device group {wire_id(group_id)}")
        return devices

    async def credentials(self, device_id: int) -> Credentials:
        row = await self._device_row(device_id)
        secrets = self._opened(row.secrets)
        shown = _parameters(row)
        left = await self._connection.scalar(_LEFT_SESSION, {"device_id": device_id})
        return Credentials(
            row.address,
            row.secondary_address,
            shown.get("username", ""),
            secrets.get("password", ""),
            {name: value for name, value in shown.items() if name not in secrets},
            None if left is None else self._secrets.open(left).decode(),
        )

    async def set_parameters(
        self, device_id: int, parameters: Mapping[str, str], secrets: Mapping[str, str], *, read_only: bool
    ) -> None:
        """Replaces the named parameters and secrets; an empty value removes one; others stay."""
        row = await self._device_row(device_id)
        merged = self._opened(row.secrets) | dict(secrets)
        clear = {name: v for name, v in (json.loads(row.parameters) | dict(parameters)).items() if name not in merged}
        kept = {name: value for name, value in merged.items() if value}
        address = parameters.get(PRIMARY) or row.address
        secondary = parameters.get(SECONDARY, row.secondary_address) or None
        await self._check_addresses(device_id, (address, secondary), clear.get("port"))
        values = {
            "address": address,
            "secondary_address": secondary,
            "platform": parameters.get(PLATFORM) or row.platform,
            "parameters": _stored(clear, kept),
            "secrets": self._sealed(kept),
        }
        await self._connection.execute(update(device).where(device.c.device_id == device_id).values(values))
        locks = update(device_lock).where(device_lock.c.device_id == device_id)
        await self._connection.execute(locks.values(read_only=int(read_only)))

    async def set_assigned(self, device_id: int, assigned: bool) -> None:
        await self._set(device_id, {"assigned": int(assigned)})

    async def set_polled(
        self, device_id: int, *, reachable: bool, facts: DeviceFacts | None, error: str | None
    ) -> None:
        """What a poll found; a device that did not answer keeps the facts it gave before."""
        values: dict[str, Any] = {"reachable": int(reachable), "polled_us": self._now_us, "poll_error": error}
        if facts is not None:
            values |= {"serial_number": facts.serial_number, "software_version": facts.software_version}
        await self._set(device_id, values)

    async def set_operation(self, device_id: int, *, last_operation: str, status: str) -> None:
        values = {"last_operation": last_operation, "status": status, "status_changed_us": self._now_us}
        await self._set(device_id, values)

    async def set_left_session(self, device_id: int, note: str | None) -> None:
        await self._device_row(device_id)
        if note is None:
            await self._connection.execute(_NO_LEFT_SESSION, {"device_id": device_id})
            return
        values = {"device_id": device_id, "note": self._secrets.seal(note.encode()), "now_us": self._now_us}
        await self._connection.execute(_SET_LEFT_SESSION, values)

    async def learn_parameters(self, device_id: int, parameters: Mapping[str, str]) -> None:
        """Those that are columns are never learned: enrolment gives them."""
        clear = json.loads((await self._device_row(device_id)).parameters)
        learned = {n: v for n, v in parameters.items() if v and not clear.get(n) and n not in _COLUMNS}
        if learned:
            await self._set(device_id, {"parameters": json.dumps(clear | learned, sort_keys=True)})

    async def writing(self, device_id: int) -> tuple[int, bool]:
        values = {"device_id": device_id, "now_us": self._now_us}
        row = (await self._connection.execute(_WRITING, values)).one()
        return row.newest, bool(row.writes)

    async def activity(self, device_ids: Sequence[int]) -> Mapping[int, Activity]:
        found: dict[int, Activity] = {}
        for part in parts(sorted(set(device_ids))):
            rows = await self._connection.execute(_ACTIVITY, {"devices": part, "now_us": self._now_us})
            found.update({row.device_id: Activity(bool(row.busy), bool(row.uncertain)) for row in rows})
        return found

    async def _set(self, device_id: int, values: Mapping[str, Any]) -> None:
        changed = await self._connection.execute(update(device).where(device.c.device_id == device_id).values(values))
        if changed.rowcount != 1:
            raise NotFound(f"there is no device {wire_id(device_id)}")

    async def _device_row(self, device_id: int) -> Any:
        row = (await self._connection.execute(_BY_ID, {"device_id": device_id})).first()
        if row is None:
            raise NotFound(f"there is no device {wire_id(device_id)}")
        return row

    async def _insert_device(self, device_id: int, nf_id: int, group_id: int, new: NewDevice) -> None:
        """A device and, with it, its free lock."""
        await self._check_addresses(device_id, (new.address, new.secondary_address), new.parameters.get("port"))
        values = {
            "device_id": device_id, "device_name": new.device_name, "nf_id": nf_id, "group_id": group_id,
            "address": new.address, "secondary_address": new.secondary_address, "platform": new.platform,
            "parameters": _stored(new.parameters, new.secrets), "secrets": self._sealed(new.secrets),
            "reachable": int(new.reachable),
        }  # fmt: skip
        await self._connection.execute(insert(device), values)
        lock = {"device_id": device_id, "read_only": int(new.read_only)}
        await self._connection.execute(insert(device_lock), lock)

    async def check_unknown(self, credentials: Credentials) -> None:
        """A host is the device whatever the port: one unit answers at several. Only this machine stands for many."""
        port = credentials.parameters.get("port")
        addresses = [a for a in (credentials.address, credentials.secondary_address) if a]
        wanted = {endpoint(address, port) for address in addresses}
        for other, address, (host, taken) in await self._endpoints(wanted):
            if any(host == h and (not p or not taken or p == taken or not is_loopback(h)) for h, p in wanted):
                raise InvalidRequest(
                    f"{address} is an address of device {other.device_name!r} ({wire_id(other.device_id)}): "
                    "probe that device instead",
                    deviceId=wire_id(other.device_id),
                )

    async def _check_addresses(self, device_id: int, addresses: Sequence[str | None], port: str | None) -> None:
        """Two entries for one unit would mean two locks for it."""
        wanted = {endpoint(address, port) for address in addresses if address}
        for other, address, taken in await self._endpoints(wanted):
            if taken in wanted and other.device_id != device_id:
                raise AlreadyExists(
                    f"{address} is already an address of device {other.device_name!r} ({wire_id(other.device_id)})"
                )

    async def _endpoints(self, wanted: set[tuple[str, str]]) -> list[tuple[Any, str, tuple[str, str]]]:
        """Devices that have one of these hosts, with each of their addresses as it is written and as an endpoint."""
        query = select(
            device.c.device_id, device.c.device_name, device.c.address, device.c.secondary_address, device.c.parameters
        ).where(or_(*(_same_host(host) for host, _ in sorted(wanted))))
        found = []
        for other in await self._connection.execute(query.order_by(device.c.device_id)):
            port = json.loads(other.parameters).get("port")
            written = [address for address in (other.address, other.secondary_address) if address]
            found += [(other, address, endpoint(address, port)) for address in written]
        return found

    def _sealed(self, secrets: Mapping[str, str]) -> bytes:
        return self._secrets.seal(json.dumps(dict(secrets)).encode())

    def _opened(self, sealed: bytes) -> dict[str, str]:
        opened: dict[str, str] = json.loads(self._secrets.open(sealed))
        return opened


def _same_host(host: str) -> ColumnElement[bool]:
    """Addresses of this host, with any port."""
    columns = (device.c.address, device.c.secondary_address)
    return or_(*(c == host for c in columns), *(c.startswith(f"{host}:", autoescape=True) for c in columns))


def _stored(parameters: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """The clear part as it is stored; of a secret only that there is one."""
    clear = {name: value for name, value in parameters.items() if value and name not in _COLUMNS}
    return json.dumps(clear | dict.fromkeys(secrets, MASKED), sort_keys=True)


def _parameters(row: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads(row.parameters)
    found |= {PRIMARY: row.address, PLATFORM: row.platform, READ_ONLY: "true" if row.read_only else "false"}
    if row.secondary_address is not None:
        found[SECONDARY] = row.secondary_address
    return found


def _device(row: Any) -> Device:
    return Device(
        device_id=row.device_id, device_name=row.device_name, ip=row.address, nf_id=row.nf_id, nf_name=row.nf_name,
        group_id=row.group_id, platform=row.platform, parameters=_parameters(row), assigned=bool(row.assigned),
        reachable=bool(row.reachable), read_only=bool(row.read_only), serial_number=row.serial_number,
        software_version=row.software_version, config_version=row.config_version, description=row.description,
        last_operation=row.last_operation, status=row.status, status_changed_us=row.status_changed_us,
        loaded_version=row.loaded_version, polled_us=row.polled_us, poll_error=row.poll_error,
    )  # fmt: skip
