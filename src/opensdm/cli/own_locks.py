"""`opensdm lock take` and what else users do with locks of their own, at the REST door of a server."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opensdm.cli.failures import USAGE, CommandFailed
from opensdm.cli.options import Data, quiet_logs

if TYPE_CHECKING:
    from opensdm.cli.door import Door, Site

AT_ONCE_S = 600
"""What one request may wait by default (`lock.max_wait_s`); longer waits are several."""
PAUSE_S = 2.0
"""Between two requests while another user holds the lock, which the server itself never waits for."""
TELL_EVERY_S = 5.0
WAITABLE = ("DEVICE_LOCKED", "DEVICE_BUSY")
AUTHORITY = Path("tls", "ca.crt")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}

Device = Annotated[str, typer.Argument(metavar="DEVICE", help="Name of the device, or its ID7.")]
User = Annotated[str | None, typer.Option("--user", envvar="OPENSDM_USER", metavar="NAME", help="Who you are.")]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="OPENSDM_URL", metavar="URL", help="The server; else that of the data directory."),
]
Authority = Annotated[
    Path | None,
    typer.Option(
        "--ca", envvar="OPENSDM_CA", metavar="FILE", help="PEM file by which the server's certificate is checked."
    ),
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Shown to whoever is refused.")]
Epoch = Annotated[int | None, typer.Option("--epoch", metavar="NUMBER", help="Only if the lock still has this epoch.")]
Wait = Annotated[str, typer.Option("--wait", metavar="TIME", help="How long to wait for it: 30s, 10m, 1h.")]


def take(
    device: Device, user: User = None, url: Url = None, ca: Authority = None, data: Data = None, reason: Reason = None,
    wait: Wait = "0",
) -> None:  # fmt: skip
    """Lock a device. Exit codes: 0 it is yours, 3 locked by another, 4 others work on it, 6 it was taken away."""
    until = time.monotonic() + seconds(wait)

    async def work(door: Door) -> dict[str, Any]:
        return await _taken(door, await door.device(device), reason, until)

    lock = _as_user(user, url, ca, data, work)
    print(f"{lock['deviceName']} is locked by {lock['holder']}, epoch {lock['epoch']}")


def release(
    device: Device, user: User = None, url: Url = None, ca: Authority = None, data: Data = None, epoch: Epoch = None
) -> None:
    """Unlock a device. Exit codes: 0 it is not locked by you any more, 5 it is another's, 6 it was taken away."""

    async def work(door: Door) -> dict[str, Any]:
        body = {"type": "Unlock", **({} if epoch is None else {"epoch": epoch})}
        lock: dict[str, Any] = await door.send("POST", f"{await door.device(device)}/action", body)
        return lock

    lock = _as_user(user, url, ca, data, work)
    print(f"{lock['deviceName']} is {'locked by ' + lock['holder'] if lock.get('holder') else 'free'}")


def ask(
    device: Device, user: User = None, url: Url = None, ca: Authority = None, data: Data = None,
    message: Annotated[str | None, typer.Option("--message", metavar="TEXT", help="What the holder is told.")] = None,
) -> None:  # fmt: skip
    """Ask the holder of a lock to release it."""

    async def work(door: Door) -> dict[str, Any]:
        body = {} if message is None else {"message": message}
        lock: dict[str, Any] = await door.send("POST", f"{await door.device(device)}/lock/ask", body)
        return lock

    lock = _as_user(user, url, ca, data, work)
    print(f"{lock['holder']} was asked to release {lock['deviceName']}")


def check(
    device: Device, user: User = None, url: Url = None, ca: Authority = None, data: Data = None
) -> None:  # fmt: skip
    """Say what a lock would come to now. Exit codes: 0 it would be yours, 3 locked by another, 4 it would wait."""
    from opensdm.cli.door import Refused

    async def work(door: Door) -> dict[str, Any]:
        found: dict[str, Any] = await door.send("GET", f"{await door.device(device)}/lock/check")
        if found["would"] in ("grant", "held"):
            return found
        wait = door.site.line("take", device, "--wait", "10m")
        if found["would"] == "wait":
            raise Refused("DEVICE_BUSY", _in_the_way(found), [wait])
        raise Refused("DEVICE_LOCKED", _in_the_way(found), [door.site.line("ask", device), wait])

    found = _as_user(user, url, ca, data, work)
    print(f"{found['lock']['deviceName']} is {'free' if found['would'] == 'grant' else 'locked by you'}")


def override(
    device: Device,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Told to the holder, and kept on record.")],
    user: User = None, url: Url = None, ca: Authority = None, data: Data = None,
    holder: Annotated[str | None, typer.Option("--holder", metavar="NAME", help="Only if this user holds it.")] = None,
    epoch: Epoch = None,
    graceful: Annotated[bool, typer.Option("--graceful", help="Let work of the holder run to its end.")] = False,
    transfer: Annotated[bool, typer.Option("--transfer", help="Take the lock in the same step.")] = False,
) -> None:  # fmt: skip
    """Take another's lock away, as an administrator, with a reason, on record."""
    wanted = {
        "reason": reason, "expectedHolder": holder, "expectedEpoch": epoch,
        "mode": "graceful" if graceful else "now", "transfer": transfer,
    }  # fmt: skip

    async def work(door: Door) -> dict[str, Any]:
        body = {name: value for name, value in wanted.items() if value is not None}
        lock: dict[str, Any] = await door.send("POST", f"{await door.device(device)}/lock/override", body)
        return lock

    lock = _as_user(user, url, ca, data, work)
    now = f"locked by {lock['holder']}" if lock.get("holder") else "free"
    open_still = "" if lock["settled"] else "; work of the old holder may still reach the device"
    print(f"{lock['deviceName']} is {now}, epoch {lock['epoch']}{open_still}")


