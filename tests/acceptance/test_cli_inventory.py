"""The commands on devices and the inventory, as they are installed."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.program import (
    ADMIN_PASSWORD,
    OPENSDM,
    START_TIMEOUT_S,
    Client,
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


@dataclass(frozen=True)
class Place:
    """A data directory with its server running, and its administrator logged in."""

    installed: Installation
    client: Client

    @property
    def options(self) -> tuple[object, ...]:
        return self.installed.place


@pytest.fixture(scope="module")
def place(fresh: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    installed = Installation(shutil.copytree(fresh.data, tmp_path_factory.mktemp("place") / "data"))
    with installed.serve() as server:
        yield Place(installed, installed.client(server).login("admin", ADMIN_PASSWORD))


def typed(text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command with this on its standard input."""
    words = [str(OPENSDM), *map(str, arguments)]
    return subprocess.run(
        words, input=text, check=False, capture_output=True, text=True, timeout=START_TIMEOUT_S, env=environment()
    )


def rows_of(shown: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in shown.splitlines()]


def test_an_inventory_comes_in_and_goes_out(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text(
        "name,parentGroupFullName,nfCategory,nfType,primary.ip,username,password\n"
        f"north-1,Home,{CATEGORY},Device,192.0.2.1,netops,{SECRET}\n"
        f"north-2,Home/North,{CATEGORY},Device,192.0.2.2,netops,{SECRET}\n"
        f"north-3,,{CATEGORY},Device\n"
        f'"north, 4",,{CATEGORY},Device,192.0.2.4,,\n'
    )
    tried = run("inventory", "import", file, "--dry-run", *place.options)
    assert tried.returncode == 1 and tried.stderr == "", tried.stderr
    heading, second, third, total = rows_of(tried.stdout)
    assert heading == ["LINE", "NAME", "CODE", "WHAT IS WRONG"] and total == ["2 would be added, 2 refused"]
    assert second[:3] == ["3", "north-2", "INVALID_REQUEST"] and "no device group 'Home/North'" in second[3]
    assert third[:3] == ["4", "north-3", "INVALID_REQUEST"] and "4 cells" in third[3]

    ended = run("inventory", "import", file, "--assign", "--json", *place.options)
    reply = json.loads(ended.stdout)
    assert ended.returncode == 1 and [row["ok"] for row in reply["rows"]] == [True, False, False, True]
    assert (reply["added"], reply["failed"], reply["dry_run"]) == (2, 2, False)
    assert SECRET not in ended.stdout + tried.stdout
    listed = [row for row in rows_of(done("device", "list", *place.options)) if row[0].startswith("north")]
    assert [row[0] for row in listed] == ["north-1", "north, 4"]
    assert {(row[3], row[5], row[6]) for row in listed} == {("acme_sbc", "Not Loaded", "-")}

    exported = done("inventory", "export", *place.options)
    assert SECRET not in exported and exported.startswith("name,parentGroupFullName,nfCategory,nfType,primary.ip,")
    (tmp_path / "out.csv").write_text(exported.replace("north", "south").replace("192.0.2.", "192.0.2.10"))
    moved = run("inventory", "import", tmp_path / "out.csv", "--dry-run", *place.options)
    assert "'password' cannot be xxxx" in moved.stdout and moved.returncode == 1

    rows = json.loads(done("inventory", "export", "--format", "json", *place.options))
    assert [row["parameters"].get("password") for row in rows if "north" in row["name"]] == ["xxxx", None]
    last = next(row for row in rows if row["name"] == "north, 4")
    last["name"], last["parameters"]["primary.ip"] = "south-4", "192.0.2.104"
    (tmp_path / "out.json").write_text(json.dumps([last]))
    assert done("inventory", "import", tmp_path / "out.json", *place.options) == "1 added, 0 refused\n"


def test_files_that_cannot_be_read_say_why(place: Place, tmp_path: Path) -> None:
    for name, content, words, code in (
        ("a.csv", b"name;nfType\n", "there is no column", 1),
        ("a.csv", b"name,\xff\n", "not UTF-8", 1),
        ("a.json", b"[{", "not JSON", 1),
        ("a.xlsx", b"PK", "neither .csv nor .json", 2),
    ):
        (tmp_path / name).write_bytes(content)
        assert words in refused(run("inventory", "import", tmp_path / name, *place.options), code)


def test_a_host_is_probed(place: Place, sbc: Sbc) -> None:
    probe = ("device", "probe", sbc.address, *place.options, "--user", "netops", "--password-stdin")
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

    assert "--password-stdin" in refused(run("device", "probe", sbc.address, "--user", "x", *place.options), 2)
    secret_in_argument = ("--platform", "vax", "--param", f"password={SECRET}")
    assert "every account" in refused(run("device", "probe", sbc.address, *secret_in_argument, *place.options), 2)


def test_an_enrolled_device_is_probed_unless_another_holds_it(place: Place, sbc: Sbc) -> None:
    parameters = {"username": "netops", "password": SECRET, "tls.ca": sbc.authority.read_text()}
    device_id = place.client.enrol("west-1", **{"primary.ip": sbc.address, **parameters})
    for said in (device_id.lower(), sbc.address):
        shown = done("device", "probe", said, *place.options)
        assert shown.startswith(f"{sbc.address}, as acme_sbc\n") and "failed" not in shown
    told = refused(run("device", "probe", "west-1", "--param", "port=1", *place.options), 2)
    assert f"'west-1' ({device_id})" in told
    assert place.client.act(device_id, "Lock").status_code == 200
    assert "west-1 is locked by admin" in refused(run("device", "probe", "WEST-1", *place.options), 3)
    listed = json.loads(done("device", "list", "--json", *place.options))
    assert [each["lock_holder"] for each in listed if each["device_id"] == int(device_id[2:])] == ["admin"]
    assert SECRET not in json.dumps(listed)
