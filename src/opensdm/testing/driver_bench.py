"""A device under test: a verifier that books steps, and what a test may do to the device beside the driver."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from opensdm.core.element import Element, Schema
from opensdm.core.errors import DeviceSideLocked, HouseRuleBroken, LockLost, Rejected, SdmError
from opensdm.core.inventory import Credentials
from opensdm.core.permit import Permit, Read, StepWindow, Write
from opensdm.core.ports import DeviceConnection, Driver, ElementEdit
from opensdm.core.validation import SECRET_TYPE, element_type, key_of

DEVICE = 7
MARGIN_S = 0.5


@dataclass(slots=True)
class Step:
    """One step as the verifier saw it. `open`: left by an exception, so nobody knows what the device did."""

    number: int
    limit_s: float
    open: bool = True


class StepBook:
    """A verifier that issues permits itself and books every step.

    `fence_at`: the step of that number, counted from 0, and all after it are refused as the gate refuses work that
    was fenced. `no_time_from`: from the step of that number on the time to send has passed when a step is granted.
    `window_s`: how long a step may be sent, instead of what its limit leaves.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.fence_at: int | None = None
        self.no_time_from: int | None = None
        self.window_s: float | None = None
        self.note: str | None = None
        """What the driver noted of its session on the device; what `left_session` would be after a crash."""
        self.notes: list[tuple[str | None, int]] = []
        """Every note, with the number of steps begun before it."""
        self._alive: set[int] = set()
        self._kept: list[Permit[Read]] = []

    def read(self) -> Permit[Read]:
        return self._known(Permit(Read, frozenset({DEVICE}), "contract", None))

    def write(self) -> Permit[Write]:
        permit = Permit(Write, frozenset({DEVICE}), "contract", 1)
        self._known(permit)
        return permit

    def spend(self, permit: Permit[Read]) -> None:
        self._alive.discard(id(permit))

    def check(self, permit: Permit[Read], device_id: int) -> None:
        if id(permit) not in self._alive or device_id not in permit.devices:
            raise HouseRuleBroken("not a permit of this book, or not for this device")

    @asynccontextmanager
    async def step(self, permit: Permit[Write], device_id: int, limit_s: float) -> AsyncIterator[StepWindow]:
        self.check(permit, device_id)
        if permit.reach is not Write:
            raise HouseRuleBroken("a permit to read begins no step")
        if self.fence_at is not None and len(self.steps) >= self.fence_at:
            raise LockLost("taken away by admin (contract)")
        step = Step(len(self.steps), limit_s)
        self.steps.append(step)
        late = self.no_time_from is not None and step.number >= self.no_time_from
        yield StepWindow(time.monotonic() + (-1 if late else self.window_s or limit_s - MARGIN_S))
        step.open = False

    async def note_session(self, permit: Permit[Write], device_id: int, note: str | None) -> None:
        self.check(permit, device_id)
        if self.fence_at is not None and len(self.steps) >= self.fence_at:
            raise LockLost("taken away by admin (contract)")
        self.note = note
        self.notes.append((note, len(self.steps)))

    def _known(self, permit: Permit[Read]) -> Permit[Read]:
        self._alive.add(id(permit))
        self._kept.append(permit)
        return permit


