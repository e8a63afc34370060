"""Reading the audit trail."""

from __future__ import annotations

from opensdm.core.audit import AuditEntry
from opensdm.core.operations import ListAudit
from opensdm.core.ports import Page, Work
from opensdm.core.results import Listing


async def list_audit(operation: ListAudit, work: Work) -> Listing[AuditEntry]:
    page = Page(operation.offset, operation.limit)
    entries, total = await work.read(
        lambda tx: tx.audit.entries(operation.filters, operation.since_us, operation.until_us, page)
    )
    return Listing(tuple(entries), total, operation.offset)


HANDLERS_HERE = {ListAudit: list_audit}
