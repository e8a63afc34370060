"""Batches of edits: staged in order, each on what those before it leave, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from opensdm.core.effective import fold, replaced, validate_change
from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest, SdmError
from opensdm.core.operations import ApplyBatch, BatchEdit, BatchVerb
from opensdm.core.ports import Transaction, Work
from opensdm.core.references import top_of
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key, validate
from opensdm.handlers.aside import aside
from opensdm.handlers.elements import Making, Staged, adding, removing, updating
from opensdm.handlers.loaded import Loaded, loaded, still


def replacing(new: Element, parent: Element | None) -> Making:
    def make(view: Loaded) -> Staged:
        validate(view.schema, new)
        before, after = replaced(view.schema, view.elements(new.path), new, parent)
        return Staged(before[0], after[0], new)

    return make


MAKING: Mapping[BatchVerb, Callable[[Element, Element | None], Making]] = {
    BatchVerb.ADD: adding,
    BatchVerb.UPDATE: updating,
    BatchVerb.REPLACE: replacing,
    BatchVerb.DELETE: removing,
}


async def apply_batch(operation: ApplyBatch, work: Work) -> None:
    """An edit that cannot be made is named by its place in the error, and none is staged."""
    if not operation.edits:
        raise InvalidRequest("the batch holds no edit")
    user_id, device_id, change_set = work.session.user_id, operation.device_id, operation.change_set
    tops = tuple(dict.fromkeys(top_of(edit.element.path) for edit in operation.edits))

    async def view(transaction: Transaction) -> Loaded:
        return await loaded(transaction, device_id, user_id, change_set, tops)

    seen = await work.read(view)
    made = await aside(staged, seen, operation.edits)

    async def effect(transaction: Transaction) -> None:
        changes = made
        if not await still(transaction, seen, user_id, change_set):
            changes = staged(await view(transaction), operation.edits)
        for change in changes:
            timed = replace(change, at_us=transaction.now_us)
            await transaction.configurations.put_change(user_id, device_id, timed, change_set)

    await work.commit(effect)


def staged(view: Loaded, edits: Sequence[BatchEdit]) -> tuple[PendingChange, ...]:
    """The pending changes that the edits leave; they have no time yet."""
    found: dict[Key, PendingChange] = {}
    for number, edit in enumerate(edits, 1):
        try:
            change = _folded(view, edit)
        except SdmError as error:
            error.message = f"edit {number} of {len(edits)} ({edit.verb.value}): {error.message}"
            error.args = (error.message,)
            error.facts["edit"] = number
            raise
        key = change.path, change.key
        found[key] = change
        view = replace(view, changes=(*(c for c in view.changes if (c.path, c.key) != key), change))
    return tuple(found.values())


def _folded(view: Loaded, edit: BatchEdit) -> PendingChange:
    made = MAKING[edit.verb](edit.element, edit.parent)(view)
    change = fold(view.schema, view.changes, made.before, made.after, 0)
    validate_change(view.schema, change)
    return change


HANDLERS_HERE = {ApplyBatch: apply_batch}
