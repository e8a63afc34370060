"""Reading and staging elements: our copy, with each user's own changes on top of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opensdm.core.difference import masked
from opensdm.core.effective import added, fold, locate, removed, updated, validate_change
from opensdm.core.element import Element, Schema
from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import AddElement, DeleteElement, ListElements, RetrieveElement, UpdateElement
from opensdm.core.ports import Transaction, Work
from opensdm.core.references import top_of
from opensdm.core.results import ElementsShown
from opensdm.core.validation import element_type, validate
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import Loaded, loaded, still

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


@dataclass(frozen=True, slots=True)
class Staged:
    """An edit: the top-level element without and with it, and what its sender is shown."""

    before: Element | None
    after: Element | None
    shown: Element


Making = Callable[[Loaded], Staged]


def adding(new: Element, parent: Element | None) -> Making:
    def make(view: Loaded) -> Staged:
        validate(view.schema, new)
        return Staged(*added(view.schema, view.elements(new.path), new, parent), masked(view.schema, new))

    return make


def updating(update: Element, parent: Element | None) -> Making:
    def make(view: Loaded) -> Staged:
        before, after = updated(view.schema, view.elements(update.path), update, parent)
        return Staged(before[0], after[0], masked(view.schema, after[-1]))

    return make


def removing(wanted: Element, parent: Element | None) -> Making:
    return lambda view: Staged(*removed(view.schema, view.elements(wanted.path), wanted, parent), wanted)


async def add_element(operation: AddElement, work: Work) -> Element:
    """Stage a new element, or a sub-element of the one `parent` names. Raises AlreadyExists for keys that are there."""
    return await _stage(operation, work, adding(operation.element, operation.parent))


async def update_element(operation: UpdateElement, work: Work) -> Element:
    """Stage new values of some attributes; `xxxx` keeps a secret. Answers the whole element as it will be."""
    return await _stage(operation, work, updating(operation.element, operation.parent))


async def delete_element(operation: DeleteElement, work: Work) -> None:
    """Stage the removal of an element with everything beneath it."""
    await _stage(operation, work, removing(operation.element, operation.parent))


_Staging = AddElement | UpdateElement | DeleteElement


async def _view(
    transaction: Transaction, work: Work, operation: _Staging | ListElements | RetrieveElement, path: str
) -> Loaded:
    """Just the top-level elements that are, or may hold, elements of this type."""
    user_id = work.session.user_id
    return await loaded(transaction, operation.device_id, user_id, operation.change_set, [top_of(path)])


async def _stage(operation: _Staging, work: Work, make: Making) -> Element:
    """What takes long is done on what was read before; it is done again where that is no longer so."""
    user_id, path = work.session.user_id, operation.element.path
    seen = await work.read(lambda transaction: _view(transaction, work, operation, path))
    made = await aside(make, seen)

    async def effect(transaction: Transaction) -> Element:
        view, staged = seen, made
        if not await still(transaction, seen, user_id, operation.change_set):
            view = await _view(transaction, work, operation, path)
            staged = make(view)
        change = fold(view.schema, view.changes, staged.before, staged.after, transaction.now_us)
        validate_change(view.schema, change)
        await transaction.configurations.put_change(user_id, operation.device_id, change, operation.change_set)
        return staged.shown

    return await work.commit(effect)


HANDLERS_HERE = {
    ListElements: list_elements,
    RetrieveElement: retrieve_element,
    AddElement: add_element,
    UpdateElement: update_element,
    DeleteElement: delete_element,
}
