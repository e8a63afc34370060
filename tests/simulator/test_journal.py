"""The journal: who wrote what, when, and that no secret is in it."""

import hashlib
import time

import requests

from tests.simulator.box import PASSWORD, USER, Box, Client, element
from tests.simulator.conftest import Connect


def test_writes_are_recorded_in_order_with_their_author(box: Box, connect: Connect) -> None:
    begun_us = time.time_ns() // 1000
    first, second = connect(box).log_in(), connect(box).log_in()
    first.lock()
    body = element("realm-config", identifier="x")
    first.add(body)
    second.add(body)
    first.elements("realm-config")
    first.delete("realm-config", identifier="x")
    first.do("PUT", "save")
    first.unlock()
    entries = box.simulator.journal.entries()
    assert [(each.kind, each.subject, each.status, each.stored) for each in entries] == [
        ("token", "issued", 200, False),
        ("token", "issued", 200, False),
        ("lock", "", 204, True),
        ("element", "realm-config identifier=x", 200, True),
        ("element", "", 423, False),
        ("element", "realm-config identifier=x", 204, True),
        ("management", "save", 202, True),
        ("unlock", "", 204, True),
    ]
    added, refused = entries[3], entries[4]
    digest = hashlib.sha256(first.token.encode()).hexdigest()
    assert added.token is not None and digest.startswith(added.token) and added.token != refused.token
    assert added.user == USER and added.client.startswith("127.0.0.1:") and added.client != refused.client
    assert added.body_sha256 == hashlib.sha256(body.encode()).hexdigest()
    assert (added.method, added.path) == ("POST", "/rest/v1.2/configuration/configElements")
    assert entries[5].path.endswith("?elementType=realm-config&identifier=x")
    assert [each.sequence for each in entries] == list(range(1, 9))
    assert begun_us <= entries[0].at_us <= entries[-1].at_us <= time.time_ns() // 1000
    assert sorted(each.monotonic_us for each in entries) == [each.monotonic_us for each in entries]
    assert [each.sequence for each in box.simulator.journal.writes()] == [4, 6]


def test_requests_that_never_got_in_are_recorded_too(box: Box, connect: Connect) -> None:
    stranger = connect(box)
    stranger.add(element("realm-config", identifier="x"))
    stranger.call("POST", "no/such/path")
    entries = box.simulator.journal.entries()
    assert [(each.kind, each.status, each.user) for each in entries] == [("element", 401, None), ("other", 404, None)]


def test_the_journal_over_http_and_without_secrets(box: Box, editor: Client) -> None:
    editor.add(element("realm-config", identifier="x"))
    with requests.Session() as http:
        everything = http.get(f"{box.url}/simulator/journal", timeout=10)
        some = http.get(f"{box.url}/simulator/journal?kind=element", timeout=10).json()
    assert everything.headers["content-type"].startswith("application/json")
    assert everything.json()["entries"] == [each.as_json() for each in box.simulator.journal.entries()]
    assert [each["kind"] for each in some["entries"]] == ["element"] and some["dropped"] == 0
    assert PASSWORD not in everything.text and editor.token not in everything.text
