"""Where an element is: the way to it from the top, by types and keys, as links and forms carry it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from opensdm.core.element import Element, ElementType
from opensdm.core.errors import InvalidRequest
from opensdm.core.validation import Key, describe_key

MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Place:
    """`steps`: type path and keys of each element on the way, the top-level one first, the one meant last."""

    steps: tuple[Key, ...]

    @property
    def path(self) -> str:
        return self.steps[-1][0]

    @property
    def above(self) -> Place | None:
        return Place(self.steps[:-1]) if len(self.steps) > 1 else None

    @property
    def name(self) -> str:
        """`sipPort 192.0.2.10:5060`, without the types above it."""
        path, key = self.steps[-1]
        return describe_key((path.rpartition("/")[2], key))

    @property
    def text(self) -> str:
        return json.dumps([[path, *key] for path, key in self.steps], separators=(",", ":"), ensure_ascii=False)

    @property
    def query(self) -> str:
        return urlencode({"at": self.text})

    def below(self, key: Key) -> Place:
        return Place((*self.steps, key))

    def element(self, types: Mapping[str, ElementType]) -> Element:
        """What names it: its type and its keys."""
        return _named(types, *self.steps[-1])

    def chain(self, types: Mapping[str, ElementType]) -> Element:
        """Every element on the way, each inside the one before: the `parent` of what is put or looked for below."""
        made: Element | None = None
        for path, key in reversed(self.steps):
            outer = _named(types, path, key)
            made = Element(path, outer.attributes, () if made is None else (made,))
        assert made is not None
        return made

    def parent(self, types: Mapping[str, ElementType]) -> Element | None:
        return None if self.above is None else self.above.chain(types)


def place_of(text: str) -> Place:
    """Raises InvalidRequest for what is none."""
    try:
        steps = json.loads(text)
    except (ValueError, RecursionError):
        steps = None
    sound = isinstance(steps, list) and 0 < len(steps) <= MAX_DEPTH
    if not sound or not all(isinstance(s, list) and s and all(isinstance(v, str) for v in s) for s in steps):
        raise InvalidRequest("at: this is no place of an element; follow the links of the element tree", field="at")
    return Place(tuple((path, tuple(key)) for path, *key in steps))


def _named(types: Mapping[str, ElementType], path: str, key: tuple[str, ...]) -> Element:
    kind = types.get(path)
    keys = () if kind is None else kind.keys
    return Element(path, dict(zip(keys, key, strict=False)))
