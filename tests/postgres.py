"""A private PostgreSQL for the tests: its own directory, port, password and end; the system's clusters stay untouched.

Ask for `postgres_url` to get a new empty database, for `postgres_server` to reach the shared server behind it, and for
`own_postgres` to get a server that a test may kill. OPENSDM_TEST_FSYNC=off trades durability for speed.
"""

import asyncio
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from opensdm.stores.schema import migrate
from tests.machine import missing

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
        self._run(
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

    def restart(self) -> None:
        """Stop in good order and start again."""
        self.stop()
        self.start()

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as superuser; what it prints, unaligned, without headers."""
        return self._run(
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

    def _end(self, how: signal.Signals) -> None:
        assert self.process is not None, "the server is not running"
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

    def _run(self, program: str, *arguments: str) -> str:
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


@contextmanager
def private_server(*, fsync: bool = True) -> Iterator[PostgresServer]:
    """A new server in a directory of its own, both gone at the end, however the test ended."""
    found = programs()
    if found is None:
        missing("PostgreSQL (apt-get install postgresql)")
    # Not pytest's tmp_path: that is closed to the account the server runs as, and too long for a socket path.
    with tempfile.TemporaryDirectory(prefix="opensdm-pg-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(found, Path(directory), account(), fsync)
        try:
            server.initialise()
            yield server
        finally:
            if server.process is not None:
                server.kill()


def _fsync_wanted() -> bool:
    return os.environ.get("OPENSDM_TEST_FSYNC", "on") != "off"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server all tests share; a test that stops it starts it again."""
    with private_server(fsync=_fsync_wanted()) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Address of a new empty database, dropped after the test."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: PostgresServer) -> str:
    name = postgres_server.create_database()
    # In a thread, whose event loop is nobody else's.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, migrate(postgres_server.url(name))).result()
    return name


@pytest.fixture
def migrated_postgres_url(postgres_server: PostgresServer, _migrated_template: str) -> Iterator[str]:
    """Address of a database that is set up and holds nothing yet, dropped after the test."""
    name = postgres_server.create_database(_migrated_template)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, always with fsync: for crashes."""
    with private_server(fsync=True) as server:
        yield server
