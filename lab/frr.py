"""FRR routers: Debian's zebra and staticd in a network namespace of their own, reached over SSH, which opens vtysh."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.machine import listens, machine_lock, own_directory, require_frr, run, sweep_directories
from lab.processes import Process, alive, wait_gone
from lab.ssh import START_TIMEOUT_S, SshServer
from lab.users import ROUTER_USER, router_login

CONFIGURATIONS = Path("/etc/frr")
STATES = Path("/var/run/frr")
DAEMONS = ("zebra", "staticd")
SSH_PORT = 22
# Namespaces and interfaces carry the pid of the lab that made them, so that what a dead one left can be told.
PREFIX = "osdm"
# What staticd's routes are marked with in the kernel (RTPROT_ZSTATIC). By name, "static", `ip` flushes protocol 4,
# which is another one of the same name, and leaves these.
STATICD_PROTOCOL = "196"
SETTLE_TIMEOUT_S = 30.0
INITIAL = "frr defaults traditional\nservice integrated-vtysh-config\n"


@dataclass
class FrrRouter:
    """One FRR router. Its address is one end of a veth pair, out of 10.99.0.0/16; port 22 inside its namespace.

    `initial` is the configuration it starts with and returns to in `wipe`. Without `directory` it makes a temporary
    one and removes it in `stop`.
    """

    number: int = 1
    directory: Path = Path()
    initial: str = INITIAL
    port: int = SSH_PORT
    user: str = ROUTER_USER
    password: str = field(default="", repr=False)
    address: str = ""
    _daemons: list[Process] = field(default_factory=list, init=False, repr=False)
    _sshd: Process | None = field(default=None, init=False, repr=False)
    _temporary: bool = field(default=False, init=False, repr=False)

    @property
    def name(self) -> str:
        """Name of its namespace and of its FRR instance."""
        return f"{PREFIX}{os.getpid()}-{self.number}"

    @property
    def hostname(self) -> str:
        """What its prompt begins with."""
        return f"router-{self.number}"

    @property
    def host_key(self) -> str:
        """Its public host key, 'ssh-ed25519 AAAA...'."""
        return self._ssh.host_key

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of its daemons and of sshd, those that run."""
        return tuple(process.pid for process in self._processes())

    @property
    def saved(self) -> Path:
        """The file that `write memory` writes."""
        return CONFIGURATIONS / self.name / "frr.conf"

    def start(self) -> None:
        """Bring it up and return when it takes logins."""
        if self._sshd is not None:
            raise RuntimeError(f"the router {self.name} runs already")
        if not self.address:
            self._prepare()
        self._sshd = self._ssh.start("ip", "netns", "exec", self.name)
        self._start_daemons()
        self._ssh.wait(self._sshd)

    def stop(self) -> None:
        """Take it down and remove namespace, veth and FRR's files; harmless when it is down."""
        self.kill()
        if self.address:
            _remove(self.name)
            self.address = ""
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory, self._temporary = Path(), False

    def kill(self) -> None:
        """Power off: SIGKILL for all that runs in it, and its kernel forgets the routes. Its address and files stay."""
        for process in self._processes():
            process.kill()
        self._daemons.clear()
        self._sshd = None
        if self.address:
            _kill_inside(self.name)
            self._forget_routes()

    def restart(self) -> None:
        """Reboot: connections and what was not saved are lost; address and keys stay."""
        self.kill()
        self.start()

    def wipe(self) -> None:
        """Back to the initial configuration, running and saved, and in the kernel; up, whatever it was before."""
        self.kill()
        if self.address:
            self._write_configuration()
        self.start()

    def cut(self) -> None:
        """Cut every connection, as a lost link does; the router runs on and takes new ones."""
        if self._sshd is not None:
            self._sshd.cut()

    def pause(self) -> None:
        """Freeze it: connections stay open and new ones are taken, but nobody answers."""
        for process in self._processes():
            process.pause()

    def resume(self) -> None:
        """Let it run on after `pause`."""
        for process in self._processes():
            process.resume()

    def kernel_routes(self) -> list[str]:
        """The routes its kernel really has, as `ip route` lines, such as 'blackhole 203.0.113.0/24 proto static'."""
        return [line.strip() for line in run("ip", "-n", self.name, "route").splitlines()]

    def routed(self, prefix: str) -> bool:
        """Whether it has an IPv4 static route to `prefix`, once its configuration and its kernel say the same.

        zebra tells the kernel a moment after vtysh is back at its prompt. RuntimeError when the two stay at odds.
        """
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            configured = f"\nip route {prefix} " in self.vtysh("show running-config")
            routes = self.kernel_routes()
            if configured == any(prefix in route.split()[:2] for route in routes):
                return configured
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: {prefix} configured: {configured}, in the kernel: {routes}")
            time.sleep(0.02)

    def vtysh(self, *commands: str) -> str:
        """What vtysh prints on these commands: by the side door, for checks that must not go by SSH."""
        arguments = [part for command in commands for part in ("-c", command)]
        return run("ip", "netns", "exec", self.name, "vtysh", "-N", self.name, *arguments)

    @property
    def _ssh(self) -> SshServer:
        return SshServer(self.directory, self.address, self.port, self.user, f"/usr/bin/vtysh -N {self.name}")

    def _processes(self) -> Iterator[Process]:
        if self._sshd is not None:
            yield self._sshd
        yield from self._daemons

    def _prepare(self) -> None:
        require_frr()
        self.password = self.password or router_login().password
        if self.directory == Path():
            self.directory, self._temporary = own_directory(), True
        self.directory = self.directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        sweep()
        self.address = _make_namespace(self.name)
        self._write_configuration()
        self._ssh.prepare()

    def _write_configuration(self) -> None:
        state, saved = STATES / self.name, CONFIGURATIONS / self.name
        for directory in (state, saved):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        (saved / "frr.conf").write_text(self.initial)
        # vtysh takes its host name, and so its prompt, from here only, whatever frr.conf says.
        (saved / "vtysh.conf").write_text(f"hostname {self.hostname}\nservice integrated-vtysh-config\n")
        for daemon in DAEMONS:
            (saved / f"{daemon}.conf").touch()
        # The login writes here through vtysh, as a member of the group.
        for path in (state, saved, *saved.iterdir()):
            shutil.chown(path, "frr", "frr")
            path.chmod(0o770 if path.is_dir() else 0o660)

    def _start_daemons(self) -> None:
        inside = ("ip", "netns", "exec", self.name)
        for left in (STATES / self.name).iterdir():
            left.unlink()
        for daemon in DAEMONS:
            command = (*inside, f"/usr/lib/frr/{daemon}", "-N", self.name, "--vty_addr", "127.0.0.1", "-P", "0")
            self._daemons.append(Process(command, self.directory / f"{daemon}.log", home=self.directory))
            # staticd gives up on a zebra that does not listen yet for some seconds.
            self._wait_daemon(daemon)
        run(*inside, "vtysh", "-N", self.name, "-b")

    def _wait_daemon(self, daemon: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        awaited = [STATES / self.name / f"{daemon}.vty"]
        if daemon == "zebra":
            awaited.append(STATES / self.name / "zserv.api")
        while not all(map(listens, awaited)):
            if not self._daemons[-1].running or time.monotonic() > deadline:
                raise RuntimeError(f"{daemon} did not start: {self._daemons[-1].log.read_text()[-2000:]}")
            time.sleep(0.01)

    def _forget_routes(self) -> None:
        """Take zebra's routes out of the kernel, as a power cut does; to be called when nothing runs that adds any.

        A zebra that was killed leaves them there. The next one sweeps those it reads within the second it starts in,
        and keeps the others for good: it has them in its table then, and not in its configuration.
        """
        inside = ("ip", "-n", self.name)
        # They take along the routes that name one, which `ip route flush` stumbles over.
        run(*inside, "nexthop", "flush")
        for family in ("-4", "-6"):
            run(*inside, family, "route", "flush", "table", "all", "proto", STATICD_PROTOCOL)
            if left := run(*inside, family, "route", "show", "table", "all", "proto", STATICD_PROTOCOL):
                raise RuntimeError(f"{self.name} still has {left.strip()}")


def sweep() -> list[str]:
    """Remove what labs left that were killed before they could; the names of the namespaces removed."""
    left = [name for name in namespaces() if not alive(_maker(name))]
    for name in left:
        _remove(name)
    sweep_directories()
    return left


def namespaces() -> list[str]:
    """Names of the lab's network namespaces on this machine, those of other labs too."""
    names = [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line]
    return [name for name in names if re.fullmatch(PREFIX + r"\d+-\d+", name)]


def _maker(name: str) -> int:
    return int(name.removeprefix(PREFIX).partition("-")[0])


def _veth(name: str) -> str:
    # At most 15 characters.
    return "v" + name.removeprefix(PREFIX)


def _make_namespace(name: str) -> str:
    """A namespace with a veth pair into it; its address on that."""
    with machine_lock():
        outer, inner = _free_pair()
        veth = _veth(name)
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "address", "add", f"{outer}/30", "dev", veth)
        run("ip", "link", "set", veth, "up")
        run("ip", "-n", name, "address", "add", f"{inner}/30", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
    return inner


def _free_pair() -> tuple[str, str]:
    """Two addresses of a /30 that nobody on this machine uses."""
    taken = run("ip", "-4", "-oneline", "address") + run("ip", "-4", "route", "show", "table", "all")
    for slot in range(64 * 254):
        third, fourth = 1 + slot // 64, slot % 64 * 4
        if not re.search(rf"\b10\.99\.{third}\.({fourth}|{fourth + 1}|{fourth + 2}|{fourth + 3})\b", taken):
            return f"10.99.{third}.{fourth + 1}", f"10.99.{third}.{fourth + 2}"
    raise RuntimeError("no free /30 is left in 10.99.0.0/16")


def _kill_inside(name: str) -> None:
    """SIGKILL for what runs in a namespace, also what lost its parents; returns when it is gone."""
    while pids := [int(pid) for pid in run("ip", "netns", "pids", name).split() if alive(int(pid))]:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_gone(pids)


def _remove(name: str) -> None:
    with suppress(RuntimeError):
        _kill_inside(name)
    # Deleting one end of the pair deletes the other, at once; a namespace lingers until its last socket is closed.
    for command in (("ip", "link", "delete", _veth(name)), ("ip", "netns", "delete", name)):
        with suppress(RuntimeError):
            run(*command)
    for directory in (CONFIGURATIONS / name, STATES / name):
        shutil.rmtree(directory, ignore_errors=True)
