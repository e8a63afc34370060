"""Virtual SBCs: our own `opensdm simulate sbc`, run as a user runs it. Nobody else's device."""

import secrets
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import opensdm
from lab.machine import free_port, listens, own_directory, require
from lab.processes import Process
from lab.ssh import START_TIMEOUT_S

SOURCE = Path(opensdm.__file__).resolve().parents[1]


@dataclass
class SbcProcess:
    """One virtual SBC at 127.0.2.`number`, over HTTPS with a certificate authority of its own."""

    number: int = 1
    port: int = 0
    directory: Path = Path()
    user: str = "netops"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    _process: Process | None = field(default=None, init=False, repr=False)
    _temporary: bool = field(default=False, init=False, repr=False)

    @property
    def address(self) -> str:
        """Its IPv4 address on loopback."""
        return f"127.0.2.{self.number}"

    @property
    def authority(self) -> Path:
        """The certificate to trust, PEM."""
        return self.directory / "tls" / "ca.crt"

    @property
    def pids(self) -> tuple[int, ...]:
        """Its process id, if it runs."""
        return (self._process.pid,) if self._process is not None else ()

    def start(self) -> None:
        """Bring it up and return when it takes connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it without waiting for it; see `wait`."""
        require("virtual SBC", "setpriv", root=False)
        if self.directory == Path():
            self.directory, self._temporary = own_directory(), True
        self.directory = self.directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port(self.address)
        command = [
            *(sys.executable, "-m", "opensdm", "simulate", "sbc"),
            *("--listen", f"{self.address}:{self.port}", "--name", f"sbc-{self.number}", "--username", self.user),
            *("--tls", str(self.directory / "tls"), "--state", str(self.directory / "state.json")),
        ]
        variables = {"PYTHONPATH": str(SOURCE), "OPENSDM_SBC_PASSWORD": self.password}
        self._process = Process(command, self.directory / "sbc.log", home=self.directory, **variables)

    def wait(self) -> None:
        """Return once it takes connections; RuntimeError with the end of its log if it does not."""
        assert self._process is not None, "the virtual SBC was not launched"
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listens((self.address, self.port)):
            if not self._process.running or time.monotonic() > deadline:
                raise RuntimeError(f"the virtual SBC did not start: {self._process.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Take it down; harmless when it is down. A directory that was given stays."""
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory, self._temporary = Path(), False
