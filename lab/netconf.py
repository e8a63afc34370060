"""NETCONF devices: Debian's netconfd with our YANG module, behind an sshd of its own, on a loopback address."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.machine import SUBSYSTEM, free_port, listens, own_directory, require_netconf, sweep_directories
from lab.processes import Process
from lab.ssh import START_TIMEOUT_S, SshServer
from lab.users import NETCONF_USER, netconf_login

YANG = Path(__file__).resolve().parent / "yang"
INITIAL = YANG / "initial.xml"
EMPTY = '<config xmlns="urn:ietf:params:xml:ns:netconf:base:1.0"/>\n'
NAMESPACE = "https://opensdm.example/yang/edge"
MODULES = ("opensdm-edge", "ietf-interfaces", "iana-if-type")
SHIPPED_MODULES = "/usr/share/yuma/modules"


@dataclass
class NetconfDevice:
    """One NETCONF device at 127.0.1.`number`. Address, port and host key stay the same over restarts.

    `initial` is the configuration it starts with and returns to in `wipe`: a whole <config> document. Without
    `directory` it makes a temporary one and removes it in `stop`.
    """

    number: int = 1
    port: int = 0
    directory: Path = Path()
    initial: str = field(default_factory=INITIAL.read_text, repr=False)
    modules: Sequence[str] = MODULES
    modules_from: Path = YANG
    user: str = NETCONF_USER
    password: str = field(default="", repr=False)
    _server: Process | None = field(default=None, init=False, repr=False)
    _sshd: Process | None = field(default=None, init=False, repr=False)
    _sockets: Path | None = field(default=None, init=False, repr=False)
    _temporary: bool = field(default=False, init=False, repr=False)

    @property
    def address(self) -> str:
        """Its IPv4 address on loopback."""
        return f"127.0.1.{self.number}"

    @property
    def host_key(self) -> str:
        """Its public host key, 'ssh-ed25519 AAAA...'."""
        return self._ssh.host_key

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of netconfd and sshd, those that run."""
        return tuple(process.pid for process in (self._server, self._sshd) if process is not None)

    @property
    def log(self) -> Path:
        """What netconfd writes while it works."""
        return self.directory / "netconfd.log"

    def start(self) -> None:
        """Bring it up and return when it answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start its processes without waiting for them; see `wait`."""
        if self._server is not None:
            raise RuntimeError(f"the NETCONF device at {self.address} runs already")
        if self._sockets is None:
            self._prepare()
        self._start_server()
        self._sshd = self._ssh.start()

    def wait(self) -> None:
        """Return once it takes connections; RuntimeError with the end of a log if it does not."""
        self._wait_server()
        if self._sshd is not None:
            self._ssh.wait(self._sshd)

    def stop(self) -> None:
        """Take it down and remove what it left; harmless when it is down. A directory that was given stays."""
        # netconfd takes a second to end when asked, and has nothing to put in order: what is saved is in its file.
        self.kill()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory, self._temporary = Path(), False

    def kill(self) -> None:
        """Power off: SIGKILL for netconfd, sshd and every connection. `start` brings it back as it was saved."""
        for process in (self._sshd, self._server):
            if process is not None:
                process.kill()
        self._server = self._sshd = None

    def restart(self) -> None:
        """Reboot: connections, locks and what was not saved to startup are lost; address and keys stay."""
        self.kill()
        self.start()

    def wipe(self) -> None:
        """Back to the initial configuration in running, candidate and startup, without connections and locks.

        Brings it up if it is down, and lets it run on if it is frozen.
        """
        if self._server is None or self._sshd is None or not self._sshd.running:
            self.kill()
            if self._sockets is not None:
                self._write_startup()
            self.start()
            return
        self.cut()
        self.resume()
        self._server.kill()
        self._write_startup()
        self._start_server()
        self._wait_server()

    def cut(self) -> None:
        """Cut every connection, as a lost link does; the device runs on and takes new ones."""
        if self._sshd is not None:
            self._sshd.cut()

    def pause(self) -> None:
        """Freeze it: connections stay open and new ones are taken, but nobody answers."""
        for process in (self._sshd, self._server):
            if process is not None:
                process.pause()

    def resume(self) -> None:
        """Let it run on after `pause`."""
        for process in (self._server, self._sshd):
            if process is not None:
                process.resume()

    @property
    def _ssh(self) -> SshServer:
        # The number before the @ has to be the port that netconfd was told.
        program = f"{SUBSYSTEM} --ncxserver-sockname={self.port}@{self._socket}"
        return SshServer(self.directory, self.address, self.port, self.user, program, "netconf")

    @property
    def _socket(self) -> Path:
        return (self._sockets or Path()) / "ncx.sock"

    def _prepare(self) -> None:
        require_netconf()
        sweep_directories()
        login = netconf_login()
        self.password = self.password or login.password
        self.port = self.port or free_port(self.address)
        if self.directory == Path():
            self.directory, self._temporary = own_directory(), True
        self.directory = self.directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        # Not in our directory: the login has to reach the socket, and pytest's directories are closed to it.
        self._sockets = own_directory()
        shutil.chown(self._sockets, self.user)
        self._write_startup()
        self._ssh.prepare()

    def _write_startup(self) -> None:
        (self.directory / "startup.xml").write_text(self.initial)

    def _start_server(self) -> None:
        self._socket.unlink(missing_ok=True)
        command = [
            "netconfd",
            f"--modpath={self.modules_from}:{SHIPPED_MODULES}",
            *(f"--module={module}" for module in self.modules),
            f"--startup={self.directory / 'startup.xml'}",
            # A configuration with a fault in it is a fault of the test: say so and do not start.
            "--startup-error=stop",
            f"--superuser={self.user}",
            "--target=candidate",
            "--with-startup=true",
            f"--port={self.port}",
            f"--ncxserver-sockname={self._socket}",
            f"--log={self.log}",
            "--log-append",
        ]
        self._server = Process(command, self.directory / "netconfd.out", home=self.directory)

    def _wait_server(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listens(self._socket):
            if self._server is None or not self._server.running or time.monotonic() > deadline:
                written = [path.read_text(errors="replace")[-2000:] for path in self.directory.glob("netconfd.*")]
                raise RuntimeError("netconfd did not start: " + "\n".join(written))
            time.sleep(0.01)


def start_netconf(count: int, directory: Path | None = None, *, first: int = 1) -> list[NetconfDevice]:
    """`count` running devices at 127.0.1.`first` and up, started side by side, in directories below `directory`."""
    devices = [
        NetconfDevice(number, directory=directory / f"netconf-{number}" if directory is not None else Path())
        for number in range(first, first + count)
    ]
    try:
        for device in devices:
            device.launch()
        for device in devices:
            device.wait()
    except BaseException:
        for device in devices:
            device.stop()
        raise
    return devices
