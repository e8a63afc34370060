"""The demo as a newcomer meets it: start it, paste what it printed, and look whether it is true."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.machine import missing
from tests.program import Client, Installation, Running, environment, run, running

STATUS = re.compile(r"^HTTP (\d{3})$", re.MULTILINE)
LAST_LINE = "# Ctrl-C here ends the demo."
XML_STATUSES = [200, 200, 204, 200, 400, 204, 200, 200, 200, 200, 204, 204]
JSON_STATUSES = [200, 200, 204, 200, 423, 204, 200, 200, 200, 200, 204, 204]
PYTHON_STATUSES = [200, 200, 200, 204, 400, 200, 200, 200, 200, 200, 204, 204, 204]


@dataclass
class Demo:
    """A running demo and what it printed."""

    data: Path
    process: Running
    text: str

    @property
    def script(self) -> str:
        return self.text[self.text.index("\nexport CURL_CA_BUNDLE=") + 1 :]

    def password(self, user: str) -> str:
        found = re.search(rf"^#   {user} +\S+ +password (\S+)$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1]

    def device(self, name: str) -> tuple[str, str, str, str]:
        """Device id, the SBC's own URL, its user and password."""
        found = re.search(rf"#   {name} is (ID\d+); .* at (\S+), user (\S+), password (\S+)$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1], found[2], found[3], found[4]

    def client(self) -> Client:
        return Client(self.process.url, self.data / "tls" / "ca.crt")


@contextmanager
def demo(data: Path, *more: str, **extra: str) -> Iterator[Demo]:
    with running("demo", "--listen", "127.0.0.1:0", "--data", data, *more, extra=extra) as process:
        process.wait_for(LAST_LINE)
        yield Demo(data, process, "".join(process.lines))


def pasted(script: str) -> str:
    """What bash shows when the text is pasted into it: no settings but those in the text, no file of ours."""
    ended = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail"], input=script, check=False, capture_output=True, text=True, timeout=180,
        env=environment(),
    )  # fmt: skip
    assert ended.returncode == 0 and ended.stderr == "", (ended.returncode, ended.stdout, ended.stderr)
    return ended.stdout


def parts(script: str) -> tuple[str, str, str, str]:
    """What comes first, and the three sessions: XML, JSON, Python."""
    first, xml, in_json, python = re.split(r"^# -{10} .*\n", script, flags=re.MULTILINE)
    return first, xml, in_json, python


def statuses(shown: str) -> list[int]:
    return [int(status) for status in STATUS.findall(shown)]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo") / "data") as running_demo:
        yield running_demo


@pytest.fixture(scope="module", autouse=True)
def curl() -> None:
    if shutil.which("curl") is None:
        missing("curl")


# ------------------------------------------------------------------------------------- what it prints


def test_everything_printed_is_shell(started: Demo) -> None:
    first, _, rest = started.text.partition("\n")
    assert first == f"opensdm: listening on {started.process.url}"
    assert subprocess.run(["bash", "-n"], input=rest, check=False, text=True, timeout=30).returncode == 0
    comments = [line for line in rest.splitlines() if line.startswith("#")]
    # Shells that take comments for commands must not be caught in an open quote or parenthesis.
    assert [line for line in comments if re.search(r"['\"`()\\$]", line)] == []


def test_no_line_turns_certificates_off(started: Demo) -> None:
    assert not re.search(r"(?:^|\s)-\w*k|--insecure|verify\s*=\s*False", started.script, re.MULTILINE)
    authority = started.data / "tls" / "ca.crt"
    assert f"export CURL_CA_BUNDLE={authority} REQUESTS_CA_BUNDLE={authority}\n" in started.script


def test_the_four_users_are_in_their_groups_and_can_log_in(started: Demo) -> None:
    groups = {"admin": "administrators", "alice": "provisioners", "bob": "provisioners", "mona": "monitors"}
    assert len({started.password(user) for user in groups}) == 4
    for user, group in groups.items():
        body = {"userName": user, "password": started.password(user)}
        answer = started.client().post("/rest/v1.3/admin/login", body)
        assert answer.status_code == 200 and answer.json()["userGroup"] == group


