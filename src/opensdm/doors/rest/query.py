"""Query parameters: filters and paging, with what differs between the published versions and ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from opensdm.core.errors import InvalidRequest
from opensdm.doors.rest.routing import Call

T = TypeVar("T")

PAGING = frozenset(("offset", "limitation"))
DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
"""Of our version. The published ones return everything when not asked for less."""
_MOST = 2**31 - 1


class Slice(NamedTuple):
    """Which part of a list was asked for: `offset` from 0, `limit` None for everything."""

    offset: int
    limit: int | None


def known(parameters: Mapping[str, str | Sequence[str]], names: frozenset[str], *, own: bool) -> dict[str, str]:
    """The parameters an endpoint knows. Unknown or repeated ones: ignored as published, InvalidRequest in ours."""
    if own:
        for name, value in parameters.items():
            if name not in names:
                raise InvalidRequest(_unknown(name, names), field=name[:60], known=sorted(names))
            if not isinstance(value, str):
                raise InvalidRequest(f"the query parameter {name!r} is given more than once", field=name)
    found = {name: value if isinstance(value, str) else value[0] for name, value in parameters.items() if name in names}
    return {name: value for name, value in found.items() if value.strip()}


def page(call: Call) -> Slice:
    """`offset` counts from 1; `limitation` is at most 1000 in our version."""
    offset = _positive(call, "offset", _MOST) or 1
    limit = _positive(call, "limitation", MAX_LIMIT if call.own else _MOST)
    if limit is None and call.own:
        limit = DEFAULT_LIMIT
    return Slice(offset - 1, limit)


def page_info(asked: Slice, count: int, total: int) -> dict[str, Any]:
    """The `pageInfo` of a reply with `count` of `total` items."""
    limit = asked.limit if asked.limit is not None else count
    return {"limitation": limit, "numberOfElements": count, "offset": asked.offset + 1, "total": total}


def cut(items: Sequence[T], asked: Slice) -> Sequence[T]:
    """The part of a list that was asked for, where the whole list is short and at hand."""
    end = None if asked.limit is None else asked.offset + asked.limit
    return items[asked.offset : end]


def filters(call: Call, names: Iterable[str]) -> dict[str, str]:
    return {name: call.query[name] for name in names if name in call.query}


def flag(call: Call, name: str) -> bool | None:
    """A boolean parameter; None where it is not given."""
    value = call.query.get(name)
    if value is None:
        return None
    word = value.strip().lower()
    if word not in ("true", "false"):
        raise InvalidRequest(f"{name}: expected true or false", field=name, expected="true or false")
    return word == "true"


def _positive(call: Call, name: str, most: int) -> int | None:
    return number(call, name, most, least=1)


def number(call: Call, name: str, most: int = _MOST, *, least: int = 0) -> int | None:
    """A whole number; None where it is not given."""
    value = call.query.get(name)
    if value is None:
        return None
    digits = value.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and least <= int(digits) <= most):
        expected = f"{least} to {most}"
        raise InvalidRequest(f"{name}: expected a number from {expected}", field=name, expected=expected)
    return int(digits)


def _unknown(name: str, names: frozenset[str]) -> str:
    if not names:
        return f"this request has no query parameters; {name[:60]!r} is not known"
    return f"unknown query parameter {name[:60]!r}; known are {', '.join(sorted(names))}"
