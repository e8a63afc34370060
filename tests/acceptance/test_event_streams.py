"""How many streams of events are served at once, over real connections: bounded, refused clearly, and free again."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests

from tests.program import ADMIN_PASSWORD, Client, Installation, Running

EVENTS = "/rest/v1.4/inventory/locks/events"
BOUNDS = {"OPENSDM_REST_STREAMS_PER_SESSION": "2", "OPENSDM_REST_STREAMS": "3"}


@pytest.fixture
def server(installed: Installation) -> Iterator[Running]:
    with installed.serve(**BOUNDS) as server:
        yield server


@contextmanager
def following(client: Client) -> Iterator[Iterator[bytes]]:
    """The lines of a stream after that of its first event; hung up in the end, with its connection."""
    answer = client.get(EVENTS, headers={"Accept": "text/event-stream"}, stream=True)
    assert answer.status_code == 200, answer.text
    with answer:
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines) == b"event: ready"
        yield lines


def asked(client: Client) -> requests.Response:
    answer = client.get(EVENTS, headers={"Accept": "text/event-stream"}, stream=True)
    if answer.status_code == 200:
        answer.close()
    return answer


def open_streams(client: Client) -> float:
    found = re.search(r"^opensdm_event_streams (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def until_open(client: Client, number: int) -> None:
    deadline = time.monotonic() + 30
    while open_streams(client) != number:
        assert time.monotonic() < deadline, open_streams(client)
        time.sleep(0.02)


def test_streams_are_bounded_for_a_session_and_in_all(installed: Installation, server: Running) -> None:
    mine, other = (installed.client(server).login("admin", ADMIN_PASSWORD) for _ in range(2))
    watch = installed.client(server)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(following(mine))
        refused = asked(mine)
        assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_STREAMS")
        assert int(refused.headers["Retry-After"]) > 0 and "2 streams" in refused.json()["message"]
        assert mine.get("/rest/v1.4/inventory/locks").status_code == 200, "everything else is served"
        with following(other):
            full = asked(other)
            assert (full.status_code, full.json()["code"]) == (503, "TOO_MANY_STREAMS")
            assert int(full.headers["Retry-After"]) > 0
            assert open_streams(watch) == 3
        until_open(watch, 2)
        stack.enter_context(following(other))
    until_open(watch, 0)
    with following(mine), following(mine):
        assert open_streams(watch) == 2
    assert "Traceback" not in server.log


def test_a_stream_that_ends_with_its_session_is_free_again(installed: Installation, server: Running) -> None:
    mine, watch = installed.client(server).login("admin", ADMIN_PASSWORD), installed.client(server)
    with following(mine) as lines:
        assert mine.post("/rest/v1.4/admin/logout").status_code in (200, 204)
        assert b"event: error" in list(lines)
        until_open(watch, 0)
    assert asked(mine).status_code == 401, "and nobody without a session takes a place"
    assert open_streams(watch) == 0
