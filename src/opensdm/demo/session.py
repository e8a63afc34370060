"""What the demo prints: everything is a line of shell or a comment, so all of it can be pasted as it stands.

Comments hold no quotes and no parentheses: shells that take comments for commands must not be caught in them.
"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

XML, JSON = "application/xml", "application/json"
REALM = "realmConfig"


@dataclass(frozen=True, slots=True)
class SbcFacts:
    """One virtual SBC: the device that stands for it, where it listens, and how to enter it."""

    name: str
    device_id: str
    url: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the running demo. `new`: users added now, with their passwords; `chosen`: one for all."""

    url: str
    data: Path
    temporary: bool
    authority: Path
    groups: Mapping[str, str]
    new: Mapping[str, str] = field(repr=False)
    chosen: str | None = field(repr=False)
    sbcs: tuple[SbcFacts, ...] = ()
    proxied: bool = False

    @property
    def base(self) -> str:
        """Where a client on this machine reaches the server."""
        parts = urlsplit(self.url)
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(parts.hostname or "")  # noqa: S104
        return f"{parts.scheme}://{host}:{parts.port}" if host else self.url

    def password(self, user: str) -> str:
        """The password, as far as it is known; else what stands for it."""
        return self.new.get(user) or self.chosen or f"PASSWORD-OF-{user.upper()}"


def text_of(facts: Facts) -> str:
    """The whole page, beginning with the line that says where the server listens."""
    tag = secrets.token_hex(2)
    lines = [
        f"opensdm: listening on {facts.url}",
        "",
        *_introduction(facts),
        "",
        f"export CURL_CA_BUNDLE={_q(facts.authority)} REQUESTS_CA_BUNDLE={_q(facts.authority)}",
    ]
    if facts.proxied:
        lines.append('export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"')
    for session in (_xml_session(facts, f"demo-xml-{tag}"), _json_session(facts, f"demo-json-{tag}")):
        lines += ["", *session]
    lines += ["", *_python_session(facts, f"demo-py-{tag}"), "", "# Ctrl-C here ends the demo."]
    return "\n".join(lines)


def _introduction(facts: Facts) -> Iterator[str]:
    yield f"# Data directory: {facts.data}" + (", removed at the end of the demo" if facts.temporary else "")
    yield "# Users:"
    for name, group in facts.groups.items():
        if name not in facts.new:
            shown = "password unchanged since it was first shown"
        elif facts.chosen is not None:
            shown = "password as in OPENSDM_DEMO_PASSWORD"
        else:
            shown = f"password {facts.new[name]}"
        yield f"#   {name:<6} {group:<15} {shown}"
    yield "# Devices, each a virtual SBC in a network function of its own under Home:"
    for sbc in facts.sbcs:
        own = f"user {sbc.user}, password {sbc.password}"
        yield f"#   {sbc.name} is {sbc.device_id}; its own REST API is at {sbc.url}, {own}"
    yield "# Passwords are shown this once. What follows is shell: paste it into another terminal, in parts or whole."
    if not {"alice", "bob"} <= facts.new.keys() and facts.chosen is None:
        yield "# First put the passwords of alice and bob in place of PASSWORD-OF-ALICE and PASSWORD-OF-BOB."


# --------------------------------------------------------------------------------------- curl


class _Curl:
    """Writes curl lines for one user, in one format."""

    def __init__(self, facts: Facts, user: str, media_type: str) -> None:
        self._base = f"{facts.base}/rest"
        self._jar = facts.data / f"{user}.cookies"
        self._media_type = media_type

    def login(self, body: str) -> str:
        return self._line("-c", "/admin/login", body, "v1.3", "POST")

    def get(self, path: str, version: str = "v1.3") -> str:
        return self._line("-b", path, None, version, "GET")

    def post(self, path: str, body: str | None = None, version: str = "v1.3") -> str:
        return self._line("-b", path, body, version, "POST")

    def _line(self, cookies: str, path: str, body: str | None, version: str, method: str) -> str:
        words = ["curl", "-sS", "-w", r"\nHTTP %{http_code}\n", cookies, str(self._jar)]
        words += ["-H", f"Accept: {self._media_type}"]
        if body is not None:
            words += ["-H", f"Content-Type: {self._media_type}", "-d", body]
        elif method == "POST":
            words += ["-X", "POST"]
        return " ".join(_q(word) for word in [*words, f"{self._base}/{version}{path}"])


