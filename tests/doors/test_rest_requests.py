"""Elements as bodies name them: parents in parents, and what cannot be an element."""

from __future__ import annotations

from typing import Any

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest, MalformedBody
from opensdm.doors.rest import requests, resources
from opensdm.doors.rest.media import Medium
from opensdm.doors.rest.routing import Call
from opensdm.doors.rest.settings import RestSettings
from opensdm.doors.stream_places import StreamPlaces
from opensdm.doors.times import from_rfc3339, published, rfc3339
from opensdm.gate import Caller
from tests.gatehouse import House


def call_of(house: House, body: dict[str, Any]) -> Call:
    return Call(
        gate=house.gate,
        settings=RestSettings(),
        version=(1, 3),
        caller=Caller("rest", "192.0.2.50", "t-1"),
        path={},
        query={},
        body=body,
        shape=resources.CONFIG_ELEMENT,
        medium=Medium.JSON,
        streams=StreamPlaces(1, 1),
    )


def named(path: str, key: str, **more: Any) -> dict[str, Any]:
    return {"elementTypePath": path, "attributes": [{"name": "id", "value": key}], **more}


def test_parents_in_parents(house: House) -> None:
    """The outermost comes first, with the ones between as its children."""
    grandparent = named("a", "1")
    body = named("a/b/c", "3", parentElement=named("a/b", "2", parentElement=grandparent))
    call = call_of(house, body)
    assert requests.element(call) == Element("a/b/c", {"id": "3"})
    assert requests.parent(call) == Element("a", {"id": "1"}, (Element("a/b", {"id": "2"}),))
    assert requests.parent(call_of(house, grandparent)) is None


@pytest.mark.parametrize(
    "body",
    [
        {"elementTypePath": "  "},
        {"elementTypePath": "a", "attributes": [{"value": "1"}]},
        {"elementTypePath": "a", "attributes": [{"name": "id", "value": "1"}, {"name": "id", "value": "2"}]},
        {"elementTypePath": "a", "childrenElements": [{"attributes": []}]},
    ],
)
def test_what_is_no_element(house: House, body: dict[str, Any]) -> None:
    with pytest.raises(MalformedBody) as refused:
        requests.element(call_of(house, body))
    assert refused.value.facts["send"].startswith('{"attributes"')


def test_times() -> None:
    at_us = from_rfc3339("2026-11-23T10:02:11.250Z", "since")
    assert (rfc3339(at_us), published(at_us), at_us % 1_000_000) == (
        "2026-11-23T10:02:11Z", "2026-11-23 10:02:11", 250_000,
    )  # fmt: skip
    assert from_rfc3339("2026-11-23t12:02:11.25+02:00", "since") == at_us
    for wrong in ("2026-11-23T10:02:11", "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-23T10:02:11+25:00"):
        with pytest.raises(InvalidRequest):
            from_rfc3339(wrong, "since")
