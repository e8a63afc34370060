"""Platforms by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opensdm.core.errors import InvalidRequest
from opensdm.core.ports import Driver
from opensdm.drivers.acme_sbc import AcmeSbcDriver
from opensdm.drivers.netconf import NetconfDriver
from opensdm.drivers.pool import KeepsTransports, Pool
from opensdm.drivers.ssh_cli import ssh_cli_drivers


def all_drivers(pool: Pool[Any] | None = None) -> tuple[Driver, ...]:
    """One of each that comes with the program; with `pool` they share its bound on open connections."""
    return AcmeSbcDriver(pool=pool), NetconfDriver(pool), *ssh_cli_drivers(pool)


class Registry:
    """The drivers this installation has: the given ones, or all that come with the program."""

    def __init__(self, drivers: Iterable[Driver] | None = None) -> None:
        chosen: Iterable[Driver] = all_drivers() if drivers is None else drivers
        self._drivers: dict[str, Driver] = {driver.platform: driver for driver in chosen}

    def driver(self, platform: str) -> Driver:
        """Raises InvalidRequest that names the platforms there are."""
        try:
            return self._drivers[platform]
        except KeyError:
            raise InvalidRequest(
                f"there is no platform {platform!r}; there are: {', '.join(self.platforms())}", platform=platform
            ) from None

    async def close(self) -> None:
        """End the connections that drivers keep open between operations; at the server's end."""
        for driver in self._drivers.values():
            if isinstance(driver, KeepsTransports):
                await driver.close()

    def platforms(self) -> tuple[str, ...]:
        return tuple(sorted(self._drivers))
