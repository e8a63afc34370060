"""Twenty devices loaded, edited and pushed at once by one user, beside a bare NETCONF client doing the same.

Run `make bench` or `python -m bench.twenty_devices [--devices 20] [--rounds 3]`, as root on a machine with the lab's
packages. The devices are netconfd. One side is `opensdm serve`, asked over REST for everything (TLS, sessions, lock,
claims, audit, versions, read-back on a durable SQLite); the other is ncclient in threads, which locks, edits, commits,
copies to startup and reads back, and keeps nothing. Both push one new list entry to every device, all devices at once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from ncclient import manager

from lab.netconf import NAMESPACE, NetconfDevice, start_netconf

ADMIN_PASSWORD = "bench-password-1"
OPENSDM = Path(sys.executable).parent / "opensdm"


@contextmanager
def served(data: Path) -> Iterator[str]:
    """A fresh installation and its server; the URL it listens at."""
    variables = {**os.environ, "OPENSDM_ADMIN_PASSWORD": ADMIN_PASSWORD, "OPENSDM_POLL_INTERVAL_S": "0"}
    subprocess.run([OPENSDM, "init", "--data", data], check=True, env=variables, stdout=subprocess.DEVNULL)
    with (data.parent / "server.log").open("w") as log:
        server = subprocess.Popen(
            [OPENSDM, "serve", "--data", data, "--listen", "127.0.0.1:0"], env=variables, stdout=subprocess.PIPE,
            stderr=log, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            yield server.stdout.readline().partition("listening on ")[2].strip()
        finally:
            server.terminate()
            server.wait(30)


class User:
    """One logged-in user; its calls may come from many threads."""

    def __init__(self, url: str, authority: Path) -> None:
        self._base = f"{url}/rest/v1.4"
        self._authority = str(authority)
        self._cookies: dict[str, str] = {}
        answer = self.call("POST", "/admin/login", {"userName": "admin", "password": ADMIN_PASSWORD})
        self._cookies = {"JSESSIONID": answer["sessionId"]}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method, self._base + path, json=body, verify=self._authority, cookies=self._cookies, timeout=120,
            headers={"Accept": "application/json"}, proxies={"http": "", "https": ""},
        )  # fmt: skip
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def enrol(self, device: NetconfDevice) -> str:
        wanted = {
            "primary.ip": f"{device.address}:{device.port}", "username": device.user, "password": device.password,
            "platform": "netconf", "ssh.host.key": device.host_key, "netconf.validate": "false",
        }  # fmt: skip
        name = f"edge-{device.number}"
        self.call("POST", "/inventory/nfMgmt/nfs", {
            "name": name, "parentGroupFullName": "Home", "nfCategory": {"name": "SP Edge & Core"},
            "nfType": {"name": "Device"}, "parameters": [{"name": n, "value": v} for n, v in wanted.items()],
        })  # fmt: skip
        found: str = self.call("POST", "/configuration/devices", {"deviceName": name, "nfName": name})["id"]
        return found

    def load(self, device: str) -> None:
        self.call("GET", f"/configuration/devices/{device}/loadConfig")

    def edit(self, device: str, realm: str) -> None:
        attributes = [{"name": "id", "value": realm}, {"name": "address-prefix", "value": "10.77.0.0/16"}]
        body = {"elementTypePath": "realm", "attributes": attributes}
        self.call("POST", f"/configuration/deviceConfigs/{device}/configElements/add", body)

    def push(self, device: str) -> None:
        reply = self.call("POST", f"/configuration/devices/{device}/action", {"type": "SaveActivateConfig"})
        if reply["status"] != "SUCCESS":
            raise RuntimeError(f"push to {device}: {reply}")


def bare(device: NetconfDevice, realm: str) -> None:
    """What a script would do: lock, edit, commit, keep over a reboot, read back."""
    entry = f"<id>{realm}</id><address-prefix>10.77.0.0/16</address-prefix>"
    config = f'<config><realm xmlns="{NAMESPACE}">{entry}</realm></config>'
    with connected(device) as session:
        with session.locked("candidate"):
            session.edit_config(target="candidate", config=config)
            session.commit()
        session.copy_config(source="running", target="startup")
        if realm not in session.get_config("running").data_xml:
            raise RuntimeError(f"{device.address} lost the edit")


def bare_load(device: NetconfDevice) -> None:
    with connected(device) as session:
        session.get_config("running")


@contextmanager
def connected(device: NetconfDevice) -> Iterator[Any]:
    with manager.connect(
        host=device.address, port=device.port, username=device.user, password=device.password, hostkey_verify=False,
        allow_agent=False, look_for_keys=False, timeout=60,
    ) as session:  # fmt: skip
        yield session


def timed(pool: ThreadPoolExecutor, work: Callable[..., None], *arguments: list[Any]) -> float:
    """Seconds until the work is done for all, all at once."""
    began = time.perf_counter()
    list(pool.map(work, *arguments))
    return time.perf_counter() - began


def run(count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        began = time.perf_counter()
        devices = start_netconf(count, place / "lab")
        print(f"{count} netconfd devices up in {time.perf_counter() - began:.1f} s")
        try:
            with served(place / "data") as url, ThreadPoolExecutor(count) as pool:
                compare(User(url, place / "data/tls/ca.crt"), devices, pool, rounds)
        finally:
            for device in devices:
                device.stop()


def compare(user: User, devices: list[NetconfDevice], pool: ThreadPoolExecutor, rounds: int) -> None:
    began = time.perf_counter()
    ids = [user.enrol(device) for device in devices]
    print(f"enrolled one after another in {time.perf_counter() - began:.1f} s")
    first = timed(pool, user.load, ids)
    print(f"first load of all, with the schema read from their YANG modules: {first:.2f} s")
    ratios = []
    for number in range(rounds):
        names, others = [f"ours-{number}"] * len(ids), [f"bare-{number}"] * len(ids)
        load, edit, push = timed(pool, user.load, ids), timed(pool, user.edit, ids, names), timed(pool, user.push, ids)
        bare_s = timed(pool, bare_load, devices) + timed(pool, bare, devices, others)
        ours_s = load + edit + push
        ratios.append(ours_s / bare_s)
        print(
            f"ours: load {load:.2f} s, edit {edit:.2f} s, push {push:.2f} s, together {ours_s:.2f} s;  "
            f"bare ncclient {bare_s:.2f} s;  ratio {ours_s / bare_s:.2f}"
        )
    print(f"{len(devices)} devices at once, all pushed in each round: median ratio {statistics.median(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run(arguments.devices, arguments.rounds)


if __name__ == "__main__":
    main()
