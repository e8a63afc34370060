"""The audit trail, readable at v1.4, newest first."""

from __future__ import annotations

from opensdm.core.audit import AUDIT_FILTERS, AuditEntry
from opensdm.core.operations import ListAudit
from opensdm.core.results import Listing
from opensdm.doors.rest import extensions, replies
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import PAGING, filters, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply
from opensdm.doors.times import from_rfc3339


async def list_audit(call: Call) -> Reply:
    """`since` is included, `until` is not."""
    asked = page(call)
    operation = ListAudit(
        filters=filters(call, AUDIT_FILTERS),
        since_us=_instant(call, "since"),
        until_us=_instant(call, "until"),
        offset=asked.offset,
        limit=asked.limit,
    )
    found: Listing[AuditEntry] = await call.execute(operation)
    wire = map(replies.audit_entry, found.items)
    return listed(extensions.AUDIT_ENTRIES, "auditEntries", wire, asked, found.total)


def _instant(call: Call, name: str) -> int | None:
    value = call.query.get(name)
    return None if value is None else from_rfc3339(value, name)


ENDPOINTS = (
    Endpoint("GET", "/admin/audit", list_audit, query=AUDIT_FILTERS | PAGING | {"since", "until"}, since=OWN_VERSION),
)
