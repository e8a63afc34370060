"""The resources that are ours alone: locks, their history, the audit trail, users, and the one error body.

The error body goes out in every version, the others from 1.4 on, where the routes for them begin.
"""

from __future__ import annotations

from opensdm.doors.rest.fields import Bool, Int, ListOf, Members, Text, Texts
from opensdm.doors.rest.paging import LATER_PAGE
from opensdm.doors.rest.shapes import Shape

BLOCKER = Shape(
    "blocker",
    Text("kind"),
    Text("deviceId"),
    Text("deviceName"),
    Text("holder"),
    Text("since"),
    Text("door"),
    Text("reason"),
    Int("idleSeconds"),
    Bool("holderLoggedIn"),
    Text("running"),
    Text("stepUntil"),
    Int("epoch"),
)

ERROR = Shape(
    "error",
    Text("code"),
    Text("message"),
    Text("requestId"),
    ListOf("blockers", BLOCKER, nested="blocker"),
    Texts("next", nested="call"),
    open=True,
)

RUNNING_WORK = Shape("work", Text("operation"), Text("owner"), Text("since"), Text("state"), Text("stepUntil"))
WAITING_REQUEST = Shape("request", Text("owner"), Text("since"), Text("until"))

DEVICE_LOCK = Shape(
    "deviceLock",
    Text("deviceId"),
    Text("deviceName"),
    Text("state"),
    Text("holder"),
    Text("since"),
    Text("door"),
    Text("reason"),
    Text("scope"),
    Int("epoch"),
    Text("leaseUntil"),
    Int("idleSeconds"),
    Bool("holderLoggedIn"),
    ListOf("running", RUNNING_WORK, nested="work"),
    ListOf("waiting", WAITING_REQUEST, nested="request"),
)
DEVICE_LOCKS = Shape("deviceLocks", *LATER_PAGE, Members("deviceLocks", DEVICE_LOCK, nested="deviceLock"))

LOCK_OVERRIDE = Shape(
    "lockOverride",
    Text("reason"),
    Text("expectedHolder"),
    Int("expectedEpoch"),
    Text("mode"),
    Bool("transfer"),
    sample={"reason": "WHY", "expectedHolder": "HOLDER"},
    required=("reason",),
)
OVERRIDDEN_LOCK = DEVICE_LOCK.extended(Bool("settled"), Text("stepUntil"))

LOCK_EVENT = Shape(
    "lockEvent",
    Int("id"),
    Text("kind"),
    Text("at"),
    Text("deviceId"),
    Text("deviceName"),
    Int("epoch"),
    Text("actor"),
    Text("holder"),
    Text("door"),
    Text("reason"),
)
LOCK_EVENTS = Shape("lockEvents", *LATER_PAGE, Members("lockEvents", LOCK_EVENT, nested="lockEvent"))

AUDIT_ENTRY = Shape(
    "auditEntry",
    Int("id"),
    Text("at"),
    Text("user"),
    Text("door"),
    Text("address"),
    Text("operation"),
    Text("tag"),
    Text("deviceId"),
    Text("deviceName"),
    Text("result"),
    Text("detail"),
    Text("requestId"),
    Int("count"),
)
AUDIT_ENTRIES = Shape("auditEntries", *LATER_PAGE, Members("auditEntries", AUDIT_ENTRY, nested="auditEntry"))

USER = Shape(
    "user", Text("id"), Text("userName"), Text("userGroup"), Bool("disabled"), Text("created"), Text("lastLogin")
)
USERS = Shape("users", *LATER_PAGE, Members("users", USER, nested="user"))

RIGHT = Shape("right", Text("area"), Text("level"))
SESSION_INFO = Shape(
    "sessionInfo",
    Text("userName"),
    Text("userGroup"),
    Text("door"),
    Text("created"),
    Int("idleTimeout"),
    ListOf("rights", RIGHT, nested="right"),
    ListOf("locks", DEVICE_LOCK, nested="lock"),
)
