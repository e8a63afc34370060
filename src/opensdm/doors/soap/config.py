"""ConfigMgmtIF: what a device's software knows, and the elements of its configuration."""

from __future__ import annotations

from opensdm.core.element import AttributeType, Element, ElementType
from opensdm.core.errors import UnknownAttribute
from opensdm.core.operations import (
    AddElement,
    ApplyBatch,
    BatchEdit,
    BatchVerb,
    DeleteElement,
    DraftElement,
    ListElements,
    ListElementTypes,
    RetrieveElement,
    ShowElementType,
    UpdateElement,
)
from opensdm.core.results import ElementsShown, Listing, TypeShown
from opensdm.core.validation import NUMERIC_TYPE
from opensdm.doors.soap.calls import Answers, Call, NotHere, Wire, done
from opensdm.doors.soap.elements import batch, element, sub_element, wire_element

# --------------------------------------------------------------------------------------------- types


async def type_names(call: Call) -> list[str]:
    return [kind.path for kind in await _types(call)]


async def acli_mapping(call: Call) -> list[Wire]:
    """The device's own name of each top-level type, and ours."""
    return [{"name": kind.cli_name, "value": kind.path} for kind in await _types(call)]


async def primary_key(call: Call) -> list[str]:
    return list((await _type(call)).type.keys)


async def sub_types(call: Call) -> list[str]:
    return [child.path for child in (await _type(call)).type.children]


async def all_attributes(call: Call) -> list[Wire]:
    shown = await _type(call)
    return [attribute(each, shown) for each in shown.type.attributes]


async def element_metadata(call: Call) -> Wire:
    shown = await _type(call)
    kind = shown.type
    return {
        "type": kind.path,
        "isSingleInstance": kind.singleton,
        "elementTypePath": kind.path,
        "subElementTypeNames": [child.path for child in kind.children],
        "attributeMetaDataList": [attribute(each, shown) for each in kind.attributes],
    }


async def attribute_metadata(call: Call) -> Wire:
    shown, found = await _attribute(call)
    return attribute(found, shown)


async def reference_values(call: Call) -> list[str]:
    """What the attribute may refer to now, in the caller's view; nothing for one that refers to nothing."""
    shown, found = await _attribute(call)
    return list(shown.referred.get(found.name, ()))


async def new_element(call: Call) -> Wire:
    device = await call.target()
    operation = DraftElement(device_id=device.device_id, element_path=call.text("elementType"))
    return wire_element(await call.execute(operation))


async def _types(call: Call) -> tuple[ElementType, ...]:
    device = await call.target()
    found: Listing[ElementType] = await call.execute(ListElementTypes(device_id=device.device_id))
    return found.items


async def _type(call: Call, name: str | None = None) -> TypeShown:
    device = await call.target()
    operation = ShowElementType(device_id=device.device_id, element_path=call.text("elementType"), attribute=name)
    shown: TypeShown = await call.execute(operation)
    return shown


async def _attribute(call: Call) -> tuple[TypeShown, AttributeType]:
    name = call.text("attributeName")
    shown = await _type(call, name)
    found = shown.type.attribute(name)
    if found is None:
        raise UnknownAttribute(f"{shown.type.path} has no attribute {name[:60]!r}", field="attributeName")
    return shown, found


def attribute(each: AttributeType, shown: TypeShown) -> Wire:
    """What is not known of an attribute is left out. Types but `NUMERIC` are in our own words, in capitals."""
    numeric = each.value_type == NUMERIC_TYPE or each.minimum is not None or each.maximum is not None
    return {
        "name": each.name,
        "acliName": each.cli_name,
        "valueTypeInfo": "NUMERIC" if numeric else each.value_type.upper(),
        "delimiter": each.delimiter,
        "isRequired": each.required or each.key,
        "defaultValue": each.default,
        "referred_Element_Type_Name": each.refers_to,
        "suggested_Values": list(shown.referred.get(each.name, ())),
        "valid_Numeric_Range": [{"min": each.minimum, "max": each.maximum}] if _bounded(each) else None,
        "enumerated_values": list(each.choices),
    }


