"""`opensdm audit`: who did what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from opensdm.cli.failures import USAGE, CommandFailed
from opensdm.cli.options import Data, Database, Json, quiet_logs, settings


def _filter(name: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(f"--{name}", metavar="PATTERN", help=f"Only this {what}; * for any.")
    return option


def audit(
    data: Data = None,
    database: Database = None,
    user: Annotated[str | None, _filter("user", "user")] = None,
    door: Annotated[str | None, _filter("door", "door")] = None,
    operation: Annotated[str | None, _filter("operation", "operation")] = None,
    device: Annotated[str | None, _filter("device", "device")] = None,
    result: Annotated[str | None, _filter("result", "result, SUCCESS or a code")] = None,
    request: Annotated[str | None, _filter("request", "request id")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="2026-11-23T10:02:11Z or later.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before this time.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many of the newest entries.")] = 50,
    json: Json = False,
) -> None:
    """Show the newest entries of the audit trail, the newest last."""
    from opensdm.cli.console import ask
    from opensdm.cli.output import as_json, table, utc

    quiet_logs()
    asked = {
        "user": user, "door": door, "operation": operation, "device": device, "result": result, "requestId": request,
    }  # fmt: skip
    listing = ask(
        settings(data=data, database=database),
        "ListAudit",
        filters={name: value for name, value in asked.items() if value is not None},
        since_us=_us(since),
        until_us=_us(until),
        limit=limit,
    )
    entries = listing["items"][::-1]
    if json:
        as_json(entries)
        return
    rows = [
        [
            utc(e["at_us"]), e["user_name"], e["door"], e["address"], e["operation"], e["device_name"] or "-",
            e["result"] + (f" x{e['count']}" if e["count"] > 1 else ""), e["detail"] or "-",
        ]
        for e in entries
    ]  # fmt: skip
    table(["TIME", "USER", "DOOR", "ADDRESS", "OPERATION", "DEVICE", "RESULT", "DETAIL"], rows, "No entries.")


def _us(time: str | None) -> int | None:
    """An RFC 3339 time in microseconds since the epoch; without a zone it is UTC."""
    if time is None:
        return None
    try:
        parsed = datetime.fromisoformat(time)
    except ValueError as error:
        raise CommandFailed(f"{time!r} is no time such as 2026-11-23T10:02:11Z", USAGE) from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return (parsed - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