class DriverBench(ABC):
    """A device under test, and what a test may do to it, or see of it, beside the driver."""

    def __init__(self, driver: Driver, credentials: Credentials) -> None:
        self.driver = driver
        self.credentials = credentials
        self.book = StepBook()
        self._connections: list[DeviceConnection] = []
        self._crashed: list[Driver] = []

    @property
    def verifies(self) -> bool:
        """Whether this device is asked to verify; a platform that can may have a device on which it is switched off."""
        return self.driver.capabilities.verify

    @property
    def ends_left_session(self) -> bool:
        """Whether what the driver notes of its session is enough to end it after a crash; checked only if so."""
        return self.driver.capabilities.ends_foreign_session

    async def schema(self, device: DeviceConnection, permit: Permit[Read]) -> Schema:
        """The device's schema; where reading it takes long, a bench may answer what it read before."""
        return await device.read_schema(permit)

    def crash(self) -> None:
        """As after a crash of the server: a new driver that remembers nothing; old connections are just left."""
        self._crashed.append(self.driver)
        self.driver = self.new_driver()

    def connect(self, **changes: object) -> DeviceConnection:
        credentials = replace(self.credentials, **changes) if changes else self.credentials  # type: ignore[arg-type]
        self._connections.append(self.driver.connect(DEVICE, credentials, self.book))
        return self._connections[-1]

    async def close(self) -> None:
        """For the fixture: ends what a test left open."""
        for connection in self._connections:
            await connection.close()

    def new_driver(self) -> Driver:
        """Another driver of the same kind, as a new process would make it."""
        return type(self.driver)()

    @abstractmethod
    def writes(self) -> int:
        """How many configuration writes reached the device, locks and jobs included, by its own account."""

    @abstractmethod
    def new_element(self) -> Element:
        """An element the device does not have, valid on it, with a sub-element where the platform knows any.

        It has an attribute beside its keys that takes any text.
        """

    @abstractmethod
    def changed(self, element: Element) -> Element:
        """That element with one attribute changed."""

    @abstractmethod
    def breaking_element(self) -> Element:
        """An element that the device stores, and that its verify then rejects. Asked only where it verifies."""

    @abstractmethod
    def refused_element(self) -> Element:
        """An element that the device refuses to store at all."""

    @abstractmethod
    async def hold_lock(self, held: bool) -> None:
        """Somebody else takes, or gives up, the device's own configuration lock. Asked only where there is one."""

    @abstractmethod
    async def lose_next_edit(self) -> None:
        """The device answers yes to the next edit and does not store it."""

    @abstractmethod
    async def cut_next_edit(self) -> None:
        """The connection is cut at the next edit, before the device answers."""

    async def stall_within_next_edit(self, seconds: float) -> bool:
        """The device thinks so long in the midst of the next edit; False where an edit is one write, and has none."""
        return False

    def parts(self) -> list[str]:
        """What the device was sent of edits that are many writes, in order. Asked only where there are such."""
        return []

    @abstractmethod
    async def fail_next_job(self, action: str) -> None:
        """verify, save, activate or restore fails when next asked for."""

    @abstractmethod
    async def die_in_next_read(self) -> None:
        """The device dies in the middle of its next answer to a read of its configuration."""


async def push(device: DeviceConnection, permit: Permit[Write], schema: Schema, *edits: ElementEdit) -> None:
    """The way of a push, without its reading back."""
    await device.lock(permit)
    for edit in edits:
        await device.write(permit, schema, edit)
    words = await device.verify(permit)
    if words is not None:
        raise Rejected(words)
    await activate(device, permit)
    await device.unlock(permit)


async def activate(device: DeviceConnection, permit: Permit[Write]) -> None:
    """Make what was edited run, for good, and keep it over a reboot: in the device's order."""
    if not device.capabilities.saves_last:
        await device.save(permit)
    await device.activate(permit)
    await device.confirm(permit)
    if device.capabilities.saves_last:
        await device.save(permit)


async def take_back(device: DeviceConnection, permit: Permit[Write], schema: Schema, new: Element) -> None:
    """Undo what may be left of the creation of `new`: by a restore where the device has one, else by deleting it."""
    if device.capabilities.restore:
        try:
            await device.restore(permit, "running")
        except (Rejected, DeviceSideLocked):  # its lock went with its session
            await device.lock(permit)
            await device.restore(permit, "running")
        return
    found = await find(device, permit, schema, new, running=False)
    if found is not None:
        await device.write(permit, schema, ElementEdit(found, None))


def with_secret(schema: Schema, element: Element, value: str) -> tuple[Schema, Element]:
    """A schema in which one attribute of the element is a secret, and the element with that secret's value."""
    kind = element_type(schema, element.path)
    name = next(name for name in element.attributes if name not in kind.keys)
    attributes = tuple(replace(a, value_type=SECRET_TYPE) if a.name == name else a for a in kind.attributes)
    types = {**schema.types, kind.path: replace(kind, attributes=attributes)}
    return replace(schema, types=types), replace(element, attributes={**element.attributes, name: value})


async def find(
    device: DeviceConnection, permit: Permit[Read], schema: Schema, wanted: Element, *, running: bool
) -> Element | None:
    elements = await device.read_elements(permit, schema, [wanted.path], running=running)
    return next((e for e in elements if key_of(schema, e) == key_of(schema, wanted)), None)


def told(error: SdmError) -> str:
    """Everything an error carries out of the house."""
    return f"{error} {error.message} {error.facts!r} {error.__cause__!r}"
