"""A user's own calls, at the REST door of a server: what the console of the machine has no right to do."""

from __future__ import annotations

import asyncio
import os
import shlex
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from opensdm.cli.failures import USAGE, CommandFailed, refused

if TYPE_CHECKING:
    import httpx2

BASE = "/rest/v1.4"
ANSWER_S = 60.0
_WAYS = {
    "DEVICE_LOCKED": "opensdm lock ask {}",
    "NOT_LOCK_OWNER": "opensdm lock ask {}",
    "DEVICE_BUSY": "opensdm lock take {} --wait 10m",
}
DEVICES = "/inventory/deviceMgmt/devices"


@dataclass(frozen=True, slots=True)
class Site:
    """Which server, and as whom. `authority`: the PEM file its certificate is checked by; None: the system's own."""

    url: str
    user: str
    authority: Path | None = None


class Door:
    """One session."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def send(self, method: str, path: str, body: Any = None, *, timeout_s: float = ANSWER_S) -> Any:
        """The reply's JSON; CommandFailed, with the error's own exit code, for a refusal."""
        import httpx2

        try:
            answer = await self._http.request(method, BASE + path, json=body, timeout=timeout_s)
        except (httpx2.HTTPError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise CommandFailed(f"the server at {self._http.base_url} cannot be reached ({reason})") from error
        found = answer.json() if answer.content else {}
        if answer.status_code >= 400:
            code = str(found.get("code", "FAILED"))
            raise Refused(code, str(found.get("message", f"the server answered {answer.status_code}")), found)
        return found

    async def device(self, named: str) -> str:
        """The path of a device that is named by its id, or else its name."""
        if named.startswith("ID") and named[2:].isdecimal():
            return f"{DEVICES}/{named}"
        found = await self.send("GET", f"{DEVICES}?name={quote(named, safe='')}")
        ids = [each["id"] for each in found.get("devices", []) if each["name"].casefold() == named.casefold()]
        if len(ids) != 1:
            why = "there is no device" if not ids else f"{len(ids)} devices are called"
            raise CommandFailed(f"{why} {named!r}; see: opensdm device list")
        return f"{DEVICES}/{ids[0]}"


class Refused(CommandFailed):
    """A refusal of the server, by its code; `facts` is the whole error body."""

    def __init__(self, code: str, message: str, facts: dict[str, Any]) -> None:
        told = refused(code, message, _next(code, facts))
        super().__init__(told.message, told.exit_code)
        self.code = code
        self.facts = facts


def _next(code: str, facts: dict[str, Any]) -> str | None:
    """The command that helps who was refused."""
    blockers = facts.get("blockers") or [{}]
    way = _WAYS.get(code)
    name = blockers[0].get("deviceName")
    return None if way is None or name is None else way.format(shlex.quote(name))


@asynccontextmanager
async def session(site: Site) -> AsyncIterator[Door]:
    """Logged in, and out again in the end. Locks are the user's and stay."""
    import httpx2

    verify = ssl.create_default_context(cafile=site.authority)
    async with httpx2.AsyncClient(
        base_url=site.url, verify=verify, trust_env=False, headers={"Accept": "application/json"}
    ) as http:
        door = Door(http)
        password = await asyncio.to_thread(_password, site.user)
        await door.send("POST", "/admin/login", {"userName": site.user, "password": password})
        try:
            yield door
        finally:
            with suppress(CommandFailed):
                await door.send("POST", "/admin/logout")


def _password(user: str) -> str:
    given = os.environ.get("OPENSDM_PASSWORD")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise CommandFailed("give the password in OPENSDM_PASSWORD, or run this on a terminal to type it", USAGE)
    return getpass(f"Password of {user}: ")
