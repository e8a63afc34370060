"""Two name spaces, one meaning: every name the device has comes back to itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from opensdm.core.element import Schema
from opensdm.core.errors import Rejected
from opensdm.drivers.acme_elements import Translator, build_schema
from opensdm.drivers.acme_xml import DeviceAttribute, DeviceElement, DeviceType, Envelope
from opensdm.drivers.names import ListRule, Part, TypeNames, camel, hyphens, load_definition, read_definition
from opensdm.simulator.element import template
from opensdm.simulator.schema import ElementSpec, load_schema
from opensdm.simulator.wire import element_xml, envelope, metadata_xml

DEFINITION = load_definition("acme_sbc")


def device_type(spec: ElementSpec) -> DeviceType:
    """As the simulator's own metadata says it on the wire."""
    return Envelope(envelope(metadata_xml(spec))).element_type(spec.name)


def simulator_schema() -> Schema:
    return build_schema(DEFINITION, "SCZ9.1.0", [device_type(spec) for spec in load_schema().elements.values()])


SCHEMA = simulator_schema()
SPECS = load_schema().elements


@given(st.from_regex(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*){0,4}", fullmatch=True))
def test_the_rule_reads_both_ways(name: str) -> None:
    assert hyphens(camel(name)) == name


@pytest.mark.parametrize(
    ("device", "north"),
    [
        ("realm-config", "realmConfig"),
        ("session-group", "sessionAgentGroup"),
        ("access-control", "accessControl"),
        ("sip-interface", "sipInterface"),
    ],
)
def test_published_type_names(device: str, north: str) -> None:
    assert DEFINITION.type_names(device).north == north
    assert SCHEMA.types[north].cli_name == device


@pytest.mark.parametrize(
    ("path", "device", "north"),
    [
        ("realmConfig", "identifier", "id"),
        ("realmConfig", "mm-in-realm", "mrInRealm"),
        ("networkInterface", "sub-port-id", "subPortId"),
        ("networkInterface", "dns-ip-backup1", "domNameServerB1"),
        ("networkInterface", "sec-gateway", "gatewaySec"),
        ("networkInterface/GWHeartbeat", "health-score", "healthDec"),
        ("sessionAgentGroup", "group-name", "name"),
    ],
)
def test_published_attribute_names(path: str, device: str, north: str) -> None:
    attribute = SCHEMA.types[path].attribute(north)
    assert attribute is not None and attribute.cli_name == device


def test_published_sub_element_paths() -> None:
    assert SCHEMA.types["realmConfig/networkInterfaceId"].keys == ("name", "subPortId")
    assert SCHEMA.types["sessionAgentGroup/sipDest"].attributes[0].refers_to == "sessionAgent"
    assert "networkInterface/hip-ip-list" in SCHEMA.types


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_every_name_of_the_device_is_reached_from_the_north(spec: ElementSpec) -> None:
    path = DEFINITION.type_names(spec.name).north
    assert SCHEMA.types[path].cli_name == spec.name
    rows = DEFINITION.type_names(spec.name).lists
    plain = {a.cli_name for a in SCHEMA.types[path].attributes}
    assert plain | {name for name in rows if name in spec.attributes} == set(spec.attributes)
    below = {SCHEMA.types[child.path].cli_name for child in SCHEMA.types[path].children}
    assert below >= set(spec.children)


def test_every_exception_of_the_definition_names_something_the_device_has() -> None:
    for device_name, names in DEFINITION.types.items():
        spec = SPECS[device_name]
        assert set(names.attributes) | set(names.lists) <= set(spec.attributes)
        assert set(names.children) <= set(spec.children)


def filled(spec: ElementSpec) -> DeviceElement:
    """An element with a value in every attribute and two of each sub-element, as the device would send it."""
    attributes = {}
    for name, attribute in spec.attributes.items():
        several = ("a:1.4", "b:2", "c\\,d,e", "f\\") if attribute.multiple else (f"value of {name}",)
        attributes[name] = several
    children = []
    for child in spec.children.values():
        one = filled(child)
        children += [one] if child.singleton else [one, one]
    return DeviceElement(spec.name, attributes, tuple(children))


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_a_full_element_comes_back_from_the_north_as_it_was(spec: ElementSpec) -> None:
    translator = Translator(DEFINITION, SCHEMA)
    device = filled(spec)
    assert translator.to_device(translator.to_north(device)) == device


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_a_template_of_the_simulator_comes_back(spec: ElementSpec) -> None:
    (device,) = Envelope(envelope([element_xml(template(spec))])).elements()
    translator = Translator(DEFINITION, SCHEMA)
    again = translator.to_device(translator.to_north(device))
    said = {name: values for name, values in device.attributes.items() if any(values)}
    assert {name: values for name, values in again.attributes.items() if any(values)} == said
    assert again.children == device.children


@pytest.mark.parametrize("value", ["s0p0:0.4", "s0p0:0", "s0p0", "s0.p0:12.6", ":", ""])
def test_list_values_are_rows_and_rows_are_list_values(value: str) -> None:
    rule = DEFINITION.type_names("realm-config").lists["network-interfaces"]
    assert rule.join(rule.split(value)) == value.rstrip(":")


def test_rows_take_values_apart() -> None:
    rule = DEFINITION.type_names("realm-config").lists["network-interfaces"]
    assert rule.split("M00:0.4") == {"name": "M00", "subPortId": "0", "family": "4"}


def test_only_what_changed_is_sent() -> None:
    translator = Translator(DEFINITION, SCHEMA)
    before = translator.to_north(
        DeviceElement(
            "realm-config",
            {
                "identifier": ("r1",),
                "description": ("old",),
                "mm-in-realm": ("enabled",),
                "network-interfaces": ("a:0",),
            },
            (DeviceElement("auth-attribute", {"auth-realm": ("x",), "username": ("u",)}),),
        )
    )
    described = type(before)(before.path, {**before.attributes, "description": "new"}, before.children)
    sent = translator.changed(before, described)
    assert sent == DeviceElement("realm-config", {"identifier": ("r1",), "description": ("new",)})
    rowless = type(before)(
        before.path, before.attributes, tuple(c for c in before.children if "networkInterfaceId" not in c.path)
    )
    assert translator.changed(before, rowless).attributes == {"identifier": ("r1",), "network-interfaces": ()}
    assert not translator.vanished(before, rowless)
    childless = type(before)(
        before.path, before.attributes, tuple(c for c in before.children if "authAttribute" not in c.path)
    )
    assert translator.vanished(before, childless)


def test_two_names_that_become_one_are_refused() -> None:
    attribute = DeviceAttribute("mr-in-realm", False, False, "string", False, (), (), None, None, None, None)
    twin = DeviceAttribute("mm-in-realm", False, False, "string", False, (), (), None, None, None, None)
    with pytest.raises(Rejected, match="mrInRealm"):
        build_schema(DEFINITION, "1", [DeviceType("realm-config", (attribute, twin))])


KEY = {"name": "n", "key": True}


@pytest.mark.parametrize(
    "tables",
    [
        {"platform": "x", "element": {"a": {"north": "c"}, "b": {"north": "c"}}},
        {"platform": "x", "element": {"a": {"names": {"p": "r", "q": "r"}}}},
        {"platform": "x", "element": {"a": {"list": {"l": {"north": "m", "parts": [{"name": "n"}]}}}}},
        {"platform": "x", "element": {"a": {"list": {"l": {"north": "m", "parts": [KEY, {"name": "o"}]}}}}},
    ],
)  # fmt: skip
def test_a_definition_that_contradicts_itself_does_not_load(tables: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"northbound name|a part must be a key"):
        read_definition(tables)


def test_lists_of_one_part_keep_their_whole_value() -> None:
    rule = ListRule("dest", "sipDest", (Part("name", key=True),))
    assert rule.split("sag:group.example:5060") == {"name": "sag:group.example:5060"}
    assert TypeNames("dest", "sipDest").attribute("app-protocol") == "appProtocol"


# ------------------------------------------------------------------------------- the device's XML, read


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<response><data></response>", "not well-formed"),
        (b'<!DOCTYPE response [<!ENTITY a "b">]><response><data>&a;</data></response>', "document type"),
        (b"<html/>", "where <response> belongs"),
        (b"<response>" + b"<a>" * 60 + b"</a>" * 60 + b"</response>", "nested too deep"),
    ],
)
def test_xml_that_is_not_the_devices_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        Envelope(body)


def test_entities_are_not_opened() -> None:
    body = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><response><data><a>&x;</a></data></response>'
    with pytest.raises(Rejected):
        Envelope(body)


def test_messages_are_one_printable_line() -> None:
    root = etree.fromstring(b"<response><messages><errorMessage>no\n such\t thing</errorMessage></messages></response>")
    assert Envelope(etree.tostring(root)).message == "no such thing"
