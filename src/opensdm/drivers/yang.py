"""A schema made from YANG modules, with pyang.

Containers are part of a name, lists and containers with leaves are element types:

    container sbc { list realm { key id; ... } }           sbc.realm, keys: id
    container system { leaf hostname; ... }                system, a singleton
    list sip-interface { list sip-port; container tls }    sip-interface, with sip-interface/sip-port and
                                                           the singleton sip-interface/tls

`cli_name` says where a type or attribute is: the nodes from the enclosing list (or the top) down, with `/` between,
each with its module before it where that is another than the enclosing node's, and `!` after a container whose mere
presence means something. Left out: what is no configuration, lists without keys, anydata and anyxml, leaves at the top.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pyang import context, error, repository  # type: ignore[import-untyped]

from opensdm.core.element import AttributeType, ElementType, Schema
from opensdm.core.errors import Rejected
from opensdm.core.validation import joined
from opensdm.drivers.yang_types import (
    Identities,
    LeafFacts,
    Statement,
    leaf_facts,
    python_pattern,
    qualified,
    referred_leaf,
)

DELIMITER = ","
PRESENCE = "!"


@dataclass(frozen=True, slots=True)
class YangModule:
    """One module's or submodule's text. `implemented`: its nodes are there, not only its types.

    `features` None: not known which are there, so all of them.
    """

    name: str
    revision: str
    text: str = field(repr=False)
    implemented: bool = True
    features: frozenset[str] | None = None


def build_schema(platform: str, version: str, modules: Sequence[YangModule]) -> Schema:
    """Slow for large models: call it in a thread. Raises Rejected when nothing in them can be used."""
    compiled = _compiled(modules)
    builder = _Builder(compiled)
    types = {kind.path: kind for kind in builder.types([m for m in modules if m.implemented])}
    if not types:
        raise Rejected("the device's YANG modules describe no configuration" + compiled.first_error)
    return Schema(platform, version, types, compiled.namespaces)


# ------------------------------------------------------------------------------------------------ reading


class _Texts(repository.Repository):  # type: ignore[misc]  # pyang ships no types
    """The modules we were given, and no file of the machine."""

    def __init__(self, modules: Sequence[YangModule]) -> None:
        self._modules = {(m.name, m.revision): m for m in modules}

    def get_modules_and_revisions(self, ctx: Any) -> list[tuple[str, str | None, tuple[str, str]]]:
        return [(name, revision or None, (name, revision)) for name, revision in self._modules]

    def get_module_from_handle(self, handle: tuple[str, str]) -> tuple[str, str, str]:
        return handle[0], "yang", self._modules[handle].text


@dataclass(slots=True)
class _Compiled:
    modules: Mapping[str, Statement]
    namespaces: Mapping[str, str]
    first_error: str


def _compiled(modules: Sequence[YangModule]) -> _Compiled:
    ctx = context.Context(_Texts(modules))
    # What a device sends may be anything, and pyang meets what it does not expect with any exception.
    for module in modules:
        if module.implemented and module.features is not None:
            ctx.features[module.name] = sorted(module.features)
        with suppress(Exception):  # the others may well do without it
            ctx.add_module(module.name, module.text, "yang")
    try:
        ctx.validate()
        found = {m.arg: m for m in ctx.modules.values() if m is not None and m.keyword == "module"}
        for statement in found.values():
            statement.prune()  # takes out what features and deviations say is not there
    except Exception as fault:
        raise Rejected(f"the device's YANG modules cannot be read: {type(fault).__name__}") from fault
    namespaces = {name: m.search_one("namespace").arg for name, m in found.items() if m.search_one("namespace")}
    return _Compiled({n: found[n] for n in namespaces}, namespaces, _first_error(ctx))


def _first_error(ctx: Any) -> str:
    for position, tag, arguments in ctx.errors:
        if error.is_error(error.err_level(tag)):
            said = " ".join(str(error.err_to_str(tag, arguments)).split())
            return f" ({str(position)[:80]}: {said[:200]})"
    return ""


# ----------------------------------------------------------------------------------------------- building


@dataclass(slots=True)
class _Found:
    """A list, or a container with leaves. `steps`: (module, name) of the nodes down to it from what contains it."""

    node: Statement
    steps: tuple[tuple[str, str], ...]
    path: str = ""
    children: list[_Found] = field(default_factory=list)


class _Builder:
    def __init__(self, compiled: _Compiled) -> None:
        self._compiled = compiled
        self._identities = Identities([*compiled.modules.values()])
        self._paths: dict[int, str] = {}

    def types(self, implemented: Sequence[YangModule]) -> Iterator[ElementType]:
        """All types, those of sub-elements too."""
        roots = [self._compiled.modules[m.name] for m in implemented if m.name in self._compiled.modules]
        found = [f for root in {id(r): r for r in roots}.values() for f in _below(root, ())]
        self._name(found, "", None)
        for each in found:
            yield from _flattened(self._build(each, None))

    def _name(self, found: Sequence[_Found], prefix: str, around: str | None) -> None:
        plain = Counter(".".join(name for _, name in each.steps) for each in found)
        for each in found:
            short = ".".join(name for _, name in each.steps)
            each.path = prefix + (short if plain[short] == 1 else ".".join(_relative(each.steps, around)))
            self._paths[id(each.node)] = each.path
            self._name(each.children, each.path + "/", each.steps[-1][0])

    def _build(self, found: _Found, around: str | None) -> ElementType:
        node, module = found.node, found.steps[-1][0]
        keys = list(node.i_key) if node.keyword == "list" else []
        leaves = keys + [leaf for leaf, _ in _leaves(node) if leaf not in keys]
        optional = {id(leaf) for leaf, in_choice in _leaves(node) if in_choice}
        twice = Counter(leaf.arg for leaf in leaves)
        attributes = tuple(
            self._attribute(leaf, module, leaf in keys, id(leaf) in optional, twice[leaf.arg] > 1) for leaf in leaves
        )
        place = "/".join(_relative(found.steps, around)) + (PRESENCE if _has_presence(node) else "")
        children = tuple(self._build(child, module) for child in found.children)
        return ElementType(found.path, place, attributes, children)

    def _attribute(self, leaf: Statement, around: str, key: bool, optional: bool, twin: bool) -> AttributeType:
        facts = leaf_facts(leaf, self._identities)
        many = leaf.keyword == "leaf-list"
        module = leaf.i_module.i_modulename
        return AttributeType(
            name=f"{module}:{leaf.arg}" if twin else leaf.arg,
            cli_name=qualified(module, leaf.arg, around),
            key=key,
            required=key or (not optional and _is_mandatory(leaf)),
            value_type=facts.value_type,
            default=_list_default(leaf) if many else facts.default,
            delimiter=DELIMITER if many else None,
            choices=facts.choices,
            minimum=facts.minimum,
            maximum=facts.maximum,
            pattern=_pattern(facts),
            refers_to=self._refers_to(leaf),
            ordered=not many or leaf.search_one("ordered-by", "user") is not None,
        )

    def _refers_to(self, leaf: Statement) -> str | None:
        """The type whose only key a leafref points to."""
        target = referred_leaf(leaf)
        holder = None if target is None else target.parent
        if holder is None or holder.keyword != "list" or [*holder.i_key] != [target]:
            return None
        return self._paths.get(id(holder))


def _below(node: Statement, steps: tuple[tuple[str, str], ...]) -> Iterator[_Found]:
    """What is reached from a node through containers only."""
    for child, _ in _data_children(node):
        here = (*steps, (child.i_module.i_modulename, child.arg))
        if child.keyword == "list":
            if child.i_key:
                yield _Found(child, here, children=list(_below(child, ())))
        elif child.keyword == "container":
            if _has_presence(child) or next(_leaves(child), None) is not None:
                yield _Found(child, here)
            yield from _below(child, here)


def _data_children(node: Statement, in_choice: bool = False) -> Iterator[tuple[Statement, bool]]:
    """The configuration nodes of a node; choices and cases are no nodes, but what they hold is optional."""
    for child in node.i_children:
        if child.keyword in ("choice", "case"):
            yield from _data_children(child, True)
        elif child.keyword in ("container", "list", "leaf", "leaf-list") and child.i_config is not False:
            yield child, in_choice


def _leaves(node: Statement) -> Iterator[tuple[Statement, bool]]:
    return ((c, in_choice) for c, in_choice in _data_children(node) if c.keyword in ("leaf", "leaf-list"))


def _relative(steps: Sequence[tuple[str, str]], around: str | None) -> list[str]:
    names = []
    for module, name in steps:
        names.append(qualified(module, name, around))
        around = module
    return names


def _has_presence(node: Statement) -> bool:
    return node.keyword == "container" and node.search_one("presence") is not None


def _is_mandatory(leaf: Statement) -> bool:
    if leaf.search_one("when") is not None:
        return False
    least = leaf.search_one("min-elements")
    return leaf.search_one("mandatory", "true") is not None or (least is not None and least.arg != "0")


def _list_default(leaf: Statement) -> str | None:
    return joined(DELIMITER, [each.arg for each in leaf.search("default")]) or None


def _pattern(facts: LeafFacts) -> str | None:
    return python_pattern(facts.patterns)


def _flattened(kind: ElementType) -> Iterator[ElementType]:
    yield kind
    for child in kind.children:
        yield from _flattened(child)
