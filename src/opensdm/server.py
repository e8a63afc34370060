"""The server: the one place that puts real stores, drivers and doors together."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog

from opensdm import collector
from opensdm.core.database_url import SQLITE, postgres_servers
from opensdm.core.errors import AlreadyExists, InvalidRequest, SdmError, StoreUnavailable
from opensdm.core.identity import ADMINISTRATORS, SessionPolicy
from opensdm.core.lock import LockPolicy
from opensdm.core.node import NodeRhythm
from opensdm.core.operations import AddUser, Operation, ShowServer
from opensdm.data_directory import (
    COMMAND,
    SERVER,
    DataDirectory,
    DirectoryInUse,
    new_node_name,
    read_private,
    write_private,
)
from opensdm.doors import local
from opensdm.doors.clock import Clock, ClockSettings
from opensdm.doors.local import LocalDoor
from opensdm.drivers.pool import Pool
from opensdm.drivers.registry import Registry, all_drivers
from opensdm.gate import Caller, Gate
from opensdm.gate.run import Principal
from opensdm.handlers import HANDLERS
from opensdm.passwords import Argon2Passwords
from opensdm.settings import Settings
from opensdm.stores.database import Database, open_database
from opensdm.stores.history import Memory, settle_history
from opensdm.stores.ledger import Ledger
from opensdm.stores.liveness import Liveness, NodeIdentity
from opensdm.stores.recovery import recover, stop_node
from opensdm.stores.schema import check_key, migrate
from opensdm.stores.secrets import SecretBox
from opensdm.tls import TlsFiles, ensure_certificates

if TYPE_CHECKING:
    from opensdm.listener import Listener

log = structlog.get_logger("opensdm.server")

GRACE_S = 20.0
"""How long a stop waits for operations that run."""
DIRECTORY_WAIT_S = 10.0
"""How long a start waits for a command that works on the data directory at this moment."""
PROBE_S = 3.0
"""A database that does not answer a read within this counts as away."""
PROBE_EVERY_S = 1.0


class Server:
    """One open data directory and the gate on it; `serve` opens the doors."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        ledger: Ledger,
        gate: Gate,
        bound: socket.socket | None,
        closing: AsyncExitStack,
    ) -> None:
        self.settings = settings
        self.directory = DataDirectory(settings.data)
        self._database = database
        self._gate = gate
        self._ledger = ledger
        self._bound = bound
        self._closing = closing
        self._ended = asyncio.Event()
        self._failure: StoreUnavailable | None = None
        me, memory = _identity(settings, settings.node.name), _memory(self.directory)
        self._liveness = Liveness(database, ledger, me, memory, gate.renew)
        self._probe: tuple[float, asyncio.Task[str | None]] | None = None

    @classmethod
    async def open(cls, settings: Settings, *, listen: bool = True) -> Server:
        """Take the data directory and recover; with `listen` also take the address, without accepting yet.

        Raises StoreUnavailable with a sentence that says what to do.
        """
        directory = DataDirectory(settings.data)
        if not directory.initialised:
            raise StoreUnavailable(
                f"{settings.data} is no initialised data directory; make it with: opensdm init --data {settings.data}"
            )
        async with AsyncExitStack() as closing:
            await _use(directory, SERVER if listen else COMMAND, closing)
            bound = _bound(settings, closing) if listen else None
            database, ledger, gate = await _open_gate(settings, directory, settings.node.name, closing)
            return cls(settings, database, ledger, gate, bound, closing.pop_all())
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Finish what was submitted, mark the node as stopped, give the data directory back."""
        await self._closing.aclose()

    # ------------------------------------------------------------------------------- without a network

    async def console(self, request: bytes) -> bytes:
        """What the console's socket would answer, for commands while no server runs."""
        return await local.answer(self._gate, request)

    async def execute(self, operation: Operation) -> Any:
        """An operation of the machine's own console, through the gate."""
        return await self._gate.execute(_console(), operation)

    # ------------------------------------------------------------------------------- doors

    async def serve(self, announce: Callable[[str], None] | None = None) -> None:
        """Serve until SIGTERM, SIGINT or `stop`, then end in good order. `announce` gets the URL once doors are open.

        Raises StoreUnavailable, after that end, when this node was declared dead.
        """
        if self._bound is None:
            raise InvalidRequest("this server was opened without an address")
        listener = self._listener(self._bound, await self._tls())
        console = LocalDoor(self._gate, self.directory.listen_console())
        poll, backup = self.settings.poll, self.settings.backup
        clock = Clock(
            self._gate,
            ClockSettings(
                poll.interval_s, poll.concurrency, poll.compare_s, backup.interval_s, backup.concurrency, backup.keep
            ),
        )
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.stop)
        heartbeat = asyncio.create_task(self._stay_alive(), name="heartbeat")
        collector.settle()
        collecting = asyncio.create_task(collector.collect_in_quiet(lambda: self._gate.busy), name="collector")
        try:
            await console.start()
            await listener.start()
            clock.start()
            log.info("serving", url=listener.url, node=self.settings.node.name, incarnation=self._gate.incarnation)
            if announce is not None:
                announce(listener.url)
            await self._ended.wait()
        finally:
            await self._close_doors(listener, console, clock)
            for task in (heartbeat, collecting):
                task.cancel()
            await asyncio.gather(heartbeat, collecting, return_exceptions=True)
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Begin the end of `serve`."""
        self._ended.set()

    async def ready(self) -> tuple[str, ...]:
        """Why requests cannot be served, in sentences; nothing when they can."""
        stopping = "the server is stopping" if self._ended.is_set() else None
        distrust = self._ledger.doubt
        away = self._liveness.away or (None if distrust else await self._shared_probe())
        return tuple(reason for reason in (stopping, away, distrust) if reason)

    async def _close_doors(self, listener: Listener, console: LocalDoor, clock: Clock) -> None:
        """Stop accepting, then let what runs come to its end, all within one grace."""
        until = time.monotonic() + GRACE_S
        log.info("stopping")
        await clock.stop()
        self.directory.remove_console()
        self._gate.stop_waiting()
        await asyncio.gather(listener.stop(), console.stop(GRACE_S))
        left = await self._gate.drain(max(0.0, until - time.monotonic()))
        if left:
            log.warning("operations were cut short; the next start marks them as interrupted", operations=left)

    def _listener(self, bound: socket.socket, tls: tuple[Path, Path] | None) -> Listener:
        # Imported here: commands on the store need no door to the network, and should not wait for one.
        from opensdm.front import build_front
        from opensdm.listener import Listener

        app = build_front(self.settings, self._gate, self.ready, self._ended.is_set)
        return Listener(app, bound, tls, grace_s=GRACE_S)

    async def _tls(self) -> tuple[Path, Path] | None:
        if self.settings.plain_http:
            return None
        tls = self.settings.tls
        if tls.certificate is not None and tls.key is not None:
            return tls.certificate, tls.key
        if tls.certificate is not None or tls.key is not None:
            raise InvalidRequest("tls.certificate and tls.key are set together or not at all")
        files = await asyncio.to_thread(certificates, self.settings)
        return files.server_cert, files.server_key

    # ------------------------------------------------------------------------------- staying alive

    async def _stay_alive(self) -> None:
        """Beat, recover dead peers, begin anew when taken for dead; end the server when even that may not be."""
        self._failure = await self._liveness.run()
        self.stop()

    async def _shared_probe(self) -> str | None:
        """One read through the gate for all who ask within a second: nobody loads the database by asking how it is."""
        now = time.monotonic()
        if self._probe is None or now - self._probe[0] > PROBE_EVERY_S:
            self._probe = now, asyncio.create_task(self._ask_database(), name="probe")
        return await asyncio.shield(self._probe[1])

    async def _ask_database(self) -> str | None:
        caller = Caller("health", "server", uuid4().hex, principal=Principal.SYSTEM)
        try:
            async with asyncio.timeout(PROBE_S):
                await self._gate.execute(caller, ShowServer())
        except (SdmError, TimeoutError):
            return "the database does not answer"
        return None


# ------------------------------------------------------------------------------------ making one


@dataclass(frozen=True, slots=True)
class Initialised:
    """A new data directory. `admin_added` False: the database had that account already, with its own password."""

    ca_cert: Path
    node_name: str
    admin_added: bool


async def initialise(settings: Settings, admin_name: str, admin_password: str) -> Initialised:
    """Make a data directory: secret key, certificates, schema, the first administrator.

    One that was begun and not finished is finished. Raises AlreadyExists for one that is ready.
    """
    directory = DataDirectory(settings.data)
    directory.create()
    async with AsyncExitStack() as closing:
        await _use(directory, COMMAND, closing)
        if directory.initialised:
            raise AlreadyExists(
                f"{settings.data} is an initialised data directory already; nothing was changed. "
                f"Start it with: opensdm serve --data {settings.data}"
            )
        if not directory.secret_key.exists():
            SecretBox.create(directory.secret_key)
        files = await asyncio.to_thread(certificates, settings)
        node_name = settings.node.name if settings.node.model_fields_set else new_node_name()
        _, _, gate = await _open_gate(settings, directory, node_name, closing)
        admin_added = True
        try:
            adding = AddUser(user_name=admin_name, group=ADMINISTRATORS, password=admin_password)
            await gate.execute(_console(), adding)
        except AlreadyExists:
            admin_added = False
        directory.write_settings(settings.database, node_name)
    return Initialised(files.ca_cert, node_name, admin_added)


def certificates(settings: Settings) -> TlsFiles:
    """The certificates in the data directory, made or renewed where needed. Raises InvalidRequest for a bad host."""
    host, _ = settings.address
    try:
        return ensure_certificates(DataDirectory(settings.data).tls, [host, *settings.tls.hosts])
    except ValueError as error:
        raise InvalidRequest(f"no certificate can be made: {error}") from error


def _bound(settings: Settings, closing: AsyncExitStack) -> socket.socket:
    from opensdm.listener import bind

    bound = bind(*settings.address)
    closing.callback(bound.close)
    return bound


async def _use(directory: DataDirectory, role: str, closing: AsyncExitStack) -> None:
    """Take the data directory. A command that works on it at this moment is waited for, a server is not."""
    until = time.monotonic() + DIRECTORY_WAIT_S
    while True:
        try:
            closing.enter_context(directory.used_by(role))
            return
        except DirectoryInUse as busy:
            if busy.role == SERVER or time.monotonic() > until:
                raise
        await asyncio.sleep(0.05)


async def _open_gate(
    settings: Settings, directory: DataDirectory, node_name: str, closing: AsyncExitStack
) -> tuple[Database, Ledger, Gate]:
    """Database, recovery, ledger and gate; their ends are left in `closing`, in the right order."""
    secrets = SecretBox.load(directory.secret_key)
    directory.create_database_file(settings.database_url)
    try:
        await migrate(settings.database_url)
        database = open_database(settings.database_url, secrets)
        closing.push_async_callback(database.close)
        await check_key(database)
        me = _identity(settings, node_name)
        await settle_history(database, _memory(directory), node_name, me.rhythm.dead_after_s)
        recovered = await recover(database, node_name, me.address, home=me.home, dead_after_s=me.rhythm.dead_after_s)
    except StoreUnavailable as error:
        if error.__cause__ is None:
            raise
        raise _out_of_reach(settings.database_url, error) from error
    ledger = Ledger(database, recovered.incarnation)
    closing.push_async_callback(_stop_node, database, ledger)
    ledger.start()
    closing.push_async_callback(ledger.stop)
    passwords = Argon2Passwords()
    closing.callback(passwords.close)
    devices = settings.device
    drivers = Registry(all_drivers(Pool(limit=devices.connections, idle_s=devices.idle_s)))
    closing.push_async_callback(drivers.close)
    gate = Gate(
        ledger=ledger,
        reader=ledger,
        drivers=drivers,
        handlers=HANDLERS,
        passwords=passwords,
        incarnation=recovered.incarnation,
        session_policy=_policy(settings, node_name),
        lock_policy=_lock_policy(settings),
        rhythm=me.rhythm,
    )
    if recovered.interrupted_claims:
        log.warning("operations of an earlier run were interrupted", operations=len(recovered.interrupted_claims))
    return database, ledger, gate


async def _stop_node(database: Database, ledger: Ledger) -> None:
    try:
        await stop_node(database, ledger.incarnation)
    except StoreUnavailable as error:
        log.warning("the end of this node was not written; the next start waits for its heartbeat", why=error.message)


def _memory(directory: DataDirectory) -> Memory:
    seen = directory.seen
    return Memory(lambda: read_private(seen), lambda facts: write_private(seen, json.dumps(facts)))


def _identity(settings: Settings, node_name: str) -> NodeIdentity:
    node = settings.node
    home = f"{socket.gethostname()}:{settings.data}"
    rhythm = NodeRhythm(node.heartbeat_s, node.dead_after_s)
    return NodeIdentity(node_name, node.address or settings.listen, home, rhythm)


def _policy(settings: Settings, node_name: str) -> SessionPolicy:
    session = settings.session
    return SessionPolicy(
        session.admin_idle_s, session.user_idle_s, session.absolute_s, session.max_per_user, node_name
    )  # fmt: skip


def _lock_policy(settings: Settings) -> LockPolicy:
    lock = settings.lock
    return LockPolicy(lock.wait_s, lock.max_wait_s, lock.queue_s, lock.max_lease_s)


def _console() -> Caller:
    return Caller(local.DOOR, local.ADDRESS, uuid4().hex, principal=Principal.LOCAL)


def _out_of_reach(url: str, error: StoreUnavailable) -> StoreUnavailable:
    """Says which database, without its password, and in a word why."""
    where = url.removeprefix(SQLITE) if url.startswith(SQLITE) else postgres_servers(url).shown
    cause = getattr(error.__cause__, "orig", None) or error.__cause__
    why = str(cause) if type(cause).__name__ == "NoPrimary" else type(cause).__name__
    return StoreUnavailable(f"the database {where} cannot be used ({why}); is it running, and is the URL right?")
