"""`WSConfigElement` both ways."""

from __future__ import annotations

from typing import Any

from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import BatchEdit, BatchVerb
from opensdm.doors.soap.calls import Wire


def element(wire: Wire, above: str = "") -> Element:
    """The element with its children. A child's type may be written as a path, or as its own name alone."""
    path = (wire.get("type") or wire.get("elementTypePath") or "").strip()
    if not path:
        raise InvalidRequest("every configuration element needs a type", field="type")
    if above and "/" not in path:
        path = f"{above}/{path}"
    attributes: dict[str, str] = {}
    for item in wire.get("attributeList") or ():
        name = item["name"].strip()
        if name in attributes:
            raise InvalidRequest(f"the attribute {name[:60]!r} of {path[:60]} is given twice", field="attributeList")
        attributes[name] = item.get("value") or ""
    return Element(path, attributes, tuple(element(child, path) for child in wire.get("children") or ()))


def wire_element(found: Element) -> Wire:
    return {
        "type": found.path,
        "attributeList": [{"name": name, "value": value} for name, value in found.attributes.items()],
        "children": [wire_element(child) for child in found.children],
        "elementTypePath": found.path,
    }


def sub_element(parent: Element, wire: Wire) -> Element:
    """A child of the innermost element that `parent` names."""
    innermost = parent
    while innermost.children:
        innermost = innermost.children[-1]
    return element(wire, innermost.path)


def batch(wire: Wire) -> tuple[BatchEdit, ...]:
    return tuple(_edit(each) for each in wire.get("operationsToApply") or ())


def _edit(wire: dict[str, Any]) -> BatchEdit:
    return BatchEdit(BatchVerb(wire["operation"]), element(wire["configElement"]))
