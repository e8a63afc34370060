"""Schemas made from small YANG texts, and what the driver makes of them on the wire."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from lxml import etree

from opensdm.core.difference import same
from opensdm.core.element import AttributeType, Element, ElementType, Schema
from opensdm.core.errors import InvalidRequest, Rejected, UnknownAttribute
from opensdm.core.ports import ElementEdit
from opensdm.core.validation import validate
from opensdm.drivers.netconf_edits import config_of, secrets_of, shown
from opensdm.drivers.netconf_modules import of_hello, software_version
from opensdm.drivers.netconf_nodes import Places
from opensdm.drivers.netconf_xml import BASE, Reply, parse, read_hello
from opensdm.drivers.yang import YangModule, build_schema
from opensdm.drivers.yang_types import python_pattern

SBC = """
module sbc {
  yang-version 1.1; namespace "urn:sbc"; prefix s;
  import kinds { prefix k; }
  import ietf-netconf-acm { prefix nacm; }
  include sbc-part;
  revision 2026-01-01;
  feature video;
  container sbc {
    container core {
      list realm {
        key "id";
        leaf id { type string { pattern "[a-z][a-z0-9]*"; } }
        leaf mtu { type uint16 { range "576..1500 | 9000"; } default 1500; }
        leaf offset { type int8; }
        leaf kind { type identityref { base k:kind; } }
        leaf on { type boolean; mandatory true; }
        leaf quiet { type empty; }
        leaf ratio { type decimal64 { fraction-digits 2; range "0..1"; } }
        leaf either { type union { type uint8; type enumeration { enum auto; } } }
        leaf choose { type union { type enumeration { enum a; } type enumeration { enum b; enum a; } } }
        leaf video { if-feature video; type string; }
        leaf-list dns { type string; ordered-by user; }
        leaf-list tag { type string; min-elements 1; }
        leaf admin-password { type string; }
        leaf hidden { nacm:default-deny-all; type string; }
        leaf secretary { type string; }
        leaf when-mandatory { when "../on = 'true'"; type string; mandatory true; }
        choice parent {
          case one { leaf peer { type leafref { path "/sbc/core/realm/id"; } } }
          case two { container own { leaf x { type string; mandatory true; } } }
        }
        container tls { presence "TLS is on"; leaf port { type uint16; } }
        container empty-one { list row { key "a b"; leaf b { type string; } leaf a { type uint8; } } }
        leaf seen { config false; type uint32; }
        list counter { config false; leaf n { type uint32; } }
        anydata blob;
      }
    }
    leaf mode { type enumeration { enum fast; enum slow; } default slow; }
  }
  container flag { presence "on"; }
  container state { config false; leaf x { type string; } list y { key z; leaf z { type string; } } }
  leaf lonely { type string; }
  rpc reboot { input { leaf delay { type uint32; } } }
  notification rang { leaf who { type string; } }
  uses part;
}
"""
PART = """
submodule sbc-part { yang-version 1.1; belongs-to sbc { prefix s; } revision 2026-01-01;
  grouping part { list route { key name; leaf name { type string; } } } }
"""
KINDS = """
module kinds { namespace "urn:kinds"; prefix k; revision 2025-01-01;
  identity kind; identity voice { base kind; } identity hd { base voice; } }
