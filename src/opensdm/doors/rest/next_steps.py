"""The calls an error recommends, as lines of shell: ready to run against this very server.

Calls on one lock are commands of `opensdm lock`, all others curl.

`WAYS` says for every operation how it is sent over REST, or that it is not. The table is checked when this module is
imported: an operation without a way, or a way that cannot carry what its operation needs, does not import.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any
from urllib.parse import quote, urlencode

from opensdm.core.element import Element
from opensdm.core.errors import NextStep
from opensdm.core.inventory import wire_id
from opensdm.core.lock import Blocker
from opensdm.core.operations import REGISTRY, Kind
from opensdm.doors.commands import COMMANDS, Command
from opensdm.doors.http import curl
from opensdm.doors.rest import bulk_shapes, history_shapes, provisioning_shapes, resources, strict_json
from opensdm.doors.rest.provisioning_replies import config_element
from opensdm.doors.rest.routing import BASE, VERSIONS

OWN_BASE = f"{BASE}/{max(VERSIONS, key=lambda name: VERSIONS[name])}"
_JSON = "application/json"
_PLACE = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Way:
    """How one operation is sent: `body` is what its body always holds, `fields` says which of the operation's fields
    go into it under which wire name, `query` which go into the query."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(_PLACE.findall(self.path))


@dataclass(frozen=True, slots=True)
class Console:
    """An operation the REST door does not have: the command that sends it."""

    command: str


_DEVICE = "/inventory/deviceMgmt/devices/{device_id}"
_MANAGED = "/configuration/devices"
_CONFIG = "/configuration/deviceConfigs/{device_id}"
_GROUPS = "/inventory/deviceMgmt/deviceGroups"
_FUNCTIONS = "/inventory/nfMgmt/nfs"
_CATEGORIES = "/inventory/nfMgmt/nfCategories"
_FUNCTION_GROUP = _FUNCTIONS + "/{nf_id}/groups/{group_id}"
_GROUP_FIELDS = {"group_name": "name", "parent_full_name": "parentGroupFullName"}
_VERSIONS = _MANAGED + "/{device_id}/versions"
_TASK = "/configuration/tasks/{task_id}"
_ELEMENT = {"element": ""}
_CHANGE_SET = {"change_set": "changeSet"}
_PUSH = {"action": "type", "change_set": "changeSet", "as_task": "asTask"}
_SAMPLE_ELEMENT = resources.CONFIG_ELEMENT.sample

