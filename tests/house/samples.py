"""One request of every operation, on the ground of the walk, and what each kind of caller is to be told.

Written without a look at the gate: what is expected follows from the operation's rule and the rights of its sender.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opensdm.core.element import Element
from opensdm.core.errors import (
    Conflict,
    DeviceLocked,
    Forbidden,
    InvalidRequest,
    NotAssigned,
    NotEmpty,
    NotFound,
    NotLockOwner,
    NotLoggedIn,
    SdmError,
)
from opensdm.core.identity import DEFAULT_RIGHTS, Area, Level, granted
from opensdm.core.inventory import CATEGORIES
from opensdm.core.operations import (
    REGISTRY,
    AddDeviceGroup,
    AddElement,
    AddNetworkFunction,
    AddUser,
    ApplyBatch,
    AskForLock,
    AssignDevice,
    BackUpDevice,
    BackUpOnSchedule,
    BatchEdit,
    BatchVerb,
    CancelTask,
    ChangeCredentials,
    ChangeDeviceGroup,
    CheckLock,
    CheckSync,
    CompareVersions,
    ConfirmDevice,
    DeleteDeviceGroup,
    DeleteElement,
    DeleteNetworkFunction,
    DeleteUser,
    DisableUser,
    DiscardChanges,
    DraftElement,
    EnableUser,
    ExpireLeases,
    ExportNetworkFunctions,
    FindDevices,
    FollowLockEvents,
    FunctionRow,
    ImportNetworkFunctions,
    KeepHouse,
    Kind,
    ListAsks,
    ListAudit,
    ListCategories,
    ListChangeSets,
    ListDeviceGroups,
    ListDevices,
    ListElements,
    ListElementTypes,
    ListFunctionGroups,
    ListLockEvents,
    ListLocks,
    ListNetworkFunctions,
    ListTasks,
    ListUserGroups,
    ListUsers,
    ListVersions,
    LoadConfiguration,
    LockDevice,
    LockDevices,
    LockGroup,
    Login,
    Logout,
    LogoutEverywhere,
    MoveChanges,
    MoveNetworkFunction,
    Operation,
    OverrideLock,
    PollDevice,
    PreviewPush,
    ProbeDevice,
    ProbeHost,
    PushAction,
    PushChanges,
    ReadDeviceFacts,
    RebaseChanges,
    RestoreVersion,
    RetrieveElement,
    Scope,
    SetPassword,
    ShowCategory,
    ShowDevice,
    ShowDeviceGroup,
    ShowElementType,
    ShowFunctionGroup,
    ShowLock,
    ShowLocks,
    ShowNetworkFunction,
    ShowPendingChanges,
    ShowServer,
    ShowSession,
    ShowTask,
    ShowVersion,
    UnassignDevice,
    UnlockDevice,
    UnlockDevices,
    UnlockGroup,
    UpdateElement,
    VerifyLocks,
)
from tests.gatehouse import PASSWORD, USERS
from tests.house.ground import CONSOLE, NOBODY, Ground

Sample = Callable[[Ground, str], Operation]
"""The ground and the user's name to a request; the name keeps what several users add apart."""

CATEGORY, TYPE = CATEGORIES[0], CATEGORIES[0].type_names[0]
ENROLMENT = {"username": "ops", "password": "s3cret-pw"}


def realm(name: str, **values: str) -> Element:
    return Element("realmConfig", {"id": name, **values})


