"""Elements checked against what the device itself says of their types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import InvalidRequest, UnknownAttribute, UnknownElementType
from opensdm.core.inventory import MASKED

SECRET_TYPE = "password"
"""The `value_type` of an attribute that is never shown."""
NUMERIC_TYPE = "numeric"
MAX_SHOWN = 40
"""How many allowed names an error lists; beyond that only the closest help."""


def element_type(schema: Schema, path: str) -> ElementType:
    """The type of a path, or UnknownElementType that names the closest ones."""
    found = schema.types.get(path)
    if found is not None:
        return found
    close = _closest(path, schema.types)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise UnknownElementType(
        f"{schema.platform} {schema.version} has no element type {path!r}{hint}", elementTypePath=path, closest=close
    )


def is_secret(attribute: AttributeType | None) -> bool:
    return attribute is not None and attribute.value_type == SECRET_TYPE


def is_hidden(attribute: AttributeType | None) -> bool:
    """Whether values are not shown: secrets, and what this schema does not know and so cannot call harmless."""
    return attribute is None or is_secret(attribute)


def validate(schema: Schema, element: Element) -> None:
    """Check a whole element with its sub-elements; the first thing wrong is raised.

    Raises UnknownElementType, UnknownAttribute (naming what is allowed), or InvalidRequest naming the
    attribute and what its values may be.
    """
    kind = element_type(schema, element.path)
    validate_values(kind, element.attributes)
    require_keys(kind, element)
    for attribute in kind.attributes:
        if attribute.required and not element.attributes.get(attribute.name, attribute.default or ""):
            raise _needs_value(kind, attribute)
    _validate_children(schema, kind, element)


def validate_values(kind: ElementType, values: Mapping[str, str]) -> None:
    """Check names and values only, as for an update that carries just what changes."""
    for name, value in values.items():
        attribute = kind.attribute(name)
        if attribute is None:
            raise unknown_attribute(kind, name)
        _check_value(kind, attribute, value)


def require_keys(kind: ElementType, element: Element) -> None:
    """InvalidRequest unless every key is given: without all of them an element is not identified."""
    missing = [a.name for a in kind.attributes if a.key and _lacks(a, element)]
    if missing:
        raise InvalidRequest(
            f"{kind.path} is identified by {', '.join(kind.keys)}; missing: {', '.join(missing)}",
            elementTypePath=kind.path, keys=list(kind.keys), missing=missing,
        )  # fmt: skip


def _lacks(attribute: AttributeType, element: Element) -> bool:
    """An empty key counts where empty is one of its values."""
    value = element.attributes.get(attribute.name)
    return value is None or (value == "" and "" not in attribute.choices)


def items(attribute: AttributeType, value: str) -> list[str]:
    """The values of a list attribute, or the one value of any other.

    A delimiter inside a value has a backslash before it, and so has a backslash that would read as one.
    """
    if attribute.delimiter is None:
        return [value]
    delimiter = re.escape(attribute.delimiter)
    parts = re.findall(rf"(?:\\(?:\\|{delimiter})|(?!{delimiter}).)+", value, re.DOTALL)
    return [re.sub(rf"\\(\\|{delimiter})", r"\1", text) for part in parts if (text := part.strip())]


def joined(delimiter: str, values: Iterable[str]) -> str:
    """A list as one string; `items` reads it back, whatever the values are."""
    ambiguous = re.compile(rf"\\{{2,}}|\\(?={re.escape(delimiter)}|\Z)")
    shown = (ambiguous.sub(lambda run: run[0] * 2, value) for value in values if value)
    return delimiter.join(value.replace(delimiter, "\\" + delimiter) for value in shown)


def comparable(attribute: AttributeType | None, value: str) -> str:
    """A value in the form in which a device compares it: numbers by value, lists without an order as such."""
    if attribute is not None and attribute.value_type == NUMERIC_TYPE and _INTEGER.fullmatch(value.strip()):
        return str(int(value))
    if attribute is not None and attribute.delimiter is not None:
        values = items(attribute, value)
        return joined(attribute.delimiter, values if attribute.ordered else sorted(values))
    return value


def _validate_children(schema: Schema, kind: ElementType, element: Element) -> None:
    allowed = {child.path for child in kind.children}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for child in element.children:
        if child.path not in allowed:
            raise UnknownElementType(
                f"{kind.path} has no sub-element {child.path!r}; it has {_listed(allowed) or 'none'}",
                elementTypePath=child.path, allowed=sorted(allowed),
            )  # fmt: skip
        validate(schema, child)
        key = key_of(schema, child)
        if key in seen:
            raise InvalidRequest(f"{element.path} names the sub-element {describe_key(key)} twice")
        seen.add(key)


_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def _check_value(kind: ElementType, attribute: AttributeType, value: str) -> None:
    if is_secret(attribute) and value == MASKED:
        return
    if attribute.required and not value:
        raise _needs_value(kind, attribute)
    for item in items(attribute, value):
        if item == "" and not attribute.key:
            continue
        problem = next(_problems(attribute, item), None)
        if problem is not None:
            shown = "the value" if is_secret(attribute) else repr(item)
            raise InvalidRequest(
                f"{kind.path}: {attribute.name}: {shown} {problem}",
                elementTypePath=kind.path, attribute=attribute.name,
                allowed=list(attribute.choices), minimum=attribute.minimum, maximum=attribute.maximum,
                pattern=attribute.pattern,
            )  # fmt: skip


def _needs_value(kind: ElementType, attribute: AttributeType) -> InvalidRequest:
    return InvalidRequest(
        f"{kind.path} needs a value for {attribute.name}", elementTypePath=kind.path, attribute=attribute.name
    )


def _problems(attribute: AttributeType, item: str) -> Iterator[str]:
    if attribute.choices and item not in attribute.choices:
        close = _closest(item, attribute.choices)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        yield f"is none of {_listed(attribute.choices)}{hint}"
    bounded = attribute.minimum is not None or attribute.maximum is not None
    if (attribute.value_type == NUMERIC_TYPE or bounded) and not attribute.choices:
        yield from _number_problems(attribute, item)
    if attribute.pattern is not None and not _fits(attribute.pattern, item):
        yield f"does not match {attribute.pattern}"


def _number_problems(attribute: AttributeType, item: str) -> Iterator[str]:
    if not _INTEGER.fullmatch(item):
        yield "is not a whole number"
        return
    low, high = attribute.minimum, attribute.maximum
    if (low is not None and int(item) < low) or (high is not None and int(item) > high):
        yield f"is not within {'-' if low is None else low}..{'-' if high is None else high}"


def _fits(pattern: str, item: str) -> bool:
    """A pattern of another dialect, which Python cannot read, decides nothing: the device will."""
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(item) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None


def unknown_attribute(kind: ElementType, name: str) -> UnknownAttribute:
    allowed = [a.name for a in kind.attributes]
    close = _closest(name, allowed)
    hint = f"did you mean {' or '.join(close)}?" if close else f"it has {_listed(allowed)}"
    return UnknownAttribute(
        f"{kind.path} has no attribute {name!r}; {hint}",
        elementTypePath=kind.path, attribute=name, closest=close, allowed=allowed,
    )  # fmt: skip


def _closest(name: str, known: Iterable[str]) -> list[str]:
    by_lower = {k.lower(): k for k in known}
    return [by_lower[k] for k in get_close_matches(name[:100].lower(), by_lower, n=2, cutoff=0.7)]


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f", and {len(ordered) - MAX_SHOWN} more" if len(ordered) > MAX_SHOWN else ""
    return ", ".join(ordered[:MAX_SHOWN]) + more


# ------------------------------------------------------------------------------------------ identity

Key = tuple[str, tuple[str, ...]]
"""What tells an element from its siblings: its type path, and its key values as the device compares them."""


def key_of(schema: Schema, element: Element) -> Key:
    """Where a key is a list, the order of its values tells nothing apart."""
    kind = element_type(schema, element.path)
    return element.path, tuple(_key_value(a, element.attributes.get(a.name, "")) for a in kind.attributes if a.key)


def _key_value(attribute: AttributeType, value: str) -> str:
    if attribute.delimiter is None:
        return comparable(attribute, value)
    return joined(attribute.delimiter, sorted(items(attribute, value)))


def describe_key(key: Key) -> str:
    """`realmConfig core`, `networkInterface M00:0`, or the bare path of a singleton."""
    path, values = key
    return f"{path} {':'.join(values)}" if values else path
