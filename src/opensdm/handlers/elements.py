"""Reading and staging elements: our copy, with each user's own changes on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opensdm.core.difference import masked
from opensdm.core.effective import added, fold, locate, removed, replaced, updated, validate_change
from opensdm.core.element import Element, Schema
from opensdm.core.errors import InvalidRequest, SdmError
from opensdm.core.operations import (
    AddElement,
    ApplyBatch,
    BatchEdit,
    BatchVerb,
    DeleteElement,
    ListElements,
    RetrieveElement,
    UpdateElement,
)
from opensdm.core.ports import Transaction, Work
from opensdm.core.references import top_of
from opensdm.core.results import ElementsShown
from opensdm.core.staging import PendingChange
from opensdm.core.validation import Key, element_type, validate
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import Loaded, loaded

# ------------------------------------------------------------------------------------------- reading


async def list_elements(operation: ListElements, work: Work) -> ElementsShown:
    """Elements of one type with the caller's changes applied; of a sub-element type, from all elements that have it."""
    if not operation.element_path:
        raise InvalidRequest("which elements? Say so with elementTypePath")
    view = await work.read(lambda tx: _view(tx, work, operation, operation.element_path))
    element_type(view.schema, operation.element_path)
    found = await aside(_of_type, view, operation.element_path)
    last = None if operation.limit is None else operation.offset + operation.limit
    page = await aside(all_masked, view.schema, found[operation.offset : last])
    return ElementsShown(page, len(found), operation.offset)


async def retrieve_element(operation: RetrieveElement, work: Work) -> Element:
    """One element by its keys; whatever else the request carries is not looked at."""
    path = operation.element.path
    view = await work.read(lambda tx: _view(tx, work, operation, path))
    return await aside(_located, view, operation.element, operation.parent)


def _located(view: Loaded, wanted: Element, parent: Element | None) -> Element:
    return masked(view.schema, locate(view.schema, view.elements(wanted.path), wanted, parent)[-1])


def all_masked(schema: Schema, elements: Sequence[Element]) -> tuple[Element, ...]:
    return tuple(masked(schema, element) for element in elements)


def _of_type(view: Loaded, path: str) -> list[Element]:
    return [e for top in view.elements(path) for e in top.walk() if e.path == path]


# ------------------------------------------------------------------------------------------- staging


async def add_element(operation: AddElement, work: Work) -> Element:
    """Stage a new element, or a sub-element of the one `parent` names. Raises AlreadyExists for keys that are there."""
    new = operation.element

    async def effect(transaction: Transaction) -> Element:
        view = await _view(transaction, work, operation, new.path)
        validate(view.schema, new)
        before, after = added(view.schema, view.elements(new.path), new, operation.parent)
        await _stage(transaction, work, operation, view, before, after)
        return masked(view.schema, new)

    return await work.commit(effect)


async def update_element(operation: UpdateElement, work: Work) -> Element:
    """Stage new values of some attributes; `xxxx` keeps a secret. Answers the whole element as it will be."""

    async def effect(transaction: Transaction) -> Element:
        path = operation.element.path
        view = await _view(transaction, work, operation, path)
        before, after = updated(view.schema, view.elements(path), operation.element, operation.parent)
        await _stage(transaction, work, operation, view, before[0], after[0])
        return masked(view.schema, after[-1])

    return await work.commit(effect)


async def delete_element(operation: DeleteElement, work: Work) -> None:
    """Stage the removal of an element with everything beneath it."""

    async def effect(transaction: Transaction) -> None:
        path = operation.element.path
        view = await _view(transaction, work, operation, path)
        before, after = removed(view.schema, view.elements(path), operation.element, operation.parent)
        await _stage(transaction, work, operation, view, before, after)

    await work.commit(effect)


async def apply_batch(operation: ApplyBatch, work: Work) -> None:
    """Stage many edits in one transaction. An edit that cannot be made is named by its place, and none is staged."""
    if not operation.edits:
        raise InvalidRequest("the batch holds no edit")

    async def effect(transaction: Transaction) -> None:
        tops = tuple(dict.fromkeys(top_of(edit.element.path) for edit in operation.edits))
        user_id, device_id, change_set = work.session.user_id, operation.device_id, operation.change_set
        view = await loaded(transaction, device_id, user_id, change_set, tops)
        staged: dict[Key, PendingChange] = {}
        for number, edit in enumerate(operation.edits, 1):
            try:
                change = _folded(view, edit, transaction.now_us)
            except SdmError as error:
                error.message = f"edit {number} of {len(operation.edits)} ({edit.verb.value}): {error.message}"
                error.args = (error.message,)
                error.facts["edit"] = number
                raise
            staged[(change.path, change.key)] = change
            others = tuple(c for c in view.changes if (c.path, c.key) != (change.path, change.key))
            view = replace(view, changes=(*others, change))
        for change in staged.values():
            await transaction.configurations.put_change(user_id, device_id, change, change_set)

    await work.commit(effect)


def _folded(view: Loaded, edit: BatchEdit, now_us: int) -> PendingChange:
    """One edit of a batch as the pending change of its top-level element."""
    schema, element, elements = view.schema, edit.element, view.elements(edit.element.path)
    before: Element | None
    after: Element | None
    match edit.verb:
        case BatchVerb.ADD:
            validate(schema, element)
            before, after = added(schema, elements, element, edit.parent)
        case BatchVerb.UPDATE:
            old, new = updated(schema, elements, element, edit.parent)
            before, after = old[0], new[0]
        case BatchVerb.REPLACE:
            validate(schema, element)
            old, new = replaced(schema, elements, element, edit.parent)
            before, after = old[0], new[0]
        case BatchVerb.DELETE:
            before, after = removed(schema, elements, element, edit.parent)
    change = fold(schema, view.changes, before, after, now_us)
    validate_change(schema, change)
    return change


_Staging = AddElement | UpdateElement | DeleteElement


async def _view(
    transaction: Transaction, work: Work, operation: _Staging | ListElements | RetrieveElement, path: str
) -> Loaded:
    """Just the top-level elements that are, or may hold, elements of this type."""
    user_id = work.session.user_id
    return await loaded(transaction, operation.device_id, user_id, operation.change_set, [top_of(path)])


async def _stage(
    transaction: Transaction,
    work: Work,
    operation: _Staging,
    view: Loaded,
    before: Element | None,
    after: Element | None,
) -> None:
    change = fold(view.schema, view.changes, before, after, transaction.now_us)
    validate_change(view.schema, change)
    user_id = work.session.user_id
    await transaction.configurations.put_change(user_id, operation.device_id, change, operation.change_set)


HANDLERS_HERE = {
    ListElements: list_elements,
    RetrieveElement: retrieve_element,
    AddElement: add_element,
    UpdateElement: update_element,
    DeleteElement: delete_element,
    ApplyBatch: apply_batch,
}
