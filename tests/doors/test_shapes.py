"""Every declared shape, read and written: round trips, the published examples, and each kind of bad body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opensdm.core.errors import MalformedBody
from opensdm.doors import xml
from opensdm.doors.rest import extensions, fields, paging, resources
from opensdm.doors.rest.media import Medium, Version
from opensdm.doors.rest.shapes import Shape

XML, JSON = Medium.XML, Medium.JSON
V13, V14 = (1, 3), (1, 4)

SHAPES: dict[str, Shape] = {
    name: value
    for module in (resources, extensions, paging)
    for name, value in vars(module).items()
    if isinstance(value, Shape)
}
REQUESTS = {name: shape for name, shape in SHAPES.items() if shape.sample is not None}

# ------------------------------------------------------------------------------------- round trips

TEXT = st.text(st.characters(exclude_categories=["Cs"]).filter(xml.is_carriable), max_size=12)
SEEN = TEXT.filter(lambda text: bool(text.strip()))
INTEGER = st.integers(-(2**63), 2**63 - 1)


def values_of(shape: Shape, depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Values of a shape, with every subset of its fields; lists and objects are never empty (see below)."""
    members = {field.name: values_for(field, depth) for field in shape.fields if depth or not nests(field)}
    some = st.fixed_dictionaries({}, optional=members)
    return some.filter(bool)


def nests(field: fields.Field) -> bool:
    return isinstance(field, (fields.Child, fields.ListOf))


def values_for(field: fields.Field, depth: int) -> st.SearchStrategy[Any]:
    match field:
        case fields.Text():
            return TEXT
        case fields.Int():
            return INTEGER
        case fields.Bool():
            return st.booleans()
        case fields.Texts():
            return st.lists(SEEN, min_size=1, max_size=3)
        case fields.Child():
            return st.deferred(lambda: values_of(field.shape, depth - 1))
        case fields.ListOf():
            return st.lists(st.deferred(lambda: values_of(field.shape, depth - 1)), min_size=1, max_size=3)
        case _:
            raise AssertionError(field)


