"""A recorded session as a text file.

    # what this is, and where it comes from
    >>> show version
    show version
    FRRouting 8.4.4 (r1) ...
    r1#\\s

`>>>` is what was sent; the first one sends nothing and has the greeting. Beneath it stands what came back, the echo
and the next prompt included; every line but the last ended with CR LF. `\\s` is a blank at the end of a line, `\\e` the
escape character, `\\xNN` any other control character, `\\\\` a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SENT = ">>>"
_HIDDEN = re.compile(r"[\\\x00-\x08\x0b-\x1f\x7f]| (?=\n|\Z)")
_SHOWN = re.compile(r"\\(s|e|\\|x[0-9a-f]{2})")


@dataclass(frozen=True)
class Exchange:
    """What was sent, without its line end, and everything that came back until the next prompt."""

    sent: str
    answer: str


def written(header: Sequence[str], exchanges: Iterable[Exchange]) -> str:
    """The text of a transcript file."""
    lines = [f"# {line}".rstrip() for line in header]
    for exchange in exchanges:
        lines.append(f"{SENT} {exchange.sent}".rstrip())
        lines.append(_HIDDEN.sub(_show, exchange.answer.replace("\r\n", "\n")))
    return "\n".join(lines) + "\n"


def read(path: Path) -> list[Exchange]:
    """The exchanges of a transcript file; comments stand before the first one."""
    _, *parts = re.split(rf"^{SENT} ?(.*)\n", path.read_text("utf-8"), flags=re.MULTILINE)
    return [
        Exchange(sent, _SHOWN.sub(_hide, answer.removesuffix("\n")).replace("\n", "\r\n"))
        for sent, answer in zip(parts[::2], parts[1::2], strict=True)
    ]


def _show(match: re.Match[str]) -> str:
    character = match[0]
    return {" ": "\\s", "\\": "\\\\", "\x1b": "\\e"}.get(character, f"\\x{ord(character):02x}")


def _hide(match: re.Match[str]) -> str:
    name = match[1]
    return {"s": " ", "e": "\x1b", "\\": "\\"}.get(name) or chr(int(name[1:], 16))
