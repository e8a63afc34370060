"""A device in memory behind the port of drivers, with whatever capabilities a test wants it to have.

It keeps what is edited, what runs and what is saved apart, as far as its capabilities say so; it refuses, loses edits
and goes away when a test asks for it. Its writes are steps of the gate like any other driver's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import Rejected, SdmError
from opensdm.core.inventory import Credentials
from opensdm.core.permit import Permit, Read, Verifier, Write
from opensdm.core.ports import Capabilities, DeviceFacts, ElementEdit
from opensdm.core.validation import Key, key_of
from opensdm.drivers.base import PermitGuard

SBC = Capabilities(candidate=True, device_lock=True, verify=True, separate_save=True, restore=True)
NETCONF = Capabilities(
    candidate=True, device_lock=True, verify=True, saves_last=True, restore=True, confirmed_commit=True
)
ROUTER = Capabilities(saves_last=True)
"""Each line runs at once; what was there before is put back line by line."""
VIEW_ONLY = Capabilities(writes=False)
STEP_S = 5.0

_ID = AttributeType("id", "id", key=True)
REALM = ElementType(
    "realm",
    "realm",
    (
        _ID,
        AttributeType("description", "description"),
        AttributeType("limit", "limit", value_type="numeric", default="10", minimum=0, maximum=100),
        AttributeType("secret", "secret", value_type="password"),
    ),
    (
        ElementType("realm/port", "port", (AttributeType("name", "name", key=True), AttributeType("speed", "speed"))),
        ElementType("realm/options", "options", (AttributeType("mode", "mode"),)),
    ),
)
AGENT = ElementType("agent", "agent", (_ID, AttributeType("realm", "realm", refers_to="realm")))
SYSTEM = ElementType("system", "system", (AttributeType("name", "name"),))


def schema(platform: str, version: str = "1.0") -> Schema:
    kinds = (REALM, *REALM.children, AGENT, SYSTEM)
    return Schema(platform, version, {kind.path: kind for kind in kinds})


def realm(name: str, **values: str) -> Element:
    return Element("realm", {"id": name, **values})


def agent(name: str, **values: str) -> Element:
    return Element("agent", {"id": name, **values})


Store = dict[Key, Element]
Hook = Callable[[], Awaitable[None]]


@dataclass
class MemoryDevice:
    """`fail`: the next answers of a method; None lets one pass. `hooks`: run before a method, once."""

    platform: str
    capabilities: Capabilities
    version: str = "1.0"
    running: Store = field(default_factory=dict)
    editing: Store = field(default_factory=dict)
    saved: Store = field(default_factory=dict)
    confirmed: Store | None = None
    log: list[str] = field(default_factory=list)
    fail: dict[str, list[SdmError | None]] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    shows: dict[str, str] = field(default_factory=dict)
    """What is learned of it at first sight."""
    loses: bool = False
    """Says yes to an activation, or a write without one, and does not do it."""

    def hold(self, *elements: Element) -> None:
        """What it held before anybody came."""
        known = schema(self.platform, self.version)
        self.running = {key_of(known, e): e for e in elements}
        self.editing = self.running if not self.capabilities.candidate else dict(self.running)
        self.saved = dict(self.running)

    def runs(self, path: str, name: str) -> Element | None:
        return self.running.get((path, (name,)))

    def keeps(self, path: str, name: str) -> Element | None:
        return self.saved.get((path, (name,)))

    def at_the_console(self, element: Element) -> None:
        """Somebody changes it where nobody here sees it."""
        key = key_of(schema(self.platform, self.version), element)
        for store in (self.running, self.editing, self.saved):
            store[key] = element

    async def meet(self, method: str) -> SdmError | None:
        """What the test has in store for this call."""
        hook = self.hooks.pop(method, None)
        if hook is not None:
            await hook()
        planned = self.fail.get(method)
        return planned.pop(0) if planned else None


@dataclass
class MemoryDriver:
    """All devices of one platform, by address."""

    platform: str
    capabilities: Capabilities
    devices: dict[str, MemoryDevice] = field(default_factory=dict)

    def add(self) -> tuple[str, MemoryDevice]:
        """A new device and its address."""
        address, device = (
            f"{self.platform}-{len(self.devices)}.example:443",
            MemoryDevice(self.platform, self.capabilities),
        )
        self.devices[address] = device
        return address, device

    def connect(self, device_id: int, credentials: Credentials, verifier: Verifier) -> MemoryConnection:
        return MemoryConnection(self.devices[credentials.address], PermitGuard(verifier, device_id))


class MemoryConnection:
    """A connection to a device in memory."""

    def __init__(self, device: MemoryDevice, guard: PermitGuard) -> None:
        self._device = device
        self._guard = guard
        self.capabilities = device.capabilities

    @property
    def learned(self) -> Mapping[str, str]:
        return self._device.shows

    async def facts(self, permit: Permit[Read]) -> DeviceFacts:
        await self._read(permit)
        return DeviceFacts(self._device.platform, self._device.version, "memory", "active")

    async def read_schema(self, permit: Permit[Read]) -> Schema:
        await self._read(permit)
        return schema(self._device.platform, self._device.version)

    async def read_elements(
        self, permit: Permit[Read], schema: Schema, paths: Sequence[str] | None = None, *, running: bool = False
    ) -> tuple[Element, ...]:
        await self._read(permit)
        store = self._device.running if running else self._device.editing
        return tuple(e for e in store.values() if paths is None or e.path in paths)

    async def read_named(
        self, permit: Permit[Read], schema: Schema, elements: Sequence[Element], *, running: bool = False
    ) -> tuple[Element, ...]:
        keys = {key_of(schema, element) for element in elements}
        found = await self.read_elements(permit, schema, running=running)
        return tuple(element for element in found if key_of(schema, element) in keys)

    def preview(self, schema: Schema, edit: ElementEdit) -> tuple[str, ...]:
        shown = edit.after if edit.after is not None else edit.before
        assert shown is not None
        if refusals := self._device.fail.get("preview"):
            raise refusals.pop(0) or AssertionError
        return (f"{'set' if edit.after else 'delete'} {shown.path} {shown.attributes['id']}",)

    async def lock(self, permit: Permit[Write]) -> None:
        await self._do(permit, "lock", lambda: None)

    async def unlock(self, permit: Permit[Write]) -> None:
        await self._do(permit, "unlock", lambda: None)

    async def write(self, permit: Permit[Write], schema: Schema, edit: ElementEdit) -> None:
        shown = edit.after if edit.after is not None else edit.before
        assert shown is not None
        device = self._device

        def put() -> None:
            if device.loses and not device.capabilities.candidate:
                return
            if edit.after is None:
                device.editing.pop(key_of(schema, shown), None)
            else:
                device.editing[key_of(schema, shown)] = edit.after

        await self._do(permit, "write", put, f"write {shown.path} {shown.attributes.get('id', '')}")

    async def verify(self, permit: Permit[Write]) -> str | None:
        try:
            await self._do(permit, "verify", lambda: None)
        except Rejected as words:
            return words.message
        return None

    async def save(self, permit: Permit[Write]) -> None:
        device = self._device

        def keep() -> None:
            device.saved = dict(device.running if device.capabilities.saves_last else device.editing)

        await self._do(permit, "save", keep)

    async def activate(self, permit: Permit[Write]) -> None:
        device = self._device

        def run() -> None:
            device.confirmed = device.running
            device.running = device.running if device.loses else dict(device.editing)

        await self._do(permit, "activate", run)

    async def confirm(self, permit: Permit[Write]) -> None:
        await self._do(permit, "confirm", lambda: setattr(self._device, "confirmed", None))

    async def restore(self, permit: Permit[Write], source: str) -> None:
        device = self._device

        def back() -> None:
            if device.capabilities.confirmed_commit and device.confirmed is not None:
                device.running, device.confirmed = device.confirmed, None
            device.editing = dict(device.running if source == "running" else device.saved)

        await self._do(permit, "restore", back, f"restore {source}")

    async def close(self) -> None:
        return None

    async def _read(self, permit: Permit[Read]) -> None:
        self._guard.reading(permit)
        failure = await self._device.meet("read")
        if failure is not None:
            raise failure

    async def _do(self, permit: Permit[Write], method: str, act: Callable[[], None], said: str | None = None) -> None:
        """One step. A refusal is an answer; anything else leaves the step open."""

        async def send(send_before: float) -> SdmError | None:
            await asyncio.sleep(0)
            self._device.log.append(said or method)
            failure = await self._device.meet(method)
            if failure is None:
                act()
            elif not isinstance(failure, Rejected):
                raise failure
            return failure

        refused = await self._guard.step(permit, STEP_S, send)
        if refused is not None:
            raise refused
