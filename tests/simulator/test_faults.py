"""Faults and slowness on demand: delays, failing jobs, cut connections, lost edits, roles, the console's lock."""

import time

import pytest
import requests

from tests.simulator.box import Box, Client, element, found, message, values
from tests.simulator.conftest import Connect, Launch


def control(box: Box, **wanted: object) -> requests.Response:
    with requests.Session() as http:
        http.trust_env = False
        return http.post(f"{box.url}/simulator/control", json=wanted, timeout=10)


def description(client: Client) -> list[str]:
    return values(found(client.elements("realm-config", identifier="core"))[0], "description")


def edit(client: Client, text: str) -> requests.Response:
    return client.change(element("realm-config", identifier="core", description=text))


def test_controls_are_off_unless_asked_for(launch: Launch) -> None:
    assert control(launch(controllable=False), lose_edits=1).status_code == 404


@pytest.mark.parametrize(
    "wanted",
    [
        {"nonsense": 1},
        {"lose_edits": -1},
        {"lose_edits": True},
        {"role": "king"},
        {"fail_jobs": ["sleep"]},
        {"write_delay_s": "long"},
        {"drop_after_writes": 1.5},
        {"drop_applies": 1},
        {"console_lock": "yes"},
    ],
)
def test_bad_controls_change_nothing(box: Box, wanted: dict[str, object]) -> None:
    before = box.simulator.controls.as_json()
    answer = control(box, job_delay_s=5, **wanted)
    assert answer.status_code == 400 and answer.json()["error"]
    assert box.simulator.controls.as_json() == before


def test_controls_show_themselves(box: Box) -> None:
    state = control(box, role="standby", fail_jobs=["save"], lose_edits=2).json()
    assert (state["role"], state["fail_jobs"], state["lose_edits"], state["lock_holder"]) == (
        "standby",
        ["save"],
        2,
        None,
    )
    with requests.Session() as http:
        assert http.get(f"{box.url}/simulator/control", timeout=10).json() == state
        bad = http.post(f"{box.url}/simulator/control", data=b"[1]", timeout=10)
    assert bad.status_code == 400


def test_write_delay_holds_the_answer_back_but_not_the_edit(box: Box, editor: Client, connect: Connect) -> None:
    box.simulator.controls.write_delay_s = 0.5
    with pytest.raises(requests.Timeout):
        editor.call(
            "PUT",
            "configuration/configElements",
            element("realm-config", identifier="core", description="slow"),
            timeout=0.2,
        )
    assert description(connect(box).log_in()) == ["slow"]
    begun = time.monotonic()
    assert edit(editor, "slower").status_code == 200
    assert time.monotonic() - begun >= 0.5


def test_one_job_at_a_time_and_its_delay(box: Box, editor: Client) -> None:
    control(box, job_delay_s=0.5)
    begun = time.monotonic()
    accepted = editor.manage("PUT", "save")
    second = editor.manage("PUT", "verify")
    assert second.status_code == 423 and "in progress" in message(second)
    assert editor.finish(accepted).findtext("operation") == "save"
    assert time.monotonic() - begun >= 0.5
    assert editor.do("PUT", "verify") == "success"


@pytest.mark.parametrize(("method", "action"), [("PUT", "verify"), ("PUT", "save"), ("POST", "activate")])
def test_a_job_fails_by_name(box: Box, editor: Client, method: str, action: str) -> None:
    edit(editor, "kept in editing only")
    control(box, fail_jobs=[action])
    state = editor.finish(editor.manage(method, action))
    assert state.findtext("status") == "fail" and action in (state.findtext("errorMessage") or "")
    seed = "carrier core"
    for store in (box.simulator.stores.saved, box.simulator.stores.running):
        realms = store.of_type(box.simulator.stores.schema.elements["realm-config"])
        assert [realm.attributes["description"] for realm in realms if realm.attributes["identifier"] == ("core",)] == [
            (seed,)
        ]
    control(box, fail_jobs=[])
    assert editor.do(method, action) == "success"


@pytest.mark.parametrize(("applies", "left"), [(False, "second"), (True, "third")])
def test_the_connection_is_cut_after_n_writes(box: Box, editor: Client, applies: bool, left: str) -> None:
    control(box, drop_after_writes=2, drop_applies=applies)
    assert edit(editor, "first").status_code == 200
    assert edit(editor, "second").status_code == 200
    with pytest.raises(requests.ConnectionError):
        edit(editor, "third")
    assert description(editor) == [left]
    last = box.simulator.journal.entries("element")[-1]
    assert (last.answered, last.stored, last.status) == (False, applies, 0)
    assert edit(editor, "fourth").status_code == 200


def test_the_connection_is_cut_under_tls_too(launch: Launch, connect: Connect) -> None:
    box = launch(plain_http=False)
    client = connect(box, verify=box.simulator.certificate).log_in()
    assert client.lock() == 204
    box.simulator.control({"drop_after_writes": 0})
    with pytest.raises(requests.ConnectionError):
        edit(client, "never")
    assert description(client) == ["carrier core"]


def test_an_edit_is_answered_and_lost(box: Box, editor: Client) -> None:
    control(box, lose_edits=2)
    lost = edit(editor, "lost")
    assert values(found(lost)[0], "description") == ["lost"]
    assert description(editor) == ["carrier core"]
    assert editor.delete("realm-config", identifier="core").status_code == 204
    assert description(editor) == ["carrier core"]
    assert edit(editor, "stored").status_code == 200
    assert description(editor) == ["stored"]
    assert [entry.stored for entry in box.simulator.journal.entries("element")] == [False, False, True]


@pytest.mark.parametrize(("role", "state"), [("standby", "online"), ("out of service", "offline")])
def test_only_an_active_system_is_configured(box: Box, editor: Client, role: str, state: str) -> None:
    control(box, role=role)
    status = editor.call("GET", "system/status").text
    assert f"<role>{role}</role>" in status and f"<systemState>{state}</systemState>" in status
    refused = edit(editor, "no")
    assert refused.status_code == 403 and role in message(refused)
    assert editor.lock() == 403
    assert description(editor) == ["carrier core"]
    control(box, role="standalone")
    assert edit(editor, "yes").status_code == 200


def test_somebody_at_the_console_holds_the_lock(box: Box, client: Client) -> None:
    assert control(box, console_lock=True).json()["lock_holder"] == "console"
    refused = client.call("POST", "configuration/lock")
    assert refused.status_code == 423 and "console" in message(refused)
    assert edit(client, "no").status_code == 423
    assert control(box, console_lock=False).json()["lock_holder"] is None
    assert client.lock() == 204
    taken = control(box, console_lock=True)
    assert taken.status_code == 400 and "held by" in taken.json()["error"]
    assert client.unlock() == 204


def test_revoked_tokens_free_the_lock(box: Box, editor: Client, connect: Connect) -> None:
    control(box, revoke_tokens=True)
    assert editor.unlock() == 401
    assert connect(box).log_in().lock() == 204
