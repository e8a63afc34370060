"""Secrets, made-up elements in any number, release 8.2, boot parameters, statistics, and the journal's reads."""

from __future__ import annotations

import time

import pytest

from opensdm.simulator.generated import MOST, generated
from opensdm.simulator.schema import load_schema
from tests.simulator.box import Box, Client, element, found, message, sub, texts, values, xml
from tests.simulator.conftest import Connect, Launch


def realm(client: Client, password: str, name: str = "safe", *, change: bool = False) -> str:
    """Stores a realm with an account; its password as the device shows it."""
    body = element("realm-config", sub("auth-attribute", auth_realm="r", password=password), identifier=name)
    assert (client.change if change else client.add)(body).status_code == 200
    (stored,) = found(client.elements("realm-config", identifier=name))
    account = stored.find("subElement")
    assert account is not None
    return values(account, "password")[0]


# ------------------------------------------------------------------------------------------------ secrets


def test_a_secret_is_shown_in_an_opaque_form_that_is_taken_back_as_it_is(editor: Client) -> None:
    shown = realm(editor, "Open-sesame-1")
    assert shown.startswith("$1$") and "sesame" not in shown
    assert realm(editor, "Open-sesame-1", "other") == shown
    assert realm(editor, shown, change=True) == shown
    assert realm(editor, "Open-sesame-2", change=True) not in (shown, "Open-sesame-2")
    assert realm(editor, "", change=True) == ""
    assert realm(editor, "$1$short", change=True) != "$1$short"


def test_a_secret_is_nowhere_in_the_clear(editor: Client, box: Box) -> None:
    body = element("realm-config", sub("auth-attribute", auth_realm="r", password="Open-sesame-1"), identifier="x")
    assert "sesame" not in editor.add(body).text
    assert "sesame" not in str(box.simulator.stores.dump()) and "sesame" not in repr(box.simulator.journal.entries())
    facts = xml(editor.call("GET", "configuration/elementTypes/metadata?elementType=realm-config"))
    kinds = {each.findtext("name"): each.findtext("type") for each in facts.iter("attributeMetadata")}
    assert kinds["password"] == "password"


# --------------------------------------------------------------------------------------------------- size


@pytest.mark.parametrize("kind", ["session-agent", "sessionAgent", "realm-config", "host-route", "access-control"])
def test_elements_are_made_up_in_any_number(box: Box, client: Client, kind: str) -> None:
    name = "session-agent" if kind == "sessionAgent" else kind
    before = len(box.simulator.stores.running.of_type(load_schema().elements[name]))
    box.simulator.control({"elements": {kind: 150}})
    for query in ({}, {"running": "true"}):
        answer = client.elements(name, **query)
        assert len(found(answer)) == 100
        following = client.http.get(texts(answer, "links/link")[0], timeout=10)
        assert len(found(following)) == 50 + before and texts(following, "links/link") == []


@pytest.mark.parametrize(
    "wanted", [{"nothing": 1}, {"sip-config": 1}, {"session-agent": -1}, {"session-agent": MOST + 1}, {"x": "many"}, 7]
)
def test_what_cannot_be_made_up_changes_nothing(box: Box, wanted: object) -> None:
    before = box.simulator.stores.running.as_json()
    with pytest.raises(ValueError, match=r"element"):
        box.simulator.control({"elements": wanted, "lose_edits": 3})
    assert box.simulator.stores.running.as_json() == before


def test_made_up_elements_are_sound(editor: Client, box: Box) -> None:
    box.simulator.control({"elements": {"session-agent": 3, "realm-config": 3}})
    assert editor.do("PUT", "verify") == "success"
    assert (
        len({e.key(load_schema().elements["host-route"]) for e in generated(load_schema(), "host-route", 999)}) == 999
    )


