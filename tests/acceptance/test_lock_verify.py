"""`opensdm lock verify`: the log of lock events replayed against the locks, on both databases, with planted faults."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from opensdm.settings import SQLITE_NAME
from tests.acceptance.conftest import ON_SQLITE_AT_LEAST
from tests.doors.wire import listed
from tests.program import PASSWORD, Client, Installation, done, run

DEVICE = {"username": "ops", "password": "s3cret-pw"}
VERIFY = "/rest/v1.4/inventory/locks/verify"
Plant = Callable[[str, str], None]


@pytest.fixture
def plant(either: Installation) -> Plant:
    """Changes the database past the server, as nothing of ours does; the statement names the device `$1`.

    The database itself guards its trail: that has to be taken off first.
    """

    async def on_postgres(statement: str, device_id: int) -> None:
        connection = await asyncpg.connect(either.database)
        try:
            await connection.execute("DROP TRIGGER IF EXISTS lock_event_append_only ON lock_event")
            assert (await connection.execute(statement, device_id)).endswith(" 1")
        finally:
            await connection.close()

    def change(statement: str, device: str) -> None:
        device_id = int(device.removeprefix("ID"))
        if either.database:
            asyncio.run(on_postgres(statement, device_id))
            return
        with sqlite3.connect(either.data / SQLITE_NAME) as connection:
            connection.execute("DROP TRIGGER IF EXISTS lock_event_no_delete")
            assert connection.execute(statement, {"1": device_id}).rowcount == 1
        connection.close()

    return change


def busy_day(client: Client, other: Client) -> tuple[str, str]:
    """Two devices with a history: the first is held by alice in the end, the other is free."""
    first, second = (client.enrol(name, **DEVICE, **{"primary.ip": f"{name}.example"}) for name in ("edge-a", "edge-b"))
    day: tuple[tuple[str, dict[str, str]], ...] = (
        ("Lock", {"reason": "one"}), ("Unlock", {}), ("Lock", {"reason": "two"}), ("Lock", {}),
    )  # fmt: skip
    for kind, more in day:
        assert client.act(second, kind, **more).status_code == 200
    override = f"/rest/v1.4/inventory/deviceMgmt/devices/{second}/lock/override"
    assert other.post(override, {"reason": "outage"}).status_code == 200
    for kind, more in day:  # the newest event of all is here: a start that misses that one raises every epoch
        assert client.act(first, kind, **more).status_code == 200
    return first, second


def differing(either: Installation) -> list[dict[str, Any]]:
    """What the command finds; its exit code says the same."""
    ended = run("lock", "verify", *either.place, "--json")
    found: list[dict[str, Any]] = json.loads(ended.stdout)["differences"]
    assert ended.returncode == (1 if found else 0), ended.stderr
    assert bool(found) == ended.stderr.startswith("opensdm: events and locks differ")
    return found


@ON_SQLITE_AT_LEAST
def test_events_and_locks_are_compared(either: Installation, plant: Plant) -> None:
    with either.serve() as server:
        admin = either.client(server).login("admin", "correct-horse-7")
        done("user", "add", "alice", "--group", "provisioners", *either.place, OPENSDM_PASSWORD=PASSWORD)
        alice = either.client(server).login("alice", PASSWORD)
        first, second = busy_day(alice, admin)
        assert done("lock", "verify", *either.place) == "2 locks are as their 7 events say.\n"
        assert alice.get(VERIFY).status_code == 403, "it is for administrators"
        answer = admin.get(VERIFY).json()
        assert (answer["locks"], answer["events"], listed(answer.get("differences"))) == (2, 7, [])
        assert server.stop() == 0

    plant("UPDATE device_lock SET reason = 'three', since_us = since_us + 1 WHERE device_id = $1", first)
    with either.serve() as server:
        found = differing(either)
        assert [(each["device_name"], each["what"], each["event_id"]) for each in found] == [
            ("edge-a", "since_us", None), ("edge-a", "reason", None),
        ]  # fmt: skip
        assert (found[1]["told"], found[1]["found"]) == ("two", "three")
        admin = either.client(server).login("admin", "correct-horse-7")
        since, reason = admin.get(VERIFY).json()["differences"]
        assert (reason["what"], reason["events"], reason["state"], reason["deviceId"]) == (
            "reason", "two", "three", first,
        )  # fmt: skip
        assert since["what"] == "since" and since["events"] < since["state"]
    plant("UPDATE device_lock SET reason = 'two', since_us = since_us - 1 WHERE device_id = $1", first)
    assert differing(either) == []

    plant("UPDATE device_lock SET holder_id = NULL WHERE device_id = $1", first)
    said = run("lock", "verify", *either.place)
    assert said.returncode == 1 and "edge-a" in said.stdout and "alice, user" in said.stdout
    assert "1 devices" in said.stderr
    plant("UPDATE device_lock SET holder_id = (SELECT max(user_id) FROM user_account) WHERE device_id = $1", first)
    assert differing(either) == []

    plant("DELETE FROM lock_event WHERE event_id = (SELECT max(event_id) FROM lock_event WHERE device_id = $1)", second)
    found = differing(either)
    assert {each["device_name"] for each in found} == {"edge-b"}
    assert {"holder", "epoch"} <= {each["what"] for each in found}
    plant("DELETE FROM lock_event WHERE event_id = (SELECT min(event_id) FROM lock_event WHERE device_id = $1)", first)
    found = [each for each in differing(either) if each["device_name"] == "edge-a"]
    assert found[0]["what"] == "kind" and found[0]["event_id"] is not None
