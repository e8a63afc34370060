"""An inventory to look at: groups, devices with long and short names, locks of several people, an ask, work."""

from __future__ import annotations

from opensdm.core.operations import (
    AddDeviceGroup,
    AddNetworkFunction,
    AskForLock,
    AssignDevice,
    FindDevices,
    LockDevice,
)
from tests.gatehouse import House

FOLDERS = (("Core", "Home"), ("East", "Home"), ("West", "Home"), ("Lab", "Home/West"))
DEVICES = (
    ("core-sbc-01", "Home/Core"),
    ("core-sbc-02", "Home/Core"),
    ("east-edge-01", "Home/East"),
    ("east-edge-02", "Home/East"),
    ("west-edge-01", "Home/West"),
    ("west-edge-02-standby-pair-of-the-second-computing-centre-in-the-west", "Home/West"),
    ("lab-a", "Home/West/Lab"),
    ("lab-b", "Home/West/Lab"),
)


async def seed(house: House) -> dict[str, int]:
    """Answers the devices' ids by name."""
    for name, parent in FOLDERS:
        await house.gate.execute(house.local, AddDeviceGroup(group_name=name, parent_full_name=parent))
    for number, (name, parent) in enumerate(DEVICES, start=1):
        wanted = {"primary.ip": f"192.0.2.{number}:443", "username": "ops", "password": "s3cret-pw"}
        await house.gate.execute(
            house.local,
            AddNetworkFunction(
                nf_name=name, parent_full_name=parent, category_name="SP Edge & Core", type_name="Device",
                parameters=wanted,
            ),
        )  # fmt: skip
    found = await house.gate.execute(house.local, FindDevices())
    ids = {each.shown.device.device_name: each.shown.device.device_id for each in found.items}
    for device_id in ids.values():
        await house.gate.execute(house.local, AssignDevice(device_id=device_id))
    return ids


async def lock_some(house: House, ids: dict[str, int]) -> None:
    """alice, bob and carol hold something; bob asks alice for one."""
    window = "change window 4711: new trunk towards the carrier"
    await house.do("alice", LockDevice(device_id=ids["core-sbc-01"], reason=window))
    await house.do("alice", LockDevice(device_id=ids["lab-a"], lease_s=3600))
    await house.do("bob", LockDevice(device_id=ids["east-edge-01"], reason="TAC case 3-1729"))
    await house.do("carol", LockDevice(device_id=ids[DEVICES[5][0]]))
    await house.do("bob", AskForLock(device_id=ids["core-sbc-01"], message="need it for five minutes"))