"""
ACM = """
module ietf-netconf-acm { namespace "urn:acm"; prefix nacm; revision 2018-02-14; extension default-deny-all; }
"""
MORE = """
module more { yang-version 1.1; namespace "urn:more"; prefix m; import sbc { prefix s; } import kinds { prefix k; }
  revision 2026-01-01;
  identity own { base k:kind; }
  augment "/s:sbc/s:core/s:realm" {
    leaf mtu { type string; } leaf extra { type string; } container box { leaf y { type int32; } }
  }
  container flag { leaf colour { type string; } }
  deviation "/s:sbc/s:core/s:realm/s:offset" { deviate not-supported; }
  deviation "/s:sbc/s:core/s:realm/s:secretary" { deviate add { default "none"; } }
}
"""


def modules(*, video: bool = False) -> list[YangModule]:
    features = frozenset({"video"} if video else ())
    return [
        YangModule("sbc", "2026-01-01", SBC, True, features),
        YangModule("sbc-part", "", PART, False),
        YangModule("kinds", "2025-01-01", KINDS, False),
        YangModule("ietf-netconf-acm", "2018-02-14", ACM, True, frozenset()),
        YangModule("more", "2026-01-01", MORE, True, frozenset()),
    ]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema("netconf", "v", modules())


def attribute(schema: Schema, name: str, path: str = "sbc.core.realm") -> AttributeType:
    found = schema.types[path].attribute(name)
    assert found is not None
    return found


# --------------------------------------------------------------------------------------------------- types


def test_lists_and_containers_with_leaves_are_the_types(schema: Schema) -> None:
    assert set(schema.types) == {
        "sbc", "sbc.core.realm", "sbc.core.realm/own", "sbc.core.realm/tls", "sbc.core.realm/empty-one.row",
        "sbc.core.realm/box", "sbc:flag", "more:flag", "route",
    }  # fmt: skip
    realm = schema.types["sbc.core.realm"]
    assert realm.keys == ("id",) and not realm.singleton
    assert {child.path for child in realm.children} == {
        p for p in schema.types if p.startswith("sbc.core.realm/")
    }  # fmt: skip
    assert schema.types["sbc"].singleton and schema.types["sbc.core.realm/tls"].singleton
    assert schema.types["sbc.core.realm/empty-one.row"].keys == ("a", "b"), "in the order of the key statement"


def test_where_they_are_is_kept(schema: Schema) -> None:
    places = {path: kind.cli_name for path, kind in schema.types.items()}
    assert places["sbc.core.realm"] == "sbc:sbc/core/realm"
    assert places["sbc.core.realm/tls"] == "tls!" and places["sbc:flag"] == "sbc:flag!"
    assert places["sbc.core.realm/empty-one.row"] == "empty-one/row"
    assert places["sbc.core.realm/box"] == "more:box"
    assert attribute(schema, "extra").cli_name == "more:extra"
    assert schema.namespaces["more"] == "urn:more" and schema.namespaces["kinds"] == "urn:kinds"


def test_names_are_qualified_only_where_two_collide(schema: Schema) -> None:
    names = [a.name for a in schema.types["sbc.core.realm"].attributes]
    assert "sbc:mtu" in names and "more:mtu" in names and "mtu" not in names and "extra" in names


def test_what_leaves_say_becomes_attributes(schema: Schema) -> None:
    mtu = attribute(schema, "sbc:mtu")
    assert (mtu.value_type, mtu.minimum, mtu.maximum, mtu.default) == ("numeric", 576, 9000, "1500")
    assert attribute(schema, "id").pattern == "[a-z][a-z0-9]*" and attribute(schema, "id").key
    assert attribute(schema, "kind").choices == ("kinds:hd", "kinds:voice", "more:own")
    assert attribute(schema, "on").choices == ("true", "false") and attribute(schema, "on").required
    assert (attribute(schema, "quiet").value_type, attribute(schema, "quiet").choices) == ("empty", ("true",))
    ratio = attribute(schema, "ratio")
    assert (ratio.value_type, ratio.minimum, ratio.maximum) == ("decimal64", None, None)
    assert attribute(schema, "either").choices == () and attribute(schema, "either").value_type == "string"
    assert attribute(schema, "choose").choices == ("a", "b")
    assert attribute(schema, "peer").refers_to == "sbc.core.realm" and not attribute(schema, "peer").required
    assert not attribute(schema, "when-mandatory").required
    assert attribute(schema, "mode", "sbc").default == "slow"


def test_lists_of_values_know_whether_their_order_matters(schema: Schema) -> None:
    dns, tag = attribute(schema, "dns"), attribute(schema, "tag")
    assert (dns.delimiter, dns.ordered, dns.required) == (",", True, False)
    assert (tag.delimiter, tag.ordered, tag.required) == (",", False, True)
    one, other = (Element("sbc.core.realm", {"id": "a", "tag": value}) for value in ("x,y", "y,x"))
    assert same(schema, one, other)
    ordered, reversed_ = (Element("sbc.core.realm", {"id": "a", "dns": value}) for value in ("x,y", "y,x"))
    assert not same(schema, ordered, reversed_)


def test_secrets_are_known_by_their_name_or_mark(schema: Schema) -> None:
    secret = {a.name for a in schema.types["sbc.core.realm"].attributes if a.value_type == "password"}
    assert secret == {"admin-password", "hidden"}


def test_deviations_and_features_count(schema: Schema) -> None:
    realm = schema.types["sbc.core.realm"]
    assert realm.attribute("offset") is None and attribute(schema, "secretary").default == "none"
    assert realm.attribute("video") is None
    assert attribute(build_schema("netconf", "v", modules(video=True)), "video").value_type == "string"


def test_an_element_is_checked_against_it(schema: Schema) -> None:
    row = Element("sbc.core.realm/empty-one.row", {"a": "1", "b": "x"})
    good = Element("sbc.core.realm", {"id": "r1", "on": "true", "tag": "x", "kind": "kinds:hd"}, (row,))
    validate(schema, good)
    for name, value in (("sbc:mtu", "99"), ("kind", "kinds:kind"), ("on", "yes"), ("id", "R1"), ("quiet", "false")):
        with pytest.raises(InvalidRequest, match=name):
            validate(schema, replace(good, attributes={**good.attributes, name: value}))


def test_modules_that_describe_nothing_are_refused() -> None:
    with pytest.raises(Rejected, match="describe no configuration"):
        build_schema("netconf", "v", [YangModule("kinds", "2025-01-01", KINDS)])
    with pytest.raises(Rejected, match="describe no configuration"):
        build_schema("netconf", "v", [YangModule("broken", "", "module broken { nonsense")])


def test_a_module_that_lacks_an_import_does_not_spoil_the_others() -> None:
    text = 'module lacking { namespace "urn:l"; prefix l; import nowhere { prefix n; } leaf x { type n:t; } }'
    schema = build_schema("netconf", "v", [*modules(), YangModule("lacking", "", text)])
    assert "sbc.core.realm" in schema.types


# ------------------------------------------------------------------------------------------------ patterns


@pytest.mark.parametrize(
    "pattern",
    [r"\p{L}+", r"\i\c*", "[a-z-[aeiou]]", "^a", "a$", "(a+)+", "(a|aa)*", "(a?b*)*", "((ab)*c)+", "(?=a)", "a" * 500,
     "([a-z]{1,20}x){0,99}", "(", "*"],
)  # fmt: skip
def test_patterns_that_python_reads_otherwise_or_never_ends_are_left_out(pattern: str) -> None:
    assert python_pattern([pattern]) is None


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[a-zA-Z0-9][a-zA-Z0-9._\-]*", "a.b-c", "-a"),
        (r"(([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2})", "10.0.0.0/8", "10.0.0/8"),
        (r"\d{4}-\d{2}", "2026-11", "26-11"),
        (r"(on|off)", "on", "onoff"),
        (r"([0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5})", "00:11:22:33:44:55", "00:11"),
        (r"[^\*].*", "a*", "*a"),
    ],
)
def test_plain_patterns_work_as_they_are(pattern: str, good: str, bad: str) -> None:
    made = python_pattern([pattern])
    assert made is not None and re.fullmatch(made, good) and not re.fullmatch(made, bad)


def test_all_patterns_of_a_type_must_fit() -> None:
    made = python_pattern(["[a-z]*", ".{2,3}", r"\p{L}"])
    assert made is not None
    assert [bool(re.fullmatch(made, text)) for text in ("ab", "abcd", "a1", "a")] == [True, False, False, False]


def test_no_accepted_pattern_takes_long() -> None:
    made = python_pattern([r"[a-z]*[a-z]*x", r"([a-z][a-z0-9]*)"])
    assert made is not None
    begun = time.monotonic()
    re.fullmatch(made, "a" * 1000 + "!")
    assert time.monotonic() - begun < 5


# ---------------------------------------------------------------------------------------------- on the wire


REPLY = f"""<rpc-reply xmlns="{BASE}" message-id="1"><data>
 <sbc xmlns="urn:sbc"><mode> fast </mode><core>
  <realm><id>r1</id><on>true</on><kind xmlns:q="urn:kinds">q:hd</kind><quiet/><tag>x</tag><tag>a,b</tag>
   <mtu>1400</mtu><mtu xmlns="urn:more">big</mtu><empty-one><row><a>1</a><b> x</b></row></empty-one><tls/>
   <box xmlns="urn:more"><y>5</y></box><seen>7</seen><unknown><id>no</id></unknown></realm>
  <realm><id>r2</id><kind xmlns="urn:sbc" xmlns:m="urn:more">m:own</kind></realm></core></sbc>
 <flag xmlns="urn:more"><colour>red</colour></flag><flag xmlns="urn:sbc"/><other xmlns="urn:x"><id>1</id></other>
 </data></rpc-reply>""".encode()
R1 = Element(
    "sbc.core.realm",
    {
        "id": "r1",
        "on": "true",
        "kind": "kinds:hd",
        "quiet": "true",
        "tag": "x,a\\,b",
        "sbc:mtu": "1400",
        "more:mtu": "big",
    },
    (
        Element("sbc.core.realm/empty-one.row", {"a": "1", "b": " x"}),
        Element("sbc.core.realm/tls"),
        Element("sbc.core.realm/box", {"y": "5"}),
    ),
)


def test_a_reply_becomes_elements_in_the_devices_order(schema: Schema) -> None:
    found = Places(schema).read(Reply(REPLY).data)
    assert found == (
        Element("sbc", {"mode": "fast"}),
        R1,
        Element("sbc.core.realm", {"id": "r2", "kind": "more:own"}),
        Element("more:flag", {"colour": "red"}),
        Element("sbc:flag"),
    )
    assert Places(schema).read(Reply(REPLY).data, ["sbc:flag"]) == (Element("sbc:flag"),)


def test_filters_name_each_container_once(schema: Schema) -> None:
    (filter_,) = Places(schema).filters(["sbc.core.realm"])
    assert etree.tostring(filter_) == b'<sbc xmlns="urn:sbc"><core><realm/></core></sbc>'
    (whole,) = Places(schema).filters(["sbc.core.realm", "sbc"])
    assert etree.tostring(whole) == b'<sbc xmlns="urn:sbc"/>'


def test_what_is_written_reads_back(schema: Schema) -> None:
    places = Places(schema)
    config = config_of(places, ElementEdit(None, R1))
    assert places.read(config) == (replace(R1, attributes={**R1.attributes}),)
    (realm,) = config.iter("{urn:sbc}realm")
    assert realm.get(f"{{{BASE}}}operation") == "create"


def test_only_what_differs_is_sent(schema: Schema) -> None:
    row = Element("sbc.core.realm/empty-one.row", {"a": "2", "b": "y"})
    attributes = {name: value for name, value in R1.attributes.items() if name != "quiet"}
    after = replace(R1, attributes={**attributes, "sbc:mtu": "1300"}, children=(row, R1.children[2]))
    text = etree.tostring(config_of(Places(schema), ElementEdit(R1, after))).decode()
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    assert text == (
        '<config><sbc><core><realm><id>r1</id><quiet nc:operation="delete"/><mtu>1300</mtu>'
        '<empty-one><row nc:operation="delete"><a>1</a><b> x</b></row><row nc:operation="create"><a>2</a><b>y</b></row>'
        '</empty-one><tls nc:operation="delete"/></realm></core></sbc></config>'
    )
    assert len(config_of(Places(schema), ElementEdit(R1, replace(R1)))) == 0


def test_a_singleton_goes_leaf_by_leaf_and_presence_as_a_whole(schema: Schema) -> None:
    text = etree.tostring(config_of(Places(schema), ElementEdit(Element("sbc", {"mode": "fast"}), None))).decode()
    assert '<mode nc:operation="delete"/></sbc>' in text and "<sbc nc:operation" not in text
    text = etree.tostring(config_of(Places(schema), ElementEdit(Element("sbc:flag"), None))).decode()
    assert 'nc:operation="delete"/></config>' in text


def test_a_list_that_loses_and_gains_comes_with_its_whole_element(schema: Schema) -> None:
    after = replace(R1, attributes={**R1.attributes, "tag": "x,c"})
    config = config_of(Places(schema), ElementEdit(R1, after))
    (realm,) = config.iter("{urn:sbc}realm")
    assert realm.get(f"{{{BASE}}}operation") == "replace" and Places(schema).read(config) == (after,)
    grown = replace(R1, attributes={**R1.attributes, "tag": R1.attributes["tag"] + ",c"})
    (realm,) = config_of(Places(schema), ElementEdit(R1, grown)).iter("{urn:sbc}realm")
    assert realm.get(f"{{{BASE}}}operation") is None and [e.text for e in realm.iter("{urn:sbc}tag")] == ["c"]


def test_a_preview_shows_no_secret_and_no_change_of_one_that_stays(schema: Schema) -> None:
    before = Element("sbc.core.realm", {"id": "r1", "hidden": "one-4711", "on": "true"})
    after = Element("sbc.core.realm", {"id": "r1", "hidden": "two-4711", "on": "false"})
    lines = "\n".join(shown(Places(schema), ElementEdit(before, after)))
    assert "4711" not in lines and "<hidden>xxxx</hidden>" in lines and "<on>false</on>" in lines
    kept = shown(Places(schema), ElementEdit(before, replace(after, attributes={**before.attributes, "on": "false"})))
    assert "hidden" not in "\n".join(kept)
    assert secrets_of(schema, ElementEdit(before, after)) == {"one-4711", "two-4711"}


def test_an_unknown_attribute_and_a_foreign_schema_are_said(schema: Schema) -> None:
    with pytest.raises(UnknownAttribute, match="colour"):
        config_of(Places(schema), ElementEdit(None, Element("sbc", {"colour": "red"})))
    with pytest.raises(Rejected, match="load it again"):
        Places(Schema("netconf", "v", {"realmConfig": ElementType("realmConfig", "realm-config", ())}))


# ----------------------------------------------------------------------------------------- what devices say


@pytest.mark.parametrize(
    "body",
    [b"", b"<a", b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", b"<a>" * 300 + b"</a>" * 300, b"\xff\xfe<", b"plain"],
)
def test_what_is_no_plain_xml_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected, match="the device's answer"):
        parse(body)


def test_errors_are_read_and_warnings_are_none() -> None:
    error = (
        "<rpc-error><error-type>protocol</error-type><error-tag>lock-denied</error-tag>"
        "<error-severity>{}</error-severity><error-path>/a</error-path><error-message> it is\n taken</error-message>"
        "<error-info><session-id>12</session-id></error-info></rpc-error>"
    )
    reply = Reply(f'<rpc-reply xmlns="{BASE}">{error.format("error")}{error.format("warning")}</rpc-reply>'.encode())
    assert len(reply.errors) == 1 and reply.words() == "it is taken at /a (lock-denied)"
    denied = reply.failed("lock-denied")
    assert denied is not None and denied.session == "12"
    with pytest.raises(Rejected, match="where a reply belongs"):
        Reply(b"<html/>")


def test_a_hello_needs_capabilities_and_a_session() -> None:
    assert read_hello(
        f'<hello xmlns="{BASE}"><capabilities><capability>a</capability></capabilities>'
        "<session-id>4</session-id></hello>".encode()
    ) == (("a",), "4")
    for body in (f'<hello xmlns="{BASE}"/>', "<hello/>"):
        with pytest.raises(Rejected, match="hello"):
            read_hello(body.encode())


def test_modules_in_a_hello_make_the_version() -> None:
    capabilities = ["urn:a?module=a&revision=2026-01-01&features=x,y", "urn:b?module=b", "urn:base", "u?module=../c"]
    one, two = of_hello(capabilities)
    assert (one.name, one.revision, set(one.features)) == ("a", "2026-01-01", {"x", "y"}) and two.revision == ""
    version = software_version(capabilities, "")
    assert re.fullmatch(r"modules [0-9a-f]{10}", version)
    assert software_version([*reversed(capabilities), "urn:other"], "") == version
    assert software_version([*capabilities, "urn:c?module=c"], "") != version
    assert software_version(capabilities, "Os 1") == f"Os 1 ({version})"
