"""Tasks at the gate, and what a connection learns: the ends of what nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from opensdm.core.errors import HouseRuleBroken, LockLost, Rejected, Unreachable
from opensdm.core.inventory import Credentials
from opensdm.core.operations import OverrideLock, ProbeHost, ShowTask
from opensdm.core.ports import DeviceConnection, DeviceFacts, Work
from opensdm.core.results import TaskStarted
from opensdm.core.task import TaskState
from opensdm.drivers.registry import Registry
from opensdm.gate import hosts
from tests.house.conftest import Doing, Open
from tests.house.ground import Walk


async def test_work_that_lost_its_lock_before_it_was_noted_does_nothing(walk: Walk) -> None:
    async def override() -> None:
        await walk.do("admin", OverrideLock(device_id=walk.ground.device_id, reason="now"))

    walk.ledger.before("Fence", override)
    with pytest.raises(LockLost, match="admin"):
        await walk.do("alice", walk.push())
    assert walk.ledger.happened
    assert walk.claims() == [("PushChanges", "ENDED")]


@pytest.mark.parametrize(
    ("failure", "code"), [(Rejected("not today"), "REJECTED"), (RuntimeError("a bug"), "INTERNAL_ERROR")]
)
async def test_a_task_that_nobody_waits_for_ends_with_its_failure(doing: Doing, failure: Exception, code: str) -> None:
    async def fail(work: Work) -> None:
        raise failure

    walk = await doing(fail)
    started = await walk.do("alice", replace(walk.push(), as_task=True))
    assert isinstance(started, TaskStarted)
    assert await walk.house.gate.drain(10) == 0
    task = (await walk.do("mona", ShowTask(task_id=started.task_id))).task
    assert (task.state, task.error_code) == (TaskState.FAILED, code)
    assert walk.claims() == [("PushChanges", "ENDED")]


async def test_what_is_no_task_tells_of_no_progress_and_is_not_cancelled(doing: Doing) -> None:
    async def body(work: Work) -> None:
        await work.progress("lock", "BEGUN")
        assert await work.cancel_asked() is False

    walk = await doing(body)
    await walk.do("alice", walk.ask())
    assert walk.rows("SELECT count(*) AS n FROM task_progress WHERE stage = 'lock' AND note = 'nobody'")[0]["n"] == 0


async def test_whoever_may_only_read_notes_no_session(doing: Doing) -> None:
    opened: list[Walk] = []

    async def body(work: Work) -> None:
        seal: Any = opened[0].house.gate.seal
        with pytest.raises(HouseRuleBroken, match="no permit to write"):
            await seal.note_session(work.permit_read(), opened[0].ground.device_id, "left")

    opened.append(await doing(body))
    await opened[0].do("alice", opened[0].ask())
    assert opened[0].rows("SELECT * FROM device_session") == []


async def test_a_bug_at_the_end_of_work_is_loud(doing: Doing) -> None:
    """The next start finds the claim and interrupts it; nothing here pretends that it ended."""
    opened: list[Walk] = []

    async def fail() -> None:
        raise RuntimeError("a bug")

    async def body(work: Work) -> None:
        opened[0].ledger.before("ReadDeviceFacts", fail)

    opened.append(await doing(body))
    with pytest.raises(RuntimeError, match="a bug"):
        await opened[0].do("alice", opened[0].ask())
    assert opened[0].claims() == [("ReadDeviceFacts", "RUNNING")]


class Telling(Registry):
    """A driver whose connections learn something; `then` happens when they close."""

    platform = "acme_sbc"

    def __init__(self) -> None:
        super().__init__(())
        self.then: Any = lambda: None

    def driver(self, platform: str) -> Any:
        return self

    def connect(self, device_id: int, credentials: Credentials, verifier: Any) -> DeviceConnection:
        connection: Any = TellingConnection(self)
        return connection  # type: ignore[no-any-return]


class TellingConnection:
    learned: Mapping[str, str] = {"ssh.host.key": "ssh-ed25519 AAAA"}

    def __init__(self, driver: Telling) -> None:
        self._driver = driver

    async def facts(self, permit: Any) -> DeviceFacts:
        return DeviceFacts("acme_sbc", "9.0", "edge-a", "active")

    async def close(self) -> None:
        self._driver.then()


@pytest.mark.parametrize("away", [False, True])
async def test_what_a_connection_learned_is_kept_if_it_can_be(begin: Open, away: bool) -> None:
    driver = Telling()
    walk = await begin(drivers=driver)

    def lose_the_database_for_a_moment() -> None:
        walk.line.writes = False
        asyncio.get_running_loop().call_later(0.3, setattr, walk.line, "writes", True)

    if away:
        driver.then = lose_the_database_for_a_moment
    await walk.do("alice", walk.ask())
    assert await walk.house.gate.drain(10) == 0
    (row,) = walk.rows("SELECT parameters FROM device WHERE device_id = :d", d=walk.ground.device_id)
    assert ("ssh.host.key" in row["parameters"]) is not away
    assert walk.claims() == [("ReadDeviceFacts", "ENDED")]


async def test_names_that_nobody_looks_up_in_time(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown host may be an enrolled one; an enrolled name that takes too long stands for nothing."""
    monkeypatch.setattr(hosts, "RESOLVE_S", 0.0)
    wanted = {"primary.ip": "localhost:9", "username": "ops", "password": "s3cret-pw", "transport": "http"}
    with pytest.raises(Unreachable, match="not looked up in time"):
        await walk.do("alice", ProbeHost(platform="acme_sbc", parameters=wanted))
    found = await hosts.spellings(Credentials("192.0.2.77:9"), {"localhost"})
    assert found == []
