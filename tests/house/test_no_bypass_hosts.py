"""Ways around the lock by a device's address: probing hosts that nobody is to reach as hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from opensdm.core.errors import AlreadyExists, DeviceLocked, HouseRuleBroken, InvalidRequest
from opensdm.core.inventory import Credentials
from opensdm.core.operations import (
    DiscardChanges,
    LockDevice,
    Operation,
    ProbeDevice,
    ProbeHost,
    ReadDeviceFacts,
)
from opensdm.core.permit import Permit, Read
from opensdm.core.ports import Work
from opensdm.gate.work import NO_DEVICE
from opensdm.handlers import HANDLERS, Handler
from tests.gatehouse import House, open_house

Attack = Callable[[Work], Awaitable[Any]]


class Attackers:
    """A handler whose body a test supplies."""

    attack: Attack

    async def __call__(self, operation: Operation, work: Work) -> Any:
        return await self.attack(work)


@pytest.fixture
def attackers() -> Attackers:
    return Attackers()


@pytest.fixture
async def house(tmp_path: Path, attackers: Attackers) -> AsyncIterator[House]:
    handlers: dict[type[Operation], Handler] = {**HANDLERS, ProbeHost: attackers, ReadDeviceFacts: attackers}
    handlers[DiscardChanges] = attackers
    opened = await open_house(f"sqlite:///{tmp_path}/house.db", tmp_path / "secret.key", handlers=handlers)
    await opened.add_users()
    yield opened
    await opened.close()


async def step_on(house: House, permit: Any, device_id: int) -> None:
    async with house.gate.seal.step(permit, device_id, 5.0):
        pass


HOST = ProbeHost(platform="acme_sbc", parameters={"primary.ip": "192.0.2.99"})


async def test_a_permit_for_hosts_opens_no_device(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")
    kept: list[Permit[Read]] = []

    async def keep(work: Work) -> None:
        kept.append(work.permit_read())
        house.gate.seal.check(kept[0], NO_DEVICE)

    attackers.attack = keep
    await house.do("alice", HOST)
    assert kept[0].devices == {NO_DEVICE} and kept[0].reach is Read
    with pytest.raises(HouseRuleBroken, match="has ended"):
        house.gate.seal.check(kept[0], NO_DEVICE)

    attackers.attack = lambda work: work.connect(device_id)
    with pytest.raises(HouseRuleBroken, match=f"device {device_id}"):
        await house.do("alice", HOST)
    attackers.attack = lambda work: step_on(house, work.permit_read(), device_id)
    with pytest.raises(HouseRuleBroken):
        await house.do("alice", HOST)

    async def ask_for_more(work: Work) -> None:
        work.permit_write()

    attackers.attack = ask_for_more
    with pytest.raises(HouseRuleBroken, match="not write"):
        await house.do("alice", HOST)


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(Credentials("192.0.2.1:443"), id="as it is written"),
        pytest.param(Credentials("192.0.2.1", parameters={"port": "443"}), id="with the port apart"),
        pytest.param(Credentials("192.0.2.1"), id="with the port left out"),
        pytest.param(Credentials("192.0.2.99", "192.0.2.1:443"), id="as the other unit"),
        pytest.param(Credentials("192.0.2.2:443"), id="its standby unit"),
    ],
)
async def test_an_enrolled_device_is_not_reached_as_a_host(
    house: House, attackers: Attackers, there: Credentials
) -> None:
    """The handler may even ask for it without a look at the request: the gate itself looks."""
    device_id = await house.enrol("edge-a", **{"secondary.ip": "192.0.2.2:443"})
    attackers.attack = lambda work: work.connect_host("acme_sbc", there)
    with pytest.raises(InvalidRequest, match=rf"'edge-a' \(ID{device_id}\): probe that device instead"):
        await house.do("bob", HOST)


async def test_a_device_that_says_no_port_is_its_host(house: House, attackers: Attackers) -> None:
    await house.enrol("edge-a", "Edge-A.example")
    attackers.attack = lambda work: work.connect_host("acme_sbc", Credentials("edge-a.example:443"))
    with pytest.raises(InvalidRequest, match="edge-a"):
        await house.do("bob", HOST)
    attackers.attack = lambda work: work.connect_host("acme_sbc", Credentials("edge-b.example:443"))
    await house.do("bob", HOST)


@pytest.mark.parametrize(
    ("enrolled", "asked"),
    [
        ("127.0.0.1:9", "localhost:9"),
        ("127.0.0.1:9", "localhost"),
        ("localhost:9", "127.0.0.1:9"),
        ("127.0.0.1:9", "[::ffff:127.0.0.1]:9"),
        ("[::ffff:127.0.0.1]:9", "127.0.0.1:9"),
    ],
)
async def test_a_device_is_not_reached_by_another_name_of_its_host(
    house: House, attackers: Attackers, enrolled: str, asked: str
) -> None:
    await house.enrol("edge-a", enrolled)
    attackers.attack = lambda work: work.connect_host("acme_sbc", Credentials(asked))
    with pytest.raises(InvalidRequest, match="'edge-a'"):
        await house.do("bob", HOST)


async def test_a_device_is_not_reached_by_another_port_of_its_host(house: House, attackers: Attackers) -> None:
    """One unit answers at several: its REST API, its command line, NETCONF. Only this machine is many hosts."""
    await house.enrol("edge-a", "192.0.2.1:443")
    attackers.attack = lambda work: work.connect_host("acme_cli", Credentials("192.0.2.1:22"))
    with pytest.raises(InvalidRequest, match="'edge-a'"):
        await house.do("bob", HOST)
    await house.enrol("edge-b", "127.0.0.1:443")
    attackers.attack = lambda work: work.connect_host("acme_cli", Credentials("127.0.0.1:22"))
    await house.do("bob", HOST)


async def test_one_unit_is_not_enrolled_twice_by_two_spellings(house: House) -> None:
    await house.enrol("edge-a", "127.0.0.1:9")
    with pytest.raises(AlreadyExists, match="'edge-a'"):
        await house.enrol("edge-b", "[::ffff:7f00:1]:9")


async def test_other_operations_reach_no_host(house: House, attackers: Attackers) -> None:
    device_id = await house.enrol("edge-a")
    attackers.attack = lambda work: work.connect_host("acme_sbc", Credentials("192.0.2.99"))
    for operation in (ReadDeviceFacts(device_id=device_id), DiscardChanges(device_id=device_id)):
        with pytest.raises(HouseRuleBroken, match="reaches devices, not hosts"):
            await house.do("alice", operation)


async def test_a_locked_device_is_probed_by_its_holder_only(tmp_path: Path) -> None:
    house = await open_house(f"sqlite:///{tmp_path}/house.db", tmp_path / "secret.key")
    await house.add_users()
    device_id = await house.enrol("edge-a", "127.0.0.1:9", transport="http")
    await house.do("alice", LockDevice(device_id=device_id))
    with pytest.raises(DeviceLocked, match="alice"):
        await house.do("bob", ProbeDevice(device_id=device_id))
    with pytest.raises(DeviceLocked, match="alice"):
        await house.gate.execute(house.local, ProbeDevice(device_id=device_id))
    by_address = ProbeHost(platform="acme_sbc", parameters={"primary.ip": "127.0.0.1:9"})
    for user in ("bob", "alice"):
        with pytest.raises(InvalidRequest, match="edge-a"):
            await house.do(user, by_address)
    assert (await house.do("alice", ProbeDevice(device_id=device_id))).facts is None
    await house.close()
