"""`opensdm inventory`: network functions, many at once."""

from __future__ import annotations

import json as json_text
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opensdm.cli.failures import FAILED, USAGE, CommandFailed
from opensdm.cli.options import Data, Database, Json, quiet_logs, settings

if TYPE_CHECKING:
    from opensdm.core.inventory_rows import ReadRows

app = typer.Typer(help="The inventory as a file.", no_args_is_help=True)


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"


@app.callback()
def inventory() -> None:
    """The inventory as a file: network functions with one device or pair each."""


@app.command("import")
def import_functions(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .json file.")],
    data: Data = None,
    database: Database = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    assign: Annotated[bool, typer.Option("--assign", help="Also make each device managed.")] = False,
    json: Json = False,
) -> None:
    """Add the network functions of a file. What is wrong with a row keeps only that row out."""
    from opensdm.cli.console import LONG_TIMEOUT_S, ask
    from opensdm.cli.output import as_json
    from opensdm.core.results import ImportedRow, ImportReply

    quiet_logs()
    read = _read(file)
    rows = [
        {
            "number": row.number, "nf_name": row.nf_name, "parent_full_name": row.parent_full_name,
            "category_name": row.category_name, "type_name": row.type_name, "parameters": dict(row.parameters),
        }
        for row in read.rows
    ]  # fmt: skip
    chosen = settings(data=data, database=database)
    answer = ask(
        chosen, "ImportNetworkFunctions", timeout_s=LONG_TIMEOUT_S, rows=rows, dry_run=dry_run, assign=assign
    )  # fmt: skip
    told = [ImportedRow(**{**row, "device_ids": tuple(row["device_ids"])}) for row in answer["rows"]]
    reply = read.merged(ImportReply(answer["dry_run"], answer["added"], answer["failed"], tuple(told)))
    if json:
        from dataclasses import asdict

        as_json(asdict(reply))
    else:
        _tell(reply, place="LINE" if file.suffix.lower() == ".csv" else "ROW")
    if reply.failed:
        raise typer.Exit(FAILED)


@app.command("export")
def export_functions(
    data: Data = None,
    database: Database = None,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.CSV,
) -> None:
    """Write all network functions to standard output, as they can be imported again; secrets read xxxx."""
    from opensdm.cli.console import ask
    from opensdm.cli.output import as_json
    from opensdm.core.inventory_operations import FunctionRow
    from opensdm.core.inventory_rows import rows_to_csv, rows_to_objects

    quiet_logs()
    answer = ask(settings(data=data, database=database), "ExportNetworkFunctions")
    rows = [FunctionRow(**row) for row in answer["rows"]]
    if form is Format.CSV:
        sys.stdout.write(rows_to_csv(rows))
    else:
        as_json(rows_to_objects(rows))
    if left_out := answer["left_out"]:
        print(f"opensdm: left out, having several devices: {', '.join(left_out)}", file=sys.stderr)


def _read(file: Path) -> ReadRows:
    from opensdm.core.inventory_rows import rows_from_csv, rows_from_objects

    try:
        text = file.read_text("utf-8-sig") if file.suffix.lower() != ".csv" else _exact(file)
    except UnicodeDecodeError:
        raise CommandFailed(f"{file} is not UTF-8 text; save it as such") from None
    match file.suffix.lower():
        case ".csv":
            return rows_from_csv(text)
        case ".json":
            return rows_from_objects(_decoded(file, text))
        case _:
            raise CommandFailed(f"{file} is neither .csv nor .json: what is in it is told by how it is called", USAGE)


def _exact(file: Path) -> str:
    """With its line ends as they are: a cell may hold some."""
    return file.read_bytes().decode("utf-8-sig")


def _decoded(file: Path, text: str) -> Any:
    try:
        return json_text.loads(text)
    except ValueError as error:
        raise CommandFailed(f"{file} is not JSON: {error}") from None


def _tell(reply: Any, *, place: str) -> None:
    from opensdm.cli.output import table

    wrong = [
        [str(row.number), row.nf_name or "-", row.code or "-", row.message or "-"] for row in reply.rows if not row.ok
    ]
    if wrong:
        table([place, "NAME", "CODE", "WHAT IS WRONG"], wrong, "")
    verb = "would be added" if reply.dry_run else "added"
    print(f"{reply.added} {verb}, {reply.failed} refused")
