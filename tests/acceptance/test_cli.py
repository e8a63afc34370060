"""The command line as it is installed: real processes, real databases."""

import re
import stat
from pathlib import Path

import pytest
import requests

from tests.program import ADMIN_PASSWORD, PASSWORD, Installation, done, refused, run, running

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


# ------------------------------------------------------------------------------------- simulate


def test_a_virtual_pair_with_many_elements() -> None:
    password = "Sbc-Secret-1"
    command = ("simulate", "sbc", "--listen", "127.0.0.1:0", "--pair", "127.0.0.1:0", "--plain-http")
    with running(*command, "--elements", "hostRoute=150", extra={"OPENSDM_SBC_PASSWORD": password}) as device:
        device.wait_for("standby listening on http://")
        urls = [line.split()[-1] for line in device.lines if "listening on" in line]
        http, roles, routes = requests.Session(), [], []
        http.trust_env = False
        for url in urls:
            base = f"{url}/rest/v1.2"
            token = http.post(f"{base}/auth/token", auth=("netops", password), timeout=30).text
            http.headers["Authorization"] = "Bearer " + re.findall("<accessToken>(.*?)<", token)[0]
            roles += re.findall("<role>(.*?)<", http.get(f"{base}/system/status", timeout=30).text)
            page = http.get(f"{base}/configuration/configElements?elementType=host-route&offset=100", timeout=30).text
            routes.append(page.count("<configElement>"))
        assert (roles, routes) == (["active", "standby"], [50, 50])
        assert device.stop() == 0
    assert "--pair" in refused(run(*command[:4], "--pair", "nowhere"), 2)
    assert "TYPE=NUMBER" in refused(run(*command[:4], "--elements", "many"), 2)


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
