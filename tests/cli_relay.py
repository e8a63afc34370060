"""A relay on the way to a real router: it sees every line that is typed, and it can be slow, rude, or cut."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncssh

from lab.frr import FrrRouter

CONFIGURE, LEAVE, SAVE = "configure terminal", "end", "write memory"


class Login(asyncssh.SSHServer):
    """One account."""

    def __init__(self, user: str, password: str) -> None:
        self._account = (user, password)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == self._account


def host_key_of(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


class CliRelay:
    """An SSH server on loopback that passes every session on to a router and books what was typed in it.

    A trap is set on the next line that matches: `cut_on` (the line still reaches the router), `cut_in_answer`,
    `stall_on` (the line goes nowhere), `before_answer` (something happens before the router gets the line).
    """

    def __init__(self, router: FrrRouter) -> None:
        self.router = router
        self.lines: list[str] = []
        self.piece: int | None = None
        """How many characters of an answer come at once; None: as they come."""
        self.delay_s = 0.0
        self.sessions = 0
        self.address = ""
        self.host_key = ""
        self._server: asyncssh.SSHAcceptor | None = None
        self._traps: list[tuple[re.Pattern[str], Callable[[_Session, str], Awaitable[bool]]]] = []

    async def start(self) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = host_key_of(key)
        self._server = await asyncssh.create_server(
            lambda: Login(self.router.user, self.router.password), "127.0.0.1", 0, server_host_keys=[key],
            process_factory=self._serve, line_editor=False, encoding="utf-8",
        )  # fmt: skip
        self.address = f"127.0.0.1:{self._server.get_port()}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    # ------------------------------------------------------------------------------------- what was typed

    def writes(self) -> int:
        """Edits, each from its first line in configuration mode to the last, and saves: by what passed through."""
        configuring, count = False, 0
        for line in self.lines:
            if line == CONFIGURE:
                configuring = True
            elif line == LEAVE:
                configuring = False
            elif configuring:
                count, configuring = count + 1, False
            elif line == SAVE:
                count += 1
        return count

    # -------------------------------------------------------------------------------------------- traps

    def cut_on(self, pattern: str) -> None:
        async def cut(session: _Session, line: str) -> bool:
            session.send(line)
            await asyncio.sleep(0.05)
            session.cut()
            return False

        self._traps.append((re.compile(pattern), cut))

    def cut_in_answer(self, pattern: str, after: int) -> None:
        async def arm(session: _Session, line: str) -> bool:
            session.cut_after = after
            return True

        self._traps.append((re.compile(pattern), arm))

    def stall_on(self, pattern: str) -> None:
        async def stall(session: _Session, line: str) -> bool:
            return False

        self._traps.append((re.compile(pattern), stall))

    def before_answer(self, pattern: str, happens: Callable[[], object]) -> None:
        async def call(session: _Session, line: str) -> bool:
            await asyncio.to_thread(happens)
            return True

        self._traps.append((re.compile(pattern), call))

    async def typed(self, session: _Session, line: str) -> None:
        self.lines.append(line)
        await asyncio.sleep(self.delay_s)
        for at, (pattern, spring) in enumerate(self._traps):
            if pattern.search(line):
                del self._traps[at]
                if not await spring(session, line):
                    return
                break
        session.send(line)

    async def _serve(self, process: asyncssh.SSHServerProcess[str]) -> None:
        self.sessions += 1
        session = _Session(self, process)
        with suppress(asyncssh.Error, OSError):
            await session.run()
        process.close()


class _Session:
    def __init__(self, relay: CliRelay, process: asyncssh.SSHServerProcess[str]) -> None:
        self._relay = relay
        self._process = process
        self._router: asyncssh.SSHClientProcess[str] | None = None
        self.cut_after: int | None = None

    def send(self, line: str) -> None:
        assert self._router is not None
        self._router.stdin.write(line + "\n")

    def cut(self) -> None:
        self._process.channel.get_connection().abort()

    async def run(self) -> None:
        router = self._relay.router
        async with asyncssh.connect(
            router.address, router.port, username=router.user, password=router.password, known_hosts=None,
            client_keys=None, agent_path=None, config=None,
        ) as connection:  # fmt: skip
            self._router = await connection.create_process(
                term_type=self._process.term_type, term_size=self._process.term_size, encoding="utf-8"
            )
            answers = asyncio.create_task(self._answer())
            try:
                await self._listen()
            finally:
                answers.cancel()
                await asyncio.wait([answers])

    async def _listen(self) -> None:
        begun = ""
        while chunk := await self._process.stdin.read(65536):
            *lines, begun = (begun + chunk).split("\n")
            for line in lines:
                await self._relay.typed(self, line)

    async def _answer(self) -> None:
        assert self._router is not None
        with suppress(asyncssh.Error, OSError):
            while text := await self._router.stdout.read(65536):
                piece = self._relay.piece or len(text)
                for start in range(0, len(text), piece):
                    if self._passed(text[start : start + piece]):
                        self.cut()
                        return
                    if self._relay.piece:
                        await asyncio.sleep(0)

    def _passed(self, text: str) -> bool:
        """Whether the connection is to be cut after this."""
        if self.cut_after is None:
            self._process.stdout.write(text)
            return False
        self._process.stdout.write(text[: self.cut_after])
        self.cut_after -= len(text)
        return self.cut_after <= 0
