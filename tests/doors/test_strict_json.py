"""The strict JSON reader: what it refuses, that refusing is cheap, and what it keeps as written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensdm.core.errors import MalformedBody
from opensdm.doors import xml
from opensdm.doors.rest import strict_json

MIB = 1_048_576


def refusal(body: bytes, **limits: int) -> MalformedBody:
    with pytest.raises(MalformedBody) as caught:
        strict_json.parse(body, max_bytes=MIB, **limits)
    return caught.value


def test_a_duplicate_key_is_named_at_any_depth() -> None:
    error = refusal(b'{"a":1,"b":[{"type":"Lock","type":"Unlock"}]}')
    assert error.facts == {"field": "type"}
    assert "'type' is given twice" in error.message


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_values_json_does_not_have_are_refused(word: bytes) -> None:
    assert word.decode() in refusal(b'{"a":' + word + b"}").message


def test_fractions_stay_as_they_were_written() -> None:
    read = strict_json.parse(b'{"a":1.10,"b":1e999,"c":7}', max_bytes=MIB)
    assert read == {"a": "1.10", "b": "1e999", "c": 7}
    assert type(read["a"]) is strict_json.Literal


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [(b'{"a":}', 1, 6), (b'{\n"a":1,}', 2, 7), (b"{} {}", 1, 4), (b'{"a":"\n"}', 1, 7), (b"\xc3", 1, 1)],
)
def test_malformed_bodies_say_where(body: bytes, line: int, column: int) -> None:
    error = refusal(body)
    assert (error.facts["line"], error.facts["column"]) == (line, column)


def test_the_secret_beside_a_syntax_error_is_not_repeated() -> None:
    assert "hunter2" not in refusal(b'{"password":"hunter2\\q"}').message


def test_depth_and_size_are_limited_before_parsing() -> None:
    assert strict_json.parse(b"[" * 5 + b"]" * 5, max_bytes=MIB, max_depth=5) == [[[[[]]]]]
    assert refusal(b"[" * 6 + b"]" * 6, max_depth=5).facts["column"] == 6
    assert strict_json.parse(b'["[[[[", "]\\"[[[[{{{"]', max_bytes=MIB, max_depth=1) == ["[[[[", ']"[[[[{{{']
    assert refusal(b"[1,2,3,4]", max_nodes=3).facts["column"] == 7
    assert strict_json.parse(b'["1,2,3,4"]', max_bytes=MIB, max_nodes=1) == ["1,2,3,4"]
    with pytest.raises(xml.BodyTooLarge):
        strict_json.parse(b"[1]", max_bytes=2)


@pytest.mark.parametrize(
    "body", ['{"a":"ü"}'.encode("utf-16"), '{"a":1}'.encode("utf-16-le"), '{"a":1}'.encode("utf-32-be")]
)
def test_other_charsets_have_their_own_error(body: bytes) -> None:
    with pytest.raises(xml.WrongCharset):
        strict_json.parse(body, max_bytes=MIB)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert strict_json.parse(b'\xef\xbb\xbf{"a":1}', max_bytes=MIB) == {"a": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MIB,
        b'{"a":' * (MIB // 5),
        b"1" * MIB,
        b'"' * MIB,
        b"[" + b"[]," * 65 + b'"' + b'\\"' * (MIB // 2 - 200) + b"\\",
        b"," * MIB,
        b"[" + b"[]," * (MIB // 3 - 1) + b"[]]",
    ],
    ids=["lists", "objects", "digits", "quotes", "escapes", "commas", "siblings"],
)
def test_a_mebibyte_of_malice_is_refused(body: bytes) -> None:
    refusal(body)


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_the_declared_errors(body: bytes) -> None:
    try:
        strict_json.parse(body, max_bytes=MIB, max_depth=3, max_nodes=5)
    except MalformedBody as error:
        assert error.message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back_here_and_elsewhere(value: object) -> None:
    body = strict_json.serialize(value)
    assert strict_json.parse(body, max_bytes=MIB) == value == json.loads(body)


def test_a_lone_surrogate_does_not_stop_a_reply() -> None:
    assert strict_json.serialize({"a": "x\ud800"}) == b'{"a":"x?"}'
