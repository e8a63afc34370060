"""What is told of those who are in the way, beyond what the rules know of them."""

from __future__ import annotations

from dataclasses import replace

from opensdm.core.errors import SdmError
from opensdm.core.lock import Blocker
from opensdm.core.ports import LockView, Transaction
from opensdm.core.submission import ReaderPort

EXPLAINED = 20


async def with_standing(reader: ReaderPort, blockers: tuple[Blocker, ...]) -> tuple[Blocker, ...]:
    """The next question after "who": are they still there? Looked up for the first few holders only."""
    asked = [b.device_id for b in blockers if b.kind == "lock"][:EXPLAINED]

    async def look(transaction: Transaction) -> dict[int, LockView]:
        return {view.row.device_id: view for view in await transaction.locks.locks_on(asked)}

    try:
        views = await reader.read(look) if asked else {}
    except SdmError:
        return blockers  # the refusal stands as it is; what else could be said of it is not to be had
    return tuple(_standing(b, views.get(b.device_id)) for b in blockers)


def _standing(blocker: Blocker, view: LockView | None) -> Blocker:
    if blocker.kind != "lock" or view is None or view.row.epoch != blocker.epoch:
        return blocker
    running = view.running[0].operation if view.running else None
    return replace(blocker, running=running, idle_s=view.idle_s, holder_logged_in=view.holder_logged_in)
