"""Kept versions of a configuration, and long work: the resources that 1.4 adds for them."""

from __future__ import annotations

from opensdm.doors.rest.fields import Bool, Child, Int, ListOf, Members, Text
from opensdm.doors.rest.paging import LATER_PAGE
from opensdm.doors.rest.provisioning_shapes import differences
from opensdm.doors.rest.resources import CONFIG_ELEMENT, SAVE_ACTIVATE_RESULT
from opensdm.doors.rest.shapes import Shape

VERSION = Shape(
    "version",
    Int("number"),
    Text("taken"),
    Text("source"),
    Text("userName"),
    Text("requestId"),
    Text("softwareVersion"),
    Text("comment"),
    Bool("torn"),
    Bool("restorable"),
    Bool("current"),
    Text("digest"),
    Int("elementCount"),
)
VERSIONS = Shape("versions", *LATER_PAGE, Members("versions", VERSION, nested="version"))
VERSION_SHOWN = Shape(
    "version", *LATER_PAGE, *VERSION.fields, ListOf("configElements", CONFIG_ELEMENT, nested="configElement")
)
COMPARISON = Shape("comparison", Child("old", VERSION), Child("new", VERSION), Int("total"), differences("differences"))
BACKUP = Shape("backup", Text("comment"), Int("epoch"), sample={"comment": "WHY"})
VERSION_ACTION = Shape(
    "versionAction", Text("type"), Bool("asTask"), Int("epoch"), sample={"type": "Restore"}, required=("type",)
)

PROGRESS = Shape(
    "progress", Int("id"), Text("at"), Text("stage"), Text("state"), Text("note"), Int("done"), Int("total")
)
TASK = Shape(
    "task",
    Text("id"),
    Text("operation"),
    Text("deviceId"),
    Text("deviceName"),
    Text("userName"),
    Text("state"),
    Text("started"),
    Text("ended"),
    Bool("cancelAsked"),
    Text("errorCode"),
    Text("errorMessage"),
    ListOf("progress", PROGRESS, nested="event"),
    Child("saveActivateResult", SAVE_ACTIVATE_RESULT),
)
TASKS = Shape("tasks", *LATER_PAGE, Members("tasks", TASK, nested="task"))
TASK_ACTION = Shape("taskAction", Text("type"), sample={"type": "Cancel"}, required=("type",))