SAMPLES: Mapping[str, Sample] = {
    "Login": lambda g, u: Login(user_name="bob", password=PASSWORD),
    "Logout": lambda g, u: Logout(),
    "LogoutEverywhere": lambda g, u: LogoutEverywhere(),
    "ShowSession": lambda g, u: ShowSession(),
    "ShowServer": lambda g, u: ShowServer(),
    "ListDevices": lambda g, u: ListDevices(),
    "FindDevices": lambda g, u: FindDevices(words="edge"),
    "ShowDevice": lambda g, u: ShowDevice(device_id=g.device_id),
    "ReadDeviceFacts": lambda g, u: ReadDeviceFacts(device_id=g.device_id),
    "ListDeviceGroups": lambda g, u: ListDeviceGroups(),
    "ShowDeviceGroup": lambda g, u: ShowDeviceGroup(group_id=g.west_id),
    "AddDeviceGroup": lambda g, u: AddDeviceGroup(group_name=f"North of {u}"),
    "ChangeDeviceGroup": lambda g, u: ChangeDeviceGroup(group_id=g.west_id, group_name=f"West of {u}"),
    "DeleteDeviceGroup": lambda g, u: DeleteDeviceGroup(group_id=g.west_id),
    "ListCategories": lambda g, u: ListCategories(),
    "ShowCategory": lambda g, u: ShowCategory(category_id=CATEGORY.category_id, type_name=TYPE),
    "ListNetworkFunctions": lambda g, u: ListNetworkFunctions(),
    "ShowNetworkFunction": lambda g, u: ShowNetworkFunction(nf_id=g.nf_id),
    "AddNetworkFunction": lambda g, u: AddNetworkFunction(
        nf_name=f"new-{u}",
        parent_full_name="Home",
        category_name=CATEGORY.name,
        type_name=TYPE,
        parameters={**ENROLMENT, "primary.ip": f"{u.replace(' ', '-')}.example"},
    ),
    "MoveNetworkFunction": lambda g, u: MoveNetworkFunction(nf_id=g.nf_id, parent_full_name="Home"),
    "DeleteNetworkFunction": lambda g, u: DeleteNetworkFunction(nf_id=g.nf_id),
    "ListFunctionGroups": lambda g, u: ListFunctionGroups(nf_id=g.nf_id),
    "ShowFunctionGroup": lambda g, u: ShowFunctionGroup(nf_id=g.nf_id, group_id=g.nf_id),
    "ChangeCredentials": lambda g, u: ChangeCredentials(
        nf_id=g.nf_id, group_id=g.nf_id, parameters={"username": u, "password": "An0ther-one"}
    ),
    "AssignDevice": lambda g, u: AssignDevice(device_id=g.spare_id),
    "UnassignDevice": lambda g, u: UnassignDevice(device_id=g.device_id),
    "LoadConfiguration": lambda g, u: LoadConfiguration(device_id=g.device_id),
    "PushChanges": lambda g, u: PushChanges(device_id=g.device_id, action=PushAction.SAVE_ACTIVATE),
    "ListElements": lambda g, u: ListElements(device_id=g.device_id, element_path="realmConfig"),
    "RetrieveElement": lambda g, u: RetrieveElement(device_id=g.device_id, element=realm("core")),
    "AddElement": lambda g, u: AddElement(device_id=g.device_id, element=realm(f"new-{u}")),
    "UpdateElement": lambda g, u: UpdateElement(device_id=g.device_id, element=realm("core", description=u)),
    "DeleteElement": lambda g, u: DeleteElement(
        device_id=g.device_id, element=Element("sessionAgent", {"hostname": "softswitch.example"})
    ),
    "ApplyBatch": lambda g, u: ApplyBatch(
        device_id=g.device_id, edits=(BatchEdit(BatchVerb.ADD, realm(f"batch-{u}")),)
    ),
    "ShowPendingChanges": lambda g, u: ShowPendingChanges(device_id=g.device_id),
    "DiscardChanges": lambda g, u: DiscardChanges(device_id=g.device_id),
    "LockDevice": lambda g, u: LockDevice(device_id=g.device_id, reason=f"as {u} wishes"),
    "UnlockDevice": lambda g, u: UnlockDevice(device_id=g.device_id),
    "LockGroup": lambda g, u: LockGroup(nf_id=g.nf_id, group_id=g.nf_id),
    "UnlockGroup": lambda g, u: UnlockGroup(nf_id=g.nf_id, group_id=g.nf_id),
    "OverrideLock": lambda g, u: OverrideLock(device_id=g.device_id, reason="outage", expected_holder="alice"),
    "LockDevices": lambda g, u: LockDevices(device_ids=(g.device_id,)),
    "UnlockDevices": lambda g, u: UnlockDevices(device_ids=(g.device_id,)),
    "AskForLock": lambda g, u: AskForLock(device_id=g.device_id, message="soon?"),
    "ConfirmDevice": lambda g, u: ConfirmDevice(device_id=g.device_id, note="looked"),
    "CheckLock": lambda g, u: CheckLock(device_id=g.device_id),
    "ListAsks": lambda g, u: ListAsks(),
    "FollowLockEvents": lambda g, u: FollowLockEvents(),
    "VerifyLocks": lambda g, u: VerifyLocks(),
    "ExpireLeases": lambda g, u: ExpireLeases(),
    "ShowLock": lambda g, u: ShowLock(device_id=g.device_id),
    "ShowLocks": lambda g, u: ShowLocks(device_ids=(g.device_id,)),
    "ListLocks": lambda g, u: ListLocks(),
    "ListLockEvents": lambda g, u: ListLockEvents(device_id=g.device_id),
    "ListAudit": lambda g, u: ListAudit(limit=5),
    "AddUser": lambda g, u: AddUser(user_name=f"new-{u}", group="monitors", password=PASSWORD),
    "ListUsers": lambda g, u: ListUsers(),
    "ListUserGroups": lambda g, u: ListUserGroups(),
    "DisableUser": lambda g, u: DisableUser(user_name="carol"),
    "DeleteUser": lambda g, u: DeleteUser(user_name="mona" if u == CONSOLE else "carol"),
    "EnableUser": lambda g, u: EnableUser(user_name="carol"),
    "SetPassword": lambda g, u: SetPassword(user_name="carol", password="An0ther-one"),
    "PollDevice": lambda g, u: PollDevice(device_id=g.device_id),
    "KeepHouse": lambda g, u: KeepHouse(),
    "ListElementTypes": lambda g, u: ListElementTypes(device_id=g.device_id),
    "ShowElementType": lambda g, u: ShowElementType(device_id=g.device_id, element_path="realmConfig"),
    "DraftElement": lambda g, u: DraftElement(device_id=g.device_id, element_path="realmConfig"),
    "ListChangeSets": lambda g, u: ListChangeSets(device_id=g.device_id),
    "MoveChanges": lambda g, u: MoveChanges(device_id=g.device_id, into="later"),
    "RebaseChanges": lambda g, u: RebaseChanges(device_id=g.device_id),
    "PreviewPush": lambda g, u: PreviewPush(device_id=g.device_id),
    "CheckSync": lambda g, u: CheckSync(device_id=g.device_id),
    "ListVersions": lambda g, u: ListVersions(device_id=g.device_id),
    "ShowVersion": lambda g, u: ShowVersion(device_id=g.device_id, number=1),
    "CompareVersions": lambda g, u: CompareVersions(device_id=g.device_id, old=1),
    "BackUpDevice": lambda g, u: BackUpDevice(device_id=g.device_id, comment=f"as {u} wishes"),
    "BackUpOnSchedule": lambda g, u: BackUpOnSchedule(device_id=g.device_id),
    "RestoreVersion": lambda g, u: RestoreVersion(device_id=g.device_id, number=1),
    "ListTasks": lambda g, u: ListTasks(),
    "ShowTask": lambda g, u: ShowTask(task_id=g.task_id),
    "CancelTask": lambda g, u: CancelTask(task_id=g.task_id),
    "ImportNetworkFunctions": lambda g, u: ImportNetworkFunctions(
        rows=(FunctionRow(1, f"new-{u}", "Home", CATEGORY.name, TYPE, {"primary.ip": "192.0.2.77"}),), dry_run=True
    ),
    "ExportNetworkFunctions": lambda g, u: ExportNetworkFunctions(),
    "ProbeHost": lambda g, u: ProbeHost(platform="acme_sbc", parameters={**ENROLMENT, "primary.ip": "127.0.0.1:9"}),
    "ProbeDevice": lambda g, u: ProbeDevice(device_id=g.device_id),
}

