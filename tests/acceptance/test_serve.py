"""`opensdm serve` as it is installed: real processes, real sockets, real databases."""

import contextlib
import re
import signal
import socket
import sqlite3
import threading
import time
import tomllib
from pathlib import Path

import pytest
import requests

from tests.postgres import PostgresServer
from tests.program import (
    ADMIN_PASSWORD,
    PASSWORD,
    Client,
    Installation,
    done,
    refused,
    run,
    running,
)


def test_serve_names_init_when_there_is_nothing_to_serve(tmp_path: Path) -> None:
    said = refused(run("serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"))
    assert "opensdm init" in said and str(tmp_path / "data") in said
    assert not (tmp_path / "data").exists()


def test_serve_prints_one_line_answers_and_stops_cleanly(either: Installation) -> None:
    with either.serve() as server:
        assert re.fullmatch(r"https://127\.0\.0\.1:[1-9]\d*", server.url)
        client = either.client(server)
        assert client.get("/healthz").status_code == 200
        assert client.post("/healthz").status_code == 405
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
def test_a_second_server_of_one_name_is_refused(postgres_url: str, tmp_path: Path) -> None:
    one, two = Installation(tmp_path / "one", postgres_url), Installation(tmp_path / "two", postgres_url)
    one.init()
    two.init_beside(one)
    with one.serve() as server:
        said = refused(run("serve", *two.place, "--listen", "127.0.0.1:0", OPENSDM_NODE_NAME=server_name(one)))
        assert "serves this database" in said and "node.name" in said
        assert one.client(server).get("/readyz").ok


def server_name(installation: Installation) -> str:
    """The node's name, as `init` wrote it down."""
    with (installation.data / "opensdm.toml").open("rb") as file:
        return str(tomllib.load(file)["node"]["name"])


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


def test_a_node_declared_dead_begins_anew(installed: Installation) -> None:
    with installed.serve() as server:
        with sqlite3.connect(installed.data / "opensdm.sqlite3", timeout=30) as database:
            database.execute("UPDATE node SET live = 0")
        database.close()
        deadline = time.monotonic() + 30
        while "begun anew" not in server.log:
            assert time.monotonic() < deadline, server.log
            time.sleep(0.05)
        client = installed.client(server)
        assert _until(client, 200) == "ready\n"
        assert server.stop() == 0 and "Traceback" not in server.log


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
