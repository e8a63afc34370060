"""The push: a user's staged changes onto the device, step by step, each with its published flag.

Whatever refuses before the device is asked to change anything raises. From the device's own lock on, the
answer is a `PushReply` that says how far it came. After a loss of the lock nothing more is sent: no
rollback, not even an unlock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from opensdm.core.difference import Difference, differences, missing_from, same
from opensdm.core.element import Element, Schema
from opensdm.core.errors import (
    DeviceSideLocked,
    EditLost,
    LockLost,
    Rejected,
    RollbackFailed,
    SdmError,
    StaleConfiguration,
    Unreachable,
)
from opensdm.core.operations import PushAction, PushChanges
from opensdm.core.permit import Permit, Write
from opensdm.core.ports import DeviceConnection, ElementEdit, Transaction, Work
from opensdm.core.results import FAILED, SUCCEEDED, UNKNOWN, PushReply
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key, describe_key, key_of
from opensdm.core.versions import Source, VersionNote
from opensdm.handlers.configuration import IN_SYNC, SAVED_ONLY, UNCERTAIN
from opensdm.handlers.loaded import Loaded, loaded
from opensdm.handlers.staleness import check_changes, refuse_stale

LAST_OPERATION = {
    PushAction.SAVE: "Save",
    PushAction.ACTIVATE: "Activate",
    PushAction.SAVE_ACTIVATE: "SaveAndActivate",
}


async def push_changes(operation: PushChanges, work: Work) -> PushReply:
    view = await work.read(lambda transaction: loaded(transaction, operation.device_id, work.session.user_id))
    changes = () if operation.action is PushAction.ACTIVATE else view.changes
    check_changes(view, changes)
    connection = await work.connect(operation.device_id)
    push = Push(operation, work, view, changes, connection)
    return await push.run()


class Push:
    """One push on its way; `reply` collects the flags."""

    def __init__(
        self,
        operation: PushChanges,
        work: Work,
        view: Loaded,
        changes: Sequence[PendingChange],
        device: DeviceConnection,
    ) -> None:
        self._work = work
        self._view = view
        self._schema: Schema = view.schema
        self._changes = changes
        self._device = device
        self._permit: Permit[Write] = work.permit_write()
        self._action = operation.action
        self._wrote = False
        self._saved = False
        self._leftovers = False
        self.reply = PushReply(operation.action, task_id=work.request_id)

    async def run(self) -> PushReply:
        if await self._firmware_changed():
            return self.reply
        await self._compare_with_device()
        try:
            failure = await self._on_device()
        except LockLost as lost:
            return self._failed(lost)
        if failure is not None:
            return await self._after_failure(failure)
        return await self._after_success()

    # ---------------------------------------------------------------------------- before anything is sent

    async def _firmware_changed(self) -> bool:
        """The published API has a flag of its own for this, so it is no refusal."""
        facts = await self._device.facts(self._permit)
        was = self._view.device.software_version
        if facts.software_version == was:
            return False
        self.reply = replace(
            self.reply, firmware_changed=True, error_code=StaleConfiguration.code,
            error_message=f"the device runs {facts.software_version} now; our copy is of {was}: load it again",
        )  # fmt: skip
        return True

    async def _compare_with_device(self) -> None:
        """Refuse when the device no longer holds what the changes are based on.

        After work that was cut short all of it is compared. What only that work can have left behind, because the
        running configuration is still ours, is cleaned up once the device is locked.
        """
        suspect = self._work.uncertain or self._view.device.status == UNCERTAIN
        if suspect and self._action is not PushAction.ACTIVATE:
            self._leftovers = bool(await self._whole_difference(running=False))
            if self._leftovers and self._base == "running":
                refuse_stale(await self._whole_difference(running=True), "the device runs something else")
            return
        if self._changes:
            theirs = await self._read_touched()
            found = [d for c in self._changes for d in differences(self._schema, c.before, theirs.get((c.path, c.key)))]
            refuse_stale(found, "the device holds something else")

    @property
    def _base(self) -> str:
        """Where the device keeps what our copy is a copy of."""
        return "saved" if self._view.device.last_operation == LAST_OPERATION[PushAction.SAVE] else "running"

    async def _whole_difference(self, *, running: bool) -> list[Difference]:
        theirs = _by_key(self._schema, await self._device.read_elements(self._permit, self._schema, running=running))
        ours = _by_key(self._schema, self._view.configuration.elements)
        return [
            d for key in {**ours, **theirs} if not same(self._schema, ours.get(key), theirs.get(key))
            for d in differences(self._schema, ours.get(key), theirs.get(key))
        ]  # fmt: skip

    async def _read_touched(self) -> dict[Key, Element]:
        paths = list(dict.fromkeys(change.path for change in self._changes))
        return _by_key(self._schema, await self._device.read_elements(self._permit, self._schema, paths))

    # --------------------------------------------------------------------------------------- on the device

    async def _on_device(self) -> SdmError | None:
        """Everything that may change the device; the failure, if it failed. Raises LockLost only."""
        failure = await self._tried(self._lock())
        if failure is not None:
            return failure
        failure = await self._tried(self._apply())
        if failure is not None and self._wrote:
            failure = await self._roll_back(failure)
        unlocking = await self._tried(self._unlock())
        if unlocking is not None:
            # Not getting rid of the device's lock undoes nothing of what was done; it falls with its session.
            self.reply = replace(self.reply, error_message=unlocking.message)
        return failure

    async def _tried(self, part: Coroutine[Any, Any, None]) -> SdmError | None:
        """The failure of one part, if it failed; LockLost passes, since it ends everything."""
        try:
            await part
        except LockLost:
            raise
        except SdmError as failure:
            return failure
        return None

    async def _lock(self) -> None:
        async with self._stage("lock"):
            await self._device.lock(self._permit)

    async def _unlock(self) -> None:
        async with self._stage("unlock"):
            await self._device.unlock(self._permit)

    async def _apply(self) -> None:
        if self._leftovers:
            await self._clean_up()
        if self._action is not PushAction.ACTIVATE:
            if self._changes:
                await self._write()
            await self._verify()
            if self._changes:
                await self._read_back()
            async with self._stage("save"):
                await self._device.save(self._permit)
            self._saved = True
        if self._action is not PushAction.SAVE:
            async with self._stage("activate"):
                await self._device.activate(self._permit)

    async def _clean_up(self) -> None:
        """Take back what work that was cut short left in the device's editing configuration."""
        self._wrote = True
        await self._device.restore(self._permit, self._base)
        refuse_stale(await self._whole_difference(running=False), "the device holds something else")

    async def _write(self) -> None:
        async with self._stage("create"):
            # What goes makes room for what comes.
            for change in sorted(self._changes, key=lambda c: c.after is not None):
                self._wrote = True
                await self._device.write(self._permit, self._schema, ElementEdit(change.before, change.after))

    async def _verify(self) -> None:
        async with self._stage("validation"):
            words = await self._device.verify(self._permit)
            if words is not None:
                self.reply = replace(self.reply, validation_message=words)
                raise Rejected(f"the device does not accept the configuration: {words}")

    async def _read_back(self) -> None:
        """A device may say yes and lose the edit; what it holds is what counts."""
        async with self._stage("integrity_check"):
            theirs = await self._read_touched()
            lost = [
                d for change in self._changes for d in self._shortfall(change, theirs.get((change.path, change.key)))
            ]
            if lost:
                names = dict.fromkeys(describe_key((d.path, d.key)) for d in lost)
                raise EditLost(
                    f"the device said yes and did not do it: {', '.join([*names][:5])} reads back differently; "
                    "the staged changes are kept"
                )

    def _shortfall(self, change: PendingChange, theirs: Element | None) -> list[Difference]:
        if change.after is None:
            return differences(self._schema, None, theirs)
        return missing_from(self._schema, change.after, theirs)

    async def _roll_back(self, problem: SdmError) -> SdmError:
        """Put back what was there before; answers what to report. Raises LockLost only."""
        second = await self._tried(self._restore())
        if second is None:
            return problem
        return RollbackFailed(
            f"{problem.message}. Putting the old configuration back failed, too: {second.message}. "
            "What the device holds now is uncertain; the next push or load looks",
            cause=problem.code,
        )

    async def _restore(self) -> None:
        async with self._stage("restore"):
            source = "running" if self._saved else self._base
            try:
                await self._device.restore(self._permit, source)
            except (Rejected, DeviceSideLocked):
                # The device's lock may have gone with a session it ended; with a new one the old state is in reach.
                await self._device.lock(self._permit)
                await self._device.restore(self._permit, source)
            if self._saved:
                await self._device.save(self._permit)
            await self._confirm_restored()

    async def _confirm_restored(self) -> None:
        theirs = await self._read_touched()
        left = [d for c in self._changes for d in differences(self._schema, c.before, theirs.get((c.path, c.key)))]
        if left:
            raise EditLost("the device still holds some of the changes")

    @asynccontextmanager
    async def _stage(self, flag: str) -> AsyncIterator[None]:
        """Sets the published flag of one stage by how it ends."""
        try:
            yield
        except Unreachable:
            self._flag(flag, UNKNOWN)
            raise
        except SdmError:
            self._flag(flag, FAILED)
            raise
        self._flag(flag, SUCCEEDED)

    def _flag(self, flag: str, value: str) -> None:
        flags: dict[str, Any] = {flag: value}
        self.reply = replace(self.reply, **flags)

    # ---------------------------------------------------------------------------------------- afterwards

    async def _after_success(self) -> PushReply:
        """The device holds the changes; our copy becomes what it shows. Failing here undoes nothing there."""
        try:
            await self._record(await self._new_copy())
        except SdmError as problem:
            return self._failed(
                problem, "the device took the changes over, but our copy could not be brought up to date"
            )
        note = None if self._changes or self._action is PushAction.ACTIVATE else "there were no staged changes"
        return replace(self.reply, status=SUCCEEDED, validation_message=note)

    async def _new_copy(self) -> tuple[Element, ...]:
        """Our copy with the touched types as the device shows them; all of them when more than our edits may be new."""
        running = self._action is not PushAction.SAVE
        if not self._changes or self._view.device.status != IN_SYNC:
            return await self._device.read_elements(self._permit, self._schema, running=running)
        touched = list(dict.fromkeys(change.path for change in self._changes))
        theirs = await self._device.read_elements(self._permit, self._schema, touched, running=running)
        kept = [e for e in self._view.configuration.elements if e.path not in touched]
        return (*kept, *theirs)

    async def _record(self, elements: tuple[Element, ...]) -> None:
        device, session = self._view.device, self._work.session
        note = VersionNote(Source.PUSH, session.user_name, self._work.request_id, device.software_version)
        status = SAVED_ONLY if self._action is PushAction.SAVE else IN_SYNC

        async def effect(transaction: Transaction) -> None:
            await transaction.configurations.save_configuration(device.device_id, elements, note)
            await self._clear_pushed(transaction, _by_key(self._schema, elements))
            await transaction.inventory.set_operation(
                device.device_id, last_operation=LAST_OPERATION[self._action], status=status
            )

        await self._work.commit(effect)

    async def _clear_pushed(self, transaction: Transaction, stored: Mapping[Key, Element]) -> None:
        """What was pushed is staged no more; what its owner staged meanwhile stays, on its new base."""
        user_id, device_id = self._work.session.user_id, self._view.device.device_id
        present = {(c.path, c.key): c for c in await transaction.configurations.changes(user_id, device_id)}
        for pushed in self._changes:
            now = present.get((pushed.path, pushed.key))
            if now is not None:
                base = stored.get((pushed.path, pushed.key))
                after = base if now.after == pushed.after else now.after
                await transaction.configurations.put_change(user_id, device_id, replace(now, before=base, after=after))

    async def _after_failure(self, failure: SdmError) -> PushReply:
        if isinstance(failure, RollbackFailed):
            await self._mark_uncertain()
        return self._failed(failure)

    async def _mark_uncertain(self) -> None:
        device = self._view.device

        async def effect(transaction: Transaction) -> None:
            await transaction.inventory.set_operation(
                device.device_id, last_operation=device.last_operation, status=UNCERTAIN
            )

        try:
            await self._work.commit(effect)
        except SdmError:
            return  # the gate marks the claim's end uncertain where its fence or an open step says so

    def _failed(self, failure: SdmError, note: str | None = None) -> PushReply:
        message = failure.message if note is None else f"{note}: {failure.message}"
        return replace(self.reply, status=FAILED, error_code=failure.code, error_message=message)


def _by_key(schema: Schema, elements: Sequence[Element]) -> dict[Key, Element]:
    return {key_of(schema, element): element for element in elements}


HANDLERS_HERE = {PushChanges: push_changes}
