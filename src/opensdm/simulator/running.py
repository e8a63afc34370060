"""Running virtual SBCs until the process is told to end."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from opensdm.simulator.server import VirtualSbc


async def serve(
    host: str,
    port: int,
    *,
    name: str,
    username: str,
    password: str,
    tls: tuple[Path, Path] | None = None,
    plain_http: bool = False,
    version: str = "SCZ9.1.0",
    state_path: Path | None = None,
    token_lifetime_s: float = 600.0,
    job_delay_s: float = 0.2,
    controllable: bool = False,
    standby: tuple[str, int] | None = None,
    elements: Mapping[str, int] | None = None,
) -> None:
    """Run one virtual SBC until SIGTERM or SIGINT; prints `virtual-sbc: listening on URL` once it does.

    `standby` is where a second unit listens that is its HA pair's other half, and keeps no state file. `elements`:
    so many made-up elements of each type; raises ValueError where that cannot be done.
    """

    def unit(unit_name: str, state: Path | None) -> VirtualSbc:
        return VirtualSbc(
            unit_name, username=username, password=password, tls=tls, plain_http=plain_http, version=version,
            state_path=state, token_lifetime_s=token_lifetime_s, job_delay_s=job_delay_s, controllable=controllable,
        )  # fmt: skip

    units = [(unit(name, state_path), host, port)]
    if elements:
        units[0][0].control({"elements": dict(elements)})
    if standby is not None:
        units.append((unit(f"{name}-2", None), *standby))
        units[0][0].pair_with(units[1][0])
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ended.set)
    try:
        for simulator, where, port_there in units:
            bound, bound_port = await simulator.start(where, port_there)
            shown = f"[{bound}]" if ":" in bound else bound
            what = "listening" if simulator is units[0][0] else "standby listening"
            print(f"virtual-sbc: {what} on {'http' if plain_http else 'https'}://{shown}:{bound_port}", flush=True)
        await ended.wait()
    finally:
        for simulator, _, _ in units:
            await simulator.stop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
