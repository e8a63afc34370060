"""An HA pair of virtual SBCs: roles, what both know, what only one knows, switchover and reboot."""

from __future__ import annotations

import pytest

from tests.simulator.box import Box, Client, element, found, message, texts, values
from tests.simulator.conftest import Connect, Launch


@pytest.fixture
def pair(launch: Launch) -> tuple[Box, Box]:
    """The active unit and the standby."""
    one, two = launch(), launch()
    one.simulator.pair_with(two.simulator)
    return one, two


def realms(client: Client, **query: str) -> set[str]:
    return {values(each, "identifier")[0] for each in found(client.elements("realm-config", **query))}


def test_the_standby_answers_reads_and_refuses_every_write(pair: tuple[Box, Box], connect: Connect) -> None:
    client = connect(pair[1]).log_in()
    status = client.call("GET", "system/status")
    assert texts(status, "data/role") == ["standby"] and texts(status, "data/haPeerRole") == ["active"]
    assert realms(client) == {"access", "core"}
    for method, path, body in (
        ("POST", "configuration/lock", None),
        ("POST", "configuration/unlock", None),
        ("POST", "configuration/configElements", element("realm-config", identifier="x")),
        ("PUT", "configuration/management?action=save", None),
        ("POST", "admin/switchover", None),
    ):
        answer = client.call(method, path, body)
        assert answer.status_code == 403 and "standby" in message(answer), path
    assert [e.stored for e in pair[1].simulator.journal if e.kind != "token"] == [False] * 5


def test_saved_and_running_are_kept_in_step_and_edits_are_not(pair: tuple[Box, Box], connect: Connect) -> None:
    active, standby = connect(pair[0]).log_in(), connect(pair[1]).log_in()
    assert active.lock() == 204
    assert active.add(element("realm-config", identifier="x")).status_code == 200
    assert "x" not in realms(standby)
    assert active.do("PUT", "save") == "success"
    assert "x" in realms(standby) and "x" not in realms(standby, running="true")
    assert active.do("POST", "activate") == "success"
    assert "x" in realms(standby, running="true")
    assert active.do("POST", "backup", backupSource="saved", filename="b") == "success"
    assert texts(active.call("GET", "configuration/management/files"), "data/backupFile/name") == ["b.gz"]
    assert texts(standby.call("GET", "configuration/management/files"), "data/backupFile/name") == []


def test_a_switchover_leaves_lock_tokens_and_edits_behind(pair: tuple[Box, Box], connect: Connect) -> None:
    first, second = connect(pair[0]).log_in(), connect(pair[1]).log_in()
    first.lock()
    first.add(element("realm-config", identifier="unsaved"))
    assert first.call("POST", "admin/switchover").status_code == 204
    assert texts(first.call("GET", "system/status"), "data/role") == ["standby"]
    assert texts(second.call("GET", "system/status"), "data/role") == ["active"]
    assert first.add(element("realm-config", identifier="y")).status_code == 403
    assert "unsaved" in realms(first) and "unsaved" not in realms(second)
    foreign = connect(pair[1])
    foreign.use(first.token)
    assert foreign.call("GET", "system/status").status_code == 401
    assert second.lock() == 204
    assert second.add(element("realm-config", identifier="z")).status_code == 200
    assert second.do("PUT", "save") == "success"
    assert realms(first) == {"access", "core", "z"}


def test_a_switchover_breaks_off_what_runs(launch: Launch, connect: Connect) -> None:
    one, two = launch(job_delay_s=30), launch()
    one.simulator.pair_with(two.simulator)
    client = connect(one).log_in()
    client.lock()
    client.add(element("realm-config", identifier="x"))
    accepted = client.manage("PUT", "save")
    one.run(_switch(one))
    state = client.finish(accepted)
    assert state.findtext("status") == "fail" and "became standby" in (state.findtext("errorMessage") or "")
    assert "x" not in realms(connect(two).log_in())


def test_a_unit_without_a_peer_switches_to_nobody(client: Client, box: Box) -> None:
    answer = client.call("POST", "admin/switchover")
    assert answer.status_code == 409 and "pair" in message(answer)
    with pytest.raises(ValueError, match="not one of a pair"):
        box.simulator.control({"switch_over": True})
    assert texts(client.call("GET", "system/status"), "data/haPeerRole") == []


def test_the_controls_switch_over_at_once_and_just_before_a_write(pair: tuple[Box, Box], connect: Connect) -> None:
    one, two = pair
    one.simulator.control({"switch_over": True})
    assert (one.simulator.controls.role, two.simulator.controls.role) == ("standby", "active")
    two.simulator.control({"switch_over": True, "switch_before_writes": 1})
    assert one.simulator.controls.role == "active"
    one.simulator.control({"switch_before_writes": 1})
    client = connect(one).log_in()
    assert client.lock() == 204
    assert client.add(element("realm-config", identifier="x")).status_code == 403
    assert two.simulator.controls.role == "active"


def test_a_reboot_forgets_tokens_and_edits_and_runs_what_was_saved(box: Box, connect: Connect) -> None:
    client = connect(box).log_in()
    client.lock()
    client.add(element("realm-config", identifier="saved"))
    assert client.do("PUT", "save") == "success"
    client.add(element("realm-config", identifier="unsaved"))
    accepted = client.call("POST", "admin/reboot")
    assert accepted.status_code == 202 and texts(accepted, "links/link")
    for _ in range(200):
        if client.call("GET", "system/status").status_code == 401:
            break
    client.log_in()
    assert realms(client) == realms(client, running="true") == {"access", "core", "saved"}
    assert client.lock() == 204


async def _switch(box: Box) -> None:
    box.simulator.switch_over()
