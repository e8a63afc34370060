"""Any number of made-up elements of one type, for tests of size. Nothing of this exists on a real device."""

import ipaddress
import re
from dataclasses import replace

from opensdm.simulator.element import Draft, Element, ElementFault, create
from opensdm.simulator.schema import AttributeSpec, ElementSpec, Schema, Values

MOST = 200_000
_FIRST_ADDRESS = int(ipaddress.IPv4Address("10.0.0.0"))
_HUMP = re.compile(r"(?<!^)(?=[A-Z])")


def generated(schema: Schema, type_name: str, count: int) -> list[Element]:
    """`count` valid elements of a type, named by number; `session-agent` and `sessionAgent` are the same type.

    `ValueError` for a type that is unknown or whose keys cannot be made up, and for more than 200,000.
    """
    spec = schema.elements.get(_HUMP.sub("-", type_name).lower())
    if spec is None:
        raise ValueError(f"there is no element type {type_name}")
    counter = next((name for name in spec.keys if _is_free(spec.attributes[name])), None)
    if counter is None or not 0 <= count <= MOST:
        raise ValueError(f"{count} elements of {spec.name} cannot be made up")
    if not count:
        return []
    first = _first(spec, counter)
    kind = spec.attributes[counter]
    return [replace(first, attributes={**first.attributes, counter: _numbered(kind, n)}) for n in range(count)]


def _first(spec: ElementSpec, counter: str) -> Element:
    needed = {name: _any_value(each) for name, each in spec.attributes.items() if each.required}
    if "realm-id" in spec.attributes:
        needed["realm-id"] = ("core",)
    try:
        return create(spec, Draft(spec.name, {**needed, counter: _numbered(spec.attributes[counter], 0)}))
    except ElementFault as fault:
        raise ValueError(f"elements of {spec.name} cannot be made up: {fault}") from None


def _is_free(attribute: AttributeSpec) -> bool:
    return attribute.reference is None and attribute.type in {"string", "host", "address", "prefix"}


def _numbered(attribute: AttributeSpec, number: int) -> Values:
    match attribute.type:
        case "address" | "prefix":
            return (str(ipaddress.IPv4Address(_FIRST_ADDRESS + number)),)
        case "host":
            return (f"made-up-{number:06}.example",)
        case _:
            return (f"made-up-{number:06}",)


def _any_value(attribute: AttributeSpec) -> Values:
    if attribute.default and any(attribute.default):
        return attribute.default
    match attribute.type:
        case "address" | "prefix":
            return ("192.0.2.1",)
        case "enum":
            return attribute.choices[:1]
        case "integer":
            return (str(attribute.minimum or 0),)
        case _:
            return ("core" if attribute.reference else "made-up",)
