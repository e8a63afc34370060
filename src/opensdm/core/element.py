"""Configuration elements and their types, in the northbound name space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Element:
    """One configuration object: its type path (`realmConfig`, `sipInterface/sipPort`), values, children.

    A list-valued attribute is one string, its items joined by the attribute type's delimiter.
    """

    path: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Element, ...] = ()

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class AttributeType:
    """What one attribute may be. `delimiter` is set for list-valued attributes, `ordered` tells if order matters."""

    name: str
    cli_name: str
    key: bool = False
    required: bool = False
    value_type: str = "string"
    default: str | None = None
    delimiter: str | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    refers_to: str | None = None
    ordered: bool = True


@dataclass(frozen=True, slots=True)
class ElementType:
    """One type of element. A singleton has no keys and exists at most once under its parent."""

    path: str
    cli_name: str
    attributes: tuple[AttributeType, ...]
    children: tuple[ElementType, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.attributes if a.key)

    @property
    def singleton(self) -> bool:
        return not self.keys

    def attribute(self, name: str) -> AttributeType | None:
        return next((a for a in self.attributes if a.name == name), None)


@dataclass(frozen=True, slots=True)
class Schema:
    """All element types of one platform and software version, by path.

    `namespaces`: what the device calls the name spaces that `cli_name`s and values mention, where it knows any.
    """

    platform: str
    version: str
    types: Mapping[str, ElementType]
    namespaces: Mapping[str, str] = field(default_factory=dict)


def element_key(element: Element, element_type: ElementType) -> tuple[str, ...]:
    """What tells elements of one type apart; missing keys read as empty."""
    return tuple(element.attributes.get(name, "") for name in element_type.keys)
