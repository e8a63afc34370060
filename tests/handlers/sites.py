"""A device in memory enrolled in a real house and loaded, and what its pushes look like on each kind of platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from opensdm.core.element import Element
from opensdm.core.operations import (
    AddElement,
    DeleteElement,
    Operation,
    PollDevice,
    PushAction,
    PushChanges,
    ShowDevice,
    ShowPendingChanges,
    UpdateElement,
)
from opensdm.core.ports import Capabilities
from opensdm.core.results import NOT_APPLICABLE, PushReply
from tests.gatehouse import House
from tests.handlers.memory_device import NETCONF, ROUTER, SBC, VIEW_ONLY, MemoryDevice, agent, realm

FLAGS = ("lock", "validation", "create", "integrity_check", "restore", "save", "activate", "unlock")
ALL = PushAction.SAVE_ACTIVATE


@dataclass
class Site:
    """One device in memory, enrolled and loaded."""

    house: House
    device: MemoryDevice
    device_id: int

    async def do(self, operation: Callable[..., Operation], user: str = "alice", **values: Any) -> Any:
        return await self.house.do(user, operation(device_id=self.device_id, **values))

    async def stage(self, user: str = "alice", change_set: str = "") -> None:
        """One element changed, one deleted, two added."""
        changed = realm("core", description="changed")
        await self.do(UpdateElement, user, element=changed, change_set=change_set)
        await self.do(AddElement, user, element=realm("new", description="added"), change_set=change_set)
        await self.do(AddElement, user, element=agent("a2", realm="new"), change_set=change_set)
        await self.do(DeleteElement, user, element=agent("a1"), change_set=change_set)

    async def push(self, user: str = "alice", action: PushAction = ALL, **values: Any) -> PushReply:
        self.device.log.clear()
        reply = await self.do(PushChanges, user, action=action, **values)
        assert isinstance(reply, PushReply)
        return reply

    async def pending(self, user: str = "alice", change_set: str = "") -> list[str]:
        shown = await self.do(ShowPendingChanges, user, change_set=change_set)
        return [":".join((c.path, *c.key)) for c in shown.changes]

    async def status(self, user: str = "alice") -> str:
        return str((await self.do(ShowDevice, user)).status)

    async def poll(self) -> None:
        await self.house.gate.execute(self.house.system, PollDevice(device_id=self.device_id, compare=True))


Open = Callable[[Capabilities], Awaitable[Site]]
NAMED = {"sbc": SBC, "netconf": NETCONF, "router": ROUTER, "viewed": VIEW_ONLY}
CORE, ACCESS, A1 = realm("core", description="old", limit="7", secret="s3cret"), realm("access"), agent("a1")
HELD = (CORE, ACCESS, A1, Element("system", {"name": "edge"}))


def flags(reply: PushReply) -> dict[str, str]:
    return {name: value for name in FLAGS if (value := getattr(reply, name)) != NOT_APPLICABLE}


WRITES = ["write agent a1", "write realm core", "write realm new", "write agent a2"]
ORDERS = {
    SBC: ["lock", *WRITES, "verify", "save", "activate", "unlock"],
    NETCONF: ["lock", *WRITES, "verify", "activate", "confirm", "save", "unlock"],
    ROUTER: ["lock", *WRITES, "save", "unlock"],
}
PLATFORMS = ["sbc", "netconf", "router"]


def methods(*named: str) -> list[tuple[str, str]]:
    """Each platform with those of the methods that a push on it calls."""
    return [(p, m) for p in PLATFORMS for m in named if any(line.split()[0] == m for line in ORDERS[NAMED[p]])]


def assert_untouched(device: MemoryDevice) -> None:
    for store in (device.running, device.editing, device.saved):
        assert sorted(store.values(), key=repr) == sorted(HELD, key=repr)
