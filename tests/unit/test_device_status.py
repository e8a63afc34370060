"""One device's state for one user; and which part of a configuration it takes to check changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from opensdm.core.device_status import Status, copied_from, status_of
from opensdm.core.element import Element
from opensdm.core.inventory import Device
from opensdm.core.references import in_order_of_reference, newly_dangling, types_concerned
from opensdm.core.staging import PendingChange
from opensdm.core.versions import Drift, settled
from tests.handlers.memory_device import agent, realm, schema

DEVICE = Device(
    1, "edge", "", 1, "edge", 1, "p", {}, assigned=True, reachable=True, status="In Sync", loaded_version=3, polled_us=1
)  # fmt: skip
KEY, OTHER = ("realm", ("core",)), ("realm", ("access",))
DRIFT = Drift(1, 1, (KEY,))


@pytest.mark.parametrize(
    ("device", "facts", "status"),
    [
        (replace(DEVICE, loaded_version=None), {"busy": True, "drift": DRIFT}, Status.NOT_LOADED),
        (replace(DEVICE, reachable=False), {"busy": True}, Status.BUSY),
        (replace(DEVICE, reachable=False), {"uncertain": True, "drift": DRIFT}, Status.UNREACHABLE),
        (DEVICE, {"uncertain": True, "drift": DRIFT}, Status.UNCERTAIN),
        (replace(DEVICE, status="Uncertain"), {"drift": DRIFT}, Status.UNCERTAIN),
        (DEVICE, {"drift": DRIFT, "staged": {KEY, OTHER}}, Status.CONFLICT),
        (DEVICE, {"drift": DRIFT, "staged": {OTHER}}, Status.CHANGED_OUTSIDE),
        (DEVICE, {"staged": {OTHER}}, Status.MODIFIED),
        (replace(DEVICE, status="Modified"), {}, Status.MODIFIED),
        (DEVICE, {}, Status.IN_SYNC),
    ],
)
def test_the_first_that_is_true_is_the_status(device: Device, facts: dict[str, object], status: Status) -> None:
    assert status_of(device, **facts) is status  # type: ignore[arg-type]


def test_where_the_copied_configuration_is() -> None:
    assert [copied_from(replace(DEVICE, last_operation=o)) for o in ("Load", "Save")] == ["running", "saved"]


def test_a_drift_is_settled_by_type() -> None:
    drift = Drift(1, 3, (KEY, OTHER, ("agent", ("a",))))
    assert settled(drift, None) is None
    left = settled(drift, ["realm"])
    assert left is not None and (left.total, left.changed) == (1, (("agent", ("a",)),))
    assert settled(left, ["agent"]) is None
    assert settled(drift, ["system"]) == drift


# ------------------------------------------------------------------------------------------- references

SCHEMA = schema("p")
STORED = (
    realm("core"), realm("access"), agent("a1", realm="core"), agent("a2", realm="gone"),
    Element("system", {"name": "edge"}),
)  # fmt: skip
CHANGES = (
    PendingChange("realm", ("core",), realm("core"), None, 1),
    PendingChange("agent", ("a1",), agent("a1", realm="core"), agent("a1", realm="new"), 1),
    PendingChange("agent", ("a3",), None, agent("a3", realm="nowhere"), 1),
    PendingChange("realm", ("new",), None, realm("new"), 1),
    PendingChange("system", (), STORED[4], Element("system", {"name": "x"}), 1),
)


@pytest.mark.parametrize("count", range(1, 6))
def test_the_types_concerned_are_enough_to_find_what_dangles(count: int) -> None:
    for changes in combinations(CHANGES, count):
        types = types_concerned(SCHEMA, changes)
        part = [e for e in STORED if e.path in types]
        assert newly_dangling(SCHEMA, part, changes) == newly_dangling(SCHEMA, STORED, changes)
    assert types_concerned(SCHEMA, CHANGES[4:]) == ("system",)
    assert types_concerned(SCHEMA, CHANGES[3:4]) == ("realm",)
    assert set(types_concerned(SCHEMA, CHANGES[:1])) == {"realm", "agent"}


def test_what_is_referred_to_comes_first_and_goes_last() -> None:
    goes = PendingChange("agent", ("a2",), STORED[3], None, 1)
    ordered = in_order_of_reference(SCHEMA, [CHANGES[2], CHANGES[0], CHANGES[3], goes])
    assert [(c.path, c.key[0], c.after is None) for c in ordered] == [
        ("agent", "a2", True), ("realm", "core", True), ("realm", "new", False), ("agent", "a3", False),
    ]  # fmt: skip
