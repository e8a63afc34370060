"""`opensdm demo`: a server with two virtual SBCs and four users, and a session to paste."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opensdm.core.errors import AlreadyExists, StoreUnavailable
from opensdm.core.identity import ADMINISTRATORS, MONITORS, PROVISIONERS, check_password
from opensdm.core.inventory import Device, NetworkFunction, wire_id
from opensdm.core.operations import (
    AddNetworkFunction,
    AddUser,
    AssignDevice,
    ChangeCredentials,
    ListDevices,
    ListNetworkFunctions,
)
from opensdm.data_directory import DataDirectory, read_private, write_private
from opensdm.demo.session import Facts, SbcFacts, text_of
from opensdm.passwords import generated_password
from opensdm.server import Server, certificates, initialise
from opensdm.settings import NodeSettings, Settings
from opensdm.simulator import VirtualSbc

USERS: Mapping[str, str] = {
    "admin": ADMINISTRATORS,
    "alice": PROVISIONERS,
    "bob": PROVISIONERS,
    "mona": MONITORS,
}
SBCS = ("edge-a", "edge-b")
SBC_USER = "netops"
LOOPBACK = "127.0.0.1"
POLLED_WITHIN_S = 60.0
_STATE = "demo.json"


@dataclass(slots=True)
class Sbc:
    """One virtual SBC of the demo, and the device that stands for it."""

    name: str
    port: int
    password: str = field(repr=False)
    simulator: VirtualSbc
    moved: bool
    device_id: int = 0

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"


async def run_demo(settings: Settings, *, temporary: bool) -> None:
    """Run the demo in the settings' data directory until SIGTERM or SIGINT; print what to paste once all is ready."""
    chosen = os.environ.get("OPENSDM_DEMO_PASSWORD")
    if chosen is not None:
        check_password(chosen)
    passwords = {name: chosen or generated_password() for name in USERS}
    directory = DataDirectory(settings.data)
    if directory.initialised and not (settings.data / _STATE).exists():
        raise AlreadyExists(f"{settings.data} is the data directory of a server, not of a demo; use another one")
    first = not directory.initialised
    if first:
        directory.create()
        write_private(settings.data / _STATE, "{}\n")
        made = await initialise(settings, "admin", passwords["admin"])
        settings = settings.model_copy(update={"node": NodeSettings(name=made.node_name)})
    server = await Server.open(settings)
    try:
        new = {"admin"} if first else set()
        new |= await _add_users(server, passwords)
        known = {name: passwords[name] for name in USERS if name in new}
        await _serve(server, settings, known, chosen, temporary=temporary)
    finally:
        await server.close()


async def _serve(
    server: Server, settings: Settings, new: Mapping[str, str], chosen: str | None, *, temporary: bool
) -> None:
    sbcs = await _start_sbcs(settings)
    try:
        began_us = time.time_ns() // 1000
        for sbc in sbcs:
            await _enrol(server, settings, sbc)
        opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(server.serve(opened.set_result), name="demo server")
        ready = asyncio.create_task(_ready(server, opened, sbcs, began_us), name="demo ready")
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if ready.done():
                print(_text(settings, ready.result(), sbcs, new, chosen, temporary=temporary), flush=True)
        finally:
            ready.cancel()
            if ready.done() and not ready.cancelled() and ready.exception() is not None:
                server.stop()
            await serving
    finally:
        await asyncio.gather(*(sbc.simulator.stop() for sbc in sbcs))


# --------------------------------------------------------------------------------------- users


async def _add_users(server: Server, passwords: Mapping[str, str]) -> set[str]:
    """Add who is missing; answers whom. The others keep the passwords they have."""
    added = set()
    for name, group in USERS.items():
        try:
            await server.execute(AddUser(user_name=name, group=group, password=passwords[name]))
        except AlreadyExists:
            continue
        added.add(name)
    return added


# --------------------------------------------------------------------------------------- devices


