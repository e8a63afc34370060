"""Every kind of bad request: its status, the one error body in the form asked for, and nothing changed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from opensdm.doors.rest.app import ENDPOINTS, RestSettings, build_app
from tests.doors import wire
from tests.doors.conftest import BASE, Connect, Rest, client_of
from tests.doors.test_rest_locking import state_of
from tests.doors.wire import listed, read, refused
from tests.gatehouse import House, house_with_users
from tests.postgres import PostgresServer

MEDIA = ["xml", "json"]
FORMS = [(version, medium) for version in ("v1.1", "v1.3", "v1.4") for medium in MEDIA]
XML_ONLY = {
    "wrong root": "<lock><type>Lock</type></lock>",
    "root of another request": "<deviceGroupAction><type>Lock</type></deviceGroupAction>",
    "root in a namespace": '<deviceAction xmlns="urn:x"><type>Lock</type></deviceAction>',
    "not closed": "<deviceAction><type>Lock</type>",
    "two roots": "<deviceAction><type>Lock</type></deviceAction><deviceAction/>",
    "doctype": '<!DOCTYPE deviceAction [<!ENTITY x "Lock">]><deviceAction><type>&x;</type></deviceAction>',
    "external entity": (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        "<deviceAction><type>Lock</type><reason>&x;</reason></deviceAction>"
    ),
    "plain doctype": "<!DOCTYPE deviceAction><deviceAction><type>Lock</type></deviceAction>",
    "undeclared entity": "<deviceAction><type>&lock;</type></deviceAction>",
    "type twice": "<deviceAction><type>Lock</type><type>Unlock</type></deviceAction>",
    "type with children": "<deviceAction><type><name>Lock</name></type></deviceAction>",
    "text for elements": "<deviceAction>Lock</deviceAction>",
    "too deep": "<deviceAction>" + "<a>" * 500 + "</a>" * 500 + "<type>Lock</type></deviceAction>",
    "json in xml": '{"type":"Lock"}',
}
JSON_ONLY = {
    "a list": '[{"type":"Lock"}]',
    "a string": '"Lock"',
    "not closed": '{"type":"Lock"',
    "duplicate keys": '{"type":"Lock","type":"Unlock"}',
    "type is a number": '{"type":1}',
    "type is an object": '{"type":{"name":"Lock"}}',
    "type is null": '{"type":null}',
    "trailing comma": '{"type":"Lock",}',
    "NaN": '{"type":"Lock","reason":NaN}',
    "too deep": '{"type":"Lock","x":' + "[" * 500 + "]" * 500 + "}",
    "xml in json": "<deviceAction><type>Lock</type></deviceAction>",
}
BOTH = {
    "no body": None,
    "empty body": "",
    "white space": "  \r\n ",
    "unknown type": {"type": "Borrow"},
    "empty type": {"type": ""},
    "no type": {"reason": "x"},
    "a type of the push": {"type": "SaveConfig"},
}


def body_for(medium: str, what: Any) -> str | None:
    return wire.simple(medium, "deviceAction", **what) if isinstance(what, dict) else what


def bad_bodies(medium: str) -> dict[str, str | None]:
    own = XML_ONLY if medium == "xml" else JSON_ONLY
    return own | {name: body_for(medium, what) for name, what in BOTH.items()}


EXAMPLE = {"xml": "<deviceAction><type>Lock</type></deviceAction>", "json": '{"type":"Lock"}'}


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_bad_bodies(house: House, connect: Connect, tmp_path: Path, version: str, medium: str) -> None:
    """Each is 400; the error shows the exact body to send, and its first call sends it to the same place."""
    device_id = await house.enrol("edge-a")
    client = await connect("alice", version, medium)
    path, before = f"/inventory/deviceMgmt/devices/ID{device_id}/action", state_of(tmp_path)
    for what, body in bad_bodies(medium).items():
        announced = {"Content_Type": f"application/{medium}"}
        answer = refused(await client.post(path, body, **announced), 400, "INVALID_REQUEST")
        call = shlex.split(listed(answer["next"])[0])
        assert call[-2:] == [EXAMPLE[medium], f"{BASE}/rest/{version}{path}"], (what, call)
        assert f"Content-Type: application/{medium}" in call
        if what in BOTH:
            assert EXAMPLE[medium] in answer["message"] and answer["send"] == EXAMPLE[medium], what
        assert state_of(tmp_path) == before, what
    assert (await client.post(path, EXAMPLE[medium])).status_code == (200 if version == "v1.4" else 204)


@pytest.mark.parametrize("medium", MEDIA)
async def test_the_published_sample_without_a_body(house: House, connect: Connect, medium: str) -> None:
    """The vendor's curl sample posts nothing, with a Content-Type and no Accept."""
    device_id = await house.enrol("edge-a")
    client = await connect("alice", "v1.3", medium)
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/action"
    answer = await client.post(path, Accept=None, Content_Type=f"application/{medium}")
    assert EXAMPLE[medium] in refused(answer, 400, "INVALID_REQUEST")["message"]


