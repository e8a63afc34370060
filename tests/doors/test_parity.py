"""Every operation that several doors offer, through each: the same result, the same effect, the same refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import pytest
import requests
from lxml import etree

from opensdm.core.operations import (
    AddDeviceGroup,
    ListDeviceGroups,
    ListDevices,
    LoadConfiguration,
    LockDevice,
    ShowLock,
    ShowPendingChanges,
    UnassignDevice,
)
from tests.acceptance.rest_site import Site, site
from tests.doors import wire
from tests.doors.parity_table import ROWS, Row
from tests.doors.soap.sender import Reply, envelope, request

FORMS = ("rest-xml", "rest-json", "soap")
TWINS = [row for row in ROWS if row.rest is not None]
SENDERS = ("nobody", "mona", "bob")
_PLACE = re.compile(r"\{(?:(nf|group):)?([^}]+)\}")

Told = tuple[str, Any, Any]
"""The code of a refusal or "", what was answered, and how everything stands afterwards."""


class Door:
    """One server, spoken to through one door in one form."""

    def __init__(self, place: Site, form: str) -> None:
        self.place, self.form = place, form
        self._http = requests.Session()
        self._http.trust_env = False
        self.device_id = place.enrol("edge-a")
        place.by_console(AddDeviceGroup(group_name="East", parent_full_name="Home"))
        spare = place.run(place.house.enrol("edge-old", "192.0.2.66:443"))
        place.by_console(UnassignDevice(device_id=spare))
        place.run(place.house.do("alice", LoadConfiguration(device_id=self.device_id)))
        place.run(place.house.do("alice", LockDevice(device_id=self.device_id)))
        users = ("alice", "bob", "mona")
        self._tokens = {user: place.run(place.house.caller(user, again=True)).token for user in users}

    def send(self, row: Row, user: str) -> tuple[str, Any]:
        """The code and the view of the answer."""
        token = self._tokens.get(user)
        headers = {"Cookie": f"JSESSIONID={token}"} if token else {}
        return self._soap(row, headers) if self.form == "soap" else self._rest(row, headers)

    def _soap(self, row: Row, headers: dict[str, str]) -> tuple[str, Any]:
        url = f"{self.place.base}/ACMEWS/services/any"
        body = envelope(request(row.name, row.body)).encode()
        answer = self._http.post(url, data=body, headers={**headers, "Content-Type": "text/xml"}, timeout=60)
        self._http.cookies.clear()
        reply = Reply(answer.status_code, answer.headers, answer.text)  # type: ignore[arg-type]
        return ("", row.told(reply.result())) if reply.status == 200 else (reply.code, None)

    def _rest(self, row: Row, headers: dict[str, str]) -> tuple[str, Any]:
        assert row.rest is not None
        method, path, root, content = row.rest
        medium = self.form.removeprefix("rest-")
        headers = {**headers, "Accept": f"application/{medium}"}
        body = None
        if content is not None:
            headers["Content-Type"] = f"application/{medium}"
            body = (json.dumps(content) if medium == "json" else _xml(root, content)).encode()
        url = f"{self.place.base}/rest/v1.4{_PLACE.sub(self._id, path)}"
        answer = self._http.request(method, url, data=body, headers=headers, timeout=60)
        self._http.cookies.clear()
        found: Any = wire.read(answer) if answer.content else {}
        return (found["code"], None) if answer.status_code >= 400 else ("", row.seen(found))

    def _id(self, place: re.Match[str]) -> str:
        kind, name = place[1], place[2]
        if kind == "group":
            groups = self.place.by_console(ListDeviceGroups()).items
            return next((f"ID{g.group.group_id}" for g in groups if g.group.full_name == name), "ID99999")
        devices = self.place.by_console(ListDevices(filters={"name": name})).items
        found = next((d.device for d in devices), None)
        return "ID99999" if found is None else f"ID{found.nf_id if kind == 'nf' else found.device_id}"

    def standing(self) -> Any:
        """How everything stands that these operations change, by the gate's own account."""
        do, house = self.place.run, self.place.house
        changes = do(house.do("alice", ShowPendingChanges(device_id=self.device_id))).changes
        lock = do(house.do("mona", ShowLock(device_id=self.device_id)))
        devices = self.place.by_console(ListDevices()).items
        groups = self.place.by_console(ListDeviceGroups()).items
        return {
            "staged": [(c.edit, c.path, c.key, c.before, c.after) for c in changes],
            "holder": lock.row.holder_name,
            "devices": [
                (d.device.device_name, d.device.assigned, d.device.last_operation, _plain(d.device.parameters))
                for d in devices
            ],
            "groups": [g.group.full_name for g in groups],
            "written": self.place.written(),
        }


