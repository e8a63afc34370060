"""A database that lacks what was answered: every epoch is raised, once, and every lock stays with its holder."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab.postgres import PostgresServer
from lab.postgres_pair import PostgresPair
from opensdm.core.errors import StoreUnavailable
from opensdm.core.identity import User
from opensdm.core.lock import Locked, RefusalCode, Refused, Released, ReleaseLock, TakeLock
from opensdm.stores.history import EPOCH_STEP, Memory, settle_history
from opensdm.testing import OpenStore, open_store
from opensdm.testing.store import actor
from tests.migrated import set_up

NOBODY: frozenset[int] = frozenset()
DEAD_AFTER_S = 15.0


@dataclass
class Site:
    """A database that can be saved and restored, and what nodes keep beside it."""

    url: str
    directory: Path
    save: Callable[[], None]
    restore: Callable[[], None]
    files: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def _keys(self) -> Iterator[Path]:
        made = self.directory / f"keys-{len(list(self.directory.glob('keys-*')))}"
        made.mkdir()
        yield made

    @asynccontextmanager
    async def run(self) -> AsyncIterator[OpenStore]:
        with self._keys() as keys:
            async with open_store(self.url, keys) as store:
                yield store

    async def settle(self, store: OpenStore, node: str = "node-1") -> str | None:
        """As at the start of that node."""
        memory = Memory(
            lambda: json.loads(self.files.get(node, "{}")),
            lambda seen: self.files.__setitem__(node, json.dumps(seen)),
        )
        return await settle_history(store.database, memory, node, DEAD_AFTER_S)


@pytest.fixture(params=("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)))
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    if request.param == "sqlite":
        file, kept = tmp_path / "opensdm.db", tmp_path / "kept.db"
        url = f"sqlite:///{file}"
        await set_up(url)

        def save() -> None:
            shutil.copyfile(file, kept)

        def restore() -> None:
            for each in tmp_path.glob("opensdm.db*"):
                each.unlink()
            shutil.copyfile(kept, file)

        yield Site(url, tmp_path, save, restore)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = request.getfixturevalue("migrated_postgres_url")
    name = url.rpartition("/")[2]

    def bring_back() -> None:
        server.drop_database(name)
        server.sql(f"create database {name} owner opensdm template {name}_kept")

    def keep() -> None:
        server.sql(f"create database {name}_kept owner opensdm template {name}")

    yield Site(url, tmp_path, keep, bring_back)
    server.drop_database(f"{name}_kept")


@dataclass
class Estate:
    alice: User
    bob: User
    held: int
    free: int


async def estate(store: OpenStore) -> Estate:
    """A device that alice holds, and a free one that was locked before."""
    alice, bob = await store.add_user("alice"), await store.add_user("bob")
    held, free = [(await store.add_device(n, f"192.0.2.{i}")).device_id for i, n in enumerate(("edge-a", "edge-b"), 1)]
    for device in (held, free):
        assert isinstance(await store.decide(TakeLock(actor(alice), NOBODY, "kept"), device), Locked)
    assert isinstance(await store.decide(ReleaseLock(actor(alice), NOBODY), free), Released)
    return Estate(alice, bob, held, free)


async def locks(store: OpenStore) -> dict[int, tuple[int, int | None]]:
    rows = await store.rows("SELECT device_id, epoch, holder_id FROM device_lock")
    return {row.device_id: (row.epoch, row.holder_id) for row in rows}


async def test_a_database_that_is_as_it_was_keeps_its_epochs(site: Site) -> None:
    async with site.run() as store:
        assert await site.settle(store) is None
        e = await estate(store)
        before = await locks(store)
        assert await site.settle(store) is None
    async with site.run() as store:
        assert await site.settle(store) is None
        assert await locks(store) == before and before[e.held] == (1, e.alice.user_id)
        assert await site.settle(store, "node-2") is None, "a further node asks those that live"


async def _lose_the_night(site: Site) -> tuple[Estate, int]:
    """Saved in the evening, worked on at night, restored in the morning; the epoch that bob was given at night."""
    async with site.run() as store:
        assert await site.settle(store) is None
        e = await estate(store)
        assert await site.settle(store) is None
    site.save()
    async with site.run() as store:
        night = await store.decide(TakeLock(actor(e.bob), NOBODY), e.free)
        assert isinstance(night, Locked)
        for node in ("node-1", "node-2"):
            assert await site.settle(store, node) is None
    site.restore()
    return e, night.locks[0].epoch


async def test_a_restored_database_raises_every_epoch_and_keeps_every_lock(site: Site) -> None:
    e, at_night = await _lose_the_night(site)
    async with site.run() as store:
        newest = (await store.rows("SELECT max(event_id) AS id FROM lock_event"))[0].id
        assert await site.settle(store) is not None
        assert await locks(store) == {e.held: (EPOCH_STEP + 1, e.alice.user_id), e.free: (EPOCH_STEP + 1, None)}
        stale = await store.decide(ReleaseLock(actor(e.alice), NOBODY, epoch=1), e.held)
        assert isinstance(stale, Refused) and stale.code is RefusalCode.LOCK_LOST
        again = await store.decide(TakeLock(actor(e.bob), NOBODY), e.free)
        assert isinstance(again, Locked) and again.locks[0].epoch > at_night
        refused = await store.decide(TakeLock(actor(e.bob), NOBODY), e.held)
        assert isinstance(refused, Refused) and refused.code is RefusalCode.DEVICE_LOCKED
        told = await store.rows(
            "SELECT event_id, device_id, epoch, holder_name, reason FROM lock_event "
            "WHERE kind = 'device:epoch:raised' ORDER BY device_id"
        )
        assert [(t.device_id, t.epoch, t.holder_name, t.reason) for t in told] == [
            (e.held, EPOCH_STEP + 1, "alice", "kept"), (e.free, EPOCH_STEP + 1, None, None)
        ]  # fmt: skip
        assert told[0].event_id > newest + 1000, "whoever follows the events hears of what comes"
        (noted,) = await store.rows("SELECT detail FROM audit_entry WHERE tag = 'server:state:restored'")
        assert "2 device(s)" in noted.detail
        assert (await store.add_device("edge-c", "192.0.2.9")).device_id > 1000, "ids of the night are not given again"


async def test_it_is_raised_once_however_many_nodes_find_it(site: Site) -> None:
    e, _ = await _lose_the_night(site)
    async with site.run() as store:
        assert await site.settle(store, "node-1") is not None
        for node in ("node-2", "node-1", "node-3"):
            assert await site.settle(store, node) is None
        assert (await locks(store))[e.held] == (EPOCH_STEP + 1, e.alice.user_id)


async def test_a_directory_that_knows_nothing_does_not_vouch_for_the_database(site: Site) -> None:
    async with site.run() as store:
        assert await site.settle(store) is None
        e = await estate(store)
        site.files.clear()
        assert "latest copy" in (await site.settle(store) or "")
        assert (await locks(store))[e.held] == (EPOCH_STEP + 1, e.alice.user_id)


async def _promoted(pair: PostgresPair, directory: Path, before: Callable[[], Any]) -> tuple[str | None, Any, Any]:
    url = pair.create_database(f"history_{directory.name}")
    site = Site(url, directory, lambda: None, lambda: None)
    async with site.run() as store:
        before()
        assert await site.settle(store) is None
        e = await estate(store)
        assert await site.settle(store) is None
        known = await locks(store)
        place = store.database.place
        pair.kill_primary()
        pair.promote_standby()
        await _until(lambda: site.settle(store))
        why, after = None, await locks(store)
        for row in await store.rows("SELECT detail FROM audit_entry WHERE tag = 'server:state:restored'"):
            why = row.detail
        assert store.database.place != place
        with pytest.raises(StoreUnavailable, match="being looked at"):
            await store.decide(TakeLock(actor(e.bob), NOBODY), e.free)
        store.ledger.settled_place = store.database.place
        assert isinstance(await store.decide(TakeLock(actor(e.bob), NOBODY), e.free), Locked)
        pair.rejoin()
        return why, known, after


async def _until(act: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(100):
        try:
            await act()
            return
        except StoreUnavailable:
            continue
    raise AssertionError("the database does not come back")


async def test_the_promotion_of_a_synchronous_standby_keeps_epochs(pair: PostgresPair, tmp_path: Path) -> None:
    why, known, after = await _promoted(pair, tmp_path, lambda: None)
    assert known == after and why is not None and "nothing is missing" in why


async def test_the_promotion_of_one_that_was_not_waited_for_raises_them(pair: PostgresPair, tmp_path: Path) -> None:
    why, known, after = await _promoted(pair, tmp_path, pair.wait_for_nobody)
    assert why is not None and "2 device(s) were raised" in why
    assert after == {device: (epoch + EPOCH_STEP, holder) for device, (epoch, holder) in known.items()}
