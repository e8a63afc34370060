"""Two PostgreSQL servers, a primary and its synchronous standby, that can be killed, frozen, promoted and rejoined.

What the primary commits is answered once the standby has it on its disk, as with
`synchronous_standby_names = '*'` and `synchronous_commit = on` anywhere. Without `fsync`, the default here, that is the
standby's operating system: killed processes lose nothing of that, only real machines would. Both keep their ports all
along, so that a URL with both hosts stays right whoever is the primary.

    with postgres_pair() as pair:
        pair.create_database("site")
        serve(pair.url("site"))
        pair.kill_primary()
        pair.promote_standby()
        pair.rejoin()
"""

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.postgres import ADMINISTRATOR, OWNER, PostgresServer, account, programs

WAIT_S = 30.0
STREAMING = "select count(*) from pg_stat_replication where state = 'streaming'"
SYNCHRONOUS = "select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')"


class PostgresPair:
    """A primary and a standby. `primary` and `standby` change places at a promotion."""

    def __init__(self, directory: Path, *, fsync: bool = False, options: Mapping[str, str] | None = None) -> None:
        found = programs()
        if found is None:
            raise RuntimeError("PostgreSQL is missing (apt-get install postgresql)")
        password = secrets.token_urlsafe(16)
        self.servers = tuple(
            PostgresServer(found, directory / name, account(), fsync, password=password, options=dict(options or {}))
            for name in ("one", "two")
        )
        self.primary, self.standby = self.servers

    # ------------------------------------------------------------------------------- start and end

    def start(self) -> None:
        """Make both and wait until the primary waits for its standby."""
        for server in self.servers:
            server.directory.mkdir(mode=0o755)
            if server.account is not None:
                shutil.chown(server.directory, server.account)
        self.primary.initialise()
        self._follow(self.standby, self.primary)

    def stop(self) -> None:
        """End both, whatever state they are in; the directory is the caller's."""
        for server in self.servers:
            if server.process is not None:
                server.kill()

    # ------------------------------------------------------------------------------- addresses

    def url(self, database: str, *, through: Mapping[int, int] | None = None) -> str:
        """Both hosts in one URL, for the owner of the databases; whoever connects ends up at the primary.

        `through` maps a server's port to that of a proxy on loopback before it.
        """
        ports = (server.port for server in self.servers)
        hosts = ",".join(f"127.0.0.1:{(through or {}).get(port, port)}" for port in ports)
        return f"postgresql://{OWNER}:{self.primary.password}@{hosts}/{database}?target_session_attrs=read-write"

    @property
    def ports(self) -> tuple[int, int]:
        """Ports of the two servers, in the order of the URL."""
        one, two = self.servers
        return one.port, two.port

    def create_database(self, name: str, template: str | None = None) -> str:
        """A new database on the primary, empty or a copy; its URL."""
        copied = f" template {template}" if template else ""
        self.primary.sql(f"create database {name} owner {OWNER}{copied}")
        # The standby has it on disk, and shows it a moment later: a client that tries that one first stumbles over it.
        self._wait(self.standby, f"select count(*) from pg_database where datname = '{name}'")  # noqa: S608 (a name of the tests' own)
        return self.url(name)

    # ------------------------------------------------------------------------------- what goes wrong

    def kill_primary(self) -> None:
        """Power off for the primary's machine."""
        self.primary.kill_outright()

    def kill_standby(self) -> None:
        """Power off for the standby's machine: from now on no commit at the primary is answered."""
        self.standby.kill_outright()

    def pause_primary(self) -> None:
        """Freeze the primary: it takes connections in and answers nothing."""
        self.primary.pause()

    def resume_primary(self) -> None:
        """Let the primary run on. After a promotion meanwhile, it is `standby` here that has to be resumed."""
        self.primary.resume()

    def promote_standby(self) -> PostgresServer:
        """Make the standby the primary, which then waits for nobody; the server that was the primary before.

        The old one may be dead, frozen or alive: alive it still answers reads, and no commit of its ever returns.
        """
        old, new = self.primary, self.standby
        new.sql("select pg_promote(true, 30)")
        self._wait(new, "select count(*) from pg_settings where name = 'transaction_read_only' and setting = 'off'")
        self.primary, self.standby = new, old
        return old

    def rejoin(self) -> None:
        """Make the former primary a synchronous standby of the present one: what it had alone is thrown away."""
        if self.standby.process is not None:
            self.standby.kill()
        shutil.rmtree(self.standby.directory / "data", ignore_errors=True)
        self._follow(self.standby, self.primary)

    def restart_standby(self) -> None:
        """Start a killed standby again; it catches up, and commits are answered again."""
        self.standby.start()
        self._wait(self.primary, SYNCHRONOUS)

    def wait_for_nobody(self) -> None:
        """Let the primary commit without a standby, as an operator does who has lost one for good."""
        self._demand(self.primary, "")

    # ------------------------------------------------------------------------------- parts

    def _follow(self, standby: PostgresServer, primary: PostgresServer) -> None:
        data = standby.directory / "data"
        primary.run(
            "pg_basebackup",
            *("--pgdata", str(data), "--checkpoint", "fast", "--wal-method", "stream", "--no-sync"),
            *("--host", "127.0.0.1", "--port", str(primary.port), "--username", ADMINISTRATOR),
        )
        # Written here, not by --write-recovery-conf: a copy of a promoted server carries that of its former life.
        (data / "postgresql.auto.conf").write_text(
            f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user={ADMINISTRATOR} "
            f"password={primary.password} application_name=standby connect_timeout=2'\n"
        )
        (data / "standby.signal").touch()
        for name in ("postgresql.auto.conf", "standby.signal"):
            if standby.account is not None:
                shutil.chown(data / name, standby.account)
        standby.start()
        self._wait(primary, STREAMING)
        self._demand(primary, "*")
        self._wait(primary, SYNCHRONOUS)

    @staticmethod
    def _demand(primary: PostgresServer, standbys: str) -> None:
        """Set whom commits wait for. ALTER SYSTEM writes a file and commits nothing, so it waits for nobody itself."""
        primary.sql(f"alter system set synchronous_standby_names = '{standbys}'")
        primary.sql("select pg_reload_conf()")

    @staticmethod
    def _wait(server: PostgresServer, counting: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while server.sql(counting) == "0":
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL on port {server.port}: still nothing from: {counting}")
            time.sleep(0.02)


@contextmanager
def postgres_pair(*, fsync: bool = False, options: Mapping[str, str] | None = None) -> Iterator[PostgresPair]:
    """A running pair in a directory of its own, both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="opensdm-pair-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        pair = PostgresPair(Path(directory), fsync=fsync, options=options)
        try:
            pair.start()
            yield pair
        finally:
            pair.stop()