async def _start_sbcs(settings: Settings) -> list[Sbc]:
    """Both virtual SBCs on loopback ports of their own: those of the last start, while they are free."""
    state = settings.data / _STATE
    kept = read_private(state)
    files = await asyncio.to_thread(certificates, settings)
    (settings.data / "sbc").mkdir(mode=0o700, exist_ok=True)
    started: list[Sbc] = []
    try:
        for name in SBCS:
            known = kept.get(name)
            known = known if isinstance(known, dict) else {}
            password = str(known.get("password") or generated_password())
            simulator = VirtualSbc(
                name, username=SBC_USER, password=password, tls=(files.server_cert, files.server_key),
                state_path=settings.data / "sbc" / f"{name}.json",
            )  # fmt: skip
            wanted = int(known.get("port") or 0)
            port = await _start(simulator, wanted)
            started.append(Sbc(name, port, password, simulator, moved=port != wanted))
        facts = {sbc.name: {"port": sbc.port, "password": sbc.password} for sbc in started}
        await asyncio.to_thread(write_private, state, json.dumps(facts, indent=1) + "\n")
    except BaseException:
        await asyncio.gather(*(sbc.simulator.stop() for sbc in started))
        raise
    return started


async def _start(simulator: VirtualSbc, wanted: int) -> int:
    try:
        return (await simulator.start(LOOPBACK, wanted))[1]
    except OSError:
        if not wanted:
            raise
    return (await simulator.start(LOOPBACK, 0))[1]


async def _enrol(server: Server, settings: Settings, sbc: Sbc) -> None:
    """Have a network function for the SBC, pointing where it listens, with its device assigned."""
    function = await _function(server, sbc.name)
    authority = await asyncio.to_thread(certificates(settings).ca_cert.read_text)
    reached = {"primary.ip": sbc.address, "tls.ca": authority}
    if function is None:
        parameters = {**reached, "username": SBC_USER, "password": sbc.password}
        added = AddNetworkFunction(
            nf_name=sbc.name, parent_full_name="Home", category_name="SP Edge & Core", type_name="Device",
            parameters=parameters,
        )  # fmt: skip
        function = (await server.execute(added)).function
    elif sbc.moved:
        moved = ChangeCredentials(nf_id=function.nf_id, group_id=function.nf_id, parameters=reached)
        await server.execute(moved)
    device = await _device(server, sbc.name)
    sbc.device_id = device.device_id
    if not device.assigned:
        await server.execute(AssignDevice(device_id=device.device_id))


async def _function(server: Server, name: str) -> NetworkFunction | None:
    listing = await server.execute(ListNetworkFunctions(filters={"name": name}))
    return next((shown.function for shown in listing.items), None)


async def _device(server: Server, name: str) -> Device:
    listing = await server.execute(ListDevices(filters={"name": name}))
    device: Device = listing.items[0].device
    return device


async def _ready(server: Server, opened: asyncio.Future[str], sbcs: list[Sbc], began_us: int) -> str:
    """The server's URL, once its doors are open and it has reached both devices."""
    url = await opened
    until = time.monotonic() + POLLED_WITHIN_S
    for sbc in sbcs:
        while True:
            device = await _device(server, sbc.name)
            if device.reachable and (device.polled_us or 0) >= began_us:
                break
            if time.monotonic() > until:
                why = device.poll_error or "it was not polled"
                raise StoreUnavailable(f"the virtual SBC {sbc.name} was not reached: {why}")
            await asyncio.sleep(0.1)
    return url


# --------------------------------------------------------------------------------------- what is printed


def _text(
    settings: Settings, url: str, sbcs: list[Sbc], new: Mapping[str, str], chosen: str | None, *, temporary: bool
) -> str:
    """`new`: users that were added now, with their passwords; nobody else's is known."""
    authority: Path = certificates(settings).ca_cert
    facts = Facts(
        url=url,
        data=settings.data,
        temporary=temporary,
        authority=authority,
        groups=USERS,
        new=new,
        chosen=chosen,
        sbcs=tuple(SbcFacts(s.name, wire_id(s.device_id), f"https://{s.address}", SBC_USER, s.password) for s in sbcs),
        proxied=any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ),
    )
    return text_of(facts)
