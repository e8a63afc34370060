"""What an edit is on the wire: the requests, in order, that create, change or delete one element."""

from __future__ import annotations

from dataclasses import dataclass

from opensdm.core.element import Element, Schema
from opensdm.core.inventory import MASKED
from opensdm.core.ports import ElementEdit
from opensdm.core.validation import describe_key, element_type, is_secret, key_of
from opensdm.drivers.acme_elements import Translator
from opensdm.drivers.acme_http import Params
from opensdm.drivers.acme_xml import DeviceElement, element_body

ELEMENTS = "configuration/configElements"


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One write. `good`: the statuses that mean done; `what` and `hide` are for the message if it is not."""

    method: str
    good: tuple[int, ...]
    what: str
    params: Params = ()
    body: bytes | None = None
    hide: frozenset[str] = frozenset()

    @property
    def shown(self) -> str:
        """The request in a line, without secrets."""
        text = f"{self.method} /{ELEMENTS}"
        if self.params:
            text += "?" + "&".join(f"{name}={value}" for name, value in self.params)
        if self.body is not None:
            text += " " + " ".join(self.body.decode().split("\n"))
        for secret in self.hide:
            text = text.replace(secret, MASKED)
        return text


def requests_for(translator: Translator, schema: Schema, edit: ElementEdit) -> list[WriteRequest]:
    before, after = edit.before, edit.after
    if before is None:
        return [] if after is None else _create(translator, schema, after)
    if after is None:
        return [_delete(translator, schema, before)]
    if translator.vanished(before, after):
        # A change cannot say that no sub-element of a kind is left; making the element anew does.
        return [_delete(translator, schema, before), *_create(translator, schema, after)]
    return [_put(schema, after, translator.changed(before, after))]


def _create(translator: Translator, schema: Schema, after: Element) -> list[WriteRequest]:
    whole = translator.to_device(after)
    if not element_type(schema, after.path).singleton:
        return [_post(schema, after, whole)]
    # A singleton is made bare; what it holds is a change of it.
    bare = _post(schema, after, DeviceElement(whole.type))
    return [bare, _put(schema, after, whole)] if whole.attributes or whole.children else [bare]


def _post(schema: Schema, after: Element, sent: DeviceElement) -> WriteRequest:
    what = _named(schema, after)
    return WriteRequest("POST", (200, 201), what, body=element_body(sent), hide=_secrets(schema, after))


def _put(schema: Schema, after: Element, sent: DeviceElement) -> WriteRequest:
    what = f"the change of {_named(schema, after)}"
    return WriteRequest("PUT", (200,), what, body=element_body(sent), hide=_secrets(schema, after))


def _delete(translator: Translator, schema: Schema, before: Element) -> WriteRequest:
    params = [("elementType", translator.device_type(before.path))]
    params += [(name, value) for name, values in translator.keys(before).items() for value in values or ("",)]
    return WriteRequest("DELETE", (200, 204), f"to delete {_named(schema, before)}", params)


def _named(schema: Schema, element: Element) -> str:
    return describe_key(key_of(schema, element))


def _secrets(schema: Schema, element: Element) -> frozenset[str]:
    """Every secret value in the element, to be struck out of whatever the device says about it."""
    return frozenset(
        value
        for each in element.walk()
        for name, value in each.attributes.items()
        if is_secret(element_type(schema, each.path).attribute(name))
    )
