"""The resources that are ours alone: locks, their history, the audit trail, users, and the one error body.

The error body goes out in every version, the others from 1.4 on, where the routes for them begin.
"""

from __future__ import annotations

from opensdm.doors.rest.fields import Bool, Child, Int, ListOf, Members, Text, Texts
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
    Bool("confirm"),
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

LOCK_ASK = Shape(
    "lockAsk",
    Text("deviceId"),
    Text("deviceName"),
    Text("asker"),
    Text("at"),
    Text("message"),
    Int("epoch"),
)
LOCK_ASKS = Shape("lockAsks", Members("lockAsks", LOCK_ASK, nested="lockAsk"))
LOCK_ASK_REQUEST = Shape("lockAsk", Text("message"), sample={"message": "WHY"}, optional=True)
CONFIRMATION = Shape("confirmation", Text("note"), sample={"note": "WHAT YOU SAW"}, required=("note",))

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
    Int("leaseSeconds"),
    Text("leaseUntil"),
    Int("idleSeconds"),
    Bool("holderLoggedIn"),
    Bool("orphaned"),
    ListOf("running", RUNNING_WORK, nested="work"),
    ListOf("waiting", WAITING_REQUEST, nested="request"),
    ListOf("asks", LOCK_ASK, nested="ask"),
)
LOCK_CHECK = Shape(
    "lockCheck", Text("would"), ListOf("blockers", BLOCKER, nested="blocker"), Child("lock", DEVICE_LOCK)
)
LOCKS_ACTION = Shape(
    "locksAction",
    Text("type"),
    Texts("deviceIds", nested="deviceId"),
    Text("mode"),
    Text("reason"),
    Int("waitSeconds"),
    Int("leaseSeconds"),
    Text("scope"),
    Int("epoch"),
    sample={"type": "Lock", "deviceIds": ["ID7"]},
    required=("type", "deviceIds"),
)
LOCK_RESULT = Shape(
    "lockResult",
    Text("deviceId"),
    Text("code"),
    Text("message"),
    ListOf("blockers", BLOCKER, nested="blocker"),
    Texts("next", nested="call"),
    Child("lock", DEVICE_LOCK),
)
LOCK_RESULTS = Shape("lockResults", ListOf("results", LOCK_RESULT, nested="lockResult"))
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
OVERRIDDEN_LOCK = DEVICE_LOCK.extended(Bool("settled"), Text("stepUntil"), Bool("transferWaits"))

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
    Text("scope"),
    Text("leaseUntil"),
    Text("formerHolder"),
)
LOCK_EVENTS = Shape("lockEvents", *LATER_PAGE, Members("lockEvents", LOCK_EVENT, nested="lockEvent"))

LOCK_DIFFERENCE = Shape(
    "lockDifference",
    Text("deviceId"),
    Text("deviceName"),
    Text("what"),
    Text("events"),
    Text("state"),
    Int("eventId"),
)
LOCKS_VERIFIED = Shape(
    "locksVerified",
    Int("locks"),
    Int("events"),
    ListOf("differences", LOCK_DIFFERENCE, nested="lockDifference"),
)

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

GROUP_RIGHT = Shape("right", Text("area"), Text("level"), Text("stored"))
USER_GROUP = Shape("userGroup", Text("name"), ListOf("rights", GROUP_RIGHT, nested="right"))
USER_GROUPS = Shape("userGroups", *LATER_PAGE, Members("userGroups", USER_GROUP, nested="userGroup"))

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
