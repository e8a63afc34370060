"""Two servers on a primary and its synchronous standby: fail-over, a cut link, a primary that was left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.postgres_pair import PostgresPair
from lab.proxy import CuttingProxy
from tests.program import ADMIN_PASSWORD, PASSWORD, Client, Installation, Running, two_installations

DEVICES = "/rest/v1.4/inventory/deviceMgmt/devices"
RHYTHM = {"OPENSDM_NODE_HEARTBEAT_S": "0.3", "OPENSDM_NODE_DEAD_AFTER_S": "1.5"}
UNANSWERED_S = 25
"""Any request on a database that says nothing is over by then."""


@pytest.fixture
def two(pair: PostgresPair, tmp_path: Path) -> tuple[Installation, Installation]:
    """Two data directories with one key, on one database of the pair."""
    url = pair.create_database(f"site_{time.monotonic_ns()}")
    return two_installations(url, tmp_path)


class Links:
    """Proxies before both servers of the pair, in a thread of their own; `url` leads through them."""

    def __init__(self, pair: PostgresPair, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.pair, self._direct, self._loop = pair, url, loop
        self.proxies: dict[int, CuttingProxy] = {}

    @property
    def url(self) -> str:
        through = self._direct
        for port, proxy in self.proxies.items():
            through = through.replace(f":{port}", f":{proxy.listens_at}")
        return through

    def do(self, port: int, what: Callable[[CuttingProxy], object]) -> None:
        async def act() -> None:
            what(self.proxies[port])

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    def pull(self, port: int) -> None:
        """The cable: what is sent goes nowhere, and nobody is told."""
        self.do(port, lambda proxy: (proxy.hold_at(1, "to_device"), proxy.hold_at(1, "from_device")))

    def plug_in(self, port: int) -> None:
        self.do(port, CuttingProxy.behave)


@contextmanager
def linked(pair: PostgresPair, url: str) -> Iterator[Links]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    links, closing = Links(pair, url, loop), AsyncExitStack()

    async def begin() -> None:
        for port in pair.ports:
            links.proxies[port] = await closing.enter_async_context(CuttingProxy("127.0.0.1", port))

    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        yield links
    finally:
        asyncio.run_coroutine_threadsafe(closing.aclose(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def until(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def ready(client: Client) -> bool:
    return client.get("/readyz").status_code == 200


def lock_of(client: Client, device_id: str) -> tuple[str, str | None, int]:
    answer = client.get(f"{DEVICES}/{device_id}/lock")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    return shown["state"], shown.get("holder"), shown["epoch"]


def users(one: Installation, first: Running, two: Installation, second: Running) -> tuple[Client, Client, Client]:
    admin = one.client(first).login("admin", ADMIN_PASSWORD)
    return admin, one.client(first).login("alice", PASSWORD), two.client(second).login("bob", PASSWORD)


def test_locks_and_nodes_outlive_the_primary(two: tuple[Installation, Installation], pair: PostgresPair) -> None:
    one, other = two
    with one.serve(**RHYTHM) as first, other.serve(**RHYTHM) as second:
        admin, alice, bob = users(one, first, other, second)
        devices = [admin.enrol(f"edge-{n}", **{"primary.ip": f"127.0.0.1:{n + 1}"}) for n in range(3)]
        assert alice.act(devices[0], "Lock", reason="night work").status_code == 200
        assert bob.act(devices[1], "Lock").status_code == 200
        before = [lock_of(bob, device) for device in devices]
        assert [holder for _, holder, _ in before] == ["alice", "bob", None]
        reported: list[int] = []
        stop = threading.Event()

        def keep_locking() -> None:
            """A client that goes on all along: what it was told last is what has to hold."""
            while not stop.is_set():
                kind = "Unlock" if reported and reported[-1] else "Lock"
                if bob.act(devices[2], kind).status_code == 200:
                    reported.append(kind == "Lock")

        with ThreadPoolExecutor(1) as aside:
            going_on = aside.submit(keep_locking)
            until(lambda: len(reported) > 3, "the client works")
            pair.kill_primary()
            at_the_end = len(reported)
            pair.promote_standby()
            for client in (alice, bob):
                until(partial(ready, client), "each node finds the new primary by itself")
            until(lambda: len(reported) > at_the_end + 1, "the client works again")
            stop.set()
            going_on.result(30)
        for client in (alice, bob):
            assert [lock_of(client, device) for device in devices[:2]] == before[:2]
            assert lock_of(client, devices[2])[1] == ("bob" if reported[-1] else None)
        assert bob.act(devices[0], "Lock").status_code == 423 and alice.act(devices[1], "Lock").status_code == 423
        assert alice.act(devices[0], "Unlock").status_code == 200 and bob.act(devices[0], "Lock").status_code == 200
        for log in (first.log, second.log):
            assert "declared dead" not in log and "begun anew" not in log, "nobody's work was ended for this"
        pair.rejoin()


def test_a_link_that_was_cut_is_answered_for_and_comes_back(
    two: tuple[Installation, Installation], pair: PostgresPair
) -> None:
    one, other = two
    with (
        linked(pair, one.database or "") as links,
        one.serve(OPENSDM_DATABASE=links.url, **RHYTHM) as first,
        other.serve(**RHYTHM) as second,
    ):
        admin, alice, bob = users(one, first, other, second)
        device_id = admin.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        assert alice.act(device_id, "Lock").status_code == 200
        kept = lock_of(bob, device_id)
        for port in pair.ports:
            links.pull(port)
        began = time.monotonic()
        with ThreadPoolExecutor(2) as aside:
            at_once = [
                aside.submit(requests.get, f"{first.url}{DEVICES}/{device_id}/lock", cookies=alice.http.cookies,
                             verify=str(one.authority), timeout=60),
                aside.submit(admin.act, device_id, "Unlock"),
            ]  # fmt: skip
            until(lambda: "no sign of life" in alice.get("/readyz").text, "it says why it is not ready")
            for refused in (alice.get(f"{DEVICES}/{device_id}/lock"), alice.act(device_id, "Unlock")):
                assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2"), refused.text
                assert "UNAVAILABLE" in refused.text, refused.text
            assert [each.result().status_code for each in at_once] == [503, 503]
            assert time.monotonic() - began < UNANSWERED_S
        until(lambda: "a node was declared dead" in second.log, "its peer has ended what it did")
        for port in pair.ports:
            links.plug_in(port)
        until(lambda: ready(alice), "it is back by itself")
        assert "begun anew" in first.log
        assert lock_of(alice, device_id) == kept == lock_of(bob, device_id)
        assert alice.act(device_id, "Unlock").status_code == 200
        assert lock_of(bob, device_id)[0] == "FREE"


def test_a_node_with_a_primary_that_was_left_behind_says_nothing_of_locks(
    two: tuple[Installation, Installation], pair: PostgresPair
) -> None:
    one, other = two
    with (
        linked(pair, one.database or "") as links,
        one.serve(OPENSDM_DATABASE=links.url, **RHYTHM) as first,
        other.serve(**RHYTHM) as second,
    ):
        admin, alice, bob = users(one, first, other, second)
        device_id = admin.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        there = pair.standby.port
        links.do(there, CuttingProxy.refuse)
        pair.pause_primary()
        old = pair.promote_standby()
        old.resume()
        until(lambda: bob.act(device_id, "Lock").status_code == 200, "the node that reaches the new primary works")
        until(lambda: "no sign of life" in alice.get("/readyz").text, "the other one knows that it knows nothing")
        assert old.sql("select 1") == "1", "its primary answers all the same"
        for _ in range(10):
            assert alice.get(f"{DEVICES}/{device_id}/lock").status_code == 503
            assert alice.act(device_id, "Lock").status_code == 503
            time.sleep(0.1)
        links.plug_in(there)
        until(lambda: ready(alice), "it finds the new primary once it can")
        assert lock_of(alice, device_id)[1] == "bob"
        assert alice.act(device_id, "Lock").status_code == 423
        pair.rejoin()
