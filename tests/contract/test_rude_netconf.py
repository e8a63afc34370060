"""The NETCONF driver against devices that lack things, or misbehave: scripted ones, over real SSH."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncssh
import pytest

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import DeviceSideLocked, Rejected, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.core.ports import ElementEdit
from opensdm.drivers import netconf, netconf_session, netconf_sessions
from opensdm.drivers.netconf import NetconfConnection, NetconfDriver
from opensdm.drivers.netconf_sessions import SessionNote
from opensdm.testing.driver_bench import DEVICE, StepBook

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
STANDARD = "urn:ietf:params:netconf:capability"
ALL = ("candidate:1.0", "confirmed-commit:1.1", "startup:1.0", "validate:1.1", "rollback-on-error:1.0")
KEY = asyncssh.generate_private_key("ssh-ed25519")
NAME = AttributeType("name", "name", key=True, required=True)
PEER = ElementType("peer", "m:peer", (NAME, AttributeType("port", "port")))
SCHEMA = Schema("netconf", "1", {"peer": PEER}, {"m": "urn:m"})
EDIT = ElementEdit(None, Element("peer", {"name": "p1", "port": "5"}))

Script = str | bytes | Callable[[Any], None]


def chunk(text: str) -> bytes:
    return b"\n#%d\n%b\n##\n" % (len(text), text.encode())


def fault(tag: str, message: str = "no", session: str = "") -> str:
    info = f"<error-info><session-id>{session}</session-id></error-info>" if session else ""
    return (
        f"<rpc-error><error-type>protocol</error-type><error-tag>{tag}</error-tag><error-severity>error</error-severity>"
        f"<error-message>{message}</error-message>{info}</rpc-error>"
    )


class Scripted:
    """Says its hello, then answers each operation with what `script` holds for it; else with ok."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.texts: list[str] = []
        self.script: dict[str, Script] = {}
        self.bases: tuple[str, ...] = ("1.0", "1.1")
        self.capabilities: tuple[str, ...] = ALL
        self.hello: bytes | None = None
        self.sessions = self.open = 0
        self.server: asyncssh.SSHAcceptor | None = None
        self.book = StepBook()
        self.driver = NetconfDriver()
        self.connections: list[NetconfConnection] = []

    def connect(self, left_session: str | None = None, **parameters: str) -> NetconfConnection:
        assert self.server is not None
        host, port = self.server.get_addresses()[0][:2]
        chosen = {"ssh.trust": "first-use", **{n.replace("_", "."): value for n, value in parameters.items()}}
        credentials = Credentials(f"{host}:{port}", None, "user", "password-4711", chosen, left_session)
        self.connections.append(self.driver.connect(DEVICE, credentials, self.book))
        return self.connections[-1]

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.sessions += 1
        self.open += 1
        try:
            process.stdout.write(self.hello or self._greeting())
            await process.stdin.readuntil(b"]]>]]>")
            end = b"\n##\n" if "1.1" in self.bases else b"]]>]]>"
            while True:
                self._answer(
                    process, re.sub(rb"\n#[0-9#]+\n|\]\]>\]\]>", b"", await process.stdin.readuntil(end)).decode()
                )
        except (asyncssh.Error, OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1

    def _greeting(self) -> bytes:
        uris = [f"urn:ietf:params:netconf:base:{v}" for v in self.bases]
        uris += [f"{STANDARD}:{name}" for name in self.capabilities]
        said = "".join(f"<capability>{uri}</capability>" for uri in uris)
        said = f"<capabilities>{said}</capabilities><session-id>{self.sessions}</session-id>"
        return f'<hello xmlns="{BASE}">{said}</hello>]]>]]>'.encode()

    def _answer(self, process: Any, text: str) -> None:
        found = re.search(r"message-id=\"(\d+)\"[^>]*>\s*<([a-z-]+)", text)
        assert found is not None, text
        number, name = found.groups()
        self.asked.append(name)
        self.texts.append(text)
        said = self.script.get(name, "<ok/>" if not name.startswith("get") else "<data/>")
        if callable(said):
            said(process)
        elif isinstance(said, bytes):
            process.stdout.write(said)
        else:
            body = f'<rpc-reply xmlns="{BASE}" message-id="{number}">{said}</rpc-reply>'
            process.stdout.write(chunk(body) if "1.1" in self.bases else f"{body}]]>]]>".encode())

    def writes(self) -> list[str]:
        return [name for name in self.asked if not name.startswith("get")]


class _Open(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return True


@pytest.fixture
async def device() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    scripted.server = await asyncssh.create_server(
        _Open, "127.0.0.1", 0, server_host_keys=[KEY], process_factory=scripted.serve, encoding=None
    )
    yield scripted
    for connection in scripted.connections:
        await connection.close()
    await scripted.driver.close()
    scripted.server.close()
    await scripted.server.wait_closed()


# ------------------------------------------------------------------------------------------ what it lacks


async def test_a_device_without_a_candidate_is_written_at_once_each_edit_whole_or_not(device: Scripted) -> None:
    device.capabilities = ("writable-running:1.0", "rollback-on-error:1.0")
    connection, permit = device.connect(), device.book.write()
    await connection.lock(permit)
    await connection.write(permit, SCHEMA, EDIT)
    assert await connection.verify(permit) is None
    await connection.activate(permit)
    await connection.confirm(permit)
    await connection.save(permit)
    with pytest.raises(Rejected, match="cannot restore anything: it has no candidate"):
        await connection.restore(permit, "running")
    await connection.unlock(permit)
    assert device.writes() == ["lock", "edit-config", "unlock"]
    edit = next(text for text in device.texts if "<edit-config" in text)
    assert "<target><running/></target>" in edit and "<error-option>rollback-on-error</error-option>" in edit
    assert "test-option" not in edit


async def test_without_a_startup_of_its_own_nothing_is_saved_and_saved_not_restored(device: Scripted) -> None:
    device.capabilities = ("candidate:1.0",)
    connection, permit = device.connect(), device.book.write()
    await connection.lock(permit)
    await connection.activate(permit)
    await connection.confirm(permit)
    await connection.save(permit)
    with pytest.raises(Rejected, match="no startup configuration"):
        await connection.restore(permit, "saved")
    assert device.writes() == ["lock", "commit"]
    assert not any("<confirmed/>" in text for text in device.texts)


async def test_a_commit_of_version_1_0_is_undone_by_ending_the_session(device: Scripted) -> None:
    device.capabilities = ("candidate:1.0", "confirmed-commit:1.0")
    connection, permit = device.connect(netconf_confirm_s="30"), device.book.write()
    await connection.lock(permit)
    await connection.activate(permit)
    assert any("<confirm-timeout>30</confirm-timeout>" in text for text in device.texts)
    with pytest.raises(Rejected, match="our session has ended; its lock is gone"):
        await connection.restore(permit, "running")
    await connection.lock(permit)
    await connection.restore(permit, "running")
    assert device.writes() == ["lock", "commit", "lock", "discard-changes"] and device.sessions == 2


async def test_a_left_session_that_cannot_be_recognised_is_ended_only_if_it_is_in_the_way(device: Scripted) -> None:
    """This device does not list its sessions."""

    def ended(process: Any) -> None:
        del device.script["lock"]
        process.stdout.write(chunk(f'<rpc-reply xmlns="{BASE}"><ok/></rpc-reply>'))

    device.script = {"lock": fault("lock-denied", "taken", "41"), "kill-session": ended}
    permit = device.book.write()
    with pytest.raises(DeviceSideLocked, match="by its session 41"):
        await device.connect(SessionNote("40", "").written()).lock(permit)
    assert device.writes() == ["lock"] and device.book.note is None
    connection = device.connect(SessionNote("41", "").written())
    await connection.lock(permit)
    await connection.unlock(permit)
    assert device.writes() == ["lock", "lock", "kill-session", "lock", "unlock"]


async def test_saved_comes_back_where_there_is_a_startup(device: Scripted) -> None:
    connection, permit = device.connect(), device.book.write()
    await connection.lock(permit)
    await connection.restore(permit, "saved")
    assert "<source><startup/></source>" in device.texts[-1] and "<target><candidate/></target>" in device.texts[-1]


async def test_a_device_of_the_old_framing_is_spoken_to_in_it(device: Scripted) -> None:
    device.bases = ("1.0",)
    connection, permit = device.connect(), device.book.write()
    assert (await connection.facts(permit)).host_name == "127.0.0.1"
    await connection.lock(permit)
    await connection.unlock(permit)
    assert device.writes() == ["lock", "unlock"]


async def test_a_lock_held_by_no_session_says_so(device: Scripted) -> None:
    device.script["lock"] = fault("lock-denied", "cli", "0")
    with pytest.raises(DeviceSideLocked, match="on its own side, by something that names no session"):
        await device.connect().lock(device.book.write())


async def test_a_candidate_that_stays_dirty_is_cleaned_once(device: Scripted) -> None:
    device.script["lock"] = fault("resource-denied", "candidate modified")
    with pytest.raises(Rejected, match="refused its configuration lock: candidate modified"):
        await device.connect().lock(device.book.write())
    assert device.writes() == ["lock", "discard-changes", "lock"]
    assert device.book.note is not None or device.book.notes[-1] == (None, 3)


# ------------------------------------------------------------------------------------------- bad manners


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (b"<hello/>]]>]]>", "did not begin with a NETCONF hello"),
        (b"Permission denied\n]]>]]>", "not well-formed"),
        (f'<!DOCTYPE hello><hello xmlns="{BASE}"/>]]>]]>'.encode(), "document type"),
        (
            f'<hello xmlns="{BASE}"><capabilities><capability>urn:x</capability></capabilities>'
            "<session-id>1</session-id></hello>]]>]]>".encode(),
            "speaks no version of NETCONF",
        ),
    ],
)
async def test_what_does_not_begin_as_netconf_is_refused(device: Scripted, hello: bytes, said: str) -> None:
    device.hello = hello
    with pytest.raises(Rejected, match=said):
        await device.connect().facts(device.book.read())


