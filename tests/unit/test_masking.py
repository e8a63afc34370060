"""What is shown of values nobody can judge: nothing."""

from __future__ import annotations

from opensdm.core.configuration_operations import Prefer
from opensdm.core.difference import differences, masked
from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.rebase import rebase
from opensdm.core.staging import PendingChange

KEY = AttributeType("id", "id", key=True)
NEWER = Schema("p", "2", {"realm": ElementType("realm", "realm", (KEY, AttributeType("note", "note")))})


def realm(secret: str, note: str = "n") -> Element:
    """As older software had it, whose schema knew that `passPhrase` is secret."""
    return Element("realm", {"id": "core", "note": note, "passPhrase": secret})


def test_an_attribute_that_newer_software_does_not_know_is_shown_masked() -> None:
    assert dict(masked(NEWER, realm("s3cret")).attributes) == {"id": "core", "note": "n", "passPhrase": "xxxx"}
    assert masked(NEWER, realm("")).attributes["passPhrase"] == ""


def test_its_difference_is_told_and_its_values_are_not() -> None:
    (found,) = differences(NEWER, realm("s3cret"), realm("other"))
    assert (found.attribute, found.old, found.new) == ("passPhrase", "xxxx", "xxxx")
    (gone,) = differences(NEWER, realm("s3cret"), Element("realm", {"id": "core", "note": "n"}))
    assert (gone.old, gone.new) == ("xxxx", None)


def test_a_clash_of_it_shows_neither_side() -> None:
    change = PendingChange("realm", ("core",), realm("base"), realm("mine"), 1)
    (clash,) = rebase(NEWER, [realm("theirs")], [change], Prefer.NONE).clashes
    assert (clash.base, clash.mine, clash.theirs) == ("xxxx", "xxxx", "xxxx")