WAYS: Mapping[str, Way | Console | Command] = {
    **COMMANDS,
    "Login": Way("POST", "/admin/login", resources.LOGIN.sample, {"user_name": "userName", "password": "password"}),
    "Logout": Way("POST", "/admin/logout"),
    "LogoutEverywhere": Way("POST", "/admin/logoutEverywhere"),
    "ShowSession": Way("GET", "/admin/session"),
    "ShowServer": Way("GET", "/admin/serverInfo"),
    "ListDevices": Way("GET", "/inventory/deviceMgmt/devices"),
    "FindDevices": Way("GET", "/inventory/search", query={"words": "words"}),
    "ShowDevice": Way("GET", _DEVICE),
    "ReadDeviceFacts": Way("GET", _DEVICE + "/facts"),
    "ListDeviceGroups": Way("GET", _GROUPS),
    "ShowDeviceGroup": Way("GET", _GROUPS + "/{group_id}"),
    "AddDeviceGroup": Way("POST", _GROUPS, resources.NEW_DEVICE_GROUP.sample, _GROUP_FIELDS),
    "ChangeDeviceGroup": Way("PUT", _GROUPS + "/{group_id}", resources.CHANGED_DEVICE_GROUP.sample, _GROUP_FIELDS),
    "DeleteDeviceGroup": Way("DELETE", _GROUPS + "/{group_id}"),
    "ListCategories": Way("GET", _CATEGORIES),
    "ShowCategory": Way("GET", _CATEGORIES + "/{category_id}"),
    "ListNetworkFunctions": Way("GET", _FUNCTIONS),
    "ShowNetworkFunction": Way("GET", _FUNCTIONS + "/{nf_id}"),
    "AddNetworkFunction": Way(
        "POST", _FUNCTIONS, resources.NF_CONFIG.sample,
        {"nf_name": "name", "parent_full_name": "parentGroupFullName", "category_name": "nfCategory",
         "type_name": "nfType"},
    ),
    "MoveNetworkFunction": Way(
        "PUT", _FUNCTIONS + "/{nf_id}", resources.MOVED_NF.sample, {"parent_full_name": "parentGroupFullName"}
    ),
    "DeleteNetworkFunction": Way("DELETE", _FUNCTIONS + "/{nf_id}"),
    "ListFunctionGroups": Way("GET", _FUNCTIONS + "/{nf_id}/groups"),
    "ShowFunctionGroup": Way("GET", _FUNCTION_GROUP),
    "ChangeCredentials": Way("PUT", _FUNCTION_GROUP, resources.CHANGED_CREDENTIALS.sample),
    # By name, as published: whoever renders this knows the device's names.
    "AssignDevice": Way("POST", _MANAGED, resources.DEVICE_ASSOCIATION.sample, {"device_id": ""}),
    "UnassignDevice": Way("DELETE", _MANAGED + "/{device_id}"),
    "LoadConfiguration": Way("GET", _MANAGED + "/{device_id}/loadConfig"),
    "PushChanges": Way("POST", _MANAGED + "/{device_id}/action", resources.PUSH_ACTION.sample, _PUSH),
    "PreviewPush": Way(
        "POST", _MANAGED + "/{device_id}/action", {"type": "SaveActivateConfig", "dryRun": True},
        {"action": "type", "change_set": "changeSet"},
    ),
    "CheckSync": Way("GET", _MANAGED + "/{device_id}/checkSync", query=_CHANGE_SET),
    "RebaseChanges": Way(
        "POST", _MANAGED + "/{device_id}/rebase", provisioning_shapes.REBASE.sample,
        {"change_set": "changeSet", "prefer": "prefer"},
    ),
    "ListElementTypes": Way("GET", _CONFIG + "/elementTypes"),
    "ShowElementType": Way(
        "POST", _CONFIG + "/elementTypes/elementMetadata", resources.ELEMENT_TYPE_REQUEST.sample,
        {"element_path": "elementTypePath"},
    ),
    "DraftElement": Way(
        "POST", _CONFIG + "/configElements/create", resources.ELEMENT_TYPE_REQUEST.sample,
        {"element_path": "elementTypePath"},
    ),
    "ListElements": Way(
        "GET", _CONFIG + "/configElements", query={"element_path": "elementTypePath", "change_set": "changeSet"}
    ),
    "RetrieveElement": Way(
        "POST", _CONFIG + "/configElements/retrieve", _SAMPLE_ELEMENT, _ELEMENT, query=_CHANGE_SET
    ),
    "AddElement": Way("POST", _CONFIG + "/configElements/add", _SAMPLE_ELEMENT, _ELEMENT, query=_CHANGE_SET),
    "UpdateElement": Way("POST", _CONFIG + "/configElements/update", _SAMPLE_ELEMENT, _ELEMENT, query=_CHANGE_SET),
    "DeleteElement": Way("POST", _CONFIG + "/configElements/delete", _SAMPLE_ELEMENT, _ELEMENT, query=_CHANGE_SET),
    # The caller's own edits, of which a sample shows the form.
    "ApplyBatch": Way(
        "POST", _CONFIG + "/configElements/batch", resources.CONFIG_BATCH.sample, {"edits": ""}, query=_CHANGE_SET
    ),
    "ShowPendingChanges": Way("GET", _CONFIG + "/configurationChanges", query=_CHANGE_SET),
    "DiscardChanges": Way("DELETE", _CONFIG + "/configurationChanges", query=_CHANGE_SET),
    "MoveChanges": Way(
        "POST", _CONFIG + "/configurationChanges/move", provisioning_shapes.MOVED_CHANGES.sample,
        {"change_set": "changeSet", "into": "into"},
    ),
    "ListChangeSets": Way("GET", _CONFIG + "/changeSets"),
    "ListVersions": Way("GET", _VERSIONS),
    "ShowVersion": Way("GET", _VERSIONS + "/{number}", query={"element_path": "elementTypePath"}),
    "CompareVersions": Way("GET", _VERSIONS + "/{old}/compare", query={"new": "with"}),
    "BackUpDevice": Way("POST", _VERSIONS, history_shapes.BACKUP.sample, {"comment": "comment"}),
    "RestoreVersion": Way(
        "POST", _VERSIONS + "/{number}/action", history_shapes.VERSION_ACTION.sample, {"as_task": "asTask"}
    ),
    "ListTasks": Way("GET", "/configuration/tasks"),
    "ShowTask": Way("GET", _TASK, query={"after": "after"}),
    "CancelTask": Way("POST", _TASK + "/action", history_shapes.TASK_ACTION.sample),
    # A whole file of rows: the caller's own, of which a sample shows the form.
    "ImportNetworkFunctions": Way(
        "POST", _FUNCTIONS + "/import", bulk_shapes.NF_CONFIGS.sample, {"rows": ""},
        query={"dry_run": "dryRun", "assign": "assign"},
    ),
    "ExportNetworkFunctions": Way("GET", _FUNCTIONS + "/export"),
    "ProbeHost": Way("POST", "/inventory/probe", bulk_shapes.PROBE.sample, {"platform": "platform", "parameters": ""}),
    "ProbeDevice": Way("POST", _DEVICE + "/probe"),
    "LockGroup": Way("POST", _FUNCTION_GROUP + "/action", {"type": "Lock"}, {"reason": "reason"}),
    "UnlockGroup": Way("POST", _FUNCTION_GROUP + "/action", {"type": "Unlock"}),
    "LockDevices": Way(
        "POST", "/inventory/locks/action", {"type": "Lock", "deviceIds": ["DEVICE-ID"]}, {"device_ids": "deviceIds"}
    ),
    "UnlockDevices": Way(
        "POST", "/inventory/locks/action", {"type": "Unlock", "deviceIds": ["DEVICE-ID"]}, {"device_ids": "deviceIds"}
    ),
    "ListAsks": Way("GET", "/inventory/asks"),
    "FollowLockEvents": Way("GET", "/inventory/locks/events"),
    "ShowLock": Way("GET", _DEVICE + "/lock"),
    "ShowLocks": Way("GET", "/inventory/locks/several", query={"device_ids": "deviceIds"}),
    "ListLocks": Way("GET", "/inventory/locks", query={"holder": "holder"}),
    "ListLockEvents": Way("GET", _DEVICE + "/lock/events"),
    "VerifyLocks": Way("GET", "/inventory/locks/verify"),
    "ListAudit": Way("GET", "/admin/audit"),
    "AddUser": Console("opensdm user add NAME --group GROUP"),
    "ListUsers": Console("opensdm user list"),
    "ListUserGroups": Way("GET", "/admin/userGroups"),
    "DisableUser": Console("opensdm user disable NAME"),
    "DeleteUser": Way("DELETE", "/admin/users/{user_name}"),
    "EnableUser": Console("opensdm user enable NAME"),
    "SetPassword": Console("opensdm user passwd NAME"),
}  # fmt: skip


