"""Where the types of a schema are in a device's XML, and elements read from it.

A leaf of type empty that is there reads as `true`. A value of type identityref reads as the identity's name, with its
module before it where that is not the leaf's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lxml import etree

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import Rejected
from opensdm.core.validation import NUMERIC_TYPE, element_type, joined
from opensdm.drivers.netconf_xml import element as xml_element
from opensdm.drivers.yang import PRESENCE
from opensdm.drivers.yang_types import EMPTY_TYPE, IDENTITY_TYPE, PRESENT, qualified

_BARE = frozenset({NUMERIC_TYPE, "boolean", "enumeration", IDENTITY_TYPE})
"""Value types in which white space around the value means nothing."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One attribute's place: its tag, and the module it is of."""

    attribute: AttributeType
    tag: str
    module: str


@dataclass(slots=True)
class Branch:
    """What may stand below a node: further nodes by tag, each perhaps one of a type."""

    place: Place | None = None
    below: dict[str, Branch] = field(default_factory=dict)


@dataclass(slots=True)
class Place:
    """One type's place: the tags from what contains it down to its own node, its leaves, what is inside."""

    kind: ElementType
    tags: tuple[str, ...]
    presence: bool
    leaves: Mapping[str, Leaf]
    inside: Branch
    branch: Branch

    @property
    def alone(self) -> bool:
        """Whether its node holds nothing but itself and its sub-elements."""
        return not self.kind.singleton or not self.branch.below

    @property
    def tag(self) -> str:
        return self.tags[-1]

    def leaf(self, name: str) -> Leaf | None:
        return next((leaf for leaf in self.leaves.values() if leaf.attribute.name == name), None)


class Places:
    """All places of one schema. Raises Rejected for a schema that is not of this driver."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.namespaces = schema.namespaces
        self._modules = {uri: module for module, uri in schema.namespaces.items()}
        self._by_path: dict[str, Place] = {}
        self.top = Branch()
        for path, kind in schema.types.items():
            if "/" not in path:
                self._add(self.top, kind, None)

    def of(self, path: str) -> Place:
        element_type(self.schema, path)
        return self._by_path[path]

    def filters(self, paths: Collection[str]) -> list[etree._Element]:
        """A subtree filter for types of top-level elements; what is common to several stands there once."""
        wanted = Branch()
        for path in paths:
            branch = wanted
            for tag in self.of(path).tags:
                branch = branch.below.setdefault(tag, Branch())
            branch.place = self.of(path)
        return [_filter(tag, branch) for tag, branch in wanted.below.items()]

    def read(self, data: etree._Element, paths: Collection[str] | None = None) -> tuple[Element, ...]:
        """The top-level elements in a reply, in the device's order; of the given types only."""
        chosen = None if paths is None else frozenset(paths)
        return tuple(e for e in self._children(data, self.top) if chosen is None or e.path in chosen)

    def _children(self, node: etree._Element, branch: Branch) -> Iterator[Element]:
        for child in node:
            following = branch.below.get(child.tag)
            if following is None:
                continue
            place = following.place
            if place is None:
                yield from self._children(child, following)
            elif place.kind.singleton:
                own = self._attributes(child, place)
                if own or place.presence:
                    yield Element(place.kind.path, own, tuple(self._children(child, place.inside)))
                yield from self._children(child, following)
            else:
                yield Element(
                    place.kind.path, self._attributes(child, place), tuple(self._children(child, place.inside))
                )

    def _attributes(self, node: etree._Element, place: Place) -> dict[str, str]:
        values: dict[str, list[str]] = {}
        for child in node:
            leaf = place.leaves.get(child.tag)
            if leaf is not None:
                values.setdefault(leaf.attribute.name, []).append(self._value(child, leaf))
        kinds = {leaf.attribute.name: leaf.attribute for leaf in place.leaves.values()}
        return {name: _as_text(kinds[name], found) for name, found in values.items()}

    def _value(self, node: etree._Element, leaf: Leaf) -> str:
        kind, said = leaf.attribute.value_type, node.text or ""
        if kind == EMPTY_TYPE:
            return PRESENT
        if kind in _BARE:
            said = said.strip()
        if kind == IDENTITY_TYPE:
            prefix, colon, name = said.rpartition(":")
            module = self._modules.get(node.nsmap.get(prefix if colon else None, ""), leaf.module)
            return qualified(module, name, leaf.module)
        return said

    # ------------------------------------------------------------------------------------- building

    def _add(self, parent: Branch, kind: ElementType, around: str | None) -> None:
        presence = kind.cli_name.endswith(PRESENCE)
        tags, module = [], around
        for step in kind.cli_name.removesuffix(PRESENCE).split("/"):
            module, name = self._split(step, module, kind)
            tags.append(self._tag(module, name, kind))
        leaves = {}
        for attribute in kind.attributes:
            own, name = self._split(attribute.cli_name, module, kind)
            tag = self._tag(own, name, kind)
            leaves[tag] = Leaf(attribute, tag, own)
        branch = parent
        for tag in tags:
            branch = branch.below.setdefault(tag, Branch())
        branch.place = place = Place(kind, tuple(tags), presence, leaves, Branch(), branch)
        self._by_path[kind.path] = place
        for child in kind.children:
            self._add(place.inside, self.schema.types.get(child.path, child), module)

    def _split(self, step: str, around: str | None, kind: ElementType) -> tuple[str, str]:
        module, colon, name = step.rpartition(":")
        if colon:
            return module, name
        if around is None:
            raise self._foreign(kind)
        return around, name

    def _tag(self, module: str, name: str, kind: ElementType) -> str:
        namespace = self.namespaces.get(module)
        if namespace is None:
            raise self._foreign(kind)
        return f"{{{namespace}}}{name}"

    def _foreign(self, kind: ElementType) -> Rejected:
        return Rejected(f"the stored schema does not say where {kind.path} is on the device: load it again")


def _filter(tag: str, branch: Branch) -> etree._Element:
    node = xml_element(tag)
    if branch.place is None:
        node.extend([_filter(below, each) for below, each in branch.below.items()])
    return node


def _as_text(attribute: AttributeType, values: Sequence[str]) -> str:
    return values[0] if attribute.delimiter is None else joined(attribute.delimiter, values)
