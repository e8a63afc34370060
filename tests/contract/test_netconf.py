"""The NETCONF driver, against Debian's netconfd behind a real sshd."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from lab.machine import LabUnavailable
from lab.netconf import NetconfDevice
from opensdm.testing.driver import DriverContract
from tests.contract.netconf_bench import NetconfBench, Proxy

Start = Callable[..., Awaitable[NetconfBench]]


@pytest.fixture(scope="module")
def running() -> Iterator[NetconfDevice]:
    """One device for all tests; each wipes it first."""
    device = NetconfDevice(71)
    try:
        device.start()
    except LabUnavailable as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NOT TESTED: {missing}")
    yield device
    device.stop()


@pytest.fixture
async def start(running: NetconfDevice) -> AsyncIterator[Start]:
    """Puts a bench with given device parameters before the device."""
    running.wipe()
    benches: list[NetconfBench] = []

    async def launch(**parameters: str) -> NetconfBench:
        proxy = Proxy(running)
        await proxy.start()
        benches.append(NetconfBench(proxy, {name.replace("_", "."): value for name, value in parameters.items()}))
        return benches[-1]

    yield launch
    for bench in benches:
        await bench.close()
        await bench.proxy.stop()


@pytest.fixture
async def bench(start: Start) -> NetconfBench:
    return await start()


class TestNetconf(DriverContract):
    """The contract."""
