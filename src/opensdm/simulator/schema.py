"""The element types the virtual SBC knows: their attributes, checks, defaults and references, read from a data file."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

Values = tuple[str, ...]
SECRET = "password"
"""The type of an attribute that is never shown as it was given."""

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True)
class Reference:
    """Names another element: `target` is its type, `form` spells its key, `ignore` is cut off the value first."""

    target: str
    form: str | None
    ignore: re.Pattern[str] | None
    besides: frozenset[str]

    def looked_up(self, value: str) -> str | None:
        """The key text to look for, or None when the value names nothing."""
        if not value or value in self.besides:
            return None
        return self.ignore.sub("", value) if self.ignore else value


@dataclass(frozen=True)
class AttributeSpec:
    """One attribute of an element type. Values are text, always a tuple; a single-valued attribute has one."""

    name: str
    type: str
    key: bool
    required: bool
    multiple: bool
    default: Values
    choices: Values
    minimum: int | None
    maximum: int | None
    pattern: re.Pattern[str] | None
    reference: Reference | None

    def problem(self, values: Values) -> str | None:
        """Why the values are not acceptable, as the end of a sentence, or None."""
        if not self.multiple and len(values) > 1:
            return f"takes one value, not {len(values)}"
        if self.required and not any(values):
            return "is required"
        for value in values:
            if value and (fault := self._fault(value)):
                return f"cannot be {value!r}: {fault}"
        if "" in values and self.type in {"enum", "integer"} and "" not in self.choices:
            return "cannot be empty"
        return None

    def _fault(self, value: str) -> str | None:
        match self.type:
            case "enum":
                return None if value in self.choices else f"must be one of {', '.join(filter(None, self.choices))}"
            case "integer":
                return self._integer_fault(value)
            case "address":
                return None if _is_address(value) else "not an IP address"
            case "prefix":
                return None if _is_prefix(value) else "not an address or prefix"
            case "host":
                return None if _is_address(value) or _HOST.fullmatch(value) else "not a host name or address"
            case _:
                return self._text_fault(value)

    def _text_fault(self, value: str) -> str | None:
        if self.pattern and not self.pattern.fullmatch(value):
            return f"does not match {self.pattern.pattern}"
        return None

    def _integer_fault(self, value: str) -> str | None:
        if not re.fullmatch(r"[0-9]{1,12}", value):
            return "not a number"
        low, high = self.minimum or 0, self.maximum
        if int(value) < low or (high is not None and int(value) > high):
            return f"outside {low}-{high}"
        return None


@dataclass(frozen=True)
class ElementSpec:
    """One element type, or sub-element type: attributes by name in the order they are shown, and what may be below."""

    name: str
    description: str
    singleton: bool
    mandatory: bool
    keys: Values
    attributes: Mapping[str, AttributeSpec]
    children: Mapping[str, "ElementSpec"]

    def walk(self) -> Iterator["ElementSpec"]:
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass(frozen=True)
class Schema:
    """All element types by name."""

    elements: Mapping[str, ElementSpec]

    def find(self, path: str) -> ElementSpec | None:
        """The type at a path such as `sip-interface` or `sip-interface/sip-port`."""
        head, *rest = path.split("/")
        spec = self.elements.get(head)
        for name in rest:
            spec = spec.children.get(name) if spec else None
        return spec


@cache
def load_schema() -> Schema:
    """The schema shipped with the package."""
    tables = tomllib.loads(_data("element_types.toml"))["element"]
    return Schema({name: _element(name, table) for name, table in sorted(tables.items())})


def load_seed(name: str) -> list[dict[str, Any]]:
    """The elements of a new device, as tables of the seed file; `name` is the device's own name."""
    tables: list[dict[str, Any]] = tomllib.loads(_data("seed.toml"))["element"]
    for table in tables:
        for attribute, value in table.items():
            if value == "{name}":
                table[attribute] = name
    return tables


def _data(file: str) -> str:
    return (resources.files("opensdm.simulator") / "data" / file).read_text("utf-8")


def _element(name: str, table: dict[str, Any]) -> ElementSpec:
    keys = tuple(table.get("keys", ()))
    return ElementSpec(
        name=name,
        description=table.get("description", ""),
        singleton=table.get("singleton", table.get("single", False)),
        mandatory=table.get("mandatory", False),
        keys=keys,
        attributes={key: _attribute(key, facts, key in keys) for key, facts in table["attribute"].items()},
        children={child: _element(child, below) for child, below in table.get("sub", {}).items()},
    )


def _attribute(name: str, facts: dict[str, Any], key: bool) -> AttributeSpec:
    multiple = facts.get("list", False)
    default = facts.get("default", [] if multiple else "")
    pattern = facts.get("pattern")
    required = facts.get("required", key and not default and "" not in facts.get("values", ()))
    return AttributeSpec(
        name=name,
        type=facts.get("type", "string"),
        key=key,
        required=required,
        multiple=multiple,
        default=tuple(default) if multiple else (default,),
        choices=tuple(facts.get("values", ())),
        minimum=facts.get("min"),
        maximum=facts.get("max"),
        pattern=re.compile(pattern) if pattern else None,
        reference=_reference(facts),
    )


def _reference(facts: dict[str, Any]) -> Reference | None:
    if "refers" not in facts:
        return None
    ignore = facts.get("ignore")
    return Reference(
        target=facts["refers"],
        form=facts.get("form"),
        ignore=re.compile(ignore) if ignore else None,
        besides=frozenset(facts.get("besides", ())),
    )


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_prefix(value: str) -> bool:
    try:
        ipaddress.ip_network(value.split(":")[0] if value.count(":") == 1 else value, strict=False)
    except ValueError:
        return False
    return True
