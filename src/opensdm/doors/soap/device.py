"""DeviceMgmtIF: the lock, loading and pushing, and managing devices."""

from __future__ import annotations

from opensdm.core.inventory import Device, wire_id
from opensdm.core.lock import LostLock
from opensdm.core.operations import (
    AssignDevice,
    DiscardChanges,
    LoadConfiguration,
    LockDevice,
    PushAction,
    PushChanges,
    UnassignDevice,
    UnlockDevice,
)
from opensdm.core.results import FAILED, LockReply, PushReply
from opensdm.doors.soap.calls import Answers, Call, Wire, done
from opensdm.gate.policy import utc

OPERATIONS = {PushAction.SAVE: "Save", PushAction.ACTIVATE: "Activate", PushAction.SAVE_ACTIVATE: "SaveAndActivate"}
"""The published words of `SaveDeviceTaskMessage` for what was asked."""


# ----------------------------------------------------------------------------------------- the lock


async def lock_device(call: Call) -> Wire:
    device = await call.target()
    reply: LockReply = await call.execute(LockDevice(device_id=device.device_id))
    return done(f"{device.device_name} is locked", *map(_lost, reply.lost))


async def unlock_device(call: Call) -> Wire:
    """Of a free device also done: nobody holds it."""
    device = await call.target()
    reply: LockReply = await call.execute(UnlockDevice(device_id=device.device_id))
    return done(f"{device.device_name} is unlocked", *map(_lost, reply.lost))


def _lost(lost: LostLock) -> str:
    because = f" ({lost.reason})" if lost.reason else ""
    return (
        f"your earlier lock on {wire_id(lost.device_id)} was taken away by {lost.by_name} at {utc(lost.at_us)}{because}"
    )


# ---------------------------------------------------------------------------------- configurations


async def load_device(call: Call) -> Wire:
    """Make the device managed if it is not, and copy its configuration."""
    device = await call.target()
    if not device.assigned:
        await call.execute(AssignDevice(device_id=device.device_id))
    await call.execute(LoadConfiguration(device_id=device.device_id))
    return done(f"{device.device_name} is loaded")


async def delete_user_changes(call: Call) -> Wire:
    device = await call.target()
    await call.execute(DiscardChanges(device_id=device.device_id))
    return done(f"your changes of {device.device_name} are discarded")


async def save(call: Call) -> Wire:
    return await _push(call, PushAction.SAVE)


async def activate(call: Call) -> Wire:
    return await _push(call, PushAction.ACTIVATE)


async def save_and_activate(call: Call) -> Wire:
    return await _push(call, PushAction.SAVE_ACTIVATE)


async def _push(call: Call, action: PushAction) -> Wire:
    """What is refused before it began is a fault; a push that began is answered by its flags, however it ended."""
    device, session = await call.target(), await call.session()
    reply: PushReply = await call.execute(PushChanges(device_id=device.device_id, action=action))
    return task_message(reply, device, session.session.user_name)


def task_message(reply: PushReply, device: Device, user_name: str) -> Wire:
    """The flags in the words of the REST resource; `tasked` is how the task's id was printed."""
    message = ": ".join(part for part in (reply.error_code, reply.error_message) if part)
    return {
        "operation": OPERATIONS[reply.action],
        "tasked": reply.task_id,
        "taskId": reply.task_id,
        "username": user_name,
        "deviceName": device.device_name,
        "overallStatus": FAILED if reply.error_code else reply.status,
        "isLockSuccess": reply.lock,
        "isValidationSuccess": reply.validation,
        "isEraseCacheSuccess": reply.erase_cache,
        "isCreateSuccess": reply.create,
        "isIntegrityCheckSuccess": reply.integrity_check,
        "isRestoreConfigSuccess": reply.restore,
        "isSaveConfigSuccess": reply.save,
        "isActivateConfigSuccess": reply.activate,
        "isUnlockSuccess": reply.unlock,
        "errorMessage": message or None,
        "validationErrorMessage": reply.validation_message,
    }


# ------------------------------------------------------------------------------------------ managing


async def associate(call: Call) -> Wire:
    device = await call.target()
    await call.execute(AssignDevice(device_id=device.device_id))
    return done(f"{device.device_name} is managed")


async def disassociate(call: Call) -> Wire:
    """The device stays in the inventory."""
    device = await call.target()
    await call.execute(UnassignDevice(device_id=device.device_id))
    return done(f"{device.device_name} is not managed any more")


async def polling_interval(call: Call) -> int:
    """Seconds; 0: devices are not polled."""
    await call.session()
    return round(call.settings.poll_interval_s)


ANSWERS: Answers = {
    "loadDevice": load_device,
    "saveConfig": save,
    "activateConfig": activate,
    "saveAndActivateConfig": save_and_activate,
    "lockDevice": lock_device,
    "unlockDevice": unlock_device,
    "deleteUserChanges": delete_user_changes,
    "getDevicePollingInterval": polling_interval,
    "addDeviceToEMSLicense": associate,
    "addDeviceToEMLicense": associate,
    "removeDeviceFromEMSLicense": disassociate,
    "removeDeviceFromEMLicense": disassociate,
    "disassociateDeviceFromElementManager": disassociate,
}
