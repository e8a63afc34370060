"""Every door as one who wants a lock meets it: signs in there, sends the same request in its tongue, hears the same.

A door is asked by operation and field names of the core; what it makes of them is written here by hand.
"""

from __future__ import annotations

import io
import json
import logging
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
import structlog
from lxml import etree
from lxml import html as lxml_html

from opensdm.cli import main
from tests.acceptance.rest_site import Site
from tests.doors import wire
from tests.doors.soap.sender import Reply, config, envelope, request, target
from tests.gatehouse import PASSWORD

NOBODY = ""
REALM = {"id": "parity"}


@dataclass(frozen=True)
class Device:
    """What a request is about, by the names that doors use."""

    number: int
    name: str
    nf: int = 0

    @property
    def id(self) -> str:
        return f"ID{self.number}"


@dataclass(frozen=True)
class Told:
    """What a door answers: "" or the code of a refusal, with its first blocker. `text`: all of it. `next`: what it
    says may be done, as lines of shell or as the labels of buttons."""

    code: str = ""
    kind: str | None = None
    holder: str | None = None
    since: str | None = None
    reason: str | None = None
    running: str | None = None
    confirm: bool = False
    view: str | None = None
    text: str = field(default="", compare=False)
    next: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        code: str,
        blockers: Sequence[Mapping[str, Any]],
        text: str,
        helps: Sequence[str] = (),
        view: str | None = None,
    ) -> Told:
        first = blockers[0] if blockers else {}
        kind, holder, since, reason, running = (
            first.get(name) or None for name in ("kind", "holder", "since", "reason", "running")
        )
        confirm = str(first.get("confirm")).lower() == "true"
        return cls(code, kind, holder, since, reason, running, confirm, view, text, tuple(helps))


class Door:
    """One door in one form. `kind`: its column in the table of what doors have."""

    kind: str
    name: str

    def __init__(self, place: Site) -> None:
        self.place = place
        self._http: dict[str, requests.Session] = {}

    def send(self, operation: str, user: str, device: Device, **fields: Any) -> Told:
        raise NotImplementedError

    def _session(self, user: str) -> requests.Session:
        """Signed in once for each user; for `NOBODY` one that is not."""
        if user not in self._http:
            http = self._http[user] = requests.Session()
            http.trust_env = False
            if user != NOBODY:
                self._sign_in(http, user)
        return self._http[user]

    def _sign_in(self, http: requests.Session, user: str) -> None:
        raise NotImplementedError


# ------------------------------------------------------------------------------------------- REST

_WIRE = {
    "reason": "reason", "wait_s": "waitSeconds", "lease_s": "leaseSeconds", "scope": "scope", "epoch": "epoch",
    "expected_holder": "expectedHolder", "expected_epoch": "expectedEpoch", "mode": "mode", "transfer": "transfer",
    "message": "message", "note": "note",
}  # fmt: skip


class Rest(Door):
    """`version` v1.4 is ours; the others are published."""

    def __init__(self, place: Site, version: str, medium: str) -> None:
        super().__init__(place)
        self.version, self.medium = version, medium
        self.name = f"rest-{version}-{medium}"
        self.kind = "rest-own" if version == "v1.4" else "rest-published"

    def _sign_in(self, http: requests.Session, user: str) -> None:
        body = wire.simple(self.medium, "session", userName=user, password=PASSWORD)
        assert self._http_send(http, "POST", "/admin/login", body).status_code == 200

    def send(self, operation: str, user: str, device: Device, **fields: Any) -> Told:
        inventory, config_at = f"/inventory/deviceMgmt/devices/{device.id}", f"/configuration/devices/{device.id}"
        group = f"/inventory/nfMgmt/nfs/ID{device.nf}/groups/ID{device.nf}"
        method, path, root, content = {
            "LockDevice": ("POST", f"{inventory}/action", "deviceAction", {"type": "Lock"}),
            "UnlockDevice": ("POST", f"{inventory}/action", "deviceAction", {"type": "Unlock"}),
            "LockGroup": ("POST", f"{group}/action", "deviceGroupAction", {"type": "Lock"}),
            "UnlockGroup": ("POST", f"{group}/action", "deviceGroupAction", {"type": "Unlock"}),
            "LockDevices": ("POST", "/inventory/locks/action", "locksAction", {"type": "Lock"}),
            "UnlockDevices": ("POST", "/inventory/locks/action", "locksAction", {"type": "Unlock"}),
            "OverrideLock": ("POST", f"{inventory}/lock/override", "lockOverride", {}),
            "AskForLock": ("POST", f"{inventory}/lock/ask", "lockAsk", {}),
            "ConfirmDevice": ("POST", f"{inventory}/confirm", "confirmation", {}),
            "CheckLock": ("GET", f"{inventory}/lock/check", "", None),
            "LoadConfiguration": ("GET", f"{config_at}/loadConfig", "", None),
            "PushChanges": ("POST", f"{config_at}/action", "deviceAction", {"type": "SaveConfig"}),
            "AddElement": ("POST", f"/configuration/deviceConfigs/{device.id}/configElements/add", "", {}),
        }[operation]  # fmt: skip
        body: str | None = None
        if operation == "AddElement":
            body = wire.element(self.medium, "realmConfig", **REALM)
        elif content is not None:
            given = {_WIRE[name]: value for name, value in fields.items()}
            if operation in ("LockDevices", "UnlockDevices"):
                given["deviceIds"] = [device.id]
            body = self._body(root, content | given)
        return self._told(self._http_send(self._session(user), method, path, body))

    def _http_send(self, http: requests.Session, method: str, path: str, body: str | None) -> requests.Response:
        headers = {"Accept": f"application/{self.medium}"}
        if body is not None:
            headers["Content-Type"] = f"application/{self.medium}"
        url = f"{self.place.base}/rest/{self.version}{path}"
        return http.request(method, url, data=None if body is None else body.encode(), headers=headers, timeout=60)

    def _body(self, root: str, content: Mapping[str, Any]) -> str:
        if self.medium == "json":
            return json.dumps(content)
        listed = [(n, v) for n, value in content.items() for v in (value if isinstance(value, list) else [value])]
        inner = "".join(f"<{n}>{str(v).lower() if isinstance(v, bool) else v}</{n}>" for n, v in listed)
        return f"<{root}>{inner}</{root}>"

    def _told(self, answer: requests.Response) -> Told:
        found: Any = wire.read(answer) if answer.content else {}
        if answer.status_code >= 400:
            helps = wire.listed(found["next"])
            return Told.of(found["code"], wire.listed(found.get("blockers")), found["message"], helps)
        return Told.of("", wire.listed(found.get("blockers")), answer.text, view=found.get("would"))


