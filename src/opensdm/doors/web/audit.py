"""The audit trail: searched, looked at, and taken along whole as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from opensdm.core.audit import AUDIT_FILTERS, AuditEntry
from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import wire_id
from opensdm.core.operations import ListAudit
from opensdm.core.results import Listing
from opensdm.doors.web.routing import Call, Reply, Route
from opensdm.doors.web.words import machine_time

PAGE, IN_ONE_PART = 50, 1000
URL = "/web/audit"
COLUMNS = (
    "at",
    "user",
    "door",
    "address",
    "operation",
    "tag",
    "deviceId",
    "device",
    "result",
    "count",
    "detail",
    "requestId",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = {"operation": "", "result": "_"}
"""What stands for the blanks of a row's words."""
_FORMULA = re.compile(r"[=+\-@\t\r]")


async def list_audit(call: Call) -> Reply:
    asked = _asked(call)
    found: Listing[AuditEntry] = await call.execute(
        ListAudit(**asked, offset=call.asked_number("offset", 0), limit=PAGE)
    )
    kept = _kept(call)
    return Reply.page(
        "audit_list.html" if call.fragment else "audit.html",
        found=found, kept=kept, limit=PAGE, more=f"{URL}?{urlencode({**kept, 'offset': ''})}",
        export=f"{URL}.csv?{urlencode(kept)}",
    )  # fmt: skip


async def export(call: Call) -> Reply:
    """The whole result, however long, a part at a time. What is wrong with the question is said before it begins."""
    asked = _asked(call)
    first: Listing[AuditEntry] = await call.execute(ListAudit(**asked, limit=IN_ONE_PART))
    name = ("Content-Disposition", 'attachment; filename="opensdm-audit.csv"')
    return Reply(text=_parts(call, asked, first), text_type="text/csv; charset=utf-8", headers=(name,))


async def _parts(call: Call, asked: dict[str, Any], found: Listing[AuditEntry]) -> AsyncIterator[bytes]:
    """Entries come newest first, so what is added meanwhile would push others into the next part: time is bounded."""
    yield _lines([COLUMNS])
    if not found.items:
        return
    bounded = {**asked, "until_us": asked["until_us"] or found.items[0].at_us + 1}
    newest, total, offset = found.items[0].entry_id, found.total, 0
    while offset < total:
        part: Listing[AuditEntry] = await call.execute(ListAudit(**bounded, offset=offset, limit=IN_ONE_PART))
        if not part.items:
            return
        yield _lines(_row(entry) for entry in part.items if entry.entry_id <= newest or offset)
        offset, total = offset + len(part.items), part.total


def _row(entry: AuditEntry) -> tuple[str, ...]:
    device = "" if entry.device_id is None else wire_id(entry.device_id)
    values = (
        machine_time(entry.at_us), entry.user_name, entry.door, entry.address, entry.operation, entry.tag, device,
        entry.device_name or "", entry.result, str(entry.count), entry.detail, entry.request_id,
    )  # fmt: skip
    return tuple(_harmless(value) for value in values)


def _harmless(cell: str) -> str:
    """A spreadsheet takes such cells for formulas, and names and reasons come from anybody."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _kept(call: Call) -> dict[str, str]:
    return {name: value for name in (*sorted(AUDIT_FILTERS), "since", "until") if (value := call.asked(name))}


def _asked(call: Call) -> dict[str, Any]:
    """The fields of the form as those of the operation; words without `*` are looked for anywhere, and what is read in
    a row is found: `lock device` is `LockDevice`, `not logged in` is `NOT_LOGGED_IN`."""
    kept = _kept(call)
    filters = {name: _pattern(name, value) for name, value in kept.items() if name in AUDIT_FILTERS}
    return {
        "filters": filters, "since_us": _instant(kept.get("since"), "since"),
        "until_us": _instant(kept.get("until"), "until"),
    }  # fmt: skip


def _pattern(name: str, value: str) -> str:
    value = value.replace(" ", _WRITTEN.get(name, " "))
    whole = name == "requestId" or "*" in value or (name == "device" and re.fullmatch(r"ID\d+", value))
    return value if whole else f"*{value}*"


def _instant(text: str | None, name: str) -> int | None:
    """As a browser's field gives it, in UTC."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{name}: expected a time such as 2026-11-23T10:02", field=name) from None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


ROUTES = (Route("GET", "/audit", list_audit), Route("GET", "/audit.csv", export))
