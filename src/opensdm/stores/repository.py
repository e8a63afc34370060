"""What every repository holds, and two things they all do: large lists in parts, and filters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import ColumnElement, Select, func

from opensdm.core.errors import InvalidRequest
from opensdm.core.ports import Page

if TYPE_CHECKING:
    from opensdm.stores.database import Connection
    from opensdm.stores.secrets import SecretBox

T = TypeVar("T")

SECOND_US = 1_000_000
_EVERYTHING = 2**62
PART = 500
"""Members of one `IN` list: both databases bound the number of parameters of a statement."""


class Repository:
    """Bound to one transaction; `now_us` is the database's clock at its start."""

    __slots__ = ("_connection", "_now_us", "_secrets")

    def __init__(self, connection: Connection, now_us: int, secrets: SecretBox) -> None:
        self._connection = connection
        self._now_us = now_us
        self._secrets = secrets

    async def _total(self, query: Select[Any]) -> int:
        return int(await self._connection.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)))


def parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in slices that fit into one statement."""
    for start in range(0, len(values), PART):
        yield values[start : start + PART]


def paged(query: Select[Any], page: Page) -> Select[Any]:
    """One slice of an ordered query."""
    if page.limit is not None:
        query = query.limit(page.limit)
    return query.offset(page.offset) if page.offset else query


def sliced(page: Page) -> dict[str, int]:
    """One slice, for statements that end in `LIMIT :rows OFFSET :first`."""
    return {"rows": _EVERYTHING if page.limit is None else page.limit, "first": page.offset}


ESCAPE = "!"
"""Not the backslash, which would need escaping in the statements themselves."""


def matching(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """The whole value without case, `*` standing for any run of characters and everything else for itself."""
    if "*" not in pattern:
        return func.lower(column) == func.lower(pattern)
    return column.ilike(like_pattern(pattern), escape=ESCAPE)


def like_pattern(pattern: str) -> str:
    """For LIKE with that ESCAPE: `*` stands for any run of characters and everything else for itself."""
    for special in (ESCAPE, "%", "_"):
        pattern = pattern.replace(special, ESCAPE + special)
    return pattern.replace("*", "%")


def conditions(
    what: str,
    filters: Mapping[str, str],
    texts: Mapping[str, Sequence[ColumnElement[Any]]],
    flags: Mapping[str, ColumnElement[Any]],
) -> list[ColumnElement[bool]]:
    """Filters as conditions that must all hold; a text filter holds when any of its columns matches.

    InvalidRequest for an unknown name, and for a flag that is neither `true` nor `false`.
    """
    found: list[ColumnElement[bool]] = []
    for name, value in filters.items():
        if name in texts:
            first, *others = [matching(column, value) for column in texts[name]]
            for other in others:
                first = first | other
            found.append(first)
        elif name in flags:
            if value.lower() not in ("true", "false"):
                raise InvalidRequest(f"the filter {name!r} is true or false, not {value!r}")
            found.append(flags[name] == int(value.lower() == "true"))
        else:
            known = ", ".join(sorted({*texts, *flags}))
            raise InvalidRequest(f"{what} cannot be filtered by {name!r}; there is: {known}")
    return found
