"""What is asked of `LockStore`, `AuditStore` and `NodeStore`: reading what the ledger wrote."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opensdm.core.audit import AUDIT_FILTERS
from opensdm.core.errors import InvalidRequest, NotFound
from opensdm.core.lock import (
    Admit,
    Admitted,
    BeginStep,
    EndClaim,
    EventKind,
    Interrupt,
    Locked,
    Refused,
    ReleaseLock,
    Stepped,
    TakeAway,
    TakeLock,
)
from opensdm.core.ports import Page, Transaction
from opensdm.core.submission import AuditDraft
from opensdm.testing.store import SECOND_US, OpenStore, actor

EVERYTHING = Page()
NOBODY: frozenset[int] = frozenset()


class LockContract:
    """Locks, events, the audit trail and nodes, as people see them."""

    async def test_a_free_device_shows_a_free_lock(self, store: OpenStore) -> None:
        device = await store.add_device("edge-a", "192.0.2.1")
        view = await store.read(lambda tx: tx.locks.lock(device.device_id))
        assert (view.row.held, view.row.device_name, view.idle_s, view.holder_logged_in) == (
            False,
            "edge-a",
            None,
            False,
        )
        assert (view.orphaned, view.running, view.row.epoch) == (False, (), 0)
        with pytest.raises(NotFound, match="ID999"):
            await store.read(lambda tx: tx.locks.lock(999))

    async def test_a_lock_tells_of_its_holder(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        device = await store.add_device("edge-a", "192.0.2.1")
        other = await store.log_in(alice, token_hash=b"other")
        session_id = await store.log_in(alice)
        answer = await store.decide(TakeLock(actor(alice, session_id), NOBODY, "ticket 4711"), device.device_id)
        assert isinstance(answer, Locked)

        async def seen(ahead_s: float) -> tuple[int | None, bool, bool]:
            store.ahead_s = ahead_s
            view = await store.read(lambda tx: tx.locks.lock(device.device_id))
            assert view.row == answer.locks[0]
            return view.idle_s, view.holder_logged_in, view.orphaned

        idle_s, logged_in, orphaned = await seen(300)
        assert idle_s is not None and 299 <= idle_s <= 310 and logged_in and not orphaned
        store.ahead_s = 250
        await store.write(lambda tx: tx.identity.touch_session(other))
        assert (await seen(300))[0] == idle_s, "the session that took the lock counts while it lives"
        await store.write(lambda tx: tx.identity.end_session(session_id))
        assert (await seen(300))[:2] in ((50, True), (51, True))
        assert (await seen(3000))[1] is False
        await store.write(lambda tx: tx.identity.set_disabled(alice.user_id, True))
        idle_s, logged_in, orphaned = await seen(300)
        assert idle_s is not None and not logged_in and orphaned

    async def test_held_locks_are_listed_oldest_first(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        devices = [(await store.add_device(f"edge-{n}", f"192.0.2.{n}")).device_id for n in (1, 2, 3, 4)]
        await store.log_in(alice, idle_timeout_s=0)
        for user, device_id in ((bob, devices[2]), (alice, devices[0]), (alice, devices[1])):
            await store.decide(TakeLock(actor(user), NOBODY), device_id)

        async def names(
            page: Page = EVERYTHING, holder: str | None = None, stale: bool | None = None
        ) -> tuple[str, int]:
            views, total = await store.read(lambda tx: tx.locks.locks(holder=holder, stale=stale, page=page))
            return "".join(v.row.device_name[-1] for v in views), total

        assert await names() == ("312", 3)
        assert await names(Page(1, 1)) == ("1", 3)
        assert await names(holder="ALICE") == ("12", 2)
        assert await names(holder="nobody") == ("", 0)
        assert await names(holder="*LIC*") == await names(holder="a*e") == ("12", 2)
        assert await names(holder="lic") == await names(holder="al_ce") == await names(holder="al%") == ("", 0)
        assert await names(stale=True) == ("3", 1), "bob was never logged in"
        assert await names(stale=False) == ("12", 2)
        assert await names(stale=True, holder="alice") == ("", 0)
        store.ahead_s = 1900
        assert await names(stale=True) == ("312", 3), "idle for half an hour"

    async def test_running_work_is_shown_until_it_is_over(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        first = (await store.add_device("edge-a", "192.0.2.1")).device_id
        second = (await store.add_device("edge-b", "192.0.2.2")).device_id
        incarnation = store.ledger.incarnation

        async def running(device_id: int) -> list[tuple[str, str, str]]:
            view = await store.read(lambda tx: tx.locks.lock(device_id))
            return [(work.operation, work.owner, work.state) for work in view.running]

        async def admit(device_id: int) -> int:
            request = Admit(actor(alice), NOBODY, 0, "PushChanges", incarnation, exclusive=True, writes=True)
            answer = await store.decide(request, device_id)
            assert isinstance(answer, Admitted) and answer.claim is not None
            return answer.claim.claim_id

        await store.decide(TakeLock(actor(alice), NOBODY), first)
        claim_id = await admit(first)
        assert await running(first) == [("PushChanges", "alice", "RUNNING")]
        assert await running(second) == []
        assert isinstance(await store.decide(BeginStep(claim_id, incarnation, 60 * SECOND_US), first), Stepped)
        await store.decide(TakeAway(actor(bob), NOBODY, "emergency"), first)
        assert await running(first) == [("PushChanges", "alice", "RUNNING")], "its step may still reach the device"
        store.ahead_s = 61
        assert await running(first) == [], "fenced, and its step is over"
        store.ahead_s = 0
        interrupted = await admit(second)
        await store.decide(Interrupt(interrupted), second)
        assert await running(second) == []
        ended = await admit(second)
        assert await running(second) == [("PushChanges", "alice", "RUNNING")]
        await store.decide(EndClaim(ended), second)
        assert await running(second) == []

    async def test_ended_claims_expire(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        request = Admit(actor(alice), NOBODY, 0, "LoadConfiguration", store.ledger.incarnation, exclusive=True)
        answer = await store.decide(request, device_id)
        assert isinstance(answer, Admitted) and answer.claim is not None
        store.ahead_s = 2 * 24 * 3600
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 0
        await store.decide(EndClaim(answer.claim.claim_id), device_id)
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 2, "the claim and its device"

    async def test_waiting_requests_that_nobody_gave_up_expire(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        await store.decide(
            Admit(actor(bob), NOBODY, 0, "PushChanges", store.ledger.incarnation, exclusive=True), device_id
        )
        await store.decide(TakeLock(actor(alice), NOBODY, wait_us=60 * SECOND_US), device_id)
        store.ahead_s = 3600
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 0
        store.ahead_s = 3700
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 2, "the request and its device"
        assert await store.rows("SELECT * FROM lock_pending") == []

    async def test_events_tell_the_history_of_one_device(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        other = (await store.add_device("edge-b", "192.0.2.2")).device_id
        await store.decide(TakeLock(actor(alice), NOBODY, "work"), device_id)
        await store.decide(TakeLock(actor(bob), NOBODY), other)
        await store.decide(TakeAway(actor(bob), NOBODY, "emergency"), device_id)
        await store.decide(TakeLock(actor(alice), NOBODY), device_id)
        await store.decide(ReleaseLock(actor(alice), NOBODY), device_id)
        events, total = await store.read(lambda tx: tx.locks.events(device_id, EVERYTHING))
        assert total == 4
        kinds = [EventKind.TAKEN, EventKind.OVERRIDDEN, EventKind.TAKEN, EventKind.RELEASED]
        assert [e.kind for e in events] == kinds
        assert [(e.actor_name, e.reason) for e in events[:2]] == [("alice", "work"), ("bob", "emergency")]
        page, total = await store.read(lambda tx: tx.locks.events(device_id, Page(1, 2)))
        assert (page, total) == (events[1:3], 4)

    async def test_one_read_sees_locks_events_and_requests_of_one_moment(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        first = (await store.add_device("edge-a", "192.0.2.1")).device_id
        second = (await store.add_device("edge-b", "192.0.2.2")).device_id
        admit = Admit(actor(bob), NOBODY, 0, "PushChanges", store.ledger.incarnation, exclusive=True)
        assert isinstance(await store.decide(admit, first), Admitted)
        await store.decide(TakeLock(actor(alice), NOBODY, wait_us=60 * SECOND_US), first, second)
        late = TakeLock(actor(alice), NOBODY, "late")

        async def look(tx: Transaction) -> tuple[Any, ...]:
            rows = await tx.locks.rows_after(0, 10)
            meanwhile = asyncio.run_coroutine_threadsafe(store.decide(late, second), loop)
            if store.database.dialect == "sqlite":
                meanwhile.result(30)  # this is a thread of the database's
            else:
                await asyncio.wrap_future(meanwhile)
            return rows, await tx.locks.waiting_requests(), await tx.locks.last_event()

        loop = asyncio.get_running_loop()
        (free, other), (waiting,), last = await store.read(look)
        assert (free.device_id, free.held, other.device_id, other.held) == (first, False, second, False)
        assert (waiting.owner_name, waiting.devices) == ("alice", frozenset((first, second)))
        assert last == 2, "both devices are waited for, and nothing else has happened yet"
        assert [row.held for row in await store.read(lambda tx: tx.locks.rows_after(first, 10))] == [True]
        assert await store.read(lambda tx: tx.locks.last_event()) == 3
        assert [row.device_id for row in await store.read(lambda tx: tx.locks.rows_after(0, 1))] == [first]
        store.ahead_s = 61
        assert await store.read(lambda tx: tx.locks.waiting_requests()) == [], "one that waited too long bars nobody"

    # ------------------------------------------------------------------------------- audit and nodes

    async def test_the_audit_trail_is_filtered_and_paged_newest_first(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        device = await store.add_device("edge-a", "192.0.2.1")
        for number, user in enumerate((alice, bob, alice)):
            draft = AuditDraft(
                user.user_id, user.user_name, "rest", "192.0.2.99", "LockDevice", "device:lock:taken", f"r-{number}"
            )
            answer = await store.decide(TakeLock(actor(user), NOBODY), device.device_id, audit=draft)
            assert isinstance(answer, Refused) == (user is bob)

        async def requests(filters: dict[str, str], page: Page = EVERYTHING) -> tuple[list[str], int]:
            entries, total = await store.read(lambda tx: tx.audit.entries(filters, None, None, page))
            return [e.request_id for e in entries], total

        lock = {"operation": "LockDevice"}
        assert await requests(lock) == (["r-2", "r-1", "r-0"], 3)
        assert await requests(lock, Page(1, 1)) == (["r-1"], 3)
        assert await requests({"user": "ALICE"}) == (["r-2", "r-0"], 2)
        assert await requests({"result": "DEVICE_LOCKED"}) == (["r-1"], 1)
        on_device = {"operation": "device:lock:*", "device": f"id{device.device_id}"}
        assert await requests(on_device) == (["r-2", "r-1", "r-0"], 3)
        assert await requests({"device": "EDGE-*", "requestId": "r-0"}) == (["r-0"], 1)
        with pytest.raises(InvalidRequest, match="colour"):
            await requests({"colour": "red"})
        for name in AUDIT_FILTERS:
            assert (await requests(lock | {name: "*"}))[1] >= 3

    async def test_the_audit_trail_is_cut_by_time(self, store: OpenStore) -> None:
        entries, total = await store.read(lambda tx: tx.audit.entries({}, None, None, EVERYTHING))
        assert total == 1, "recovery left its row"
        at_us, operation = entries[0].at_us, entries[0].operation
        assert operation == "Recover"

        async def between(since_us: int | None, until_us: int | None) -> int:
            return (await store.read(lambda tx: tx.audit.entries({}, since_us, until_us, EVERYTHING)))[1]

        assert await between(at_us, at_us + 1) == 1
        assert await between(at_us + 1, None) == await between(None, at_us) == 0

    async def test_nodes_are_live_while_they_beat(self, store: OpenStore) -> None:
        (node,) = await store.read(lambda tx: tx.nodes.nodes(15))
        assert (node.node_name, node.incarnation, node.live) == ("node-1", store.ledger.incarnation, True)
        assert node.started_us == node.heartbeat_us
        store.ahead_s = 60
        assert [n.live for n in await store.read(lambda tx: tx.nodes.nodes(15))] == [False]
        assert [n.live for n in await store.read(lambda tx: tx.nodes.nodes(90))] == [True], "as the setting says"
