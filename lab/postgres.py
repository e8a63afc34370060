"""A private PostgreSQL: its own directory, port, password and end; the system's clusters stay untouched."""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab.processes import tree, wait_gone

ADMINISTRATOR = "postgres"
OWNER = "opensdm"
START_TIMEOUT_S = 60.0


def programs() -> Path | None:
    """Directory of the newest installed server programs, None without any."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if installed:
        return max(installed, key=lambda directory: float(directory.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def account() -> str | None:
    """The account the server runs as: PostgreSQL refuses root; None means our own."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class PostgresServer:
    """One PostgreSQL server. Its port and password stay the same over `restart` and `kill`."""

    programs: Path
    directory: Path
    account: str | None
    fsync: bool = True
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    process: subprocess.Popen[bytes] | None = None
    frozen: bool = False
    options: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self.process is not None, "the server is not running"
        return self.process.pid

    def url(self, database: str) -> str:
        """Address of `database` for its owner, who is no superuser."""
        return f"postgresql://{OWNER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def administrator_url(self, database: str = "postgres") -> str:
        """Address of `database` for the superuser: to end backends, or to look at statistics."""
        return f"postgresql://{ADMINISTRATOR}:{self.password}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Make the data directory, with passwords demanded from everyone, and the role that owns the databases."""
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        if self.account is not None:
            for path in (self.directory, password_file):
                shutil.chown(path, self.account)
        self.run(
            "initdb",
            *("--pgdata", str(self.directory / "data")),
            *("--username", ADMINISTRATOR, "--pwfile", str(password_file), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )
        self.start()
        self.sql(f"create role {OWNER} login password '{self.password}'")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self.process is None, "the server runs already"
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "fsync": "on" if self.fsync else "off",
            "max_connections": "200",
            "timezone": "UTC",
            **self.options,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        # A test run that is killed outright takes its server along.
        guard = [setpriv, "--pdeathsig", "INT", "--"] if (setpriv := shutil.which("setpriv")) else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*guard, str(self.programs / "postgres"), "-D", str(self.directory / "data"), *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                user=self.account,
                group=self._group(),
                extra_groups=self._extra_groups(),
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Fast shutdown: connections are cut, the last checkpoint is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Crash: every server process gone at once, nothing written any more. `start` then recovers from the log."""
        # The immediate shutdown is PostgreSQL's own crash: it quits each child and writes no checkpoint. A bare
        # SIGKILL of the postmaster would leave children behind, which keep the next start waiting.
        self._end(signal.SIGQUIT)

    def kill_outright(self) -> None:
        """Power off: SIGKILL for every process of the server, at the same instant as far as they can tell."""
        pids = self._freeze()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(timeout=START_TIMEOUT_S)
        wait_gone(pids)
        self.process, self.frozen = None, False

    def pause(self) -> None:
        """Freeze every process of the server: connections stay open, new ones are taken in, and nothing answers."""
        self._freeze()

    def resume(self) -> None:
        """Let a frozen server run on as if nothing had been."""
        for pid in tree(self.pid):
            with contextlib.suppress(ProcessLookupError):  # woken before it, the postmaster may end it
                os.kill(pid, signal.SIGCONT)
        self.frozen = False

    def restart(self) -> None:
        """Stop in good order and start again."""
        self.stop()
        self.start()

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as superuser; what it prints, unaligned, without headers."""
        return self.run(
            "psql",
            *("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--username", ADMINISTRATOR),
            *("--dbname", database, "--command", statement),
        ).strip()

    def create_database(self, template: str | None = None) -> str:
        """Name of a new database, owned by the role in `url`: empty, or a copy of one that nobody is connected to."""
        name = f"test_{secrets.token_hex(8)}"
        self.sql(f"create database {name} owner {OWNER}{f' template {template}' if template else ''}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, cutting whoever is still connected to it."""
        self.sql(f"drop database if exists {name} with (force)")

    def _freeze(self) -> list[int]:
        os.kill(self.pid, signal.SIGSTOP)
        pids = tree(self.pid)
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self.frozen = True
        return pids

    def _end(self, how: signal.Signals) -> None:
        assert self.process is not None, "the server is not running"
        if self.frozen:
            self.resume()
        self.process.send_signal(how)
        self.process.wait(timeout=START_TIMEOUT_S)
        self.process = None

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._accepts_connections():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)

    def _accepts_connections(self) -> bool:
        probe = [str(self.programs / "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the server's account, with its password; what it prints."""
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PGPASSWORD": self.password},
            user=self.account,
            group=self._group(),
            extra_groups=self._extra_groups(),
        )
        if done.returncode != 0:
            # initdb and psql echo what they were told: the password is ours alone, but logs live long.
            raise RuntimeError(f"{program}: {re.sub(re.escape(self.password), '***', done.stderr)}")
        return done.stdout

    def _group(self) -> int | None:
        return None if self.account is None else pwd.getpwnam(self.account).pw_gid

    def _extra_groups(self) -> list[int] | None:
        return None if self.account is None else []
