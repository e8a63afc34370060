"""One interactive command line over SSH: a command out, its answer in, up to the next prompt."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import asyncssh

from opensdm.core.errors import Rejected, Unreachable
from opensdm.drivers.base import NotSent
from opensdm.drivers.cli_definition import CliDefinition
from opensdm.drivers.ssh import SshLink

WIDTH, HEIGHT = 1000, 1000
"""A terminal so wide that no line editor wraps or scrolls what is typed."""
LONGEST_PROMPT = 600
OPEN_S = 10.0
CHUNK = 64 * 1024

_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_=>])")
_BACK = "\x08"
_CONTROL = re.compile(r"[\x00\x07\x08\r]")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command printed, without its echo and the prompt, in pieces that end with lines."""

    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Shell:
    """A session at the device's prompt. After any failure it is of no more use: `usable` is False.

    `host`: the device's name, as its prompt says it; `mode`: empty outside of any.
    """

    def __init__(self, link: SshLink, process: asyncssh.SSHClientProcess[str], definition: CliDefinition) -> None:
        self._link = link
        self._process = process
        self._talk = definition.talk
        self._limits = definition.limits
        self._prompt = self._talk.prompt_of(None)
        self._password_prompt = re.compile(self._talk.password_prompt)
        self._more = None if self._talk.more is None else re.compile(self._talk.more)
        self._broken = False
        self._level = ""
        self._prompted = False
        self._send_before: float | None = None
        self.host = ""
        self.mode = ""

    @property
    def usable(self) -> bool:
        return not self._broken and not self._link.closed and not self._process.is_closing()

    @property
    def closed(self) -> bool:
        """Of no use to whoever comes next: over, or left inside a block."""
        return not self.usable or self.mode != ""

    @classmethod
    async def open(cls, link: SshLink, definition: CliDefinition, password: str) -> Shell:
        """Wait for the first prompt, get past `enable`, switch paging off. Raises Unreachable or Rejected."""
        try:
            async with asyncio.timeout(OPEN_S):
                process = await link.connection.create_process(
                    term_type="vt100", term_size=(WIDTH, HEIGHT), encoding="utf-8", errors="replace"
                )
        except (asyncssh.Error, OSError, TimeoutError) as failure:
            link.close()
            raise Unreachable(f"device at {link.address} opened no command line", address=link.address) from failure
        shell = cls(link, process, definition)
        try:
            await shell._begin(password)
        except BaseException:
            shell.close()
            raise
        return shell

    async def run(self, command: str, limit_s: float | None = None, send_before: float | None = None) -> Reply:
        """Send one line and read up to the prompt.

        Raises Unreachable when the answer does not come within `limit_s`, and NotSent when `send_before`, an instant
        of `time.monotonic()`, has passed or the session is over. After that instant nothing is typed, whatever the
        device waits for, and the session ends.
        """
        if not self.usable:
            self._broken = True
            raise NotSent(self._failure("has ended its command line"))
        self._send_before = send_before
        await self._write(command + "\n")
        return _without_echo(await self._read(limit_s or self._limits.command_s), command)

    def close(self) -> None:
        self._broken = True
        self._process.close()
        self._link.close()

    async def _begin(self, password: str) -> None:
        await self._read(self._limits.command_s)
        if self._talk.enable is not None and self._level == ">":
            await self._enable(self._talk.enable, password)
        for command in self._talk.prepare:
            said = refusal_in(self._talk.errors, (await self.run(command)).text)
            if said is not None:
                raise Rejected(f"the device at {self._link.address} refused {command!r}: {said}")

    async def _enable(self, command: str, password: str) -> None:
        await self._write(command + "\n")
        await self._read(self._limits.command_s, self._password_prompt)
        if not self._prompted:  # at its prompt the password would be a command, and be echoed and kept like one
            await self._write(password + "\n")
            await self._read(self._limits.command_s, self._password_prompt)
        if self._level == ">":
            raise Rejected(f"device at {self._link.address} refused {command!r} with the password of its login")

    async def _write(self, text: str) -> None:
        """All that is ever typed."""
        try:
            await self._link.send(self._process.stdin, text, self._send_before)
        except BaseException as failure:
            self._broken = True
            if isinstance(failure, asyncssh.Error | OSError):
                raise self._failure("lost the connection") from failure
            raise

    async def _read(self, limit_s: float, also: re.Pattern[str] | None = None) -> list[str]:
        """Whole lines, cleaned of what steers a terminal, until the line then begun is a prompt or matches `also`."""
        pieces: list[str] = []
        begun, size = "", 0
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    chunk = await self._process.stdout.read(CHUNK)
                    size += len(chunk)
                    if not chunk:
                        raise self._failure("lost the connection")
                    if size > self._limits.answer:
                        raise self._failure(f"sent more than {self._limits.answer} characters in one answer")
                    lines, newline, begun = (begun + chunk).rpartition("\n")
                    if newline:
                        pieces.append(cleaned(lines + newline))
                    if len(begun) <= LONGEST_PROMPT and self._ends(begun, also):
                        return pieces
                    begun = await self._paged(begun)
        except TimeoutError as failure:
            self._broken = True
            raise self._failure(f"did not answer within {limit_s:g} s") from failure
        except (asyncssh.Error, OSError) as failure:
            self._broken = True
            raise self._failure("lost the connection") from failure
        except BaseException:
            # Whatever stopped us from reading: what comes next would be taken for the next command's answer.
            self._broken = True
            raise

    def _ends(self, begun: str, also: re.Pattern[str] | None) -> bool:
        line = cleaned(begun)
        match = self._prompt.fullmatch(line)
        self._prompted = match is not None
        if match is None:
            return also is not None and also.fullmatch(line) is not None
        # From the first prompt on only this device's own counts, not any line that looks like one.
        self._prompt = self._talk.prompt_of(match["host"])
        self.host, self._level, self.mode = match["host"], match.groupdict().get("level") or "", match["mode"] or ""
        return True

    async def _paged(self, begun: str) -> str:
        """Ask for the next page where the device waits for that; what it asked is no part of its answer."""
        if self._more is None or len(begun) > LONGEST_PROMPT or not self._more.fullmatch(cleaned(begun).strip()):
            return begun
        try:
            await self._write(self._talk.more_answer)
        except NotSent as unsent:  # the command itself was sent
            raise unsent.failure from unsent
        return ""

    def _failure(self, what: str) -> Unreachable:
        return Unreachable(f"device at {self._link.address} {what}", address=self._link.address)


def cleaned(text: str) -> str:
    """Text as a terminal would show it: without escape sequences, and what was erased is gone."""
    text = _ESCAPE.sub("", text)
    return _CONTROL.sub("", _without_erased(text) if _BACK in text else text)


def _without_erased(text: str) -> str:
    """In one pass, however much a device erases; what stands on the line before cannot be."""
    kept: list[str] = []
    for character in text:
        if character == _BACK and kept and kept[-1] != "\n":
            kept.pop()
        elif character != _BACK:
            kept.append(character)
    return "".join(kept)


def refusal_in(errors: re.Pattern[str], text: str) -> str | None:
    """The device's words from its first complaint on, in one line; None when it complains of nothing."""
    match = errors.search(text)
    return None if match is None else " ".join(text[match.start() :].split())


def _without_echo(pieces: list[str], command: str) -> Reply:
    if not pieces:
        return Reply(())
    first, _, rest = pieces[0].partition("\n")
    return Reply((rest if first.strip() == command.strip() else pieces[0], *pieces[1:]))
