"""Under which other names a host is known: what its name stands for, and which enrolled names stand for it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Set
from dataclasses import replace

from opensdm.core.enrolment import joined_address, split_address
from opensdm.core.errors import Unreachable
from opensdm.core.inventory import Credentials, Device

RESOLVE_S = 4.0
"""How long names may take to be looked up, all of them at once."""


def enrolled_names(devices: Iterable[Device]) -> set[str]:
    """The hosts of devices that are enrolled by name and not by address."""
    written = (a for device in devices for a in (device.ip, device.parameters.get("secondary.ip")) if a)
    return {host for host in (split_address("address", each)[0] for each in written) if not _is_literal(host)}


async def spellings(credentials: Credentials, names: Set[str]) -> list[Credentials]:
    """These credentials with each other address and name of their hosts, as far as name servers know.

    Raises Unreachable where it takes too long to find out: an unknown host may be an enrolled one.
    """
    found = []
    for written in (credentials.address, credentials.secondary_address):
        if not written:
            continue
        host, port = split_address("address", written)
        try:
            async with asyncio.timeout(RESOLVE_S):
                own = await _addresses(host)
        except TimeoutError:
            raise Unreachable(
                f"device at {written}: its name was not looked up in time", address=written, stage="name"
            ) from None
        others = [name for name in await _resolved(names - {host}) if name[1] & own]
        hosts = (own | {name for name, _ in others}) - {host}
        found += [replace(credentials, address=joined_address(h, port), secondary_address=None) for h in sorted(hosts)]
    return found


async def _resolved(names: Set[str]) -> list[tuple[str, frozenset[str]]]:
    """What can be found out in time: an enrolled name that no server knows any more stands for nothing."""
    asked = {name: asyncio.ensure_future(_addresses(name)) for name in sorted(names)}
    if asked:
        _, late = await asyncio.wait(asked.values(), timeout=RESOLVE_S)
        for task in late:
            task.cancel()
    return [(name, task.result()) for name, task in asked.items() if task.done() and not task.cancelled()]


async def _addresses(host: str) -> frozenset[str]:
    """In canonical form; none for a name that is not known."""
    if _is_literal(host):
        return frozenset((host,))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return frozenset()
    written = (str(address[0]) for *_, address in found)
    return frozenset(split_address("address", f"[{each}]" if ":" in each else each)[0] for each in written)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