def confirm(
    device: Device,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What you saw there; kept on record.")],
    user: User = None, url: Url = None, ca: Authority = None, data: Data = None,
) -> None:  # fmt: skip
    """Say that you looked at a device where work was cut off, and that it writes nothing any more."""

    async def work(door: Door) -> dict[str, Any]:
        lock: dict[str, Any] = await door.send("POST", f"{await door.device(device)}/confirm", {"note": note})
        return lock

    lock = _as_user(user, url, ca, data, work)
    print(f"{lock['deviceName']} is confirmed; it is {'locked by ' + lock['holder'] if lock.get('holder') else 'free'}")


# ------------------------------------------------------------------------------------- the parts


def seconds(text: str) -> float:
    """`90`, `30s`, `10m`, `1h`."""
    found = re.fullmatch(r"(\d{1,6})([smh]?)", text.strip())
    if found is None:
        raise CommandFailed(f"--wait: {text!r} is no time such as 30s, 10m or 1h", USAGE)
    return float(int(found[1]) * _UNITS[found[2]])


async def _taken(door: Door, path: str, reason: str | None, until: float) -> dict[str, Any]:
    """Behind others' work the server waits, and bars new work meanwhile; for others' locks we ask again."""
    from opensdm.cli.door import ANSWER_S, Refused

    said = ""
    while True:
        left_s = max(0.0, until - time.monotonic())
        wait_s = min(AT_ONCE_S, int(left_s))
        body = {"type": "Lock", "waitSeconds": wait_s, **({} if reason is None else {"reason": reason})}
        request = asyncio.ensure_future(door.send("POST", f"{path}/action", body, timeout_s=wait_s + ANSWER_S))
        try:
            while not (await asyncio.wait({request}, timeout=TELL_EVERY_S))[0]:
                left_s = max(0.0, until - time.monotonic())
                _tell(f"waiting for {_blockers(await door.send('GET', f'{path}/lock/check'))}, {left_s:.0f} s left")
            lock: dict[str, Any] = await request
            return lock
        except Refused as refusal:
            left_s = until - time.monotonic()
            if refusal.code not in WAITABLE or left_s < 1:
                raise
            if refusal.said != said:
                said = refusal.said
                _tell(f"{said}; waiting, {left_s:.0f} s left")
            await asyncio.sleep(min(PAUSE_S, left_s))
        finally:
            request.cancel()


def _tell(sentence: str) -> None:
    print(f"opensdm: {sentence}", file=sys.stderr, flush=True)


def _blockers(found: dict[str, Any]) -> str:
    told = {"lock": "locked by {holder}", "pending": "{holder} waits for it"}
    each = [told.get(b["kind"], "{running} of {holder}").format(**b) for b in found.get("blockers", [])]
    return ", ".join(each) or "its turn"


def _in_the_way(found: dict[str, Any]) -> str:
    """Who, since when and why, as a refusal says it."""
    told = {
        "lock": "{deviceName} is locked by {holder}{since}{reason}",
        "pending": "{holder} is waiting for {deviceName}{since}",
        "work": "{running} of {holder} is running on {deviceName}{since}",
    }
    each = []
    for blocker in found.get("blockers", []):
        since, reason = blocker.get("since"), blocker.get("reason")
        words = {"since": f" since {since}" if since else "", "reason": f" ({reason})" if reason else ""}
        each.append(told[blocker["kind"]].format(**blocker | words))
    return "; ".join(each)


def _as_user(
    user: str | None, url: str | None, ca: Path | None, data: Path | None,
    work: Callable[[Door], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:  # fmt: skip
    from opensdm.cli.console import run
    from opensdm.cli.door import session

    quiet_logs()
    if not user:
        raise CommandFailed("who are you? Say so with --user NAME or OPENSDM_USER", USAGE)
    site = _site(user, url, ca, data)

    async def act() -> dict[str, Any]:
        async with session(site) as door:
            return await work(door)

    return run(act())


def _site(user: str, url: str | None, ca: Path | None, data: Path | None) -> Site:
    """As asked for; else the server of the data directory. Its own certificate authority is trusted either way."""
    from opensdm.cli.door import Site
    from opensdm.cli.options import settings

    options = _options(USER=("--user", user), URL=("--url", url), CA=("--ca", ca), DATA=("--data", data))
    if url is not None:
        at = data or os.environ.get("OPENSDM_DATA")
        return Site(url.rstrip("/"), user, ca, Path(at).expanduser() / AUTHORITY if at else None, options)
    chosen = settings(data=data)
    authority = chosen.data / AUTHORITY
    scheme = "http" if chosen.plain_http else "https"
    ca = ca or (authority if authority.exists() else None)
    return Site(f"{scheme}://{chosen.listen}", user, ca, options=options)


def _options(**given: tuple[str, object]) -> tuple[str, ...]:
    """What was given on the command line, and is not in the environment already."""
    said = ((option, str(value), os.environ.get(f"OPENSDM_{name}")) for name, (option, value) in given.items() if value)
    return tuple(word for option, value, known in said if value != known for word in (option, value))
