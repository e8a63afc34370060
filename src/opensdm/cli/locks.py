"""`opensdm lock`: who holds which device."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from opensdm.cli import own_locks
from opensdm.cli.failures import CommandFailed
from opensdm.cli.options import Data, Database, Json, quiet_logs, settings

app = typer.Typer(help="Device locks.", no_args_is_help=True)
for command in (
    own_locks.take,
    own_locks.release,
    own_locks.ask,
    own_locks.check,
    own_locks.override,
    own_locks.confirm,
):
    app.command()(command)


@app.callback()
def lock() -> None:
    """Device locks. Users take and release them at the REST door of a server; the password is in OPENSDM_PASSWORD."""


@app.command("list")
def list_locks(
    data: Data = None,
    database: Database = None,
    holder: Annotated[str | None, typer.Option("--holder", metavar="NAME", help="Only locks of this user.")] = None,
    json: Json = False,
) -> None:
    """List all held locks, oldest first."""
    from opensdm.cli.console import ask
    from opensdm.cli.output import as_json, table

    quiet_logs()
    locks = ask(settings(data=data, database=database), "ListLocks", holder=holder)["items"]
    if json:
        as_json(locks)
        return
    columns = ["DEVICE", "ID", "HOLDER", "SINCE", "REASON", "DOOR", "IDLE", "RUNNING"]
    table(columns, [_row(each) for each in locks], "No device is locked.")


@app.command()
def verify(data: Data = None, database: Database = None, json: Json = False) -> None:
    """Replay the events of all locks and compare what they say with the locks; exit code 1 where they differ."""
    from opensdm.cli.console import LONG_TIMEOUT_S, ask
    from opensdm.cli.output import as_json, table

    quiet_logs()
    found = ask(settings(data=data, database=database), "VerifyLocks", timeout_s=LONG_TIMEOUT_S)
    differences = found["differences"]
    if json:
        as_json(found)
    else:
        sound = f"{found['locks']} locks are as their {found['events']} events say."
        columns = ["DEVICE", "ID", "WHAT", "EVENTS SAY", "FOUND", "AT EVENT"]
        table(columns, [_difference(each) for each in differences], sound)
    if differences:
        devices = len({each["device_id"] for each in differences})
        raise CommandFailed(f"events and locks differ in {len(differences)} places, on {devices} devices")


def _difference(each: dict[str, Any]) -> list[str]:
    from opensdm.cli.output import instant

    timed = each["what"].endswith("_us")
    told, found = (instant(value) if timed else _word(value) for value in (each["told"], each["found"]))
    what = each["what"].removesuffix("_us").removesuffix("_s").replace("_", " ")
    return [each["device_name"], f"ID{each['device_id']}", what, told, found, _word(each["event_id"])]


def _word(value: object) -> str:
    return "-" if value is None else str(value)


def _row(view: dict[str, Any]) -> list[str]:
    from opensdm.cli.output import duration, utc

    row = view["row"]
    idle = duration(view["idle_s"])
    if view["orphaned"]:
        idle = "orphaned"
    elif not view["holder_logged_in"]:
        idle = "logged out"
    return [
        row["device_name"],
        f"ID{row['device_id']}",
        row["holder_name"] or "-",
        utc(row["since_us"]),
        row["reason"] or "-",
        row["door"] or "-",
        idle,
        ", ".join(work["operation"] for work in view["running"]) or "-",
    ]
