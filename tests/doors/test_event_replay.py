"""The events of a lock, replayed by the rules of `docs/events.md`, give the lock that the server shows."""

import random
from typing import Any

import pytest

from opensdm.core.operations import VerifyLocks
from tests.doors.conftest import Connect, Rest
from tests.doors.wire import members, read
from tests.gatehouse import House

FREE = {"state": "FREE", "epoch": 0, "holder": None, "since": None, "reason": None}


def replayed(events: list[Any]) -> dict[str, Any]:
    """The rules of the page, and nothing else."""
    lock = dict(FREE)
    for event in events:
        kind = event["kind"].removeprefix("device:lock:")
        grown = event["epoch"] - lock["epoch"]
        assert grown == (1 if kind in ("taken", "overridden") else 0), event
        lock["epoch"], lock["holder"] = event["epoch"], event.get("holder")
        lock["state"] = "FREE" if lock["holder"] is None else "HELD"
        if lock["holder"] is None:
            lock["since"] = lock["reason"] = None
        elif kind in ("taken", "noted"):
            lock["reason"] = event.get("reason")
            lock["since"] = event["at"] if kind == "taken" else lock["since"]
    return lock


async def act(client: Rest, kind: str, path: str, reason: str) -> None:
    """One call that may be refused; refusals leave no event."""
    if kind == "override":
        transfer = "true" if reason.endswith("1") else "false"
        await client.post(f"{path}/lock/override", f'{{"reason":"{reason}","transfer":{transfer}}}')
    elif kind == "reason":
        await client.post(f"{path}/action", f'{{"type":"Lock","reason":"{reason}"}}')
    else:
        await client.post(f"{path}/action", f'{{"type":"{kind}"}}')


@pytest.mark.parametrize("seed", range(8))
async def test_replaying_gives_the_lock_that_is_shown(house: House, connect: Connect, seed: int) -> None:
    device_id = await house.enrol("edge-a")
    path = f"/inventory/deviceMgmt/devices/ID{device_id}"
    clients = [await connect(user, "v1.4", "json") for user in ("alice", "bob", "admin")]
    choose = random.Random(seed)
    for number in range(12):
        kind = choose.choice(("Lock", "Lock", "reason", "Unlock", "override"))
        client = clients[2] if kind == "override" else choose.choice(clients)
        await act(client, kind, path, f"reason {number % 4}")
        shown = read(await clients[0].get(f"{path}/lock"))
        events = members(await clients[0].get(f"{path}/lock/events?limitation=1000"), "lockEvents")
        assert replayed(events) == {name: shown.get(name) for name in FREE}
    assert len(events) > 2
    assert (await house.do("admin", VerifyLocks())).differences == (), "our own replay finds the same"
