"""Staged edits: finding what they mean, folding them, seeing and comparing their effect."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensdm.core.difference import Difference, differences, masked, missing_from, same
from opensdm.core.effective import (
    added,
    apply_changes,
    fold,
    locate,
    removed,
    stale,
    updated,
    validate_change,
)
from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import AlreadyExists, InvalidRequest, NotFound, UnknownAttribute
from opensdm.core.inventory import MASKED
from opensdm.core.references import newly_dangling
from opensdm.core.staging import Edit, PendingChange
from opensdm.core.validation import key_of

RULE = ElementType("manipulation/rule/part", "part", (AttributeType("name", "name", key=True), AttributeType("x", "x")))
HEADER = ElementType("manipulation/rule", "rule", (AttributeType("name", "name", key=True),), (RULE,))
MANIPULATION = ElementType("manipulation", "manipulation", (AttributeType("name", "name", key=True),), (HEADER,))
HEARTBEAT = ElementType("realm/heartbeat", "heartbeat", (AttributeType("state", "state"),))
INTERFACE = ElementType(
    "realm/interface",
    "interface",
    (
        AttributeType("name", "name", key=True),
        AttributeType("port", "port", key=True, value_type="numeric"),
        AttributeType("family", "family"),
    ),
)
REALM = ElementType(
    "realm",
    "realm",
    (
        AttributeType("id", "id", key=True),
        AttributeType("description", "description"),
        AttributeType("parent", "parent", refers_to="realm"),
        AttributeType("limit", "limit", value_type="numeric", minimum=0, maximum=100),
        AttributeType("password", "password", value_type="password"),
        AttributeType("tags", "tags", delimiter=","),
    ),
    (INTERFACE, HEARTBEAT),
)
SYSTEM = ElementType("system", "system", (AttributeType("hostname", "hostname"),))
SCHEMA = Schema("p", "1", {k.path: k for k in (REALM, INTERFACE, HEARTBEAT, SYSTEM, MANIPULATION, HEADER, RULE)})


def realm(name: str, *children: Element, **values: str) -> Element:
    return Element("realm", {"id": name, **values}, children)


def port(name: str, number: str = "0", **values: str) -> Element:
    return Element("realm/interface", {"name": name, "port": number, **values})


def change(before: Element | None, after: Element | None, at_us: int = 1) -> PendingChange:
    return fold(SCHEMA, [], before, after, at_us)


CORE = realm("core", port("s0"), port("s1"), description="core net", password="****", limit="7")
ACCESS = realm("access", port("s0"), parent="core")
STORED = (CORE, ACCESS, Element("system", {"hostname": "edge"}))


# ------------------------------------------------------------------------------------------ finding


def test_an_element_is_found_by_its_keys_alone() -> None:
    assert locate(SCHEMA, STORED, Element("realm", {"id": "core", "description": "other"})) == (CORE,)


def test_a_singleton_is_found_without_keys() -> None:
    assert locate(SCHEMA, STORED, Element("system"))[0].attributes == {"hostname": "edge"}


def test_a_sub_element_is_found_under_its_parent() -> None:
    trail = locate(SCHEMA, STORED, port("s0", "00"), Element("realm", {"id": "access"}))
    assert trail == (ACCESS, ACCESS.children[0])


def test_a_sub_element_is_found_without_a_parent_where_only_one_fits() -> None:
    assert locate(SCHEMA, STORED, port("s1"))[0] == CORE
    with pytest.raises(InvalidRequest, match=r"there 2 times .* parentElement"):
        locate(SCHEMA, STORED, port("s0"))


def test_deep_sub_elements_are_found_by_the_whole_way_or_the_nearest_parent() -> None:
    part = Element("manipulation/rule/part", {"name": "p"})
    rule = Element("manipulation/rule", {"name": "r"}, (part,))
    other = Element("manipulation/rule", {"name": "r2"}, (part,))
    top = Element("manipulation", {"name": "m"}, (rule, other))
    way = Element("manipulation", {"name": "m"}, (Element("manipulation/rule", {"name": "r2"}),))
    assert locate(SCHEMA, [top], part, way) == (top, other, part)
    assert locate(SCHEMA, [top], part, Element("manipulation/rule", {"name": "r"})) == (top, rule, part)


@pytest.mark.parametrize(
    ("wanted", "parent", "message"),
    [
        (Element("realm", {"id": "nowhere"}), None, "no realm nowhere in this configuration"),
        (port("s9"), Element("realm", {"id": "core"}), "no realm/interface s9:0 in realm core in this"),
    ],
)
def test_what_is_not_there_is_not_found(wanted: Element, parent: Element | None, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        locate(SCHEMA, STORED, wanted, parent)


def test_all_keys_are_needed() -> None:
    with pytest.raises(InvalidRequest, match="identified by name, port; missing: port"):
        locate(SCHEMA, STORED, Element("realm/interface", {"name": "s0"}), Element("realm", {"id": "core"}))
    with pytest.raises(InvalidRequest, match="identified by id; missing: id"):
        locate(SCHEMA, STORED, port("s0"), Element("realm"))


def test_a_parent_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="system cannot be the parent of a realm/interface"):
        locate(SCHEMA, STORED, port("s0"), Element("system"))


# ------------------------------------------------------------------------------------------ editing


def test_adding_what_is_there_is_refused() -> None:
    with pytest.raises(AlreadyExists, match="realm core exists already"):
        added(SCHEMA, STORED, realm("core"), None)
    with pytest.raises(AlreadyExists, match="realm/interface s0:0 exists already in realm core"):
        added(SCHEMA, STORED, port("s0", "00"), Element("realm", {"id": "core"}))
    with pytest.raises(AlreadyExists, match="system exists already"):
        added(SCHEMA, STORED, Element("system"), None)


def test_a_sub_element_is_added_to_its_top_level_element() -> None:
    before, after = added(SCHEMA, STORED, port("s2"), Element("realm", {"id": "access"}))
    assert before == ACCESS
    assert after == realm("access", port("s0"), port("s2"), parent="core")


def test_a_sub_element_goes_in_deep_by_the_nearest_parent() -> None:
    rule = Element("manipulation/rule", {"name": "r"})
    top = Element("manipulation", {"name": "m"}, (rule,))
    new = Element("manipulation/rule/part", {"name": "p", "x": "1"})
    way = Element("manipulation", {"name": "m"}, (Element("manipulation/rule", {"name": "r"}, (new,)),))
    _, after = added(SCHEMA, [top], new, way)
    assert after.children[0].children == (new,)
    with pytest.raises(InvalidRequest, match="goes into a manipulation/rule, which parentElement does not name"):
        added(SCHEMA, [top], new, Element("manipulation", {"name": "m"}))


def test_a_sub_element_needs_a_parent_that_is_there() -> None:
    with pytest.raises(InvalidRequest, match="name the element it goes into with parentElement"):
        added(SCHEMA, STORED, port("s2"), None)
    with pytest.raises(NotFound, match="no realm nowhere in this configuration"):
        added(SCHEMA, STORED, port("s2"), Element("realm", {"id": "nowhere"}))


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    before, after = updated(SCHEMA, STORED, Element("realm", {"id": "core", "limit": "8"}), None)
    assert before == (CORE,)
    assert after == (Element("realm", {**CORE.attributes, "limit": "8"}, CORE.children),)


def test_an_update_of_a_sub_element_remakes_its_top_level_element() -> None:
    _, (top, inner) = updated(SCHEMA, STORED, port("s1", family="4"), None)
    assert inner == port("s1", family="4")
    assert top == Element("realm", CORE.attributes, (port("s0"), inner))


def test_the_mask_keeps_a_secret_and_a_new_value_replaces_it() -> None:
    _, kept = updated(SCHEMA, STORED, Element("realm", {"id": "core", "password": MASKED}), None)
    assert kept[0] == CORE
    _, changed = updated(SCHEMA, STORED, Element("realm", {"id": "core", "password": "new"}), None)
    assert changed[0].attributes["password"] == "new"
    with pytest.raises(InvalidRequest, match="a new element has none"):
        added(SCHEMA, STORED, realm("r3", password=MASKED), None)


def test_an_update_may_carry_sub_elements_that_are_there_only() -> None:
    whole = Element("realm", {"id": "core"}, (port("s0", family="6"), port("s1")))
    _, (after,) = updated(SCHEMA, STORED, whole, None)
    assert after.children == (port("s0", family="6"), port("s1"))
    with pytest.raises(InvalidRequest, match="has no sub-element realm/interface s9:0"):
        updated(SCHEMA, STORED, Element("realm", {"id": "core"}, (port("s9"),)), None)


def test_an_update_is_checked() -> None:
    with pytest.raises(InvalidRequest, match=r"not within 0\.\.100"):
        updated(SCHEMA, STORED, Element("realm", {"id": "core", "limit": "101"}), None)
    with pytest.raises(UnknownAttribute):
        updated(SCHEMA, STORED, Element("realm", {"id": "core", "limits": "1"}), None)


def test_removing_takes_children_along_and_leaves_siblings() -> None:
    assert removed(SCHEMA, STORED, realm("core"), None) == (CORE, None)
    before, after = removed(SCHEMA, STORED, port("s0"), Element("realm", {"id": "core"}))
    assert before == CORE
    assert after == Element("realm", CORE.attributes, (port("s1"),))


# ------------------------------------------------------------------------------------------ folding


def test_edits_of_one_element_are_one_change_on_the_first_base() -> None:
    first = change(CORE, Element("realm", {**CORE.attributes, "limit": "8"}, CORE.children))
    second = fold(SCHEMA, [first], first.after, Element("realm", {**CORE.attributes, "limit": "9"}, ()), 2)
    assert (second.before, second.at_us, second.edit) == (CORE, 2, Edit.MODIFIED)
    assert second.key == ("core",)


def test_an_edit_taken_back_is_no_change() -> None:
    first = change(CORE, Element("realm", {**CORE.attributes, "limit": "8"}, CORE.children))
    turned = Element("realm", dict(reversed(list(CORE.attributes.items()))), tuple(reversed(CORE.children)))
    back = fold(SCHEMA, [first], first.after, turned, 2)
    assert back.before == back.after


def test_created_then_deleted_is_no_change_and_deleted_then_created_is_modified() -> None:
    created = change(None, realm("new"))
    assert created.edit is Edit.CREATED
    gone = fold(SCHEMA, [created], created.after, None, 2)
    assert gone.before is None and gone.after is None
    deleted = change(CORE, None)
    assert deleted.edit is Edit.DELETED
    again = fold(SCHEMA, [deleted], None, realm("core"), 2)
    assert (again.before, again.edit) == (CORE, Edit.MODIFIED)


def test_the_view_keeps_places_and_puts_new_elements_last() -> None:
    changes = [change(CORE, realm("core")), change(ACCESS, None), change(None, realm("new"))]
    assert apply_changes(SCHEMA, STORED, changes) == (realm("core"), STORED[2], realm("new"))
    assert apply_changes(SCHEMA, STORED, []) == STORED


NAMES = st.sampled_from(["a", "b", "c"])
EDITS = st.lists(st.tuples(st.sampled_from(["add", "set", "drop"]), NAMES, st.sampled_from(["1", "2"])), max_size=12)


@given(EDITS)
def test_folded_changes_show_what_the_edits_did_one_by_one(edits: list[tuple[str, str, str]]) -> None:
    """Staging edit after edit, and applying them to a plain copy, come to the same configuration."""
    stored: tuple[Element, ...] = (realm("a", limit="1"), realm("b", limit="2"))
    plain = {e.attributes["id"]: e for e in stored}
    staged: dict[tuple[str, ...], PendingChange] = {}
    for kind, name, limit in edits:
        view = apply_changes(SCHEMA, stored, staged.values())
        assert {e.attributes["id"]: e for e in view} == plain
        if (name in plain) == (kind == "add"):
            continue
        pair = _edit(kind, view, name, limit)
        _edit_plain(kind, plain, name, limit)
        folded = fold(SCHEMA, staged.values(), *pair, 1)
        if folded.before == folded.after:
            staged.pop(folded.key, None)
        else:
            staged[folded.key] = folded
    assert {e.attributes["id"]: e for e in apply_changes(SCHEMA, stored, staged.values())} == plain
    assert stale(SCHEMA, stored, list(staged.values())) == []


def _edit(kind: str, view: Sequence[Element], name: str, limit: str) -> tuple[Element | None, Element | None]:
    match kind:
        case "add":
            return added(SCHEMA, view, realm(name, limit=limit), None)
        case "set":
            before, after = updated(SCHEMA, view, realm(name, limit=limit), None)
            return before[0], after[0]
        case _:
            return removed(SCHEMA, view, realm(name), None)


def _edit_plain(kind: str, plain: dict[str, Element], name: str, limit: str) -> None:
    if kind == "drop":
        del plain[name]
    else:
        plain[name] = realm(name, limit=limit)


# ---------------------------------------------------------------------------------------- comparing


def test_differences_name_attribute_old_and_new() -> None:
    new = realm("core", port("s0", family="4"), port("s2"), description="core net", password="new", limit="8")
    assert differences(SCHEMA, CORE, new) == [
        Difference("realm", ("core",), "password", MASKED, MASKED),
        Difference("realm", ("core",), "limit", "7", "8"),
        Difference("realm/interface", ("s0", "0"), "family", None, "4"),
        Difference("realm/interface", ("s1", "0"), None, "present", None),
        Difference("realm/interface", ("s2", "0"), None, None, "present"),
    ]
    assert differences(SCHEMA, None, CORE) == [Difference("realm", ("core",), None, None, "present")]


def test_order_and_spelling_of_numbers_and_lists_are_no_difference() -> None:
    one = realm("core", port("s0"), port("s1"), limit="7", tags="a,b")
    other = Element("realm", {"tags": "a, b", "limit": "07", "id": "core"}, (port("s1", "00"), port("s0")))
    assert same(SCHEMA, one, other)
    assert not same(SCHEMA, one, realm("core", port("s0"), limit="7", tags="a,b"))
    assert same(SCHEMA, None, None) and not same(SCHEMA, None, one)


def test_what_a_device_adds_by_itself_is_not_missing() -> None:
    found = realm("core", port("s0"), Element("realm/heartbeat", {"state": "off"}), description="d", limit="0")
    assert missing_from(SCHEMA, realm("core", port("s0"), description="d"), found) == []


def test_what_a_device_lost_or_kept_is_told() -> None:
    wanted = realm("core", port("s0", family="4"), description="new", password="secret")
    found = realm("core", port("s0"), port("s1"), description="old", password="****")
    assert missing_from(SCHEMA, wanted, found) == [
        Difference("realm", ("core",), "description", "new", "old"),
        Difference("realm/interface", ("s0", "0"), "family", "4", ""),
        Difference("realm/interface", ("s1", "0"), None, None, "present"),
    ]
    assert missing_from(SCHEMA, wanted, None) == [Difference("realm", ("core",), None, "present", None)]


def test_secrets_are_masked_at_every_depth() -> None:
    assert masked(SCHEMA, CORE).attributes["password"] == MASKED
    assert masked(SCHEMA, realm("r", password="")).attributes["password"] == ""


# -------------------------------------------------------------------------------------------- stale


def test_a_change_is_stale_when_its_base_changed() -> None:
    edit = change(CORE, realm("core"))
    assert stale(SCHEMA, STORED, [edit]) == []
    moved = Element("realm", {**CORE.attributes, "limit": "9"}, CORE.children)
    assert stale(SCHEMA, (moved, ACCESS), [edit]) == [Difference("realm", ("core",), "limit", "7", "9")]
    assert stale(SCHEMA, (ACCESS,), [edit]) == [Difference("realm", ("core",), None, "present", None)]
    created = change(None, realm("core"))
    assert stale(SCHEMA, STORED, [created]) == [Difference("realm", ("core",), None, None, "present")]


def test_changes_of_other_elements_make_nothing_stale() -> None:
    assert stale(SCHEMA, (CORE, realm("access", description="moved")), [change(CORE, None)]) == []


def test_only_references_that_the_changes_would_break_count() -> None:
    before = (CORE, ACCESS, realm("lone", parent="lost"))
    gone = newly_dangling(SCHEMA, before, [change(CORE, None)])
    assert [(d.key, d.attribute, d.value) for d in gone] == [(("access",), "parent", "core")]
    assert newly_dangling(SCHEMA, before, [change(None, realm("new", parent="core"))]) == []
    assert [d.value for d in newly_dangling(SCHEMA, before, [change(None, realm("new", parent="nix"))])] == ["nix"]
    assert newly_dangling(SCHEMA, before, [change(None, realm("new", parent="*"))]) == []


def test_what_was_on_the_device_before_is_not_judged() -> None:
    odd = realm("core", limit="5000", description="old")
    validate_change(SCHEMA, change(odd, realm("core", port("s1"), limit="5000", description="new")))
    validate_change(SCHEMA, change(odd, None))
    with pytest.raises(InvalidRequest, match="not within"):
        validate_change(SCHEMA, change(odd, realm("core", limit="5001")))
    with pytest.raises(InvalidRequest, match="port: 'x' is not a whole number"):
        validate_change(SCHEMA, change(odd, realm("core", port("s1", "x"), limit="5000")))
    with pytest.raises(InvalidRequest, match="not within"):
        validate_change(SCHEMA, change(None, odd))


def test_keys_of_changes_are_the_keys_of_their_elements() -> None:
    assert change(None, port("s0", "007")).key == key_of(SCHEMA, port("s0", "7"))[1]
