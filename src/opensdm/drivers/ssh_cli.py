"""Any command line over SSH, as a definition file describes it.

Such devices have no candidate: each line runs at once. One edit is one step of the gate: into configuration mode, its
lines one after the other, and out. The first line that the device refuses ends it, and those before are taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NoReturn, TypeVar

from opensdm.core.element import Element, Schema
from opensdm.core.errors import Rejected, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.core.permit import Permit, Read, Verifier, Write
from opensdm.core.ports import Capabilities, DeviceFacts, ElementEdit
from opensdm.drivers.acme_http import struck_out
from opensdm.drivers.base import NotSent, PermitGuard
from opensdm.drivers.cli_blocks import parse_blocks
from opensdm.drivers.cli_definition import CliDefinition, cli_definitions
from opensdm.drivers.cli_edits import commands_for, secrets_of, shown
from opensdm.drivers.cli_lines import parse_lines
from opensdm.drivers.cli_shell import Reply, Shell, refusal_in
from opensdm.drivers.cli_typist import Typist
from opensdm.drivers.pool import Pool, pool_key
from opensdm.drivers.ssh import open_ssh

T = TypeVar("T")


class SshCliDriver:
    """Opens connections to the devices of one definition."""

    def __init__(self, definition: CliDefinition, pool: Pool[Shell] | None = None) -> None:
        self._definition = definition
        self._pool: Pool[Shell] = pool or Pool()
        self.platform = definition.platform
        self.capabilities = Capabilities(
            saves_last=definition.writes, writes=definition.writes, unfenced=definition.writes
        )

    def connect(self, device_id: int, credentials: Credentials, verifier: Verifier) -> SshCliConnection:
        """No traffic yet."""
        guard = PermitGuard(verifier, device_id)
        return SshCliConnection(guard, credentials, self._definition, self.capabilities, self._pool)

    async def close(self) -> None:
        """End the sessions kept for the next operation."""
        await self._pool.close()


def ssh_cli_drivers(pool: Pool[Shell] | None = None) -> tuple[SshCliDriver, ...]:
    """One driver for each definition file that names `ssh_cli`."""
    return tuple(SshCliDriver(definition, pool) for definition in cli_definitions())


class SshCliConnection:
    """One device. Every method asks about its permit first; every edit, and the save, is one step of the gate."""

    def __init__(
        self,
        guard: PermitGuard,
        credentials: Credentials,
        definition: CliDefinition,
        capabilities: Capabilities,
        pool: Pool[Shell],
    ) -> None:
        self.capabilities = capabilities
        self._guard = guard
        self._credentials = credentials
        self._definition = definition
        self._pool = pool
        self._key = pool_key(guard.device_id, credentials)
        self._held: Shell | None = None
        self._proven = True
        self._learned: Mapping[str, str] = {}
        self._version = ""

    @property
    def learned(self) -> Mapping[str, str]:
        return self._learned

    def preview(self, schema: Schema, edit: ElementEdit) -> tuple[str, ...]:
        """The lines of an edit, without those that lead into configuration mode and out of it."""
        if not self.capabilities.writes:
            self._refuse_write()
        return shown(self._definition, commands_for(self._definition, schema, edit))

    # ------------------------------------------------------------------------------------------ reading

    async def facts(self, permit: Permit[Read]) -> DeviceFacts:
        self._guard.reading(permit)
        said, known = self._definition.facts, {}
        text = (await self._ask(said.command, self._definition.limits.command_s)).text
        for match in said.pattern.finditer(text):
            known.update({name: value for name, value in match.groupdict().items() if value is not None})
        if not known.get("software_version"):
            raise Rejected(f"the device's answer to {said.command!r} does not say which software it runs")
        self._version = known["software_version"]
        return DeviceFacts(
            platform=self._definition.platform,
            software_version=self._version,
            host_name=known.get("host_name") or (self._held.host if self._held else ""),
            role=said.role,
            serial_number=known.get("serial_number", "--"),
            up_time=known.get("up_time", ""),
        )

    async def read_schema(self, permit: Permit[Read]) -> Schema:
        """From the definition file; the device is asked for its version only, unless that is known."""
        self._guard.reading(permit)
        if not self._version:
            await self.facts(permit)
        return self._definition.schema(self._version)

    async def read_elements(
        self, permit: Permit[Read], schema: Schema, paths: Sequence[str] | None = None, *, running: bool = False
    ) -> tuple[Element, ...]:
        """What the definition declares of the running configuration; there is no other one."""
        self._guard.reading(permit)
        show = self._definition.show
        reply = await self._ask(show.command, self._definition.limits.show_s)
        found = await asyncio.to_thread(self._parsed, schema, reply)
        wanted = None if paths is None else {path.split("/")[0] for path in paths}
        return tuple(e for e in found if wanted is None or e.path in wanted)

    async def read_named(
        self, permit: Permit[Read], schema: Schema, elements: Sequence[Element], *, running: bool = False
    ) -> tuple[Element, ...]:
        """With all others of their types: the device shows its configuration as a whole."""
        return await self.read_elements(permit, schema, [element.path for element in elements], running=running)

    def _parsed(self, schema: Schema, reply: Reply) -> tuple[Element, ...]:
        """In a thread: a configuration may be long."""
        definition, text = self._definition, reply.text
        if definition.show.complete is not None and definition.show.complete.search(text) is None:
            raise Unreachable(f"the device's answer to {definition.show.command!r} is not complete")
        if definition.names is not None:
            return parse_blocks(definition.names, definition.blocks, schema, text)
        return parse_lines(definition.elements, text)

    async def _ask(self, command: str, limit_s: float) -> Reply:
        """A command that changes nothing; raises Rejected with the device's words when it refuses it.

        A session that was kept may have ended unnoticed: then, and only then, it is asked again in a new one.
        """
        for _ in range(2):
            shell = await self._reach()
            proven = self._proven
            try:
                reply = await shell.run(command, limit_s)
            except NotSent as unsent:
                failure = unsent.failure
            except Unreachable as lost:
                failure = lost
            else:
                self._proven = True
                self._raise_refusal(reply, f"{command!r}", ())
                return reply
            await self.close()
            if proven:
                break
        raise failure

    # ----------------------------------------------------------------------------------------- no lock here

    async def lock(self, permit: Permit[Write]) -> None:
        """Nothing: the device has no lock of its own."""
        self._writing(permit)

    async def unlock(self, permit: Permit[Write]) -> None:
        self._writing(permit)

    async def verify(self, permit: Permit[Write]) -> str | None:
        """Nothing: each line was checked as it was taken."""
        self._writing(permit)
        return None

    async def activate(self, permit: Permit[Write]) -> None:
        """Nothing: it runs already."""
        self._writing(permit)

    async def confirm(self, permit: Permit[Write]) -> None:
        self._writing(permit)

    async def restore(self, permit: Permit[Write], source: str) -> None:
        self._writing(permit)
        raise Rejected(
            f"{self._definition.platform} cannot restore its {source} configuration; edits are undone one by one"
        )

    # ------------------------------------------------------------------------------------------ writing

    async def write(self, permit: Permit[Write], schema: Schema, edit: ElementEdit) -> None:
        """One edit, in one step. A line that is refused is named, and what came of those before it is said."""
        self._writing(permit)
        commands = commands_for(self._definition, schema, edit)
        if not commands:
            return
        limits, hide = self._definition.limits, self._hidden(secrets_of(schema, edit))
        typist = Typist(await self._reach(), self._definition.talk, commands, limits.command_s)
        refusal = await self._step(permit, limits.write_s, typist.type)
        if refusal is not None:
            raise Rejected(struck_out(refusal.sentence, hide), deviceSays=struck_out(refusal.said, hide))

    async def save(self, permit: Permit[Write]) -> None:
        """Its exit says nothing: what it prints decides."""
        self._writing(permit)
        save, limits = self._definition.save, self._definition.limits
        assert save is not None
        shell = await self._reach()

        async def send(send_before: float) -> Reply:
            return await shell.run(save.command, limits.save_s - limits.command_s, send_before)

        text = (await self._step(permit, limits.save_s, send)).text
        failed = save.failure is not None and save.failure.search(text) is not None
        if failed or save.success.search(text) is None:
            said = struck_out(" ".join(text.split()), self._hidden(()))
            raise Rejected(
                f"the device could not save the configuration: {said or 'it does not say why'}", deviceSays=said
            )

    async def close(self) -> None:
        """Gives the session back; it is kept for a while unless something is wrong with it."""
        held, self._held = self._held, None
        if held is not None:
            self._pool.release(self._key, held, healthy=not held.closed)

    # ------------------------------------------------------------------------------------------ sending

    async def _step(self, permit: Permit[Write], limit_s: float, send: Callable[[float], Awaitable[T]]) -> T:
        """The last line of a step leaves early enough for its answer to come within the limit."""
        within_s = limit_s - self._definition.limits.command_s
        try:
            return await self._guard.step(permit, limit_s, send, within_s)
        except BaseException:
            # Wherever the session stands now, it is not where the next command expects it.
            if self._held is not None:
                self._held.close()
            await self.close()
            raise

    async def _reach(self) -> Shell:
        """A session, not in configuration mode; another one when the one we had is over."""
        if self._held is not None and self._held.closed:
            await self.close()
        if self._held is None:
            self._held, kept = await self._pool.acquire(self._key, self._open)
            self._proven = not kept
        return self._held

    async def _open(self) -> Shell:
        link = await open_ssh(self._credentials)
        self._learned = {**self._learned, **link.learned}
        try:
            return await Shell.open(link, self._definition, self._credentials.password)
        except NotSent as unsent:
            raise unsent.failure from unsent

    def _writing(self, permit: Permit[Write]) -> None:
        self._guard.writing(permit)
        if not self.capabilities.writes:
            self._refuse_write()

    def _refuse_write(self) -> NoReturn:
        raise Rejected(f"a device of the platform {self._definition.platform} is loaded and backed up only")

    def _raise_refusal(self, reply: Reply, what: str, hide: Collection[str]) -> None:
        said = refusal_in(self._definition.talk.errors, reply.text)
        if said is not None:
            said = struck_out(said, self._hidden(hide))
            raise Rejected(f"the device refused {what}: {said}", deviceSays=said)

    def _hidden(self, secrets: Collection[str]) -> frozenset[str]:
        return frozenset({*secrets, self._credentials.password} - {""})