async def test_a_device_that_says_nothing_is_not_waited_for(device: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netconf_session, "HELLO_S", 0.2)
    device.hello = b"<hello"
    with pytest.raises(Unreachable, match="did not answer in time"):
        await device.connect().facts(device.book.read())


@pytest.mark.parametrize(
    ("reply", "failure", "said"),
    [
        (b"<rpc-reply/>", Unreachable, "framing"),
        (b"\n#5\n<a/>\n\n##\n", Rejected, "where a reply belongs"),
        (b"\n#3\n<a>\n##\n", Rejected, "not well-formed"),
        (
            chunk(f'<rpc-reply xmlns="{BASE}" message-id="9999"/>'),
            Unreachable,
            "answered another request",
        ),
        (b"\n#4294967295\n", Unreachable, "longer than"),
    ],
)
async def test_an_answer_that_is_none_leaves_no_doubt(
    device: Scripted, reply: bytes, failure: type[Exception], said: str
) -> None:
    connection, permit = device.connect(), device.book.read()
    await connection.facts(permit)
    device.script["get-config"] = reply
    with pytest.raises(failure, match=said):
        await connection.read_elements(permit, SCHEMA)


@pytest.mark.parametrize(
    ("reply", "said"), [(b"rubbish", "framing"), (chunk("<a>"), "not well-formed"), (chunk("<a/>"), "reply belongs")]
)
async def test_an_unreadable_answer_to_a_write_leaves_the_step_open(device: Scripted, reply: bytes, said: str) -> None:
    connection, permit = device.connect(), device.book.write()
    await connection.lock(permit)
    device.script["edit-config"] = reply
    with pytest.raises(Unreachable, match=said):
        await connection.write(permit, SCHEMA, EDIT)
    with pytest.raises(Rejected, match="ended our session, and with it its lock"):
        await connection.save(permit)
    assert [step.open for step in device.book.steps] == [False, True]
    assert device.writes() == ["lock", "edit-config"]