# ------------------------------------------------------------------------------------------- SOAP


class Soap(Door):
    kind, name = "soap", "soap"

    def _sign_in(self, http: requests.Session, user: str) -> None:
        reply = self._post(http, "login", f"<username>{user}</username><password>{PASSWORD}</password>")
        assert reply.status == 200, reply.text

    def send(self, operation: str, user: str, device: Device, **fields: Any) -> Told:
        assert not fields, "there is no place for it"
        name, more = {
            "LockDevice": ("lockDevice", ""),
            "UnlockDevice": ("unlockDevice", ""),
            "LoadConfiguration": ("loadDevice", ""),
            "PushChanges": ("saveConfig", ""),
            "AddElement": ("addConfigElement", config("realmConfig", **REALM)),
        }[operation]
        reply = self._post(self._session(user), name, target(device.name) + more)
        if reply.status == 200:
            return Told()
        message = reply.detail.findtext("message") or ""
        helps = [node.text or "" for node in reply.detail.findall("next")]
        return Told.of(reply.code, [_children(node) for node in reply.detail.findall("blockers")], message, helps)

    def _post(self, http: requests.Session, name: str, inner: str) -> Reply:
        url = f"{self.place.base}/ACMEWS/services/any"
        body, headers = envelope(request(name, inner)).encode(), {"Content-Type": "text/xml"}
        answer = http.post(url, data=body, headers=headers, timeout=60)
        return Reply(answer.status_code, answer.headers, answer.text)  # type: ignore[arg-type]


def _children(node: etree._Element) -> dict[str, str]:
    return {str(etree.QName(child).localname): child.text or "" for child in node}


# -------------------------------------------------------------------------------------------- web

_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
_FORM = {"expected_holder": "holder", "expected_epoch": "epoch", "lease_s": "lease"}


class Web(Door):
    """Forms as a browser without scripts sends them; each with the token of a page drawn for that session."""

    kind, name = "web", "web"

    def __init__(self, place: Site) -> None:
        super().__init__(place)
        self._tokens: dict[str, str] = {NOBODY: "0" * 64}

    def _sign_in(self, http: requests.Session, user: str) -> None:
        token = self._token(http, "/web/sign-in")
        self._post(http, "/web/sign-in", csrf=token, user=user, password=PASSWORD)
        self._tokens[user] = self._token(http, "/web")

    def _token(self, http: requests.Session, path: str) -> str:
        found = _TOKEN.search(http.get(self.place.base + path, timeout=60).text)
        assert found is not None
        return found[1]

    def send(self, operation: str, user: str, device: Device, **fields: Any) -> Told:
        path, fixed = {
            "LockDevice": ("/lock", {}),
            "UnlockDevice": ("/unlock", {}),
            "AskForLock": ("/ask", {}),
            "OverrideLock": ("/override", {}),
            "ConfirmDevice": ("/confirm", {}),
            "LoadConfiguration": ("/provisioning/load", {}),
            "PushChanges": ("/provisioning/push", {"action": "SaveConfig"}),
            "AddElement": ("/provisioning/add", {"type": "realmConfig", "v:id": REALM["id"]}),
        }[operation]
        http = self._session(user)
        given = {_FORM.get(name, name): _typed(name, value) for name, value in fields.items()}
        answer = self._post(http, f"/web/devices/{device.id}{path}", csrf=self._tokens[user], **fixed, **given)
        return self._told(answer)

    def selected(self, deed: str, user: str, device: Device) -> str:
        """What becomes of a selection of one device."""
        http = self._session(user)
        return self._post(http, "/web/selection", csrf=self._tokens[user], kind=deed, device=device.id).text

    def _post(self, http: requests.Session, path: str, **form: str) -> requests.Response:
        return http.post(self.place.base + path, data=form, timeout=60, allow_redirects=False)

    def _told(self, answer: requests.Response) -> Told:
        if answer.status_code == 303:
            return Told()
        assert answer.status_code >= 400, answer.text
        page: Any = lxml_html.fromstring(answer.text)
        (alert,) = page.find_class("refusal")
        lines = [_line(each) for each in alert.find_class("refusal-blocker")]
        helps = [each.text_content().strip() for each in alert.find_class("btn-sm")]
        return Told.of(str(alert.get("data-code")), lines, alert.text_content(), helps)


