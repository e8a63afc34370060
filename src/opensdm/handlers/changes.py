"""A user's staged changes as a whole: shown, discarded, and based anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from opensdm.core.difference import Difference, differences, masked
from opensdm.core.element import Element, Schema
from opensdm.core.errors import Conflict, InvalidRequest, NotFound, RebaseConflict
from opensdm.core.operations import (
    DiscardChanges,
    ListChangeSets,
    MoveChanges,
    Prefer,
    RebaseChanges,
    ShowPendingChanges,
)
from opensdm.core.ports import Transaction, Work
from opensdm.core.rebase import Clash, Rebased, rebase
from opensdm.core.results import ChangesShown, RebaseReply
from opensdm.core.staging import ChangeSet, PendingChange, check_set_name
from opensdm.core.validation import describe_key
from opensdm.handlers.aside import aside
from opensdm.handlers.loaded import Loaded, changed_types, loaded, still
from opensdm.handlers.staleness import MAX_DIFFERENCES, named


async def show_pending_changes(operation: ShowPendingChanges, work: Work) -> ChangesShown:
    check_set_name(operation.change_set)

    async def query(transaction: Transaction) -> tuple[list[PendingChange], Schema | None]:
        device = await transaction.inventory.device(operation.device_id)
        changes = await transaction.configurations.changes(
            work.session.user_id, operation.device_id, operation.change_set
        )
        return changes, await transaction.configurations.schema(device.platform, device.software_version)

    changes, schema = await work.read(query)
    return await aside(_shown, schema, changes)


async def list_change_sets(operation: ListChangeSets, work: Work) -> tuple[ChangeSet, ...]:
    async def query(transaction: Transaction) -> list[ChangeSet]:
        await transaction.inventory.device(operation.device_id)
        return await transaction.configurations.change_sets(work.session.user_id, operation.device_id)

    return tuple(await work.read(query))


async def discard_changes(operation: DiscardChanges, work: Work) -> None:
    """The caller's own changes only, of one change set. Raises NotFound for the one that is not staged."""
    check_set_name(operation.change_set)
    whose = work.session.user_id, operation.device_id

    async def effect(transaction: Transaction) -> None:
        await transaction.inventory.device(operation.device_id)
        if operation.element_path is None:
            await transaction.configurations.discard_changes(*whose, operation.change_set)
            return
        staged = await transaction.configurations.changes(*whose, operation.change_set)
        wanted = operation.element_path, operation.key
        change = next((c for c in staged if (c.path, c.key) == wanted), None)
        if change is None:
            raise NotFound(f"you have nothing staged for {describe_key(wanted)}", elementTypePath=wanted[0])
        undone = replace(change, after=change.before)
        await transaction.configurations.put_change(*whose, undone, operation.change_set)

    await work.commit(effect)


async def move_changes(operation: MoveChanges, work: Work) -> None:
    """Each keeps what it is based on. Raises NotFound for a set that holds nothing, and Conflict, moving nothing, where
    the other set holds a change of the same element.
    """
    source, target = check_set_name(operation.change_set), check_set_name(operation.into)
    if source == target:
        raise InvalidRequest(f"the changes are in {_set_words(source)} already; name another set", field="into")
    whose = work.session.user_id, operation.device_id

    async def effect(transaction: Transaction) -> None:
        await transaction.inventory.device(operation.device_id)
        store = transaction.configurations
        moving, there = await store.changes(*whose, source), await store.changes(*whose, target)
        if not moving:
            raise NotFound(f"you have nothing staged in {_set_words(source)}", changeSet=source)
        held = {(change.path, change.key) for change in there}
        if both := [(c.path, c.key) for c in moving if (c.path, c.key) in held]:
            raise Conflict(
                f"{_set_words(target)} holds changes of the same: {named(both)}; nothing was moved. Push or discard "
                "one of each first, or choose another name",
                changeSet=target, total=len(both),
            )  # fmt: skip
        for change in moving:
            await store.put_change(*whose, change, target)
        await store.discard_changes(*whose, source)

    await work.commit(effect)


def _set_words(name: str) -> str:
    return f"the change set {name!r}" if name else "the change set without a name"


async def rebase_changes(operation: RebaseChanges, work: Work) -> RebaseReply:
    """Lay the caller's changes over our present copy. Raises RebaseConflict, and changes nothing, where both sides
    changed an attribute and the caller prefers neither.
    """
    user_id, device_id, change_set = work.session.user_id, operation.device_id, operation.change_set

    async def view(transaction: Transaction) -> Loaded:
        return await loaded(transaction, device_id, user_id, change_set, changed_types)

    def make(view: Loaded) -> Rebased:
        done = rebase(view.schema, view.configuration.elements, view.changes, operation.prefer)
        if done.clashes and operation.prefer is Prefer.NONE:
            raise _conflict(done.clashes)
        return done

    seen = await work.read(view)
    made = await aside(make, seen)

    async def effect(transaction: Transaction) -> tuple[Rebased, Schema]:
        known = await still(transaction, seen, user_id, change_set)
        base = seen if known else await view(transaction)
        done = made if known else make(base)
        for change in (*done.dropped, *done.changes):
            await transaction.configurations.put_change(user_id, device_id, change, change_set)
        return done, base.schema

    done, schema = await work.commit(effect)
    return RebaseReply(tuple(shown_change(schema, c) for c in done.changes), done.clashes, len(done.dropped))


def _conflict(clashes: Sequence[Clash]) -> RebaseConflict:
    return RebaseConflict(
        f"both sides changed the same: {named((c.path, c.key) for c in clashes)}; nothing was rebased. "
        "Say whose values to take, mine or theirs, or stage these elements anew",
        conflicts=[shown_clash(clash) for clash in clashes[:MAX_DIFFERENCES]],
        total=len(clashes),
    )


def shown_clash(clash: Clash) -> dict[str, object]:
    """A clash as the typed fact of an error."""
    return {
        "elementTypePath": clash.path, "key": list(clash.key), "attribute": clash.attribute, "base": clash.base,
        "mine": clash.mine, "theirs": clash.theirs,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------- showing


def staged_differences(schema: Schema, changes: Sequence[PendingChange]) -> list[Difference]:
    """What changes do, attribute by attribute; secrets are masked."""
    return [d for c in changes for d in differences(schema, c.before, c.after)]


def shown_change(schema: Schema | None, change: PendingChange) -> PendingChange:
    return replace(change, before=_shown_element(schema, change.before), after=_shown_element(schema, change.after))


def _shown(schema: Schema | None, changes: Sequence[PendingChange]) -> ChangesShown:
    of_each = tuple(tuple(_differences_known(schema, change)) for change in changes)
    found = tuple(difference for each in of_each for difference in each)
    return ChangesShown(tuple(shown_change(schema, change) for change in changes), found, of_each)


def _differences_known(schema: Schema | None, change: PendingChange) -> list[Difference]:
    """None where the schema is not there that would tell."""
    if schema is None or change.path not in schema.types:
        return []
    return differences(schema, change.before, change.after)


def _shown_element(schema: Schema | None, element: Element | None) -> Element | None:
    """Without the schema nobody can tell which values are secret, so none is shown."""
    if element is None:
        return None
    if schema is None or element.path not in schema.types:
        return Element(element.path)
    return masked(schema, element)


HANDLERS_HERE = {
    ShowPendingChanges: show_pending_changes,
    ListChangeSets: list_change_sets,
    DiscardChanges: discard_changes,
    MoveChanges: move_changes,
    RebaseChanges: rebase_changes,
}