def _xml_session(facts: Facts, realm: str) -> Iterator[str]:
    sbc = facts.sbcs[0]
    alice, bob = _Curl(facts, "alice", XML), _Curl(facts, "bob", XML)
    element = (
        f"<configElement><elementTypePath>{REALM}</elementTypePath>"
        f"<attributes><name>id</name><value>{realm}</value></attributes>"
        "<attributes><name>description</name><value>added over XML</value></attributes></configElement>"
    )
    yield "# ---------- The session in XML, with curl"
    yield f"# alice logs in, lists the devices, and locks {sbc.name}"
    yield alice.login(_xml_login("alice", facts.password("alice")))
    yield alice.get("/inventory/deviceMgmt/devices")
    yield alice.post(_device(sbc, "/action"), _xml_action("Lock"))
    yield "# bob is refused, and told by whom and since when it is locked"
    yield bob.login(_xml_login("bob", facts.password("bob")))
    yield bob.post(_device(sbc, "/action"), _xml_action("Lock"))
    yield bob.post("/admin/logout")
    yield "# alice loads the configuration, adds a realm, looks at her changes, and pushes them to the device"
    yield alice.get(_managed(sbc, "/loadConfig"))
    yield alice.post(_elements(sbc, "/configElements/add"), element)
    yield alice.get(_elements(sbc, "/configurationChanges"))
    yield alice.post(_managed(sbc, "/action"), _xml_action("SaveActivateConfig"))
    yield from _on_the_device(sbc, realm)
    yield "# alice lets go and logs out"
    yield alice.post(_device(sbc, "/action"), _xml_action("Unlock"))
    yield alice.post("/admin/logout")


def _json_session(facts: Facts, realm: str) -> Iterator[str]:
    sbc = facts.sbcs[0]
    alice, bob = _Curl(facts, "alice", JSON), _Curl(facts, "bob", JSON)
    yield "# ---------- The same in JSON, with curl"
    yield f"# alice logs in, lists the devices, and locks {sbc.name}"
    yield alice.login(_json_login("alice", facts.password("alice")))
    yield alice.get("/inventory/deviceMgmt/devices")
    yield alice.post(_device(sbc, "/action"), _json(type="Lock"))
    yield "# bob is refused; from v1.4 on with the exact status, 423"
    yield bob.login(_json_login("bob", facts.password("bob")))
    yield bob.post(_device(sbc, "/action"), _json(type="Lock"), "v1.4")
    yield bob.post("/admin/logout")
    yield "# alice loads the configuration, adds a realm, looks at her changes, and pushes them to the device"
    yield alice.get(_managed(sbc, "/loadConfig"))
    yield alice.post(_elements(sbc, "/configElements/add"), _json(**_realm(realm, "added over JSON")))
    yield alice.get(_elements(sbc, "/configurationChanges"))
    yield alice.post(_managed(sbc, "/action"), _json(type="SaveActivateConfig"))
    yield from _on_the_device(sbc, realm)
    yield "# alice lets go and logs out"
    yield alice.post(_device(sbc, "/action"), _json(type="Unlock"))
    yield alice.post("/admin/logout")


def _on_the_device(sbc: SbcFacts, realm: str) -> Iterator[str]:
    base = f"{sbc.url}/rest/v1.2"
    asked = f"{base}/configuration/configElements?elementType=realm-config&identifier={realm}&running=true"
    yield f"# {realm} is on {sbc.name} itself: asked of its own REST API, not of OpenSDM"
    find = r"s:.*<accessToken>\(.*\)</accessToken>.*:\1:p"
    yield (
        f"TOKEN=$(curl -sS -X POST -u {_q(f'{sbc.user}:{sbc.password}')} -H 'Accept: application/xml' "
        f"{_q(f'{base}/auth/token')} | sed -n {_q(find)})"
    )
    yield f"curl -sS -H \"Authorization: Bearer $TOKEN\" -H 'Accept: application/xml' {_q(asked)}; echo"