async def test_a_device_that_does_not_answer_a_write_is_given_up(
    device: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, permit = device.connect(), device.book.write()
    await connection.lock(permit)
    device.script["edit-config"] = lambda _: None
    monkeypatch.setattr(netconf, "WRITE_LIMIT_S", 0.8)
    with pytest.raises(Unreachable, match="did not answer"):
        await connection.write(permit, SCHEMA, EDIT)
    assert [step.open for step in device.book.steps] == [False, True]


async def test_a_request_lost_with_the_hello_is_asked_again(device: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian's netconfd loses what it reads together with the hello."""
    monkeypatch.setattr(netconf_sessions, "PROOF_S", 0.2)
    silent: list[int] = []

    def once(process: Any) -> None:
        if not silent:
            silent.append(1)
            return
        process.stdout.write(chunk(f'<rpc-reply xmlns="{BASE}"><data/></rpc-reply>'))

    device.script["get"] = once
    assert (await device.connect().facts(device.book.read())).platform == "netconf"
    assert device.sessions == 2


async def test_a_cancelled_read_ends_its_session(device: Scripted) -> None:
    connection, permit = device.connect(), device.book.read()
    await connection.facts(permit)
    arrived = asyncio.Event()
    device.script["get-config"] = lambda _: arrived.set()
    reading = asyncio.create_task(connection.read_elements(permit, SCHEMA))
    await asyncio.wait_for(arrived.wait(), 5)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    device.script.clear()
    assert await connection.read_elements(permit, SCHEMA) == ()
    assert device.sessions == 2


async def test_a_session_that_answers_nonsense_from_the_start_does_not_stay_open(device: Scripted) -> None:
    """Each poll would leave one more behind, kept alive by us."""
    device.script["get"] = chunk("<unclosed>")
    connection = device.connect()
    with pytest.raises(Rejected, match="not well-formed"):
        await connection.facts(device.book.read())
    await connection.close()
    for _ in range(200):
        if device.open == 0:
            break
        await asyncio.sleep(0.02)
    assert (device.sessions, device.open) == (1, 0)
