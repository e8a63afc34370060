"""Network functions as rows of a file: CSV text or JSON values to what is imported, and back.

A CSV file has a heading with the columns of `COLUMNS`, of which `parentGroupFullName` may be left out, and one more
for each device parameter (`primary.ip`, ...). An empty cell is no value. In JSON it is a list of objects with the same
names, and the parameters in an object `parameters`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import DEVICE_PARAMETERS
from opensdm.core.inventory_operations import FunctionRow
from opensdm.core.results import ImportedRow, ImportReply

NAME, PARENT, CATEGORY, TYPE, PARAMETERS = "name", "parentGroupFullName", "nfCategory", "nfType", "parameters"
COLUMNS = (NAME, PARENT, CATEGORY, TYPE)
_REQUIRED = (NAME, CATEGORY, TYPE)
_PARAMETER_NAMES = tuple(t.name for t in DEVICE_PARAMETERS)


@dataclass(frozen=True, slots=True)
class ReadRows:
    """What a file says: rows to import, and places that cannot be read as a row, in file order each."""

    rows: tuple[FunctionRow, ...]
    faults: tuple[ImportedRow, ...] = ()

    def merged(self, reply: ImportReply) -> ImportReply:
        """The reply to the import of `rows`, with the places that never became one."""
        every = sorted((*reply.rows, *self.faults), key=lambda row: row.number)
        return replace(reply, failed=reply.failed + len(self.faults), rows=tuple(every))


def rows_from_csv(text: str) -> ReadRows:
    """Numbered by the line a row begins on, the heading being line 1; blank lines are nothing.

    Raises InvalidRequest where the heading, or the quoting, makes the whole file doubtful.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[FunctionRow] = []
    faults: list[ImportedRow] = []
    try:
        heading = _heading(next(reader, []))
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(heading):
                words = f"has {len(cells)} cells, and the heading {len(heading)}"
                faults.append(_fault(line, cells[0], words))
            elif cells:
                rows.append(_row(line, dict(zip(heading, cells, strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidRequest(f"the CSV cannot be read on from line {reader.line_num}: {error}") from None
    return ReadRows(tuple(rows), tuple(faults))


def rows_to_csv(rows: Iterable[FunctionRow]) -> str:
    """The text that `rows_from_csv` reads as these rows, but for their numbers; a column for each parameter in use."""
    rows = tuple(rows)
    used = {name for row in rows for name, value in row.parameters.items() if value}
    parameters = [name for name in _PARAMETER_NAMES if name in used]
    lines = [[*COLUMNS, *parameters]]
    for row in rows:
        own = [row.nf_name, row.parent_full_name or "", row.category_name, row.type_name]
        lines.append([*own, *(row.parameters.get(name, "") for name in parameters)])
    return "".join(",".join(map(_quoted, line)) + "\n" for line in lines)


def rows_from_objects(value: object) -> ReadRows:
    """From JSON values, numbered by their place in the list. Raises InvalidRequest for what is no list."""
    if not isinstance(value, list):
        raise InvalidRequest("network functions are one JSON list of objects")
    rows: list[FunctionRow] = []
    faults: list[ImportedRow] = []
    for number, each in enumerate(value, start=1):
        try:
            rows.append(_row(number, _cells(each)))
        except InvalidRequest as error:
            name = each.get(NAME) if isinstance(each, dict) else None
            faults.append(_fault(number, name if isinstance(name, str) else "", error.message))
    return ReadRows(tuple(rows), tuple(faults))


def rows_to_objects(rows: Iterable[FunctionRow]) -> list[dict[str, object]]:
    """The JSON values that `rows_from_objects` reads as these rows."""
    return [
        {
            NAME: row.nf_name, PARENT: row.parent_full_name or "Home", CATEGORY: row.category_name,
            TYPE: row.type_name, PARAMETERS: {n: v for n, v in row.parameters.items() if v},
        }
        for row in rows
    ]  # fmt: skip


def _quoted(cell: str) -> str:
    """As RFC 4180 has it. Python's own writer leaves a lone carriage return bare, and its reader ends the row there."""
    if any(c in cell for c in '",\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _heading(cells: Sequence[str]) -> list[str]:
    known = {name.lower(): name for name in (*COLUMNS, *_PARAMETER_NAMES)}
    names = [cell.strip() for cell in cells]
    found = [known.get(name.lower(), "") for name in names]
    for name, meant in zip(names, found, strict=True):
        if not meant:
            raise InvalidRequest(f"there is no column {name!r}; there is: {', '.join(known.values())}")
        if found.count(meant) > 1:
            raise InvalidRequest(f"the column {meant!r} is there twice")
    if missing := [name for name in _REQUIRED if name not in found]:
        raise InvalidRequest(f"the first line names the columns, among them {', '.join(missing)}, separated by commas")
    return found


def _cells(value: object) -> dict[str, str]:
    """One object of a JSON file as the cells of a CSV row."""
    if not isinstance(value, dict):
        raise InvalidRequest("is no JSON object")
    parameters = value.get(PARAMETERS, {})
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"{PARAMETERS} is one JSON object of names and values")
    if unknown := sorted(value.keys() - {*COLUMNS, PARAMETERS}):
        raise InvalidRequest(f"there is no field {unknown[0]!r}; there is: {', '.join((*COLUMNS, PARAMETERS))}")
    if clash := sorted(parameters.keys() & set(COLUMNS)):
        raise InvalidRequest(f"there is no parameter {clash[0]!r}")
    if missing := [name for name in _REQUIRED if not value.get(name)]:
        raise InvalidRequest(f"has no {missing[0]}")
    own = {name: each for name, each in value.items() if name != PARAMETERS}
    return {name: _text(name, each) for name, each in (*own.items(), *parameters.items())}


def _text(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | str():
            return str(value)
        case _:
            raise InvalidRequest(f"{name} is a text or a number")


def _row(number: int, cells: Mapping[str, str]) -> FunctionRow:
    parameters = {name: value for name, value in cells.items() if name not in COLUMNS and value}
    return FunctionRow(number, cells[NAME], cells.get(PARENT) or None, cells[CATEGORY], cells[TYPE], parameters)


def _fault(number: int, nf_name: str, message: str) -> ImportedRow:
    return ImportedRow(number, nf_name[:100], ok=False, code=InvalidRequest.code, message=message)