FAULTY: Mapping[str, tuple[Sample, type[SdmError]]] = {
    "ChangeCredentials": (
        lambda g, u: ChangeCredentials(nf_id=g.nf_id, group_id=g.nf_id, parameters={"primary.ip": "a b"}),
        InvalidRequest,
    ),
    "ChangeDeviceGroup": (lambda g, u: ChangeDeviceGroup(group_id=g.west_id), InvalidRequest),
    "MoveNetworkFunction": (
        lambda g, u: MoveNetworkFunction(nf_id=g.nf_id, parent_full_name="Home/Nowhere"),
        NotFound,
    ),
    "LoadConfiguration": (lambda g, u: LoadConfiguration(device_id=g.spare_id), NotAssigned),
    "PushChanges": (lambda g, u: PushChanges(device_id=g.spare_id, action=PushAction.SAVE), NotAssigned),
    "RestoreVersion": (lambda g, u: RestoreVersion(device_id=g.device_id, number=99), NotFound),
    "BackUpDevice": (lambda g, u: BackUpDevice(device_id=g.spare_id), NotAssigned),
    "RebaseChanges": (lambda g, u: RebaseChanges(device_id=g.device_id, change_set="a b"), InvalidRequest),
    "MoveChanges": (lambda g, u: MoveChanges(device_id=g.device_id, into=""), InvalidRequest),
    "UnassignDevice": (lambda g, u: UnassignDevice(device_id=g.spare_id), NotAssigned),
    "AddElement": (lambda g, u: AddElement(device_id=g.device_id, element=realm("x y")), InvalidRequest),
    "UpdateElement": (lambda g, u: UpdateElement(device_id=g.device_id, element=realm("nowhere")), NotFound),
    "DeleteElement": (lambda g, u: DeleteElement(device_id=g.device_id, element=realm("nowhere")), NotFound),
    "ApplyBatch": (
        lambda g, u: ApplyBatch(
            device_id=g.device_id,
            edits=(BatchEdit(BatchVerb.ADD, realm(f"ok-{u}")), BatchEdit(BatchVerb.DELETE, realm("nowhere"))),
        ),
        NotFound,
    ),
}
"""Requests with something else wrong, and what their sender hears who may work on the device."""


