"""What the lab needs of the machine, the one lock its processes share, and free addresses on loopback."""

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.processes import alive

STATE = Path("/var/lib/opensdm-lab")
SSHD = "/usr/sbin/sshd"
SUBSYSTEM = "/usr/sbin/netconf-subsystem"
ZEBRA = "/usr/lib/frr/zebra"
_PREFIX = "opensdm-lab-"


class LabUnavailable(RuntimeError):
    """This machine cannot run the device; the message says what is missing and how to get it."""


def require(kind: str, *programs: str, root: bool = True) -> None:
    """Raise LabUnavailable unless all `programs` (names on PATH, or paths) are there, and unless we are `root`."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        raise LabUnavailable(f"{kind}: {', '.join(absent)} not found (as root: scripts/system-packages)")
    if root and os.geteuid() != 0:
        raise LabUnavailable(f"{kind}: only root may bring it up")


def require_netconf() -> None:
    """Raise LabUnavailable where no NETCONF device can run."""
    require("NETCONF device", "netconfd", SUBSYSTEM, SSHD, "ssh-keygen", "setpriv")


def require_frr() -> None:
    """Raise LabUnavailable where no FRR router can run; asks for the right to make network namespaces too."""
    require("FRR router", ZEBRA, "vtysh", SSHD, "ip", "ssh-keygen", "setpriv")
    # A container may call us root and still forbid namespaces.
    if not _may_make_namespaces():
        raise LabUnavailable("FRR router: this machine forbids network namespaces (CAP_SYS_ADMIN is missing)")


def _may_make_namespaces() -> bool:
    return subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode == 0


@contextmanager
def machine_lock() -> Iterator[None]:
    """Held while something is chosen or made that other labs on this machine could choose or make as well."""
    STATE.mkdir(mode=0o700, exist_ok=True)
    with (STATE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def own_directory() -> Path:
    """A new directory, named for this process, so that what a dead one left can be told; see `sweep_directories`."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def sweep_directories() -> None:
    """Remove the directories of processes that are no more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        maker = path.name.removeprefix(_PREFIX).partition("-")[0]
        if maker.isdigit() and not alive(int(maker)):
            shutil.rmtree(path, ignore_errors=True)


def free_port(address: str) -> int:
    """A TCP port nobody listens at on `address`."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def listens(address: Path | tuple[str, int]) -> bool:
    """Whether somebody takes connections at a path, or at an IPv4 address and port."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(address) if isinstance(address, Path) else address) == 0


def run(*command: str, **environment: str) -> str:
    """What a short program printed; RuntimeError with its own words when it fails or takes a minute."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={**os.environ, **environment},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
