"""The three configuration stores of the virtual SBC (editing, saved, running), its backups, and their file."""

import json
import os
import time
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opensdm.simulator.element import Draft, Element, Key, create
from opensdm.simulator.schema import ElementSpec, Schema, load_seed


class Configuration:
    """Elements by type and key. Elements are never changed in place, so a copy is cheap."""

    def __init__(self, schema: Schema, elements: dict[str, dict[Key, Element]] | None = None) -> None:
        self._schema = schema
        self._elements = elements or {}
        self._order = {name: sorted(table) for name, table in self._elements.items()}

    def copy(self) -> "Configuration":
        return Configuration(self._schema, {name: dict(table) for name, table in self._elements.items()})

    def get(self, spec: ElementSpec, key: Key) -> Element | None:
        return self._elements.get(spec.name, {}).get(key)

    def of_type(self, spec: ElementSpec) -> list[Element]:
        """The elements of one type, ordered by key."""
        return self.slice(spec, 0, self.count(spec))

    def count(self, spec: ElementSpec) -> int:
        return len(self._order.get(spec.name, ()))

    def slice(self, spec: ElementSpec, offset: int, size: int) -> list[Element]:
        """A part of the elements of one type, ordered by key; takes as long as the part is large."""
        table = self._elements.get(spec.name, {})
        return [table[key] for key in self._order.get(spec.name, [])[offset : offset + size]]

    def put(self, element: Element) -> None:
        spec = self._schema.elements[element.type]
        table, key = self._elements.setdefault(element.type, {}), element.key(spec)
        if key not in table:
            insort(self._order.setdefault(element.type, []), key)
        table[key] = element

    def put_all(self, elements: Sequence[Element]) -> None:
        """Many at once: quicker than one by one."""
        for element in elements:
            self._elements.setdefault(element.type, {})[element.key(self._schema.elements[element.type])] = element
        for name in {element.type for element in elements}:
            self._order[name] = sorted(self._elements[name])

    def remove(self, spec: ElementSpec, key: Key) -> None:
        del self._elements[spec.name][key]
        order = self._order[spec.name]
        del order[bisect_left(order, key)]

    def __iter__(self) -> Iterator[Element]:
        for name in sorted(self._elements):
            yield from self.of_type(self._schema.elements[name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def as_json(self) -> list[dict[str, Any]]:
        return [element.as_json() for element in self]


@dataclass(frozen=True)
class Backup:
    """A configuration kept by name; `size` in bytes, `taken_us` in microseconds since the Unix epoch."""

    configuration: Configuration
    size: int
    taken_us: int


@dataclass
class Stores:
    """What the device holds: edits go to `editing`, save copies it to `saved`, activate copies that to `running`."""

    schema: Schema
    editing: Configuration
    saved: Configuration
    running: Configuration
    backups: dict[str, Backup] = field(default_factory=dict)

    @classmethod
    def seeded(cls, schema: Schema, name: str) -> "Stores":
        """The stores of a new device: the seed configuration in all three."""
        seed = Configuration(schema)
        for table in load_seed(name):
            draft = _seed_draft(table)
            seed.put(create(schema.elements[draft.type], draft))
        return cls(schema, seed.copy(), seed.copy(), seed)

    def save(self) -> None:
        self.saved = self.editing.copy()

    def activate(self) -> None:
        self.running = self.saved.copy()

    def restore(self, source: Configuration) -> None:
        self.editing = source.copy()

    def add_everywhere(self, elements: Sequence[Element]) -> None:
        """Put elements in all three, as if they had been saved and activated."""
        for each in (self.editing, self.saved, self.running):
            each.put_all(elements)

    def adopt(self, source: "Stores") -> None:
        """Hold what the other unit of a pair saved and runs. Its unsaved edits and its backup files stay there."""
        self.saved, self.running = source.saved.copy(), source.running.copy()
        self.editing = self.saved.copy()

    def back_up(self, file: str, source: Configuration) -> None:
        size = len(json.dumps(source.as_json()))
        self.backups[file] = Backup(source.copy(), size, time.time_ns() // 1000)

    def dump(self) -> dict[str, Any]:
        """What survives a restart: saved, running and the backups. Unsaved edits do not, as on a real device."""
        return {
            "format": 1,
            "saved": self.saved.as_json(),
            "running": self.running.as_json(),
            "backups": {
                file: {"elements": backup.configuration.as_json(), "size": backup.size, "taken_us": backup.taken_us}
                for file, backup in sorted(self.backups.items())
            },
        }

    @classmethod
    def loaded(cls, schema: Schema, state: dict[str, Any]) -> "Stores":
        """The stores after a restart: editing begins as saved."""
        saved = _configuration(schema, state["saved"])
        backups = {
            file: Backup(_configuration(schema, facts["elements"]), facts["size"], facts["taken_us"])
            for file, facts in state["backups"].items()
        }
        return cls(schema, saved.copy(), saved, _configuration(schema, state["running"]), backups)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Put the state in place of the file in one step: a crash leaves the old file or the new one."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_state(path: Path) -> dict[str, Any] | None:
    """The state of the file, or None when there is no file yet."""
    try:
        state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    if state.get("format") != 1:
        raise ValueError(f"{path} is not a state file of this simulator")
    return state


def _configuration(schema: Schema, elements: list[dict[str, Any]]) -> Configuration:
    configuration = Configuration(schema)
    drafts = map(_stored_draft, elements)
    configuration.put_all([create(schema.elements[draft.type], draft) for draft in drafts])
    return configuration


def _stored_draft(facts: dict[str, Any]) -> Draft:
    attributes = {name: tuple(values) for name, values in facts["attributes"].items()}
    return Draft(facts["type"], attributes, tuple(map(_stored_draft, facts["children"])))


def _seed_draft(table: dict[str, Any]) -> Draft:
    attributes = {
        name: tuple(value) if isinstance(value, list) else (value,)
        for name, value in table.items()
        if name not in {"type", "sub"}
    }
    return Draft(table["type"], attributes, tuple(map(_seed_draft, table.get("sub", []))))
