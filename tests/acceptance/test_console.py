"""Commands on the server's own store, beside a running server and without one."""

import fcntl
import os
import pty
import re
import select
import socket
import stat
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opensdm.doors.local import MAX_REQUEST
from tests.acceptance.conftest import ON_SQLITE_AT_LEAST
from tests.program import (
    ADMIN_PASSWORD,
    OPENSDM,
    PASSWORD,
    Installation,
    done,
    environment,
    refused,
    run,
)

# ------------------------------------------------------------------------------------- users


@pytest.fixture(params=["beside a running server", "without a server"])
def place(request: pytest.FixtureRequest, either: Installation) -> Iterator[Installation]:
    """Where user commands work: on both databases, with the server running and without."""
    if request.param == "without a server":
        yield either
        return
    with either.serve():
        yield either


@ON_SQLITE_AT_LEAST
def test_users_are_added_listed_disabled_enabled(place: Installation) -> None:
    added = done("user", "add", "alice", "--group", "provisioners", *place.place, OPENSDM_PASSWORD=PASSWORD)
    assert "alice" in added and PASSWORD not in added
    lines = {line.split()[0]: line.split()[1:3] for line in done("user", "list", *place.place).splitlines()[1:]}
    assert lines == {"admin": ["administrators", "enabled"], "alice": ["provisioners", "enabled"]}
    done("user", "disable", "alice", *place.place)
    assert re.search(r"^alice +provisioners +disabled", done("user", "list", *place.place), re.MULTILINE)
    done("user", "enable", "ALICE", *place.place)
    assert re.search(r"^alice +provisioners +enabled", done("user", "list", *place.place), re.MULTILINE)
    assert "Deleted alice" in done("user", "delete", "ALICE", *place.place)
    assert "alice" not in done("user", "list", *place.place)
    trail = done("audit", "--user", "local-console", "--operation", "*User", *place.place)
    told = [line.split()[4] for line in trail.splitlines()[1:]]
    assert told == ["AddUser", "AddUser", "DisableUser", "EnableUser", "DeleteUser"], trail
    assert PASSWORD not in trail


def test_what_cannot_be_done_to_users_says_why(installed: Installation) -> None:
    with installed.serve():
        _check_refusals(installed)


def _check_refusals(place: Installation) -> None:
    add = ("user", "add", "alice", "--group", "provisioners", *place.place)
    done(*add, OPENSDM_PASSWORD=PASSWORD)
    assert "already" in refused(run(*add, OPENSDM_PASSWORD=PASSWORD))
    assert "at least 8" in refused(run("user", "passwd", "alice", *place.place, OPENSDM_PASSWORD="short"))
    assert "no user 'nobody'" in refused(run("user", "disable", "nobody", *place.place))
    assert "last administrator" in refused(run("user", "disable", "admin", *place.place))
    unknown = ("user", "add", "carol", "--group", "kings", *place.place)
    assert "provisioners" in refused(run(*unknown, OPENSDM_PASSWORD=PASSWORD))
    assert "OPENSDM_PASSWORD" in refused(run("user", "passwd", "alice", *place.place), 2)


def test_a_password_set_or_a_user_disabled_ends_sessions_at_once(installed: Installation) -> None:
    done("user", "add", "alice", "--group", "provisioners", *installed.place, OPENSDM_PASSWORD=PASSWORD)
    with installed.serve() as server:
        client = installed.client(server).login("alice", PASSWORD)
        assert client.get("/rest/v1.3/inventory/deviceMgmt/devices").status_code == 200
        done("user", "passwd", "alice", *installed.place, OPENSDM_PASSWORD="another-horse-8")
        assert client.get("/rest/v1.3/inventory/deviceMgmt/devices").status_code == 401
        client = installed.client(server).login("alice", "another-horse-8")
        done("user", "disable", "alice", *installed.place)
        assert client.get("/rest/v1.3/inventory/deviceMgmt/devices").status_code == 401
        answer = client.post("/rest/v1.3/admin/login", {"userName": "alice", "password": "another-horse-8"})
        assert answer.status_code == 401


