"""Two servers on one PostgreSQL: any answers anything, and the end or the sleep of one is made good by the other."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.program import ADMIN_PASSWORD, PASSWORD, Client, Installation, Running, two_installations

DEVICES = "/rest/v1.4/inventory/deviceMgmt/devices"
RHYTHM = {"OPENSDM_NODE_HEARTBEAT_S": "0.3", "OPENSDM_NODE_DEAD_AFTER_S": "1.5"}

pytestmark = pytest.mark.postgres


@pytest.fixture
def pair(postgres_url: str, tmp_path: Path) -> tuple[Installation, Installation]:
    """Two data directories with one key, on one database."""
    return two_installations(postgres_url, tmp_path)


def same_session(client: Client, installation: Installation, server: Running) -> Client:
    """The same session at another node."""
    other = installation.client(server)
    other.http.cookies.update({c.name: c.value or "" for c in client.http.cookies})
    return other


def until(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def test_two_nodes_are_one_server(pair: tuple[Installation, Installation]) -> None:
    one, two = pair
    with one.serve(**RHYTHM) as first, two.serve(**RHYTHM) as second:
        admin = one.client(first).login("admin", ADMIN_PASSWORD)
        device_id = admin.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        alice, bob = one.client(first).login("alice", PASSWORD), two.client(second).login("bob", PASSWORD)
        alice_there = same_session(alice, two, second)
        assert alice.act(device_id, "Lock", reason="night work").status_code == 200
        # I12: what was answered at one node is seen at the other.
        shown = alice_there.get(f"{DEVICES}/{device_id}/lock").json()
        assert (shown["holder"], shown["reason"]) == ("alice", "night work")
        locked = bob.act(device_id, "Lock")
        assert locked.status_code == 423 and locked.json()["blockers"][0]["holder"] == "alice"
        assert bob.act(device_id, "Unlock").status_code == 403
        assert alice_there.act(device_id, "Unlock").status_code == 200
        assert bob.act(device_id, "Lock").status_code == 200
        assert alice.act(device_id, "Lock").status_code == 423
        # A session that ends at one node has ended at the other.
        assert alice.post("/rest/v1.4/admin/logout").status_code in (200, 204)
        assert alice_there.get(f"{DEVICES}/{device_id}/lock").status_code == 401
        first.kill()
        until(lambda: "a node was declared dead" in second.log, "the dead node is found")
        admin_there = same_session(admin, two, second)
        kept = admin_there.get(f"{DEVICES}/{device_id}/lock").json()
        assert kept["holder"] == "bob", "a lock outlives the node it was taken at, and any other"
        assert bob.act(device_id, "Unlock").status_code == 200


def test_a_node_that_slept_begins_anew_and_nobody_elses_work_was_touched(
    pair: tuple[Installation, Installation],
) -> None:
    one, two = pair
    with one.serve(**RHYTHM) as first, two.serve(**RHYTHM) as second:
        admin = one.client(first).login("admin", ADMIN_PASSWORD)
        device_id = admin.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        there = same_session(admin, two, second)
        assert admin.act(device_id, "Lock").status_code == 200
        first.process.send_signal(signal.SIGSTOP)
        until(lambda: "a node was declared dead" in second.log, "the sleeping node is taken for dead")
        assert there.get(f"{DEVICES}/{device_id}/lock").json()["holder"] == "admin"
        first.process.send_signal(signal.SIGCONT)
        until(lambda: "taken for dead, and begun anew" in first.log, "it begins anew")
        until(lambda: admin.get("/readyz").status_code == 200, "it is ready again")
        assert admin.act(device_id, "Unlock").status_code == 200
        assert there.get(f"{DEVICES}/{device_id}/lock").json()["state"] == "FREE"
        assert second.log.count("a node was declared dead") == 1
        assert second.stop() == 0 and first.stop() == 0
