"""From wire dictionaries to the fields of operations. What does not fit is MalformedBody with the body to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest
from opensdm.core.lock import LockScope, OverrideMode
from opensdm.core.operations import BatchEdit, BatchVerb, DeviceEnrolment, GroupEnrolment
from opensdm.core.staging import check_set_name
from opensdm.doors.rest.routing import Call

Wire = Mapping[str, Any]
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def action(call: Call, *names: str) -> str:
    """The `type` of an action, compared without case, as one of `names`; checks what else an action may carry."""
    asked = str(call.body["type"]).strip()
    chosen = next((name for name in names if name.lower() == asked.lower()), None)
    if chosen is None:
        refuse(call, f"the action type {asked[:60]!r} is not known here; known are {', '.join(names)}", field="type")
    return chosen


def taking(call: Call) -> dict[str, Any]:
    """How a lock is to be taken, as fields of the operation."""
    for name in ("waitSeconds", "leaseSeconds"):
        value = call.body.get(name)
        if value is not None and value < 0:
            refuse(call, f"{name}: expected 0 or more", field=name)
    return {
        "reason": call.body.get("reason"),
        "wait_s": call.body.get("waitSeconds"),
        "lease_s": call.body.get("leaseSeconds"),
        "scope": None if call.body.get("scope") is None else choice(call, "scope", LockScope, LockScope.USER),
    }


def override_mode(call: Call) -> OverrideMode:
    return choice(call, "mode", OverrideMode, OverrideMode.NOW)


def choice(call: Call, name: str, choices: type[ChoiceT], default: ChoiceT) -> ChoiceT:
    """A field of the body as one of an enumeration, compared without case."""
    asked = call.body.get(name)
    if asked is None:
        return default
    try:
        return choices(asked.strip().lower())
    except ValueError:
        refuse(call, f"{name}: expected {' or '.join(choices)}", field=name)


def change_set(call: Call) -> str:
    """The change set that the query names; "" for the one the published API knows, and in the published versions."""
    return check_set_name(call.query.get("changeSet", "").strip()) if call.own else ""


def named_set(call: Call, name: str | None) -> str:
    """The change set that a body names."""
    try:
        return check_set_name((name or "").strip())
    except InvalidRequest as error:
        refuse(call, error.message, **error.facts)


def refuse(call: Call, why: str, **facts: Any) -> NoReturn:
    """Raise MalformedBody that shows the body to send."""
    if call.shape is None:
        raise InvalidRequest(why, **facts)
    raise call.shape.missing(call.medium, why, **facts)


# --------------------------------------------------------------------------------------- inventory


def parameters(call: Call, listed: Sequence[Wire] | None) -> dict[str, str]:
    """A list of name and value as a mapping. An entry without a value says nothing and is left out."""
    found: dict[str, str] = {}
    for item in listed or ():
        name, value = item.get("name"), item.get("value")
        if not name:
            refuse(call, "every parameter needs a name", field="parameters.name")
        if name in found:
            refuse(call, f"the parameter {name[:60]!r} is given twice", field="parameters.name")
        if value is not None:
            found[name] = value
    return found


def enrolment(call: Call, config: Wire) -> GroupEnrolment:
    """One group of a clustered network function, with its devices."""
    devices = tuple(
        DeviceEnrolment(device.get("name"), parameters(call, device.get("parameters")))
        for device in config.get("deviceConfigs") or ()
    )
    shared = parameters(call, config.get("parameters"))
    if config.get("name"):
        shared["name"] = config["name"]
    return GroupEnrolment(shared, devices)


def named(call: Call, field: str) -> str:
    """The `name` of an object in the body, such as `nfType`."""
    name = (call.body.get(field) or {}).get("name")
    if not name:
        refuse(call, f"{field} needs a name", field=f"{field}.name")
    return str(name)


# --------------------------------------------------------------------------------------- elements


def element(call: Call) -> Element:
    """The element the body is about, its children with it."""
    return _element(call, call.body)


def parent(call: Call) -> Element | None:
    """What the body names with `parentElement`: the outermost element, with the ones between as its children."""
    return _parent(call, call.body)


def _parent(call: Call, of: Wire) -> Element | None:
    wire: Wire | None = of.get("parentElement")
    if wire is None:
        return None
    chain = _element(call, wire)
    while (wire := wire.get("parentElement")) is not None:
        outer = _element(call, wire)
        chain = replace(outer, children=(*outer.children, chain))
    return chain


def batch(call: Call) -> tuple[BatchEdit, ...]:
    """The edits of a batch, in order."""
    return tuple(_batch_edit(call, wire) for wire in call.body["edits"])


def _batch_edit(call: Call, wire: Wire) -> BatchEdit:
    asked, config = str(wire.get("operation") or "").strip(), wire.get("configElement")
    if asked.upper() not in set(BatchVerb) or config is None:
        refuse(call, f"every edit has an operation ({', '.join(BatchVerb)}) and a configElement", field="edits")
    return BatchEdit(BatchVerb(asked.upper()), _element(call, config), _parent(call, config))


def _element(call: Call, wire: Wire) -> Element:
    path = (wire.get("elementTypePath") or "").strip()
    if not path:
        refuse(call, "every element needs an elementTypePath", field="elementTypePath")
    attributes: dict[str, str] = {}
    for item in wire.get("attributes") or ():
        name = item.get("name")
        if not name:
            refuse(call, f"every attribute of {path[:60]} needs a name", field="attributes.name")
        if name in attributes:
            refuse(call, f"the attribute {name[:60]!r} of {path[:60]} is given twice", field="attributes.name")
        attributes[name] = item.get("value") or ""
    return Element(path, attributes, tuple(_element(call, child) for child in wire.get("childrenElements") or ()))
