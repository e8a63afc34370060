"""Every documented status, over a socket: 401, 403, 404, 405, 406, 409, 413, 415, 423, 426, and the envelope."""

import pytest

from tests.simulator.box import VIEWER, VIEWER_PASSWORD, Box, Client, element, message, texts
from tests.simulator.conftest import Connect, Launch

REALM = element("realm-config", identifier="new")
READS = (
    "configuration/elementTypes",
    "configuration/elementTypes/metadata?elementType=realm-config",
    "configuration/elementTypes/template?elementType=realm-config",
    "configuration/configElements?elementType=realm-config",
    "configuration/management/files",
    "admin/asyncstatus",
    "system/status",
    "system/version",
)
WRITES = (
    ("POST", "configuration/lock", None),
    ("POST", "configuration/unlock", None),
    ("POST", "configuration/configElements", REALM),
    ("PUT", "configuration/configElements", element("realm-config", identifier="core")),
    ("DELETE", "configuration/configElements?elementType=realm-config&identifier=core", None),
    ("PUT", "configuration/management?action=verify", None),
    ("PUT", "configuration/management?action=save", None),
    ("PUT", "configuration/management?action=restore&restoreSource=saved", None),
    ("POST", "configuration/management?action=activate", None),
    ("POST", "configuration/management?action=backup&backupSource=saved&filename=x", None),
)


def test_supported_versions_need_no_token(box: Box, connect: Connect) -> None:
    answer = connect(box).http.get(f"{box.url}/rest/api/supportedversions", timeout=10)
    assert texts(answer, "data/version") == ["v1.1", "v1.2"] and texts(answer, "data/latestVersion") == ["v1.2"]


@pytest.mark.parametrize("version", ["v1.1", "v1.2"])
def test_both_versions_answer(box: Box, connect: Connect, version: str) -> None:
    client = connect(box, version=version).log_in()
    status = client.call("GET", "system/status")
    assert texts(status, "data/role") == ["active"] and texts(status, "data/hostName") == ["sbc-1"]
    assert texts(status, "data/systemState") == ["online"] and texts(status, "data/healthScorePercent") == ["100"]
    assert int(texts(status, "data/upTime")[0]) < 60
    about = client.call("GET", "system/version")
    assert texts(about, "data/systemVersionInfo/buildVersion") == ["SCZ9.1.0"]
    assert "simulator" in texts(about, "data/systemVersionInfo/productName")[0]


@pytest.mark.parametrize("path", READS)
def test_reads_need_a_token(box: Box, connect: Connect, path: str) -> None:
    client = connect(box)
    assert client.call("GET", path).status_code == 401
    client.use("made-up")
    answer = client.call("GET", path)
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer" and message(answer)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_writes_need_a_token_an_administrator_and_the_lock(
    box: Box, connect: Connect, method: str, path: str, body: str | None
) -> None:
    client = connect(box)
    assert client.call(method, path, body).status_code == 401
    looker = connect(box).log_in(VIEWER, VIEWER_PASSWORD)
    assert looker.call(method, path, body).status_code == 403
    client.log_in()
    if path == "configuration/lock":
        assert connect(box).log_in().lock() == 204
    answer = client.call(method, path, body)
    assert answer.status_code == 423 and "lock" in message(answer)
    assert box.simulator.journal.writes() == []


def test_a_viewer_may_look(box: Box, connect: Connect) -> None:
    looker = connect(box).log_in(VIEWER, VIEWER_PASSWORD)
    assert looker.call("GET", "system/status").status_code == 200
    assert looker.elements("realm-config").status_code == 200
    assert looker.call("GET", "admin/asyncstatus").status_code == 403


def test_not_found(client: Client, connect: Connect, box: Box) -> None:
    other = connect(box, version="v1.9").call("GET", "system/status")
    assert other.status_code == 404 and f"{box.url}/rest/v1.2" in texts(other, "links/link")
    assert client.call("GET", "system/nothing").status_code == 404
    assert message(client.call("GET", "system/nothing"))
    assert client.elements("nothing").status_code == 404
    assert client.elements("sip-interface/sip-port").status_code == 404
    assert client.elements("realm-config", identifier="nothing").status_code == 404
    assert client.call("GET", "admin/asyncstatus").status_code == 404


