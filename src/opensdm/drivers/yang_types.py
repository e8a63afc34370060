"""What a YANG leaf says of its values: kind, choices, range, pattern, default, and whether it is a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opensdm.core.validation import NUMERIC_TYPE, SECRET_TYPE

Statement = Any
"""A statement of pyang, which ships no types."""

EMPTY_TYPE, IDENTITY_TYPE = "empty", "identityref"
PRESENT = "true"
"""The value of a leaf of type empty that is there; where it is not, the attribute is absent."""

SECRET_NAME = re.compile(
    r"(?:.*[-_.])?(?:password|passwd|passphrase|secret|key-string|(?:private|shared|secret|auth)-key|psk)"
    r"(?:[-_.](?:hash|value|string|data|encrypted))?"
)
"""Leaves of these names are secrets, as are those marked `nacm:default-deny-all`: YANG has no type for it.

A key is never a secret: it is how people name the element.
"""

_MAX_HOPS = 32
_MAX_PATTERN = 400


@dataclass(frozen=True, slots=True)
class LeafFacts:
    """What an attribute type takes over from a leaf's type."""

    value_type: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    patterns: tuple[str, ...] = field(default=())
    default: str | None = None


class Identities:
    """The identities of all modules, by what they are derived from."""

    def __init__(self, modules: Sequence[Statement]) -> None:
        self._derived: dict[int, list[Statement]] = {}
        for module in modules:
            for identity in module.i_identities.values():
                for base in identity.search("base"):
                    target = getattr(base, "i_identity", None)
                    if target is not None:
                        self._derived.setdefault(id(target), []).append(identity)

    def below(self, bases: Sequence[Statement], leaf_module: str) -> tuple[str, ...]:
        """The names of all that are derived from every base: bare in the leaf's own module, else `module:name`."""
        sets = [{id(s): s for s in self._all(base.i_identity)} for base in bases if base.i_identity is not None]
        if not sets:
            return ()
        common = [s for key, s in sets[0].items() if all(key in other for other in sets[1:])]
        return tuple(sorted(dict.fromkeys(qualified(s.i_module.i_modulename, s.arg, leaf_module) for s in common)))

    def _all(self, identity: Statement) -> Iterator[Statement]:
        seen: set[int] = set()
        waiting = [identity]
        while waiting:
            for each in self._derived.get(id(waiting.pop()), ()):
                if id(each) not in seen:
                    seen.add(id(each))
                    waiting.append(each)
                    yield each


def qualified(module: str, name: str, around: str | None) -> str:
    """`name` where it is of the module around it, else `module:name`, as in RFC 7951."""
    return name if module == around else f"{module}:{name}"


def leaf_facts(leaf: Statement, identities: Identities) -> LeafFacts:
    module = leaf.i_module.i_modulename
    facts = _facts_of_type(_final_type(leaf), module, identities, 0)
    default = _default(leaf)
    if default is not None and facts.value_type == IDENTITY_TYPE:
        bare = default.rpartition(":")[2]
        default = next((c for c in facts.choices if c.rpartition(":")[2] == bare), None)
    if facts.value_type in ("string", "binary") and _is_secret(leaf):
        facts = replace(facts, value_type=SECRET_TYPE)
    return replace(facts, default=default)


def referred_leaf(leaf: Statement) -> Statement | None:
    """The leaf a leafref points to."""
    pointer = getattr(leaf, "i_leafref_ptr", None)
    return None if pointer is None else pointer[0]


def _final_type(leaf: Statement) -> Statement:
    """The type statement that decides: a leafref is of the type of the leaf it points to."""
    for _ in range(_MAX_HOPS):
        target = referred_leaf(leaf)
        if target is None:
            break
        leaf = target
    return leaf.search_one("type")


def _facts_of_type(type_: Statement, module: str, identities: Identities, depth: int) -> LeafFacts:
    spec = getattr(type_, "i_type_spec", None)
    if spec is None or depth > _MAX_HOPS:
        return LeafFacts("string")
    name = spec.name
    if name == "union":
        return _union(spec, module, identities, depth)
    if name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        return LeafFacts(NUMERIC_TYPE, minimum=int(spec.min), maximum=int(spec.max))
    if name == "boolean":
        return LeafFacts("boolean", choices=("true", "false"))
    if name == "enumeration":
        return LeafFacts("enumeration", choices=tuple(value for value, _ in getattr(spec, "enums", ())))
    if name == "empty":
        return LeafFacts(EMPTY_TYPE, choices=(PRESENT,))
    if name == "identityref":
        return LeafFacts(IDENTITY_TYPE, choices=identities.below(spec.idbases, module))
    if name == "string":
        return LeafFacts("string", patterns=tuple(_patterns(type_)))
    return LeafFacts(name if name != "leafref" else "string")


