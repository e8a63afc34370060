"""What a push to an SBC sends, and how that is shown: whatever a secret looks like, it is not in there."""

from __future__ import annotations

import pytest

from opensdm.core.element import Element
from opensdm.core.ports import ElementEdit
from opensdm.drivers import acme_edits
from opensdm.drivers.acme_elements import Translator, build_schema
from opensdm.drivers.acme_xml import DeviceAttribute, DeviceType
from opensdm.drivers.names import load_definition

DEFINITION = load_definition("acme_sbc")


def _attribute(
    name: str, value_type: str = "string", *, key: bool = False, default: str | None = None
) -> DeviceAttribute:  # fmt: skip
    values = () if default is None else (default,)
    return DeviceAttribute(name, key, False, value_type, False, values, (), None, None, None, None)


AGENT = DeviceType(
    "local-thing",
    (
        _attribute("name", key=True),
        _attribute("note"),
        _attribute("pass-phrase", "password"),
        _attribute("other-pass", "password"),
        _attribute("state", default="enabled"),
    ),
)


def shown(before: Element | None, after: Element | None) -> str:
    schema = build_schema(DEFINITION, "9", [AGENT])
    return "\n".join(acme_edits.shown(Translator(DEFINITION, schema), schema, ElementEdit(before, after)))


def thing(**values: str) -> Element:
    return Element("localThing", {"name": "a1", **values})


@pytest.mark.parametrize("secret", ["p&ss<1>word", "two  blanks", "line\nbreak", "a", "ä€"])
def test_no_secret_is_shown_however_it_is_written(secret: str) -> None:
    made = shown(None, thing(passPhrase=secret))
    changed = shown(thing(passPhrase="old", note="n"), thing(passPhrase=secret, note="n"))
    for text in (made, changed):
        assert "<value>xxxx</value>" in text
        assert secret not in text.replace("name", "").replace("value", "").replace("pass", "") or len(secret) == 1
        for leaked in ("p&amp;ss", "two", "break", "&#228;"):
            assert leaked not in text
    assert made == shown(None, thing(passPhrase="entirely different"))


def test_an_empty_secret_spoils_nothing_and_an_unchanged_one_is_not_sent() -> None:
    text = shown(thing(passPhrase="s3cret", otherPass="", note="x"), thing(passPhrase="s3cret", otherPass="", note="y"))
    assert "<value>y</value>" in text and "xxxx" not in text and "pass-phrase" not in text


@pytest.mark.parametrize("left_out", ["note", "passPhrase"])
def test_an_element_that_is_staged_anew_keeps_nothing_of_the_old_one(left_out: str) -> None:
    """Deleted and added again in one push: a change would leave what the new one does not say as it was."""
    before = {"note": "old", "passPhrase": "s3cret"}
    after = {name: value for name, value in before.items() if name != left_out}
    methods = [line.split(" ")[0] for line in shown(thing(**before), thing(**after)).splitlines() if "/" in line[:12]]
    assert methods == ["DELETE", "POST"]


def test_what_has_its_default_needs_no_new_element() -> None:
    text = shown(thing(state="enabled", note="old"), thing(note="new"))
    assert text.startswith("PUT ") and "\nPOST" not in text
