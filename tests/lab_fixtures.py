"""Real devices for tests: `netconf_device` and `frr_router`, shared by a worker and fresh for each test that asks.

Where the machine cannot run them (a program is missing, we are not root) the test is skipped aloud, or fails if
CI=true. `netconf_pool.take(n)` gives several devices, also to fixtures of a module. A test may kill, freeze and break
what it got: the next one finds it up and clean.
"""

from collections.abc import Iterator

import pytest

from lab.frr import FrrRouter
from lab.machine import LabUnavailable
from lab.netconf import NetconfDevice, start_netconf
from tests.machine import missing


class NetconfPool:
    """NETCONF devices that run until the worker ends."""

    def __init__(self) -> None:
        self._devices: list[NetconfDevice] = []

    def take(self, count: int = 1) -> list[NetconfDevice]:
        """`count` running devices in their initial configuration, without connections and locks."""
        for device in self._devices[:count]:
            device.wipe()
        more = count - len(self._devices)
        if more > 0:
            try:
                self._devices += start_netconf(more, first=len(self._devices) + 1)
            except LabUnavailable as reason:
                missing(str(reason))
        return self._devices[:count]

    def close(self) -> None:
        """Take all down."""
        for device in self._devices:
            device.stop()


class FrrPool:
    """FRR routers that run until the worker ends."""

    def __init__(self) -> None:
        self._routers: list[FrrRouter] = []

    def take(self, count: int = 1) -> list[FrrRouter]:
        """`count` running routers in their initial configuration."""
        for router in self._routers[:count]:
            router.wipe()
        for number in range(len(self._routers) + 1, count + 1):
            self._routers.append(_started(FrrRouter(number)))
        return self._routers[:count]

    def close(self) -> None:
        """Take all down."""
        for router in self._routers:
            router.stop()


def _started(router: FrrRouter) -> FrrRouter:
    try:
        router.start()
    except LabUnavailable as reason:
        missing(str(reason))
    except BaseException:
        router.stop()
        raise
    return router


@pytest.fixture(scope="session")
def netconf_pool() -> Iterator[NetconfPool]:
    """As many NETCONF devices as a test needs; see `NetconfPool.take`."""
    pool = NetconfPool()
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def frr_pool() -> Iterator[FrrPool]:
    """As many FRR routers as a test needs; see `FrrPool.take`."""
    pool = FrrPool()
    yield pool
    pool.close()


@pytest.fixture
def netconf_device(netconf_pool: NetconfPool) -> NetconfDevice:
    """One running NETCONF device in its initial configuration, without connections and locks."""
    return netconf_pool.take()[0]


@pytest.fixture
def frr_router(frr_pool: FrrPool) -> FrrRouter:
    """One running FRR router in its initial configuration."""
    return frr_pool.take()[0]
