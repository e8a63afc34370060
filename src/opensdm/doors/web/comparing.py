"""Device, our copy and what is staged, side by side; and staged changes based on what is there now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opensdm.core.difference import Difference
from opensdm.core.errors import InvalidRequest, RebaseConflict
from opensdm.core.operations import CheckSync, LoadConfiguration, Prefer, RebaseChanges
from opensdm.core.rebase import Clash
from opensdm.core.results import SyncReport
from opensdm.core.validation import describe_key
from opensdm.doors.errors import row as error_row
from opensdm.doors.web.provisioning import base_of, desk, go_on, page
from opensdm.doors.web.routing import Call, Reply, Route

Where = tuple[str, tuple[str, ...], str | None]


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """One attribute of an element: what the change was based on, what its owner wants, what the device has.

    `attribute` "": the element itself, which reads `present` or None.
    """

    element: str
    attribute: str
    base: str | None
    mine: str | None
    theirs: str | None
    clash: bool = False

    @property
    def whose(self) -> str:
        return "both" if self.clash else "mine" if self.mine != self.base else "theirs"


async def show_comparison(call: Call) -> Reply:
    """The page asks for the comparison by itself: the device is read for it, which may take a while."""
    return page(call, "comparison.html", await desk(call), active_tab="comparison", open="")


async def compare(call: Call) -> Reply:
    report: SyncReport = await call.execute(CheckSync(device_id=call.id("device")))
    return Reply.page(
        "comparison_report.html", base=base_of(call.id("device")), report=report, rows=three_ways(report),
        refused="",
    )  # fmt: skip


async def rebase(call: Call) -> Reply:
    """With `load`, our copy is brought up to date first. Where both changed the same and neither is preferred,
    nothing is rebased, and what they disagree on is shown with the choice."""
    device_id = call.id("device")
    prefer = _prefer(call.sent("prefer"))
    if call.sent("load") == "yes":
        await call.execute(LoadConfiguration(device_id=device_id))
    try:
        await call.execute(RebaseChanges(device_id=device_id, prefer=prefer))
    except RebaseConflict as error:
        if not call.fragment:
            raise
        clashes = [_clash(each) for each in error.facts.get("conflicts", ())]
        return Reply.page(
            "comparison_report.html", error_row(type(error)).status(exact=True), base=base_of(device_id), report=None,
            rows=clashes, refused=error.message,
        )  # fmt: skip
    return go_on(call, f"{base_of(device_id)}/changes", "rebased")


def _prefer(text: str) -> Prefer:
    try:
        return Prefer(text or Prefer.NONE)
    except ValueError:
        raise InvalidRequest("prefer: expected none, mine or theirs", field="prefer") from None


def three_ways(report: SyncReport) -> list[ThreeWay]:
    """Every attribute that one side or both changed; those that both changed first."""
    found: dict[Where, ThreeWay] = {}
    for each in report.staged:
        found[_where(each)] = ThreeWay(*_names(each), each.old, each.new, each.old)
    for each in report.outside:
        known = found.get(_where(each))
        mine = each.old if known is None else known.mine
        base = each.old if known is None else known.base
        found[_where(each)] = ThreeWay(*_names(each), base, mine, each.new)
    for clash in report.conflicts:
        found[_where(clash)] = ThreeWay(*_names(clash), clash.base, clash.mine, clash.theirs, clash=True)
    return sorted(found.values(), key=lambda each: not each.clash)


def _where(each: Difference | Clash) -> Where:
    return each.path, each.key, each.attribute


def _names(each: Difference | Clash) -> tuple[str, str]:
    return describe_key((each.path, each.key)), each.attribute or ""


def _clash(fact: Mapping[str, object]) -> ThreeWay:
    key = fact["key"]
    path, keys = str(fact["elementTypePath"]), tuple(str(k) for k in key) if isinstance(key, Iterable) else ()
    base, mine, theirs, attribute = (
        None if fact[name] is None else str(fact[name]) for name in ("base", "mine", "theirs", "attribute")
    )
    return ThreeWay(describe_key((path, keys)), attribute or "", base, mine, theirs, clash=True)


_BASE = "/devices/{device}/provisioning"
ROUTES = (
    Route("GET", _BASE + "/comparison", show_comparison),
    Route("POST", _BASE + "/comparison", compare),
    Route("POST", _BASE + "/rebase", rebase),
)
