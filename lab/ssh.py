"""An sshd of a device's own: one address, one account, one program, its own host key, and nothing else."""

import time
from dataclasses import dataclass
from pathlib import Path

from lab.machine import SSHD, listens, run
from lab.processes import Process

START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class SshServer:
    """Where and how an sshd serves. `directory` is absolute and holds its key, configuration and log."""

    directory: Path
    address: str
    port: int
    user: str
    # The one program it runs, and the subsystem it is known as (None: as the shell).
    program: str
    subsystem: str | None = None

    @property
    def log(self) -> Path:
        return self.directory / "sshd.log"

    @property
    def host_key(self) -> str:
        """Its public key, 'ssh-ed25519 AAAA...', without a comment."""
        return " ".join((self.directory / "hostkey.pub").read_text().split()[:2])

    def prepare(self) -> None:
        """Write key and configuration; a key that is there stays."""
        key = self.directory / "hostkey"
        if not key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key))
        (self.directory / "sshd_config").write_text(self._configuration())
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    def start(self, *before: str) -> Process:
        """Start it, by way of the command `before` if there is one; returns at once, see `wait`."""
        # Absolute paths: sshd changes to / and then reads its configuration again for each connection.
        arguments = ("-D", "-f", str(self.directory / "sshd_config"), "-E", str(self.log))
        return Process([*before, SSHD, *arguments], self.log, home=self.directory)

    def wait(self, process: Process) -> None:
        """Return once it takes connections; RuntimeError with the end of its log if it does not."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listens((self.address, self.port)):
            if not process.running or time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.01)

    def _configuration(self) -> str:
        lines = [
            f"ListenAddress {self.address}",
            f"Port {self.port}",
            f"HostKey {self.directory / 'hostkey'}",
            f"PidFile {self.directory / 'sshd.pid'}",
            f"AllowUsers {self.user}",
            "PasswordAuthentication yes",
            "KbdInteractiveAuthentication no",
            "PubkeyAuthentication no",
            # Without PAM no session is registered with the machine, and no message of the day is sent.
            "UsePAM no",
            "PrintMotd no",
            "PrintLastLog no",
            "StrictModes no",
            "DisableForwarding yes",
            "PermitUserRC no",
            "MaxStartups 200",
            "MaxSessions 200",
            f"ForceCommand {self.program}",
        ]
        if self.subsystem is not None:
            lines += [f"Subsystem {self.subsystem} {self.program}", "PermitTTY no"]
        return "\n".join(lines) + "\n"
