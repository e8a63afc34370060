"""Finding devices by words, as people type them: which devices, not yet what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, text

from opensdm.core.inventory import Trouble
from opensdm.stores.tables import device, device_drift, device_group

_C = device.c
_SHOWN = func.lower(
    _C.device_name + " " + _C.address + " " + _C.platform + " " + _C.software_version + " " + _C.serial_number
)
BY_NAME = (_C.device_name, _C.device_id)
BENEATH = text(
    """
    WITH RECURSIVE beneath(group_id) AS (
        SELECT group_id FROM device_group WHERE group_id = :group_id
        UNION
        SELECT g.group_id FROM device_group g JOIN beneath ON g.parent_id = beneath.group_id
    )
    SELECT group_id FROM beneath
    """
).columns(group_id=device_group.c.group_id.type)
"""A group and all beneath it."""


_TROUBLES = {
    Trouble.UNREACHABLE: (_C.assigned == 1, _C.reachable == 0, _C.polled_us.is_not(None)),
    Trouble.DRIFTED: (_C.assigned == 1, _C.device_id.in_(select(device_drift.c.device_id))),
}


def narrowed(words: Sequence[str], beneath: int | None, trouble: Trouble | None = None) -> Select[Any]:
    """The ids of devices that have every word somewhere, of a group and of what is beneath it, or of all.

    All that words ask of a device is in the index `device_by_name`, so that its rows, which are wide, stay unread.
    """
    query = select(_C.device_id).where(*(_somewhere(word) for word in words))
    if trouble is not None:
        query = query.where(*_TROUBLES[trouble])
    if beneath is not None:
        groups = BENEATH.bindparams(bindparam("group_id", beneath)).subquery()
        query = query.where(_C.group_id.in_(select(groups.c.group_id)))
    return query


def _somewhere(word: str) -> ColumnElement[bool]:
    """Without case, every character standing for itself. No word has a blank, so none reaches over two columns."""
    named = device_group.c.name_key.contains(word.casefold(), autoescape=True)
    functions = select(device_group.c.group_id).where(named)
    return or_(_SHOWN.contains(word.lower(), autoescape=True), _C.nf_id.in_(functions))
