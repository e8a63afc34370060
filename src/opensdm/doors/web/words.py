"""How values read on a page: times, spans, names of operations, who holds what."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from opensdm.core.inventory import wire_id
from opensdm.core.ports import LockView

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def instant(at_us: int | None) -> str:
    """`2026-11-23 10:02:11`, UTC; "" for never. A script shows it in the reader's own time."""
    return "" if at_us is None else (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%d %H:%M:%S")


def machine_time(at_us: int) -> str:
    """For the `datetime` attribute."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float | None) -> str:
    """`3 h 12 min`: the two largest units that matter."""
    if seconds is None:
        return ""
    left = max(0, int(seconds))
    words: list[str] = []
    for size, unit in _SPANS:
        count, rest = divmod(left, size)
        if count or (unit == "s" and not words):
            words.append(f"{count} {unit}")
            left = rest
        elif words:
            break
        if len(words) == 2:
            break
    return " ".join(words)


def idle(seconds: int) -> str:
    """How long somebody has done nothing, in steps: a use is written at most once a minute, and open pages are told
    of each step.
    """
    step = 60 if seconds < 3_600 else 600
    return "active" if seconds < 60 else f"idle for {span(seconds - seconds % step)}"


def operation(name: str) -> str:
    """`PushChanges` as `Push changes`."""
    first, *rest = _CAPITAL.split(name)
    return " ".join([first, *(word.lower() for word in rest)])


def lasting(view: LockView) -> LockView:
    """A lock without what moves on by itself."""
    return replace(view, idle_s=None)


def mark(view: LockView) -> str:
    """Tells two states of a lock apart: pages compare what they show with what they are told."""
    return sha256(repr(lasting(view)).encode()).hexdigest()[:12]


def ids(number: int) -> str:
    return wire_id(number)


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 device`, `12,345 devices`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