# --------------------------------------------------------------------------------------- Python


def _python_session(facts: Facts, realm: str) -> Iterator[str]:
    sbc = facts.sbcs[0]
    # The interpreter that runs the demo, where it has requests: else whatever the machine calls python3.
    python = _q(sys.executable) if find_spec("requests") else "python3"
    yield "# ---------- The same with Python and requests"
    yield f"{python} - <<'EOF'"
    yield "import requests"
    yield f"base, device = {facts.base + '/rest/v1.3'!r}, {sbc.device_id!r}"
    yield "def show(answer):"
    yield '    print(answer.request.method, answer.url, "->", answer.status_code, answer.text)'
    yield "def login(name, password):"
    yield "    session = requests.Session()"
    yield '    session.headers["Accept"] = "application/json"'
    yield '    show(session.post(base + "/admin/login", json={"userName": name, "password": password}))'
    yield "    return session"
    yield f"alice = login('alice', {facts.password('alice')!r})"
    yield f"bob = login('bob', {facts.password('bob')!r})"
    yield 'lock = base + "/inventory/deviceMgmt/devices/" + device + "/action"'
    yield 'managed = base + "/configuration/devices/" + device'
    yield 'elements = base + "/configuration/deviceConfigs/" + device'
    yield f"realm = {_realm(realm, 'added with Python')!r}"
    yield 'show(alice.get(base + "/inventory/deviceMgmt/devices"))'
    yield 'show(alice.post(lock, json={"type": "Lock"}))'
    yield 'show(bob.post(lock, json={"type": "Lock"}))'
    yield 'show(alice.get(managed + "/loadConfig"))'
    yield 'show(alice.post(elements + "/configElements/add", json=realm))'
    yield 'show(alice.get(elements + "/configurationChanges"))'
    yield 'show(alice.post(managed + "/action", json={"type": "SaveActivateConfig"}))'
    yield f"sbc, login_of_sbc = {sbc.url + '/rest/v1.2'!r}, ({sbc.user!r}, {sbc.password!r})"
    yield 'token = requests.post(sbc + "/auth/token", auth=login_of_sbc, headers={"Accept": "application/xml"}).text'
    yield 'token = token.split("<accessToken>")[1].split("</accessToken>")[0]'
    yield f'asked = {{"elementType": "realm-config", "identifier": {realm!r}, "running": "true"}}'
    yield 'entry = {"Authorization": "Bearer " + token, "Accept": "application/xml"}'
    yield 'show(requests.get(sbc + "/configuration/configElements", params=asked, headers=entry))'
    yield 'show(alice.post(lock, json={"type": "Unlock"}))'
    yield 'show(alice.post(base + "/admin/logout"))'
    yield 'show(bob.post(base + "/admin/logout"))'
    yield "EOF"


# --------------------------------------------------------------------------------------- bodies and paths


def _device(sbc: SbcFacts, rest: str) -> str:
    return f"/inventory/deviceMgmt/devices/{sbc.device_id}{rest}"


def _managed(sbc: SbcFacts, rest: str) -> str:
    return f"/configuration/devices/{sbc.device_id}{rest}"


def _elements(sbc: SbcFacts, rest: str) -> str:
    return f"/configuration/deviceConfigs/{sbc.device_id}{rest}"


def _xml_login(user: str, password: str) -> str:
    return f"<session><userName>{user}</userName><password>{escape(password, quote=False)}</password></session>"


def _json_login(user: str, password: str) -> str:
    return _json(userName=user, password=password)


def _xml_action(kind: str) -> str:
    return f"<deviceAction><type>{kind}</type></deviceAction>"


def _realm(realm: str, description: str) -> dict[str, object]:
    attributes = [{"name": "id", "value": realm}, {"name": "description", "value": description}]
    return {"elementTypePath": REALM, "attributes": attributes}


def _json(**fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _q(word: object) -> str:
    return shlex.quote(str(word))
