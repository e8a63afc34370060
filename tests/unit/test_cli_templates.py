"""Command line templates: what is written is read back as the same, and what would not be is not written."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensdm.core.element import AttributeType, Element, ElementType
from opensdm.core.errors import Rejected
from opensdm.core.ports import ElementEdit
from opensdm.drivers.cli_definition import CliElement, cli_definitions, read_cli_definition
from opensdm.drivers.cli_edits import Command, commands_for, shown
from opensdm.drivers.cli_lines import nodes, parse_lines
from opensdm.drivers.cli_shell import cleaned
from opensdm.drivers.cli_template import TEXT, Template, Unwritable

FRR = next(d for d in cli_definitions() if d.platform == "frr")
FRR_FILE = Path(__file__).parents[2] / "src/opensdm/drivers/definitions/frr.toml"
SCHEMA = FRR.schema("8.4.4")
ANY = st.text(max_size=12)


# --------------------------------------------------------------------------------------------------- one line


@given(st.fixed_dictionaries({}, optional={"prefix": ANY, "gateway": ANY, "tag": ANY, "distance": ANY}))
def test_whatever_is_written_reads_back_or_is_refused(values: dict[str, str]) -> None:
    template = Template("ip route {prefix} {gateway}[ tag {tag}][ {distance}]", {"distance": "[0-9]+"})
    try:
        line = template.render(values)
    except Unwritable as reason:
        assert all(value not in str(reason) for value in values.values() if len(value) > 8)
        return
    assert template.parse(line) == {name: value for name, value in values.items() if value}


@given(st.from_regex(r"[a-z0-9./]{1,8}", fullmatch=True), st.integers(1, 255), st.booleans())
def test_a_line_of_fitting_values_is_written(word: str, distance: int, near: bool) -> None:
    template = Template("ip route {prefix} {gateway}[ {distance}]", {"distance": "[0-9]+"})
    values = {"prefix": word, "gateway": "192.0.2.1"} | ({} if near else {"distance": str(distance)})
    assert template.parse(template.render(values)) == values


@pytest.mark.parametrize(
    "values",
    [
        {"name": "a b", "text": "c"},  # would read as a, b c
        {"name": "a", "text": "b\nno ip routing"},
        {"name": "a", "text": "two  blanks"},
        {"name": "a", "text": ""},
        {"text": "b"},
    ],
)
def test_values_that_would_read_as_something_else_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(Unwritable):
        Template("interface {name} description {text}", {"text": TEXT}).render(values)


@pytest.mark.parametrize("text", ["a [b", "a b]", "a [b [c]]", "{x} {x}"])
def test_a_template_that_contradicts_itself_is_not_made(text: str) -> None:
    with pytest.raises(ValueError, match=r"brackets|twice"):
        Template(text, {})


def test_secrets_are_masked_in_what_is_shown() -> None:
    template = Template("user {name} password {secret}", {})
    assert template.show({"name": "a", "secret": "s3cret"}, {"secret": "xxxx"}) == "user a password xxxx"


# ------------------------------------------------------------------------------------------- whole elements


WORDS = st.text("abcxyz0189.-_", min_size=1, max_size=8)
TEXTS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
OCTET = st.integers(0, 255)
IPV4 = st.tuples(OCTET, OCTET, OCTET, OCTET).map(lambda o: ".".join(map(str, o)))
IPV6 = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda h: f"2001:{h[0]:x}::{h[1]:x}")
NAMES = st.sampled_from(["eth0", "lo", "Null0", "blackhole", "tag", "onlink", "et.7"])
VALUES = {
    "prefix": st.tuples(IPV4 | IPV6, st.integers(0, 128)).map(lambda p: f"{p[0]}/{p[1]}"),
    "address": st.tuples(IPV4 | IPV6, st.integers(0, 128)).map(lambda p: f"{p[0]}/{p[1]}"),
    "gateway": IPV4 | IPV6 | NAMES | st.tuples(IPV4 | IPV6, NAMES).map(" ".join),
    "setMetric": st.integers(-9, 99).map(str),
}


def values_of(attribute: AttributeType) -> st.SearchStrategy[str]:
    if attribute.choices:
        return st.sampled_from(attribute.choices)
    if attribute.value_type == "numeric":
        return st.integers(attribute.minimum or 0, attribute.maximum or 99).map(str)
    return VALUES.get(attribute.name, TEXTS if attribute.pattern == TEXT else WORDS)


@st.composite
def elements(draw: st.DrawFn, kind: ElementType) -> Element:
    attributes = {}
    for attribute in kind.attributes:
        if attribute.key or attribute.required or attribute.default or draw(st.booleans()):
            attributes[attribute.name] = draw(values_of(attribute))
    children: list[Element] = []
    for below in kind.children:
        unique = {tuple(e.attributes[k] for k in below.keys): e for e in draw(st.lists(elements(below), max_size=3))}
        children += unique.values()
    return Element(kind.path, attributes, tuple(children))


def configured(commands: tuple[Command, ...]) -> str:
    """The configuration that these commands make of an empty one, as the device would show it."""
    return "".join(" " * len(command.context) + command.typed.text + "\n" for command in commands)


@pytest.mark.parametrize("kind", FRR.elements, ids=lambda k: k.type.path)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_parse_after_render_is_identity(kind: CliElement, data: st.DataObject) -> None:
    element = data.draw(elements(kind.type))
    try:
        commands = commands_for(FRR, SCHEMA, ElementEdit(None, element))
    except Rejected as refusal:
        # Words that read as other words of the line, such as an interface called `tag`, or nothing to say at all.
        assert "cannot be written" in refusal.message or "says nothing" in refusal.message
        return
    assert parse_lines(FRR.elements, configured(commands)) == (element,)


@pytest.mark.parametrize("kind", FRR.elements, ids=lambda k: k.type.path)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_undoing_an_edit_types_what_was_there(kind: CliElement, data: st.DataObject) -> None:
    """Every command has its way back, and none of its lines is empty."""
    one, other = data.draw(elements(kind.type)), data.draw(elements(kind.type))
    keys = {name: one.attributes[name] for name in kind.type.keys}
    after = replace(other, attributes={**other.attributes, **keys})
    try:
        commands = commands_for(FRR, SCHEMA, ElementEdit(one, after))
    except Rejected:
        return
    assert all(command.undo for command in commands)
    assert all(line.strip() == line != "" for line in shown(FRR, commands))
    if one == after:
        assert commands == ()


def test_the_lines_of_a_change() -> None:
    entry = {"seq": "5", "action": "permit", "prefix": "192.0.2.0/24"}
    gone = Element("prefixList/entry", {**entry, "seq": "10"})
    before = Element("prefixList", {"name": "P", "description": "old"}, (Element("prefixList/entry", entry), gone))
    after = Element("prefixList", {"name": "P"}, (Element("prefixList/entry", {**entry, "le": "32"}),))
    assert shown(FRR, commands_for(FRR, SCHEMA, ElementEdit(before, after))) == (
        "no ip prefix-list P seq 10 permit 192.0.2.0/24",
        "no ip prefix-list P description",
        "ip prefix-list P seq 5 permit 192.0.2.0/24 le 32",
    )
    assert shown(FRR, commands_for(FRR, SCHEMA, ElementEdit(before, None))) == ("no ip prefix-list P",)


def test_the_lines_of_a_block_lead_in_and_out() -> None:
    new = Element("interface", {"name": "eth1", "shutdown": "enabled"})
    assert shown(FRR, commands_for(FRR, SCHEMA, ElementEdit(None, new))) == ("interface eth1", "shutdown")
    up = Element("interface", {"name": "eth1", "shutdown": "disabled"})
    assert shown(FRR, commands_for(FRR, SCHEMA, ElementEdit(new, up))) == ("interface eth1", "no shutdown")
    denied = Element("routeMap", {"name": "R", "seq": "1", "action": "deny"})
    permitted = Element("routeMap", {"name": "R", "seq": "1", "action": "permit"})
    assert shown(FRR, commands_for(FRR, SCHEMA, ElementEdit(denied, permitted))) == ("route-map R permit 1",)


def test_an_element_that_says_nothing_is_refused() -> None:
    with pytest.raises(Rejected, match="says nothing"):
        commands_for(FRR, SCHEMA, ElementEdit(None, Element("prefixList", {"name": "P"})))


# ------------------------------------------------------------------------------------------------ definitions


def test_lines_are_a_tree_by_their_indentation() -> None:
    tree = nodes("a\n b\n  c\n!\n b2\n\nd\n")
    assert [(n.text, [(b.text, [c.text for c in b.below]) for b in n.below]) for n in tree] == [
        ("a", [("b", ["c"]), ("b2", [])]), ("d", []),
    ]  # fmt: skip


def test_what_is_not_declared_is_left_out() -> None:
    text = "vrf blue\n ip route 192.0.2.0/24 Null0\nexit-vrf\nrouter bgp 1\n neighbor x\nip route 192.0.2.0/24 Null0\n"
    (route,) = parse_lines(FRR.elements, text)
    assert route.attributes["gateway"] == "Null0"


def tables(**changes: Any) -> dict[str, Any]:
    return {**tomllib.loads(FRR_FILE.read_text()), **changes}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"colour": "red"}, "nobody reads colour"),
        ({"save": None}, r"needs a table \[save\]"),
        ({"session": {"prompt": "#"}}, "prompt needs"),
        ({"element": [{"name": "x", "attribute": {"a": {}}, "line": [{"text": "x {b}"}]}]}, "no attribute is called b"),
        ({"element": [{"name": "x", "attribute": {"a": {}}, "line": [{"text": "x"}]}]}, "no line says a"),
        ({"element": [{"name": "x", "attribute": {"a": {"key": True}}, "line": [{"text": "x[ {a}]"}]}]}, "which: a"),
        ({"element": [{"name": "x", "attribute": {"a": {"kind": "?"}}}]}, "nobody reads kind"),
    ],
)
def test_a_definition_that_contradicts_itself_does_not_load(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_cli_definition(tables(**changes))


@pytest.mark.parametrize(
    ("raw", "shows"),
    [
        ("\x1b[1mname\x1b[0m#\r\n", "name#\n"),
        ("abc\x08\x08\x08xyz", "xyz"),
        ("\x1b]0;title\x07text", "text"),
        ("a\x00b\x07c", "abc"),
    ],
)
def test_what_steers_a_terminal_is_not_text(raw: str, shows: str) -> None:
    assert cleaned(raw) == shows
