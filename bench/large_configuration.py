"""A configuration of 50,000 elements loaded, compared and edited, while others lock and unlock other devices.

Run `make bench` or `python -m bench.large_configuration [--elements 50000]`. The server runs in this process, so that
the longest time its event loop stood still can be measured from inside; the virtual SBC and the clients are processes
of their own. The other users' latencies are taken twice, without the large work and during it: their ratio is the
result, beside times, peak memory and the longest stall.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from opensdm.server import Server, initialise
from opensdm.settings import Settings

ADMIN_PASSWORD, SBC_PASSWORD = "bench-password-1", "bench-password-2"
LOOK_EVERY_S = 0.005
TYPE, ATTRIBUTE = "sessionAgent", "description"


@dataclass
class Stalls:
    """How late the event loop got to a task that asked for a turn every few milliseconds."""

    longest_s: float = 0.0
    seen: list[float] = field(default_factory=list)

    async def watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(LOOK_EVERY_S)
            late = time.perf_counter() - began - LOOK_EVERY_S
            self.seen.append(late)
            self.longest_s = max(self.longest_s, late)

    def since_last(self) -> str:
        told = f"longest stall {max(self.seen, default=0) * 1000:.0f} ms"
        self.seen.clear()
        return told


def user(url: str, authority: str) -> requests.Session:
    session = requests.Session()
    session.trust_env, session.verify = False, authority
    session.headers["Accept"] = "application/json"
    body = {"userName": "admin", "password": ADMIN_PASSWORD}
    assert session.post(f"{url}/rest/v1.4/admin/login", json=body, timeout=60).ok
    return session


def locker(url: str, authority: str, device: str, stop: Any, latencies: Any) -> None:
    """Another user's client: locks and unlocks a small device again and again, noting how long each call took."""
    session, path = user(url, authority), f"{url}/rest/v1.4/inventory/deviceMgmt/devices/{device}/action"
    while not stop.is_set():
        for kind in ("Lock", "Unlock"):
            began = time.perf_counter()
            assert session.post(path, json={"type": kind}, timeout=60).ok
            latencies.append((time.time(), time.perf_counter() - began))
        time.sleep(0.01)


@contextmanager
def virtual_sbc(directory: Path, *options: str) -> Iterator[str]:
    """A virtual SBC in a process of its own; its address."""
    command = [
        sys.executable, "-m", "opensdm", "simulate", "sbc", "--listen", "127.0.0.1:0", "--username", "ops",
        "--plain-http", *options,
    ]  # fmt: skip
    with (directory / "sbc.log").open("a") as log:
        process = subprocess.Popen(
            command, env={"OPENSDM_SBC_PASSWORD": SBC_PASSWORD, "PATH": ""}, stdout=subprocess.PIPE, stderr=log,
            text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "://" in line:
                    yield line.partition("://")[2].split("/")[0].split()[0].rstrip(",;.")
                    break
        finally:
            process.terminate()
            process.wait(20)


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[str]:
    settings = Settings(data=data, listen="127.0.0.1:0", poll={"interval_s": 0}, backup={"interval_s": 0})  # type: ignore[arg-type]
    await initialise(settings, "admin", ADMIN_PASSWORD)
    server = await Server.open(settings)
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server.serve(said.set_result))
    try:
        yield await said
    finally:
        server.stop()
        await task
        await server.close()


class Admin:
    """The client that does the large work, from threads so that this loop stays free for the server."""

    def __init__(self, url: str, authority: str) -> None:
        self._base = f"{url}/rest/v1.4"
        self._session = user(url, authority)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self._call, method, path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        answer = self._session.request(method, self._base + path, json=body, timeout=600)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    async def enrol(self, name: str, address: str) -> str:
        wanted = {"primary.ip": address, "username": "ops", "password": SBC_PASSWORD, "transport": "http"}
        await self.call("POST", "/inventory/nfMgmt/nfs", {
            "name": name, "parentGroupFullName": "Home", "nfCategory": {"name": "SP Edge & Core"},
            "nfType": {"name": "Device"}, "parameters": [{"name": n, "value": v} for n, v in wanted.items()],
        })  # fmt: skip
        body = {"deviceName": name, "nfName": name}
        return str((await self.call("POST", "/configuration/devices", body))["id"])