def test_two_reachable_devices_in_two_network_functions(started: Demo) -> None:
    client = started.client().login("mona", started.password("mona"))
    devices = {each["name"]: each for each in client.get("/rest/v1.3/inventory/deviceMgmt/devices").json()["devices"]}
    assert set(devices) == {"edge-a", "edge-b"}
    assert all(each["connectivityStatus"] and each["manageable"] for each in devices.values())
    assert {name: each["id"] for name, each in devices.items()} == {n: started.device(n)[0] for n in devices}
    functions = client.get("/rest/v1.3/inventory/nfMgmt/nfs").json()["nfList"]
    assert {(each["name"], each["parentGroupFullName"]) for each in functions} == {
        ("edge-a", "Home"),
        ("edge-b", "Home"),
    }


# ------------------------------------------------------------------------------------- pasting it


def test_the_xml_session(started: Demo) -> None:
    first, xml, _, _ = parts(started.script)
    shown = pasted(first + xml)
    assert statuses(shown) == XML_STATUSES, shown
    assert shown.count("<?xml ") == 9  # all but the 204s answer in XML, the SBC too
    assert re.search(r"<code>DEVICE_LOCKED</code><message>edge-a is locked by alice since ", shown)
    assert shown.count("<status>SUCCESS</status>") == 1
    (realm,) = set(re.findall(r"demo-xml-[0-9a-f]+", shown))
    assert "<operation>created</operation>" in shown
    on_device = shown[shown.index("<response>") : shown.index("</response>")]
    assert (
        f"<elementType>realm-config</elementType><attribute><name>identifier</name><value>{realm}</value>" in on_device
    )


def test_the_json_session(started: Demo) -> None:
    first, _, in_json, _ = parts(started.script)
    shown = pasted(first + in_json)
    assert statuses(shown) == JSON_STATUSES, shown
    answers = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    refusal = next(each for each in answers if each.get("code"))
    assert refusal["code"] == "DEVICE_LOCKED" and refusal["blockers"][0]["holder"] == "alice" and refusal["next"]
    assert [each["status"] for each in answers if "isSaveConfigSuccess" in each] == ["SUCCESS"]
    (realm,) = {name for each in answers for name in re.findall(r"demo-json-[0-9a-f]+", str(each))}
    assert f"<name>identifier</name><value>{realm}</value>" in shown[shown.index("<response>") :]


def test_the_python_session(started: Demo) -> None:
    pytest.importorskip("requests")
    first, _, _, python = parts(started.script)
    shown = pasted(first + python)
    assert [int(status) for status in re.findall(r" -> (\d{3}) ", shown)] == PYTHON_STATUSES, shown
    (realm,) = set(re.findall(r"demo-py-[0-9a-f]+", shown))
    assert f"<name>identifier</name><value>{realm}</value>" in shown[shown.index("<response>") :]
    assert '"code":"DEVICE_LOCKED"' in shown and shown.count('"status":"SUCCESS"') == 1


def test_a_password_with_all_that_shells_and_formats_care_about(tmp_path: Path) -> None:
    password = 'it\'s <5 & "$HOME" `x` \\ é!1'
    with demo(tmp_path / "data", OPENSDM_DEMO_PASSWORD=password) as started:
        assert password not in started.text.partition("\nexport ")[0]
        shown = pasted(started.script)
        assert statuses(shown) == [*XML_STATUSES, *JSON_STATUSES], shown
        assert [int(status) for status in re.findall(r" -> (\d{3}) ", shown)] == PYTHON_STATUSES
        for user in ("admin", "mona"):
            started.client().login(user, password)


