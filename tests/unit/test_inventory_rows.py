"""Rows of network functions to CSV and JSON, and back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import DEVICE_PARAMETERS
from opensdm.core.inventory_operations import FunctionRow
from opensdm.core.inventory_rows import COLUMNS, rows_from_csv, rows_from_objects, rows_to_csv, rows_to_objects
from opensdm.core.results import ImportedRow, ImportReply

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.sampled_from([t.name for t in DEVICE_PARAMETERS])
ROWS = st.lists(
    st.builds(
        FunctionRow, st.just(0), TEXT, st.none() | TEXT, TEXT, TEXT, st.dictionaries(NAMES, TEXT, max_size=4)
    ),
    max_size=4,
)  # fmt: skip


def without_numbers(rows: tuple[FunctionRow, ...]) -> list[FunctionRow]:
    return [replace(row, number=0) for row in rows]


@given(ROWS)
def test_csv_is_read_as_it_was_written(rows: list[FunctionRow]) -> None:
    """Quotes, commas, line breaks of every kind, blanks at the ends: what was in a cell comes out of it."""
    read = rows_from_csv(rows_to_csv(rows))
    assert (without_numbers(read.rows), read.faults) == (rows, ())
    numbers = [row.number for row in read.rows]
    assert numbers == sorted(set(numbers)) and all(number > 1 for number in numbers)


@given(ROWS)
def test_json_is_read_as_it_was_written(rows: list[FunctionRow]) -> None:
    read = rows_from_objects(json.loads(json.dumps(rows_to_objects(rows))))
    expected = [replace(row, parent_full_name=row.parent_full_name or "Home") for row in rows]
    assert (without_numbers(read.rows), read.faults) == (expected, ())
    assert [row.number for row in read.rows] == list(range(1, len(rows) + 1))


def test_rows_are_numbered_by_the_line_they_begin_on() -> None:
    text = (
        "\ufeffName,nfcategory,NFTYPE,primary.ip,tls.ca\r\n"
        "a,SP Edge & Core,Device,192.0.2.1,\r\n"
        "\r\n"
        'b,SP Edge & Core,Device,192.0.2.2,"line 1\nline 2"\r\n'
        "c,SP Edge & Core,Device\r\n"
        "d,SP Edge & Core,Device,192.0.2.4,,extra\r\n"
        "e,SP Edge & Core,Device,192.0.2.5,"
    )
    read = rows_from_csv(text)
    assert [(row.number, row.nf_name) for row in read.rows] == [(2, "a"), (4, "b"), (8, "e")]
    assert read.rows[1] == FunctionRow(
        4, "b", None, "SP Edge & Core", "Device", {"primary.ip": "192.0.2.2", "tls.ca": "line 1\nline 2"}
    )
    assert [(f.number, f.nf_name, f.ok, f.code) for f in read.faults] == [
        (6, "c", False, "INVALID_REQUEST"),
        (7, "d", False, "INVALID_REQUEST"),
    ]
    assert read.faults[0].message == "has 3 cells, and the heading 5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line names the columns"),
        ("\nname,nfCategory,nfType\n", "the first line names the columns"),
        ("name;nfCategory;nfType\n", "there is no column 'name;nfCategory;nfType'"),
        ("name,nfCategory,nfType,colour\n", "there is no column 'colour'"),
        ("name,nfCategory,nfType,Name\n", "'name' is there twice"),
        ("name,nfType\n", "nfCategory"),
        ('name,nfCategory,nfType\na,"b\n', "from line 2"),
        ('name,nfCategory,nfType\na,"b"c,d\n', "from line 2"),
    ],
)
def test_a_doubtful_file_is_refused_whole(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        rows_from_csv(text)


def test_json_rows_that_cannot_be_read_are_told_one_by_one() -> None:
    good = {"name": "a", "nfCategory": "SP Edge & Core", "nfType": "Device"}
    read = rows_from_objects(
        [
            {**good, "parameters": {"port": 8443, "tls.verify": False, "username": None}},
            "b",
            {**good, "colour": "red"},
            {**good, "parameters": ["x"]},
            {**good, "parameters": {"port": {"password": "s3cret"}}},
            {**good, "parameters": {"name": "z"}},
            {"name": "g", "nfType": "Device"},
        ]
    )
    assert [row.parameters for row in read.rows] == [{"port": "8443", "tls.verify": "false"}]
    assert [fault.number for fault in read.faults] == [2, 3, 4, 5, 6, 7]
    said = " ".join(fault.message or "" for fault in read.faults)
    assert "colour" in said and "has no nfCategory" in said and "s3cret" not in said
    with pytest.raises(InvalidRequest, match="one JSON list"):
        rows_from_objects({"name": "a"})


def test_places_that_are_no_rows_are_part_of_the_reply() -> None:
    read = rows_from_csv("name,nfCategory,nfType\nshort\na,b,c\n")
    reply = read.merged(ImportReply(False, 1, 0, (ImportedRow(3, "a", ok=True, nf_id=7),)))
    assert [(row.number, row.ok) for row in reply.rows] == [(2, False), (3, True)]
    assert (reply.added, reply.failed) == (1, 1)


def test_an_empty_list_is_a_heading() -> None:
    assert rows_to_csv([]) == ",".join(COLUMNS) + "\n"
    assert rows_from_csv(rows_to_csv([])).rows == ()
