"""Operations of the machine's own console: over the socket of a running server, else on the store itself."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from opensdm.cli.failures import CommandFailed, refused
from opensdm.data_directory import DataDirectory, DirectoryInUse

if TYPE_CHECKING:
    from opensdm.settings import Settings

T = TypeVar("T")

PATIENCE_S = 15.0
"""How long a command waits for a server that is just starting, or for another command."""
ANSWER_TIMEOUT_S = 60.0
LONG_TIMEOUT_S = 1800.0
"""Of work that goes through many devices, or through all of a large one."""
_USERS = frozenset({"AddUser", "DeleteUser", "DisableUser", "EnableUser", "SetPassword"})
_HINTS = {"NOT_FOUND": "opensdm user list", "ALREADY_EXISTS": "opensdm user list"}
_LOCK_HINTS = {"DEVICE_LOCKED": "opensdm lock list", "DEVICE_BUSY": "opensdm lock list"}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def ask(settings: Settings, operation: str, *, timeout_s: float = ANSWER_TIMEOUT_S, **fields: Any) -> Any:
    """Send one operation and answer its result as JSON values; CommandFailed when it was refused.

    A running server has `timeout_s` to answer.
    """
    directory = DataDirectory(settings.data)
    if not directory.initialised:
        raise CommandFailed(
            f"{settings.data} is no initialised data directory; make it with: opensdm init --data {settings.data}"
        )
    chosen = {name: value for name, value in fields.items() if value is not None}
    request = json.dumps({"operation": operation, "fields": chosen}).encode() + b"\n"
    reply = json.loads(_answer(directory, settings, request, timeout_s))
    if error := reply.get("error"):
        hints = _HINTS if operation in _USERS else _LOCK_HINTS
        raise refused(error["code"], error["message"], hints.get(error["code"]))
    return reply["result"]


def _answer(directory: DataDirectory, settings: Settings, request: bytes, timeout_s: float) -> bytes:
    until = time.monotonic() + PATIENCE_S
    while True:
        connection = directory.connect_console()
        if connection is not None:
            with connection:
                return _exchange(connection, request, timeout_s)
        try:
            return run(_in_process(settings, request))
        except DirectoryInUse:
            # A server that is starting or ending has the directory and no socket.
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def _exchange(connection: socket.socket, request: bytes, timeout_s: float) -> bytes:
    connection.settimeout(timeout_s)
    answer = bytearray()
    try:
        connection.sendall(request)
        while not answer.endswith(b"\n"):
            part = connection.recv(65536)
            if not part:
                break
            answer += part
    except OSError:
        answer.clear()
    if not answer.endswith(b"\n"):
        raise CommandFailed("the server went away before it answered; look at the state, then try again")
    return bytes(answer)


async def _in_process(settings: Settings, request: bytes) -> bytes:
    from opensdm.server import Server

    server = await Server.open(settings, listen=False)
    try:
        return await server.console(request)
    finally:
        await server.close()
