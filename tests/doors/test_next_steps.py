"""What errors recommend can be run as it stands: every operation the gate may recommend, against the running door."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import MISSING, dataclass, fields
from typing import Any

import httpx2
import pytest
from typer.main import get_command

from opensdm.cli import locks
from opensdm.core import errors as e
from opensdm.core.element import Element
from opensdm.core.errors import NextStep
from opensdm.core.identity import DEFAULT_RIGHTS, Session
from opensdm.core.lock import Blocker
from opensdm.core.operations import (
    REGISTRY,
    BatchEdit,
    BatchVerb,
    DeleteNetworkFunction,
    FunctionRow,
    Kind,
    LockDevice,
    LockGroup,
    Login,
    Operation,
    Prefer,
    PushAction,
    PushChanges,
)
from opensdm.doors.commands import COMMANDS, Command
from opensdm.doors.http import base_url, curl
from opensdm.doors.rest.app import ENDPOINTS
from opensdm.doors.rest.media import Medium
from opensdm.doors.rest.next_steps import WAYS, Console, Way, check_ways, render
from opensdm.gate.policy import advise
from tests.doors.conftest import BASE, Connect, Rest
from tests.doors.wire import listed, refused
from tests.gatehouse import House


def advice(device_id: int) -> dict[str, NextStep]:
    """Every step the gate recommends for any error, to anybody, for an operation of each kind."""
    held = Blocker("lock", device_id, "edge-a", 9, "alice", since_us=1, epoch=3)
    own = Blocker("lock", device_id, "edge-a", 7, "bob", since_us=1, epoch=3)
    busy = Blocker("work", device_id, "edge-a", 9, "alice", since_us=1, running="PushChanges")
    cut = Blocker("work", device_id, "edge-a", 9, "alice", since_us=1, running="PushChanges", unconfirmed=True)
    sessions = [None, *(Session(1, 7, "bob", group, "rest", rights) for group, rights in DEFAULT_RIGHTS.items())]
    operations: list[Operation] = [
        LockDevice(device_id=device_id),
        LockGroup(nf_id=2, group_id=2),
        PushChanges(device_id=device_id, action=PushAction.SAVE),
        DeleteNetworkFunction(nf_id=2),
        Login(user_name="u", password="p"),
    ]
    return {
        repr(step): step
        for cls in e.all_errors()
        if cls.__init__ is e.SdmError.__init__  # others are made of what only they know
        for blockers in ((), (held,), (own,), (busy,), (cut,))
        for session in sessions
        for operation in operations
        for step in advise(cls("x", blockers=blockers), session, operation)
    }


@dataclass(frozen=True)
class Line:
    """A curl line, taken apart as curl would."""

    method: str
    url: str
    body: str | None
    media_type: str | None
    saves_cookie: bool


def parsed(line: str) -> Line:
    words = iter(shlex.split(line))
    assert next(words) == "curl"
    method, url, body, media_type, saves = None, "", None, None, False
    for word in words:
        match word:
            case "-b" | "-c":
                assert next(words) == "cookies.txt"
                saves = word == "-c"
            case "-X":
                method = next(words)
            case "-H":
                name, _, media_type = next(words).partition(": ")
                assert name == "Content-Type"
            case "-d":
                body = next(words)
            case _:
                assert not url and word.startswith("http"), line
                url = word
    return Line(method or ("GET" if body is None else "POST"), url, body, media_type, saves)


def given(line: str) -> dict[str, Any]:
    """A command, taken apart as the program would; what it does not know ends the test."""
    program, group, verb, *words = shlex.split(line)
    assert (program, group) == ("opensdm", "lock")
    commands: Any = get_command(locks.app)
    context = commands.commands[verb].make_context(verb, words)
    return {name: value for name, value in context.params.items() if value is not None}


async def run(client: Rest, line: str) -> httpx2.Response:
    call = parsed(line)
    path = call.url.removeprefix(f"{BASE}/rest/{client.version}")
    return await client.send(call.method, path, call.body, Content_Type=call.media_type)


async def test_everything_the_gate_recommends_runs(house: House, connect: Connect) -> None:
    """Reaches its operation with a body and a path that are right: what it then says is about the world."""
    device_id = await house.enrol("edge-a")
    client = await connect("admin", "v1.4", "json")
    steps = advice(device_id)
    assert {"ShowLock", "Login", "ListLocks", "LoadConfiguration", "AssignDevice", *COMMANDS} - {"CheckLock"} <= {
        step.action for step in steps.values()
    }
    for step in steps.values():
        line = render(step, BASE, {"deviceName": "edge-a", "nfName": "edge-a"})
        if step.action in COMMANDS:
            assert given(line)["device"] == f"ID{device_id}" and given(line)["url"] == BASE
            assert given(line).get("user", "") == step.sender
            continue
        answer = await run(client, line)
        expected = {
            "Login": 401,
            "AssignDevice": 409,
            "LoadConfiguration": 504,
            "RebaseChanges": 409,
            "CheckSync": 409,
        }
        assert answer.status_code == expected.get(step.action, 200), f"{line}: {answer.status_code} {answer.text}"


ARGUMENTS = {
    "device_ids": (3, 4), "note": "at rest",
    "device_id": 3, "group_id": 2, "nf_id": 2, "category_id": 2, "user_name": "u", "password": "p",
    "group_name": "it's; $(touch x)", "nf_name": "n", "parent_full_name": "Home", "category_name": "SP Edge & Core",
    "type_name": "Device", "element": Element("realmConfig", {"id": "r'1"}), "element_path": "realmConfig",
    "number": 3, "old": 3, "task_id": "T9", "platform": "acme_sbc", "parameters": {"password": "s3cret"},
    "rows": (FunctionRow(1, "n", None, "c", "t", {"password": "s3cret"}),),
    "edits": (BatchEdit(BatchVerb.ADD, Element("realmConfig", {"id": "r'1"})),),
    "action": PushAction.SAVE, "reason": 'he said "no"\n', "group": "monitors",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WAYS))
def test_every_way_leads_to_an_endpoint(name: str) -> None:
    needed = {f.name: ARGUMENTS[f.name] for f in fields(REGISTRY[name]) if f.default is f.default_factory is MISSING}
    line = render(NextStep(name, needed), "https://sdm.test:8443")
    if isinstance(WAYS[name], Console):
        assert line.startswith("opensdm user ")
        return
    if name in COMMANDS:
        assert given(line)["device"] == "ID3" and render(NextStep(name), BASE).startswith("opensdm lock ")
        return
    call = parsed(line)
    path = call.url.removeprefix("https://sdm.test:8443/rest/v1.4").partition("?")[0]
    # A path that stands as it is goes before one with a field in its place.
    endpoint = min(
        (x for x in ENDPOINTS if x.method == call.method and fits(x.path, path)), key=lambda x: x.path.count("{")
    )
    assert (endpoint.body is not None) == (call.body is not None)
    if endpoint.body is not None:
        assert endpoint.body.read((call.body or "").encode(), Medium.JSON).unknown == ()
    assert call.saves_cookie == (name == "Login")
    assert "s3cret" not in line
    # What is not known to the server stands in capitals, and nothing of the template is left.
    assert "{" not in call.url
    assert render(NextStep(name), "https://sdm.test:8443").startswith("curl")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (NextStep("CheckSync", {"device_id": 3, "change_set": "w 1"}),
         "-b cookies.txt 'B/configuration/devices/ID3/checkSync?changeSet=w+1'"),
        (NextStep("CheckSync", {"device_id": 3, "change_set": ""}),
         "-b cookies.txt B/configuration/devices/ID3/checkSync"),
        (NextStep("RebaseChanges", {"device_id": 3, "change_set": "w1", "prefer": Prefer.MINE}),
         """-b cookies.txt -H 'Content-Type: application/json' -d '{"prefer":"mine","changeSet":"w1"}' """
         "B/configuration/devices/ID3/rebase"),
        (NextStep("LoadConfiguration", {"device_id": 3}), "-b cookies.txt B/configuration/devices/ID3/loadConfig"),
        (NextStep("ShowTask", {"task_id": "T9"}), "-b cookies.txt B/configuration/tasks/T9"),
        (NextStep("ShowTask", {"task_id": "T9", "after": 4}), "-b cookies.txt 'B/configuration/tasks/T9?after=4'"),
        (NextStep("CancelTask", {"task_id": "T9"}),
         """-b cookies.txt -H 'Content-Type: application/json' -d '{"type":"Cancel"}' """
         "B/configuration/tasks/T9/action"),
        (NextStep("ListVersions", {"device_id": 3}), "-b cookies.txt B/configuration/devices/ID3/versions"),
        (NextStep("CompareVersions", {"device_id": 3, "old": 4, "new": 5}),
         "-b cookies.txt 'B/configuration/devices/ID3/versions/4/compare?with=5'"),
        (NextStep("PushChanges", {"device_id": 3, "action": PushAction.SAVE, "change_set": "w1", "as_task": False}),
         """-b cookies.txt -H 'Content-Type: application/json' -d '{"type":"SaveConfig","changeSet":"w1"}' """
         "B/configuration/devices/ID3/action"),
    ],
)  # fmt: skip
def test_how_provisioning_is_recommended(step: NextStep, expected: str) -> None:
    assert render(step, "http://h") == "curl " + expected.replace("B/", "http://h/rest/v1.4/")


def fits(template: str, path: str) -> bool:
    ours, theirs = template.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(a == b or a.startswith("{") for a, b in zip(ours, theirs, strict=True))


def test_an_operation_without_a_way_does_not_import() -> None:
    without = {name: way for name, way in WAYS.items() if name != "ShowLock"}
    with pytest.raises(TypeError, match="ShowLock"):
        check_ways(without)
    with pytest.raises(TypeError, match="TakeOver"):
        check_ways({**WAYS, "TakeOver": Way("GET", "/x")})
    with pytest.raises(TypeError, match="device_id"):
        check_ways({**WAYS, "ShowLock": Way("GET", "/inventory/locks")})
    with pytest.raises(TypeError, match="colour"):
        check_ways({**WAYS, "CheckLock": Command("check", {"colour": "--colour"})})
    with pytest.raises(TypeError, match="reason"):
        check_ways({**WAYS, "OverrideLock": Command("override")})
    with pytest.raises(TypeError, match="colour"):
        check_ways({**WAYS, "ShowLock": Way("GET", "/{device_id}/{colour}")})
    assert not {name for name in WAYS if REGISTRY[name].rule.kind is Kind.MACHINERY}


@pytest.mark.parametrize(
    ("step", "name", "expected"),
    [
        (NextStep("AskForLock", {"device_id": 7}), "edge-a", "ask edge-a --url http://h"),
        (NextStep("AskForLock", {"device_id": 7}, "bob"), "edge-a", "ask edge-a --user bob --url http://h"),
        (NextStep("AskForLock", {"device_id": 7}), "o'hare & sons", """ask 'o'"'"'hare & sons' --url http://h"""),
        (NextStep("AskForLock", {"device_id": 7}), "ID3", "ask ID7 --url http://h"),
        (NextStep("AskForLock", {"device_id": 7}), "-x", "ask ID7 --url http://h"),
        (NextStep("AskForLock", {"device_id": 8}), "edge-a", "ask ID8 --url http://h"),
        (NextStep("LockDevice", {"device_id": 7, "wait_s": 600}), "edge-a", "take edge-a --wait 10m --url http://h"),
        (NextStep("LockDevice", {"device_id": 7, "wait_s": 90.0}), "edge-a", "take edge-a --wait 90s --url http://h"),
        (NextStep("UnlockDevice", {"device_id": 7, "epoch": 4}), "edge-a", "release edge-a --epoch 4 --url http://h"),
    ],
)
def test_how_commands_are_recommended(step: NextStep, name: str, expected: str) -> None:
    line = render(step, "http://h", blockers=(Blocker("lock", 7, name, 9, "alice"),))
    assert line == f"opensdm lock {expected}"
    assert given(line)["url"] == "http://h"


