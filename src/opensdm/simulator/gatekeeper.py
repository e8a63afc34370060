"""What comes before and after every request: TLS, version, media type, token, rights, journal, delays and cuts."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import falcon
import falcon.asgi

from opensdm.simulator.device import Device
from opensdm.simulator.journal import Note
from opensdm.simulator.tokens import Grant
from opensdm.simulator.wire import BODY_LIMIT, MEDIA_TYPE, envelope

READS = frozenset({"GET", "HEAD", "OPTIONS"})
CONFIGURATION_KINDS = frozenset({"lock", "unlock", "element", "management"})


class Refused(falcon.HTTPError):
    """An error answer of the device: a status, a sentence, and links to what would work."""

    def __init__(self, status: int, message: str, links: Sequence[str] = (), **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(status, description=message, headers=named or None)
        self.device_links = tuple(links)


class DeviceResource:
    """A resource of the documented API. `kind` names its writes in the journal."""

    kind = "other"
    needs_token = True
    admin_reads = False

    def __init__(self, device: Device) -> None:
        self.device = device

    async def on_options(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, **params: str) -> None:
        """The documented API has no OPTIONS."""
        methods = [verb for verb in ("GET", "POST", "PUT", "DELETE") if hasattr(self, f"on_{verb.lower()}")]
        raise falcon.HTTPMethodNotAllowed(methods)

    def require_lock(self, req: falcon.asgi.Request) -> None:
        """423 unless the token of this request holds the configuration lock."""
        if self.device.tokens.holds(req.context.token):
            return
        raise Refused(423, locked_message(self.device) or "User does not have the configuration lock")


def locked_message(device: Device) -> str | None:
    holder = device.tokens.lock_holder()
    return None if holder is None else f"The configuration lock is held by {holder}"


class Gatekeeper:
    """Middleware of the virtual SBC."""

    def __init__(self, device: Device, plain_http: bool, cut: Callable[[Any], None]) -> None:
        self._device = device
        self._plain_http = plain_http
        self._cut = cut

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        client = req.scope.get("client") or ("unknown", 0)
        host = f"[{client[0]}]" if ":" in client[0] else client[0]
        req.context.note = Note(f"{host}:{client[1]}", req.method, req.relative_uri)
        req.context.cut = False
        if req.scheme != "https" and not self._plain_http:
            raise Refused(426, "Client must connect with HTTPS", Upgrade="TLS/1.2, HTTP/1.1", Connection="Upgrade")

    async def process_resource(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: object, params: dict[str, Any]
    ) -> None:
        if not isinstance(resource, DeviceResource):
            return
        note: Note = req.context.note
        note.kind = resource.kind
        req.context.body = await _body(req)
        note.body_sha256 = hashlib.sha256(req.context.body).hexdigest() if req.context.body else ""
        known = self._device.api_versions
        if params.get("version", known[0]) not in known:
            bases = [f"{req.prefix}/rest/{version}" for version in known]
            raise Refused(404, f"REST API version {params['version']} is not supported", bases)
        if not req.client_accepts(MEDIA_TYPE):
            raise Refused(406, f"Only {MEDIA_TYPE} can be sent")
        if resource.needs_token:
            self._admit(req, resource)

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: object, req_succeeded: bool
    ) -> None:
        note: Note | None = getattr(req.context, "note", None)
        if note is None or not req.path.startswith("/rest/"):
            return
        if req.method in READS:
            self._device.journal.record_read(note, resp.status_code)
            return
        note.answered = not req.context.cut
        self._device.journal.record(note, resp.status_code if note.answered else 0)
        if note.kind in CONFIGURATION_KINDS and self._device.controls.write_delay_s:
            await asyncio.sleep(self._device.controls.write_delay_s)
        if req.context.cut:
            self._cut(req.scope.get("client"))

    def _admit(self, req: falcon.asgi.Request, resource: DeviceResource) -> None:
        grant = self._grant(req)
        writes = req.method not in READS
        if writes and resource.kind in CONFIGURATION_KINDS and self._device.controls.take_switch():
            self._device.switch_over()
        if not grant.admin and (writes or resource.admin_reads):
            raise Refused(403, "Administrator privileges are required")
        if writes and not self._device.controls.writable:
            raise Refused(403, f"The system is {self._device.controls.role}: only an active system can be configured")

    def _grant(self, req: falcon.asgi.Request) -> Grant:
        scheme, _, token = (req.auth or "").partition(" ")
        grant = self._device.tokens.find(token.strip()) if scheme.lower() == "bearer" else None
        if grant is None:
            raise Refused(401, "Client not authorized: no valid access token", WWW_Authenticate="Bearer")
        req.context.token = token.strip()
        req.context.note.user = grant.user
        req.context.note.token = grant.digest
        return grant


async def _body(req: falcon.asgi.Request) -> bytes:
    if req.method in READS:
        return b""
    body: bytes = await req.stream.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        raise Refused(413, f"The body is larger than {BODY_LIMIT} bytes")
    return body


def error_body(req: falcon.asgi.Request, resp: falcon.asgi.Response, error: falcon.HTTPError) -> None:
    """Every error in the one envelope of the device; JSON on the simulator's own paths."""
    message = error.description or error.title or "error"
    if req.path.startswith("/simulator/"):
        resp.media = {"error": message}
        resp.content_type = falcon.MEDIA_JSON
        return
    resp.data = envelope(messages=[message], links=getattr(error, "device_links", ()))
    resp.content_type = MEDIA_TYPE