def _union(spec: Any, module: str, identities: Identities, depth: int) -> LeafFacts:
    """Where all members are choices, so is the union; otherwise anything goes and the device decides."""
    members = [_facts_of_type(each, module, identities, depth + 1) for each in spec.types]
    if members and all(m.value_type in ("enumeration", "boolean") for m in members):
        return LeafFacts("enumeration", choices=tuple(dict.fromkeys(c for m in members for c in m.choices)))
    return LeafFacts("string")


def _typedefs(type_: Statement) -> Iterator[Statement]:
    """A type statement and those of the typedefs it is made from."""
    for _ in range(_MAX_HOPS):
        yield type_
        typedef = getattr(type_, "i_typedef", None)
        if typedef is None:
            return
        type_ = typedef.search_one("type")


def _default(leaf: Statement) -> str | None:
    own = leaf.search_one("default")
    if own is not None:
        return str(own.arg)
    if leaf.search_one("mandatory", "true") is not None:
        return None
    for type_ in _typedefs(leaf.search_one("type")):
        typedef = getattr(type_, "i_typedef", None)
        default = None if typedef is None else typedef.search_one("default")
        if default is not None:
            return str(default.arg)
    return None


def _patterns(type_: Statement) -> Iterator[str]:
    for each in _typedefs(type_):
        for pattern in each.search("pattern"):
            if pattern.search_one("modifier") is None:
                yield pattern.arg


def _is_secret(leaf: Statement) -> bool:
    if leaf.parent.keyword == "list" and leaf in leaf.parent.i_key:
        return False
    marked = any(isinstance(s.keyword, tuple) and s.keyword[1] == "default-deny-all" for s in leaf.substmts)
    return marked or SECRET_NAME.fullmatch(leaf.arg.lower()) is not None


# ------------------------------------------------------------------------------------------------ patterns

_ESCAPES = frozenset("\\|.-^?*+{}()[]nrtdDsSwW\"'/:@ ,=#<>&%~_!;")
_QUANTIFIER = re.compile(r"[*+?]|\{(\d+)(?:,(\d*))?\}")


def python_pattern(patterns: Sequence[str]) -> str | None:
    """One Python regular expression for values that must match all of them; None where there is no safe one.

    Left out are patterns of the XSD dialect that Python reads differently or not at all, and those in which a
    repetition stands inside a repetition: matching them may take for ever.
    """
    usable = [p for p in patterns if len(p) <= _MAX_PATTERN and _translatable(p)]
    if not usable:
        return None
    *others, last = usable
    return "".join(f"(?=(?:{p})\\Z)" for p in others) + (f"(?:{last})" if others else last)


def _translatable(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return _Scan(pattern).safe()


class _Scan:
    """One pass over a pattern, keeping for each open group whether it contains something of no fixed length."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def safe(self) -> bool:
        groups: list[bool] = [False]
        while self._at < len(self._pattern):
            character = self._pattern[self._at]
            loose = False
            if character in "^$":
                return False  # plain characters in XSD
            if character == "(":
                if self._pattern.startswith("(?", self._at):
                    return False
                groups.append(False)
                self._at += 1
                continue
            if character == "|":
                groups[-1] = True
                self._at += 1
                continue
            if character == ")":
                loose = groups.pop()
                self._at += 1
            elif not self._atom(character):
                return False
            varies, repeats = self._quantifier()
            if loose and repeats:
                return False
            groups[-1] = groups[-1] or loose or varies
        return True

    def _atom(self, character: str) -> bool:
        if character == "\\":
            ok = self._pattern[self._at + 1] in _ESCAPES
            self._at += 2
            return ok
        if character == "[":
            return self._class()
        self._at += 1
        return True

    def _class(self) -> bool:
        """A character class; one that is subtracted from is not Python's."""
        self._at += 1
        if self._pattern.startswith("^", self._at):
            self._at += 1
        first = True
        while self._at < len(self._pattern):
            character = self._pattern[self._at]
            if character == "]" and not first:
                self._at += 1
                return True
            if character == "[" or (character == "\\" and self._pattern[self._at + 1] not in _ESCAPES):
                return False
            self._at += 2 if character == "\\" else 1
            first = False
        return False

    def _quantifier(self) -> tuple[bool, bool]:
        """Whether what stands before may have several lengths, and whether it may come any number of times."""
        found = _QUANTIFIER.match(self._pattern, self._at)
        if found is None:
            return False, False
        self._at = found.end()
        if found[0] == "?":
            return True, False
        if found[1] is None:
            return True, True
        low, high = found[1], found[1] if found[2] is None else found[2]
        return low != high, high == "" or (low != high and int(high) > 8)
