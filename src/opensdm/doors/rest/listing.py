"""Lists on the wire: members under one name, with `pageInfo` where the version has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opensdm.doors.rest.query import Slice, cut, page, page_info
from opensdm.doors.rest.routing import Call, Reply
from opensdm.doors.rest.shapes import Shape


def listed(shape: Shape, members: str, items: Iterable[Mapping[str, Any]], asked: Slice, total: int) -> Reply:
    """A page of a list whose store did the paging. The shape drops `pageInfo` in versions that have none."""
    wire = list(items)
    return Reply.of(shape, {"pageInfo": page_info(asked, len(wire), total), members: wire})


def listed_whole(call: Call, shape: Shape, members: str, items: Sequence[Mapping[str, Any]]) -> Reply:
    """A page of a short list that is at hand as a whole."""
    asked = page(call)
    return listed(shape, members, cut(items, asked), asked, len(items))