def test_over_plain_http(tmp_path: Path) -> None:
    with demo(tmp_path / "data", "--plain-http") as started:
        assert started.process.url.startswith("http://")
        first, xml, _, _ = parts(started.script)
        shown = pasted(first + xml)
        assert statuses(shown) == XML_STATUSES, shown


# ------------------------------------------------------------------------------------- again


def test_a_second_start_keeps_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with demo(data) as one:
        password = one.password("alice")
        first, xml, _, _ = parts(one.script)
        realm = re.findall(r"demo-xml-[0-9a-f]+", pasted(first + xml))[0]
        assert one.process.stop() == 0
        devices = {name: one.device(name) for name in ("edge-a", "edge-b")}
    with demo(data) as two:
        assert {name: two.device(name) for name in devices} == devices
        assert "password unchanged" in two.text and password not in two.text
        script = two.script.replace("PASSWORD-OF-ALICE", password).replace("PASSWORD-OF-BOB", one.password("bob"))
        first, _, in_json, _ = parts(script)
        shown = pasted(first + in_json)
        assert statuses(shown) == JSON_STATUSES, shown
        client = two.client().login("alice", password)
        elements = client.get(_elements(devices["edge-a"][0])).json()
        assert realm in json.dumps(elements)


def _elements(device_id: str) -> str:
    return f"/rest/v1.3/configuration/deviceConfigs/{device_id}/configElements?elementTypePath=realmConfig"


def test_a_second_start_finds_other_ports_for_its_devices(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with demo(data) as one:
        before = one.device("edge-a")
        assert one.process.stop() == 0
    port = int(before[1].rpartition(":")[2])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with demo(data) as two:
            after = two.device("edge-a")
            assert after[0] == before[0] and after[1] != before[1]
            client = two.client().login("alice", one.password("alice"))
            device = client.get(f"/rest/v1.3/inventory/deviceMgmt/devices/{after[0]}").json()
            assert device["connectivityStatus"] is True and f"https://{device['ip']}" == after[1]


# ------------------------------------------------------------------------------------- ends and refusals


def test_without_a_directory_nothing_is_left_behind(tmp_path: Path) -> None:
    with running("demo", "--listen", "127.0.0.1:0", extra={"TMPDIR": str(tmp_path)}) as process:
        process.wait_for(LAST_LINE)
        (data,) = re.findall(r"^# Data directory: (\S+), removed at the end", "".join(process.lines), re.MULTILINE)
        assert Path(data).parent == tmp_path and (Path(data) / "tls" / "ca.crt").exists()
        assert process.stop() == 0
        assert "Traceback" not in process.log
    assert list(tmp_path.iterdir()) == []


def refusal(*arguments: Any, **extra: str) -> str:
    ended = run("demo", *arguments, **extra)
    assert ended.returncode == 1 and ended.stdout == "" and "Traceback" not in ended.stderr, ended
    return ended.stderr


def test_an_address_in_use_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refusal("--listen", address, TMPDIR=str(tmp_path))
    assert address in said and "--listen" in said
    assert list(tmp_path.iterdir()) == []


def test_a_weak_password_for_all_is_refused(tmp_path: Path) -> None:
    said = refusal("--data", tmp_path / "data", OPENSDM_DEMO_PASSWORD="short")
    assert "at least 8" in said
    assert not (tmp_path / "data").exists()


def test_the_directory_of_a_server_is_left_alone(tmp_path: Path) -> None:
    installed = Installation(tmp_path / "data")
    installed.init()
    assert "not of a demo" in refusal("--listen", "127.0.0.1:0", *installed.place)


def test_the_database_of_a_server_is_left_alone(tmp_path: Path) -> None:
    """A demo started where a server's settings are in the environment does not write into that server's database."""
    extra = {"OPENSDM_DATABASE": f"sqlite:///{tmp_path}/precious.sqlite3", "OPENSDM_DATA": str(tmp_path / "server")}
    with demo(tmp_path / "data", **extra) as started:
        started.client().login("alice", started.password("alice"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data"]