def test_a_page_takes_as_long_as_a_page_however_many_elements_there_are(box: Box) -> None:
    spec = load_schema().elements["session-agent"]
    box.simulator.control({"elements": {"session-agent": 20_000}})
    stores = box.simulator.stores
    begun = time.process_time()
    for offset in range(0, 20_000, 100):
        assert len(stores.running.slice(spec, offset, 100)) == 100
    assert time.process_time() - begun < 1.0, "200 pages by sorting each time take many seconds"


# --------------------------------------------------------------------------------------- release 8.2


def test_release_8_2_speaks_as_it_did(launch: Launch, connect: Connect) -> None:
    box = launch(version="SCZ8.2.0")
    client = connect(box, version="v1.1").log_in()
    listed = client.http.get(f"{box.url}/rest/api/supportedversions", timeout=10)
    assert texts(listed, "data/version") == ["v1.1"] and texts(listed, "data/latestVersion") == ["v1.1"]
    assert connect(box, version="v1.2").call("GET", "system/status").status_code == 404
    client.lock()
    assert client.manage("POST", "backup", backupSource="saved", filename="x").status_code == 400
    assert client.manage("PUT", "restore", restoreSource="saved").status_code == 400
    assert client.do("PUT", "restore", restoreType="saved") == "success"
    assert client.do("POST", "activate") == "success"


def test_later_releases_know_restore_source_only(editor: Client) -> None:
    assert editor.manage("PUT", "restore", restoreType="saved").status_code == 400
    for source in ("running", "saved"):
        assert editor.do("PUT", "restore", restoreSource=source) == "success"
    assert editor.do("POST", "backup", backupSource="running", filename="kept") == "success"
    assert editor.do("PUT", "restore", restoreSource="backupFile", filename="kept") == "success"


# ------------------------------------------------------------------------------------------- the rest


def test_statistics_and_boot_parameters(client: Client, editor: Client) -> None:
    kpis = client.call("GET", "statistics/kpis?type=globalSessions")
    assert texts(kpis, "data/sysGlobalCPS") == texts(kpis, "data/sysGlobalConSessions") == ["0"]
    assert client.call("GET", "statistics/kpis?type=weather").status_code == 404
    assert client.call("GET", "statistics/kpis").status_code == 400
    path = "configuration/bootparams"
    assert texts(client.call("GET", path), "data/bootParams/targetName") == ["sbc-1"]
    assert editor.call("PUT", path, "<bootParams><targetName>new</targetName></bootParams>").status_code == 200
    assert texts(client.call("GET", path), "data/bootParams/targetName") == ["new"]
    assert editor.call("PUT", path, "<bootParams><colour>red</colour></bootParams>").status_code == 400
    assert editor.call("PUT", path, "<other/>").status_code == 400
    editor.unlock()
    refused = editor.call("PUT", path, "<bootParams><targetName>no</targetName></bootParams>")
    assert refused.status_code == 423 and message(refused)


def test_the_journal_shows_that_nothing_at_all_came_in_a_time(box: Box, connect: Connect) -> None:
    """While alice holds the lock, every request is hers; bob's refused ones would show, too, even a mere look."""
    alice, bob = connect(box).log_in(), connect(box).log_in()
    alice.lock()
    begun_us = time.time_ns() // 1000
    alice.add(element("realm-config", identifier="a"))
    alice.elements("realm-config")
    ended_us = time.time_ns() // 1000
    during = box.simulator.journal.between(begun_us, ended_us)
    assert [(e.kind, e.method) for e in during] == [("element", "POST"), ("element", "GET")]
    assert len({(e.user, e.token, e.client) for e in during}) == 1 and during[0].client.startswith("127.0.0.1:")
    begun_us = time.time_ns() // 1000
    bob.add(element("realm-config", identifier="b"))
    bob.elements("realm-config")
    his = box.simulator.journal.between(begun_us, time.time_ns() // 1000)
    assert [(e.method, e.status, e.stored) for e in his] == [("POST", 423, False), ("GET", 200, False)]
    assert {e.token for e in his}.isdisjoint({e.token for e in during})
    assert [e.method for e in box.simulator.journal.reads()] == ["GET", "GET"]