NASTY = (
    "it's", "$(touch /tmp/x)", "`id`", 'say "hi"', "a;b|c&d", "back\\slash", "-X", "ünïcode", "a\nb", "!!",
)  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_a_shell_takes_the_line_as_it_stands(text: str) -> None:
    """The words curl would get are those we meant, whatever stands in a name."""
    line = curl("PUT", "https://sdm.test/x?y=1&z=2", f'{{"name":"{text}"}}', "application/json")
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}; {line}"
    words = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout.decode().split("\0")
    assert words[:-1] == shlex.split(line)[1:]
    assert f'{{"name":"{text}"}}' in words and "https://sdm.test/x?y=1&z=2" in words


async def test_a_device_is_assigned_by_its_names(house: House, connect: Connect) -> None:
    """The gate knows the device by id, the published call by names: the line that helps has them."""
    client, admin = await connect("alice", "v1.4", "json"), await connect("admin", "v1.4", "json")
    device_id = await house.enrol("o'hare & sons")
    assert (await admin.delete(f"/configuration/devices/ID{device_id}")).status_code == 204
    body = refused(await client.get(f"/configuration/devices/ID{device_id}"), 409, "NOT_ASSIGNED")
    assert (await run(client, listed(body["next"])[0])).status_code == 200
    assert (await client.get(f"/configuration/devices/ID{device_id}")).status_code == 200


