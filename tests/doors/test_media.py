"""Content negotiation: the reply's type from Accept, the request's from Content-Type, charsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensdm.doors.rest.media import (
    Medium,
    NotAcceptable,
    Unsupported,
    asked_text,
    default_medium,
    reply_medium,
    request_medium,
    text_type,
)

XML, JSON = Medium.XML, Medium.JSON
V13, V14 = (1, 3), (1, 4)


def test_defaults_by_version() -> None:
    assert [default_medium((1, minor)) for minor in range(5)] == [XML, XML, XML, XML, JSON]


@pytest.mark.parametrize("accept", [None, "", "*/*", "application/*", "*/*;q=0.1"])
def test_without_a_wish_the_reply_is_in_the_requests_type(accept: str | None) -> None:
    assert reply_medium(accept, JSON, V13) is JSON
    assert reply_medium(accept, XML, V14) is XML
    assert reply_medium(accept, None, V13) is XML
    assert reply_medium(accept, None, V14) is JSON


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        ("text/xml", XML),
        ("application/xml;q=0.5, application/json;q=0.4", XML),
        ("application/xml;q=0.5,application/json;q=0.500", XML),
        ("application/json, text/plain, */*", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", XML),
        ("application/xml;q=0, */*", JSON),
        ("*/*;q=0.2, application/json;q=0.1", XML),
        ("application/json;q=high, application/xml;q=0.1", XML),
        ("application/json;q=nan, application/xml;q=0.1", XML),
        (",,application/json,", JSON),
    ],
)
def test_accept_decides(accept: str, expected: Medium) -> None:
    assert reply_medium(accept, XML, V13) is expected


@pytest.mark.parametrize(
    "accept", ["text/html", "json", "application/json;q=0", "*/*;q=0", "image/*", "application/json;q=2", ";", "*"]
)
def test_what_cannot_be_served_is_not_acceptable(accept: str) -> None:
    answer = reply_medium(accept, JSON, V14)
    assert isinstance(answer, NotAcceptable)
    assert "application/xml" in answer.message
    assert "application/json" in answer.message


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/xml", XML),
        ("APPLICATION/JSON", JSON),
        ("text/xml; charset=UTF-8", XML),
        ('application/json;charset="utf-8"; x=y', JSON),
        ("application/json;charset=utf8", JSON),
    ],
)
def test_declared_types_are_read(content_type: str, expected: Medium) -> None:
    assert request_medium(content_type, V13) is expected


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "xml", "multipart/form-data"]
)
def test_other_types_are_unsupported(content_type: str) -> None:
    answer = request_medium(content_type, V13, b"<a/>")
    assert isinstance(answer, Unsupported)
    assert answer.charset is None
    assert content_type in answer.message


@pytest.mark.parametrize("charset", ["iso-8859-1", '"latin1"', "utf-16", "us-ascii", ""])
def test_other_charsets_are_unsupported(charset: str) -> None:
    answer = request_medium(f"application/xml; charset={charset}", V13)
    assert isinstance(answer, Unsupported)
    assert answer.charset == charset.strip('"')
    assert "UTF-8" in answer.message


@pytest.mark.parametrize(
    ("body", "expected"), [(b" <a/>", XML), (b'\xef\xbb\xbf{"a":1}', JSON), (b"", XML), (b"type=Lock", XML)]
)
def test_an_undeclared_type_is_told_by_the_first_character(body: bytes, expected: Medium) -> None:
    assert request_medium(None, V13, body) is expected


@given(st.text(max_size=60), st.sampled_from([None, XML, JSON]), st.sampled_from([V13, V14]))
def test_any_header_gets_an_answer(header: str, request: Medium | None, version: tuple[int, int]) -> None:
    assert isinstance(reply_medium(header, request, version), (Medium, NotAcceptable))
    assert isinstance(request_medium(header, version, b""), (Medium, Unsupported))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", "text/csv"),
        ("Text/CSV; charset=utf-8", "text/csv"),
        ("text/csv;q=0.9, */*;q=0.8", "text/csv"),
        ("application/json, text/csv", "text/csv"),
        ("application/json, text/csv;q=0.9", None),
        ("text/csv;q=0", None),
        ("text/csv;q=many", None),
        ("text/*", None),
        ("*/*", None),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", None),
        ("", None),
        (None, None),
    ],
)
def test_further_types_are_asked_for_by_name(accept: str | None, expected: str | None) -> None:
    assert asked_text(accept, ("text/csv",)) == expected
    assert asked_text(accept, ()) is None


def test_further_types_of_bodies() -> None:
    read = ("text/csv",)
    assert text_type("text/csv", read) == text_type('Text/CSV; header=present; charset="UTF-8"', read) == "text/csv"
    assert text_type("application/json", read) is text_type(None, read) is text_type("text/csv", ()) is None
    refused = text_type("text/csv; charset=utf-16", read)
    assert isinstance(refused, Unsupported) and "utf-16" in refused.message
