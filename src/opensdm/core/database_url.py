"""What a database URL may say, and the servers a PostgreSQL one names."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from opensdm.core.errors import InvalidRequest

SQLITE = "sqlite:///"
_POSTGRES = ("postgresql", "postgres", "postgresql+asyncpg")
_ASKED_FOR = "target_session_attrs"
_PRIMARY = ("read-write", "primary", "any")
"""Whatever of these is asked for: only a primary is worked on."""


@dataclass(frozen=True, slots=True)
class PostgresServers:
    """`dsns`: one connection string for each server, in the order of the URL. `shown`: where, without any password."""

    dsns: tuple[str, ...]
    shown: str


def postgres_servers(url: str) -> PostgresServers:
    """Read `postgresql://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME?...`. InvalidRequest says what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in _POSTGRES:
        raise InvalidRequest("a database URL starts with sqlite:/// or postgresql://")
    user, at, listed = parts.netloc.rpartition("@")
    hosts = listed.split(",")
    for host in hosts if listed else ():
        _check_host(host)
    query = parse_qsl(parts.query, keep_blank_values=True)
    asked = dict(query).get(_ASKED_FOR, "primary")
    if asked not in _PRIMARY:
        raise InvalidRequest(f"{_ASKED_FOR} in a database URL is read-write or primary: a standby takes no writes")
    kept = urlencode([(name, value) for name, value in query if name != _ASKED_FOR])
    dsns = (urlunsplit(("postgresql", user + at + host, parts.path, kept, "")) for host in hosts)
    return PostgresServers(tuple(dsns), (listed or "localhost") + parts.path)


def check_database_url(url: str) -> None:
    """InvalidRequest for a URL that names no database this program works on."""
    if not url.startswith(SQLITE):
        postgres_servers(url)


def _check_host(host: str) -> None:
    try:
        found = urlsplit(f"//{host}")
        valid = bool(found.hostname) and found.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InvalidRequest("a database URL names its servers as HOST or HOST:PORT, several separated by commas")
