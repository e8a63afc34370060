"""What is asked of stores by lists for people: devices found by words, the locks of many at once."""

from __future__ import annotations

import itertools

from opensdm.core.inventory import Trouble
from opensdm.core.lock import Admit, TakeLock, Waiting
from opensdm.core.ports import DeviceFacts, NewDevice, Page, Transaction
from opensdm.core.versions import Drift
from opensdm.testing.store import SECOND_US, OpenStore, actor


class BrowsingContract:
    """Finding devices, and seeing who holds what."""

    async def _found(
        self,
        store: OpenStore,
        *words: str,
        beneath: int | None = None,
        page: Page | None = None,
        trouble: Trouble | None = None,
    ) -> tuple[list[str], int]:
        devices, total = await store.read(lambda tx: tx.inventory.found(words, beneath, page or Page(), trouble))
        return [device.device_name for device in devices], total

    async def test_devices_are_found_by_every_word_wherever_it_stands(self, store: OpenStore) -> None:
        for name, address in (("edge-b", "192.0.2.2"), ("Edge-A", "192.0.2.1"), ("core_100%", "192.0.2.31")):
            await store.add_device(name, address)
        facts = DeviceFacts("acme_sbc", "SCZ9.1.0", "b", "active", "SN-0042")
        device = (await store.read(lambda tx: tx.inventory.found(("edge-b",), None, Page())))[0][0]
        await store.write(lambda tx: tx.inventory.set_polled(device.device_id, reachable=True, facts=facts, error=None))
        everything = await self._found(store)
        assert everything == (sorted(everything[0]), 3)
        for words, names in (
            (("EDGE",), {"edge-b", "Edge-A"}),
            (("edge", "192.0.2.1"), {"Edge-A"}),
            (("acme_sbc", "core"), {"core_100%"}),
            (("scz9",), {"edge-b"}),
            (("sn-0042",), {"edge-b"}),
            (("core_100%",), {"core_100%"}),
            (("1__%",), set()),
            (("edge", "nowhere"), set()),
            (("b192",), set()),
        ):
            found, total = await self._found(store, *words)
            assert (set(found), total) == (names, len(names)), words

    async def test_a_device_is_found_by_its_network_function_and_not_by_its_group(self, store: OpenStore) -> None:
        west = await store.write(lambda tx: tx.inventory.add_group("West", 1, top_level=False))
        pair = [NewDevice(name, f"192.0.2.{n}", "acme_sbc", {}) for n, name in enumerate(("unit-1", "unit-2"), start=1)]
        await store.write(
            lambda tx: tx.inventory.add_function("Trunk", west.group_id, "SP Edge & Core", "Device Cluster", pair)
        )
        await store.add_device("edge-b", "192.0.2.9")
        assert await self._found(store, "trunk") == (["unit-1", "unit-2"], 2)
        assert await self._found(store, "TRUNK", "192.0.2.2") == (["unit-2"], 1)
        assert await self._found(store, "west") == ([], 0)

    async def test_a_group_holds_what_is_beneath_it(self, store: OpenStore) -> None:
        west = await store.write(lambda tx: tx.inventory.add_group("West", 1, top_level=False))
        lab = await store.write(lambda tx: tx.inventory.add_group("Lab", west.group_id, top_level=False))
        await store.add_device("edge-a", "192.0.2.1")
        await store.add_device("edge-b", "192.0.2.2", west.group_id)
        await store.add_device("edge-c", "192.0.2.3", lab.group_id)
        assert await self._found(store, beneath=1) == (["edge-a", "edge-b", "edge-c"], 3)
        assert await self._found(store, beneath=west.group_id) == (["edge-b", "edge-c"], 2)
        assert await self._found(store, "edge-c", beneath=west.group_id) == (["edge-c"], 1)
        assert await self._found(store, beneath=99) == ([], 0)

    async def test_devices_in_trouble_are_managed_ones_that_were_seen_to_be(self, store: OpenStore) -> None:
        """Never asked is no trouble, and what is not managed is nobody's."""
        ids = [(await store.add_device(f"edge-{n}", f"192.0.2.{n}")).device_id for n in (1, 2, 3, 4)]
        drift = Drift(1_700_000_000 * SECOND_US, 1, (("realm", ("core",)),))

        async def trouble(tx: Transaction) -> None:
            for device_id in ids[:3]:
                await tx.inventory.set_assigned(device_id, True)
            for device_id in ids[1:]:
                await tx.inventory.set_polled(device_id, reachable=device_id == ids[2], facts=None, error="silent")
            for device_id in ids[2:]:
                await tx.configurations.set_drift(device_id, drift)

        await store.write(trouble)
        assert await self._found(store, trouble=Trouble.UNREACHABLE) == (["edge-2"], 1)
        assert await self._found(store, trouble=Trouble.DRIFTED) == (["edge-3"], 1)
        assert await self._found(store, "edge-3", trouble=Trouble.UNREACHABLE) == ([], 0)

    async def test_every_page_knows_the_whole(self, store: OpenStore) -> None:
        names = ["edge-a", "edge-b", "edge-c"]
        for number, name in enumerate(names, start=1):
            await store.add_device(name, f"192.0.2.{number}")
        for offset, limit in itertools.product(range(5), (0, 1, 2, 3, 4, None)):
            end = None if limit is None else offset + limit
            assert await self._found(store, "edge", page=Page(offset, limit)) == (names[offset:end], 3), (offset, limit)

    async def test_locks_of_many_are_those_of_each(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        first, second, third = [await store.add_device(f"edge-{n}", f"192.0.2.{n}") for n in (1, 2, 3)]
        await store.decide(TakeLock(actor(alice), frozenset(), "work"), second.device_id)
        claim = Admit(actor(alice), frozenset(), 1, "PushChanges", store.ledger.incarnation, exclusive=True)
        await store.decide(claim, third.device_id)
        wanted = [third.device_id, 9999, first.device_id, second.device_id, first.device_id]
        views = await store.read(lambda tx: tx.locks.locks_on(wanted))
        ids = [first.device_id, second.device_id, third.device_id]
        assert views == [await store.read(lambda tx, each=each: tx.locks.lock(each)) for each in ids]  # type: ignore[misc]
        assert [view.row.holder_name for view in views] == [None, "alice", None]
        assert [len(view.running) for view in views] == [0, 0, 1]
        assert await store.read(lambda tx: tx.locks.locks_on([])) == []

    async def test_devices_that_a_request_waits_for(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        first, _, third = [await store.add_device(f"edge-{n}", f"192.0.2.{n}") for n in (1, 2, 3)]
        assert await store.read(lambda tx: tx.locks.waited_for()) == []
        for device in (third, first):
            incarnation = store.ledger.incarnation
            claim = Admit(actor(bob), frozenset(), device.device_id, "PushChanges", incarnation, exclusive=True)
            await store.decide(claim, device.device_id)
            waiting = TakeLock(actor(alice), frozenset(), "work", wait_us=60 * SECOND_US)
            assert isinstance(await store.decide(waiting, device.device_id), Waiting)
        assert await store.read(lambda tx: tx.locks.waited_for()) == [first.device_id, third.device_id]
        store.ahead_s = 61
        assert await store.read(lambda tx: tx.locks.waited_for()) == []
