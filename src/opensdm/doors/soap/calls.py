"""One SOAP request, read, and what its operation may do: send operations through the gate, and find its device."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.inventory import Device, wire_id
from opensdm.core.operations import ListDevices, Operation, ShowDevice, ShowSession
from opensdm.core.results import DeviceShown, Listing, SessionShown
from opensdm.doors.soap.settings import SoapSettings
from opensdm.gate import Caller, Gate

_ID = re.compile(r"ID([1-9][0-9]{0,17})", re.ASCII)

Wire = dict[str, Any]


@dataclass(slots=True)
class Call:
    """`values`: the parameters under their published names. `cookie`: the session id to set, "" to drop it."""

    gate: Gate
    settings: SoapSettings
    caller: Caller
    values: Mapping[str, Any]
    cookie: str | None = None

    async def execute(self, operation: Operation) -> Any:
        """Through the gate, as this caller."""
        return await self.gate.execute(self.caller, operation)

    def text(self, name: str) -> str:
        """A parameter without the space around it. Raises InvalidRequest where there is nothing."""
        found = str(self.values.get(name) or "").strip()
        if not found:
            raise InvalidRequest(f"{name} is empty", field=name)
        return found

    async def target(self) -> Device:
        """The device that `targetName` names; see `device_named`."""
        return await self.device_named(self.text("targetName"))

    async def device_named(self, wanted: str) -> Device:
        """By its name, without case, or by its id, `ID7`. Raises NotFound, or InvalidRequest where several fit."""
        found: Listing[DeviceShown] = await self.execute(ListDevices(filters={"name": wanted}))
        same = [d.device for d in found.items if d.device.device_name.casefold() == wanted.casefold()]
        if len(same) == 1:
            return same[0]
        if same:
            ids = ", ".join(f"{wire_id(d.device_id)} of {d.nf_name}" for d in same[:20])
            raise InvalidRequest(f"{len(same)} devices are called {wanted[:60]!r}; name one by its id: {ids}")
        number = _ID.fullmatch(wanted)
        if number is None:
            raise NotFound(f"there is no device {wanted[:60]!r}")
        shown: DeviceShown = await self.execute(ShowDevice(device_id=int(number[1])))
        return shown.device

    async def session(self) -> SessionShown:
        """The caller's own session. Raises NotLoggedIn: what this door says of the server is not for everyone."""
        shown: SessionShown = await self.execute(ShowSession())
        return shown


Answer = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class NotHere:
    """A published operation that is not offered, and the sentence that says why."""

    why: str


Answers = Mapping[str, Answer | NotHere]


def done(*lines: str) -> Wire:
    """A `WSDeviceResult`, or a `WSConfigResult`, of something that was done."""
    return {"resultFlag": True, "validationMessage": list(lines)}
