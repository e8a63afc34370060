"""Reading the audit trail. Its rows are written by the ledger, with the change or refusal they tell of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Text, case, cast, literal, select

from opensdm.core.audit import AuditEntry
from opensdm.core.ports import Page
from opensdm.stores.repository import Repository, conditions, paged
from opensdm.stores.tables import audit_entry

_WIRE_DEVICE = case((audit_entry.c.device_id.is_not(None), literal("ID") + cast(audit_entry.c.device_id, Text)))
_TEXTS = {
    "user": (audit_entry.c.user_name,),
    "door": (audit_entry.c.door,),
    "operation": (audit_entry.c.operation, audit_entry.c.tag),
    "device": (audit_entry.c.device_name, _WIRE_DEVICE),
    "result": (audit_entry.c.result,),
    "requestId": (audit_entry.c.request_id,),
}


class SqlAudit(Repository):
    """Implements `AuditStore`: newest first."""

    async def entries(
        self, filters: Mapping[str, str], since_us: int | None, until_us: int | None, page: Page
    ) -> tuple[list[AuditEntry], int]:
        """Entries from `since_us` on and before `until_us`; a device is named or given as `ID7`."""
        query = select(audit_entry).where(*conditions("the audit trail", filters, _TEXTS, {}))
        if since_us is not None:
            query = query.where(audit_entry.c.at_us >= since_us)
        if until_us is not None:
            query = query.where(audit_entry.c.at_us < until_us)
        total = await self._total(query)
        rows = await self._connection.execute(paged(query.order_by(audit_entry.c.entry_id.desc()), page))
        return [_entry(row) for row in rows], total


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        at_us=row.at_us, user_id=row.user_id, user_name=row.user_name, door=row.door, address=row.address,
        operation=row.operation, tag=row.tag, device_id=row.device_id, device_name=row.device_name,
        result=row.result, detail=row.detail, request_id=row.request_id, entry_id=row.entry_id,
        count=row._mapping[audit_entry.c.count],
    )  # fmt: skip
