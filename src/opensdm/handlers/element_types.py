"""What the device's own schema says of its elements, and new elements to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import DraftElement, ListElementTypes, ShowElementType
from opensdm.core.ports import Transaction, Work
from opensdm.core.references import top_of
from opensdm.core.results import Listing, TypeShown
from opensdm.core.staging import PendingChange
from opensdm.core.validation import element_type, key_of, unknown_attribute
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import Loaded, loaded, loaded_schema

MAX_REFERRED = 1000
"""How many values a reference is said to have to choose from."""


async def list_element_types(operation: ListElementTypes, work: Work) -> Listing[ElementType]:
    """By path. Raises NotLoaded before a load: until then nobody knows what the device's software knows."""
    _, schema = await work.read(lambda tx: loaded_schema(tx, operation.device_id))
    tops = [kind for path, kind in sorted(schema.types.items()) if "/" not in path]
    last = None if operation.limit is None else operation.offset + operation.limit
    return Listing(tuple(tops[operation.offset : last]), len(tops), operation.offset)


async def show_element_type(operation: ShowElementType, work: Work) -> TypeShown:
    """`referred`: for each attribute that refers to elements, those in the caller's own view of the configuration."""

    def wanted(schema: Schema, changes: Sequence[PendingChange]) -> list[str]:
        shown = _asked(schema, operation)
        return sorted({top_of(a.refers_to) for a in shown.attributes if a.refers_to is not None})

    async def query(transaction: Transaction) -> Loaded:
        return await loaded(transaction, operation.device_id, work.session.user_id, paths=wanted)

    if not operation.element_path:
        raise InvalidRequest("which type of element? Say so with elementTypePath")
    view = await work.read(query)
    kind = _asked(view.schema, operation)
    return TypeShown(view.schema.platform, view.schema.version, kind, await aside(_referred, view, kind))


async def draft_element(operation: DraftElement, work: Work) -> Element:
    """Every attribute that has a default, with it, and the keys, empty: they are for the caller to choose."""
    if not operation.element_path:
        raise InvalidRequest("an element of which type? Say so with elementTypePath")
    _, schema = await work.read(lambda tx: loaded_schema(tx, operation.device_id))
    kind = element_type(schema, operation.element_path)
    return Element(kind.path, {a.name: "" if a.key else a.default or "" for a in kind.attributes if _drafted(a)})


def _drafted(attribute: AttributeType) -> bool:
    return attribute.key or attribute.required or attribute.default is not None


def _asked(schema: Schema, operation: ShowElementType) -> ElementType:
    """The type, with the one attribute that was asked for alone if one was."""
    kind = element_type(schema, operation.element_path)
    if operation.attribute is None:
        return kind
    attribute = kind.attribute(operation.attribute)
    if attribute is None:
        raise unknown_attribute(kind, operation.attribute)
    return replace(kind, attributes=(attribute,))


def _referred(view: Loaded, kind: ElementType) -> Mapping[str, tuple[str, ...]]:
    """Elements with several keys are left out: how a device spells a reference to them is its own affair."""
    found = {}
    for attribute in kind.attributes:
        target = view.schema.types.get(attribute.refers_to or "")
        if target is not None and len(target.keys) == 1:
            found[attribute.name] = _names(view, target.path)
    return found


def _names(view: Loaded, path: str) -> tuple[str, ...]:
    elements = (e for top in view.elements(path) for e in top.walk() if e.path == path)
    return tuple(sorted({key_of(view.schema, e)[1][0] for e in elements})[:MAX_REFERRED])


HANDLERS_HERE = {
    ListElementTypes: list_element_types,
    ShowElementType: show_element_type,
    DraftElement: draft_element,
}
