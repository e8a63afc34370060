"""What each door does not have, and why. What is not listed here a door has; a test reads from its source that it does.

`ABSENT` is about whole operations, `LACKING` about fields of operations on locks that a door has.
"""

from __future__ import annotations

from collections.abc import Mapping

KINDS = ("rest-published", "rest-own", "soap", "web", "cli")

_UNPUBLISHED_LOCKS = (
    "AskForLock", "CheckLock", "ConfirmDevice", "ListAsks", "ListLockEvents", "FollowLockEvents", "ListLocks",
    "LockDevices", "OverrideLock", "ShowLock", "ShowLocks", "UnlockDevices", "VerifyLocks",
)  # fmt: skip
_HISTORY = (
    "BackUpDevice", "CancelTask", "CompareVersions", "ListTasks", "ListVersions", "RestoreVersion", "ShowTask",
    "ShowVersion",
)  # fmt: skip
_STAGING = (
    "AddElement", "ApplyBatch", "CheckSync", "DeleteElement", "DiscardChanges", "DraftElement", "ListChangeSets",
    "ListElementTypes", "ListElements", "LoadConfiguration", "PreviewPush", "PushChanges", "RebaseChanges",
    "RetrieveElement", "ShowElementType", "ShowPendingChanges", "UpdateElement", "MoveChanges",
)  # fmt: skip
_FUNCTIONS = (
    "ListCategories", "ListFunctionGroups", "ListNetworkFunctions", "MoveNetworkFunction", "ShowCategory",
    "ShowFunctionGroup", "ShowNetworkFunction", "ChangeCredentials", "AddNetworkFunction", "DeleteNetworkFunction",
)  # fmt: skip
_ACCOUNTS = ("AddUser", "DisableUser", "EnableUser", "SetPassword")

ABSENT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "rest-published": {
        "the published API has no such resource; ours are at v1.4": (
            *_UNPUBLISHED_LOCKS, *_HISTORY, "ApplyBatch", "CheckSync", "DeleteUser", "ExportNetworkFunctions",
            "FindDevices", "ImportNetworkFunctions", "ListAudit", "ListChangeSets", "ListUserGroups",
            "LogoutEverywhere", "MoveChanges", "ProbeDevice", "ProbeHost", "ReadDeviceFacts", "RebaseChanges",
            "ShowSession",
        ),
        "accounts are made at the console or on a page": (*_ACCOUNTS, "ListUsers"),
    },
    "rest-own": {"accounts are made at the console or on a page": (*_ACCOUNTS, "ListUsers")},
    "soap": {
        "the published interfaces have no such operation": (
            *_UNPUBLISHED_LOCKS, *_HISTORY, "CheckSync", "ExportNetworkFunctions", "FindDevices",
            "ImportNetworkFunctions", "ListAudit", "ListChangeSets", "ListUserGroups", "LogoutEverywhere",
            "MoveChanges", "PreviewPush", "ProbeDevice", "ReadDeviceFacts", "RebaseChanges",
        ),
        "SOAP knows devices, and groups of network functions only": (
            "ChangeCredentials", "ChangeDeviceGroup", "ListCategories", "ListFunctionGroups", "LockGroup",
            "MoveNetworkFunction", "ShowCategory", "ShowDeviceGroup", "ShowFunctionGroup", "UnlockGroup",
        ),
        "accounts are made at the console or on a page": (*_ACCOUNTS, "DeleteUser"),
    },
    "web": {
        "the padlock of every page says it without being asked": ("CheckLock",),
        "a selection of devices is a request for each": ("LockDevices", "UnlockDevices", "LockGroup", "UnlockGroup"),
        "pages do not bring devices in or out yet": (
            *_FUNCTIONS, "AddDeviceGroup", "AssignDevice", "ChangeDeviceGroup", "DeleteDeviceGroup",
            "ExportNetworkFunctions", "ImportNetworkFunctions", "ProbeDevice", "ProbeHost", "ReadDeviceFacts",
            "ShowDeviceGroup", "UnassignDevice",
        ),
        "a backup is a matter of schedules and commands": ("BackUpDevice",),
        "pages find devices by words": ("ListDevices",),
        "pages stage one edit at a time, in the nameless change set": ("ApplyBatch",),
        "for good, and for all: at the console": ("DeleteUser", "VerifyLocks"),
    },
    "cli": {
        "the command line provisions nothing": (*_STAGING, *_HISTORY),
        "what has a look of its own is asked over REST": (
            "FindDevices", "FollowLockEvents", "ListAsks", "ListDeviceGroups", "ListLockEvents", "ReadDeviceFacts",
            "ListUserGroups", "ShowDevice", "ShowDeviceGroup", "ShowLock", "ShowLocks", "ShowServer", "ShowSession",
        ),
        "one command is about one device": ("LockDevices", "LockGroup", "UnlockDevices", "UnlockGroup"),
        "a command signs in and out by itself": ("LogoutEverywhere",),
        "the inventory comes and goes as a file": (
            *_FUNCTIONS, "AddDeviceGroup", "AssignDevice", "ChangeDeviceGroup", "DeleteDeviceGroup", "UnassignDevice",
        ),
    },
}  # fmt: skip


def _of(name: str, *fields: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, field) for field in fields)


_TAKING = ("epoch", "lease_s", "reason", "scope", "wait_s")

LACKING: Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]] = {
    "rest-published": {
        "a published action has a type and nothing else; `lock.wait_s` says how long is waited": (
            *_of("LockDevice", *_TAKING), *_of("LockGroup", *_TAKING),
            *_of("UnlockDevice", "epoch"), *_of("UnlockGroup", "epoch"),
        )
    },
    "rest-own": {},
    "soap": {
        "the published operations have a target and nothing else; `lock.wait_s` says how long is waited": (
            *_of("LockDevice", *_TAKING), *_of("UnlockDevice", "epoch"),
        )
    },
    "web": {
        "whoever sits at a page waits as `lock.wait_s` says, and sees who is at work": _of("LockDevice", "wait_s"),
        "for shared accounts of programs": _of("LockDevice", "scope"),
        "a page shows the lock as it is; an override names the epoch it saw in `expected_epoch`": (
            *_of("LockDevice", "epoch"), *_of("AskForLock", "epoch"), *_of("ConfirmDevice", "epoch"),
            *_of("OverrideLock", "epoch"),
        ),
    },
    "cli": {
        "a session ends with its command, so that its lock could not be used": _of("LockDevice", "scope"),
        "a script releases what it took": _of("LockDevice", "lease_s"),
        "a command that takes, asks or looks relies on no earlier lock": (
            *_of("LockDevice", "epoch"), *_of("AskForLock", "epoch"), *_of("CheckLock", "epoch"),
            *_of("OverrideLock", "epoch"), *_of("ConfirmDevice", "epoch"),
        ),
    },
}  # fmt: skip


def absent(kind: str) -> set[str]:
    return {name for names in ABSENT[kind].values() for name in names}


def lacking(kind: str) -> set[tuple[str, str]]:
    return {pair for pairs in LACKING[kind].values() for pair in pairs}