async def test_the_first_call_of_an_error_helps(house: House, connect: Connect) -> None:
    """Following what a refusal recommends gets the caller on: login, the lock, an override."""
    device_id = await house.enrol("edge-a")
    alice, admin = await connect("alice", "v1.4", "xml"), await connect("admin", "v1.4", "json")
    await alice.act(device_id, "Lock")
    body = refused(await admin.act(device_id, "Lock"), 423, "DEVICE_LOCKED")
    where = f"--user admin --url {BASE}"
    assert body["next"] == [
        f"opensdm lock ask edge-a {where}",
        f"opensdm lock override edge-a --reason WHY --holder alice {where}",
    ]
    taken = {"reason": "outage", "expectedHolder": "alice"}
    assert (
        await admin.post(f"/inventory/deviceMgmt/devices/ID{device_id}/lock/override", json.dumps(taken))
    ).is_success
    lost = refused(
        await alice.delete(f"/configuration/deviceConfigs/ID{device_id}/configurationChanges"), 409, "LOCK_LOST"
    )
    again, history = listed(lost["next"])
    assert again == f"opensdm lock take ID{device_id} --user alice --url {BASE}"
    assert (await run(alice, history)).status_code == 200
    stranger = await connect(None, "v1.4", "json")
    (line,) = refused(await stranger.act(device_id, "Lock"), 401, "NOT_LOGGED_IN")["next"][:1]
    assert parsed(line).saves_cookie and parsed(line).url == f"{BASE}/rest/v1.4/admin/login"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("sdm.example:8443", "https://sdm.example:8443"),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("127.0.0.1", "https://127.0.0.1"),
        ("evil.example/path", "https://10.0.0.1:8443"),
        ("a b", "https://10.0.0.1:8443"),
        ("x'; rm -rf /", "https://10.0.0.1:8443"),
        ("", "https://10.0.0.1:8443"),
        (None, "https://10.0.0.1:8443"),
    ],
)
def test_the_base_of_recommended_calls(host: str | None, expected: str) -> None:
    assert base_url("https", host, "10.0.0.1:8443", None) == expected
    assert base_url("https", host, "10.0.0.1:8443", "https://sdm.example/") == "https://sdm.example"