async def large_work(admin: Admin, device: str, stalls: Stalls) -> None:
    """Load, list, stage, compare, load again, compare versions, push; each with its time and its stall."""
    managed, config = f"/configuration/devices/{device}", f"/configuration/deviceConfigs/{device}"

    async def step(what: str, method: str, path: str, body: Any = None) -> Any:
        stalls.since_last()
        began = time.perf_counter()
        reply = await admin.call(method, path, body)
        print(f"{what:58s} {time.perf_counter() - began:7.2f} s   {stalls.since_last()}")
        return reply

    await step("load", "GET", f"{managed}/loadConfig")
    listed = await step("list a page of 50", "GET", f"{config}/configElements?elementTypePath={TYPE}")
    print(f"{'':58s} {listed['pageInfo']['total']} elements of the large type")
    element = listed["configElements"][0]
    keys = [a for a in element["attributes"] if a["name"] in ("hostname", "realmId", "id")]
    changed = {"elementTypePath": TYPE, "attributes": [*keys, {"name": ATTRIBUTE, "value": "edited"}]}
    await step("stage one edit", "POST", f"{config}/configElements/update", changed)
    report = await step("compare device, copy and staged edits", "GET", f"{managed}/checkSync")
    assert report["state"] == "Modified", report
    reply = await step("push it", "POST", f"{managed}/action", {"type": "SaveActivateConfig"})
    assert reply["status"] == "SUCCESS", reply
    await step("load again", "GET", f"{managed}/loadConfig")
    found = await step("compare the first version with the newest", "GET", f"{managed}/versions/1/compare")
    print(f"{'':58s} {json.dumps(found)[:160]}")


async def run(elements: int) -> None:
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as opened:
        place = Path(directory)
        large = opened.enter_context(virtual_sbc(place, "--name", "large", "--elements", f"session-agent={elements}"))
        small = opened.enter_context(virtual_sbc(place, "--name", "small"))
        stalls = Stalls()
        async with serving(place / "data") as url:
            authority = str(place / "data/tls/ca.crt")
            admin = await asyncio.to_thread(Admin, url, authority)
            device, other = await admin.enrol("large", large), await admin.enrol("small", small)
            processes = multiprocessing.get_context("spawn")
            with processes.Manager() as shared:
                stop, latencies = shared.Event(), shared.list()
                client = processes.Process(target=locker, args=(url, authority, other, stop, latencies))
                client.start()
                watching = asyncio.create_task(stalls.watch())
                await asyncio.sleep(6)
                before = time.time()
                stalls.seen.clear()
                stalls.longest_s = 0.0
                await large_work(admin, device, stalls)
                after = time.time()
                watching.cancel()
                stop.set()
                await asyncio.to_thread(client.join, 30)
                report(list(latencies), before, after, stalls)


def report(latencies: list[tuple[float, float]], before: float, after: float, stalls: Stalls) -> None:
    alone = [s for at, s in latencies if at < before][10:]
    during = [s for at, s in latencies if before <= at <= after]
    for name, seen in (("without the large work", alone), ("during it", during)):
        median, most = statistics.median(seen) * 1000, max(seen) * 1000
        slow = statistics.quantiles(seen, n=100)[98] * 1000
        figures = f"median {median:.1f}, 99% {slow:.1f}, most {most:.1f} ms"
        print(f"others' lock and unlock {name}: {len(seen)} calls, {figures}")
    print(f"ratio of the medians {statistics.median(during) / statistics.median(alone):.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"longest stall of the event loop {stalls.longest_s * 1000:.0f} ms; peak memory of the server {peak:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=50_000)
    asyncio.run(run(parser.parse_args().elements))


if __name__ == "__main__":
    main()
