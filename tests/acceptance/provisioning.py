"""A house with one loaded device, for the tests of editing and pushing: what they do, and what the device saw."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from opensdm.core.element import Element
from opensdm.core.operations import (
    AddElement,
    DeleteElement,
    ListElements,
    LoadConfiguration,
    Operation,
    PushAction,
    PushChanges,
    ShowDevice,
    ShowPendingChanges,
    UpdateElement,
)
from opensdm.core.results import NOT_APPLICABLE, PushReply
from opensdm.core.staging import Edit
from opensdm.simulator import VirtualSbc
from opensdm.simulator.element import Draft, change, create
from tests.gatehouse import House

WRITING = ("lock", "unlock", "element", "management")
USER, PASSWORD = "ops", "s3cret-pw"
ALL = PushAction.SAVE_ACTIVATE


@dataclass
class Bench:
    """One house, one virtual SBC enrolled in it and loaded."""

    house: House
    sbc: VirtualSbc
    device_id: int
    port: int

    async def start_again(self) -> None:
        """The device comes back on its old address, with what it had in memory."""
        await self.sbc.start("127.0.0.1", self.port)

    async def do(self, user: str, operation: Operation) -> Any:
        return await self.house.do(user, operation)

    async def add(self, user: str, element: Element, parent: Element | None = None) -> Any:
        return await self.do(user, AddElement(device_id=self.device_id, element=element, parent=parent))

    async def update(self, user: str, element: Element, parent: Element | None = None) -> Any:
        return await self.do(user, UpdateElement(device_id=self.device_id, element=element, parent=parent))

    async def delete(self, user: str, element: Element, parent: Element | None = None) -> Any:
        return await self.do(user, DeleteElement(device_id=self.device_id, element=element, parent=parent))

    async def push(self, user: str = "alice", action: PushAction = ALL) -> PushReply:
        reply = await self.do(user, PushChanges(device_id=self.device_id, action=action))
        assert isinstance(reply, PushReply)
        return reply

    async def load(self, user: str = "alice") -> Any:
        return await self.do(user, LoadConfiguration(device_id=self.device_id))

    async def pending(self, user: str = "alice") -> list[tuple[Edit, str, tuple[str, ...]]]:
        shown = await self.do(user, ShowPendingChanges(device_id=self.device_id))
        return [(c.edit, c.path, c.key) for c in shown.changes]

    async def listed(self, path: str, user: str = "alice") -> list[Element]:
        shown = await self.do(user, ListElements(device_id=self.device_id, element_path=path))
        assert shown.total == len(shown.items)
        return list(shown.items)

    async def device(self) -> Any:
        return (await self.do("mona", ShowDevice(device_id=self.device_id))).device

    def writes(self) -> list[str]:
        """What was written, in order: `lock`, `sip-interface realm-id=core`, `verify`, ..."""
        return [e.subject or e.kind for e in self.sbc.journal if e.kind in WRITING]

    def stored(self, store: str, kind: str, **keys: str) -> dict[str, Any] | None:
        """An element in the editing, saved or running configuration, as the device itself has it."""
        for element in getattr(self.sbc.stores, store).as_json():
            values = {name: ",".join(found) for name, found in element["attributes"].items()}
            if element["type"] == kind and all(values[name] == value for name, value in keys.items()):
                return {**values, "children": element["children"]}
        return None

    def edited_outside(self, kind: str, key: tuple[str, ...], **values: str) -> None:
        """Somebody at the device's own console changes an element and activates it."""
        spec, stores = self.sbc.stores.schema.elements[kind], self.sbc.stores
        draft = Draft(kind, {name: (value,) for name, value in values.items()})
        for store in (stores.editing, stores.saved, stores.running):
            present = store.get(spec, tuple((k,) for k in key))
            store.put(create(spec, draft) if present is None else change(spec, present, draft))


Enrol = Callable[..., Awaitable[Bench]]


def realm(name: str, **values: str) -> Element:
    return Element("realmConfig", {"id": name, **values})


def interface(name: str = "core", port: str = "5060") -> Element:
    return Element(
        "sipInterface",
        {"realmId": name, "description": "new"},
        (Element("sipInterface/sipPort", {"address": "198.51.100.10", "port": port, "transportProtocol": "UDP"}),),
    )


def flags(reply: PushReply) -> dict[str, str]:
    names = ("lock", "validation", "create", "integrity_check", "restore", "save", "activate", "unlock")
    return {name: getattr(reply, name) for name in names if getattr(reply, name) != NOT_APPLICABLE}


async def staged(bench: Bench) -> None:
    await bench.add("alice", realm("peering"))
    await bench.add("alice", interface())


async def assert_untouched(bench: Bench) -> None:
    """The device is as before in all three configurations, and nothing staged is lost."""
    for store in ("editing", "saved", "running"):
        assert bench.stored(store, "realm-config", identifier="peering") is None, store
    assert len(await bench.pending()) == 2
    assert bench.sbc.tokens.lock_holder() is None


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    for _ in range(int(timeout_s / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("what the test waits for did not happen")
