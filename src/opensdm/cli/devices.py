"""`opensdm device`: devices of the inventory, and hosts that may become some."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opensdm.cli.failures import FAILED, USAGE, CommandFailed
from opensdm.cli.options import Data, Database, Json, quiet_logs, settings

if TYPE_CHECKING:
    from opensdm.settings import Settings

app = typer.Typer(help="Devices.", no_args_is_help=True)

_RESULTS = {True: "ok", False: "failed", None: "-"}


@app.callback()
def device() -> None:
    """Devices of the inventory, and hosts that may become some."""


@app.command("list")
def list_devices(data: Data = None, database: Database = None, json: Json = False) -> None:
    """List all devices, with who holds their locks."""
    from opensdm.cli.console import ask
    from opensdm.cli.output import as_json, table

    quiet_logs()
    chosen = settings(data=data, database=database)
    listed = ask(chosen, "ListDevices")["items"]
    locks = {view["row"]["device_id"]: view["row"]["holder_name"] for view in ask(chosen, "ListLocks")["items"]}
    devices = [{**each["device"], "lock_holder": locks.get(each["device"]["device_id"])} for each in listed]
    if json:
        as_json(devices)
        return
    rows = [
        [
            d["device_name"], f"ID{d['device_id']}", d["ip"], d["platform"], "yes" if d["reachable"] else "no",
            d["status"] if d["assigned"] else "not managed", d["lock_holder"] or "-",
        ]
        for d in devices
    ]  # fmt: skip
    table(["NAME", "ID", "ADDRESS", "PLATFORM", "ANSWERS", "STATUS", "LOCKED BY"], rows, "There are no devices.")


@app.command()
def probe(
    host: Annotated[
        str, typer.Argument(metavar="HOST", help="host or host:port; or the name, ID or address of an enrolled device.")
    ],
    data: Data = None,
    database: Database = None,
    platform: Annotated[
        str, typer.Option("--platform", metavar="NAME", help="What kind of device it is.")
    ] = "acme_sbc",
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Login name on it.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input; else it is asked for.")
    ] = False,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A device parameter; NAME=@FILE takes it from a file."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what works on a host, what does not, and why. Reads only. An enrolled device is probed as it is enrolled."""
    from opensdm.cli.console import LONG_TIMEOUT_S, ask
    from opensdm.cli.output import as_json

    quiet_logs()
    chosen = settings(data=data, database=database)
    known = _enrolled(chosen, host)
    if known is not None:
        if user is not None or param or password_stdin:
            name, device_id = known["device_name"], known["device_id"]
            raise CommandFailed(
                f"{host} is device {name!r} (ID{device_id}), which is entered as it is enrolled: leave out --user, "
                "--password-stdin and --param",
                USAGE,
            )
        report = ask(chosen, "ProbeDevice", timeout_s=LONG_TIMEOUT_S, device_id=known["device_id"])
    else:
        parameters = {**_parameters(param or []), "primary.ip": host}
        if user is not None:
            parameters |= {"username": user, "password": _password(user, host, from_stdin=password_stdin)}
        report = ask(chosen, "ProbeHost", timeout_s=LONG_TIMEOUT_S, platform=platform, parameters=parameters)
    if json:
        as_json(report)
    else:
        _show(report)
    if any(finding["ok"] is False for finding in report["findings"]):
        raise typer.Exit(FAILED)


def _show(report: dict[str, Any]) -> None:
    from opensdm.cli.output import printable, table

    print(f"{printable(report['address'])}, as {report['platform']}")
    rows = [[finding["step"], _RESULTS[finding["ok"]], finding["message"]] for finding in report["findings"]]
    table(["STEP", "RESULT", "WHAT WAS FOUND"], rows, "")
    for name, value in report["trust"].items():
        print(f"If that is its key, enrol or probe it with: --param '{printable(name)}={printable(value)}'")


def _enrolled(chosen: Settings, host: str) -> dict[str, Any] | None:
    """The device of that name, ID or address. CommandFailed for a name that several have."""
    from opensdm.cli.console import ask

    devices = [each["device"] for each in ask(chosen, "ListDevices")["items"]]
    wanted = host.strip().casefold()
    named = [d for d in devices if wanted in (d["device_name"].casefold(), f"id{d['device_id']}")]
    found = named or [d for d in devices if wanted in _addresses(d)]
    if len(found) > 1:
        which = ", ".join(f"ID{d['device_id']}" for d in found)
        raise CommandFailed(f"several devices are called {host!r}: choose one of {which}")
    return found[0] if found else None


def _addresses(device: dict[str, Any]) -> set[str]:
    """As they are written, and with the port where that is written apart."""
    port = device["parameters"].get("port")
    written = [a for a in (device["ip"], device["parameters"].get("secondary.ip")) if a]
    return {*written, *(f"{address}:{port}" for address in written if port)}


def _parameters(given: list[str]) -> dict[str, str]:
    parameters = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise CommandFailed(f"--param {each}: write it as NAME=VALUE", USAGE)
        if name == "password":
            raise CommandFailed("a password in an argument can be read by every account: use --password-stdin", USAGE)
        parameters[name] = Path(value[1:]).read_text("utf-8") if value.startswith("@") else value
    return parameters


def _password(user: str, host: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise CommandFailed("give the password with --password-stdin, or run this on a terminal to type it", USAGE)
    return getpass(f"Password of {user} on {host}: ")
