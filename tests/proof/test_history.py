"""Three servers on a primary and its standby, under load, while nodes, database and links fail one after another.

Every answer must be one that a single server could have given; nothing foreign reaches a device reported as locked.
OPENSDM_HISTORY_S makes the long form longer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.postgres_pair import postgres_pair
from tests.proof.cluster import USERS, Cluster, cluster
from tests.proof.history import Trail, check_events, check_guarded, check_linearizable, holds, settled, writes
from tests.proof.place import soon
from tests.proof.roaming import Counts, Roamer, settle_in
from tests.simulation.crash_model import SUCCESS
from tests.simulation.crash_traffic import LOCKS, Estate, Line, Record, lock_of

CLIENTS = ("alice", "bob", "carol") * 5 + ("admin",)
LONG_S = float(os.environ.get("OPENSDM_HISTORY_S", "60"))

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
Deed = tuple[float, str, Callable[[], Awaitable[None]]]


def deeds(site: Cluster, seconds: float) -> list[Deed]:
    """What befalls the cluster, and when: at which part of the time."""
    zero, one, two = site.members
    nap_s = max(3.0, seconds / 15)

    async def sleeps() -> None:
        one.signal(signal.SIGSTOP)
        await asyncio.sleep(nap_s)
        one.signal(signal.SIGCONT)

    async def cut_off() -> None:
        zero.cut()
        await asyncio.sleep(nap_s)
        zero.mend()

    async def slow() -> None:
        one.slow(0.01)
        await asyncio.sleep(nap_s)
        one.slow(0)

    return [
        (0.08, "a node is killed", two.kill),
        (0.16, "it starts again", two.start),
        (0.24, "a node sleeps, and wakes", sleeps),
        (0.42, "the primary is killed, the standby promoted", site.fail_over),
        (0.60, "a new standby joins", lambda: site.in_thread("rejoin")),
        (0.68, "a node is cut off from the database, and joined again", cut_off),
        (0.86, "a slow link", slow),
    ]


async def befall(site: Cluster, seconds: float, began: float) -> None:
    for part, what, deed in deeds(site, seconds):
        await asyncio.sleep(max(0.0, began + part * seconds - time.monotonic()))
        begun = time.monotonic()
        await deed()
        site.log.append(f"{begun - began:5.1f} s: {what} ({time.monotonic() - begun:.1f} s)")


async def under_load(site: Cluster, seconds: float) -> tuple[Estate, Record, Counts]:
    """All clients, and all deeds; the first fault any of them sees ends it."""
    estate, tokens = await settle_in(site)
    record, ended, began = Record(), asyncio.Event(), time.monotonic()
    clients = [Roamer(user, tokens[user], site, estate, site.rng.random()) for user in CLIENTS]
    try:
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.roam(record, ended))
            await befall(site, seconds, began)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            ended.set()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    total = Counts()
    for client in clients:
        for name in vars(total):
            setattr(total, name, getattr(total, name) + getattr(client.counts, name))
    total.unknown = sum(call.answer is None and call.changes for call in record.calls)
    return estate, record, total


async def quiet(site: Cluster, estate: Estate) -> None:
    """Every node serves again, and shows the same locks as the others."""
    shown = []
    for member in site.members:
        assert member.url is not None
        async with Line(member.url) as line:
            await soon(lambda at=line: _is_ready(at), f"{member.name} is ready again")  # type: ignore[misc]
            line.token = await line.log_in("admin", "correct-horse-7", f"end-{member.name}")
            shown.append({d: lock_of(await line.get(f"{LOCKS}/ID{d}/lock")) for d in estate.devices})
    assert shown[0] == shown[1] == shown[2]


async def _is_ready(line: Line) -> bool:
    return (await line._http.get("/readyz")).status_code == 200


async def run(directory: Path, seconds: float, seed: int) -> str:
    with postgres_pair() as pair:
        async with cluster(pair, directory, 3, seed) as site:
            estate, record, counts = await under_load(site, seconds)
            await quiet(site, estate)
            trail = await Trail.read(pair.primary.url("site"))
            calls = settled(record.calls, trail)
            check_linearizable(estate.cells, calls, trail)
            check_events(trail)
            reached = [
                w for d, sbc in zip(estate.reachable, site.sbcs, strict=True) for w in writes(d, sbc, USERS)
            ]  # fmt: skip
            assert reached or seconds < LONG_S, "no write reached a device: nothing was guarded"
            inside = check_guarded(holds(calls), reached)
            assert inside or seconds < LONG_S, "no write fell under a reported lock: nothing was guarded"
            assert counts.codes[f"lock {SUCCESS}"] and counts.codes["lock DEVICE_LOCKED"], "nobody met anybody"
            for member in site.members:
                member.server.check_log("critical")  # a node that slept says so
    codes = ", ".join(f"{what} {number}" for what, number in sorted(counts.codes.items()))
    reports = (*site.log, str(counts), codes, f"{len(reached)} writes on devices, {inside} under a reported lock")
    return "\n".join(reports)


async def test_three_nodes_for_a_short_time(tmp_path: Path) -> None:
    print(await run(tmp_path, 20, seed=1))


@pytest.mark.prove
async def test_three_nodes_for_a_minute(tmp_path: Path) -> None:
    print(await run(tmp_path, LONG_S, seed=2))