async def test_every_endpoint_with_a_body_says_what_to_send(house: House, connect: Connect) -> None:
    for version, medium in (("v1.4", "xml"), ("v1.4", "json")):
        client = await connect("admin", version, medium)
        for endpoint in (e for e in ENDPOINTS if e.body is not None and not e.body.optional):
            path = endpoint.path.format(device_id="ID3", group_id="ID2", nf_id="ID2", number=1, task_id="T1")
            answer = refused(await client.send(endpoint.method, path), 400, "INVALID_REQUEST")
            send = answer["send"]
            assert send in answer["message"], endpoint
            if medium == "json":
                assert isinstance(json.loads(send), dict)
            call = shlex.split(listed(answer["next"])[0])
            assert call[-2:] == [send, f"{BASE}/rest/{version}{path}"]
            assert ("-X" in call) == (endpoint.method != "POST")
            assert call[1] == ("-c" if endpoint.path == "/admin/login" else "-b")


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_unknown_fields_are_ignored(house: House, connect: Connect, version: str, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    client = await connect("alice", version, medium)
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/action"
    body = wire.simple(medium, "deviceAction", comment="hello", type="Lock", priority="9")
    assert (await client.post(path, body)).status_code == (200 if version == "v1.4" else 204)


# --------------------------------------------------------------------------------------- transport


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_too_large(house: House, connect: Connect, tmp_path: Path, version: str, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    client = await connect("alice", version, medium)
    path, before = f"/inventory/deviceMgmt/devices/ID{device_id}/action", state_of(tmp_path)
    huge = wire.simple(medium, "deviceAction", type="Lock", reason="x" * 1_048_577)
    answer = await client.post(path, huge)
    assert answer.headers["Connection"] == "close"
    assert str(refused(answer, 413, "INVALID_REQUEST")["maxBytes"]) == "1048576"

    async def in_pieces() -> Any:
        for start in range(0, len(huge), 65_536):
            yield huge[start : start + 65_536].encode()

    headers = {"Cookie": f"JSESSIONID={client.token}", "Accept": f"application/{medium}"}
    headers |= {"Content-Type": f"application/{medium}"}
    url = f"{BASE}/rest/{version}{path}"
    refused(await client.http.post(url, content=in_pieces(), headers=headers), 413, "INVALID_REQUEST")
    assert state_of(tmp_path) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "application/xml; charset=iso-8859-1"},
        {"Content_Type": "application/json; charset=utf-16"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Encoding": "gzip"},
    ],
)
@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_types_that_are_not_read(
    house: House, connect: Connect, tmp_path: Path, version: str, medium: str, headers: dict[str, str]
) -> None:
    device_id = await house.enrol("edge-a")
    client = await connect("alice", version, medium)
    path, before = f"/inventory/deviceMgmt/devices/ID{device_id}/action", state_of(tmp_path)
    answer = refused(await client.post(path, EXAMPLE[medium], **headers), 415, "UNSUPPORTED_MEDIA_TYPE")
    assert EXAMPLE[medium] in shlex.split(listed(answer["next"])[0])
    assert state_of(tmp_path) == before


