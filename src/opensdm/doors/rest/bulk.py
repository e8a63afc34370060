"""Many network functions at once, from v1.4 on: import row by row, and export, as CSV, XML or JSON."""

from __future__ import annotations

from typing import Any

from opensdm.core import inventory_rows
from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import wire_id
from opensdm.core.inventory_rows import COLUMNS, PARAMETERS, ReadRows
from opensdm.core.operations import ExportNetworkFunctions, FunctionRow, ImportNetworkFunctions
from opensdm.core.results import ExportReply, ImportedRow, ImportReply
from opensdm.doors.rest import bulk_shapes, requests
from opensdm.doors.rest.functions import FUNCTIONS
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import flag
from opensdm.doors.rest.routing import Call, Endpoint, Reply

CSV = "text/csv"
FILE_NAME = "network-functions.csv"

Wire = dict[str, Any]


async def import_functions(call: Call) -> Reply:
    """What of a file cannot be read as a row is one failed row of the reply; the others are looked at all the same."""
    read = inventory_rows.rows_from_csv(call.text) if call.text is not None else _rows(call)
    if not read.rows and not read.faults:
        raise InvalidRequest("there is no row to import: the first line of a CSV names the columns")
    operation = ImportNetworkFunctions(
        rows=read.rows, dry_run=flag(call, "dryRun") or False, assign=flag(call, "assign") or False
    )
    reply: ImportReply = await call.execute(operation)
    return Reply.of(bulk_shapes.IMPORT_RESULT, import_result(read.merged(reply)))


def _rows(call: Call) -> ReadRows:
    """Numbered by their place in the list, from 1."""
    return inventory_rows.rows_from_objects([_plain(call, each) for each in call.body["nfConfigs"]])


def _plain(call: Call, config: Wire) -> Wire:
    """A network function of the body as the fields of a row; what a row has not, the reader of rows names."""
    name, parent, category, type_name = COLUMNS
    found = {
        name: config.get("name"),
        parent: config.get("parentGroupFullName"),
        category: (config.get("nfCategory") or {}).get("name"),
        type_name: (config.get("nfType") or {}).get("name"),
        PARAMETERS: requests.parameters(call, config.get("parameters")),
    }
    if config.get("nfcConfigs"):
        found["nfcConfigs"] = None
    return found


async def export_functions(call: Call) -> Reply:
    """A CSV has no place for what is left out: a header says how much that is."""
    found: ExportReply = await call.execute(ExportNetworkFunctions())
    if call.wanted == CSV:
        headers = [("Content-Disposition", f'attachment; filename="{FILE_NAME}"')]
        if found.left_out:
            headers.append(("Left-Out", str(len(found.left_out))))
        return Reply.plain(inventory_rows.rows_to_csv(found.rows), f"{CSV}; charset=utf-8", *headers)
    values = {"nfConfigs": [nf_config(row) for row in found.rows], "leftOut": list(found.left_out) or None}
    return Reply.of(bulk_shapes.EXPORTED, values)


# ------------------------------------------------------------------------------------- on the wire


def import_result(reply: ImportReply) -> Wire:
    return {
        "dryRun": reply.dry_run,
        "added": reply.added,
        "failed": reply.failed,
        "rows": [imported_row(each) for each in reply.rows],
    }


def imported_row(each: ImportedRow) -> Wire:
    return {
        "number": each.number,
        "name": each.nf_name,
        "ok": each.ok,
        "nfId": None if each.nf_id is None else wire_id(each.nf_id),
        "deviceIds": [wire_id(device_id) for device_id in each.device_ids] or None,
        "code": each.code,
        "message": each.message,
    }


def nf_config(row: FunctionRow) -> Wire:
    return {
        "name": row.nf_name,
        "parentGroupFullName": row.parent_full_name,
        "nfCategory": {"name": row.category_name},
        "nfType": {"name": row.type_name},
        "parameters": [{"name": name, "value": value} for name, value in row.parameters.items() if value],
    }


ENDPOINTS = (
    Endpoint(
        "POST",
        FUNCTIONS + "/import",
        import_functions,
        body=bulk_shapes.NF_CONFIGS,
        query=frozenset({"dryRun", "assign"}),
        since=OWN_VERSION,
        reads=(CSV,),
    ),
    Endpoint("GET", FUNCTIONS + "/export", export_functions, since=OWN_VERSION, offers=(CSV,)),
)
