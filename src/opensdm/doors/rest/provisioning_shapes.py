"""What provisioning adds from 1.4 on: differences, previews, the way out of stale changes, change sets."""

from __future__ import annotations

from opensdm.doors.rest.fields import Bool, Int, ListOf, Members, Text, Texts
from opensdm.doors.rest.paging import LATER_PAGE
from opensdm.doors.rest.resources import CONFIGURATION_CHANGE
from opensdm.doors.rest.shapes import Shape

DIFFERENCE = Shape("difference", Text("elementTypePath"), Texts("key"), Text("attribute"), Text("old"), Text("new"))
CONFLICT = Shape(
    "conflict", Text("elementTypePath"), Texts("key"), Text("attribute"), Text("base"), Text("mine"), Text("theirs")
)


def differences(name: str) -> ListOf:
    return ListOf(name, DIFFERENCE, nested="difference")


CHANGES = ListOf("changes", CONFIGURATION_CHANGE, nested="configurationChange")

PUSH_PREVIEW = Shape(
    "pushPreview",
    Bool("ready"),
    Text("code"),
    Text("message"),
    CHANGES,
    differences("differences"),
    differences("outside"),
    Texts("sends", nested="line"),
    Text("diff"),
)
SYNC_REPORT = Shape(
    "syncReport",
    Text("state"),
    Text("message"),
    Int("outsideTotal"),
    differences("outside"),
    differences("staged"),
    ListOf("conflicts", CONFLICT, nested="conflict"),
)
REBASE = Shape("rebase", Text("changeSet"), Text("prefer"), sample={"prefer": "none"})
REBASE_RESULT = Shape(
    "rebaseResult", Int("dropped"), ListOf("resolved", CONFLICT, nested="conflict"), CHANGES, Text("diff")
)

CHANGE_SET = Shape("changeSet", Text("name"), Int("changes"), Text("first"), Text("last"))
MOVED_CHANGES = Shape("movedChanges", Text("changeSet"), Text("into"), sample={"changeSet": "", "into": "later"})
CHANGE_SETS = Shape("changeSets", *LATER_PAGE, Members("changeSets", CHANGE_SET, nested="changeSet"))
