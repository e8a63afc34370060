"""What is asked of `InventoryStore`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from opensdm.core.errors import AlreadyExists, Conflict, HouseRuleBroken, InvalidRequest, NotEmpty, NotFound
from opensdm.core.inventory import DEVICE_FILTERS, FUNCTION_FILTERS, GROUP_FILTERS, HOME_GROUP_ID, DeviceGroup
from opensdm.core.lock import EventKind, Guard, Locked, Refused, TakeLock
from opensdm.core.operations import Scope
from opensdm.core.ports import DeviceFacts, NewDevice, Page, Transaction
from opensdm.core.submission import Submission, Target
from opensdm.testing.store import NOTE, OpenStore, actor

EVERYTHING = Page()


async def add_group(store: OpenStore, name: str, parent_id: int = HOME_GROUP_ID, *, top: bool = False) -> DeviceGroup:
    return await store.write(lambda tx: tx.inventory.add_group(name, parent_id, top_level=top))


async def change_group(store: OpenStore, group_id: int, name: str, parent_id: int = HOME_GROUP_ID) -> DeviceGroup:
    return await store.write(
        lambda tx: tx.inventory.change_group(group_id, group_name=name, parent_id=parent_id, top_level=False)
    )


async def at_once(*changes: Awaitable[DeviceGroup]) -> list[str]:
    """What several changes sent at the same moment came to, by class."""
    return sorted(type(outcome).__name__ for outcome in await asyncio.gather(*changes, return_exceptions=True))


async def group_named(store: OpenStore, full_name: str) -> DeviceGroup:
    return await store.read(lambda tx: tx.inventory.group_named(full_name))


class InventoryContract:
    """Groups, network functions, devices."""

    # --------------------------------------------------------------------------------------- groups

    async def test_home_is_there_and_stays(self, store: OpenStore) -> None:
        home = await store.read(lambda tx: tx.inventory.group(HOME_GROUP_ID))
        assert (home.full_name, home.parent_id, home.parent_full_name, home.kind) == ("Home", None, None, "FOLDER")
        west = await add_group(store, "West")
        with pytest.raises(Conflict):
            await store.write(lambda tx: tx.inventory.delete_group(HOME_GROUP_ID))
        with pytest.raises(Conflict):
            await change_group(store, HOME_GROUP_ID, "House", west.group_id)

    async def test_full_names_follow_the_tree(self, store: OpenStore) -> None:
        west = await add_group(store, "West")
        lab = await add_group(store, "Lab", west.group_id)
        assert (west.full_name, west.parent_full_name, west.top_level) == ("Home/West", "Home", False)
        assert (lab.full_name, lab.parent_full_name) == ("Home/West/Lab", "Home/West")
        renamed = await change_group(store, west.group_id, "Far West")
        assert renamed.full_name == "Home/Far West"
        assert (await store.read(lambda tx: tx.inventory.group(lab.group_id))).full_name == "Home/Far West/Lab"

    async def test_top_level_groups_are_shown_as_roots_and_found_both_ways(self, store: OpenStore) -> None:
        west = await add_group(store, "West", top=True)
        lab = await add_group(store, "Lab", west.group_id)
        assert (west.full_name, west.parent_full_name, west.parent_id) == ("West", None, HOME_GROUP_ID)
        assert (lab.full_name, lab.parent_full_name) == ("West/Lab", "West")
        for name in ("West/Lab", "Home/West/Lab", "home/WEST/lab"):
            assert await group_named(store, name) == lab
        assert (await group_named(store, "Home")).group_id == HOME_GROUP_ID
        with pytest.raises(NotFound, match="West/Attic"):
            await group_named(store, "West/Attic")

    async def test_siblings_have_different_names_without_case(self, store: OpenStore) -> None:
        west = await add_group(store, "West")
        east = await add_group(store, "East")
        with pytest.raises(AlreadyExists, match="West"):
            await add_group(store, "wEST")
        with pytest.raises(AlreadyExists):
            await change_group(store, east.group_id, "WEST")
        with pytest.raises(AlreadyExists, match="root"):
            await add_group(store, "home", top=True)
        assert (await add_group(store, "West", west.group_id)).full_name == "Home/West/West"
        assert (await change_group(store, west.group_id, "WEST")).group_name == "WEST"

    async def test_case_is_folded_beyond_ascii(self, store: OpenStore) -> None:
        await add_group(store, "Zürich")
        with pytest.raises(AlreadyExists):
            await add_group(store, "ZÜRICH")
        assert (await group_named(store, "zÜrich")).group_name == "Zürich"

    async def test_a_group_never_moves_beneath_itself(self, store: OpenStore) -> None:
        west = await add_group(store, "West")
        lab = await add_group(store, "Lab", west.group_id)
        deep = await add_group(store, "Deep", lab.group_id)
        for place in (west.group_id, lab.group_id, deep.group_id):
            with pytest.raises(Conflict, match="beneath"):
                await change_group(store, west.group_id, "West", place)
        assert (await store.read(lambda tx: tx.inventory.group(deep.group_id))).full_name == "Home/West/Lab/Deep"

    async def test_changes_of_the_tree_at_the_same_time_come_one_after_the_other(self, store: OpenStore) -> None:
        a, b = await add_group(store, "A"), await add_group(store, "B")
        for number in range(5):
            under_b, under_a = (a.group_id, "A", b.group_id), (b.group_id, "B", a.group_id)
            outcomes = await at_once(*(change_group(store, *move) for move in (under_b, under_a)))
            assert outcomes == ["Conflict", "DeviceGroup"]
            for group in (a, b):
                await change_group(store, group.group_id, group.group_name)
            outcomes = await at_once(*(add_group(store, f"twin-{number}") for _ in range(4)))
            assert outcomes == [*["AlreadyExists"] * 3, "DeviceGroup"]

    async def test_only_empty_groups_are_deleted(self, store: OpenStore) -> None:
        west = await add_group(store, "West")
        lab = await add_group(store, "Lab", west.group_id)
        with pytest.raises(NotEmpty, match="groups"):
            await store.write(lambda tx: tx.inventory.delete_group(west.group_id))
        device = await store.add_device("edge-a", "192.0.2.7", lab.group_id)
        with pytest.raises(NotEmpty, match="network functions"):
            await store.write(lambda tx: tx.inventory.delete_group(lab.group_id))
        await store.write(lambda tx: tx.inventory.delete_function(device.nf_id))
        await store.write(lambda tx: tx.inventory.delete_group(lab.group_id))
        with pytest.raises(NotFound, match=f"ID{lab.group_id}"):
            await store.read(lambda tx: tx.inventory.group(lab.group_id))

    async def test_ids_are_never_reused(self, store: OpenStore) -> None:
        first = await add_group(store, "West")
        await store.write(lambda tx: tx.inventory.delete_group(first.group_id))
        second = await add_group(store, "West")
        device = await store.add_device("edge-a", "192.0.2.7")
        ids = [first.group_id, second.group_id, device.nf_id, device.device_id]
        assert ids == sorted(set(ids))

    async def test_groups_are_filtered_and_paged(self, store: OpenStore) -> None:
        west = await add_group(store, "West", top=True)
        for name in ("lab_1", "lab%1", "labx1", "LAB-2"):
            await add_group(store, name, west.group_id)
        await store.add_device("edge-a", "192.0.2.7", west.group_id)

        async def names(page: Page = EVERYTHING, **filters: str) -> tuple[list[str], int]:
            groups, total = await store.read(lambda tx: tx.inventory.groups(filters, page))
            return [g.group_name for g in groups], total

        assert await names() == (["Home", "West", "lab_1", "lab%1", "labx1", "LAB-2"], 6)
        assert await names(Page(1, 2)) == (["West", "lab_1"], 6)
        assert await names(name="lab_1") == (["lab_1"], 1)
        assert await names(name="LAB_*") == (["lab_1"], 1)
        assert await names(name="lab%*") == (["lab%1"], 1)
        assert await names(name="lab*") == (["lab_1", "lab%1", "labx1", "LAB-2"], 4)
        assert await names(fullName="west/labx1") == (["labx1"], 1)
        assert await names(fullName="Home/West/labx1") == (["labx1"], 1)
        assert (await names(parentGroupFullName="West"))[1] == 4
        assert (await names(parentGroupFullName="Home"))[1] == 1
        assert await names(id="id1") == (["Home"], 1)
        assert (await names(parentGroupId="ID0"))[0] == ["Home", "West"]
        assert await names(name="lab*", fullName="*2") == (["LAB-2"], 1)
        with pytest.raises(InvalidRequest, match="colour"):
            await names(colour="red")

    async def test_every_published_filter_is_understood(self, store: OpenStore) -> None:
        await store.add_device("edge-a", "192.0.2.7")

        async def totals(filters: dict[str, str], flags: dict[str, str]) -> tuple[int, int, int]:
            async def query(tx: Transaction) -> tuple[int, int, int]:
                _, groups = await tx.inventory.groups({n: filters[n] for n in GROUP_FILTERS}, EVERYTHING)
                _, functions = await tx.inventory.functions({n: filters[n] for n in FUNCTION_FILTERS}, EVERYTHING)
                names = DEVICE_FILTERS - flags.keys()
                _, devices = await tx.inventory.devices({n: filters[n] for n in names} | flags, EVERYTHING)
                return groups, functions, devices

            return await store.read(query)

        everyone = dict.fromkeys(GROUP_FILTERS | FUNCTION_FILTERS | DEVICE_FILTERS, "*")
        flags = {"connectivityStatus": "false", "manageable": "false"}
        # Home has no parent whose name could match.
        assert await totals(everyone, flags) == (0, 1, 1)
        assert await totals(everyone | {"id": "ID0"}, flags) == (0, 0, 0)

    # ---------------------------------------------------------------------------- network functions

    async def test_a_function_is_a_group_of_its_own_id(self, store: OpenStore) -> None:
        device = await store.add_device("edge-a", "192.0.2.7", username="ops", secrets={"password": "s3cret"})
        function = await store.read(lambda tx: tx.inventory.function(device.nf_id))
        assert (function.nf_name, function.parent_full_name, function.group_type) == ("edge-a", "Home", "DEVICE")
        (group,) = await store.read(lambda tx: tx.inventory.function_groups(device.nf_id))
        assert (group.group_id, group.full_name, group.kind, group.nf_id) == (
            device.nf_id, "Home/edge-a", "FUNCTION", device.nf_id,
        )  # fmt: skip
        assert (device.group_id, device.nf_name) == (device.nf_id, "edge-a")
        with pytest.raises(Conflict, match="function"):
            await store.write(lambda tx: tx.inventory.delete_group(device.nf_id))
        with pytest.raises(Conflict, match="function"):
            await add_group(store, "inside", device.nf_id)
        with pytest.raises(AlreadyExists):
            await add_group(store, "EDGE-A")

    async def test_a_cluster_has_groups_inside(self, store: OpenStore) -> None:
        devices = [
            NewDevice("c-1", "192.0.2.1", "acme_sbc", {}, group_name="east"),
            NewDevice("c-2", "192.0.2.2", "acme_sbc", {}, group_name="east", read_only=True),
            NewDevice("c-3", "192.0.2.3", "acme_sbc", {}, group_name="west"),
        ]
        function = await store.write(
            lambda tx: tx.inventory.add_function("core", 1, "SP Edge & Core", "Device Cluster", devices)
        )
        own, east, west = await store.read(lambda tx: tx.inventory.function_groups(function.nf_id))
        assert function.group_type == "CLUSTER"
        assert (own.group_id, east.full_name, west.full_name) == (
            function.nf_id, "Home/core/east", "Home/core/west",
        )  # fmt: skip

        async def names(group_id: int) -> list[str]:
            return [d.device_name for d in await store.read(lambda tx: tx.inventory.devices_in(group_id))]

        assert await names(own.group_id) == await names(HOME_GROUP_ID) == ["c-1", "c-2", "c-3"]
        assert await names(east.group_id) == ["c-1", "c-2"]
        first, second = await store.read(lambda tx: tx.inventory.devices_in(east.group_id))
        assert (first.read_only, second.read_only) == (False, True)
        assert (await store.read(lambda tx: tx.inventory.groups({}, EVERYTHING)))[1] == 1
        with pytest.raises(NotFound):
            await names(999)

    async def test_names_inside_one_function_differ(self, store: OpenStore) -> None:
        devices = [NewDevice(name, f"192.0.2.{i}", "acme_sbc", {}) for i, name in enumerate(("c-1", "C-1"), 1)]
        with pytest.raises(AlreadyExists, match="C-1"):
            await store.write(lambda tx: tx.inventory.add_function("core", 1, "SP Edge & Core", "Device", devices))
        assert (await store.read(lambda tx: tx.inventory.functions({}, EVERYTHING)))[1] == 0

    async def test_functions_move_and_are_listed(self, store: OpenStore) -> None:
        west = await add_group(store, "West", top=True)
        a = await store.add_device("edge-a", "192.0.2.1")
        await store.add_device("edge-b", "192.0.2.2", west.group_id)
        await store.write(lambda tx: tx.inventory.move_function(a.nf_id, west.group_id))
        functions, total = await store.read(
            lambda tx: tx.inventory.functions({"parentGroupFullName": "Home/West"}, Page(0, 1))
        )
        assert ([f.nf_name for f in functions], functions[0].parent_full_name, total) == (["edge-a"], "West", 2)
        with pytest.raises(NotFound, match="network function ID999"):
            await store.write(lambda tx: tx.inventory.move_function(999, 1))
        await store.add_device("edge-A", "192.0.2.3")
        with pytest.raises(AlreadyExists):
            await store.write(lambda tx: tx.inventory.move_function(a.nf_id, 1))

    async def test_deleting_a_function_takes_all_but_history(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        device = await store.add_device("edge-a", "192.0.2.1")
        assert isinstance(await store.decide(TakeLock(actor(alice), frozenset(), "work"), device.device_id), Locked)
        await store.write(lambda tx: tx.configurations.save_configuration(device.device_id, [], NOTE))

        async def delete(tx: Transaction) -> None:
            await tx.inventory.delete_function(device.nf_id)

        guard = Guard(actor(alice), frozenset(), exclusive=True, alone=True, drop=True)
        target = Target(Scope.NETWORK_FUNCTION, device.nf_id)
        receipt = await store.ledger.submit(Submission(target, guard, delete))
        assert not isinstance(receipt.answer, Refused)
        for missing in (
            lambda tx: tx.inventory.device(device.device_id),
            lambda tx: tx.inventory.function(device.nf_id),
            lambda tx: tx.inventory.group(device.nf_id),
            lambda tx: tx.locks.lock(device.device_id),
        ):
            with pytest.raises(NotFound):
                await store.read(missing)
        assert await store.read(lambda tx: tx.configurations.configuration(device.device_id)) is None
        events, total = await store.read(lambda tx: tx.locks.events(device.device_id, EVERYTHING))
        assert ([e.kind for e in events], total) == ([EventKind.TAKEN, EventKind.DELETED], 2)
        again = await store.add_device("edge-a", "192.0.2.1")
        assert again.device_id > device.device_id

    # -------------------------------------------------------------------------------------- devices

    async def test_secrets_are_sealed_and_never_shown(self, store: OpenStore) -> None:
        device = await store.add_device("edge-a", "192.0.2.1", secrets={"password": "s3cret"}, username="ops")
        assert device.parameters["password"] == "xxxx"
        credentials = await store.read(lambda tx: tx.inventory.credentials(device.device_id))
        assert (credentials.username, credentials.password, credentials.address) == ("ops", "s3cret", "192.0.2.1")
        assert "s3cret" not in repr(device) + repr(credentials) + repr(credentials.parameters)
        assert "password" not in credentials.parameters

    async def test_parameters_are_changed_one_by_one(self, store: OpenStore) -> None:
        device = await store.add_device("edge-a", "192.0.2.1", secrets={"password": "s3cret"}, username="ops", port="1")
        device_id = device.device_id

        async def change(parameters: dict[str, str], secrets: dict[str, str], *, read_only: bool = False) -> None:
            await store.write(
                lambda tx: tx.inventory.set_parameters(device_id, parameters, secrets, read_only=read_only)
            )

        await change({"primary.ip": "192.0.2.9", "port": "", "snmp.mode": "v3"}, {}, read_only=True)
        device = await store.read(lambda tx: tx.inventory.device(device_id))
        assert (device.ip, device.read_only, dict(device.parameters)) == (
            "192.0.2.9",
            True,
            {
                "username": "ops", "password": "xxxx", "snmp.mode": "v3", "primary.ip": "192.0.2.9",
                "platform": "acme_sbc", "read.only": "true",
            },
        )  # fmt: skip
        await change({"secondary.ip": "192.0.2.10"}, {"password": "newer"})
        credentials = await store.read(lambda tx: tx.inventory.credentials(device_id))
        assert (credentials.password, credentials.secondary_address) == ("newer", "192.0.2.10")
        await change({"secondary.ip": ""}, {"password": ""})
        credentials = await store.read(lambda tx: tx.inventory.credentials(device_id))
        assert (credentials.password, credentials.secondary_address) == ("", None)
        assert "password" not in (await store.read(lambda tx: tx.inventory.device(device_id))).parameters
        with pytest.raises(NotFound, match="ID999"):
            await store.write(lambda tx: tx.inventory.set_parameters(999, {}, {}, read_only=False))

    async def test_one_unit_is_one_device(self, store: OpenStore) -> None:
        first = await store.add_device("edge-a", "192.0.2.1", port="8443")
        with pytest.raises(AlreadyExists, match="edge-a"):
            await store.add_device("edge-b", "192.0.2.1:8443")
        with pytest.raises(AlreadyExists, match="edge-a"):
            await store.add_device("edge-b", "192.0.2.1", port="8443")
        second = await store.add_device("edge-b", "192.0.2.1:9443")
        await store.add_device("edge-c", "192.0.2.11")
        with pytest.raises(AlreadyExists, match="edge-b"):
            await store.write(
                lambda tx: tx.inventory.set_parameters(
                    first.device_id, {"secondary.ip": "192.0.2.1:9443"}, {}, read_only=False
                )
            )
        await store.write(
            lambda tx: tx.inventory.set_parameters(second.device_id, {"snmp.mode": "v3"}, {}, read_only=False)
        )
        pair = [NewDevice(n, "192.0.2.20", "acme_sbc", {}) for n in ("d-1", "d-2")]
        with pytest.raises(AlreadyExists, match="d-1"):
            await store.write(lambda tx: tx.inventory.add_function("d", 1, "SP Edge & Core", "Device", pair))

    async def test_what_polls_and_pushes_leave(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        facts = DeviceFacts("NNOSVM", "SCZ910", "edge-a", "standalone", serial_number="42")
        await store.write(lambda tx: tx.inventory.set_polled(device_id, reachable=True, facts=facts, error=None))
        await store.write(lambda tx: tx.inventory.set_polled(device_id, reachable=False, facts=None, error="no answer"))
        await store.write(lambda tx: tx.inventory.set_assigned(device_id, True))
        await store.write(lambda tx: tx.inventory.set_operation(device_id, last_operation="Load", status="In Sync"))
        configuration = await store.write(lambda tx: tx.configurations.save_configuration(device_id, [], NOTE))
        device = await store.read(lambda tx: tx.inventory.device(device_id))
        assert (device.reachable, device.serial_number, device.software_version) == (False, "42", "SCZ910")
        assert (device.poll_error, device.assigned, device.last_operation) == ("no answer", True, "Load")
        assert (device.status, device.loaded_version) == ("In Sync", configuration.version)
        assert device.polled_us is not None and device.status_changed_us is not None
        for unknown in (
            lambda tx: tx.inventory.set_assigned(999, True),
            lambda tx: tx.inventory.set_polled(999, reachable=True, facts=None, error=None),
            lambda tx: tx.inventory.set_operation(999, last_operation="Load", status="In Sync"),
        ):
            with pytest.raises(NotFound, match="device ID999"):
                await store.write(unknown)

    async def test_devices_are_filtered_and_paged(self, store: OpenStore) -> None:
        west = await add_group(store, "West")
        for number in range(1, 6):
            parent_id = west.group_id if number > 3 else HOME_GROUP_ID
            await store.add_device(f"edge-{number}", f"192.0.2.{number}", parent_id)
        devices, _ = await store.read(lambda tx: tx.inventory.devices({}, EVERYTHING))
        await store.write(lambda tx: tx.inventory.set_assigned(devices[1].device_id, True))

        async def names(page: Page = EVERYTHING, *, managed: bool = False, **filters: str) -> tuple[str, int]:
            found, total = await store.read(lambda tx: tx.inventory.devices(filters, page, managed=managed))
            return "".join(d.device_name[-1] for d in found), total

        assert await names() == ("12345", 5)
        assert await names(Page(3, 5)) == ("45", 5)
        assert await names(Page(2, None)) == ("345", 5)
        assert await names(managed=True) == ("2", 1)
        assert await names(manageable="FALSE") == ("1345", 4)
        assert await names(connectivityStatus="true") == ("", 0)
        assert await names(ip="192.0.2.3") == ("3", 1)
        assert await names(ip="192*") == ("12345", 5)
        assert await names(nfName="EDGE-4") == ("4", 1)
        assert await names(parentGroupFullName="home/west/*") == ("45", 2)
        assert await names(parentGroupFullName="Home/edge-1") == ("1", 1)
        assert await names(id=f"ID{devices[0].device_id}") == ("1", 1)
        with pytest.raises(InvalidRequest, match="true or false"):
            await names(manageable="yes")

    async def test_a_reading_transaction_cannot_write(self, store: OpenStore) -> None:
        with pytest.raises(HouseRuleBroken):
            await store.read(lambda tx: tx.inventory.add_group("West", 1, top_level=False))
        assert (await store.read(lambda tx: tx.inventory.groups({}, EVERYTHING)))[1] == 1
