"""Which control stands for an attribute, and what comes back from a form: without a browser."""

from __future__ import annotations

import pytest

from opensdm.core.element import AttributeType, Element, ElementType
from opensdm.core.errors import InvalidRequest
from opensdm.core.task import Progress
from opensdm.doors.web.controls import Kind, changed_values, controls, drawn, given_values
from opensdm.doors.web.places import Place, place_of
from opensdm.doors.web.pushing import steps

TYPE = ElementType(
    "realm",
    "realm",
    (
        AttributeType("id", "id", key=True, required=True),
        AttributeType("state", "state", choices=("enabled", "disabled"), default="enabled"),
        AttributeType("trust", "trust", choices=("enabled", "disabled")),
        AttributeType("mode", "mode", choices=("a", "b", "c"), default="a"),
        AttributeType("limit", "limit", value_type="numeric", minimum=0, maximum=9),
        AttributeType("peers", "peers", delimiter=",", refers_to="realm"),
        AttributeType("codecs", "codecs", delimiter=",", choices=("g711", "g722"), ordered=False),
        AttributeType("secret", "secret", value_type="password"),
        AttributeType("text", "text"),
    ),
)
SHOWN = Element("realm", {"id": "core", "peers": "x,y", "limit": "07", "secret": "xxxx", "text": "t", "trust": ""})


def form(**values: str) -> dict[str, list[str]]:
    fields = controls(TYPE, SHOWN, {"peers": ("x", "y")}, new=False)
    sent = {field.name: [field.value] for field in fields if not field.fixed}
    return {**sent, "was": [drawn(fields)], **{f"v:{name}": [value] for name, value in values.items()}}


def test_each_type_of_attribute_has_its_control() -> None:
    shown = {c.attribute.name: c for c in controls(TYPE, SHOWN, {"peers": ("x", "y")}, new=False)}
    assert {name: c.kind for name, c in shown.items()} == {
        "id": Kind.TEXT, "state": Kind.SWITCH, "trust": Kind.SELECT, "mode": Kind.SELECT, "limit": Kind.NUMBER,
        "peers": Kind.LINES, "codecs": Kind.BOXES, "secret": Kind.SECRET, "text": Kind.TEXT,
    }  # fmt: skip
    assert shown["id"].fixed and shown["state"].value == "enabled"
    assert (shown["peers"].values, shown["peers"].offered) == (("x", "y"), ("x", "y"))
    assert shown["trust"].choices == ("", "enabled", "disabled")


def test_what_was_not_touched_is_not_sent() -> None:
    assert changed_values(TYPE, form()) == {}
    assert changed_values(TYPE, form(limit="7", peers="x\r\n y \r\n")) == {}
    assert changed_values(TYPE, form(id="other")) == {}


def test_what_was_changed_is_sent_as_the_gate_takes_it() -> None:
    sent = form(limit="8", peers="y\r\nz,1\r\n", secret=" new ", text="")
    sent["v:state"] = ["disabled"]
    sent["v:codecs"] = ["", "g711", "g722"]
    assert changed_values(TYPE, sent) == {
        "state": "disabled", "limit": "8", "peers": "y,z\\,1", "codecs": "g711,g722", "secret": " new ", "text": "",
    }  # fmt: skip


def test_a_switch_that_is_on_sends_both_and_the_last_counts() -> None:
    sent = {"v:id": ["new"], "v:state": ["disabled", "enabled"], "v:mode": ["b"], "v:text": [""]}
    assert given_values(TYPE, sent) == {"id": "new", "mode": "b"}
    assert given_values(TYPE, {**sent, "v:state": ["disabled"]})["state"] == "disabled"


@pytest.mark.parametrize("was", ["", "[]", "{", '{"limit": 7}'])
def test_a_form_that_is_not_whole_is_refused(was: str) -> None:
    with pytest.raises(InvalidRequest, match="load the page again"):
        changed_values(TYPE, {**form(text="new"), "was": [was]})


def test_a_place_comes_back_as_it_went_out() -> None:
    place = Place((("realm", ("a:b/c", "é")), ("realm/port", ("0", ""))))
    assert place_of(place.text) == place
    assert place.above == Place((("realm", ("a:b/c", "é")),)) and place.name == "port 0:"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[[]]", "[[1]]", '["realm"]', "[" * 100_000, '[["a"]' + ',["a"]' * 40 + "]"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no place of an element"):
        place_of(text)


def test_steps_are_told_as_they_began_and_a_stage_may_come_again() -> None:
    happened = [
        Progress(1, 1_000_000, "create", "BEGUN"),
        Progress(2, 1_500_000, "create", "BEGUN", "", 20, 50),
        Progress(3, 2_000_000, "create", "SUCCESS"),
        Progress(4, 2_000_000, "integrity_check", "BEGUN", "editing"),
        Progress(5, 2_500_000, "integrity_check", "SUCCESS", "editing"),
        Progress(6, 3_000_000, "integrity_check", "BEGUN", "running"),
    ]
    told = [(step.title, step.state, step.note, step.seconds, step.done) for step in steps(happened)]
    assert told == [
        ("Write the changes", "SUCCESS", "", 1.0, 20),
        ("Read back and compare", "SUCCESS", "editing", 0.5, None),
        ("Read back and compare", "BEGUN", "running", None, None),
    ]
