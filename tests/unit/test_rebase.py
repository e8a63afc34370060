"""Staged changes on a new base: what merges by itself, what clashes, and what may never get lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensdm.core.configuration_operations import Prefer
from opensdm.core.difference import Difference, differences, same
from opensdm.core.effective import apply_changes, fold
from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.inventory import MASKED
from opensdm.core.rebase import Clash, Rebased, rebase
from opensdm.core.staging import PendingChange
from opensdm.core.validation import key_of

PORT = ElementType("realm/port", "port", (AttributeType("name", "name", key=True), AttributeType("speed", "speed")))
TIMER = ElementType("realm/timer", "timer", (AttributeType("state", "state"),))
REALM = ElementType(
    "realm",
    "realm",
    (
        AttributeType("id", "id", key=True),
        AttributeType("description", "description"),
        AttributeType("limit", "limit", value_type="numeric"),
        AttributeType("tags", "tags", delimiter=","),
        AttributeType("password", "password", value_type="password"),
    ),
    (PORT, TIMER),
)
SCHEMA = Schema("p", "1", {kind.path: kind for kind in (REALM, PORT, TIMER)})


def realm(name: str = "core", *children: Element, **values: str) -> Element:
    return Element("realm", {"id": name, **values}, children)


def port(name: str, speed: str = "10") -> Element:
    return Element("realm/port", {"name": name, "speed": speed})


def staged(before: Element | None, after: Element | None, at_us: int = 7) -> PendingChange:
    return fold(SCHEMA, [], before, after, at_us)


def onto(theirs: Element | None, change: PendingChange, prefer: Prefer = Prefer.NONE) -> Rebased:
    return rebase(SCHEMA, () if theirs is None else (theirs,), [change], prefer)


# ------------------------------------------------------------------------------------------- merging


def test_each_attribute_goes_with_whoever_changed_it() -> None:
    base = realm(description="old", limit="1", tags="a,b")
    done = onto(realm(description="old", limit="2", tags="a,b"), staged(base, realm(description="new", limit="1")))
    (change,) = done.changes
    assert change.before == realm(description="old", limit="2", tags="a,b")
    assert change.after == realm(description="new", limit="2")
    assert (change.at_us, done.clashes, done.dropped) == (7, (), ())


def test_values_are_compared_as_devices_compare_them() -> None:
    done = onto(realm(limit="07"), staged(realm(limit="7"), realm(limit="9")))
    assert done.clashes == () and done.changes[0].after == realm(limit="9")
    assert onto(realm(limit="09"), staged(realm(limit="7"), realm(limit="9"))).dropped


def test_both_changed_one_attribute() -> None:
    base, mine, theirs = (realm(description=d, limit="1") for d in ("old", "mine", "theirs"))
    clash = Clash("realm", ("core",), "description", "old", "mine", "theirs")
    for prefer, kept in ((Prefer.NONE, mine), (Prefer.MINE, mine), (Prefer.THEIRS, None)):
        done = onto(theirs, staged(base, mine), prefer)
        assert done.clashes == (clash,)
        assert [c.after for c in done.changes] == ([] if kept is None else [kept])
        assert len(done.dropped) == (kept is None)


def test_lists_are_one_value() -> None:
    done = onto(realm(tags="a,b,c"), staged(realm(tags="a,b"), realm(tags="b")))
    assert done.clashes == (Clash("realm", ("core",), "tags", "a,b", "b", "a,b,c"),)


def test_secrets_in_a_clash_are_masked() -> None:
    done = onto(realm(password="theirs-pw"), staged(realm(password="old-pw"), realm(password="my-pw")))
    assert done.clashes == (Clash("realm", ("core",), "password", MASKED, MASKED, MASKED),)
    assert done.changes[0].after == realm(password="my-pw")
    appeared = onto(realm(password="theirs-pw"), staged(realm(), realm(password="my-pw")))
    assert appeared.clashes == (Clash("realm", ("core",), "password", None, MASKED, MASKED),)


def test_sub_elements_are_told_apart_by_their_keys() -> None:
    base = realm("core", port("a"), port("b"), port("c"))
    mine = realm("core", port("a", "100"), port("b"), port("mine"))
    theirs = realm("core", port("b", "40"), port("a"), port("c"), port("theirs"))
    done = onto(theirs, staged(base, mine))
    assert done.clashes == ()
    assert done.changes[0].after == realm("core", port("b", "40"), port("a", "100"), port("theirs"), port("mine"))


def test_a_singleton_is_merged_like_any_other() -> None:
    base, timer = realm(), Element("realm/timer", {"state": "on"})
    done = onto(realm(limit="3"), staged(base, realm("core", timer)))
    assert done.changes[0].after == realm("core", timer, limit="3")


@pytest.mark.parametrize(
    ("mine", "theirs", "clash"),
    [
        (None, realm(limit="2"), Clash("realm", ("core",), None, "present", None, "present")),
        (realm(limit="2"), None, Clash("realm", ("core",), None, "present", "present", None)),
    ],
)
def test_deleted_here_and_changed_there(mine: Element | None, theirs: Element | None, clash: Clash) -> None:
    change = staged(realm(limit="1"), mine)
    assert onto(theirs, change).clashes == onto(theirs, change, Prefer.THEIRS).clashes == (clash,)
    (kept,) = onto(theirs, change, Prefer.MINE).changes
    assert (kept.before, kept.after) == (theirs, mine)
    assert onto(theirs, change, Prefer.THEIRS).changes == ()


def test_a_sub_element_deleted_here_and_changed_there() -> None:
    change = staged(realm("core", port("a")), realm())
    clash = Clash("realm/port", ("a",), None, "present", None, "present")
    assert onto(realm("core", port("a", "40")), change).clashes == (clash,)


def test_both_deleted_is_done_already() -> None:
    done = onto(None, staged(realm(), None))
    assert (done.changes, done.clashes, len(done.dropped)) == ((), (), 1)
    assert (done.dropped[0].before, done.dropped[0].after) == (None, None)


def test_both_created_the_same_element() -> None:
    change = staged(None, realm(description="mine", limit="1"))
    done = onto(realm(description="theirs", limit="1", tags="x"), change, Prefer.MINE)
    assert done.clashes == (Clash("realm", ("core",), "description", None, "mine", "theirs"),)
    assert done.changes[0].after == realm(description="mine", limit="1", tags="x")


# ------------------------------------------------------------------------------------------- always

LIGHT = settings(max_examples=60, deadline=None)
VALUES = st.sampled_from(("", "1", "2", "3"))
ATTRIBUTES = st.dictionaries(st.sampled_from(("description", "limit", "tags", "password")), VALUES)
PORTS = st.lists(st.builds(port, st.sampled_from("abc"), VALUES), max_size=3, unique_by=lambda e: e.attributes["name"])
NAMES = ("one", "two", "three")


@st.composite
def element(draw: st.DrawFn, name: str) -> Element:
    return realm(name, *draw(PORTS), **draw(ATTRIBUTES))


@st.composite
def configuration(draw: st.DrawFn) -> dict[str, Element]:
    return {name: draw(element(name)) for name in NAMES if draw(st.booleans())}


def changes_between(old: Mapping[str, Element], new: Mapping[str, Element]) -> list[PendingChange]:
    pairs = [(old.get(name), new.get(name)) for name in NAMES]
    return [staged(a, b) for a, b in pairs if not same(SCHEMA, a, b)]


def applied(elements: Mapping[str, Element], changes: Sequence[PendingChange]) -> dict[str, Element]:
    found = apply_changes(SCHEMA, tuple(elements.values()), changes)
    return {key_of(SCHEMA, e)[1][0]: e for e in found}


def said(difference: Difference) -> tuple[str, str | None, str]:
    """An attribute that is not there reads like an empty one."""
    return difference.path, difference.attribute, difference.new or ""


def alike(one: Mapping[str, Element], other: Mapping[str, Element]) -> bool:
    return all(same(SCHEMA, one.get(name), other.get(name)) for name in NAMES)


@LIGHT
@given(configuration(), configuration(), st.sampled_from(Prefer))
def test_an_unchanged_base_changes_nothing(base: dict[str, Element], mine: dict[str, Element], prefer: Prefer) -> None:
    changes = changes_between(base, mine)
    assert rebase(SCHEMA, base.values(), changes, prefer) == Rebased(tuple(changes), ())


@LIGHT
@given(configuration(), configuration(), configuration(), st.sampled_from((Prefer.MINE, Prefer.THEIRS)))
def test_a_second_time_changes_nothing(
    base: dict[str, Element], mine: dict[str, Element], theirs: dict[str, Element], prefer: Prefer
) -> None:
    once = rebase(SCHEMA, theirs.values(), changes_between(base, mine), prefer)
    assert rebase(SCHEMA, theirs.values(), once.changes, prefer) == Rebased(once.changes, ())


@LIGHT
@given(configuration(), configuration(), configuration())
def test_what_i_changed_is_mine_where_i_am_preferred(
    base: dict[str, Element], mine: dict[str, Element], theirs: dict[str, Element]
) -> None:
    done = rebase(SCHEMA, theirs.values(), changes_between(base, mine), Prefer.MINE)
    result = applied(theirs, done.changes)
    for name in NAMES:
        for found in differences(SCHEMA, base.get(name), mine.get(name)):
            if found.attribute is None and found.new is None and found.path == "realm":
                assert name not in result
            elif found.attribute is not None and found.path == "realm":
                assert said(found) in map(said, differences(SCHEMA, base.get(name), result[name]))


@LIGHT
@given(configuration(), configuration(), configuration())
def test_without_a_clash_the_order_of_two_users_does_not_matter(
    base: dict[str, Element], mine: dict[str, Element], theirs: dict[str, Element]
) -> None:
    """Edits that do not overlap both survive, whoever comes second."""
    ours, others = changes_between(base, mine), changes_between(base, theirs)
    second = rebase(SCHEMA, theirs.values(), ours, Prefer.NONE)
    first = rebase(SCHEMA, mine.values(), others, Prefer.NONE)
    assert len(second.clashes) == len(first.clashes)
    if not second.clashes:
        assert alike(applied(theirs, second.changes), applied(mine, first.changes))


@LIGHT
@given(configuration(), configuration(), configuration())
def test_where_they_are_preferred_none_of_their_edits_is_undone(
    base: dict[str, Element], mine: dict[str, Element], theirs: dict[str, Element]
) -> None:
    done = rebase(SCHEMA, theirs.values(), changes_between(base, mine), Prefer.THEIRS)
    result = applied(theirs, done.changes)
    for name in NAMES:
        for found in differences(SCHEMA, base.get(name), theirs.get(name)):
            if found.attribute is not None and found.path == "realm":
                assert said(found) in map(said, differences(SCHEMA, base.get(name), result[name]))
