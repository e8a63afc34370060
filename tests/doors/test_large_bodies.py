"""Large replies and requests: the same bytes as small ones, made where they keep nobody else waiting."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory_rows import MAX_ROWS, rows_from_csv
from opensdm.doors.rest import strict_json
from opensdm.doors.rest.large import LARGE, beside, is_large
from tests.doors.conftest import Connect
from tests.doors.test_rest_bulk import CSV, post_csv
from tests.doors.wire import listed, read
from tests.gatehouse import House


class Witness(dict[str, Any]):
    """Remembers in which threads it was looked at."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.threads: set[int] = set()

    def items(self) -> Any:
        self.threads.add(threading.get_ident())
        return super().items()


@pytest.mark.parametrize("inside", [False, True])
async def test_what_is_large_is_written_in_a_thread_and_what_is_small_is_not(inside: bool) -> None:
    for many in (LARGE - 1, LARGE):
        members = {"configElements": [{"n": n} for n in range(many)]}
        values = Witness({"version": members} if inside else members)
        written = await beside(is_large(values), strict_json.serialize, values)
        assert json.loads(written) == values
        assert (values.threads != {threading.get_ident()}) == (many == LARGE)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"a": []},
        {"a": {"b": list(range(500)), "c": {}}, "é": 'q"'},
        list(range(500)),
        [{"a": [[]] * 300}] * 300,
    ],
)
def test_json_in_pieces_is_the_json_in_one(value: Any) -> None:
    whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert strict_json.serialize(value) == whole.encode()


async def test_a_long_csv_is_read_like_a_short_one(house: House, connect: Connect) -> None:
    client = await connect("alice", "v1.4", "json")
    long = CSV + "".join(f"n{n},nowhere,SP Edge & Core,Device,192.0.2.9,ops,{'x' * 40}\n" for n in range(1000))
    assert len(long) > 64 * 1024
    rows = listed(read(await post_csv(client, long, "?dryRun=true"))["rows"])
    assert len(rows) == 1002 and [row["ok"] for row in rows[:3]] == [True, True, False]


def test_a_csv_is_read_no_further_than_it_could_be_imported() -> None:
    def lines() -> Iterator[str]:
        yield "name,nfCategory,nfType\n"
        yield from (f"n{n},c\n" for n in range(MAX_ROWS + 1))
        yield '"never closed\n'

    with pytest.raises(InvalidRequest, match=f"more than {MAX_ROWS} rows at once"):
        rows_from_csv("".join(lines()))
