"""Instants on the wire: inside the program they are microseconds since the Unix epoch, UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from opensdm.core.errors import InvalidRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(at_us: int) -> str:
    """`2026-11-23T10:02:11Z`."""
    return _instant(at_us).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_the_microsecond(at_us: int) -> str:
    """`2026-11-23T10:02:11.004711Z`, where two instants of one second are kept apart."""
    return _instant(at_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def published(at_us: int) -> str:
    """`2026-11-23 10:02:11`, UTC: the form of the published resources."""
    return _instant(at_us).strftime("%Y-%m-%d %H:%M:%S")


def from_rfc3339(text: str, name: str) -> int:
    """Microseconds; `name` is the field's, for the InvalidRequest this raises."""
    try:
        if not _RFC3339.fullmatch(text):
            raise ValueError
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{name}: expected a time such as 2026-11-23T10:02:11Z", field=name, expected="RFC 3339"
        ) from None


def _instant(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)