@pytest.mark.parametrize(("second", "code"), [(PASSWORD, 0), ("another-horse-8", 1)])
def test_a_password_is_asked_for_twice_on_a_terminal_and_not_shown(
    installed: Installation, second: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    command = [str(OPENSDM), *map(str, ("user", "add", "alice", "--group", "provisioners", *installed.place))]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    for prompt, typed in ((b"Password for alice: ", PASSWORD), (b"once more: ", second)):
        while prompt not in shown:
            shown += _typed(ours)
        os.write(ours, typed.encode() + b"\n")
    while part := _typed(ours):
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == code, shown
    assert PASSWORD.encode() not in shown and second.encode() not in shown
    assert ("alice" in done("user", "list", *installed.place)) == (code == 0)


def _typed(terminal: int) -> bytes:
    """What a terminal shows next; nothing once its process is gone."""
    readable, _, _ = select.select([terminal], [], [], 60)
    assert readable, "the terminal stays silent"
    try:
        return os.read(terminal, 1000)
    except OSError:
        return b""


def test_commands_sent_at_once_wait_for_one_another(installed: Installation) -> None:
    names = ["alice", "bob", "carol"]
    ended: list[subprocess.CompletedProcess[str]] = []

    def add(name: str) -> None:
        ended.append(run("user", "add", name, "--group", "monitors", *installed.place, OPENSDM_PASSWORD=PASSWORD))

    threads = [threading.Thread(target=add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [each.returncode for each in ended] == [0, 0, 0], [each.stderr for each in ended]
    listed = done("user", "list", *installed.place)
    assert all(name in listed for name in names)


# ------------------------------------------------------------------------------------- locks, audit, console


def test_locks_are_listed_with_holder_reason_and_door(installed: Installation) -> None:
    with installed.serve() as server:
        assert "No device is locked" in done("lock", "list", *installed.place)
        client = installed.client(server).login("admin", ADMIN_PASSWORD)
        device_id = client.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        assert client.act(device_id, "Lock", reason="change \x1b[31m4711").status_code in (200, 400)
        assert client.act(device_id, "Lock", reason="change 4711").status_code == 200
        head, line = done("lock", "list", *installed.place).splitlines()
        assert head.split() == ["DEVICE", "ID", "HOLDER", "SINCE", "REASON", "DOOR", "IDLE", "RUNNING"]
        assert line.startswith("edge-a ") and f" {device_id} " in line and " admin " in line and "change 4711" in line
        assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line) and " rest " in line
        assert "No device is locked" in done("lock", "list", "--holder", "alice", *installed.place)
        client.post("/rest/v1.4/admin/logout")
        assert "logged out" in done("lock", "list", *installed.place)
    assert "edge-a" in done("lock", "list", *installed.place)  # and without a server


def test_the_audit_trail_is_filtered_and_limited(installed: Installation) -> None:
    with installed.serve() as server:
        client = installed.client(server)
        client.post("/rest/v1.4/admin/login", {"userName": "admin", "password": "wrong-horse-1"})
        client.login("admin", ADMIN_PASSWORD)
        failed = done("audit", "--operation", "Login", "--result", "LOGIN_FAILED", *installed.place).splitlines()
        assert len(failed) == 2 and " 127.0.0.1 " in failed[1] and " rest " in failed[1]
        assert len(done("audit", "--limit", "2", *installed.place).splitlines()) == 3
        assert done("audit", "--until", "2020-01-01T00:00:00Z", *installed.place) == "No entries.\n"
        assert '"operation": "Login"' in done("audit", "--json", "--user", "admin", *installed.place)
        assert "yesterday" in refused(run("audit", "--since", "yesterday", *installed.place), 2)


def test_the_console_is_for_the_owner_and_for_its_operations_only(installed: Installation) -> None:
    with installed.serve() as server:
        path = installed.data / "console.sock"
        assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o600
        for request in (
            b'{"operation": "PollDevice", "fields": {"device_id": 1}}\n',
            b'{"operation": "AddNetworkFunction", "fields": {}}\n',
            b'{"operation": "Login", "fields": {"user_name": "admin", "password": "x"}}\n',
            b'{"operation": "ListUsers", "fields": {"epoch": "x"}}\n',
            b'{"operation": "ListUsers", "fields": {"more": 1}}\n',
            b'{"operation": "ListUsers", "fields": []}\n',
            b'{"operation": ["ListUsers"]}\n',
            b"[]\n",
            b"not json\n",
            b"\xff\n",
        ):
            assert b'"code":"INVALID_REQUEST"' in _asked(path, request), request
        assert _asked(path, b"x" * (MAX_REQUEST + 1) + b"\n") == b""
        assert _asked(path, b'{"operation": "ListUsers"') == b""
        assert b'"user_name":"admin"' in _asked(path, b'{"operation": "ListUsers"}\n')
        assert installed.client(server).get("/readyz").ok


def _asked(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(30)
        console.connect(str(path))
        answer = b""
        try:
            console.sendall(request)
            console.shutdown(socket.SHUT_WR)
            while part := console.recv(65536):
                answer += part
        except OSError:
            pass
        return answer


def test_a_data_directory_of_any_depth_has_a_console(tmp_path: Path) -> None:
    deep = Installation(tmp_path / ("d" * 90) / "data")
    deep.init()
    with deep.serve() as server:
        done("user", "add", "alice", "--group", "monitors", *deep.place, OPENSDM_PASSWORD=PASSWORD)
        deep.client(server).login("alice", PASSWORD)
