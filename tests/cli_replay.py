"""An SSH server that answers as a captured session says."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from lab.transcript import Exchange, read
from tests.cli_relay import Login, host_key_of

USER, PASSWORD = "reader", "Reader-pw-4711"


class Replay:
    """A device that knows the commands of one transcript. What is not in it, it complains of, with what was typed.

    A command that was captured several times is answered in that order, then as it was the last time.
    """

    def __init__(self, path: Path) -> None:
        self.exchanges: list[Exchange] = read(path)
        self.lines: list[str] = []
        self.cut_after: int | None = None
        """So many characters of the next answer arrive, then the connection is cut."""
        self.address = ""
        self.host_key = ""
        self._server: asyncssh.SSHAcceptor | None = None

    @property
    def prompt(self) -> str:
        return self.exchanges[0].answer.rpartition("\n")[2]

    async def start(self) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = host_key_of(key)
        self._server = await asyncssh.create_server(
            lambda: Login(USER, PASSWORD), "127.0.0.1", 0, server_host_keys=[key],
            process_factory=self._serve, line_editor=False, encoding="utf-8",
        )  # fmt: skip
        self.address = f"127.0.0.1:{self._server.get_port()}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[str]) -> None:
        answers: dict[str, list[str]] = {}
        for exchange in self.exchanges[1:]:
            answers.setdefault(exchange.sent, []).append(exchange.answer)
        process.stdout.write(self.exchanges[0].answer)
        begun = ""
        while chunk := await process.stdin.read(65536):
            *lines, begun = (begun + chunk).split("\n")
            for line in lines:
                self.lines.append(line)
                known = answers.get(line, [f"{line}\r\n% Not in the captured session: {line}\r\n{self.prompt}"])
                answer = known.pop(0) if len(known) > 1 else known[0]
                if self.cut_after is not None:
                    process.stdout.write(answer[: self.cut_after])
                    process.channel.get_connection().abort()
                    return
                process.stdout.write(answer)
        process.close()
