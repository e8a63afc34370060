"""The commands on devices and the inventory, as they are installed."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.program import (
    ADMIN_PASSWORD,
    OPENSDM,
    START_TIMEOUT_S,
    Installation,
    done,
    environment,
    refused,
    run,
    running,
)

SECRET = "Sbc-Secret-1"
CATEGORY = "SP Edge & Core"


@dataclass(frozen=True)
class Sbc:
    """A virtual SBC over TLS."""

    address: str
    authority: Path


@pytest.fixture(scope="module")
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sbc]:
    tls = tmp_path_factory.mktemp("tls")
    command = ("simulate", "sbc", "--listen", "127.0.0.1:0", "--name", "west-1", "--tls", tls)
    with running(*command, extra={"OPENSDM_SBC_PASSWORD": SECRET}) as device:
        yield Sbc(device.url.removeprefix("https://"), tls / "ca.crt")


def typed(text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command with this on its standard input."""
    words = [str(OPENSDM), *map(str, arguments)]
    return subprocess.run(
        words, input=text, check=False, capture_output=True, text=True, timeout=START_TIMEOUT_S, env=environment()
    )


def rows_of(shown: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in shown.splitlines()]


def test_an_inventory_comes_in_and_goes_out(installed: Installation, tmp_path: Path) -> None:
    place, file = installed.place, tmp_path / "sites.csv"
    file.write_text(
        "name,parentGroupFullName,nfCategory,nfType,primary.ip,username,password\n"
        f"west-1,Home,{CATEGORY},Device,192.0.2.1,netops,{SECRET}\n"
        f"west-2,Home/West,{CATEGORY},Device,192.0.2.2,netops,{SECRET}\n"
        f"west-3,,{CATEGORY},Device\n"
        f'"west, 4",,{CATEGORY},Device,192.0.2.4,,\n'
    )
    tried = run("inventory", "import", file, "--dry-run", *place)
    assert tried.returncode == 1 and tried.stderr == "", tried.stderr
    heading, second, third, total = rows_of(tried.stdout)
    assert heading == ["LINE", "NAME", "CODE", "WHAT IS WRONG"] and total == ["2 would be added, 2 refused"]
    assert second[:3] == ["3", "west-2", "INVALID_REQUEST"] and "no device group 'Home/West'" in second[3]
    assert third[:3] == ["4", "west-3", "INVALID_REQUEST"] and "4 cells" in third[3]
    assert done("device", "list", *place) == "There are no devices.\n"

    ended = run("inventory", "import", file, "--assign", "--json", *place)
    reply = json.loads(ended.stdout)
    assert ended.returncode == 1 and [row["ok"] for row in reply["rows"]] == [True, False, False, True]
    assert (reply["added"], reply["failed"], reply["dry_run"]) == (2, 2, False)
    assert SECRET not in ended.stdout + tried.stdout
    again = run("inventory", "import", file, *place)
    assert again.returncode == 1 and "0 added, 4 refused" in again.stdout and "ALREADY_EXISTS" in again.stdout
    listed = rows_of(done("device", "list", *place))
    assert [row[0] for row in listed[1:]] == ["west-1", "west, 4"]
    assert {tuple(row[3:]) for row in listed[1:]} == {("acme_sbc", "no", "Not Loaded", "-")}

    exported = done("inventory", "export", *place)
    assert SECRET not in exported and exported.startswith("name,parentGroupFullName,nfCategory,nfType,primary.ip,")
    rows = json.loads(done("inventory", "export", "--format", "json", *place))
    assert [row["name"] for row in rows] == ["west-1", "west, 4"]
    assert [row["parameters"].get("password") for row in rows] == ["xxxx", None]
    other = Installation(tmp_path / "other")
    other.init()
    (tmp_path / "out.json").write_text(json.dumps([rows[1]]))
    assert done("inventory", "import", tmp_path / "out.json", *other.place) == "1 added, 0 refused\n"
    (tmp_path / "out.csv").write_text(exported)
    moved = run("inventory", "import", tmp_path / "out.csv", "--dry-run", *other.place)
    assert "'password' cannot be xxxx" in moved.stdout and moved.returncode == 1


