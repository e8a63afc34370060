"""The console of the machine: a socket in the data directory, for whoever may open it.

One JSON object per connection, `{"operation": NAME, "fields": {...}}`, answered by one, `{"result": ...}` or
`{"error": {"code", "message", "next"}}`, each ended by a line feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from uuid import uuid4

import msgspec
import structlog

from opensdm.core.errors import InvalidRequest, NextStep, SdmError
from opensdm.core.identity import Area
from opensdm.core.operations import REGISTRY, Kind, Operation
from opensdm.doors.errors import INTERNAL_ERROR
from opensdm.gate import Caller, Gate
from opensdm.gate.run import Principal

log = structlog.get_logger("opensdm.local")

DOOR = "cli"
ADDRESS = "console"
MAX_REQUEST = 32 * 1024 * 1024
"""As much as the largest import has; whoever may open the socket is the server's own account, or root."""
REQUEST_TIMEOUT_S = 10.0
_AREAS = (Area.USERS, Area.AUDIT, Area.SESSION)
_INVENTORY = frozenset({"ListDevices", "ProbeDevice", "ProbeHost", "ImportNetworkFunctions", "ExportNetworkFunctions"})
"""What the commands of an administrator do with the inventory: look, bring in, take out, and ask how a host is."""


def _sendable(operation: type[Operation]) -> bool:
    """What can be asked here: people, the audit trail, the server's own state, a look at the locks, the inventory."""
    rule = operation.rule
    if operation.__name__ in _INVENTORY:
        return True
    if rule.kind not in (Kind.OBSERVE, Kind.CHANGE):
        return False
    if rule.area is Area.SESSION:
        return rule.kind is Kind.OBSERVE
    looks_at_locks = rule.kind is Kind.OBSERVE and rule.tag.startswith("device:lock:")
    return rule.local or rule.area in _AREAS or looks_at_locks


ALLOWED: Mapping[str, type[Operation]] = {name: cls for name, cls in REGISTRY.items() if _sendable(cls)}


async def answer(gate: Gate, request: bytes) -> bytes:
    """One request of the console through the gate, as JSON with its line feed."""
    request_id = uuid4().hex
    try:
        operation = _operation(request)
        caller = Caller(DOOR, ADDRESS, request_id, principal=Principal.LOCAL)
        reply: dict[str, Any] = {"result": await gate.execute(caller, operation)}
    except SdmError as error:
        reply = {"error": _error(error.code, error.message, error.next_steps)}
    except Exception:
        log.exception("request failed", request_id=request_id)
        reply = {"error": _error(INTERNAL_ERROR, f"the server failed; its log tells more of request {request_id}")}
    return msgspec.json.encode(reply) + b"\n"


class LocalDoor:
    """Serves the bound socket. Only the account that runs the server, and root, are listened to."""

    def __init__(self, gate: Gate, bound: socket.socket) -> None:
        self._gate = gate
        self._bound = bound
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=self._bound, limit=MAX_REQUEST)

    async def stop(self, grace_s: float) -> None:
        """Take nothing more; who was asking has so long to hear the answer."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if self._serving:
            await asyncio.wait(set(self._serving), timeout=grace_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            if _peer_may(writer):
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    request = await reader.readuntil(b"\n")
                writer.write(await answer(self._gate, request))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so is not answered
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _operation(request: bytes) -> Operation:
    try:
        wanted = msgspec.json.decode(request, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest("the request is not one JSON object") from error
    name, given = wanted.get("operation"), wanted.get("fields", {})
    cls = ALLOWED.get(name) if isinstance(name, str) else None
    if cls is None:
        raise InvalidRequest(f"the console takes these operations: {', '.join(sorted(ALLOWED))}")
    if not isinstance(given, dict):
        raise InvalidRequest("the fields of an operation are one JSON object")
    if unknown := given.keys() - {f.name for f in fields(cls)}:
        raise InvalidRequest(f"{name} has no field {', '.join(sorted(unknown))}")
    try:
        return msgspec.convert(given, cls)
    except msgspec.ValidationError as error:
        # The library names place and type of what does not fit, never its value.
        raise InvalidRequest(f"{name}: {error}") from None


def _error(code: str, message: str, steps: tuple[NextStep, ...] = ()) -> dict[str, Any]:
    return {"code": code, "message": message, "next": [_step(step) for step in steps]}


def _step(step: NextStep) -> dict[str, Any]:
    return {"action": step.action, "arguments": dict(step.arguments)}


def _peer_may(writer: asyncio.StreamWriter) -> bool:
    """The mode of the socket file says the same; this holds even where somebody widened it."""
    peer = writer.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in (0, os.geteuid())
