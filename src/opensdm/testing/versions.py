"""What is asked of versions: how configurations are kept, shared, compared, judged and let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opensdm.core.element import Element
from opensdm.core.errors import HouseRuleBroken, NotFound
from opensdm.core.ports import Page
from opensdm.core.staging import Configuration
from opensdm.core.versions import Drift, Source, Version, VersionNote
from opensdm.testing.store import NOTE, SECOND_US, OpenStore

EVERYTHING = Page()
TORN = replace(NOTE, source=Source.BACKUP, torn=True)
NAMES = st.sampled_from(("realmConfig", "sipInterface", "steeringPool", "localPolicy"))
ELEMENTS = st.recursive(
    st.builds(Element, NAMES, st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4)),
    lambda inner: st.builds(
        Element, NAMES, st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=2),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=6,
)  # fmt: skip


def realms(*names: str, **attributes: str) -> list[Element]:
    return [Element("realmConfig", {"id": name, **attributes}) for name in names]


def numbered(path: str, numbers: range) -> list[Element]:
    return [Element(path, {"id": f"{path}-{number}", "descr": "x" * (number % 7)}) for number in numbers]


async def save(
    store: OpenStore, device_id: int, elements: Sequence[Element], note: VersionNote = NOTE, *paths: str
) -> Configuration:
    return await store.write(
        lambda tx: tx.configurations.save_configuration(device_id, elements, note, paths or None)
    )  # fmt: skip


async def add(store: OpenStore, device_id: int, elements: Sequence[Element], note: VersionNote = TORN) -> Version:
    return await store.write(lambda tx: tx.configurations.add_version(device_id, elements, note))


async def our_copy(store: OpenStore, device_id: int, *paths: str) -> tuple[Element, ...]:
    found = await store.read(lambda tx: tx.configurations.configuration(device_id, paths or None))
    assert found is not None
    return found.elements


async def versions(store: OpenStore, device_id: int, page: Page = EVERYTHING) -> list[Version]:
    return (await store.read(lambda tx: tx.configurations.versions(device_id, page)))[0]


async def version_elements(store: OpenStore, device_id: int, number: int, *paths: str) -> tuple[Element, ...]:
    return await store.read(lambda tx: tx.configurations.version_elements(device_id, number, paths or None))


async def chunks(store: OpenStore) -> int:
    """How many pieces of content the database holds."""
    ((held,),) = await store.rows("SELECT count(*) FROM config_chunk")
    return int(held)


class VersionContract:
    """Versions of configurations."""

    async def test_versions_are_numbered_over_all_sources_and_survive_a_restart(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        other = (await store.add_device("edge-b", "192.0.2.2")).device_id
        first = await save(store, device_id, realms("core"))
        backup = await add(store, device_id, realms("core", "peer"), replace(NOTE, source=Source.BACKUP))
        second = await save(store, device_id, realms("peer"), replace(NOTE, source=Source.PUSH, comment="ü"))
        assert (first.version, backup.number, second.version) == (1, 2, 3)
        assert (await save(store, other, realms("core"))).version == 1
        await store.restart()
        newest, middle, oldest = await versions(store, device_id)
        assert (newest.number, newest.note, newest.elements, newest.current) == (
            3, VersionNote(Source.PUSH, "alice", "r-1", "SCZ910", "ü"), 1, True,
        )  # fmt: skip
        assert middle == backup and not middle.current and middle.elements == 2
        assert (oldest.number, oldest.note, oldest.current) == (1, NOTE, False)
        assert newest.taken_us == second.loaded_us >= oldest.taken_us == first.loaded_us
        assert (await store.read(lambda tx: tx.configurations.versions(device_id, Page(1, 1)))) == ([middle], 3)
        assert await store.read(lambda tx: tx.configurations.version(device_id, 2)) == middle
        assert await our_copy(store, device_id) == tuple(realms("peer"))
        for number, names in ((1, ["core"]), (2, ["core", "peer"])):
            assert await version_elements(store, device_id, number) == tuple(realms(*names))
        for missing in (
            lambda tx: tx.configurations.version(device_id, 4),
            lambda tx: tx.configurations.version_elements(device_id, 4),
            lambda tx: tx.configurations.differing_paths(device_id, 1, 4),
        ):
            with pytest.raises(NotFound, match="version 4"):
                await store.read(missing)

    async def test_equal_content_is_kept_once(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        other = (await store.add_device("edge-b", "192.0.2.2")).device_id
        many = [*numbered("realmConfig", range(450)), *numbered("sipInterface", range(5))]
        await save(store, device_id, many)
        held = await chunks(store)
        assert held > 3, "a long configuration is cut"
        turned = [Element(e.path, dict(sorted(e.attributes.items(), reverse=True))) for e in many]
        await save(store, device_id, turned)
        await save(store, other, many)
        assert await chunks(store) == held
        one, two = await versions(store, device_id)
        assert one.digest == two.digest == (await versions(store, other))[0].digest
        inserted = [many[0], Element("realmConfig", {"id": "new"}), *many[1:]]
        await save(store, device_id, inserted)
        assert await chunks(store) - held <= 3, "only the neighbourhood of an edit is kept anew"
        assert await our_copy(store, device_id) == tuple(inserted)
        swapped = await add(store, device_id, [many[1], many[0], *many[2:]], NOTE)
        assert swapped.digest not in (one.digest, (await versions(store, device_id))[1].digest), "order is content"
        differing = await store.read(lambda tx: tx.configurations.differing_paths(device_id, 1, 3))
        assert differing == ("realmConfig",)
        assert await store.read(lambda tx: tx.configurations.differing_paths(device_id, 1, 2)) == ()

    async def test_nothing_readable_is_in_the_rows(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        await save(store, device_id, realms("core", password="s3cret"))
        body, manifest = (
            await store.rows("SELECT c.body, v.manifest FROM config_chunk c CROSS JOIN config_version v")
        )[0]
        assert b"s3cret" not in body and b"core" not in body
        assert "realmConfig" in manifest and "core" not in manifest

    async def test_a_part_is_read_and_saved_alone(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        sip = numbered("sipInterface", range(3))
        new = numbered("localPolicy", range(2))
        part = await save(store, device_id, sip, NOTE, "sipInterface")
        assert part.elements == tuple(sip) == await our_copy(store, device_id)
        await save(store, device_id, [*realms("core"), *sip])
        assert await our_copy(store, device_id, "sipInterface") == tuple(sip)
        assert await our_copy(store, device_id, "localPolicy") == ()
        given = [*new, *realms("peer")]
        part = await save(store, device_id, given, NOTE, "localPolicy", "realmConfig", "steeringPool")
        assert (part.version, part.elements) == (3, tuple(given))
        assert await our_copy(store, device_id) == (*realms("peer"), *sip, *new)
        whole = await add(store, device_id, [*new, *realms("peer"), *sip], NOTE)
        assert whole.digest == (await versions(store, device_id))[1].digest, "the order of types is no content"
        await save(store, device_id, [], NOTE, "sipInterface")
        assert await our_copy(store, device_id) == (*realms("peer"), *new)
        assert await version_elements(store, device_id, 3, "sipInterface") == tuple(sip)
        with pytest.raises(HouseRuleBroken, match="part"):
            await save(store, device_id, realms("core"), NOTE, "sipInterface")
        assert len(await versions(store, device_id)) == 5

    async def test_what_met_a_write_is_whole_if_it_equals_what_was_before_or_after(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id

        async def torn() -> str:
            return "".join("t" if v.note.torn else "-" for v in reversed(await versions(store, device_id)))

        before, mixed, after = realms("core"), realms("core", "peer"), realms("peer")
        assert (await add(store, device_id, before)).note.torn, "there is nothing to compare it with"
        await save(store, device_id, before)
        assert await torn() == "--", "stored later, it is what came after"
        assert not (await add(store, device_id, before)).note.torn
        assert (await add(store, device_id, mixed)).note.torn
        assert not (await add(store, device_id, before)).note.torn, "the newest that is whole still counts"
        assert (await add(store, device_id, after)).note.torn and (await add(store, device_id, mixed)).note.torn
        assert await torn() == "---t-tt"
        await save(store, device_id, after)
        assert await torn() == "---t--t-"
        await save(store, device_id, mixed)
        assert await torn() == "---t--t--", "only those next to it"
        assert not (await store.read(lambda tx: tx.configurations.version(device_id, 4))).restorable

    async def test_old_versions_and_what_only_they_held_go(self, store: OpenStore) -> None:
        device = await store.add_device("edge-a", "192.0.2.1")
        other = (await store.add_device("edge-b", "192.0.2.2")).device_id
        device_id = device.device_id
        shared = numbered("sipInterface", range(3))
        await save(store, device_id, [*realms("core"), *shared])
        await save(store, other, [*realms("old"), *shared])
        for name in ("a", "b", "c", "d"):
            await add(store, device_id, realms(name), NOTE)
        assert await chunks(store) == 7

        async def prune(keep: int) -> int:
            return await store.write(lambda tx: tx.configurations.prune_versions(keep))

        assert (await prune(5), await chunks(store)) == (0, 7)
        assert await prune(2) == 2
        assert [v.number for v in await versions(store, device_id)] == [5, 4, 1], "our copy stays"
        assert await chunks(store) == 5
        assert await our_copy(store, device_id) == (*realms("core"), *shared)
        await store.write(lambda tx: tx.inventory.delete_function(device.nf_id))
        assert (await prune(0), await chunks(store)) == (0, 2)
        assert await our_copy(store, other) == (*realms("old"), *shared)
        assert (await add(store, other, [], NOTE)).number == 2

    async def test_drift_is_kept_until_it_is_taken_back(self, store: OpenStore) -> None:
        device_id = (await store.add_device("edge-a", "192.0.2.1")).device_id
        found = Drift(SECOND_US, 2, (("realmConfig", ("core",)), ("sipConfig", ())), "bob", 7)
        less = Drift(2 * SECOND_US, 1, (("realmConfig", ('a"b',)),))

        async def drift() -> Drift | None:
            return await store.read(lambda tx: tx.configurations.drift(device_id))

        assert await drift() is None

        async def set_drift(seen: Drift | None) -> None:
            await store.write(lambda tx: tx.configurations.set_drift(device_id, seen))

        for each in (found, less, None):
            await set_drift(each)
            await save(store, device_id, [])
            assert await drift() == each

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(elements=st.lists(ELEMENTS, max_size=8), paths=st.sets(NAMES, min_size=1))
    async def test_any_configuration_comes_back_as_it_was(
        self, store: OpenStore, elements: list[Element], paths: set[str]
    ) -> None:
        _, known = await store.read(lambda tx: tx.inventory.devices({}, Page(0, 0)))
        device_id = (await store.add_device(f"edge-{known}", f"192.0.2.{known + 1}")).device_id
        saved = await save(store, device_id, elements)
        assert await our_copy(store, device_id) == saved.elements == tuple(elements)
        assert await our_copy(store, device_id, *paths) == tuple(e for e in elements if e.path in paths)
        by_type = sorted(elements, key=lambda e: e.path)
        await save(store, device_id, by_type)
        await save(store, device_id, [e for e in by_type if e.path in paths], NOTE, *paths)
        one, other, _ = await versions(store, device_id)
        assert (one.digest, one.elements) == (other.digest, other.elements) == (one.digest, len(elements))
        assert sorted(await our_copy(store, device_id), key=lambda e: e.path) == by_type
