"""The hardened XML reader and writer: what it reads, what it refuses, and that refusing is cheap."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from opensdm.core.errors import MalformedBody
from opensdm.doors import xml

MIB = 1_048_576


def read(body: bytes, **limits: int) -> xml.Node:
    return xml.parse(body, max_bytes=limits.pop("max_bytes", MIB), **limits)


def refusal(body: bytes, **limits: int) -> MalformedBody:
    with pytest.raises(MalformedBody) as caught:
        read(body, **limits)
    return caught.value


def test_reads_elements_text_lines_and_attributes() -> None:
    root = read(b'<?xml version="1.0"?>\n<a x="1">\n  <b>t &amp; <![CDATA[<u>]]></b>\n  <b/></a>')
    assert (root.tag, root.line, dict(root.attributes)) == ("a", 2, {"x": "1"})
    assert [(child.tag, child.text, child.line) for child in root] == [("b", "t & <u>", 3), ("b", "", 4)]


def test_comments_vanish_even_inside_text() -> None:
    assert read(b"<!-- <!DOCTYPE a> --><a>Lo<!-- <?pi?> -->ck</a><!-- end -->").text == "Lock"


def test_a_namespace_shows_in_the_tag_and_nil_is_known() -> None:
    root = read(b'<a xmlns="urn:x" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><b i:nil="true"/><c/></a>')
    assert root.tag == "{urn:x}a"
    assert [child.nil for child in root] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b"<!DOCTYPE a><a/>",
        b"<!DOCTYPE a [<!ELEMENT a ANY>]><a/>",
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>',
        b'<?xml version="1.0"?>\n<!-- c -->\n<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;"><!ENTITY n "&m;&m;&m;&m;">]><a>&n;</a>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/e"> %p;]><a/>',
    ],
)
def test_a_doctype_is_refused_where_it_stands(body: bytes) -> None:
    error = refusal(body)
    assert "DOCTYPE" in error.message
    assert error.facts["column"] == 1
    assert error.facts["line"] == body[: body.index(b"<!DOCTYPE")].count(b"\n") + 1


def test_the_word_doctype_as_data_is_no_doctype() -> None:
    assert read(b"<a><![CDATA[<!DOCTYPE a>]]></a>").text == "<!DOCTYPE a>"


@pytest.mark.parametrize(
    "body",
    [b"<?go now?><a/>", b"<a><?go now?></a>", b"<a/><?go now?>", b"<?xml version='1.0'?><?xml-stylesheet x?><a/>"],
)
def test_processing_instructions_are_refused(body: bytes) -> None:
    assert "processing instruction" in refusal(body).message


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        (b"", 1, 1),
        (b"hello", 1, 1),
        (b"<a>\n<b></a>", 2, 8),
        (b"<a/><b/>", 1, 5),
        (b"<a>\n  &x;</a>", 2, 6),
        (b"<a>\n  <b \xff/></a>", 2, 6),
        ("<a>\n é<b \udcff/></a>".encode("utf-8", "surrogateescape"), 2, 6),
    ],
)
def test_malformed_bodies_say_where(body: bytes, line: int, column: int) -> None:
    error = refusal(body)
    assert (error.facts["line"], error.facts["column"]) == (line, column)
    assert f"line {line}, column {column}" in error.message


@pytest.mark.parametrize("secret", ["pa&ss;word", "pa<ss>word", "pa&sss", "pa\x01ss"])
def test_errors_never_repeat_what_was_sent(secret: str) -> None:
    error = refusal(f"<session><password>{secret}</password></session>".encode())
    assert "ss" not in error.message.replace("session", "")
    assert not any("ss" in str(fact) for fact in error.facts.values())


@pytest.mark.parametrize(
    "body",
    [
        b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>',
        b"<?xml version='1.0' encoding='utf-16'?><a/>",
        b'\xef\xbb\xbf<?xml version="1.0" encoding="latin1"?><a/>',
        "<a/>".encode("utf-16"),
        "<a/>".encode("utf-16-be"),
        "<a/>".encode("utf-16-le"),
        "<a/>".encode("utf-32"),
        "<a/>".encode("utf-32-be"),
    ],
)
def test_other_charsets_have_their_own_error(body: bytes) -> None:
    with pytest.raises(xml.WrongCharset):
        read(body)


@pytest.mark.parametrize("prolog", [b"", b"\xef\xbb\xbf", b'<?xml version="1.0" encoding="utf-8"?>', xml.PROLOG])
def test_utf8_is_read_however_it_is_announced(prolog: bytes) -> None:
    assert read(prolog + "<a>ü</a>".encode()).text == "ü"


def test_too_many_bytes() -> None:
    with pytest.raises(xml.BodyTooLarge) as caught:
        read(b"<a>" + b" " * 100 + b"</a>", max_bytes=50)
    assert caught.value.facts == {"maxBytes": 50}


def test_depth_is_limited_to_the_level() -> None:
    assert read(b"<a>" * 8 + b"</a>" * 8, max_depth=8).tag == "a"
    error = refusal(b"<a>" * 9 + b"</a>" * 9, max_depth=8)
    assert (error.facts["line"], error.facts["column"]) == (1, 8 * 3 + 1)
    assert read(b"<a>" + b"<b/>" * 50 + b"</a>", max_depth=2).tag == "a"


def test_elements_are_counted_exactly_where_it_matters() -> None:
    body = b"<a>" + b"<b/>" * 9 + b"</a>"
    assert len(read(body, max_nodes=10).children) == 9
    assert refusal(body, max_nodes=9).facts["column"] == 3 + 8 * 4 + 1
    # A "<" inside a comment or a CDATA section is no element.
    assert read(b"<a><!--" + b"<" * 50 + b"--><![CDATA[" + b"<" * 50 + b"]]></a>", max_nodes=1).text == "<" * 50


def test_attributes_are_counted_and_equal_signs_in_text_are_not() -> None:
    assert read(b"<a>" + b"x='1' = " * 50 + b"</a>", max_attributes=2).tag == "a"
    assert len(read(b"<a x='\"=\"' y=\"'=>'\"/>", max_attributes=2).attributes) == 2
    assert "attributes" in refusal(b"<a x='1' y='2' z='3'/>", max_attributes=2).message


ATTACKS = {
    "deep": b"<a>" * (MIB // 3),
    "wide": b"<a>" + b"<b/>" * (MIB // 4 - 10) + b"</a>",
    "comments": b"<a>" + b"<!--" * (MIB // 4 - 10),
    "sections": b"<a>" + b"<![CDATA[" * (MIB // 9 - 10),
    "instructions": b"<a>" + b"<?x " * (MIB // 4 - 10),
    "quotes": b"<a " + b"b=\"'" * (MIB // 4 - 10),
    "open tags": b"<a " * (MIB // 3),
    "end tags": b"<a>" + b"</a" * (MIB // 3 - 10),
    "attributes": b"<a " + b"".join(b"b%d='' " % n for n in range(90_000)) + b"/>",
    "same attribute": b"<a " + b"b='' " * (MIB // 5 - 10) + b"/>",
    "namespaces": b"<a " + b"".join(b"xmlns:b%d='u' " % n for n in range(50_000)) + b"/>",
    "references": b"<a>" + b"&x;" * (MIB // 3 - 10) + b"</a>",
    "lone <": b"<" * MIB,
    "equals": b"=" * MIB,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_mebibyte_of_malice_is_refused_cheaply(attack: str) -> None:
    body = ATTACKS[attack]
    assert len(body) <= MIB
    tracemalloc.start()
    try:
        refusal(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


@given(st.binary(max_size=300))
def test_random_bytes_raise_only_the_declared_errors(body: bytes) -> None:
    try:
        read(body)
    except MalformedBody as error:
        assert error.message


MARKUP = st.sampled_from(
    [b"<a>", b"</a>", b"<b", b">", b"/>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"?>", b"<?xml ", b"&", b";",
     b"x='", b'y="', b"'", b'"', b"=", b"<!DOCTYPE", b"\xef\xbb\xbf", b"\x00", b"\xc3", b"\n", b"t", b"&#1;", b"&#65;"]
)  # fmt: skip


@given(st.lists(MARKUP, max_size=30).map(b"".join))
def test_random_markup_reads_as_lxml_reads_it_or_is_refused(body: bytes) -> None:
    try:
        node = read(body, max_depth=3, max_nodes=6, max_attributes=2)
    except MalformedBody:
        return
    plain = etree.fromstring(body, etree.XMLParser(resolve_entities=False, remove_comments=True))
    elements = list(plain.iter())
    assert shape_of(node) == shape_of_plain(plain)
    assert len(elements) <= 6
    assert sum(len(element.attrib) for element in elements) <= 2


def shape_of(node: xml.Node) -> object:
    return (node.tag, node.text, [shape_of(child) for child in node])


def shape_of_plain(element: etree._Element) -> object:
    return (element.tag, element.text or "", [shape_of_plain(child) for child in element])


TEXTS = st.text(st.characters(exclude_categories=()))
CONTENTS = st.recursive(
    TEXTS,
    lambda inner: st.lists(st.tuples(st.sampled_from(["a", "b-c", "d.e", "_f"]), inner), min_size=1),
    max_leaves=8,
)


def carried(content: xml.Content) -> xml.Content:
    if isinstance(content, str):
        return "".join(c if xml.is_carriable(c) else "\ufffd" for c in content)
    return [(name, carried(inner)) for name, inner in content]


@given(CONTENTS)
def test_what_is_written_is_read_back(content: xml.Content) -> None:
    body = xml.serialize("root", content)
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><root')
    assert as_content(read(body)) == carried(content)


def as_content(node: xml.Node) -> xml.Content:
    return [(child.tag, as_content(child)) for child in node] if node.children else node.text


def test_what_xml_cannot_carry_is_replaced() -> None:
    assert xml.fragment("a", "x\x00\x0b\ud800\ufffey\r\n\t]]>&<") == "<a>x����y&#13;\n\t]]&gt;&amp;&lt;</a>"
    assert xml.fragment("a", []) == "<a/>"


@pytest.mark.parametrize(
    ("name", "good"),
    [("a", True), ("a-b.c_1", True), ("1a", False), ("a b", False), ("a:b", False), ("a>", False), ("", False)],
)
def test_element_names(name: str, good: bool) -> None:
    assert xml.is_element_name(name) is good
