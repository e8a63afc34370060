"""The state of one virtual SBC and the operations on it, without HTTP."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from opensdm.simulator.controls import Controls
from opensdm.simulator.jobs import Job, JobFailed, Jobs
from opensdm.simulator.journal import Journal
from opensdm.simulator.schema import load_schema
from opensdm.simulator.stores import Configuration, Stores, read_state, write_state
from opensdm.simulator.tokens import Tokens
from opensdm.simulator.verification import dangling_references

VERSIONS = ("v1.1", "v1.2")
SYNCHRONISED = frozenset({"save", "activate"})
"""After these a pair's standby holds the same; what is only edited, and who holds the lock, is known to one unit."""


@dataclass(frozen=True)
class Account:
    """A login of the device: only an administrator may lock, change and poll."""

    username: str
    password: str
    admin: bool = True


class Device:
    """One virtual SBC: stores, tokens with the configuration lock, jobs, journal and controls."""

    def __init__(
        self,
        name: str,
        version: str,
        accounts: tuple[Account, ...],
        *,
        state_path: Path | None,
        token_lifetime_s: float,
        job_delay_s: float,
    ) -> None:
        self.name = name
        self.version = version
        self.schema = load_schema()
        self.tokens = Tokens(token_lifetime_s)
        self.jobs = Jobs()
        self.journal = Journal()
        self.controls = Controls(job_delay_s=job_delay_s)
        self.boot_parameters = {"targetName": name, "bootFile": f"/boot/{version}.bz", "ipAddress": "192.0.2.1"}
        self.peer: Device | None = None
        self._accounts = accounts
        self._state_path = state_path
        self._started_s = time.monotonic()
        self.stores = self._initial_stores()

    @property
    def is_old(self) -> bool:
        """Whether it is to behave as releases 8.2 do, whose REST API knew less."""
        return "8.2" in self.version

    @property
    def api_versions(self) -> tuple[str, ...]:
        return VERSIONS[:1] if self.is_old else VERSIONS

    @property
    def uptime_s(self) -> int:
        return int(time.monotonic() - self._started_s)

    def account(self, username: str, password: str) -> Account | None:
        """The account with this name and password; compares all of them, so timing tells nothing."""
        found = None
        for account in self._accounts:
            same_name = hmac.compare_digest(account.username.encode(), username.encode())
            same_password = hmac.compare_digest(account.password.encode(), password.encode())
            if same_name and same_password:
                found = account
        return found

    def verify(self) -> Job:
        """Start checking the editing configuration for references to elements that do not exist."""

        async def work() -> None:
            problems = dangling_references(self.stores.editing, self.schema)
            if problems:
                raise JobFailed("; ".join(problem.message for problem in problems), problems)

        return self._start("verify", work)

    def save(self) -> Job:
        """Start copying editing to saved."""
        return self._start_and_keep("save", lambda: self.stores.save())

    def activate(self) -> Job:
        """Start copying saved to running."""
        return self._start_and_keep("activate", lambda: self.stores.activate())

    def restore(self, source: Configuration) -> Job:
        """Start replacing editing by the source as it is when the job ends."""
        return self._start_and_keep("restore", lambda: self.stores.restore(source))

    def back_up(self, file: str, source: Configuration) -> Job:
        """Start keeping the source under a file name."""
        return self._start_and_keep("backup", lambda: self.stores.back_up(file, source))

    def pair_with(self, standby: "Device") -> None:
        """Make two units one HA pair; the other one is the standby and takes over what this one saved and runs."""
        self.peer, standby.peer = standby, self
        self.controls.role, standby.controls.role = "active", "standby"
        standby.stores.adopt(self.stores)

    def switch_over(self) -> None:
        """Swap the roles of the pair. Tokens, the lock, unsaved edits and a running job stay behind on their unit."""
        if self.peer is None:
            return
        active = self if self.controls.role == "active" else self.peer
        assert active.peer is not None
        active.jobs.break_off("broken off: the system became standby")
        active.controls.role, active.peer.controls.role = "standby", "active"

    def reboot(self) -> Job:
        """Start again from what was saved. The active unit of a pair gives way to the other one."""

        async def work() -> None:
            self.tokens.revoke_all()
            self.stores.activate()
            self.stores.restore(self.stores.saved)
            self._started_s = time.monotonic()

        if self.controls.role == "active":
            self.switch_over()
        return self.jobs.start("reboot", self.controls.job_delay_s, work)

    def _start_and_keep(self, operation: str, effect: Callable[[], None]) -> Job:
        async def work() -> None:
            before = replace(self.stores, backups=dict(self.stores.backups))
            effect()
            try:
                if self._state_path is not None:
                    await asyncio.to_thread(write_state, self._state_path, self.stores.dump())
            except OSError as fault:
                self.stores = before
                raise JobFailed(f"{operation} failed: the state file cannot be written: {fault.strerror}") from None
            if self.peer is not None and operation in SYNCHRONISED:
                self.peer.stores.adopt(self.stores)

        return self._start(operation, work)

    def _start(self, operation: str, work: Callable[[], Awaitable[None]]) -> Job:
        async def guarded() -> None:
            if operation in self.controls.fail_jobs:
                raise JobFailed(f"{operation} failed: a simulator control asked for it")
            await work()

        return self.jobs.start(operation, self.controls.job_delay_s, guarded)

    def _initial_stores(self) -> Stores:
        state = read_state(self._state_path) if self._state_path is not None else None
        return Stores.seeded(self.schema, self.name) if state is None else Stores.loaded(self.schema, state)
