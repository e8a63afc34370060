"""The real gate on SQLite, with users, for handler tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from opensdm.core.operations import LoadConfiguration
from opensdm.core.ports import Capabilities
from opensdm.drivers.registry import Registry
from tests.gatehouse import House, house_with_users
from tests.handlers.memory_device import MemoryDriver
from tests.handlers.sites import HELD, NAMED, Open, Site


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_with_users(f"sqlite:///{tmp_path}/opensdm.db", tmp_path) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[House, dict[Capabilities, MemoryDriver]]]:
    """One house for all, since each test enrols a device of its own."""
    directory = tmp_path_factory.mktemp("house")
    drivers = {can: MemoryDriver(name, can) for name, can in NAMED.items()}
    registry = Registry(drivers.values())
    async with house_with_users(f"sqlite:///{directory}/opensdm.db", directory, drivers=registry) as house:
        yield house, drivers


@pytest.fixture
def site(shared: tuple[House, dict[Capabilities, MemoryDriver]]) -> Open:
    house, drivers = shared

    async def begin(can: Capabilities) -> Site:
        address, device = drivers[can].add()
        device.hold(*HELD)
        device_id = await house.enrol(address.split(".")[0], address, platform=device.platform)
        here = Site(house, device, device_id)
        await here.do(LoadConfiguration)
        return here

    return begin
