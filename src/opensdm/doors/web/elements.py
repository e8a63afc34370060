"""One element: its form, its sub-elements, and staging what was typed; a refusal leaves the form as it was filled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from opensdm.core.element import Element, ElementType
from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import (
    AddElement,
    DeleteElement,
    DraftElement,
    RetrieveElement,
    ShowElementType,
    UpdateElement,
)
from opensdm.core.references import top_of
from opensdm.core.results import TypeShown
from opensdm.core.validation import key_of, validate_values
from opensdm.doors.errors import row as error_row
from opensdm.doors.web.controls import FIELD, changed_values, controls, drawn, given_values
from opensdm.doors.web.places import Place, place_of
from opensdm.doors.web.provisioning import Desk, Row, base_of, desk, go_on, page, telling
from opensdm.doors.web.routing import Call, Reply, Route


async def show_element(call: Call) -> Reply:
    at, place = await desk(call), place_of(call.asked("at"))
    if at.why is not None:
        raise at.why
    known = await _type(call, place.path)
    element: Element = await call.execute(
        RetrieveElement(
            device_id=call.id("device"), element=place.element(at.types), parent=place.parent(at.types)
        )
    )  # fmt: skip
    fields = controls(known.type, element, known.referred, new=False)
    change = next((c for c in at.changes.changes if (c.path, c.key) == place.steps[0]), None)
    return page(
        call, "element.html", at, active_tab="elements", kind=known.type, place=place, fields=fields,
        was=drawn(fields), below=_below(at, place, known.type, element), edit=change.edit.value if change else "",
        open=top_of(place.path),
    )  # fmt: skip


async def show_new(call: Call) -> Reply:
    """A draft with its defaults. `at`: the element that it goes into, for a sub-element."""
    at = await desk(call)
    if at.why is not None:
        raise at.why
    path, inside = call.asked("type"), place_of(call.asked("at")) if call.asked("at") else None
    known = await _type(call, path)
    draft: Element = await call.execute(DraftElement(device_id=call.id("device"), element_path=path))
    fields = controls(known.type, draft, known.referred, new=True)
    return page(
        call, "element_new.html", at, active_tab="elements", kind=known.type, inside=inside, fields=fields,
        open=top_of(path),
    )  # fmt: skip


async def _type(call: Call, path: str) -> TypeShown:
    known: TypeShown = await call.execute(ShowElementType(device_id=call.id("device"), element_path=path))
    return known


def _below(
    at: Desk, place: Place, kind: ElementType, element: Element
) -> list[tuple[ElementType, list[str], list[Row]]]:
    """Each type of sub-element with what there is of it."""
    found = []
    for child in kind.children:
        here = [each for each in element.children if each.path == child.path]
        rows = [Row(place.below(key_of(at.schema, each)), each) for each in here]
        found.append((child, telling(child, here), rows))
    return found


# ------------------------------------------------------------------------------------------- staging


async def add(call: Call) -> Reply:
    at, path = await desk(call), call.sent("type")
    if path not in at.types:
        typed = {name.removeprefix(FIELD): sent[-1] for name, sent in call.form.items() if name.startswith(FIELD)}
        return await _unreadable(call, AddElement(device_id=call.id("device"), element=Element(path, typed)))
    inside = place_of(call.sent("at")) if call.sent("at") else None
    kind = at.types[path]
    new = Element(path, given_values(kind, call.form))
    parent = None if inside is None else inside.chain(at.types)

    async def stage() -> Reply:
        made: Element = await call.execute(AddElement(device_id=call.id("device"), element=new, parent=parent))
        key = key_of(at.schema, made)
        place = Place((key,)) if inside is None else inside.below(key)
        return _to(call, at, place, "added")

    return await _told_at_its_field(call, at, new, stage)


async def update(call: Call) -> Reply:
    """Only what was changed in the form is sent; other values may have changed since it was drawn."""
    at, place = await desk(call), place_of(call.sent("at"))
    kind = at.types.get(place.path)
    if kind is None:
        return await _unreadable(call, UpdateElement(device_id=call.id("device"), element=Element(place.path)))
    changed = changed_values(kind, call.form)
    if not changed:
        return _unchanged(call, at, place)
    named = place.element(at.types)
    edit = Element(named.path, {**named.attributes, **changed})

    async def stage() -> Reply:
        await call.execute(UpdateElement(device_id=call.id("device"), element=edit, parent=place.parent(at.types)))
        return _to(call, at, place, "updated")

    return await _told_at_its_field(call, at, edit, stage)


async def delete(call: Call) -> Reply:
    at, place = await desk(call), place_of(call.sent("at"))
    await call.execute(
        DeleteElement(
            device_id=call.id("device"), element=place.element(at.types), parent=place.parent(at.types)
        )
    )  # fmt: skip
    if place.above is not None:
        return _to(call, at, place.above, "deleted")
    return go_on(call, f"{at.base}?{urlencode({'type': place.path})}", "deleted")


async def _unreadable(call: Call, edit: AddElement | UpdateElement) -> Reply:
    """Of a type that is not known here, or of a device that was never loaded. The gate refuses it, and names who holds
    the device before any other fault."""
    await call.execute(edit)
    return Reply.to(base_of(edit.device_id))


def _to(call: Call, at: Desk, place: Place, done: str) -> Reply:
    return go_on(call, f"{at.base}/element?{place.query}", done)


def _unchanged(call: Call, at: Desk, place: Place) -> Reply:
    if call.fragment:
        return Reply.page("done.html", words="Nothing was changed, so nothing was staged.")
    return Reply.to(f"{at.base}/element?{place.query}")


async def _told_at_its_field(call: Call, at: Desk, new: Element, stage: Callable[[], Awaitable[Reply]]) -> Reply:
    """What is wrong with values is said beside their fields; the form stays as it is, with the secrets in it. The gate
    names one; what it would say of the others is told with it."""
    kind = at.types[new.path]
    try:
        return await stage()
    except InvalidRequest as error:
        named = _field_of(error)
        own = error.facts.get("elementTypePath") == kind.path and FIELD + named in call.form
        if not call.fragment or not own:
            raise
        wrong = {named: _plainly(error, kind, named)} | _others(kind, new, error, call)
        at_field = ("HX-Retarget", f'[data-error="{named}"]'), ("HX-Reswap", "innerHTML")
        values = {"words": wrong.pop(named), "others": wrong}
        return Reply("field_error.html", values, error_row(type(error)).status(exact=True), headers=at_field)


def _field_of(error: InvalidRequest) -> str:
    return str(error.facts.get("attribute") or next(iter(error.facts.get("missing") or ()), ""))


def _plainly(error: InvalidRequest, kind: ElementType, named: str) -> str:
    if error.facts.get("missing") or error.message.startswith(f"{kind.path} needs a value"):
        return f"{named} is needed"
    return error.message.removeprefix(f"{kind.path}: ").removeprefix(f"{named}: ")


def _others(kind: ElementType, new: Element, error: InvalidRequest, call: Call) -> dict[str, str]:
    """By the same rules as the gate's, which judges again when the form is sent anew. A form with `type` is of a new
    element, and has all of it."""
    found: dict[str, str] = {}
    for attribute in kind.attributes:
        given = new.attributes.get(attribute.name)
        needed = attribute.key or (attribute.required and not attribute.default)
        if given is None and needed and call.sent("type"):
            found[attribute.name] = f"{attribute.name} is needed"
        elif given is not None:
            try:
                validate_values(kind, {attribute.name: given})
            except InvalidRequest as other:
                found[attribute.name] = _plainly(other, kind, attribute.name)
    return {name: words for name, words in found.items() if FIELD + name in call.form and name != _field_of(error)}


_BASE = "/devices/{device}/provisioning"
ROUTES = (
    Route("GET", _BASE + "/element", show_element),
    Route("GET", _BASE + "/new", show_new),
    Route("POST", _BASE + "/add", add),
    Route("POST", _BASE + "/update", update),
    Route("POST", _BASE + "/delete", delete),
)
