"""`opensdm lock take` and its kin: users at the command line, against a real server, with exit codes for scripts."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.acceptance.conftest import ON_SQLITE_AT_LEAST
from tests.acceptance.test_many_waiting import Busy, busy
from tests.program import ADMIN_PASSWORD, PASSWORD, Installation, Running, done, refused, run

__all__ = ["busy"]

LOCKED, BUSY, NOT_OWNER, LOST = 3, 4, 5, 6


@dataclass
class Shell:
    """Somebody's command line; the device is edge-a."""

    installation: Installation
    server: Running

    def lock(self, user: str, verb: str, *more: str) -> subprocess.CompletedProcess[str]:
        password = ADMIN_PASSWORD if user == "admin" else PASSWORD
        where = () if self.server.url.startswith("http://") else ("--ca", str(self.installation.authority))
        return run("lock", verb, *more, "--url", self.server.url, *where, OPENSDM_USER=user, OPENSDM_PASSWORD=password)

    def done(self, user: str, verb: str, *more: str) -> str:
        ended = self.lock(user, verb, *more)
        assert ended.returncode == 0, (ended.stdout, ended.stderr)
        return ended.stdout


@pytest.fixture
def shell(installed: Installation) -> Iterator[Shell]:
    with installed.serve() as server:
        for user in ("alice", "bob"):
            done("user", "add", user, "--group", "provisioners", *installed.place, OPENSDM_PASSWORD=PASSWORD)
        admin = installed.client(server).login("admin", ADMIN_PASSWORD)
        admin.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        yield Shell(installed, server)


def test_a_lock_is_taken_asked_for_released_and_overridden(shell: Shell) -> None:
    assert shell.done("alice", "check", "edge-a") == "edge-a is free\n"
    assert shell.done("alice", "take", "EDGE-A", "--reason", "night work") == "edge-a is locked by alice, epoch 1\n"
    assert shell.done("alice", "take", "edge-a") == "edge-a is locked by alice, epoch 1\n", "again is no change"
    assert shell.done("alice", "check", "edge-a") == "edge-a is locked by you\n"
    said = refused(shell.lock("bob", "take", "edge-a"), LOCKED)
    assert "alice" in said and "night work" in said
    where = f"--url {shell.server.url} --ca {shell.installation.authority}"
    helps = f"; see: opensdm lock ask edge-a {where}, or: opensdm lock take edge-a --wait 10m {where}\n"
    assert said.endswith(helps), "what helps, ready to run"
    checked = refused(shell.lock("bob", "check", "edge-a"), LOCKED)
    assert checked == said, "a look says what a try would"
    assert "alice" in refused(shell.lock("bob", "release", "edge-a"), NOT_OWNER)
    assert shell.done("bob", "ask", "edge-a", "--message", "soon?") == "alice was asked to release edge-a\n"
    assert "lock.override" in refused(shell.lock("bob", "override", "edge-a", "--reason", "x"))
    overridden = shell.done("admin", "override", "edge-a", "--reason", "outage", "--holder", "alice", "--transfer")
    assert overridden == "edge-a is locked by admin, epoch 3\n"
    assert "admin" in refused(shell.lock("alice", "release", "edge-a", "--epoch", "1"), LOST)
    assert shell.done("admin", "release", "edge-a", "--epoch", "3") == "edge-a is free\n"
    assert shell.done("alice", "release", "edge-a") == "edge-a is free\n", "releasing what is free is success"
    device_id = shell.done("alice", "take", "edge-a") and "ID3"
    assert "edge-a is free" in shell.done("alice", "release", device_id)


def test_a_take_that_waits_shows_so_and_gets_the_lock(shell: Shell) -> None:
    shell.done("alice", "take", "edge-a")
    ended: list[subprocess.CompletedProcess[str]] = []
    waits = threading.Thread(target=lambda: ended.append(shell.lock("bob", "take", "edge-a", "--wait", "50s")))
    waits.start()
    admin = shell.installation.client(shell.server).login("admin", ADMIN_PASSWORD)

    def refusals() -> int:
        listing = admin.get("/rest/v1.4/admin/audit?user=bob&result=DEVICE_LOCKED").json()
        return len(listing.get("auditEntries", []))

    until(lambda: refusals() > 0, "bob waits")
    shell.done("alice", "release", "edge-a")
    waits.join(60)
    assert ended[0].returncode == 0 and ended[0].stdout == "edge-a is locked by bob, epoch 2\n", ended
    assert "locked by alice" in ended[0].stderr and "waiting" in ended[0].stderr
    assert "Traceback" not in ended[0].stderr


@ON_SQLITE_AT_LEAST
def test_a_take_behind_work_shows_what_runs_and_gives_up_in_time(busy: Busy) -> None:
    shell = Shell(busy.installation, busy.server)
    said = refused(shell.lock("alice", "take", "edge-a"), BUSY)
    assert "PushChanges of bob" in said and said.endswith(
        f"; see: opensdm lock take edge-a --wait 10m --url {shell.server.url}\n"
    )
    assert "PushChanges of bob" in refused(shell.lock("alice", "check", "edge-a"), BUSY)
    waited = shell.lock("alice", "take", "edge-a", "--wait", "7s")
    assert waited.returncode == BUSY and waited.stdout == ""
    assert "opensdm: waiting for PushChanges of bob" in waited.stderr, "progress, while it waits"


def test_what_a_command_lacks_is_said(shell: Shell) -> None:
    assert "edge-z" in refused(shell.lock("alice", "take", "edge-z"))
    assert "--wait" in refused(shell.lock("alice", "take", "edge-a", "--wait", "soon"), 2)
    at = ("--url", shell.server.url, "--ca", str(shell.installation.authority))
    assert "--user" in refused(run("lock", "take", "edge-a", *at), 2)
    assert "OPENSDM_PASSWORD" in refused(run("lock", "take", "edge-a", *at, "--user", "alice"), 2)
    wrong = run("lock", "take", "edge-a", *at, "--user", "alice", OPENSDM_PASSWORD="wrong-horse-9")
    assert "password" in refused(wrong)
    untrusted = run("lock", "take", "edge-a", "--url", shell.server.url, OPENSDM_USER="alice", OPENSDM_PASSWORD="x")
    assert "certificate" in refused(untrusted), "nobody is trusted unseen"


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
