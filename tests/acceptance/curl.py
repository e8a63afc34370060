"""A user who has curl and nothing else: one login, one cookie jar, every call a process of its own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.machine import tool
from tests.program import Installation, Running


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any

    def ok(self) -> Any:
        assert self.status in (200, 202, 204), (self.status, self.body)
        return self.body


class Curl:
    """`version` is that of the API; bodies are JSON."""

    def __init__(self, server: Running, place: Installation, directory: Path, version: str = "v1.4") -> None:
        self._base = f"{server.url}/rest/{version}"
        self._authority = place.authority
        self._jar = directory / f"cookies-{id(self)}.txt"
        tool("curl")

    def login(self, user: str, password: str) -> Curl:
        self.call("POST", "/admin/login", {"userName": user, "password": password}).ok()
        return self

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        sent = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(
            [
                "curl", "-sS", "--cacert", str(self._authority), "-b", str(self._jar), "-c", str(self._jar),
                "-X", method, "-H", "Accept: application/json", *sent, "-w", "\n%{http_code}", "--noproxy", "*",
                self._base + path,
            ],
            check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        text, _, status = done.stdout.rpartition("\n")
        return Reply(int(status), json.loads(text) if text.strip() else None)

    # ------------------------------------------------------------------------------ what a user does

    def enrol(self, name: str, **parameters: str) -> str:
        """A network function with one managed device; the device's wire id."""
        listed = [{"name": key.replace("_", "."), "value": value} for key, value in parameters.items()]
        self.call("POST", "/inventory/nfMgmt/nfs", {
            "name": name, "parentGroupFullName": "Home", "nfCategory": {"name": "SP Edge & Core"},
            "nfType": {"name": "Device"}, "parameters": listed,
        }).ok()  # fmt: skip
        device_id: str = self.call("POST", "/configuration/devices", {"deviceName": name, "nfName": name}).ok()["id"]
        return device_id

    def load(self, device_id: str) -> Any:
        return self.call("GET", f"/configuration/devices/{device_id}/loadConfig").ok()

    def edit(self, device_id: str, what: str, path: str, *, change_set: str = "", **attributes: str) -> Reply:
        body: dict[str, Any] = {
            "elementTypePath": path, "attributes": [{"name": n, "value": v} for n, v in attributes.items()]
        }  # fmt: skip
        return self.post_element(device_id, what, body, change_set)

    def post_element(self, device_id: str, what: str, body: Any, change_set: str = "") -> Reply:
        query = f"?changeSet={change_set}" if change_set else ""
        return self.call("POST", f"/configuration/deviceConfigs/{device_id}/configElements/{what}{query}", body)

    def pending(self, device_id: str, change_set: str = "") -> Any:
        query = f"?changeSet={change_set}" if change_set else ""
        return self.call("GET", f"/configuration/deviceConfigs/{device_id}/configurationChanges{query}").ok()

    def push(self, device_id: str, kind: str = "SaveActivateConfig", **more: Any) -> Reply:
        return self.call("POST", f"/configuration/devices/{device_id}/action", {"type": kind, **more})

    def lock(self, device_id: str, kind: str = "Lock") -> Reply:
        return self.call("POST", f"/inventory/deviceMgmt/devices/{device_id}/action", {"type": kind})

    def sync(self, device_id: str) -> Any:
        return self.call("GET", f"/configuration/devices/{device_id}/checkSync").ok()
