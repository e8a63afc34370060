"""Which server of several is worked on: the primary, and of two that think they are, the one promoted last.

All servers of the URL are asked at the same time, so that one that lies dead keeps nobody from its successor. What a
primary says of itself is compared with what this node has seen before: one of an older timeline was replaced and is
never worked on again, and another database behind the same address is not the one this node was started on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import structlog

from opensdm.core.database_url import postgres_servers

log = structlog.get_logger("opensdm.database")

CONNECT_TIMEOUT_S = 5.0
GRACE_S = 0.5
"""Once a primary has answered, how long other servers may still take to say that they are one of a later timeline."""
KEEPALIVE_S = 5
KEEPALIVES = 2
"""A connection that carries nothing is asked after so many seconds, and given up after so many missing answers."""
SETTINGS = {
    "application_name": "opensdm",
    "synchronous_commit": "on",
    # The server, too, gives up a node that vanished: its transaction holds rows that others need.
    "tcp_keepalives_idle": str(KEEPALIVE_S),
    "tcp_keepalives_interval": str(KEEPALIVE_S),
    "tcp_keepalives_count": str(KEEPALIVES),
    "tcp_user_timeout": str(KEEPALIVE_S * (KEEPALIVES + 1) * 1000),
}

_WHERE = """
    SELECT pg_is_in_recovery() AS standby,
           (SELECT system_identifier FROM pg_control_system()) AS system,
           (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database,
           CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline
"""
"""The timeline by the log that is written now: the control file shows a new one only after its first checkpoint."""


class NoPrimary(ConnectionError):
    """None of the servers is one that this node may work on; the sentence says what was found."""


@dataclass(frozen=True, slots=True)
class Home:
    """What a connection leads to: cluster and database stay the same over a fail-over, the timeline grows with it."""

    system: int
    database: int
    timeline: int


@dataclass(frozen=True, slots=True)
class _Found:
    connection: Any
    home: Home


class Dialer:
    """Makes the connections of one open database. `home`: where the last one led that was worked on."""

    def __init__(self, url: str) -> None:
        self._dsns = postgres_servers(url).dsns
        self._connections: WeakKeyDictionary[Any, Home] = WeakKeyDictionary()
        self.home: Home | None = None
        self.doubt = False
        """The primary did not answer as one should: wait for the word of every server before going on with it."""

    async def connect(self, settings: Mapping[str, str]) -> Any:
        """An asyncpg connection to the primary. NoPrimary, or what the servers answered, where there is none."""
        dialling = [asyncio.create_task(self._dial(dsn, settings)) for dsn in self._dsns]
        chosen: Any = None
        try:
            best = await self._best(dialling)
            self._move(self._known(best.home))
            chosen = best.connection
            self._connections[chosen] = best.home
            return chosen
        finally:
            for task in dialling:
                task.cancel()
            for each in await asyncio.gather(*dialling, return_exceptions=True):
                if isinstance(each, _Found) and each.connection is not chosen:
                    each.connection.terminate()

    def current(self, connection: Any) -> bool:
        """Whether a connection is open, and leads to where the newest one leads."""
        return not connection.is_closed() and self._connections.get(connection) == self.home

    async def _best(self, dialling: Sequence[asyncio.Task[_Found]]) -> _Found:
        """The primary of the latest timeline among those that answer, or the most telling failure, raised."""
        clock = asyncio.get_running_loop().time
        pending = set(dialling)
        until: float | None = None
        found: list[_Found] = []
        failures: list[BaseException] = []
        while pending:
            left = None if until is None else max(0.0, until - clock())
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in done:
                error = task.exception()
                if error is None:
                    found.append(task.result())
                else:
                    failures.append(error)
            if found and until is None and not self.doubt:
                until = clock() + GRACE_S
        if not found:
            raise min(failures, key=_dullness)
        if len({(each.home.system, each.home.database) for each in found}) > 1:
            raise NoPrimary("the servers of its URL hold different databases")
        return max(found, key=lambda each: each.home.timeline)

    async def _dial(self, dsn: str, settings: Mapping[str, str]) -> _Found:
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_S, target_session_attrs="any", server_settings={**SETTINGS, **settings}
        )
        try:
            _keep_alive(connection)
            row = await connection.fetchrow(_WHERE, timeout=CONNECT_TIMEOUT_S)
            if row["standby"] or row["timeline"] is None:
                raise NoPrimary("a standby takes no writes")
            return _Found(connection, self._known(Home(row["system"], row["database"], int(row["timeline"], 16))))
        except BaseException:
            connection.terminate()
            raise

    def _known(self, found: Home) -> Home:
        if self.home is not None:
            if (found.system, found.database) != (self.home.system, self.home.database):
                raise NoPrimary("another database answers than the one this server was started on; restart this server")
            if found.timeline < self.home.timeline:
                raise NoPrimary("this primary was replaced by a promoted standby")
        return found

    def _move(self, home: Home) -> None:
        """Whoever still talks to the former primary is cut off now, instead of believing what it says."""
        if home == self.home:
            return
        if self.home is not None:
            log.warning("the database moved to a promoted standby", timeline=home.timeline, before=self.home.timeline)
        self.home = home
        for connection, led_to in list(self._connections.items()):
            if led_to != home:
                connection.terminate()


def _dullness(error: BaseException) -> int:
    """A server that refused us has more to say than one that is a standby, and that more than one that is not there."""
    if isinstance(error, NoPrimary):
        return 1
    return 2 if isinstance(error, OSError | TimeoutError) else 0


def _keep_alive(connection: Any) -> None:
    """Have the system notice a peer that is gone. The driver has no public way to its socket; without one, we wait."""
    transport = getattr(connection, "_transport", None)
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None or peer.family == socket.AF_UNIX:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_S),
        ("TCP_KEEPCNT", KEEPALIVES),
        ("TCP_USER_TIMEOUT", KEEPALIVE_S * (KEEPALIVES + 1) * 1000),
    ):
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