def _bounded(each: AttributeType) -> bool:
    return each.minimum is not None or each.maximum is not None


# ------------------------------------------------------------------------------------------ elements


async def get_element(call: Call) -> Wire:
    device = await call.target()
    found: Element = await call.execute(RetrieveElement(device_id=device.device_id, element=_sent(call)))
    return wire_element(found)


async def get_elements(call: Call) -> list[Wire]:
    device = await call.target()
    operation = ListElements(device_id=device.device_id, element_path=call.text("elementType"))
    shown: ElementsShown = await call.execute(operation)
    return [wire_element(each) for each in shown.items]


async def add_element(call: Call) -> Wire:
    device, sent = await call.target(), _sent(call)
    await call.execute(AddElement(device_id=device.device_id, element=sent))
    return done(f"{sent.path} is staged to be created")


async def update_element(call: Call) -> Wire:
    device, sent = await call.target(), _sent(call)
    await call.execute(UpdateElement(device_id=device.device_id, element=sent))
    return done(f"{sent.path} is staged to be changed")


async def replace_element(call: Call) -> Wire:
    device, sent = await call.target(), _sent(call)
    await call.execute(ApplyBatch(device_id=device.device_id, edits=(BatchEdit(BatchVerb.REPLACE, sent),)))
    return done(f"{sent.path} is staged to be replaced")


async def delete_element(call: Call) -> Wire:
    device, sent = await call.target(), _sent(call)
    await call.execute(DeleteElement(device_id=device.device_id, element=sent))
    return done(f"{sent.path} is staged to be deleted")


async def add_sub_element(call: Call) -> Wire:
    device, parent = await call.target(), element(call.values["parent"])
    child = sub_element(parent, call.values["child"])
    await call.execute(AddElement(device_id=device.device_id, element=child, parent=parent))
    return done(f"{child.path} is staged to be created")


async def delete_sub_element(call: Call) -> Wire:
    device, parent = await call.target(), element(call.values["parent"])
    child = sub_element(parent, call.values["child"])
    await call.execute(DeleteElement(device_id=device.device_id, element=child, parent=parent))
    return done(f"{child.path} is staged to be deleted")


async def apply_batch(call: Call) -> Wire:
    """All or nothing: an edit that cannot be made is a fault that names it, and none is staged."""
    device, edits = await call.target(), batch(call.values["soapBatch"])
    await call.execute(ApplyBatch(device_id=device.device_id, edits=edits))
    return done(f"{len(edits)} edits are staged")


def _sent(call: Call) -> Element:
    return element(call.values["wsConfigElement"])


_NOT_SAID = NotHere("devices do not say which sub-elements are required; getSubElementTypesByElementType lists all")

ANSWERS: Answers = {
    "getTopLevelConfigElementTypeNames": type_names,
    "getPrimaryKeyByElementType": primary_key,
    "getSubElementTypesByElementType": sub_types,
    "getRequiredSubElementTypesByElementType": _NOT_SAID,
    "getRequiredSubElementsByElementType": _NOT_SAID,
    "getAllSupportedAttributeInfoByElementType": all_attributes,
    "getConfigElementMetaData": element_metadata,
    "getConfigAttributeMetaData": attribute_metadata,
    "getValuesForReferenceAttribute": reference_values,
    "newConfigElement": new_element,
    "getConfigElement": get_element,
    "getAllConfigElements": get_elements,
    "addConfigElement": add_element,
    "updateConfigElement": update_element,
    "replace": replace_element,
    "deleteConfigElement": delete_element,
    "addSubElement": add_sub_element,
    "deleteSubElement": delete_sub_element,
    "applyBatch": apply_batch,
    "encryptedPassword": NotHere("how the vendor encrypts passwords was never published"),
    "getACLItoACPMapping": acli_mapping,
    "getACLItoACPMappingList": acli_mapping,
}