def test_instances_and_types_that_do_not_exist_are_not_written(editor: Client) -> None:
    assert editor.add(element("nothing")).status_code == 404
    assert editor.change(element("realm-config", identifier="nothing")).status_code == 404
    assert editor.delete("realm-config", identifier="nothing").status_code == 404
    assert editor.delete("nothing").status_code == 404
    assert editor.manage("PUT", "restore", restoreSource="backupFile", filename="nothing").status_code == 404


def test_malformed_requests(editor: Client) -> None:
    assert editor.call("GET", "configuration/configElements").status_code == 400
    assert editor.elements("realm-config", colour="red").status_code == 400
    assert editor.elements("realm-config", running="perhaps").status_code == 400
    assert editor.delete("realm-config").status_code == 400
    assert editor.delete("network-interface", name="s0p0").status_code == 400
    assert editor.change(element("network-interface", name="s0p0")).status_code == 400
    assert editor.call("PUT", "configuration/management").status_code == 400
    for method, action in (("PUT", "activate"), ("PUT", "backup"), ("POST", "verify"), ("POST", "save")):
        assert editor.manage(method, action).status_code == 400, action
    assert editor.manage("PUT", "restore").status_code == 400
    assert editor.manage("PUT", "restore", restoreSource="editing").status_code == 400
    assert editor.manage("POST", "backup", backupSource="saved").status_code == 400
    assert editor.manage("POST", "backup", backupSource="elsewhere", filename="x").status_code == 400
    for name in ("../x", "a/b", ""):
        assert editor.manage("POST", "backup", backupSource="saved", filename=name).status_code == 400


def test_method_not_allowed(editor: Client) -> None:
    answer = editor.call("DELETE", "system/status")
    assert answer.status_code == 405 and "GET" in answer.headers["allow"] and message(answer)
    assert editor.call("GET", "configuration/lock").status_code == 405
    assert editor.call("PUT", "configuration/lock").status_code == 405
    assert editor.call("PATCH", "configuration/configElements").status_code == 405
    assert editor.call("OPTIONS", "configuration/configElements").status_code == 405


@pytest.mark.parametrize(("accept", "status"), [("application/json", 406), ("*/*", 200), ("application/*", 200)])
def test_only_xml_is_sent(client: Client, accept: str, status: int) -> None:
    assert client.call("GET", "system/status", headers={"Accept": accept}).status_code == status


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_only_xml_is_taken(editor: Client, kind: str) -> None:
    headers = {"Content-Type": kind}
    assert editor.call("POST", "configuration/configElements", REALM, headers=headers).status_code == 415
    assert editor.call("PUT", "configuration/configElements", REALM, headers=headers).status_code == 415
    good = {"Content-Type": "application/xml; charset=utf-8"}
    assert editor.call("POST", "configuration/configElements", REALM, headers=good).status_code == 200
    unnamed = editor.http.put(f"{editor.base}/configuration/configElements", data=REALM.encode(), timeout=10)
    assert "content-type" not in unnamed.request.headers and unnamed.status_code == 200


def test_a_huge_body_is_refused(box: Box, editor: Client) -> None:
    assert editor.add("<!--" + "x" * 1_100_000 + "-->" + REALM).status_code == 413
    assert box.simulator.journal.writes() == []


def test_plain_http_is_told_to_upgrade(launch: Launch, connect: Connect) -> None:
    box = launch(plain_http=False, plain_port=0)
    assert box.simulator.plain_address is not None
    plain = Client(f"http://127.0.0.1:{box.simulator.plain_address[1]}")
    try:
        for answer in (plain.call("GET", "system/status"), plain.call("POST", "auth/token", auth=("netops", "x"))):
            assert answer.status_code == 426 and "HTTPS" in message(answer)
            assert "TLS" in answer.headers["upgrade"]
    finally:
        plain.http.close()
    assert connect(box, verify=box.simulator.certificate).log_in().call("GET", "system/status").status_code == 200