def check_ways(ways: Mapping[str, Way | Console | Command]) -> None:
    """TypeError for an operation without a way, a way without an operation, and fields that cannot be carried."""
    sendable = {name for name, cls in REGISTRY.items() if cls.rule.kind is not Kind.MACHINERY and not cls.rule.local}
    if sendable != ways.keys():
        odd = ", ".join(sorted(sendable.symmetric_difference(ways)))
        raise TypeError(f"operations and the ways to recommend them differ: {odd}")
    for name, way in ways.items():
        if not isinstance(way, Console):
            _check_way(name, way)


def _check_way(name: str, way: Way | Command) -> None:
    operation = {f.name: f for f in fields(REGISTRY[name])}
    carried = {"device_id", *way.options} if isinstance(way, Command) else {*way.places, *way.fields, *way.query}
    if unknown := carried - operation.keys():
        raise TypeError(f"{name} has no field {', '.join(sorted(unknown))}")
    needed = {n for n, f in operation.items() if f.default is MISSING and f.default_factory is MISSING}
    if lacking := needed - carried:
        raise TypeError(f"the way to {name} does not carry {', '.join(sorted(lacking))}")


check_ways(WAYS)


# --------------------------------------------------------------------------------------- rendering


def render(
    step: NextStep, base: str, names: Mapping[str, str] | None = None, blockers: Iterable[Blocker] = ()
) -> str:  # fmt: skip
    """One recommended call as a line of shell. `names`: the wire fields that name the device of an `AssignDevice`;
    `blockers`: of the error, which know devices by name."""
    way = WAYS[step.action]
    if isinstance(way, Console):
        return way.command
    if isinstance(way, Command):
        return way.line(step, base, blockers)
    arguments = step.arguments
    path = _PLACE.sub(lambda place: _in_path(arguments.get(place[1]), place[1]), way.path)
    asked = {wire: _in_query(arguments[name]) for name, wire in way.query.items() if _told(arguments.get(name))}
    if step.action == "ListElements":
        asked.setdefault("elementTypePath", "realmConfig")
    url = f"{base}{OWN_BASE}{path}{'?' + urlencode(asked) if asked else ''}"
    if way.body is None:
        return curl(way.method, url)
    body = dict(way.body) | dict(names or {}) | _in_body(way, arguments)
    return curl(way.method, url, strict_json.serialize(body).decode(), _JSON, login=step.action == "Login")


def _in_path(value: Any, name: str) -> str:
    if value is None:
        return placeholder(name)
    return wire_id(value) if isinstance(value, int) and name.endswith("_id") else quote(str(value), safe="")


def _told(value: Any) -> bool:
    """Whether there is anything to say: the nameless change set, and what was not asked for, go without saying."""
    return value is not None and value != "" and value is not False


def _in_query(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _in_body(way: Way, arguments: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, wire in way.fields.items():
        value = arguments.get(name)
        if isinstance(value, Element):
            found |= {key: part for key, part in config_element(value).items() if part is not None}
        elif wire and _told(value):
            found[wire] = _member(wire, value)
    return found


def _member(wire: str, value: Any) -> Any:
    if wire == "deviceIds":
        return [wire_id(device_id) for device_id in value]
    return {"name": value} if wire in ("nfCategory", "nfType") else value


def placeholder(name: str) -> str:
    """What stands where only the caller knows the value: `device_id` -> `DEVICE-ID`."""
    return name.upper().replace("_", "-")