def over(user: str) -> type[SdmError]:
    """What cancelling alice's task, which is over, comes to: others have no business with it."""
    master = granted(rights_of(user), Area.LOCK_OVERRIDE) >= Level.FULL
    return Conflict if user == "alice" or master else Forbidden


OWNER_MEETS: Mapping[str, type[SdmError]] = {
    "DeleteDeviceGroup": NotEmpty,
    "AskForLock": InvalidRequest,
    "MoveChanges": NotFound,
}
"""What stops alice herself, who has nothing staged: never the lock."""

LOCK_FAMILY: Mapping[str, type[SdmError] | None] = {
    "LockDevice": DeviceLocked,
    "LockGroup": DeviceLocked,
    "UnlockDevice": NotLockOwner,
    "UnlockGroup": NotLockOwner,
    "LockDevices": DeviceLocked,
    "UnlockDevices": NotLockOwner,
    "OverrideLock": None,
    "AskForLock": None,
    "ConfirmDevice": DeviceLocked,
}
"""What another user hears who has the privilege."""


def rights_of(user: str) -> Mapping[Area, Level]:
    if user == CONSOLE:
        return dict.fromkeys(Area, Level.FULL)
    return {} if user == NOBODY else DEFAULT_RIGHTS[USERS[user]]


def expected(name: str, user: str) -> type[SdmError] | None:
    """The refusal of an operation under alice's lock, None where it is answered."""
    rule = REGISTRY[name].rule
    if rule.kind is Kind.PUBLIC:
        return None
    if user == NOBODY:
        return NotLoggedIn
    if rule.kind is Kind.MACHINERY or rule.area is None or (user == CONSOLE and rule.kind is Kind.LOCK):
        return Forbidden
    if granted(rights_of(user), rule.area) < rule.level:
        return Forbidden
    if name == "CancelTask":
        return over(user)
    if user == "alice":
        return OWNER_MEETS.get(name)
    if rule.kind is Kind.OBSERVE or rule.scope in (Scope.SERVER, Scope.HOST):
        return None
    return LOCK_FAMILY[name] if rule.kind is Kind.LOCK else DeviceLocked


def may_send(user: str, name: str) -> bool:
    """Whether this user has the privilege for an operation, whatever becomes of it."""
    return expected(name, user) not in (Forbidden, NotLoggedIn)


def about_a_device(name: str) -> bool:
    return REGISTRY[name].rule.scope not in (Scope.SERVER, Scope.HOST)


def names(*kinds: Kind, about_devices: bool = False) -> list[str]:
    """The operations of these kinds, all by default."""
    return sorted(
        name
        for name, operation in REGISTRY.items()
        if (not kinds or operation.rule.kind in kinds) and (about_a_device(name) or not about_devices)
    )
