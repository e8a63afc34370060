"""A second SOAP stack that is not Python: gSOAP makes a C client from our WSDLs, which locks and unlocks a device."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.rest_site import Site, site
from tests.gatehouse import PASSWORD
from tests.machine import missing, tool

TYPES = """
adm = "http://adminmgmt.service.ws.ems.acmepacket.com/"
dev = "http://devicemgmt.service.ws.ems.acmepacket.com/"
flt = "http://fault.service.ws.ems.acmepacket.com/"
uo = "http://userobjects.service.ws.ems.acmepacket.com/"
"""
WSDLS = ("AdminMgmtIF", "DeviceMgmtIF")

Locker = Callable[..., list[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as opened:
        opened.enrol("edge-a")
        yield opened


@pytest.fixture(scope="module")
def locker(place: Site, tmp_path_factory: pytest.TempPathFactory) -> Locker:
    """The client, generated from the WSDLs as served and compiled: `locker("alice", "lock")` gives its lines."""
    if not Path("/usr/include/stdsoap2.h").exists():
        missing("libgsoap-dev")
    build = tmp_path_factory.mktemp("gsoap")
    (build / "types.dat").write_text(TYPES)
    shutil.copy(Path(__file__).with_name("locker.c"), build)
    urls = [f"{place.base}/ACMEWS/services/{name}?wsdl" for name in WSDLS]
    imports = str(Path(tool("soapcpp2")).resolve().parents[1] / "share/gsoap/import")
    for command in (
        [tool("wsdl2h"), "-c", "-t", "types.dat", "-o", "sdm.h", *urls],
        [tool("soapcpp2"), "-c", "-C", "-L", "-x", "-w", f"-I{imports}", "sdm.h"],
        [tool("gcc"), "-O0", "-w", "-o", "locker", "locker.c", "soapC.c", "soapClient.c", "-lgsoap"],
    ):
        done = subprocess.run(command, cwd=build, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(user: str, act: str, expected: int = 0, password: str = PASSWORD) -> list[str]:
        words = [str(build / "locker"), place.base, user, password, "edge-a", act]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout.splitlines()

    return run


def test_it_locks_asks_unlocks_and_logs_out(locker: Locker) -> None:
    assert locker("alice", "run") == [
        "lock 1 edge-a is locked",
        "details edge-a in Home",
        "unlock 1 edge-a is unlocked",
        "logOut 1",
    ]


def test_a_second_user_gets_the_typed_fault_that_names_the_holder(locker: Locker) -> None:
    assert locker("alice", "lock") == ["lock 1 edge-a is locked"]
    sentence, *rest = locker("bob", "lock", expected=3)
    assert sentence.startswith("fault edge-a is locked by alice since ")
    assert rest == ["typed AcmeDeviceWSFault", "code DEVICE_LOCKED", "holder alice"]
    assert locker("bob", "unlock", expected=3)[1:] == ["typed AcmeDeviceWSFault", "code NOT_LOCK_OWNER", "holder alice"]
    assert locker("alice", "unlock") == ["unlock 1 edge-a is unlocked"]
    assert locker("bob", "run")[0] == "lock 1 edge-a is locked"


def test_a_wrong_password_is_an_access_fault(locker: Locker) -> None:
    said = locker("alice", "lock", expected=3, password="not-this-1")
    assert said == ["fault wrong user name or password", "typed AcmeAdminWSFault", "code LOGIN_FAILED"]
