"""`/configuration/configElements`: reading, adding, changing and deleting configuration elements over HTTP."""

from collections.abc import Callable
from urllib.parse import urlencode

import falcon
from falcon.asgi import Request, Response

from opensdm.simulator.element import (
    Draft,
    Element,
    ElementFault,
    Key,
    change,
    create,
    draft_key,
    key_text,
    missing_keys,
)
from opensdm.simulator.gatekeeper import DeviceResource, Refused
from opensdm.simulator.rest import named_type
from opensdm.simulator.schema import ElementSpec
from opensdm.simulator.stores import Configuration
from opensdm.simulator.wire import MEDIA_TYPE, MalformedBody, page, read_element

PAGE = 100
NOT_KEYS = frozenset({"elementType", "running", "offset", "maxElements"})


class ConfigElements(DeviceResource):
    """Elements of the editing configuration, or of the running one with `running=true` (reading only)."""

    kind = "element"

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        spec = self._spec(req)
        running = req.get_param_as_bool("running", default=False)
        configuration = self.device.stores.running if running else self.device.stores.editing
        asked = self._asked(spec, req)
        if len(asked) == len(spec.keys):
            element = _existing(configuration, spec, _key(spec, asked))
            resp.data = page([element])
            return
        offset = req.get_param_as_int("offset", min_value=0, default=0)
        size = min(req.get_param_as_int("maxElements", min_value=1, default=PAGE), PAGE)
        if not asked:
            self._page(req, resp, configuration.slice(spec, offset, size), offset + size < configuration.count(spec))
            return
        matching = [
            element
            for element in configuration.of_type(spec)
            if all(sorted(element.attributes[name]) == sorted(values) for name, values in asked.items())
        ]
        self._page(req, resp, matching[offset : offset + size], offset + size < len(matching))

    async def on_post(self, req: Request, resp: Response, version: str) -> None:
        spec, draft = self._draft(req)
        key = draft_key(spec, draft)
        if self.device.stores.editing.get(spec, key) is not None:
            raise Refused(409, f"{spec.name} {key_text(spec, key)} exists already".replace("  ", " "))
        if spec.singleton and (draft.attributes or draft.children):
            raise Refused(400, f"{spec.name} is a singleton: POST its elementType alone, then PUT its attributes")
        self._store(req, resp, _checked(lambda: create(spec, draft)))

    async def on_put(self, req: Request, resp: Response, version: str) -> None:
        spec, draft = self._draft(req)
        if missing := missing_keys(spec, draft):
            raise Refused(400, f"{spec.name}: key attribute {', '.join(missing)} is missing")
        element = _existing(self.device.stores.editing, spec, draft_key(spec, draft))
        self._store(req, resp, _checked(lambda: change(spec, element, draft)))

    async def on_delete(self, req: Request, resp: Response, version: str) -> None:
        self.require_lock(req)
        spec = self._spec(req)
        asked = self._asked(spec, req)
        if missing := [name for name in spec.keys if name not in asked]:
            raise Refused(400, f"{spec.name}: key attribute {', '.join(missing)} is missing")
        key = _key(spec, asked)
        _existing(self.device.stores.editing, spec, key)
        req.context.note.subject = f"{spec.name} {key_text(spec, key)}".strip()
        if self._is_applied(req):
            self.device.stores.editing.remove(spec, key)
        resp.status = falcon.HTTP_204

    def _draft(self, req: Request) -> tuple[ElementSpec, Draft]:
        """The type and the content of a write; refuses by lock, media type, form and type, in this order."""
        self.require_lock(req)
        # The documentation wants the header; a client known to work with real devices never sends it.
        if (req.content_type or MEDIA_TYPE).partition(";")[0].strip().lower() != MEDIA_TYPE:
            raise Refused(415, f"The body must be {MEDIA_TYPE}")
        try:
            draft = read_element(req.context.body)
        except MalformedBody as fault:
            raise Refused(400, str(fault)) from None
        spec = self.device.schema.elements.get(draft.type)
        if spec is None:
            raise Refused(404, f"There is no element type {draft.type}")
        req.context.note.subject = f"{spec.name} {key_text(spec, draft_key(spec, draft))}".strip()
        return spec, draft

    def _store(self, req: Request, resp: Response, element: Element) -> None:
        if self._is_applied(req):
            self.device.stores.editing.put(element)
        resp.data = page([element])

    def _is_applied(self, req: Request) -> bool:
        """Whether a good write is really stored: not when a control cuts it off or loses it."""
        controls = self.device.controls
        req.context.cut = controls.take_drop()
        applied = controls.drop_applies if req.context.cut else not controls.take_lost_edit()
        req.context.note.stored = applied
        return applied

    def _spec(self, req: Request) -> ElementSpec:
        spec = named_type(self.device, req)
        if "/" in req.get_param("elementType", required=True):
            raise Refused(404, "A sub-element is read and changed with its element")
        return spec

    def _asked(self, spec: ElementSpec, req: Request) -> dict[str, tuple[str, ...]]:
        """The key attributes in the query; a list attribute is repeated for each of its values."""
        asked = {name: tuple(req.get_param_as_list(name) or ("",)) for name in req.params if name not in NOT_KEYS}
        for name in asked:
            if name not in spec.keys:
                raise Refused(400, f"{name} is not a key attribute of {spec.name}")
        return asked

    def _page(self, req: Request, resp: Response, elements: list[Element], following: bool) -> None:
        links = []
        if following:
            query = [(name, value) for name in req.params for value in req.get_param_as_list(name) or ()]
            query = [pair for pair in query if pair[0] not in {"offset", "maxElements"}]
            offset = req.get_param_as_int("offset", default=0) + len(elements)
            query += [("offset", str(offset)), ("maxElements", str(len(elements)))]
            links.append(f"{req.prefix}{req.path}?{urlencode(query)}")
        resp.data = page(elements, links)


def _existing(configuration: Configuration, spec: ElementSpec, key: Key) -> Element:
    element = configuration.get(spec, key)
    if element is None:
        raise Refused(404, f"There is no {spec.name} {key_text(spec, key)}".strip())
    return element


def _key(spec: ElementSpec, asked: dict[str, tuple[str, ...]]) -> Key:
    return tuple(tuple(sorted(asked[name])) for name in spec.keys)


def _checked(build: Callable[[], Element]) -> Element:
    try:
        return build()
    except ElementFault as fault:
        raise Refused(400, str(fault)) from None