def published(shape: Shape, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values without what version 1.4 added."""
    kept: dict[str, Any] = {}
    for field in shape.fields:
        if field.own or field.name not in values:
            continue
        value = values[field.name]
        if isinstance(field, fields.Child):
            value = published(field.shape, value)
        elif isinstance(field, fields.ListOf):
            value = [published(field.shape, item) for item in value]
        kept[field.name] = value
    return kept


def free_of_requirements(shape: Shape) -> Shape:
    return Shape(shape.name, *shape.fields, json_type=shape.json_type, open=shape.open)


@pytest.mark.parametrize("name", SHAPES)
@given(data=st.data())
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_back(name: str, data: st.DataObject) -> None:
    shape = free_of_requirements(SHAPES[name])
    values = data.draw(values_of(shape))
    for lists in ("flat", "nested"):
        body = shape.write(values, XML, version=V14, lists=lists)
        assert shape.read(body, XML, version=V14) == (values, ())
        body = shape.write(values, JSON, version=V14, lists=lists)
        assert shape.read(body, JSON, version=V14) == (values, ())
        rooted = b'{"%s":%s}' % (shape.name.encode(), body)
        assert shape.read(rooted, JSON, version=V14) == (values, ())


@pytest.mark.parametrize("name", SHAPES)
@given(data=st.data())
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
def test_published_versions_carry_published_fields_only(name: str, data: st.DataObject) -> None:
    shape = SHAPES[name]
    values = data.draw(values_of(shape))
    for medium in Medium:
        expected = shape.write(published(shape, values), medium, version=V13)
        assert shape.write(values, medium, version=V13) == expected


@pytest.mark.parametrize("name", SHAPES)
def test_no_item_has_a_field_that_reads_as_its_nested_wrapper(name: str) -> None:
    for field in SHAPES[name].fields:
        if isinstance(field, fields.ListOf) and field.nested is not None:
            assert field.nested not in {name for inner in field.shape.fields for name in inner.names()}


@pytest.mark.parametrize("name", SHAPES)
def test_every_name_on_the_wire_is_an_xml_name(name: str) -> None:
    shape = SHAPES[name]
    assert all(xml.is_element_name(word) for field in shape.fields for word in field.names())
    assert xml.is_element_name(shape.name)


# ------------------------------------------------------------------------------------- bugs of ours


@pytest.mark.parametrize(
    ("shape", "values", "field"),
    [
        (resources.DEVICE_GROUP, {"name": 5}, "name"),
        (resources.DEVICE_GROUP, {"isHidden": "false"}, "isHidden"),
        (resources.SESSION, {"idleTimeout": "0"}, "idleTimeout"),
        (resources.SESSION, {"idleTimeout": True}, "idleTimeout"),
        (resources.DEVICES, {"devices": {"id": "ID1"}}, "devices"),
        (resources.VALID_LISTS, {"valueList": [1]}, "valueList"),
    ],
)
@pytest.mark.parametrize("medium", Medium)
def test_a_reply_that_does_not_fit_its_shape_is_a_loud_bug(
    shape: Shape, values: dict[str, Any], field: str, medium: Medium
) -> None:
    with pytest.raises(TypeError, match=field):
        shape.write(values, medium)


def test_a_shape_cannot_declare_a_name_twice() -> None:
    with pytest.raises(TypeError, match="name twice"):
        Shape("x", fields.Text("name"), fields.Int("name"))


# -------------------------------------------------------------------------------------- bad bodies


def refusal(shape: Shape, body: str | bytes, medium: Medium, version: Version = V13, **limits: int) -> MalformedBody:
    with pytest.raises(MalformedBody) as caught:
        shape.read(body.encode() if isinstance(body, str) else body, medium, version=version, **limits)
    return caught.value


LOCK_XML = "<deviceAction><type>Lock</type></deviceAction>"
LOCK_JSON = '{"type":"Lock"}'


@pytest.mark.parametrize(
    "body",
    ["", " \r\n", "<deviceAction/>", "<deviceAction><type/></deviceAction>", "<deviceAction><x/></deviceAction>"],
)
def test_a_missing_xml_body_is_told_the_body_to_send(body: str) -> None:
    error = refusal(resources.DEVICE_ACTION, body, XML)
    assert LOCK_XML in error.message
    assert error.facts["send"] == LOCK_XML


@pytest.mark.parametrize("body", ["", "  ", "{}", "[]", '"Lock"', "null", '{"type":null}', '{"x":1}', '{"type":""}'])
def test_a_missing_json_body_is_told_the_body_to_send(body: str) -> None:
    error = refusal(resources.DEVICE_ACTION, body, JSON)
    assert LOCK_JSON in error.message
    assert error.facts["send"] == LOCK_JSON


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("medium", Medium)
def test_the_body_an_error_shows_is_accepted(name: str, medium: Medium) -> None:
    shape = REQUESTS[name]
    sent = refusal(shape, "", medium).facts["send"]
    assert shape.read(sent.encode(), medium, version=V13) == (shape.sample, ())


def test_one_root_may_ask_for_different_bodies() -> None:
    assert "SaveActivateConfig" in refusal(resources.PUSH_ACTION, "", JSON).message
    assert (
        refusal(resources.MOVED_NF, "<nfConfig><name>x</name></nfConfig>", XML).facts["field"] == "parentGroupFullName"
    )


def test_a_wrong_root_is_told_the_right_one() -> None:
    error = refusal(resources.DEVICE_ACTION, "\n<deviceGroupAction><type>Lock</type></deviceGroupAction>", XML)
    assert "'deviceGroupAction'" in error.message
    assert "expected 'deviceAction'" in error.message
    assert LOCK_XML in error.message
    assert (error.facts["expected"], error.facts["line"]) == ("deviceAction", 2)
    foreign = refusal(resources.DEVICE_ACTION, '<deviceAction xmlns="urn:x"><type>Lock</type></deviceAction>', XML)
    assert "'{urn:x}deviceAction'" in foreign.message


@pytest.mark.parametrize(
    ("shape", "body", "field", "expected"),
    [
        (resources.DEVICE_ACTION, "<deviceAction><type>Lock</type><type>Unlock</type></deviceAction>", "type", "twice"),
        (resources.DEVICE_ACTION, "<deviceAction><type><b/></type></deviceAction>", "type", "text"),
        (resources.DEVICE_ACTION, "<deviceAction>Lock</deviceAction>", "deviceAction", "elements"),
        (resources.DEVICE_ACTION, '{"type":{"a":1}}', "type", "a string"),
        (resources.DEVICE_ACTION, '{"type":["Lock"]}', "type", "a string"),
        (resources.DEVICE_ACTION, '{"type":5}', "type", "a string"),
        (resources.DEVICE_ACTION, '{"type":5.5}', "type", "a string"),
        (resources.DEVICE_ACTION, '{"type":"a\\u0000"}', "type", "control characters"),
        (resources.DEVICE_ACTION, '{"type":"a\\ud800"}', "type", "control characters"),
        (resources.DEVICE_ACTION, '{"type":"Lock","epoch":1.5}', "epoch", "an integer"),
        (resources.DEVICE_ACTION, '{"type":"Lock","epoch":true}', "epoch", "an integer"),
        (resources.DEVICE_ACTION, '{"type":"Lock","epoch":"ten"}', "epoch", "an integer"),
        (resources.DEVICE_ACTION, '{"type":"Lock","epoch":9223372036854775808}', "epoch", "an integer"),
        (
            resources.DEVICE_ACTION,
            "<deviceAction><type>Lock</type><epoch>1_0</epoch></deviceAction>",
            "epoch",
            "integer",
        ),
        (resources.DEVICE_GROUP, '{"isHidden":"maybe"}', "isHidden", "true or false"),
        (resources.DEVICE_GROUP, '{"isHidden":1}', "isHidden", "true or false"),
        (resources.NF_CONFIG, '{"name":"a","nfType":"Device"}', "nfType", "an object with name"),
        (resources.NF_CONFIG, "<nfConfig><nfType>Device</nfType></nfConfig>", "nfType", "elements (name)"),
        (resources.NF_CONFIG, '{"parameters":[{"name":"a"},{"name":["b"]}]}', "parameters[1].name", "a string"),
        (resources.NF_CONFIG, '{"parameters":[null]}', "parameters[0]", "an object"),
        (resources.NF_CONFIG, '{"parameters":"a"}', "parameters[0]", "an object"),
    ],
)
def test_a_wrong_type_names_the_field_and_what_is_expected(shape: Shape, body: str, field: str, expected: str) -> None:
    error = refusal(shape, body, XML if body.startswith("<") else JSON, V14)
    assert error.facts["field"] == field
    assert field in error.message
    assert expected in error.message
    assert expected in error.facts["expected"]


def test_a_value_is_never_repeated_in_an_error() -> None:
    for body in ('{"userName":"u","password":["hunter2"]}', '{"userName":{"hunter2":1},"password":"hunter2"}'):
        error = refusal(resources.LOGIN, body, JSON)
        assert "hunter2" not in error.message
        assert "hunter2" not in str(error.facts)


def test_a_duplicate_json_key_is_named() -> None:
    assert refusal(resources.DEVICE_ACTION, '{"type":"Lock","type":"Lock"}', JSON).facts["field"] == "type"


def test_unknown_fields_are_ignored_and_reported() -> None:
    body = b"<nfConfig><name>a</name><colour>red</colour><nfType><name>Device</name><size/></nfType></nfConfig>"
    read = resources.NF_CONFIG.read(body, XML, version=V13)
    assert read == ({"name": "a", "nfType": {"name": "Device"}}, ("colour", "nfType.size"))
    read = resources.NF_CONFIG.read(b'{"name":"a","parameters":[{"name":"b"},{"x":1}]}', JSON, version=V13)
    assert read.unknown == ("parameters[1].x",)
    read = resources.DEVICE_ACTION.read(b'{"deviceAction":{"type":"Lock"},"extra":1}', JSON, version=V13)
    assert read == ({"type": "Lock"}, ("extra",))
    many = json.dumps({"type": "Lock"} | {f"x{n}": n for n in range(100)}).encode()
    assert len(resources.DEVICE_ACTION.read(many, JSON).unknown) == 20


def test_fields_of_our_version_are_unknown_to_the_published_ones() -> None:
    body = b"<deviceAction><type>Lock</type><reason>works</reason><epoch> 7 </epoch></deviceAction>"
    assert resources.DEVICE_ACTION.read(body, XML, version=V13) == ({"type": "Lock"}, ("reason", "epoch"))
    assert resources.DEVICE_ACTION.read(body, XML, version=V14) == ({"type": "Lock", "reason": "works", "epoch": 7}, ())


def test_nil_and_null_are_absent() -> None:
    body = (
        b'<deviceGroup xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><name>a</name>'
        b'<parentGroupFullName xsi:nil="true"/></deviceGroup>'
    )
    assert resources.CHANGED_DEVICE_GROUP.read(body, XML).values == {"name": "a"}
    read = resources.CHANGED_DEVICE_GROUP.read(b'{"name":"a","parentGroupFullName":null,"parameters":null}', JSON)
    assert read.values == {"name": "a"}


def test_values_of_device_attributes_may_be_json_scalars() -> None:
    values = ",".join(f'{{"name":"a","value":{value}}}' for value in ("5060", "true", "1.10"))
    body = f'{{"elementTypePath":"p","attributes":[{values}]}}'
    attributes = resources.CONFIG_ELEMENT.read(body.encode(), JSON).values["attributes"]
    assert [attribute["value"] for attribute in attributes] == ["5060", "true", "1.10"]


def test_a_collection_reads_its_single_item_and_its_root() -> None:
    one = {"devices": [{"id": "ID1"}]}
    for body in ('{"devices":{"id":"ID1"}}', '{"devices":{"devices":{"id":"ID1"}}}', '{"device":[{"id":"ID1"}]}'):
        assert resources.DEVICES.read(body.encode(), JSON).values == one
    for text in (
        "<devices><devices><id>ID1</id></devices></devices>",
        "<devices><device><id>ID1</id></device></devices>",
        "<devices><devices><device><id>ID1</id></device></devices></devices>",
    ):
        assert resources.DEVICES.read(text.encode(), XML).values == one


def test_charset_and_size_have_their_own_errors() -> None:
    assert isinstance(refusal(resources.DEVICE_ACTION, LOCK_JSON.encode("utf-16"), JSON), xml.WrongCharset)
    assert isinstance(refusal(resources.DEVICE_ACTION, LOCK_XML.encode("utf-16"), XML), xml.WrongCharset)
    assert isinstance(refusal(resources.DEVICE_ACTION, LOCK_XML, XML, max_bytes=10), xml.BodyTooLarge)
    assert isinstance(refusal(resources.DEVICE_ACTION, LOCK_JSON, JSON, max_bytes=10), xml.BodyTooLarge)


def test_deep_configuration_is_refused_in_both_media() -> None:
    opening, closing = "<childrenElements>", "</childrenElements>"
    deep = f"<configElement>{opening * 80}{closing * 80}</configElement>"
    assert "nested deeper" in refusal(resources.CONFIG_ELEMENT, deep, XML).message
    deep = '{"childrenElements":' * 80 + "[]" + "}" * 80
    assert "nested deeper" in refusal(resources.CONFIG_ELEMENT, deep, JSON).message


# -------------------------------------------------------------------------------------------- fuzz


@given(
    st.sampled_from(sorted(REQUESTS)), st.sampled_from(Medium), st.sampled_from([V13, V14]),
    st.binary(max_size=120), st.data(),
)  # fmt: skip
def test_random_bytes_raise_only_the_declared_errors(
    name: str, medium: Medium, version: Version, noise: bytes, data: st.DataObject
) -> None:
    sample = REQUESTS[name].example(medium).encode()
    start = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(start, len(sample)))
    for body in (noise, sample[:start] + noise + sample[end:], sample[:start] + sample[end:]):
        try:
            REQUESTS[name].read(body, medium, version=version)
        except MalformedBody as error:
            assert error.message


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "name", "value", "attributes", "attribute", "parameters", "nfType", "deviceAction", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(REQUESTS)), JSON_VALUES)
def test_any_json_is_read_or_refused_and_what_is_read_can_be_written(name: str, value: Any) -> None:
    shape = REQUESTS[name]
    try:
        read = shape.read(json.dumps(value).encode(), JSON)
    except MalformedBody:
        return
    for medium in Medium:
        assert shape.write(read.values, medium)