def _typed(name: str, value: Any) -> str:
    if name == "lease_s":
        return str(value // 60)
    return {True: "yes", False: ""}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _line(node: Any) -> dict[str, str | None]:
    """Who, since when and why of one line of a banner, by what is bold, a time, or quoted."""
    words = " ".join(node.text_content().split())
    time, quoted = node.find("time"), node.find("q")
    work = re.match(r"(\w+) (\w+) of \w+ (?:runs|was cut off) ", words)
    return {
        "kind": "lock" if " holds " in words else "pending" if " waits for " in words else "work",
        "holder": node.find("b").text,
        "since": None if time is None else time.get("datetime"),
        "reason": None if quoted is None else quoted.text,
        "confirm": "true" if " was cut off " in words else None,
        "running": None if work is None else f"{work[1]}{work[2].capitalize()}",
    }


# -------------------------------------------------------------------------------------------- CLI

_EXIT = {"DEVICE_LOCKED": 3, "DEVICE_BUSY": 4, "NOT_LOCK_OWNER": 5, "LOCK_LOST": 6}
OTHER = "any other code"
_LOCKED = re.compile(r"locked by (\w+) since (\S+Z)(?: \((.*?)\))?[;\n]")
_WORKS = re.compile(r"(\w+) of (\w+) (?:is running|was cut off) on \S+ since (\S+Z)")


class Cli(Door):
    """The very program, in this process. Its exit codes tell the refusals of locks apart, and no others."""

    kind, name = "cli", "cli"

    def send(self, operation: str, user: str, device: Device, **fields: Any) -> Told:
        verb = {
            "LockDevice": "take",
            "UnlockDevice": "release",
            "AskForLock": "ask",
            "CheckLock": "check",
            "OverrideLock": "override",
            "ConfirmDevice": "confirm",
        }[operation]
        options = [word for name, value in fields.items() for word in _option(name, value)]
        code, out, err = self._run("lock", verb, device.name, *options, "--user", user)
        told = Told(text=out) if code == 0 else _heard(code, err)
        if operation != "CheckLock" or code not in (0, 3, 4):
            return told
        view = {3: "refuse", 4: "wait"}.get(code, "held" if "by you" in out else "grant")
        return replace(told, code="", view=view)

    def shell(self, line: str) -> tuple[int, str, str]:
        """A recommended command, as it stands."""
        program, *words = shlex.split(line)
        assert program == "opensdm"
        return self._run(*words)

    def _run(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), _logs_as_they_are():
            patch.setenv("OPENSDM_PASSWORD", PASSWORD)
            patch.setenv("OPENSDM_URL", self.place.base)
            patch.setattr("sys.argv", ["opensdm", *words])
            with pytest.raises(SystemExit) as ended:
                main()
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@contextmanager
def _logs_as_they_are() -> Iterator[None]:
    """A command sets up the logs of its process, which here is everybody's."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**config)


def _option(name: str, value: Any) -> list[str]:
    if name in ("mode", "transfer"):
        return {"graceful": ["--graceful"], True: ["--transfer"]}.get(value, [])
    flag = {"wait_s": "--wait", "expected_holder": "--holder", "expected_epoch": "--epoch"}.get(name, f"--{name}")
    return [flag, str(value)]


def _heard(exit_code: int, said: str) -> Told:
    code = next((name for name, number in _EXIT.items() if number == exit_code), OTHER)
    helps = tuple(said.strip().partition("; see: ")[2].split(", or: "))
    if work := _WORKS.search(said):
        return Told(code, "work", work[2], work[3], None, work[1], " was cut off " in said, text=said, next=helps)
    if lock := _LOCKED.search(said):
        return Told(code, "lock", lock[1], lock[2], lock[3], text=said, next=helps)
    return Told(code, text=said)


def doors(place: Site) -> tuple[Door, ...]:
    rest = [("v1.0", "xml"), ("v1.1", "json"), ("v1.2", "xml"), ("v1.3", "json"), ("v1.3", "xml")]
    own = [("v1.4", "xml"), ("v1.4", "json")]
    return (*(Rest(place, *each) for each in rest + own), Soap(place), Web(place), Cli(place))
