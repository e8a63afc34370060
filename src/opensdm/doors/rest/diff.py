"""Staged changes as text that people read: a block for each element, in the manner of `diff -u`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from difflib import unified_diff

from opensdm.core.difference import Difference
from opensdm.core.element import Element
from opensdm.core.inventory import MASKED
from opensdm.core.staging import PendingChange

CONTEXT = 3
MAX_LINES = 2_000
"""Of one element; what is longer is cut, and says so."""

MAX_ELEMENTS = 1_000
MANY = 50
"""From so many on, the text is made beside the event loop."""

Secrets = dict[tuple[str, ...], set[tuple[str, str]]]
"""Secrets that get another value, by the key of their element: type path and attribute. Both sides read the same."""


async def diff(changes: Sequence[PendingChange], found: Sequence[Difference] = ()) -> str:
    """As `unified`; other requests are served meanwhile."""
    if len(changes) < MANY:
        return unified(changes, found)
    return await asyncio.to_thread(unified, changes, found)


def unified(changes: Sequence[PendingChange], found: Iterable[Difference] = ()) -> str:
    """The changes, one block an element, ended by a line feed; "" for none. Secrets stay as masked as they came.

    `found`: attribute by attribute what changes, which alone tells of a secret that gets another value.
    """
    secrets: Secrets = {}
    for each in found:
        if each.attribute is not None and each.old == each.new == MASKED:
            secrets.setdefault(each.key, set()).add((each.path, each.attribute))
    lines = [line for change in changes[:MAX_ELEMENTS] for line in _block(change, secrets)]
    if len(changes) > MAX_ELEMENTS:
        lines.append(f"... and {len(changes) - MAX_ELEMENTS} more elements")
    return "".join(line + "\n" for line in lines)


def _block(change: PendingChange, secrets: Secrets) -> Iterator[str]:
    named = _one_line(" ".join((change.path, *change.key)))
    yield f"--- {named if change.before is not None else '/dev/null'}"
    yield f"+++ {named if change.after is not None else '/dev/null'}"
    before = _lines(change.before, {})
    after = _lines(change.after, secrets if change.before is not None else {})
    # The first two lines of the library's own are its heading.
    body = list(unified_diff(before, after, n=CONTEXT, lineterm=""))[2:]
    yield from body[:MAX_LINES]
    if len(body) > MAX_LINES:
        yield f"... and {len(body) - MAX_LINES} more lines"


def _lines(element: Element | None, secrets: Secrets) -> list[str]:
    return [] if element is None else list(_walk(element, secrets, ""))


def _walk(element: Element, secrets: Secrets, indent: str) -> Iterator[str]:
    """The element as an outline, two columns deeper at each level."""
    yield f"{indent}{element.path.rpartition('/')[2]}"
    for name, value in element.attributes.items():
        shown = f" {_one_line(value)}" if value else ""
        yield f"{indent}  {name}:{shown}{' (changed)' if _secret_changed(element, name, secrets) else ''}"
    for child in element.children:
        yield from _walk(child, secrets, indent + "  ")


def _secret_changed(element: Element, name: str, secrets: Secrets) -> bool:
    """Which attributes are keys only the schema knows; an element that has all the values of the key is the one."""
    if element.attributes[name] != MASKED:
        return False
    values = set(element.attributes.values())
    return any((element.path, name) in changed and values.issuperset(key) for key, changed in secrets.items())


def _one_line(value: str) -> str:
    """What moves a terminal's cursor is shown as an escape, so that every line of the text is one of ours."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
