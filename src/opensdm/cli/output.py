"""What commands print: tables for people, plain columns for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Print rows under headings: a table on a terminal, aligned columns without any cut elsewhere."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if not rows:
        print(nothing)
    elif sys.stdout.isatty():
        _drawn(columns, rows)
    else:
        widths = [max(len(row[n]) for row in (columns, *rows)) for n in range(len(columns))]
        for row in (columns, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def utc(at_us: int | None) -> str:
    """Microseconds as `2026-11-23T10:02:11Z`; `-` for none."""
    if at_us is None:
        return "-"
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(at_us: int | None) -> str:
    """The same to the microsecond, where two of one second are to be told apart."""
    if at_us is None:
        return "-"
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_us % 1_000_000:06}Z"


def duration(seconds: int | None) -> str:
    """`3 h 5 min`; `-` for none."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def printable(text: str) -> str:
    """Text that came from somebody else, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)
