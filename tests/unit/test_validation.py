"""What an element may say, checked against what the device says of its type; errors name the way out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import InvalidRequest, UnknownAttribute, UnknownElementType
from opensdm.core.inventory import MASKED
from opensdm.core.validation import comparable, element_type, items, joined, key_of, require_keys, validate

PORT = ElementType(
    "sipInterface/sipPort",
    "sip-port",
    (
        AttributeType("address", "address", key=True, required=True),
        AttributeType("port", "port", key=True, value_type="numeric", default="5060", minimum=1, maximum=65535),
        AttributeType("transportProtocol", "transport-protocol", choices=("UDP", "TCP"), default="UDP"),
    ),
)
INTERFACE = ElementType(
    "sipInterface",
    "sip-interface",
    (
        AttributeType("realmId", "realm-id", key=True, required=True, pattern=r"[a-z]+[0-9]*"),
        AttributeType("state", "state", value_type="enum", choices=("enabled", "disabled"), default="enabled"),
        AttributeType("natInterval", "nat-interval", value_type="numeric", minimum=0, maximum=300),
        AttributeType("carriers", "carriers", delimiter=",", choices=("one", "two", "three")),
        AttributeType("secret", "secret", value_type="password", pattern="[a-z]{8}"),
        AttributeType("gateway", "gateway", required=True),
        AttributeType("odd", "odd", pattern="(unreadable"),
    ),
    (PORT,),
)
ACCESS = ElementType(
    "accessControl",
    "access-control",
    (
        AttributeType("realmId", "realm-id", key=True, required=True),
        AttributeType("applicationProtocol", "application-protocol", key=True, choices=("", "SIP")),
        AttributeType("prefixes", "prefixes", key=True, delimiter=","),
    ),
)
SCHEMA = Schema("acme_sbc", "SCZ9", {kind.path: kind for kind in (INTERFACE, PORT, ACCESS)})
GOOD = {"realmId": "core", "gateway": "192.0.2.1"}


def interface(values: Mapping[str, str], *ports: Mapping[str, str]) -> Element:
    return Element("sipInterface", values, tuple(Element("sipInterface/sipPort", p) for p in ports))


def test_a_good_element_passes() -> None:
    everything = {**GOOD, "state": "disabled", "natInterval": "300", "carriers": "one, two", "secret": "abcdefgh"}
    validate(SCHEMA, interface(everything, {"address": "192.0.2.2", "port": "5060"}))


def test_an_unknown_type_names_the_closest() -> None:
    with pytest.raises(UnknownElementType, match="did you mean sipInterface") as caught:
        element_type(SCHEMA, "sipInterfaces")
    assert caught.value.facts["closest"][0] == "sipInterface"


def test_an_unknown_attribute_is_named_with_what_is_allowed() -> None:
    with pytest.raises(UnknownAttribute, match="no attribute 'natIntervall'; did you mean natInterval") as caught:
        validate(SCHEMA, interface({**GOOD, "natIntervall": "3"}))
    assert caught.value.facts["attribute"] == "natIntervall"
    assert "carriers" in caught.value.facts["allowed"]


def test_an_attribute_nothing_like_any_lists_all() -> None:
    with pytest.raises(UnknownAttribute, match="it has carriers, gateway, natInterval"):
        validate(SCHEMA, interface({**GOOD, "zzz": ""}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gateway": "x"}, "identified by realmId; missing: realmId"),
        ({**GOOD, "realmId": ""}, "needs a value for realmId"),
        ({"realmId": "core"}, "needs a value for gateway"),
        ({**GOOD, "gateway": ""}, "needs a value for gateway"),
        ({**GOOD, "state": "enabld"}, r"'enabld' is none of disabled, enabled \(did you mean enabled"),
        ({**GOOD, "natInterval": "301"}, r"'301' is not within 0\.\.300"),
        ({**GOOD, "natInterval": "-1"}, "not within"),
        ({**GOOD, "natInterval": "soon"}, "'soon' is not a whole number"),
        ({**GOOD, "realmId": "Core-1"}, r"'Core-1' does not match \[a-z\]"),
        ({**GOOD, "carriers": "one,four"}, "'four' is none of one, three, two"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(values: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        validate(SCHEMA, interface(values))
    assert caught.value.facts["elementTypePath"] == "sipInterface"


def test_a_secret_that_does_not_fit_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as caught:
        validate(SCHEMA, interface({**GOOD, "secret": "Hunter2"}))
    assert "Hunter2" not in caught.value.message and "secret" in caught.value.message
    validate(SCHEMA, interface({**GOOD, "secret": MASKED}))


def test_empty_optional_values_and_patterns_python_cannot_read_pass() -> None:
    validate(SCHEMA, interface({**GOOD, "state": "", "natInterval": "", "carriers": "", "odd": "anything"}))


def test_sub_elements_are_checked_and_named() -> None:
    with pytest.raises(InvalidRequest, match="sipInterface/sipPort: port: '70000' is not within"):
        validate(SCHEMA, interface(GOOD, {"address": "192.0.2.2", "port": "70000"}))
    with pytest.raises(InvalidRequest, match=r"sipPort 192\.0\.2\.2:5060 twice"):
        port = {"address": "192.0.2.2", "port": "5060"}
        validate(SCHEMA, interface(GOOD, port, {**port, "port": "05060"}))
    with pytest.raises(UnknownElementType, match="has no sub-element 'accessControl'; it has sipInterface/sipPort"):
        validate(SCHEMA, Element("sipInterface", GOOD, (Element("accessControl"),)))


def test_an_empty_key_counts_where_empty_is_one_of_its_values() -> None:
    require_keys(ACCESS, Element("accessControl", {"realmId": "a", "applicationProtocol": "", "prefixes": "x"}))
    with pytest.raises(InvalidRequest, match="missing: applicationProtocol"):
        require_keys(ACCESS, Element("accessControl", {"realmId": "a", "prefixes": "x"}))


def test_keys_compare_as_the_device_compares_them() -> None:
    one = Element("sipInterface/sipPort", {"address": "a", "port": "5060"})
    assert key_of(SCHEMA, one) == key_of(SCHEMA, Element("sipInterface/sipPort", {"address": "a", "port": "05060"}))
    assert key_of(SCHEMA, one) != key_of(SCHEMA, Element("sipInterface/sipPort", {"address": "A", "port": "5060"}))
    listed = {"realmId": "r", "applicationProtocol": "SIP"}
    turned = [key_of(SCHEMA, Element("accessControl", {**listed, "prefixes": p})) for p in ("a,b", "b, a")]
    assert turned[0] == turned[1]


@given(st.lists(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1)))
def test_lists_survive_being_one_string(values: list[str]) -> None:
    attribute = AttributeType("carriers", "carriers", delimiter=",")
    assert items(attribute, joined(",", values)) == values


def test_numbers_compare_by_value_and_text_exactly() -> None:
    number = AttributeType("port", "port", value_type="numeric")
    assert comparable(number, "007") == comparable(number, "7")
    assert comparable(number, "7a") == "7a"
    assert comparable(AttributeType("id", "id"), "007") == "007"
