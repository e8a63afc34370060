"""What a device's software knows: element types and their attributes, C7 to C9, and the template C11."""

from __future__ import annotations

from typing import Any

from opensdm.core.element import AttributeType, Element, ElementType
from opensdm.core.errors import UnknownAttribute
from opensdm.core.operations import DraftElement, ListElementTypes, ShowElementType
from opensdm.core.results import Listing, TypeShown
from opensdm.doors.rest import resources
from opensdm.doors.rest.elements import CONFIGS
from opensdm.doors.rest.listing import listed
from opensdm.doors.rest.provisioning_replies import config_element
from opensdm.doors.rest.query import PAGING, page
from opensdm.doors.rest.routing import Call, Endpoint, Reply

Wire = dict[str, Any]


async def list_types(call: Call) -> Reply:
    asked = page(call)
    operation = ListElementTypes(device_id=call.id("device_id"), offset=asked.offset, limit=asked.limit)
    found: Listing[ElementType] = await call.execute(operation)
    return listed(resources.ELEMENT_TYPES, "elementTypes", map(element_type, found.items), asked, found.total)


async def show_type(call: Call) -> Reply:
    operation = ShowElementType(device_id=call.id("device_id"), element_path=call.body["elementTypePath"].strip())
    shown: TypeShown = await call.execute(operation)
    return Reply.of(resources.ELEMENT_METADATA, element_metadata(shown))


async def show_attribute(call: Call) -> Reply:
    """With the values that the attribute's reference may take now, the caller's staged changes among them."""
    path, name = call.body["elementTypePath"].strip(), call.body["attributeName"].strip()
    operation = ShowElementType(device_id=call.id("device_id"), element_path=path, attribute=name)
    shown: TypeShown = await call.execute(operation)
    found = shown.type.attribute(name)
    if found is None:
        raise UnknownAttribute(f"{path} has no attribute {name[:60]!r}", field="attributeName")
    return Reply.of(resources.ATTRIBUTE_METADATA, attribute_metadata(found, shown.referred.get(name)))


async def draft_element(call: Call) -> Reply:
    operation = DraftElement(device_id=call.id("device_id"), element_path=call.body["elementTypePath"].strip())
    element: Element = await call.execute(operation)
    return Reply.of(resources.CONFIG_ELEMENT, config_element(element))


# ------------------------------------------------------------------------------------- on the wire


def element_type(each: ElementType) -> Wire:
    return {
        "elementTypePath": each.path,
        "name": each.path.rpartition("/")[2],
        "cliName": each.cli_name,
        "keys": list(each.keys) or None,
        "singleton": each.singleton,
    }


def element_metadata(shown: TypeShown) -> Wire:
    each = shown.type
    return {
        "attributeMetadata": [attribute_metadata(a, shown.referred.get(a.name)) for a in each.attributes],
        "subElement": [{"elementTypePath": child.path, "multiple": not child.singleton} for child in each.children],
        "elementTypePath": each.path,
        "cliName": each.cli_name,
        "singleton": each.singleton,
        "platform": shown.platform,
        "softwareVersion": shown.version,
    }


def attribute_metadata(each: AttributeType, referred: tuple[str, ...] | None) -> Wire:
    """What is not known of an attribute is left out."""
    limits = {"min": each.minimum, "max": each.maximum}
    return {
        "cliName": each.cli_name,
        "defaultValue": each.default,
        "delimiter": each.delimiter,
        "enumeratedValues": list(each.choices) or None,
        "key": each.key,
        "name": each.name,
        "referredElementType": each.refers_to,
        "referredValues": None if referred is None else list(referred),
        "regExpPattern": None if each.pattern is None else [each.pattern],
        "required": each.required,
        "validNumericRange": [limits] if each.minimum is not None or each.maximum is not None else None,
        "valueType": each.value_type,
    }


_TYPES = CONFIGS + "/elementTypes"

ENDPOINTS = (
    Endpoint("GET", _TYPES, list_types, query=PAGING),
    Endpoint("POST", _TYPES + "/elementMetadata", show_type, body=resources.ELEMENT_TYPE_REQUEST),
    Endpoint("POST", _TYPES + "/attributeMetadata", show_attribute, body=resources.ATTRIBUTE_TYPE_REQUEST),
    Endpoint("POST", CONFIGS + "/configElements/create", draft_element, body=resources.ELEMENT_TYPE_REQUEST),
)
