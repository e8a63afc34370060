"""What is asked of `TaskStore`."""

from __future__ import annotations

import pytest

from opensdm.core.errors import AlreadyExists, InvalidRequest, NotFound
from opensdm.core.identity import User
from opensdm.core.lock import Admit, Admitted, EndClaim
from opensdm.core.ports import Page
from opensdm.core.task import Progress, Task, TaskState
from opensdm.testing.store import SECOND_US, OpenStore, actor

EVERYTHING = Page()
DAY_S = 24 * 3600


async def admit(store: OpenStore, user: User, device_id: int, *, exclusive: bool = True) -> int:
    """The number of a running claim on a device."""
    writes = exclusive
    request = Admit(
        actor(user), frozenset(), 0, "PushChanges", store.ledger.incarnation, exclusive=exclusive, writes=writes
    )  # fmt: skip
    answer = await store.decide(request, device_id)
    assert isinstance(answer, Admitted) and answer.claim is not None
    return answer.claim.claim_id


async def open_task(store: OpenStore, task_id: str, operation: str, user: User, device_id: int, claim_id: int) -> None:
    await store.write(lambda tx: tx.tasks.open_task(task_id, operation, device_id, user.user_id, claim_id))


async def task(store: OpenStore, task_id: str) -> Task:
    return await store.read(lambda tx: tx.tasks.task(task_id))


class TaskContract:
    """Tasks and their progress."""

    async def test_a_task_tells_what_happened_and_how_it_ended(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        device = await store.add_device("edge-a", "192.0.2.1")
        device_id = device.device_id
        claim_id = await admit(store, alice, device_id)
        await open_task(store, "r-1", "PushChanges", alice, device_id, claim_id)
        begun = await task(store, "r-1")
        assert begun == Task(
            "r-1", "PushChanges", device_id, "edge-a", alice.user_id, "alice", begun.started_us, TaskState.RUNNING,
            claim_id=claim_id,
        )  # fmt: skip
        with pytest.raises(AlreadyExists, match="r-1"):
            await open_task(store, "r-1", "PushChanges", alice, device_id, claim_id)
        await store.write(lambda tx: tx.tasks.add_progress("r-1", "lock", "begun"))
        await store.write(lambda tx: tx.tasks.add_progress("r-1", "create", "begun", "ü", 1, 12))
        first, second = await store.read(lambda tx: tx.tasks.progress("r-1"))
        assert first == Progress(1, first.at_us, "lock", "begun")
        assert second == Progress(2, second.at_us, "create", "begun", "ü", 1, 12)
        assert begun.started_us <= first.at_us <= second.at_us
        assert await store.read(lambda tx: tx.tasks.progress("r-1", 1)) == [second]
        assert not await store.read(lambda tx: tx.tasks.cancel_asked("r-1"))
        await store.write(lambda tx: tx.tasks.ask_cancel("r-1"))
        assert await store.read(lambda tx: tx.tasks.cancel_asked("r-1"))
        result = {"status": "FAILED", "elements": [{"password": "s3cret", "lines": ["a", "b"]}], "count": 2}
        await store.write(lambda tx: tx.tasks.finish_task("r-1", TaskState.FAILED, result, "REJECTED", "it said no"))
        ended = await task(store, "r-1")
        assert (ended.state, ended.result, ended.cancel_asked) == (TaskState.FAILED, result, True)
        assert (ended.error_code, ended.error_message) == ("REJECTED", "it said no")
        assert ended.ended_us is not None and ended.ended_us >= second.at_us
        ((sealed,),) = await store.rows("SELECT result FROM task")
        assert b"s3cret" not in sealed and b"password" not in sealed
        await store.decide(EndClaim(claim_id), device_id)
        assert (await task(store, "r-1")).state is TaskState.FAILED
        await store.write(lambda tx: tx.inventory.delete_function(device.nf_id))
        with pytest.raises(NotFound, match="r-1"):
            await task(store, "r-1")

    async def test_an_unknown_task_is_named(self, store: OpenStore) -> None:
        for unknown in (
            lambda tx: tx.tasks.task("r-9"),
            lambda tx: tx.tasks.add_progress("r-9", "lock", "begun"),
            lambda tx: tx.tasks.finish_task("r-9", TaskState.SUCCEEDED, None, None, None),
            lambda tx: tx.tasks.ask_cancel("r-9"),
            lambda tx: tx.tasks.cancel_asked("r-9"),
        ):
            with pytest.raises(NotFound, match="r-9"):
                await store.write(unknown)
        assert await store.read(lambda tx: tx.tasks.progress("r-9")) == []

    async def test_tasks_are_filtered_paged_interrupted_and_forgotten(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        first = (await store.add_device("edge-a", "192.0.2.1")).device_id
        second = (await store.add_device("edge-b", "192.0.2.2")).device_id
        await open_task(store, "r-1", "PushChanges", alice, first, await admit(store, alice, first))
        await open_task(store, "r-2", "RestoreVersion", bob, second, await admit(store, bob, second))
        await store.write(lambda tx: tx.tasks.finish_task("r-1", TaskState.SUCCEEDED, {}, None, None))
        store.ahead_s = 1
        await open_task(store, "r-3", "PushChanges", alice, first, 999)
        await store.write(lambda tx: tx.tasks.add_progress("r-3", "lock", "begun"))

        async def found(page: Page = EVERYTHING, **filters: str) -> tuple[str, int]:
            tasks, total = await store.read(lambda tx: tx.tasks.tasks(filters, page))
            return "".join(t.task_id[-1] for t in tasks), total

        assert await found() == ("321", 3)
        assert await found(Page(1, 1)) == ("2", 3)
        assert await found(deviceId=f"id{first}") == await found(deviceId=str(first)) == ("31", 2)
        assert await found(userName="BOB") == await found(operation="restore*") == ("2", 1)
        assert await found(state="RUNNING") == ("2", 1)
        assert await found(state="success") == ("1", 1)
        assert await found(state="INTERRUPTED") == ("3", 1), "its claim is gone"
        with pytest.raises(InvalidRequest, match="deviceId"):
            await found(colour="red")
        assert (await task(store, "r-2")).state is TaskState.RUNNING
        await store.restart()
        assert (await task(store, "r-2")).state is TaskState.INTERRUPTED
        assert await found(state="INTERRUPTED") == ("32", 2)
        store.ahead_s = 29 * DAY_S
        await store.write(lambda tx: tx.identity.expire_rows())
        assert await found() == ("321", 3)
        store.ahead_s = 31 * DAY_S
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 4, "three tasks, one of which had a step"
        assert await found() == ("", 0)

    async def test_running_work_keeps_its_task_however_old(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        claim_id = await admit(store, alice, device_id)
        await open_task(store, "r-1", "PushChanges", alice, device_id, claim_id)
        store.ahead_s = 40 * DAY_S
        await store.write(lambda tx: tx.identity.expire_rows())
        running = await task(store, "r-1")
        assert running.state is TaskState.RUNNING
        await store.write(lambda tx: tx.tasks.finish_task("r-1", TaskState.SUCCEEDED, None, None, None))
        await store.write(lambda tx: tx.identity.expire_rows())
        ended = await task(store, "r-1")
        assert ended.ended_us is not None and ended.ended_us - running.started_us >= 40 * DAY_S * SECOND_US
