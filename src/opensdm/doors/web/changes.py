"""What its reader has staged on a device: old beside new, discarded one by one or all, and what a push would send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from opensdm.core.difference import Difference
from opensdm.core.element import Element
from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import DiscardChanges, ListChangeSets, PreviewPush, PushAction
from opensdm.core.results import ChangesShown, PushPreview
from opensdm.core.staging import ChangeSet, PendingChange
from opensdm.core.validation import Key, describe_key, key_of
from opensdm.doors.web.places import Place, place_of
from opensdm.doors.web.provisioning import Desk, base_of, desk, go_on, page
from opensdm.doors.web.routing import Call, Reply, Route


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute: what it was and what it becomes; None: not there. `of`: the sub-element, "" for the element."""

    of: str
    attribute: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One staged change of an element."""

    change: PendingChange
    place: Place
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        return describe_key((self.change.path, self.change.key))


async def show_changes(call: Call) -> Reply:
    at = await desk(call)
    return page(
        call, "changes.html", at, active_tab="changes", staged=side_by_side(at, at.changes), sets=await sets_of(call),
        set_name="", open="",
    )  # fmt: skip


async def sets_of(call: Call) -> list[ChangeSet]:
    """Those with a name."""
    found: tuple[ChangeSet, ...] = await call.execute(ListChangeSets(device_id=call.id("device")))
    return [each for each in found if each.name]


def side_by_side(at: Desk, shown: ChangesShown) -> list[Shown]:
    staged, each = shown.changes, shown.of_each
    return [
        Shown(change, Place(((change.path, change.key),)), tuple(_lines(at, change, found)))
        for change, found in zip(staged, each, strict=True)
    ]


def _lines(at: Desk, change: PendingChange, found: Sequence[Difference]) -> Iterator[Line]:
    """An element that comes or goes is told value by value."""
    for each in found:
        of = "" if each.path == change.path else describe_key((each.path.rpartition("/")[2], each.key))
        if each.attribute is not None:
            yield Line(of, each.attribute, each.old, each.new)
            continue
        coming = each.old is None
        whole = _within(at, change.after if coming else change.before, (each.path, each.key))
        for element in () if whole is None else whole.walk():
            yield from _whole(at, change, element, coming=coming)


def _whole(at: Desk, change: PendingChange, element: Element, *, coming: bool) -> Iterator[Line]:
    path, key = key_of(at.schema, element)
    of = "" if path == change.path else describe_key((path.rpartition("/")[2], key))
    values = [(name, value) for name, value in element.attributes.items() if value]
    for name, value in values or [("", "present")]:
        yield Line(of, name, None if coming else value, value if coming else None)


def _within(at: Desk, top: Element | None, wanted: Key) -> Element | None:
    return None if top is None else next((e for e in top.walk() if key_of(at.schema, e) == wanted), None)


# ---------------------------------------------------------------------------------------- discarding


async def discard(call: Call) -> Reply:
    """One change, which the form names, or with `all` every one."""
    device_id = call.id("device")
    if call.sent("all") == "yes":
        await call.execute(DiscardChanges(device_id=device_id))
        return go_on(call, f"{base_of(device_id)}/changes", "discarded-all")
    path, key = place_of(call.sent("at")).steps[0]
    await call.execute(DiscardChanges(device_id=device_id, element_path=path, key=key))
    return go_on(call, f"{base_of(device_id)}/changes", "discarded")


# ------------------------------------------------------------------------------------------- preview


async def preview(call: Call) -> Reply:
    """Asks the device; nothing is written to it."""
    found: PushPreview = await call.execute(PreviewPush(device_id=call.id("device"), action=sent_action(call)))
    return Reply.page("push_preview.html", preview=found, base=base_of(call.id("device")), outside=_told(found.outside))


def _told(found: Iterable[Difference]) -> list[Line]:
    return [Line(describe_key((d.path, d.key)), d.attribute or "", d.old, d.new) for d in found]


def sent_action(call: Call) -> PushAction:
    try:
        return PushAction(call.sent("action"))
    except ValueError:
        expected = ", ".join(PushAction)
        raise InvalidRequest(f"action: expected one of {expected}", field="action") from None


_BASE = "/devices/{device}/provisioning"
ROUTES = (
    Route("GET", _BASE + "/changes", show_changes),
    Route("POST", _BASE + "/discard", discard),
    Route("POST", _BASE + "/preview", preview),
)
