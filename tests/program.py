"""The installed `opensdm` program, run as its users run it: processes, exit codes, what they print."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

OPENSDM = Path(sys.executable).parent / "opensdm"
ADMIN_PASSWORD = "correct-horse-7"
PASSWORD = "battery-staple-4"
"""Of whoever is not admin."""
START_TIMEOUT_S = 60.0
LISTENING = "listening on "


def environment(**extra: str) -> dict[str, str]:
    """Nothing of this machine's own settings, proxies or certificates."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONWARNINGS": "default"} | extra


def run(*arguments: object, **extra: str) -> subprocess.CompletedProcess[str]:
    """One command to its end, without a terminal."""
    return subprocess.run(
        [str(OPENSDM), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        env=environment(**extra),
    )


def done(*arguments: object, **extra: str) -> str:
    """The output of a command that must succeed."""
    ended = run(*arguments, **extra)
    assert ended.returncode == 0, f"{arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def refused(ended: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """What a command that failed said: one sentence, no traceback, nothing on standard output."""
    assert ended.returncode == code, (ended.returncode, ended.stdout, ended.stderr)
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("opensdm: ") and ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


@dataclass
class Running:
    """A command that runs until it is stopped. `lines` and `errors` grow while it does."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        return next(line for line in self.lines if LISTENING in line).partition(LISTENING)[2].strip()

    @property
    def log(self) -> str:
        return "".join(self.errors)

    def wait_until_listening(self) -> None:
        self.wait_for(LISTENING)

    def wait_for(self, text: str) -> None:
        """Until a line of standard output holds the text."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not any(text in line for line in self.lines):
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log}"
            assert time.monotonic() < deadline, f"does not say {text!r}: {self.lines} {self.log}"
            time.sleep(0.02)

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(timeout=START_TIMEOUT_S)
        for reader in self.readers:
            reader.join(START_TIMEOUT_S)
        return code

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; the exit code."""
        self.process.send_signal(how)
        return self.ended()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


@contextmanager
def running(*arguments: object, listening: bool = True, extra: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A command in the background, gone at the end whatever the test did. `extra`: of its environment."""
    process = subprocess.Popen(
        [str(OPENSDM), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**(extra or {})),
    )
    started = Running(process)
    for stream, kept in ((process.stdout, started.lines), (process.stderr, started.errors)):
        reader = threading.Thread(target=_collect, args=(stream, kept), daemon=True)
        reader.start()
        started.readers.append(reader)
    try:
        if listening:
            started.wait_until_listening()
        yield started
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=START_TIMEOUT_S)
        for reader, stream in zip(started.readers, (process.stdout, process.stderr), strict=True):
            reader.join(START_TIMEOUT_S)
            if stream is not None:
                stream.close()


def _collect(stream: Any, lines: list[str]) -> None:
    with contextlib.suppress(ValueError):
        lines.extend(iter(stream.readline, ""))


@dataclass
class Installation:
    """One data directory, and perhaps a database beside it."""

    data: Path
    database: str | None = None

    @property
    def place(self) -> tuple[object, ...]:
        """The options that name it, for every command."""
        return ("--data", self.data, *(("--database", self.database) if self.database else ()))

    @property
    def authority(self) -> Path:
        return self.data / "tls" / "ca.crt"

    def init(self) -> None:
        done("init", *self.place, OPENSDM_ADMIN_PASSWORD=ADMIN_PASSWORD)

    def init_beside(self, first: "Installation") -> None:
        """A further one on the same database, which only the same key may open."""
        self.data.mkdir()
        (self.data / "secret.key").write_bytes((first.data / "secret.key").read_bytes())
        self.init()

    def serve(self, *more: object, listen: str = "127.0.0.1:0", **extra: str) -> AbstractContextManager[Running]:
        return running("serve", "--data", self.data, "--listen", listen, *more, extra=extra)

    def serve_unwaited(self) -> AbstractContextManager[Running]:
        """A server that may or may not come up."""
        return running("serve", "--data", self.data, "--listen", "127.0.0.1:0", listening=False)

    def client(self, server: Running) -> "Client":
        return Client(server.url, self.authority)


def two_installations(database: str, directory: Path) -> tuple[Installation, Installation]:
    """Two data directories with one key, on one database, with alice and bob."""
    one, two = Installation(directory / "one", database), Installation(directory / "two", database)
    one.init()
    two.init_beside(one)
    for name in ("alice", "bob"):
        done("user", "add", name, "--group", "provisioners", *one.place, OPENSDM_PASSWORD=PASSWORD)
    return one, two


class Client:
    """requests, trusting one certificate authority; JSON in and out."""

    def __init__(self, url: str, authority: Path) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = str(authority)
        self.http.headers["Accept"] = "application/json"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.http.get(self.url + path, timeout=30, **options)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.http.post(self.url + path, json=body, timeout=60)

    def login(self, user: str, password: str) -> "Client":
        answer = self.post("/rest/v1.4/admin/login", {"userName": user, "password": password})
        assert answer.status_code == 200, answer.text
        return self

    def enrol(self, name: str, **parameters: str) -> str:
        """A network function with one managed device; the device's wire id."""
        listed = [{"name": key, "value": value} for key, value in parameters.items()]
        body = {
            "name": name,
            "parentGroupFullName": "Home",
            "nfCategory": {"name": "SP Edge & Core"},
            "nfType": {"name": "Device"},
            "parameters": listed,
        }
        answer = self.post("/rest/v1.4/inventory/nfMgmt/nfs", body)
        assert answer.status_code == 200, answer.text
        answer = self.post("/rest/v1.4/configuration/devices", {"deviceName": name, "nfName": name})
        assert answer.status_code == 200, answer.text
        device_id: str = answer.json()["id"]
        return device_id

    def act(self, device_id: str, kind: str, **more: Any) -> requests.Response:
        return self.post(f"/rest/v1.4/inventory/deviceMgmt/devices/{device_id}/action", {"type": kind, **more})
