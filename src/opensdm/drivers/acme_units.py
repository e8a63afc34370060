"""The units of one device, and which of them is talked to: the active one, else any that answers for reading."""

from __future__ import annotations

from opensdm.core.errors import Rejected, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.drivers.acme_kept import DeviceUnits
from opensdm.drivers.acme_session import ACTIVE_ROLES, UnitSession
from opensdm.drivers.acme_tls import Transport, transport_of
from opensdm.drivers.names import Definition


class Units:
    """At most one unit is open at a time. Raises InvalidRequest for transport parameters that make no sense."""

    def __init__(self, credentials: Credentials, definition: Definition, kept: DeviceUnits) -> None:
        self.credentials = credentials
        self._kept = kept
        self.definition = definition
        self.open_unit: UnitSession | None = None
        self._transport: Transport = transport_of(credentials)

    async def reach(self) -> UnitSession:
        """The unit in use, else the active one, else any that answers.

        Raises Unreachable when none does, and Rejected when one refuses the login.
        """
        if self.open_unit is None:
            self.open_unit = await self._find()
            for address in self._addresses():
                await self._transport.learn(address)
        return self.open_unit

    async def find_active(self) -> UnitSession:
        """Roles change hands: a unit found earlier is asked again, and another is looked for."""
        unit = await self.reach()
        if not await self._is_active(unit):
            await self.close()
            unit = await self.reach()
        await self.require_active(unit)
        return unit

    async def _is_active(self, unit: UnitSession) -> bool:
        """False, too, for a unit that does not answer any more, where another one may."""
        try:
            return await unit.role() in ACTIVE_ROLES
        except Unreachable:
            if not self.credentials.secondary_address:
                raise
            return False

    @property
    def learned(self) -> dict[str, str]:
        """Device parameters found out on the way: the certificates seen, where they are pinned at first sight."""
        return {} if self._transport.pins is None else self._transport.pins.learned

    async def require_active(self, unit: UnitSession) -> None:
        role = await unit.role()
        if role not in ACTIVE_ROLES:
            raise Rejected(
                f"device at {unit.address} is {role or 'of no role it names'}; only an active unit is written to"
            )

    async def close(self) -> None:
        """Gives the unit back, to be kept for the next operation if it is fit for it."""
        unit, self.open_unit = self.open_unit, None
        if unit is not None:
            await self._kept.leave(unit)

    async def _find(self) -> UnitSession:
        spare: UnitSession | None = None
        failures: list[Unreachable] = []
        try:
            for address in self._addresses():
                try:
                    unit, role = await self._kept.enter(self._session(address))
                except Unreachable as failure:
                    failures.append(failure)
                    continue
                if role in ACTIVE_ROLES:
                    return unit
                if spare is None:
                    spare = unit
                else:
                    await self._kept.leave(unit)
            if spare is None:
                raise _no_unit(failures)
            found, spare = spare, None
            return found
        finally:
            if spare is not None:
                await self._kept.leave(spare)

    def _session(self, address: str) -> UnitSession:
        api = self.definition.api
        life_s = float(self.credentials.parameters.get("token.life") or api["token_life_s"])
        return UnitSession(address, self._transport, self.credentials, api["versions"], life_s)

    def _addresses(self) -> list[str]:
        port = self.credentials.parameters.get("port", "")
        known = [self.credentials.address, self.credentials.secondary_address]
        return [with_port(address, port) for address in known if address]


def with_port(address: str, port: str) -> str:
    """`host` or `host:port`, IPv6 in brackets; a port in the address wins."""
    bare_ipv6 = address.count(":") > 1 and not address.startswith("[")
    host = f"[{address}]" if bare_ipv6 else address
    has_port = host.rpartition("]")[2].count(":") == 1
    return host if has_port or not port else f"{host}:{port}"


def _no_unit(failures: list[Unreachable]) -> Unreachable:
    if not failures:
        return Unreachable("the device has no address")
    return Unreachable("; ".join(f.message for f in failures), **failures[0].facts)
