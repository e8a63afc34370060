"""Mutated envelopes, thousands of them, are answered with an envelope, never with a bug, and change nothing.

Bob holds the device, so that nothing of alice's may change it whatever an envelope turns into; what is about no device
is sent as somebody who may only look.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from lxml import etree

from opensdm.core.operations import ListDevices, LoadConfiguration, LockDevice, UnlockDevice
from tests.acceptance.rest_site import Site, site
from tests.doors.soap.bodies import BODIES
from tests.doors.soap.mutator import mutated
from tests.doors.soap.sender import V11, V12, envelope, request

ENVELOPES = (f"{{{V11}}}Envelope", f"{{{V12}}}Envelope")
SERVER_WIDE = ("addDevice", "addDeviceGroup", "deleteDeviceGroup")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as opened:
        device_id = opened.enrol("edge-a")
        opened.run(opened.house.do("bob", LoadConfiguration(device_id=device_id)))
        opened.run(opened.house.do("bob", LockDevice(device_id=device_id)))
        yield opened


class Attacker:
    """Sends what it made, and looks at what comes back."""

    def __init__(self, place: Site) -> None:
        self._url = f"{place.base}/ACMEWS/services/AdminMgmtIF"
        self._http = requests.Session()
        self._http.trust_env = False
        self._tokens = {user: place.run(place.house.caller(user)).token for user in ("alice", "mona")}
        self.heard: Counter[str] = Counter()

    def send(self, seed: str) -> None:
        chance = random.Random(seed)
        _, body = mutated(chance)
        user = "mona" if any(name.encode() in body for name in SERVER_WIDE) or chance.random() < 0.2 else "alice"
        if b"logOut" in body:
            user = ""
        media = chance.choice(("text/xml", "text/xml", "application/soap+xml", "application/xml"))
        answer = self.post(user, body, media)
        self.heard[self._judge(answer, seed, body)] += 1

    def post(self, user: str, body: bytes, media: str) -> requests.Response:
        headers = {"Content-Type": media, "SID": self._tokens.get(user) or ""}
        return self._http.post(self._url, data=body, headers=headers, timeout=60)

    def _judge(self, answer: requests.Response, seed: str, body: bytes) -> str:
        about = f"seed {seed!r}: {body[:2000]!r} was answered {answer.status_code}: {answer.text[:2000]}"
        assert answer.headers["Content-Type"].startswith(("text/xml", "application/soap+xml")), about
        root = etree.fromstring(answer.content)
        assert root.tag in ENVELOPES and len(root) == 1, about
        code = next((found.text or "" for found in root.iter("code")), "")
        assert code != "INTERNAL_ERROR" and "Traceback" not in answer.text, about
        if answer.status_code == 200:
            return "answered"
        (fault,) = root[0]
        assert answer.status_code in (400, 500) and etree.QName(fault).localname == "Fault", about
        return code or "no detail"


def state(place: Site) -> dict[str, list[Any]]:
    """Everything but when who logged in last: an envelope may still be a login after what was done to it."""
    found = place.everything()
    found["user_account"] = [row[:-1] for row in found["user_account"]]
    return found


def attack(place: Site, count: int, salt: str) -> Counter[str]:
    attacker, before = Attacker(place), state(place)
    for number in range(count):
        attacker.send(f"{salt}-{number}")
    assert state(place) == before
    return attacker.heard


def test_five_hundred_mutated_envelopes_change_nothing(place: Site) -> None:
    heard = attack(place, 500, "short")
    assert heard["answered"] > 20 and heard["INVALID_REQUEST"] > 100 and heard["DEVICE_LOCKED"] > 3, heard


@pytest.mark.prove
def test_ten_thousand_mutated_envelopes_change_nothing(place: Site) -> None:
    heard = attack(place, 10_000, "long")
    assert sum(heard.values()) == 10_000 and len(heard) > 6, heard


def test_what_is_not_mutated_changes_something_where_nobody_holds_the_device(place: Site) -> None:
    """The same sender, the same requests: the lock kept them out, and the look would have seen them."""
    device_id = place.by_console(ListDevices(filters={"name": "edge-a"})).items[0].device.device_id
    place.run(place.house.do("bob", UnlockDevice(device_id=device_id)))
    before, attacker = state(place), Attacker(place)
    for name in ("addConfigElement", "saveAndActivateConfig"):
        attacker.post("alice", envelope(request(name, BODIES[name])).encode(), "text/xml")
    after = state(place)
    assert after["written to the device"] != before["written to the device"]
    assert {name for name in after if after[name] != before[name]} >= {"device"}
