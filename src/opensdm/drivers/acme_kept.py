"""Units of SBCs that stay connected and logged in between operations."""

from __future__ import annotations

import asyncio

from opensdm.core.inventory import Credentials
from opensdm.drivers.acme_session import UnitSession
from opensdm.drivers.pool import Pool, PoolKey, pool_key


class KeptUnit:
    """A unit as the pool keeps it. It is fit for others only while it is sound and its token can hold no lock."""

    def __init__(self, unit: UnitSession, ending: set[asyncio.Task[None]]) -> None:
        self.unit = unit
        self._ending = ending

    @property
    def closed(self) -> bool:
        return not self.unit.sound or self.unit.may_hold_lock

    def close(self) -> None:
        task = asyncio.get_running_loop().create_task(self.unit.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class KeptUnits:
    """The pool of one driver."""

    def __init__(self, pool: Pool[KeptUnit] | None = None) -> None:
        self._pool: Pool[KeptUnit] = pool or Pool()
        self._ending: set[asyncio.Task[None]] = set()

    def of(self, device_id: int, credentials: Credentials) -> DeviceUnits:
        return DeviceUnits(self, pool_key(device_id, credentials))

    async def take(self, key: PoolKey, fresh: UnitSession) -> tuple[KeptUnit, bool]:
        """A kept unit and True, or the fresh one, opened."""

        async def connect() -> KeptUnit:
            try:
                await fresh.open()
            except BaseException:
                await asyncio.shield(fresh.close())
                raise
            return KeptUnit(fresh, self._ending)

        return await self._pool.acquire(key, connect)

    async def give_back(self, key: PoolKey, kept: KeptUnit, *, fit: bool) -> None:
        """Keeps it for whoever comes next; one that is not fit is closed when this returns."""
        before = set(self._ending)
        self._pool.release(key, kept, healthy=fit)
        if mine := self._ending - before:
            await asyncio.wait(mine)

    async def close(self) -> None:
        await self._pool.close()
        if self._ending:
            await asyncio.wait(set(self._ending))


class DeviceUnits:
    """The kept units of one device, told apart by their addresses."""

    def __init__(self, all_units: KeptUnits, key: PoolKey) -> None:
        self._all = all_units
        self._key = key
        self._taken: dict[int, tuple[PoolKey, KeptUnit]] = {}

    async def enter(self, fresh: UnitSession) -> tuple[UnitSession, str]:
        """A unit that answers, and its role: a kept one, or the fresh one. Raises what the fresh one raises."""
        key = (self._key[0], f"{self._key[1]} {fresh.address}")
        while True:
            kept, used_before = await self._all.take(key, fresh)
            try:
                role = await kept.unit.role()
            except Exception:
                await self._all.give_back(key, kept, fit=False)
                if not used_before:
                    raise
            except BaseException:
                await asyncio.shield(self._all.give_back(key, kept, fit=False))
                raise
            else:
                self._taken[id(kept.unit)] = (key, kept)
                return kept.unit, role

    async def leave(self, unit: UnitSession) -> None:
        key, kept = self._taken.pop(id(unit))
        await self._all.give_back(key, kept, fit=not kept.closed)
