"""Results of the core as wire bodies, in XML and JSON; and what the published versions leave out."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import msgspec
import pytest
from lxml import etree

from opensdm.core.difference import Difference
from opensdm.core.element import AttributeType, Element, ElementType
from opensdm.core.errors import RebaseConflict, UntrustedDevice
from opensdm.core.inventory import Device
from opensdm.core.operations import PushAction
from opensdm.core.ports import Capabilities, DeviceFacts
from opensdm.core.rebase import Clash
from opensdm.core.results import (
    DeviceShown,
    Finding,
    Held,
    ImportedRow,
    ImportReply,
    ProbeReport,
    PushPreview,
    PushReply,
    RebaseReply,
    SyncReport,
    TaskShown,
    TypeShown,
)
from opensdm.core.staging import ChangeSet, PendingChange
from opensdm.core.task import Progress, Task, TaskState
from opensdm.core.versions import Drift, Source, Version, VersionNote
from opensdm.doors.rest import (
    bulk,
    bulk_shapes,
    errors,
    extensions,
    history_replies,
    history_shapes,
    probe,
    provisioning_replies,
    provisioning_shapes,
    replies,
    resources,
    schema,
)
from opensdm.doors.rest.media import Medium
from opensdm.doors.rest.shapes import Shape

V13, V14 = (1, 3), (1, 4)
AT_US = 1_763_892_131_000_000
CHANGE = PendingChange(
    "realmConfig", ("r1",), Element("realmConfig", {"id": "r1", "description": "old"}),
    Element("realmConfig", {"id": "r1", "description": "new"}), AT_US,
)  # fmt: skip
DIFFERENCE = Difference("realmConfig", ("r1",), "description", "old", "new")
PRESENT = Difference("systemConfig", (), None, None, "present")
CLASH = Clash("realmConfig", ("r1",), "description", "old", "new", "other")
VERSION = Version(
    7, 3, AT_US, VersionNote(Source.PUSH, "alice", "req-1", "SCZ910", "window 4711"), "d1gest", 12, current=True
)
TASK = Task("T9", "PushChanges", 7, "edge-a", 4, "alice", AT_US, TaskState.RUNNING)


def both(shape: Shape, values: dict[str, Any], version: tuple[int, int] = V14) -> Any:
    """The body as JSON, once XML was seen to carry the same leaves in the same order."""
    as_json = json.loads(shape.write(values, Medium.JSON, version=version))
    if shape.json_type is not None:
        assert as_json.pop("type") == shape.json_type
    root = etree.fromstring(shape.write(values, Medium.XML, version=version))
    assert root.tag == shape.name
    assert [str(text) for text in root.itertext()] == [_word(leaf) for leaf in _leaves(as_json) if leaf != ""]
    return as_json


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list) else [value]


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_element_types() -> None:
    child = ElementType(
        "realmConfig/networkInterfaceId", "network-interface", (AttributeType("name", "name", key=True),)
    )
    attribute = AttributeType(
        "mode", "mode", choices=("a", "b"), minimum=3, pattern="[ab]", refers_to="x", delimiter=","
    )
    realm = ElementType(
        "realmConfig", "realm-config", (AttributeType("id", "identifier", key=True), attribute), (child,)
    )
    assert both(resources.ELEMENT_TYPE, schema.element_type(realm)) == {
        "elementTypePath": "realmConfig", "name": "realmConfig", "cliName": "realm-config", "keys": ["id"],
        "singleton": False,
    }  # fmt: skip
    body = both(resources.ELEMENT_METADATA, schema.element_metadata(TypeShown("acme_sbc", "SCZ910", realm)))
    assert body["subElement"] == [{"elementTypePath": "realmConfig/networkInterfaceId", "multiple": True}]
    assert (body["platform"], body["softwareVersion"], body["singleton"]) == ("acme_sbc", "SCZ910", False)
    assert body["attributeMetadata"][0] == {
        "cliName": "identifier", "key": True, "name": "id", "required": False, "valueType": "string"
    }  # fmt: skip
    assert both(resources.ATTRIBUTE_METADATA, schema.attribute_metadata(attribute, ("r1", "r2"))) == {
        "cliName": "mode", "delimiter": ",", "enumeratedValues": ["a", "b"], "key": False, "name": "mode",
        "referredElementType": "x", "referredValues": ["r1", "r2"], "regExpPattern": ["[ab]"], "required": False,
        "validNumericRange": [{"min": 3}], "valueType": "string",
    }  # fmt: skip
    published = both(resources.ELEMENT_METADATA, schema.element_metadata(TypeShown("p", "v", realm)), V13)
    assert list(published) == ["attributeMetadata", "subElement"]


def test_staged_changes() -> None:
    secret = replace(DIFFERENCE, attribute="password", old="xxxx", new="xxxx")
    before, after = ({"id": "r1", "description": d, "password": "xxxx"} for d in ("old", "new"))
    change = replace(CHANGE, before=Element("realmConfig", before), after=Element("realmConfig", after))
    (wire,) = provisioning_replies.configuration_changes([change], [DIFFERENCE, secret, PRESENT])
    body = both(resources.CONFIGURATION_CHANGES, {"changedConfigElements": [wire], "diff": "text"})
    assert body["diff"] == "text"
    assert body["changedConfigElements"][0]["attributes"] == [
        {"name": "description", "oldValue": "old", "newValue": "new"},
        {"name": "password", "oldValue": "xxxx", "newValue": "xxxx"},
    ]
    published = both(resources.CONFIGURATION_CHANGES, {"changedConfigElements": [wire], "diff": "text"}, V13)
    assert published == {
        "changedConfigElements": [{"name": "r1", "operation": "modified", "timestamp": "2025-11-23 10:02:11"}]
    }


def test_previews_and_the_way_out_of_stale_changes() -> None:
    shown = PushPreview(False, (CHANGE,), (DIFFERENCE,), (PRESENT,), ("PUT realm-config r1",), "STALE", "because")
    body = both(provisioning_shapes.PUSH_PREVIEW, provisioning_replies.push_preview(shown, "a diff"))
    assert (body["ready"], body["code"], body["message"], body["diff"]) == (False, "STALE", "because", "a diff")
    assert body["differences"] == [
        {"elementTypePath": "realmConfig", "key": ["r1"], "attribute": "description", "old": "old", "new": "new"}
    ]
    assert body["outside"] == [{"elementTypePath": "systemConfig", "new": "present"}]
    assert body["sends"] == ["PUT realm-config r1"] and body["changes"][0]["operation"] == "modified"

    report = SyncReport("Conflict", (PRESENT,), 900, (DIFFERENCE,), (CLASH,), "both changed it")
    body = both(provisioning_shapes.SYNC_REPORT, provisioning_replies.sync_report(report))
    assert (body["state"], body["outsideTotal"], len(body["outside"]), len(body["staged"])) == ("Conflict", 900, 1, 1)
    conflict = {
        "elementTypePath": "realmConfig", "key": ["r1"], "attribute": "description", "base": "old", "mine": "new",
        "theirs": "other",
    }  # fmt: skip
    assert body["conflicts"] == [conflict]

    reply = RebaseReply((CHANGE,), (CLASH,), 2)
    body = both(provisioning_shapes.REBASE_RESULT, provisioning_replies.rebase_result(reply, ""))
    assert (body["dropped"], body["resolved"], len(body["changes"])) == (2, [conflict], 1)
    assert "diff" not in body

    body = both(provisioning_shapes.CHANGE_SET, provisioning_replies.change_set(ChangeSet("worker-1", 3, AT_US, AT_US)))
    assert body == {
        "name": "worker-1", "changes": 3, "first": "2025-11-23T10:02:11Z", "last": "2025-11-23T10:02:11Z"
    }  # fmt: skip


def test_facts_of_errors() -> None:
    """Typed facts of the core stand in the one error body, in both forms."""
    untrusted = UntrustedDevice("x", presented="SHA256:new", expected="SHA256:old", presentedKey=None)
    body = both(extensions.ERROR, {"code": untrusted.code, "message": "x", **errors._facts(untrusted.facts)})
    assert body == {"code": "UNTRUSTED_DEVICE", "message": "x", "presented": "SHA256:new", "expected": "SHA256:old"}
    clashing = RebaseConflict("x", conflicts=(CLASH,), total=1)
    body = both(extensions.ERROR, {"code": clashing.code, **errors._facts(clashing.facts)})
    assert (body["conflicts"][0]["theirs"], body["conflicts"][0]["key"], body["total"]) == ("other", ["r1"], 1)


def test_what_a_device_holds_after_a_push() -> None:
    held = (Held("realmConfig", ("r1",), "old"), Held("systemConfig", (), "unknown"))
    failed = PushReply(PushAction.SAVE, error_code="REJECTED", error_message="no", holds=held)
    body = both(resources.SAVE_ACTIVATE_RESULT, provisioning_replies.save_activate_result(failed))
    assert body["errorMessage"] == "REJECTED: no"
    assert body["holds"] == [
        {"elementTypePath": "realmConfig", "key": ["r1"], "state": "old"},
        {"elementTypePath": "systemConfig", "state": "unknown"},
    ]
    published = both(resources.SAVE_ACTIVATE_RESULT, provisioning_replies.save_activate_result(failed), V13)
    assert "holds" not in published


def test_drift_of_a_managed_device() -> None:
    device = Device(7, "edge-a", "192.0.2.7", 9, "edge-a", 9, "acme_sbc", {}, assigned=True, status="In Sync")
    drift = Drift(AT_US, 40, (("realmConfig", ("r1",)), ("systemConfig", ())), "alice", 12)
    wire = replies.managed_device(DeviceShown(device, status="Changed Outside", drift=drift))
    body = both(resources.MANAGED_DEVICE, wire)
    assert body["status"] == "Changed Outside"
    assert body["drift"] == {
        "foundAt": "2025-11-23T10:02:11Z", "total": 40, "lockedBy": "alice", "version": 12,
        "elements": [{"elementTypePath": "realmConfig", "key": ["r1"]}, {"elementTypePath": "systemConfig"}],
    }  # fmt: skip
    assert "drift" not in json.loads(resources.MANAGED_DEVICE.write(wire, Medium.JSON, version=V13))
    assert replies.managed_device(DeviceShown(device))["status"] == "In Sync"


def test_versions() -> None:
    body = both(history_shapes.VERSION, history_replies.version(VERSION))
    assert body == {
        "number": 3, "taken": "2025-11-23T10:02:11Z", "source": "push", "userName": "alice", "requestId": "req-1",
        "softwareVersion": "SCZ910", "comment": "window 4711", "torn": False, "restorable": True, "current": True,
        "digest": "d1gest", "elementCount": 12,
    }  # fmt: skip
    torn = replace(VERSION, note=replace(VERSION.note, torn=True, comment=""))
    body = history_replies.version(torn)
    assert (body["torn"], body["restorable"], body["comment"]) == (True, False, None)


@pytest.mark.parametrize("kept", ["as it was", "as it is stored"])
def test_tasks(kept: str) -> None:
    """The result of a finished push reads as the push itself would have been answered."""
    reply = PushReply(PushAction.SAVE, "SUCCESS", "T9", save="SUCCESS", holds=(Held("a", ("k",), "new"),))
    data: dict[str, Any] = asdict(reply)
    if kept == "as it is stored":
        data = msgspec.json.decode(msgspec.json.encode(data))
    done = replace(TASK, state=TaskState.SUCCEEDED, ended_us=AT_US, result=data)
    steps = (Progress(1, AT_US, "lock", "BEGUN"), Progress(2, AT_US, "create", "SUCCESS", "all of them", 3, 3))
    body = both(history_shapes.TASK, history_replies.task_shown(TaskShown(done, steps)))
    assert body["saveActivateResult"] == json.loads(
        resources.SAVE_ACTIVATE_RESULT.write(provisioning_replies.save_activate_result(reply), Medium.JSON)
    )
    assert (body["id"], body["state"], body["deviceId"], body["cancelAsked"]) == ("T9", "SUCCESS", "ID7", False)
    assert [step["id"] for step in body["progress"]] == [1, 2]
    assert (body["progress"][1]["done"], "note" in body["progress"][0]) == (3, False)
    assert provisioning_replies.stored_result({"other": 1}) is provisioning_replies.stored_result(None) is None


def test_imports_and_probes() -> None:
    rows = (
        ImportedRow(2, "edge-a", True, 9, (7,)),
        ImportedRow(3, "edge-b", False, code="ALREADY_EXISTS", message="there is one"),
    )
    body = both(bulk_shapes.IMPORT_RESULT, bulk.import_result(ImportReply(True, 1, 1, rows)))
    assert body == {
        "dryRun": True, "added": 1, "failed": 1, "rows": [
            {"number": 2, "name": "edge-a", "ok": True, "nfId": "ID9", "deviceIds": ["ID7"]},
            {"number": 3, "name": "edge-b", "ok": False, "code": "ALREADY_EXISTS", "message": "there is one"},
        ],
    }  # fmt: skip
    report = ProbeReport(
        "192.0.2.7", "acme_sbc", (Finding("connection", True, "answers"), Finding("schema", None, "not tried")),
        DeviceFacts("acme_sbc", "SCZ910", "edge-a", "active"), Capabilities(candidate=True), 70, 900,
        {"ssh.host.key": "k"},
    )  # fmt: skip
    body = both(bulk_shapes.PROBE_REPORT, probe.probe_report(report))
    assert body["findings"] == [
        {"step": "connection", "ok": True, "message": "answers"}, {"step": "schema", "message": "not tried"}
    ]  # fmt: skip
    assert (body["elementTypes"], body["elements"]) == (70, 900)
    assert body["capabilities"]["candidate"] is True and len(body["capabilities"]) == 9
    assert body["facts"]["role"] == "active" and body["trust"] == [{"name": "ssh.host.key", "value": "k"}]
