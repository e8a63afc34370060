"""Types the commands of one edit into a device, and takes back what it accepted when it refuses one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opensdm.core.errors import Unreachable
from opensdm.drivers.base import NotSent
from opensdm.drivers.cli_definition import Talk
from opensdm.drivers.cli_edits import Command, Context, Typed, way
from opensdm.drivers.cli_shell import Shell, refusal_in


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line the device refused, in its words, and which earlier lines of the edit could not be taken back."""

    line: Typed
    number: int
    of: int
    said: str
    left: tuple[Typed, ...] = ()
    accepted: int = 0

    @property
    def sentence(self) -> str:
        where = f" (line {self.number} of {self.of})" if self.of > 1 else ""
        text = f"the device refused {self.line.shown!r}{where}: {self.said}"
        if self.left:
            left = ", ".join(repr(line.shown) for line in self.left)
            return f"{text}. Lines of this edit that could not be taken back: {left}"
        return f"{text}. The lines before it were taken back" if self.accepted else text


class Typist:
    """One edit, once. `command_s`: how long the device may think about a line."""

    def __init__(self, shell: Shell, talk: Talk, commands: Sequence[Command], command_s: float) -> None:
        self._shell = shell
        self._errors = talk.errors
        self._configure, self._leave, self._exit = (
            Typed(line, line) for line in (talk.configure, talk.leave, talk.exit)
        )
        self._commands = commands
        self._command_s = command_s
        self._context: Context = ()
        self._sent = False
        self._send_before = 0.0

    async def type(self, send_before: float) -> Refusal | None:
        """Into configuration mode, all lines, and out of it.

        Raises NotSent while no line of the edit has left us, Unreachable when the outcome of one is not known.
        """
        self._send_before = send_before
        try:
            return await self._type()
        except NotSent as unsent:
            if self._sent:
                raise unsent.failure from unsent
            raise
        except Unreachable as failure:
            if self._sent:
                raise
            raise NotSent(failure) from failure

    async def _type(self) -> Refusal | None:
        refused = await self._line(self._configure)
        if refused is not None:
            return Refusal(self._configure, 1, 1, refused)
        for number, command in enumerate(self._commands):
            refused = await self._command(command)
            if refused is not None:
                left = await self._take_back(self._commands[:number])
                await self._line(self._leave)
                return Refusal(command.typed, number + 1, len(self._commands), refused, left, number)
        await self._line(self._leave)
        return None

    async def _take_back(self, accepted: Sequence[Command]) -> tuple[Typed, ...]:
        """The last one first; answers those that the device would not let go."""
        # A refused line may have led into another block, or out of ours.
        await self._line(self._leave)
        await self._line(self._configure)
        self._context = ()
        left = []
        for command in reversed(accepted):
            for undo in command.undo:
                if await self._command(undo) is not None:
                    left.append(command.typed)
                    break
        return tuple(left)

    async def _command(self, command: Command) -> str | None:
        """One command in its block; the device's words when it refuses it, or the way there."""
        for line, reached in way(self._context, command.context, self._exit):
            refused = await self._line(line)
            if refused is not None and line is not self._exit:
                return refused
            self._context = reached
        self._sent = True
        refused = await self._line(command.typed)
        if refused is None and command.enters:
            self._context = (*self._context, command.typed)
        return refused

    async def _line(self, line: Typed) -> str | None:
        reply = await self._shell.run(line.text, self._command_s, self._send_before)
        return refusal_in(self._errors, reply.text)
