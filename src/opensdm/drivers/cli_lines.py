"""A configuration of lines and indented blocks, read as elements by their templates.

Lines that no template knows are left out: they are not elements, and since only edits are ever sent they stay on the
device as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from opensdm.core.element import Element
from opensdm.core.validation import joined
from opensdm.drivers.cli_definition import DELIMITER, CliElement, Line


@dataclass(slots=True)
class Node:
    """A line and those indented beneath it."""

    text: str
    below: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    """An element as it is put together from its lines."""

    kind: CliElement
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    below: dict[tuple[str, tuple[str, ...]], _Found] = field(default_factory=dict)

    def element(self) -> Element:
        """What no line says has its default."""
        kind = self.kind.type
        said = {**self.values, **{name: joined(DELIMITER, items) for name, items in self.lists.items()}}
        attributes = {a.name: said.get(a.name, a.default) for a in kind.attributes}
        present = {name: value for name, value in attributes.items() if value is not None}
        return Element(kind.path, present, tuple(child.element() for child in self.below.values()))

    def child(self, kind: CliElement, values: Mapping[str, str]) -> _Found:
        key = (kind.type.path, tuple(values.get(name, "") for name in kind.type.keys))
        if key not in self.below:
            self.below[key] = _Found(kind, {name: values[name] for name in kind.type.keys if name in values})
        return self.below[key]

    def take(self, line: Line, values: Mapping[str, str]) -> None:
        """`values` may name the element above as well; those are not ours."""
        own = {a.name for a in self.kind.type.attributes}
        for name, value in {**line.sets, **values}.items():
            if name == line.each:
                self.lists.setdefault(name, []).append(value)
            elif name in own:
                self.values[name] = value


def parse_lines(kinds: Sequence[CliElement], text: str) -> tuple[Element, ...]:
    """The elements of a running configuration, in the order of their first lines."""
    found: dict[tuple[str, tuple[str, ...]], _Found] = {}
    top = _Found(kind=kinds[0], below=found)
    for node in nodes(text):
        _take_any(node, kinds, top)
    return tuple(each.element() for each in found.values())


def nodes(text: str) -> list[Node]:
    """Lines as a tree by their indentation; empty ones and comments (`!`) are skipped."""
    roots: list[Node] = []
    above: list[tuple[int, list[Node]]] = [(-1, roots)]
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("!"):
            continue
        depth = len(raw) - len(raw.lstrip())
        while above[-1][0] >= depth:
            above.pop()
        node = Node(line)
        above[-1][1].append(node)
        above.append((depth, node.below))
    return roots


def _take_any(node: Node, kinds: Sequence[CliElement], into: _Found) -> bool:
    return any(_take(node, kind, into) for kind in kinds)


def _take(node: Node, kind: CliElement, into: _Found) -> bool:
    if kind.enter is None:
        return _take_flat(node, kind, into)
    values = kind.enter.parse(node.text)
    if values is None:
        return False
    found = into.child(kind, values)
    found.values.update(values)
    for below in node.below:
        if not any(_take_line(below, line, found) for line in kind.lines):
            _take_any(below, kind.children, found)
    return True


def _take_flat(node: Node, kind: CliElement, into: _Found) -> bool:
    """Lines of an element that is no block, and of elements beneath it: each says by itself whose it is."""
    for line in kind.lines:
        values = line.template.parse(node.text)
        if values is not None:
            into.child(kind, values).take(line, values)
            return True
    for child, line in _flat_lines(kind):
        values = line.template.parse(node.text)
        if values is not None:
            into.child(kind, values).child(child, values).take(line, values)
            return True
    return False


def _flat_lines(kind: CliElement) -> Iterator[tuple[CliElement, Line]]:
    for child in kind.children:
        for line in child.lines:
            yield child, line


def _take_line(node: Node, line: Line, found: _Found) -> bool:
    values = line.template.parse(node.text)
    if values is None:
        return False
    found.take(line, values)
    return True