def _plain(parameters: Mapping[str, str]) -> dict[str, str]:
    """Without what is another in every site."""
    return {name: value for name, value in parameters.items() if not value.startswith("127.0.0.1:")}


def _xml(name: str, content: Any) -> str:
    """Flat: a list is its items, one after another."""
    if isinstance(content, list):
        return "".join(_xml(name, item) for item in content)
    if isinstance(content, Mapping):
        return f"<{name}>{''.join(_xml(field, value) for field, value in content.items())}</{name}>"
    return f"<{name}>{escape(str(content))}</{name}>"


@dataclass(frozen=True)
class Heard:
    """What one door said: refusals by operation and sender, then what alice was told, by operation."""

    refused: Mapping[tuple[str, str], str]
    told: Mapping[str, Told]
    names: tuple[str, ...]


def listen(place: Site, form: str) -> Heard:
    door, refused = Door(place, form), {}
    before = door.standing()
    for row in TWINS:
        for user in SENDERS:
            if user != "bob" or not row.everybodys:
                refused[row.name, user] = door.send(row, user)[0]
    assert door.standing() == before, "a refusal changed something"
    told: dict[str, Told] = {}
    for row in TWINS:
        code, view = door.send(row, "alice")
        told[row.name] = code, view, door.standing() if row.changes else None
    return Heard(refused, told, tuple(told))


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Heard]]:
    found = {}
    for form in FORMS:
        with site(tmp_path_factory.mktemp(form)) as place:
            found[form] = listen(place, form)
    yield found


@pytest.mark.parametrize("name", [row.name for row in TWINS])
def test_the_same_result_and_effect_through_every_door(heard: dict[str, Heard], name: str) -> None:
    told = {form: heard[form].told[name] for form in FORMS}
    for part, what in enumerate(("code", "answer", "effect")):
        for form in FORMS[1:]:
            assert told[form][part] == told[FORMS[0]][part], f"{name}: {what} over {form}"


@pytest.mark.parametrize("name", [row.name for row in TWINS])
def test_the_same_refusal_through_every_door(heard: dict[str, Heard], name: str) -> None:
    for user in SENDERS:
        codes = {form: heard[form].refused.get((name, user)) for form in FORMS}
        assert len(set(codes.values())) == 1, f"{name} as {user}: {codes}"


def test_most_operations_were_answered_and_some_refused(heard: dict[str, Heard]) -> None:
    """So that the doors do not agree on nothing."""
    codes = {name: told[0] for name, told in heard["soap"].told.items()}
    assert {name: code for name, code in codes.items() if code} == {
        "addDeviceToEMLicense": "ALREADY_EXISTS",
        "removeDeviceFromEMLicense": "NOT_ASSIGNED",
        "deleteConfigElement": "NOT_FOUND",
    }
    by_bob = {name: code for (name, user), code in heard["soap"].refused.items() if user == "bob"}
    assert by_bob["lockDevice"] == by_bob["applyBatch"] == by_bob["saveConfig"] == "DEVICE_LOCKED"
    assert by_bob["unlockDevice"] == "NOT_LOCK_OWNER" and by_bob["getSBCDetails"] == ""
    by_mona = {name: code for (name, user), code in heard["soap"].refused.items() if user == "mona"}
    assert by_mona["addDevice"] == by_mona["lockDevice"] == "FORBIDDEN"
    by_nobody = {code for (name, user), code in heard["soap"].refused.items() if user == "nobody" and name != "login"}
    assert by_nobody == {"NOT_LOGGED_IN"}


def test_every_published_operation_has_its_row() -> None:
    """Read from the WSDL files with lxml alone."""
    from opensdm.doors.soap.contract import FOLDER

    published = {
        str(each.get("name"))
        for file in FOLDER.glob("*.wsdl")
        for each in etree.parse(str(file)).iterfind(".//{http://schemas.xmlsoap.org/wsdl/}portType/*")
    }
    assert sorted(row.name for row in ROWS) == sorted(published)
    assert len(published) > 55
    assert all(row.rest is not None or row.alone for row in ROWS)
