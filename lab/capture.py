"""Records a session with a device's command line, as a file the tests can replay.

    python -m lab.capture USER@HOST[:PORT] COMMAND... > tests/data/devices/PLATFORM/NAME.session

The password comes from the terminal, or from the environment variable DEVICE_PASSWORD. Commands are sent as they are:
give none that changes anything. An answer counts as over when nothing has come for `--quiet` seconds. The host key is
shown and not checked.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from datetime import UTC, datetime

import asyncssh

from lab.transcript import Exchange, written


async def capture(host: str, port: int, user: str, password: str, commands: list[str], quiet_s: float) -> str:
    """The session as a transcript: the greeting, then each command with its answer, its echo and the next prompt."""
    async with asyncssh.connect(
        host, port, username=user, password=password, known_hosts=None, client_keys=None, agent_path=None, config=None
    ) as connection:
        key = connection.get_server_host_key()
        print(f"host key: {key.get_fingerprint() if key else 'none'}", file=sys.stderr)
        process = await connection.create_process(term_type="vt100", term_size=(1000, 1000), encoding="utf-8")
        exchanges = [Exchange("", await _until_quiet(process, quiet_s))]
        for command in commands:
            process.stdin.write(command + "\n")
            exchanges.append(Exchange(command, await _until_quiet(process, quiet_s)))
    day = datetime.now(UTC).date().isoformat()
    return written([f"Captured from a device on {day} by lab/capture.py."], exchanges)


async def _until_quiet(process: asyncssh.SSHClientProcess[str], quiet_s: float) -> str:
    text = ""
    while True:
        try:
            async with asyncio.timeout(quiet_s if text else 30.0):
                chunk = await process.stdout.read(65536)
        except TimeoutError:
            return text
        if not chunk:
            return text
        text += chunk


def main() -> None:
    parser = argparse.ArgumentParser(description="Record a session with a device's command line.")
    parser.add_argument("device", metavar="USER@HOST[:PORT]")
    parser.add_argument("commands", nargs="+", metavar="COMMAND")
    parser.add_argument("--quiet", type=float, default=1.0, help="seconds without output that end an answer")
    given = parser.parse_args()
    user, _, address = given.device.rpartition("@")
    host, _, port = address.partition(":")
    password = os.environ.get("DEVICE_PASSWORD") or getpass.getpass()
    print(asyncio.run(capture(host, int(port or 22), user, password, given.commands, given.quiet)), end="")


if __name__ == "__main__":
    main()
