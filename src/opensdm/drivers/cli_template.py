"""One line of a command line interface as a template that reads and writes it.

`ip route {prefix} {gateway}[ tag {tag}][ {distance}]`: text, placeholders, and parts in brackets that are there only
when all their placeholders have a value. What `render` writes, `parse` reads back as the same values, or `render`
refuses: a value that would read as something else is never typed into a device.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

TEXT = r"\S+(?: \S+)*"
"""Words with one space between them: what a command line keeps of free text."""
WORD = r"\S+"
_TOKEN = re.compile(r"\{(?P<name>[A-Za-z][A-Za-z0-9]*)\}|(?P<open>\[)|(?P<close>\])")


class Unwritable(ValueError):
    """Values that the line cannot carry; the message names no value."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Literals and placeholder names in turn: `["ip route ", "prefix", " ", ...]` starts with a literal."""

    pieces: tuple[str, ...]
    optional: bool

    @property
    def names(self) -> tuple[str, ...]:
        return self.pieces[1::2]

    def fill(self, values: Mapping[str, str]) -> str:
        return "".join(values[piece] if at % 2 else piece for at, piece in enumerate(self.pieces))

    def regex(self, patterns: Mapping[str, str]) -> str:
        body = "".join(
            f"(?P<{piece}>{patterns.get(piece, WORD)})" if at % 2 else re.escape(piece)
            for at, piece in enumerate(self.pieces)
        )
        return f"(?:{body})?" if self.optional else body


class Template:
    """One line. `patterns`: for each placeholder what its values look like; a single word where it is not said.

    A template that contradicts itself raises ValueError when it is made.
    """

    def __init__(self, text: str, patterns: Mapping[str, str]) -> None:
        self.text = text
        self._parts = tuple(_parts(text))
        self.names = tuple(name for part in self._parts for name in part.names)
        self.required = tuple(name for part in self._parts if not part.optional for name in part.names)
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"template {text!r} names a placeholder twice")
        self._start = self._parts[0].pieces[0] if self._parts and not self._parts[0].optional else ""
        self._regex = re.compile("".join(part.regex(patterns) for part in self._parts))

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def parse(self, line: str) -> dict[str, str] | None:
        """The values of a line, those of absent parts left out; None when the line is of another kind."""
        if not line.startswith(self._start):
            return None
        match = self._regex.fullmatch(line)
        return (
            None if match is None else {name: value for name, value in match.groupdict().items() if value is not None}
        )

    def render(self, values: Mapping[str, str]) -> str:
        """The line with these values; parts in brackets whose values are absent or empty are left out.

        Raises Unwritable when a value is missing, or when the line would not read back as just these values.
        """
        if missing := [name for name in self.required if not values.get(name)]:
            raise Unwritable(f"a value for {', '.join(missing)} is missing")
        present = [part for part in self._parts if not part.optional or all(values.get(n) for n in part.names)]
        used = {name: values[name] for part in present for name in part.names}
        line = "".join(part.fill(values) for part in present)
        if self.parse(line) != used:
            raise Unwritable(f"the values of {', '.join(used)} do not fit into {self.text!r}")
        return line

    def show(self, values: Mapping[str, str], masked: Mapping[str, str]) -> str:
        """The same line for people, with other values in the places of some."""
        shown = {**values, **{name: mask for name, mask in masked.items() if values.get(name)}}
        present = [part for part in self._parts if not part.optional or all(values.get(n) for n in part.names)]
        return "".join(part.fill(shown) for part in present)


def _parts(text: str) -> Iterator[_Part]:
    pieces, optional, at = [""], False, 0
    for token in _TOKEN.finditer(text):
        pieces[-1] += text[at : token.start()]
        at = token.end()
        if token["name"]:
            pieces += [token["name"], ""]
            continue
        if optional == bool(token["open"]):
            raise ValueError(f"template {text!r}: brackets do not match")
        if len(pieces) > 1 or pieces[0]:
            yield _Part(tuple(pieces), optional)
        pieces, optional = [""], bool(token["open"])
    if optional:
        raise ValueError(f"template {text!r}: brackets do not match")
    pieces[-1] += text[at:]
    if len(pieces) > 1 or pieces[0]:
        yield _Part(tuple(pieces), optional=False)
