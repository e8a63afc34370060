"""The two name spaces of a platform: what the device calls things, and what the northbound side calls them.

The rule is hyphens there, lower camel case here; a definition file holds the exceptions. Translation back
needs no rule: a schema keeps the device's own name of each of its types and attributes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

_HUMP = re.compile(r"(?<!^)(?=[A-Z])")


def camel(device_name: str) -> str:
    """`mm-in-realm` -> `mmInRealm`."""
    first, *rest = device_name.split("-")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def hyphens(name: str) -> str:
    """`mmInRealm` -> `mm-in-realm`: the rule read backwards, for names that follow it."""
    return _HUMP.sub("-", name).lower()


@dataclass(frozen=True, slots=True)
class Part:
    """One attribute in the spelling of a list value, set off by `after` from the one before it."""

    name: str
    after: str = ""
    key: bool = False
    type: str = "string"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListRule:
    """A list attribute of the device that is a row of sub-elements northbound: `M00:0.4` is three attributes."""

    device_name: str
    north: str
    parts: tuple[Part, ...]

    def split(self, value: str) -> dict[str, str]:
        """One value as attributes; parts at the end may be missing."""
        found: dict[str, str] = {}
        for part, following in zip(self.parts, [*self.parts[1:], None], strict=True):
            head, separator, value = value.partition(following.after) if following else (value, "", "")
            found[part.name] = head
            if not separator:
                break
        return found

    def join(self, attributes: Mapping[str, str]) -> str:
        return "".join(part.after + attributes[part.name] for part in self.parts if attributes.get(part.name))


@dataclass(frozen=True, slots=True)
class TypeNames:
    """The exceptions of one element type, and of those beneath it."""

    device_name: str
    north: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, ListRule] = field(default_factory=dict)
    children: Mapping[str, TypeNames] = field(default_factory=dict)

    def attribute(self, device_name: str) -> str:
        return self.attributes.get(device_name) or camel(device_name)

    def child(self, device_name: str) -> TypeNames:
        return self.children.get(device_name) or TypeNames(device_name, camel(device_name))


@dataclass(frozen=True, slots=True)
class Definition:
    """One platform's definition file: its names, and facts of its protocol."""

    platform: str
    api: Mapping[str, Any]
    types: Mapping[str, TypeNames]

    def type_names(self, device_type: str) -> TypeNames:
        return self.types.get(device_type) or TypeNames(device_type, camel(device_type))


def load_definition(platform: str) -> Definition:
    """The definition shipped for a platform. A file that contradicts itself does not load (ValueError)."""
    file = resources.files("opensdm.drivers") / "definitions" / f"{platform}.toml"
    return read_definition(tomllib.loads(file.read_text("utf-8")))


def read_definition(tables: Mapping[str, Any]) -> Definition:
    types = {name: _type_names(name, table) for name, table in tables.get("element", {}).items()}
    _refuse_twins("element types", [t.north for t in types.values()])
    return Definition(tables["platform"], tables.get("api", {}), types)


def _type_names(device_name: str, table: Mapping[str, Any]) -> TypeNames:
    attributes = dict(table.get("names", {}))
    lists = {name: _list_rule(name, rule) for name, rule in table.get("list", {}).items()}
    children = {name: _type_names(name, below) for name, below in table.get("sub", {}).items()}
    _refuse_twins(f"attributes of {device_name}", list(attributes.values()))
    _refuse_twins(
        f"sub-elements of {device_name}", [r.north for r in lists.values()] + [c.north for c in children.values()]
    )
    return TypeNames(device_name, table.get("north") or camel(device_name), attributes, lists, children)


def _list_rule(device_name: str, table: Mapping[str, Any]) -> ListRule:
    parts = tuple(
        Part(p["name"], p.get("after", ""), p.get("key", False), p.get("type", "string"), tuple(p.get("choices", ())))
        for p in table["parts"]
    )
    if not any(p.key for p in parts) or any(not p.after for p in parts[1:]):
        raise ValueError(
            f"list {device_name}: a part must be a key, and every part but the first comes after something"
        )
    return ListRule(device_name, table["north"], parts)


def _refuse_twins(what: str, names: list[str]) -> None:
    twins = {name for name in names if names.count(name) > 1}
    if twins:
        raise ValueError(f"two {what} have one northbound name: {', '.join(sorted(twins))}")
