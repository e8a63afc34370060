"""The command line as it is installed: real processes, real sockets, real databases."""

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.postgres import PostgresServer
from tests.program import ADMIN_PASSWORD, OPENSDM, Client, Installation, done, environment, run, running

PASSWORD = "battery-staple-4"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A data directory as init leaves it, to be copied: with the embedded database it may be anywhere."""
    made = Installation(tmp_path_factory.mktemp("fresh") / "data")
    made.init()
    return made


@pytest.fixture
def installed(fresh: Installation, tmp_path: Path) -> Installation:
    return Installation(shutil.copytree(fresh.data, tmp_path / "data"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """An installation on each of the two databases."""
    if request.param == "sqlite":
        made: Installation = request.getfixturevalue("installed")
        return made
    made = Installation(tmp_path / "data", request.getfixturevalue("postgres_url"))
    made.init()
    return made


def refused(ended: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """What a command that failed said: one sentence, no traceback, nothing on standard output."""
    assert ended.returncode == code, (ended.returncode, ended.stdout, ended.stderr)
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("opensdm: ") and ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


# ------------------------------------------------------------------------------------- help, version, usage


def test_help_names_every_command() -> None:
    shown = done("--help")
    for command in ("demo", "init", "serve", "user", "simulate", "lock", "audit", "version"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE), shown
    shown = done("user", "--help")
    for command in ("add", "list", "disable", "enable", "passwd"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE), shown


def test_version() -> None:
    assert re.fullmatch(r"opensdm \d+\.\d+\.\d+\n", done("version"))
    assert done("--version") == done("version")


@pytest.mark.parametrize(
    "arguments", [("serve",), ("user", "add", "dora"), ("user", "add", "--group", "monitors"), ("nonsense",)]
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stderr and "Traceback" not in ended.stderr


def test_a_bad_setting_is_named_and_its_value_is_not(tmp_path: Path) -> None:
    bad = "mysql://root:s3cret@db/x"
    said = refused(run("serve", "--data", tmp_path, OPENSDM_DATABASE=bad), 2)
    assert "OPENSDM_DATABASE" in said and "s3cret" not in said
    assert "OPENSDM_LOG_LEVEL" in refused(run("serve", "--data", tmp_path, OPENSDM_LOG_LEVEL="loud"), 2)
    assert "--listen" in refused(run("simulate", "sbc", "--listen", "nowhere"), 2)


# ------------------------------------------------------------------------------------- init


def test_init_prints_a_password_once_that_logs_in(tmp_path: Path) -> None:
    installed = Installation(tmp_path / "data")
    printed = done("init", *installed.place)
    (password,) = re.findall(r"admin, password (\S+) \(shown this once\)", printed)
    with installed.serve() as server:
        installed.client(server).login("admin", password)
    kept = b"".join(file.read_bytes() for file in installed.data.rglob("*") if file.is_file())
    assert password.encode() not in kept


def test_init_takes_the_password_of_the_environment_and_does_not_show_it(tmp_path: Path) -> None:
    installed = Installation(tmp_path / "data")
    assert PASSWORD not in done("init", *installed.place, OPENSDM_ADMIN_PASSWORD=PASSWORD)
    with installed.serve() as server:
        installed.client(server).login("admin", PASSWORD)


@pytest.mark.parametrize("weak", ["", "short-1", "onlyletters", "12345678"])
def test_init_refuses_a_weak_password_before_it_makes_anything(tmp_path: Path, weak: str) -> None:
    assert "at least 8" in refused(run("init", "--data", tmp_path / "data", OPENSDM_ADMIN_PASSWORD=weak))
    assert not (tmp_path / "data").exists()


def test_init_never_touches_an_initialised_directory(installed: Installation) -> None:
    kept = {file: file.read_bytes() for file in installed.data.rglob("*") if file.is_file()}
    said = refused(run("init", *installed.place, OPENSDM_ADMIN_PASSWORD=PASSWORD))
    assert str(installed.data) in said and "nothing was changed" in said
    after = {file: file.read_bytes() for file in installed.data.rglob("*") if file.is_file()}
    lock = installed.data / "server.lock"
    assert {k: v for k, v in after.items() if k != lock} == {k: v for k, v in kept.items() if k != lock}


def test_only_the_owner_may_look_into_what_init_made(installed: Installation) -> None:
    assert stat.S_IMODE(installed.data.stat().st_mode) == 0o700
    for file in installed.data.rglob("*"):
        public = file.suffix == ".crt"
        mode = stat.S_IMODE(file.stat().st_mode)
        assert mode & 0o077 == 0 or public, f"{file} {mode:o}"


def test_init_does_not_close_a_directory_that_holds_other_things(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "notes").write_text("mine")
    Installation(shared).init()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    assert stat.S_IMODE((shared / "secret.key").stat().st_mode) == 0o600


def test_init_that_was_cut_short_is_finished_by_the_next_one(installed: Installation) -> None:
    (installed.data / "opensdm.toml").unlink()  # the last thing it writes
    printed = done("init", *installed.place, OPENSDM_ADMIN_PASSWORD="another-horse-8")
    assert "already" in printed
    with installed.serve() as server:
        installed.client(server).login("admin", ADMIN_PASSWORD)


@pytest.mark.postgres
def test_init_remembers_the_database(postgres_url: str, tmp_path: Path) -> None:
    installed = Installation(tmp_path / "data", postgres_url)
    installed.init()
    settings = installed.data / "opensdm.toml"
    assert postgres_url in settings.read_text() and stat.S_IMODE(settings.stat().st_mode) == 0o600
    with installed.serve() as server:  # says nothing of the database
        installed.client(server).login("admin", ADMIN_PASSWORD)
        assert postgres_url not in server.log
    assert not list(installed.data.glob("*.sqlite3"))


@pytest.mark.postgres
def test_another_secret_key_is_refused(postgres_url: str, tmp_path: Path) -> None:
    Installation(tmp_path / "one", postgres_url).init()
    two = Installation(tmp_path / "two", postgres_url)
    said = refused(run("init", *two.place, OPENSDM_ADMIN_PASSWORD=PASSWORD))
    assert "secret" in said and postgres_url not in said


# ------------------------------------------------------------------------------------- serve


def test_serve_names_init_when_there_is_nothing_to_serve(tmp_path: Path) -> None:
    said = refused(run("serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"))
    assert "opensdm init" in said and str(tmp_path / "data") in said
    assert not (tmp_path / "data").exists()


def test_serve_prints_one_line_answers_and_stops_cleanly(either: Installation) -> None:
    with either.serve() as server:
        assert re.fullmatch(r"https://127\.0\.0\.1:[1-9]\d*", server.url)
        client = either.client(server)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").text == "ready\n"
        metrics = client.get("/metrics")
        assert metrics.headers["Content-Type"].startswith("text/plain")
        assert re.search(r'^opensdm_operations_total\{.*operation="ShowServer".*\} \d', metrics.text, re.MULTILINE)
        assert client.get("/rest/v1.3/inventory/deviceMgmt/devices").status_code == 401
        client.login("admin", ADMIN_PASSWORD)
        assert server.stop() == 0
        assert server.lines == [f"opensdm: listening on {server.url}\n"]
        assert "Traceback" not in server.log
    assert not (either.data / "console.sock").exists()


def test_ctrl_c_stops_cleanly_too(installed: Installation) -> None:
    with installed.serve() as server:
        assert server.stop(signal.SIGINT) == 0
        assert "Traceback" not in server.log


def test_a_stop_does_not_wait_for_clients_that_are_only_connected(installed: Installation) -> None:
    with installed.serve() as server:
        client = installed.client(server)
        client.get("/healthz")  # a kept-alive TLS connection that says no goodbye
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            began = time.monotonic()
            assert server.stop() == 0
    assert time.monotonic() - began < 15  # the grace for work at hand, which there is none of, is 20 s


def test_serve_speaks_plain_http_when_asked_to(installed: Installation) -> None:
    with installed.serve("--plain-http") as server:
        assert server.url.startswith("http://")
        installed.client(server).login("admin", ADMIN_PASSWORD)


def test_the_certificate_names_the_listening_host(installed: Installation) -> None:
    with installed.serve(listen="localhost:0") as server:
        port = server.url.rpartition(":")[2]
        for host in ("localhost", "127.0.0.1"):
            assert Client(f"https://{host}:{port}", installed.authority).get("/healthz").ok
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{server.url}/healthz", timeout=30)


def test_a_second_server_on_the_directory_is_refused(either: Installation) -> None:
    with either.serve() as server:
        said = refused(run("serve", *either.place, "--listen", "127.0.0.1:0"))
        assert str(server.process.pid) in said and str(either.data) in said
        assert either.client(server).get("/readyz").ok


def test_of_two_servers_that_start_at_once_one_serves(installed: Installation) -> None:
    with installed.serve_unwaited() as one, installed.serve_unwaited() as two:
        deadline = time.monotonic() + 60
        while all(each.process.poll() is None for each in (one, two)) and time.monotonic() < deadline:
            time.sleep(0.05)
        loser, winner = (one, two) if one.process.poll() is not None else (two, one)
        assert loser.ended() == 1
        assert str(winner.process.pid) in loser.log and not loser.lines
        winner.wait_until_listening()
        assert installed.client(winner).get("/readyz").ok


@pytest.mark.postgres
def test_a_second_server_on_the_database_is_refused(postgres_url: str, tmp_path: Path) -> None:
    one, two = Installation(tmp_path / "one", postgres_url), Installation(tmp_path / "two", postgres_url)
    one.init()
    two.data.mkdir()
    (two.data / "secret.key").write_bytes((one.data / "secret.key").read_bytes())
    two.init()  # the same key: allowed onto the same database
    with one.serve() as server:
        said = refused(run("serve", *two.place, "--listen", "127.0.0.1:0"))
        assert "serving this database" in said
        assert one.client(server).get("/readyz").ok


def test_an_address_in_use_is_named_with_the_way_out(installed: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(run("serve", *installed.place, "--listen", f"127.0.0.1:{port}"))
    assert f"127.0.0.1:{port}" in said and "--listen" in said


def test_sessions_and_locks_outlive_a_killed_server(either: Installation) -> None:
    with either.serve() as server:
        client = either.client(server).login("admin", ADMIN_PASSWORD)
        device_id = client.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        assert client.act(device_id, "Lock", reason="night work").status_code == 200
        server.kill()
    assert (either.data / "console.sock").exists()  # left behind, as by a power cut
    with either.serve() as server:
        client.url = server.url
        lock = client.get(f"/rest/v1.4/inventory/deviceMgmt/devices/{device_id}/lock").json()
        assert (lock["holder"], lock["reason"]) == ("admin", "night work")
        assert "edge-a" in done("lock", "list", *either.place)


def test_work_at_hand_is_finished_before_the_server_ends(installed: Installation) -> None:
    """The push takes seconds on the device; the stop comes in its middle; the answer still arrives: a success."""
    with (
        running("simulate", "sbc", "--listen", "127.0.0.1:0", "--plain-http", "--controllable",
                extra={"OPENSDM_SBC_PASSWORD": PASSWORD}) as device,
        installed.serve() as server,
    ):  # fmt: skip
        client = installed.client(server).login("admin", ADMIN_PASSWORD)
        address = device.url.removeprefix("http://")
        reached = {"primary.ip": address, "transport": "http", "username": "netops", "password": PASSWORD}
        device_id = client.enrol("edge-a", **reached)
        assert client.get(f"/rest/v1.4/configuration/devices/{device_id}/loadConfig").status_code == 200
        realm = {"elementTypePath": "realmConfig", "attributes": [{"name": "id", "value": "late"}]}
        added = client.post(f"/rest/v1.4/configuration/deviceConfigs/{device_id}/configElements/add", realm)
        assert added.status_code == 200, added.text
        control = requests.post(f"{device.url}/simulator/control", json={"job_delay_s": 1.0}, timeout=30)
        assert control.status_code == 200
        answers: list[requests.Response] = []
        push = threading.Thread(
            target=lambda: answers.append(
                client.post(f"/rest/v1.4/configuration/devices/{device_id}/action", {"type": "SaveActivateConfig"})
            )
        )
        push.start()
        journal = f"{device.url}/simulator/journal?kind=element"
        while push.is_alive() and not requests.get(journal, timeout=30).json()["entries"]:
            time.sleep(0.02)
        assert server.stop() == 0
        push.join(30)
        (answer,) = answers
        assert answer.status_code == 200 and answer.json()["status"] == "SUCCESS", answer.text


def test_a_node_declared_dead_ends_itself(installed: Installation) -> None:
    with installed.serve() as server:
        with sqlite3.connect(installed.data / "opensdm.sqlite3", timeout=30) as database:
            database.execute("UPDATE node SET live = 0")
        database.close()
        assert server.ended() == 1
        assert "opensdm: node" in server.log and "declared dead" in server.log and "Traceback" not in server.log


@pytest.mark.postgres
def test_readiness_follows_the_database(own_postgres: PostgresServer, tmp_path: Path) -> None:
    installed = Installation(tmp_path / "data", own_postgres.url(own_postgres.create_database()))
    installed.init()
    with installed.serve() as server:
        client = installed.client(server)
        assert client.get("/readyz").status_code == 200
        own_postgres.stop()
        assert _until(client, 503) == "the database does not answer\n"
        assert client.get("/healthz").status_code == 200
        said = refused(run("user", "list", *installed.place))
        assert "database" in said
        own_postgres.start()
        assert _until(client, 200) == "ready\n"
        assert server.stop() == 0


def _until(client: Client, status: int) -> str:
    deadline = time.monotonic() + 60
    while (answer := client.get("/readyz")).status_code != status:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return answer.text


@pytest.mark.postgres
def test_a_database_that_is_away_is_named_without_its_password(own_postgres: PostgresServer, tmp_path: Path) -> None:
    url = own_postgres.url(own_postgres.create_database())
    Installation(tmp_path / "data", url).init()
    own_postgres.stop()
    said = refused(run("serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"))
    assert f"127.0.0.1:{own_postgres.port}" in said and own_postgres.password not in said
    own_postgres.start()


def test_settings_of_the_file_yield_to_the_environment_and_that_to_the_command_line(installed: Installation) -> None:
    file = installed.data / "opensdm.toml"
    file.write_text('plain_http = true\n[rest]\nlists = "nested"\n' + file.read_text().partition("\n\n")[2])
    with installed.serve() as server:
        client = installed.client(server).login("admin", ADMIN_PASSWORD)
        assert server.url.startswith("http://")
        client.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        listed = client.get("/rest/v1.3/inventory/deviceMgmt/devices").json()
        assert set(listed) == {"device"}, listed
    with installed.serve(OPENSDM_REST_LISTS="flat", OPENSDM_PLAIN_HTTP="false") as server:
        client = installed.client(server).login("admin", ADMIN_PASSWORD)
        assert server.url.startswith("https://")
        assert isinstance(client.get("/rest/v1.3/inventory/deviceMgmt/devices").json()["devices"], list)


def test_the_log_tells_no_secret(installed: Installation) -> None:
    device_secret = "Device-secret-9"
    with installed.serve(OPENSDM_LOG_LEVEL="debug") as server:
        client = installed.client(server).login("admin", ADMIN_PASSWORD)
        client.enrol("edge-a", **{"primary.ip": "127.0.0.1:9", "username": "netops", "password": device_secret})
        client.post("/rest/v1.4/admin/login", {"userName": "admin", "password": "wrong-horse-1"})
        done("user", "add", "alice", "--group", "provisioners", *installed.place, OPENSDM_PASSWORD=PASSWORD)
        cookie = client.http.cookies["JSESSIONID"]
        assert server.stop() == 0
        assert server.log
        for secret in (ADMIN_PASSWORD, "wrong-horse-1", device_secret, PASSWORD, cookie, cookie.partition(".")[0]):
            assert secret not in server.log


def test_a_head_without_end_is_cut_off(installed: Installation) -> None:
    with installed.serve("--plain-http") as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            received = b""
            try:
                for number in range(10_000):
                    client.sendall(b"X-%d: %s\r\n" % (number, b"a" * 1000))
            except OSError:
                pass
            else:
                pytest.fail("ten megabytes of headers were taken")
            with contextlib.suppress(OSError):
                received = client.recv(100)
            assert received == b"" or received.startswith(b"HTTP/1.1 431 ")
        assert installed.client(server).get("/readyz").ok


# ------------------------------------------------------------------------------------- users


@pytest.fixture(params=["beside a running server", "without a server"])
def place(request: pytest.FixtureRequest, either: Installation) -> Iterator[Installation]:
    """Where user commands work: on both databases, with the server running and without."""
    if request.param == "without a server":
        yield either
        return
    with either.serve():
        yield either


def test_users_are_added_listed_disabled_enabled(place: Installation) -> None:
    added = done("user", "add", "alice", "--group", "provisioners", *place.place, OPENSDM_PASSWORD=PASSWORD)
    assert "alice" in added and PASSWORD not in added
    lines = {line.split()[0]: line.split()[1:3] for line in done("user", "list", *place.place).splitlines()[1:]}
    assert lines == {"admin": ["administrators", "enabled"], "alice": ["provisioners", "enabled"]}
    done("user", "disable", "alice", *place.place)
    assert re.search(r"^alice +provisioners +disabled", done("user", "list", *place.place), re.MULTILINE)
    done("user", "enable", "ALICE", *place.place)
    assert re.search(r"^alice +provisioners +enabled", done("user", "list", *place.place), re.MULTILINE)
    trail = done("audit", "--user", "local-console", "--operation", "*User", *place.place)
    told = [line.split()[4] for line in trail.splitlines()[1:]]
    assert told == ["AddUser", "AddUser", "DisableUser", "EnableUser"], trail
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
        assert _asked(path, b"x" * 200_000 + b"\n") == b""
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


# ------------------------------------------------------------------------------------- simulate


def test_the_virtual_sbc_alone(tmp_path: Path) -> None:
    state, tls = tmp_path / "sbc.json", tmp_path / "tls"
    command = ("simulate", "sbc", "--listen", "127.0.0.1:0", "--name", "lab-1", "--state", state, "--tls", tls)
    with running(*command) as device:
        (user, password), *_ = re.findall(r"user (\S+), password (\S+)", "".join(device.lines))
        http = requests.Session()
        http.trust_env, http.verify = False, str(tls / "ca.crt")
        token = http.post(f"{device.url}/rest/v1.2/auth/token", auth=(user, password), timeout=30)
        assert token.status_code == 200 and "<accessToken>" in token.text
        wrong = http.post(f"{device.url}/rest/v1.2/auth/token", auth=(user, "wrong-horse-1"), timeout=30)
        assert wrong.status_code == 401
        assert device.stop() == 0
        assert f"virtual-sbc: listening on {device.url}\n" in device.lines
