"""An element put whole in another's place: sub-elements go and come with it, a masked secret stays."""

from __future__ import annotations

import pytest

from opensdm.core.effective import replaced
from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import InvalidRequest, NotFound

LOGIN = ElementType(
    "user/login",
    "login",
    (AttributeType("name", "name", key=True), AttributeType("secret", "secret", value_type="password")),
)
USER = ElementType(
    "user",
    "user",
    (
        AttributeType("id", "id", key=True),
        AttributeType("secret", "secret", value_type="password"),
        AttributeType("note", "note"),
    ),
    (LOGIN,),
)
SCHEMA = Schema("test", "1", {"user": USER, "user/login": LOGIN})


def login(name: str, secret: str) -> Element:
    return Element("user/login", {"name": name, "secret": secret})


OLD = Element("user", {"id": "a", "secret": "s1", "note": "n"}, (login("x", "s2"), login("y", "s3")))
OTHER = Element("user", {"id": "b"})


def test_the_whole_element_takes_the_place_and_masked_secrets_stay() -> None:
    new = Element("user", {"id": "a", "secret": "xxxx"}, (login("y", "xxxx"), login("z", "s4")))
    before, after = replaced(SCHEMA, [OTHER, OLD], new, None)
    assert before == (OLD,)
    assert after == (Element("user", {"id": "a", "secret": "s1"}, (login("y", "s3"), login("z", "s4"))),)


def test_a_sub_element_is_replaced_within_its_own_parent() -> None:
    before, after = replaced(SCHEMA, [OTHER, OLD], login("y", "new"), Element("user", {"id": "a"}))
    assert before[-1] == login("y", "s3")
    assert after[0] == Element("user", dict(OLD.attributes), (login("x", "s2"), login("y", "new")))


def test_a_secret_that_is_not_there_cannot_be_kept() -> None:
    with pytest.raises(InvalidRequest, match="keeps a secret that is there"):
        replaced(SCHEMA, [OLD], Element("user", {"id": "a"}, (login("new", "xxxx"),)), None)
    with pytest.raises(NotFound):
        replaced(SCHEMA, [OLD], Element("user", {"id": "c"}), None)
