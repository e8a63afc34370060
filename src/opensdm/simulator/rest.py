"""The resources of the device-side REST API that have to do with configuration, except elements: token, lock, types."""

import base64
import binascii
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import falcon
import falcon.asgi
from falcon.asgi import Request, Response

from opensdm.simulator.device import Account, Device
from opensdm.simulator.element import template
from opensdm.simulator.gatekeeper import DeviceResource, Refused, locked_message
from opensdm.simulator.schema import ElementSpec
from opensdm.simulator.stores import Configuration
from opensdm.simulator.tokens import token_digest
from opensdm.simulator.wire import element_xml, envelope, job_xml, metadata_xml, parent, text_element

# The first is what the vendor's documentation writes, the second what clients send.
FORM_TYPES = ("x-www-form-urlencoded", "application/x-www-form-urlencoded")
BACKUP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,119}")


class SupportedVersions(DeviceResource):
    """`GET /rest/api/supportedversions`: needs no token, because a client asks before it can log in."""

    needs_token = False

    async def on_get(self, req: Request, resp: Response) -> None:
        known = self.device.api_versions
        versions = [text_element("version", version) for version in known]
        resp.data = envelope([*versions, text_element("latestVersion", known[-1])])


class AuthToken(DeviceResource):
    """`POST /auth/token`: Basic credentials for a token; with a live token in the body, its successor and its lock."""

    kind = "token"
    needs_token = False

    async def on_post(self, req: Request, resp: Response, version: str) -> None:
        account = self._account(req)
        if account is None:
            raise Refused(
                401, "Client not authorized: wrong user name or password", WWW_Authenticate='Basic realm="SBC"'
            )
        note = req.context.note
        note.user = account.username
        current = self._current(req)
        tokens = self.device.tokens
        if current is None:
            token: str | None = tokens.issue(account.username, account.admin, note.client)
        else:
            token = tokens.renew(current, account.username, account.admin, note.client)
        if token is None:
            raise Refused(401, "Client not authorized: the token in the body is unknown or expired")
        note.token = token_digest(token)
        note.subject = "issued" if current is None else f"renewed {token_digest(current)}"
        resp.data = envelope([text_element("accessToken", token)])

    def _account(self, req: Request) -> Account | None:
        scheme, _, encoded = (req.auth or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            username, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self.device.account(username, password) if colon else None

    def _current(self, req: Request) -> str | None:
        """The token in the body, bare or as a form value; None when there is no body."""
        text: str = req.context.body.decode("utf-8", "replace").strip()
        if not text:
            return None
        if (req.content_type or "").partition(";")[0].strip().lower() not in FORM_TYPES:
            raise Refused(415, f"The body of a token request must be {FORM_TYPES[0]}")
        bare = [text] + [value for _, value in parse_qsl(text)]
        return next((token for token in bare if self.device.tokens.find(token)), text)


class Lock(DeviceResource):
    """`POST /configuration/lock`: 204, or 423 when somebody else has the lock."""

    kind = "lock"

    async def on_post(self, req: Request, resp: Response, version: str) -> None:
        if not self.device.tokens.lock(req.context.token):
            raise Refused(423, locked_message(self.device) or "The configuration is locked")
        req.context.note.stored = True
        resp.status = falcon.HTTP_204


class Unlock(DeviceResource):
    """`POST /configuration/unlock`: 204, or 423 when this token does not have the lock."""

    kind = "unlock"

    async def on_post(self, req: Request, resp: Response, version: str) -> None:
        self.require_lock(req)
        self.device.tokens.unlock(req.context.token)
        req.context.note.stored = True
        resp.status = falcon.HTTP_204


class ElementTypes(DeviceResource):
    """`GET /configuration/elementTypes`: all types; `single="true"` marks singletons."""

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        types = parent("elementTypes")
        for spec in self.device.schema.elements.values():
            node = parent("elementType", text_element("name", spec.name), text_element("description", spec.description))
            node.set("single", "true" if spec.singleton else "false")
            types.append(node)
        resp.data = envelope([types])


class Metadata(DeviceResource):
    """`GET /configuration/elementTypes/metadata?elementType=T`: the schema of a type or of a sub-element path."""

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        resp.data = envelope(metadata_xml(named_type(self.device, req)))


class Template(DeviceResource):
    """`GET /configuration/elementTypes/template?elementType=T[&subElement=S]`: a new instance with its defaults.

    `T` may be a sub-element path such as `sip-interface/sip-port`; `subElement` adds an optional sub-element.
    """

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        spec = named_type(self.device, req)
        wanted = req.get_param_as_list("subElement") or []
        for name in wanted:
            if name not in spec.children:
                raise Refused(404, f"{spec.name} has no sub-element {name}")
        top = "/" not in req.get_param("elementType", required=True)
        resp.data = envelope([element_xml(template(spec, wanted), "configElement" if top else "subElement")])


class Management(DeviceResource):
    """`/configuration/management`: PUT verify, save, restore; POST activate, backup. 202 and a link to poll.

    Releases 8.2 know no backup, and call the parameter `restoreSource` `restoreType`.
    """

    kind = "management"

    async def on_put(self, req: Request, resp: Response, version: str) -> None:
        match self._action(req):
            case "verify":
                self.device.verify()
            case "save":
                self.device.save()
            case "restore":
                self.device.restore(self._restore_source(req))
            case action:
                raise Refused(400, f"action {action} is not one of verify, save, restore")
        self._accepted(req, resp, version)

    async def on_post(self, req: Request, resp: Response, version: str) -> None:
        match self._action(req):
            case "activate":
                self.device.activate()
            case "backup" if not self.device.is_old:
                source = self._store(req, "backupSource", ("running", "saved", "editing"))
                self.device.back_up(self._file(req), source)
            case action:
                raise Refused(400, f"action {action} is not one of activate, backup")
        self._accepted(req, resp, version)

    def _action(self, req: Request) -> str:
        self.require_lock(req)
        action: str = req.get_param("action", required=True)
        req.context.note.subject = action
        if self.device.jobs.busy:
            raise Refused(423, "Another configuration operation is in progress")
        return action

    def _accepted(self, req: Request, resp: Response, version: str) -> None:
        accepted(req, resp, version)

    def _restore_source(self, req: Request) -> Configuration:
        parameter = "restoreType" if self.device.is_old else "restoreSource"
        if req.get_param(parameter) != "backupFile":
            return self._store(req, parameter, ("running", "saved"))
        file = self._file(req)
        if file not in self.device.stores.backups:
            raise Refused(404, f"There is no backup file {file}")
        return self.device.stores.backups[file].configuration

    def _store(self, req: Request, parameter: str, allowed: tuple[str, ...]) -> Configuration:
        name = req.get_param(parameter, required=True)
        if name not in allowed:
            raise Refused(400, f"{parameter} {name} is not one of {', '.join(allowed)}")
        stores = self.device.stores
        return {"running": stores.running, "saved": stores.saved, "editing": stores.editing}[name]

    def _file(self, req: Request) -> str:
        file: str = req.get_param("filename", required=True)
        if not BACKUP_NAME.fullmatch(file):
            raise Refused(400, "filename must be a plain file name, without a path")
        return file if file.endswith(".gz") else f"{file}.gz"


class BackupFiles(DeviceResource):
    """`GET /configuration/management/files`: the backups that exist."""

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        files = [
            parent(
                "backupFile",
                text_element("name", name),
                text_element("size", str(backup.size)),
                text_element("modified", datetime.fromtimestamp(backup.taken_us / 1e6, UTC).isoformat()),
            )
            for name, backup in sorted(self.device.stores.backups.items())
        ]
        resp.data = envelope(files)


class AsyncStatus(DeviceResource):
    """`GET /admin/asyncstatus`: the state of the latest operation, whoever asked for it."""

    admin_reads = True

    async def on_get(self, req: Request, resp: Response, version: str) -> None:
        job = self.device.jobs.latest
        if job is None:
            raise Refused(404, "No asynchronous operation was requested yet")
        resp.data = envelope(job_xml(job))


def accepted(req: Request, resp: Response, version: str) -> None:
    """202 and the link to poll, for an operation that was started."""
    req.context.note.stored = True
    resp.status = falcon.HTTP_202
    resp.data = envelope(links=[f"{req.prefix}/rest/{version}/admin/asyncstatus"])


def named_type(device: Device, req: Request) -> ElementSpec:
    """The type that the query names: 400 when it names none, 404 when there is no such type."""
    path: str = req.get_param("elementType", required=True)
    spec = device.schema.find(path)
    if spec is None:
        raise Refused(404, f"There is no element type {path}")
    return spec
