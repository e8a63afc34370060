"""Bring devices up until Ctrl-C, see which run, take down what an earlier lab left."""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lab.frr import FrrRouter, sweep
from lab.machine import LabUnavailable
from lab.netconf import NetconfDevice
from lab.processes import alive, started, wait_gone
from lab.table import Device, rows, shown
from lab.virtual import SbcProcess

DIRECTORY = Path("var/lab")
END_TIMEOUT_S = 60.0


def main() -> int:
    """Run one command; the exit code."""
    chosen = _parser().parse_args()
    directory = chosen.directory.resolve()
    try:
        match chosen.command:
            case "up":
                return bring_up(make(chosen.netconf, chosen.frr, chosen.sbc, directory), directory)
            case "down":
                return take_down(directory)
            case _:
                return status(directory)
    except (LabUnavailable, RuntimeError) as reason:
        print(f"lab: {reason}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring devices up, print how to reach them, run until Ctrl-C")
    up.add_argument("--netconf", type=int, default=3, metavar="N", help="NETCONF devices (netconfd); default 3")
    up.add_argument("--frr", type=int, default=1, metavar="N", help="routers (FRR); default 1")
    up.add_argument("--sbc", type=int, default=2, metavar="N", help="virtual SBCs, which are ours; default 2")
    down = commands.add_parser("down", help="end the lab that runs in a directory, and remove what killed ones left")
    shows = commands.add_parser("status", help="the devices of the lab that runs in a directory")
    for command in (up, down, shows):
        command.add_argument(
            "--directory", type=Path, default=DIRECTORY, metavar="DIR", help=f"keys and logs; default {DIRECTORY}"
        )
    return parser


def make(netconf: int, frr: int, sbc: int, directory: Path) -> list[Device]:
    """Devices that are not started yet."""
    return [
        *(NetconfDevice(number, directory=directory / f"netconf-{number}") for number in range(1, netconf + 1)),
        *(FrrRouter(number, directory=directory / f"router-{number}") for number in range(1, frr + 1)),
        *(SbcProcess(number, directory=directory / f"sbc-{number}") for number in range(1, sbc + 1)),
    ]


def bring_up(devices: list[Device], directory: Path) -> int:
    """Start all, print how to reach them, wait for SIGINT or SIGTERM, stop all."""
    if (running := noted(directory)) is not None:
        raise LabUnavailable(f"process {running[0]} runs a lab in {directory}: use another --directory, or `down`")
    # SIGINT too: a shell starts what runs in its background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        start(devices)
        _note(directory, devices)
        print(shown(devices))
        print("\nRunning until Ctrl-C.", flush=True)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return 0
    finally:
        # From here on it is cleaned up, however impatient somebody is.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for device in devices:
            device.stop()
        _note_file(directory).unlink(missing_ok=True)


def start(devices: list[Device]) -> None:
    """Start all, side by side where that can be."""
    launched = [device for device in devices if not isinstance(device, FrrRouter)]
    for device in launched:
        device.launch()
    for router in devices:
        if isinstance(router, FrrRouter):
            router.start()
    for device in launched:
        device.wait()


def take_down(directory: Path) -> int:
    """End the lab in `directory` as Ctrl-C would, and remove what labs left that were killed."""
    if (running := noted(directory)) is not None:
        os.kill(running[0], signal.SIGTERM)
        wait_gone([running[0]], END_TIMEOUT_S)
        print(f"lab: process {running[0]} has ended, and its devices with it")
    else:
        print(f"lab: none runs in {directory}")
    if os.geteuid() == 0 and (left := sweep()):
        print(f"lab: removed what a killed lab had left: {', '.join(left)}")
    return 0


def status(directory: Path) -> int:
    """Print the devices of the lab in `directory`; 3 if none runs."""
    running = noted(directory)
    if running is None:
        print(f"lab: none runs in {directory}")
        return 3
    pid, devices = running
    print(f"lab: process {pid} runs in {directory}")
    for row in devices:
        print("  ".join(row))
    return 0


def noted(directory: Path) -> tuple[int, list[list[str]]] | None:
    """Process id of the lab that runs in `directory`, and its devices: name, kind, address, user."""
    try:
        note = json.loads(_note_file(directory).read_text())
    except FileNotFoundError:
        return None
    # A process id may have been given to somebody else since; the time of its start was not.
    same = alive(note["pid"]) and started(note["pid"]) == note["started"]
    return (note["pid"], note["devices"]) if same else None


def _note(directory: Path, devices: list[Device]) -> None:
    pid = os.getpid()
    note = {"pid": pid, "started": started(pid), "devices": [row[:-1] for row in rows(devices)]}
    directory.mkdir(parents=True, exist_ok=True)
    _note_file(directory).write_text(json.dumps(note))


def _note_file(directory: Path) -> Path:
    return directory / "lab.json"


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