def test_files_that_cannot_be_read_say_why(installed: Installation, tmp_path: Path) -> None:
    for name, content, words, code in (
        ("a.csv", b"name;nfType\n", "there is no column", 1),
        ("a.csv", b"name,\xff\n", "not UTF-8", 1),
        ("a.json", b"[{", "not JSON", 1),
        ("a.json", b"{}", "one JSON list", 1),
        ("a.xlsx", b"PK", "neither .csv nor .json", 2),
    ):
        (tmp_path / name).write_bytes(content)
        assert words in refused(run("inventory", "import", tmp_path / name, *installed.place), code)
    assert "No such file" in refused(run("inventory", "import", tmp_path / "none.csv", *installed.place))


def test_a_host_is_probed(installed: Installation, sbc: Sbc) -> None:
    probe = ("device", "probe", sbc.address, *installed.place, "--user", "netops", "--password-stdin")
    trusted = ("--param", f"tls.ca=@{sbc.authority}")
    good = typed(SECRET + "\n", *probe, *trusted)
    assert good.returncode == 0 and good.stderr == "", good.stderr + good.stdout
    title, heading, *steps = rows_of(good.stdout)
    assert title == [f"{sbc.address}, as acme_sbc"] and heading == ["STEP", "RESULT", "WHAT WAS FOUND"]
    assert [row[0] for row in steps] == [
        "address", "connection", "trust", "login", "facts", "schema", "configuration", "capabilities",
    ]  # fmt: skip
    assert {row[1] for row in steps} == {"ok"} and "west-1" in steps[4][2]

    wrong = typed("Wrong-1\n", *probe, *trusted, "--json")
    report = json.loads(wrong.stdout)
    assert wrong.returncode == 1 and [f["ok"] for f in report["findings"]] == [True] * 3 + [False] + [None] * 3 + [True]
    assert "Wrong-1" not in wrong.stdout
    doubtful = typed(SECRET + "\n", *probe)
    assert doubtful.returncode == 1 and re.search(
        r"^trust +failed +.*certificate is not trusted", doubtful.stdout, re.M
    )
    assert SECRET not in doubtful.stdout + good.stdout

    assert "--password-stdin" in refused(run("device", "probe", sbc.address, "--user", "x", *installed.place), 2)
    secret_in_argument = ("--param", f"password={SECRET}")
    assert "every account" in refused(run("device", "probe", sbc.address, *secret_in_argument, *installed.place), 2)
    assert "acme_sbc" in refused(run("device", "probe", sbc.address, "--platform", "vax", *installed.place))


def test_an_enrolled_device_is_probed_unless_another_holds_it(installed: Installation, sbc: Sbc) -> None:
    with installed.serve() as server:
        client = installed.client(server).login("admin", ADMIN_PASSWORD)
        parameters = {"username": "netops", "password": SECRET, "tls.ca": sbc.authority.read_text()}
        device_id = client.enrol("west-1", **{"primary.ip": sbc.address, **parameters})
        for said in ("west-1", device_id.lower(), sbc.address):
            shown = done("device", "probe", said, *installed.place)
            assert shown.startswith(f"{sbc.address}, as acme_sbc\n") and "failed" not in shown
        told = refused(run("device", "probe", "west-1", "--param", "port=1", *installed.place), 2)
        assert f"'west-1' ({device_id})" in told
        assert client.act(device_id, "Lock").status_code == 200
        assert "west-1 is locked by admin" in refused(run("device", "probe", "WEST-1", *installed.place), 3)
        (row,) = rows_of(done("device", "list", *installed.place))[1:]
        assert row == ["west-1", device_id, sbc.address, "acme_sbc", row[4], "Not Loaded", "admin"]
        listed = json.loads(done("device", "list", "--json", *installed.place))
        assert [each["lock_holder"] for each in listed] == ["admin"] and SECRET not in json.dumps(listed)
