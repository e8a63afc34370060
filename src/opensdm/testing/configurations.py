"""What is asked of `ConfigurationStore`, but for versions."""

from __future__ import annotations

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.staging import ChangeSet, PendingChange
from opensdm.testing.store import NOTE, OpenStore

REALM = Element(
    "realmConfig",
    {"id": "core", "descr": 'ü "quoted" \\ & <x>', "addrPrefix": ""},
    (Element("realmConfig/networkInterfaceId", {"name": "s0p0"}),),
)
NARROWER = Element("realmConfig", {"id": "core", "addrPrefix": "192.0.2.0/24"})


class ConfigurationContract:
    """Stored configurations, schemas, staged changes."""

    async def test_a_configuration_comes_back_as_it_was(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        assert await store.read(lambda tx: tx.configurations.configuration(device_id)) is None
        saved = await store.write(lambda tx: tx.configurations.save_configuration(device_id, [REALM, NARROWER], NOTE))
        assert (saved.version, saved.elements) == (1, (REALM, NARROWER))
        assert await store.read(lambda tx: tx.configurations.configuration(device_id)) == saved
        again = await store.write(lambda tx: tx.configurations.save_configuration(device_id, [NARROWER], NOTE))
        assert (again.version, again.elements) == (2, (NARROWER,))

    async def test_a_schema_comes_back_as_it_was(self, store: OpenStore) -> None:
        key = AttributeType("id", "identifier", key=True, required=True)
        number = AttributeType("port", "port", value_type="number", minimum=0, maximum=65535, choices=("1", "2"))
        child = ElementType("realmConfig/networkInterfaceId", "network-interface", (key,))
        realm = ElementType("realmConfig", "realm-config", (key, number), (child,))
        schema = Schema("acme_sbc", "SCZ910", {"realmConfig": realm})
        assert await store.read(lambda tx: tx.configurations.schema("acme_sbc", "SCZ910")) is None
        await store.write(lambda tx: tx.configurations.save_schema(schema))
        await store.write(lambda tx: tx.configurations.save_schema(schema))
        assert await store.read(lambda tx: tx.configurations.schema("acme_sbc", "SCZ910")) == schema
        assert await store.read(lambda tx: tx.configurations.schema("acme_sbc", "SCZ900")) is None

    async def test_changes_are_each_users_own_and_fold(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        first = (await store.add_device("edge-a", "192.0.2.1")).device_id
        second = (await store.add_device("edge-b", "192.0.2.2")).device_id
        created = PendingChange("realmConfig", ("core",), None, REALM, 10)
        deleted = PendingChange("sipConfig", (), NARROWER, None, 5)
        odd = PendingChange("realmConfig", ('a"b', "ü"), REALM, NARROWER, 20)

        async def put(change: PendingChange) -> None:
            await store.write(lambda tx: tx.configurations.put_change(alice.user_id, first, change))

        for change in (created, deleted, odd):
            await put(change)

        async def changes(user_id: int) -> list[PendingChange]:
            return await store.read(lambda tx: tx.configurations.changes(user_id, first))

        assert await changes(alice.user_id) == [deleted, created, odd]
        assert await changes(bob.user_id) == []
        later = PendingChange("realmConfig", ("core",), None, NARROWER, 30)
        await put(later)
        assert await changes(alice.user_id) == [deleted, odd, later]
        undone = PendingChange("realmConfig", ("core",), NARROWER, NARROWER, 40)
        await put(undone)
        assert await changes(alice.user_id) == [deleted, odd]

        async def changed(user_id: int) -> frozenset[int]:
            return await store.read(lambda tx: tx.configurations.devices_with_changes(user_id, [first, second]))

        assert await changed(alice.user_id) == {first}
        assert await changed(bob.user_id) == frozenset()
        assert await store.write(lambda tx: tx.configurations.discard_changes(bob.user_id, first)) == 0
        assert await store.write(lambda tx: tx.configurations.discard_changes(alice.user_id, first)) == 2
        assert await changes(alice.user_id) == []

    async def test_change_sets_are_apart_from_one_another(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        devices = [(await store.add_device(f"edge-{n}", f"192.0.2.{n}")).device_id for n in (1, 2, 3)]
        first, second, third = devices
        created = PendingChange("realmConfig", ("core",), None, REALM, 10)
        other = PendingChange("realmConfig", ("core",), None, NARROWER, 20)
        single = PendingChange("sipConfig", (), NARROWER, None, 5)

        async def put(device_id: int, change: PendingChange, change_set: str) -> None:
            await store.write(lambda tx: tx.configurations.put_change(alice.user_id, device_id, change, change_set))

        async def sets(device_id: int) -> list[ChangeSet]:
            return await store.read(lambda tx: tx.configurations.change_sets(alice.user_id, device_id))

        await put(first, created, "")
        await put(first, other, "b-night")
        await put(first, single, "b-night")
        await put(first, single, "B")
        await put(second, single, "b-night")
        assert await store.read(lambda tx: tx.configurations.changes(alice.user_id, first)) == [created]
        named = await store.read(lambda tx: tx.configurations.changes(alice.user_id, first, "b-night"))
        assert named == [single, other]
        assert await sets(first) == [
            ChangeSet("", 1, 10, 10), ChangeSet("B", 1, 5, 5), ChangeSet("b-night", 2, 5, 20),
        ]  # fmt: skip
        assert await sets(third) == []
        keys = await store.read(lambda tx: tx.configurations.staged_keys(alice.user_id, devices))
        assert keys == {
            first: {("realmConfig", ("core",)), ("sipConfig", ())}, second: {("sipConfig", ())}, third: frozenset(),
        }  # fmt: skip
        assert await store.read(lambda tx: tx.configurations.staged_keys(bob.user_id, [first])) == {first: frozenset()}
        assert await store.write(lambda tx: tx.configurations.discard_changes(alice.user_id, first)) == 1
        assert [each.name for each in await sets(first)] == ["B", "b-night"]
        changed = await store.read(lambda tx: tx.configurations.devices_with_changes(alice.user_id, devices))
        assert changed == {first, second}
        await put(first, PendingChange("sipConfig", (), NARROWER, NARROWER, 30), "b-night")
        left = await store.read(lambda tx: tx.configurations.changes(alice.user_id, first, "b-night"))
        assert left == [other]
