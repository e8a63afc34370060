"""A user's own calls, at the REST door of a server: what the console of the machine has no right to do."""

from __future__ import annotations

import asyncio
import os
import shlex
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
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
DEVICES = "/inventory/deviceMgmt/devices"


@dataclass(frozen=True, slots=True)
class Site:
    """Which server, and as whom. `authority`: the PEM file its certificate is checked by; None: those of the system,
    and `own`, that of a data directory here, if there is one. `options`: what was said of all this on the command line.
    """

    url: str
    user: str
    authority: Path | None = None
    own: Path | None = None
    options: tuple[str, ...] = ()

    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority)
        if self.authority is None and self.own is not None and self.own.exists():
            context.load_verify_locations(self.own)
        return context

    def line(self, *words: str) -> str:
        """A command of `opensdm lock` with the options of this one."""
        return shlex.join(["opensdm", "lock", *words, *self.options])

    def recommended(self, line: str) -> str:
        """A command that the server recommends: it names user and server as it knows them."""
        _, _, *words = shlex.split(line)
        return self.line(*(words[:-4] if words[-4::2] == ["--user", "--url"] else words))


class Door:
    """One session."""

    def __init__(self, http: httpx2.AsyncClient, site: Site) -> None:
        self._http = http
        self.site = site

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
            message = str(found.get("message", f"the server answered {answer.status_code}"))
            raise Refused(code, message, _helps(found, self.site))
        return found

    async def device(self, named: str) -> str:
        """The path of a device that is named by its id, or else its name."""
        if named.startswith("ID") and named[2:].isdecimal():
            return f"{DEVICES}/{named}"
        found = await self.send("GET", f"{DEVICES}?name={quote(named, safe='')}")
        ids = [each["id"] for each in found.get("devices", []) if each["name"].casefold() == named.casefold()]
        if len(ids) != 1:
            if ids:
                raise CommandFailed(f"{len(ids)} devices are called {named!r}; name one by its id: {', '.join(ids)}")
            raise CommandFailed(f"there is no device {named!r}; see: opensdm device list")
        return f"{DEVICES}/{ids[0]}"


class Refused(CommandFailed):
    """A refusal of the server, by its code; `helps`: the commands that get further."""

    def __init__(self, code: str, message: str, helps: Sequence[str] = ()) -> None:
        told = refused(code, message, ", or: ".join(helps) or None)
        super().__init__(told.message, told.exit_code)
        self.code = code
        self.said = message


def _helps(found: dict[str, Any], site: Site) -> list[str]:
    """What the server recommends, as far as it is commands."""
    lines = [str(line) for line in found.get("next", ())]
    return [site.recommended(line) for line in lines if line.startswith("opensdm lock ")]


@asynccontextmanager
async def session(site: Site) -> AsyncIterator[Door]:
    """Logged in, and out again in the end. Locks are the user's and stay."""
    import httpx2

    async with httpx2.AsyncClient(
        base_url=site.url, verify=site.trust(), trust_env=False, headers={"Accept": "application/json"}
    ) as http:
        door = Door(http, site)
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