@pytest.mark.parametrize("version", ["v1.3", "v1.4"])
async def test_other_character_sets(house: House, connect: Connect, tmp_path: Path, version: str) -> None:
    device_id = await house.enrol("edge-a")
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/action"
    client, json_client = await connect("alice", version, "xml"), await connect("alice", version, "json")
    before = state_of(tmp_path)
    declared = '<?xml version="1.0" encoding="ISO-8859-1"?>' + EXAMPLE["xml"]
    assert (await client.post(path, declared)).status_code == 415
    assert (await client.post(path, EXAMPLE["xml"].encode("utf-16"))).status_code in (400, 415)
    assert (await json_client.post(path, EXAMPLE["json"].encode("utf-16"))).status_code in (400, 415)
    assert (await json_client.post(path, b'{"type":"L\xf6ck"}')).status_code in (400, 415)
    assert state_of(tmp_path) == before


async def test_a_body_without_its_type(house: House, connect: Connect) -> None:
    """Understood up to v1.3, where published clients may leave it out; ours say it."""
    device_id = await house.enrol("edge-a")
    path = f"/inventory/deviceMgmt/devices/ID{device_id}/action"
    for medium in MEDIA:
        published, own = await connect("alice", "v1.3", medium), await connect("alice", "v1.4", medium)
        assert (await published.post(path, EXAMPLE[medium], Content_Type=None)).status_code == 204
        refused(await own.post(path, EXAMPLE[medium], Content_Type=None), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_replies_that_are_not_offered(connect: Connect, version: str, medium: str) -> None:
    client = await connect("alice", version, medium)
    answer = await client.get("/inventory/deviceMgmt/devices", Accept="text/html")
    refused(answer, 406, "NOT_ACCEPTABLE")
    assert answer.headers["Content-Type"] == ("application/json" if version == "v1.4" else "application/xml")


async def test_the_reply_takes_the_form_asked_for(connect: Connect) -> None:
    client = await connect("alice", "v1.3", "xml")
    for accept, expected in {
        "application/json": "application/json",
        "application/xml": "application/xml",
        "*/*": "application/xml",
        "text/xml;q=0.1, application/json": "application/json",
    }.items():
        assert (await client.get("/admin/serverInfo", Accept=accept)).headers["Content-Type"] == expected
        refused_one = await client.get("/inventory/deviceMgmt/devices/ID99", Accept=accept)
        assert refused_one.headers["Content-Type"] == expected
    body = wire.simple("json", "deviceGroup", name="East")
    groups = "/inventory/deviceMgmt/deviceGroups"
    answer = await client.post(groups, body, Accept=None, Content_Type="application/json")
    assert answer.headers["Content-Type"] == "application/json"
    again = await client.post(groups, body, Accept=None, Content_Type="application/json")
    assert read(again)["code"] == "ALREADY_EXISTS"


# ----------------------------------------------------------------------------- paths, methods, sessions


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_unknown_things_are_404(
    house: House, connect: Connect, tmp_path: Path, version: str, medium: str
) -> None:
    await house.enrol("edge-a")
    client, before = await connect("alice", version, medium), state_of(tmp_path)
    for device in ("ID99", "ID0", "7", "id3", "ID03", "ID999999999999999999999", "edge-a", "ID3x", "%00", "ID-1"):
        for path in (f"/inventory/deviceMgmt/devices/{device}", f"/configuration/devices/{device}/loadConfig"):
            refused(await client.get(path), 404, "NOT_FOUND")
        refused(await client.post(f"/inventory/deviceMgmt/devices/{device}/action", EXAMPLE[medium]), 404, "NOT_FOUND")
    for path in ("", "/nothing", "/inventory", "/inventory/deviceMgmt/devices/ID3/nothing", "/admin//login"):
        refused(await client.get(path), 404, "NOT_FOUND")
    assert state_of(tmp_path) == before


@pytest.mark.parametrize("medium", MEDIA)
async def test_unknown_versions_are_404(connect: Connect, medium: str) -> None:
    client = await connect("alice", "v1.3", medium)
    for version in ("v1.5", "v2.0", "v1", "1.3", "V1.3", "v1.03", "latest"):
        client.version = version
        refused(await client.get("/inventory/deviceMgmt/devices"), 404, "NOT_FOUND")


async def test_what_is_ours_is_not_in_the_published_versions(house: House, connect: Connect) -> None:
    device_id = await house.enrol("edge-a")
    own = [e for e in ENDPOINTS if e.since == (1, 4)]
    assert len(own) == 37
    for version in ("v1.0", "v1.3"):
        client = await connect("admin", version, "json")
        for endpoint in own:
            path = endpoint.path.format(device_id=f"ID{device_id}", number=1, task_id="T1", user_name="bob")
            refused(await client.send(endpoint.method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_methods_that_are_not_there(
    house: House, connect: Connect, tmp_path: Path, version: str, medium: str
) -> None:
    device_id = await house.enrol("edge-a")
    client, before = await connect("alice", version, medium), state_of(tmp_path)
    cases = {
        f"/inventory/deviceMgmt/devices/ID{device_id}/action": ("GET", "POST"),
        f"/inventory/deviceMgmt/devices/ID{device_id}": ("DELETE", "GET, HEAD"),
        "/inventory/deviceMgmt/devices": ("PATCH", "GET, HEAD"),
        "/admin/login": ("OPTIONS", "POST"),
        f"/configuration/devices/ID{device_id}/loadConfig": ("HEAD", "GET"),
        f"/inventory/deviceMgmt/deviceGroups/ID{device_id}": ("POST", "DELETE, GET, HEAD, PUT"),
        "/admin/serverInfo": ("TRACE", "GET, HEAD"),
    }
    for path, (method, allow) in cases.items():
        answer = await client.send(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allow), path
        if method != "HEAD":
            calls = listed(refused(answer, 405, "METHOD_NOT_ALLOWED")["next"])
            assert all(f"{BASE}/rest/{version}{path}" in call for call in calls)
    refused(await client.send("BREW", "/admin/serverInfo"), 405, "METHOD_NOT_ALLOWED")
    assert state_of(tmp_path) == before


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_bad_cookies(house: House, connect: Connect, tmp_path: Path, version: str, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    client, before = await connect("alice", version, medium), state_of(tmp_path)
    token = client.token or ""
    client.token = None
    for cookie in (
        None, "", "JSESSIONID=", "JSESSIONID=0", f"JSESSIONID={token[:-1]}", f"JSESSIONID={token}x", f"OTHER={token}",
        f"JSESSIONID={'A' * 5000}", "JSESSIONID=' OR 1=1 --", "JSESSIONID=\u00e9", ";;;", f"jsessionid={token}",
        f"JSESSIONID={token.lower()}", f"JSESSIONID={token.partition('.')[0]}",
    ):  # fmt: skip
        refused(await client.act(device_id, "Lock", Cookie=cookie), 401, "NOT_LOGGED_IN")
    assert state_of(tmp_path) == before
    for cookie in (token, f"a=b; JSESSIONID={token}; c=d", f'JSESSIONID="{token}"', f"  {token} "):
        assert (await client.get("/inventory/deviceMgmt/devices", Cookie=cookie)).status_code == 200


async def test_pages_of_other_sites_change_nothing(house: House, connect: Connect, tmp_path: Path) -> None:
    """A browser that sends the cookie along says where the request comes from; loading is a GET that acts."""
    device_id = await house.enrol("edge-a")
    client, before = await connect("alice", "v1.4", "json"), state_of(tmp_path)
    load = f"/configuration/devices/ID{device_id}/loadConfig"
    refused(await client.get(load, Sec_Fetch_Site="cross-site"), 403, "FORBIDDEN")
    refused(await client.act(device_id, "Lock", Sec_Fetch_Site="same-site"), 403, "FORBIDDEN")
    assert state_of(tmp_path) == before
    assert (await client.get("/admin/serverInfo", Sec_Fetch_Site="cross-site")).status_code == 200
    assert (await client.act(device_id, "Lock", Sec_Fetch_Site="same-origin")).status_code == 200


# ------------------------------------------------------------------------------------- queries


@pytest.mark.parametrize("medium", MEDIA)
async def test_queries_are_lenient_as_published_and_strict_in_ours(connect: Connect, medium: str) -> None:
    published, own = await connect("alice", "v1.3", medium), await connect("alice", "v1.4", medium)
    devices = "/inventory/deviceMgmt/devices"
    for query in ("?colour=red", "?name=a&name=b", "?limitation=5000", "?name="):
        assert (await published.get(devices + query)).status_code == 200, query
    body = refused(await own.get(devices + "?colour=red"), 400, "INVALID_REQUEST")
    assert "connectivityStatus" in body["message"] and "colour" in body["message"]
    refused(await own.get(devices + "?name=a&name=b"), 400, "INVALID_REQUEST")
    refused(await own.get(devices + "?limitation=1001"), 400, "INVALID_REQUEST")
    refused(await own.get("/admin/serverInfo?x=1"), 400, "INVALID_REQUEST")
    for client in (published, own):
        for wrong in ("offset=0", "offset=-1", "offset=x", "limitation=0", "limitation=1e3", "offset=99999999999"):
            refused(await client.get(f"{devices}?{wrong}"), 400, "INVALID_REQUEST")
    call = shlex.split(listed(body["next"])[0])
    assert call[-1] == f"{BASE}/rest/v1.4{devices}"


@pytest.mark.parametrize("value", ["yesterday", "2026-11-23", "2026-11-23T10:02:11", "2026-13-01T00:00:00Z", "0"])
async def test_bad_times(connect: Connect, value: str) -> None:
    admin = await connect("admin", "v1.4", "json")
    assert "since" in refused(await admin.get(f"/admin/audit?since={value}"), 400, "INVALID_REQUEST")["message"]


# --------------------------------------------------------------------------------------- failures


async def test_a_bug_is_logged_and_not_told(house: House, connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    """The id in the reply finds the log entry; nothing of the fault itself leaves the server."""
    client = await connect("alice", "v1.4", "json")
    house.gate.reader = None  # type: ignore[assignment]
    answer = await client.get("/inventory/deviceMgmt/devices", X_Request_Id="find-me-7")
    body = refused(answer, 500, "INTERNAL_ERROR")
    assert body["requestId"] == "find-me-7" and "NoneType" not in answer.text and "reader" not in answer.text
    assert "NoneType" in (logged := capsys.readouterr().out) and "find-me-7" in logged


async def test_the_store_away(own_postgres: PostgresServer, tmp_path: Path) -> None:
    """A database that does not answer is said as such, with when to come back."""
    url = own_postgres.url(own_postgres.create_database())
    async with house_with_users(url, tmp_path) as house, client_of(build_app(house.gate)) as http:
        clients = [await Rest(http, version, "xml").log_in("alice") for version in ("v1.3", "v1.4")]
        own_postgres.stop()
        for client in clients:
            answer = await client.get("/inventory/deviceMgmt/devices")
            refused(answer, 503, "UNAVAILABLE")
            assert answer.headers["Retry-After"] == "2"
        own_postgres.start()


async def test_a_smaller_limit(house: House) -> None:
    app = build_app(house.gate, RestSettings(max_body_bytes=1024, public_url="https://sdm.example:9443/"))
    async with client_of(app) as http:
        client = await Rest(http, "v1.4", "json").log_in("alice")
        body = wire.simple("json", "deviceGroup", name="x" * 1024)
        answer = refused(await client.post("/inventory/deviceMgmt/deviceGroups", body), 413, "INVALID_REQUEST")
        assert "https://sdm.example:9443/rest/v1.4/inventory/deviceMgmt/deviceGroups" in listed(answer["next"])[0]
    with pytest.raises(ValueError, match="max_body_bytes"):
        RestSettings(max_body_bytes=10)
    with pytest.raises(ValueError, match="lists"):
        RestSettings(lists="round")
