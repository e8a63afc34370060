"""Finding devices by words, as people type them: which devices, not yet what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, text

from opensdm.stores.tables import device, device_group

_FUNCTION = device_group.alias("function")
_SHOWN = (device.c.device_name, device.c.address, device.c.platform, device.c.software_version, device.c.serial_number)
BY_NAME = (device.c.device_name, device.c.device_id)
_BENEATH = text(
    """
    WITH RECURSIVE beneath(group_id) AS (
        SELECT group_id FROM device_group WHERE group_id = :beneath
        UNION
        SELECT g.group_id FROM device_group g JOIN beneath ON g.parent_id = beneath.group_id
    )
    SELECT group_id FROM beneath
    """
).columns(group_id=device_group.c.group_id.type)


def narrowed(words: Sequence[str], beneath: int | None) -> Select[Any]:
    """The ids of devices that have every word somewhere, of a group and of what is beneath it, or of all."""
    query = select(device.c.device_id)
    if words:
        query = query.join(_FUNCTION, _FUNCTION.c.group_id == device.c.nf_id)
        query = query.where(and_(*(_somewhere(word) for word in words)))
    if beneath is not None:
        groups = _BENEATH.bindparams(bindparam("beneath", beneath)).subquery()
        query = query.where(device.c.group_id.in_(select(groups.c.group_id)))
    return query


def _somewhere(word: str) -> ColumnElement[bool]:
    """Without case, every character standing for itself."""
    return or_(*(column.icontains(word, autoescape=True) for column in (*_SHOWN, _FUNCTION.c.group_name)))
