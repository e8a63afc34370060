"""Importing and exporting network functions."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from opensdm.core.errors import Forbidden, InvalidRequest
from opensdm.core.identity import Area
from opensdm.core.inventory_rows import rows_from_csv, rows_to_csv
from opensdm.core.operations import (
    AddDeviceGroup,
    AddNetworkFunction,
    DeviceEnrolment,
    DisableUser,
    ExportNetworkFunctions,
    FunctionRow,
    GroupEnrolment,
    ImportNetworkFunctions,
    ListDevices,
    ListNetworkFunctions,
    ShowDevice,
)
from opensdm.core.ports import Page, Work
from opensdm.core.results import ExportReply, FunctionShown, ImportReply
from opensdm.handlers import HANDLERS
from opensdm.handlers.bulk import MAX_ROWS
from tests.gatehouse import House, house_with_users

CATEGORY = "SP Edge & Core"
_EVERYTHING = Page()


def row(number: int, name: str, address: str, parent: str | None = None, **more: str) -> FunctionRow:
    parameters = {"primary.ip": address, **{n.replace("_", "."): value for n, value in more.items()}}
    category, type_name = parameters.pop("category", CATEGORY), parameters.pop("type", "Device")
    return FunctionRow(number, name, parent, category, type_name, {n: v for n, v in parameters.items() if v})


async def bring(
    house: House, rows: Sequence[FunctionRow], user: str = "alice", *, dry_run: bool = False, assign: bool = False
) -> ImportReply:
    reply = await house.do(user, ImportNetworkFunctions(rows=tuple(rows), dry_run=dry_run, assign=assign))
    assert isinstance(reply, ImportReply)
    return reply


async def names(house: House) -> list[str]:
    return [shown.function.nf_name for shown in (await house.do("mona", ListNetworkFunctions())).items]


async def trail(house: House) -> list[tuple[str, str]]:
    entries, _ = await house.ledger.read(lambda tx: tx.audit.entries({"user": "alice"}, None, None, _EVERYTHING))
    return [(e.operation, e.result) for e in entries if e.operation != "Login"]


FAULTY = (
    (row(2, "a/b", "192.0.2.11"), "INVALID_REQUEST", "cannot be a name"),
    (row(3, "c", ""), "INVALID_REQUEST", "primary.ip"),
    (row(4, "d", "192.0.2.12", colour="red"), "INVALID_REQUEST", "colour"),
    (row(5, "e", "192.0.2.12", platform="vax"), "INVALID_REQUEST", "vax"),
    (row(6, "f", "192.0.2.12", password="xxxx"), "INVALID_REQUEST", "'password' cannot be xxxx"),
    (row(7, "g", "192.0.2.12", "Home/Nowhere"), "INVALID_REQUEST", "no device group 'Home/Nowhere'"),
    (row(8, "h", "192.0.2.12", category="Routers"), "INVALID_REQUEST", "Routers"),
    (row(9, "i", "192.0.2.12", type="Device Cluster"), "INVALID_REQUEST", "groups"),
    (row(10, "EDGE-A", "192.0.2.12"), "ALREADY_EXISTS", "network function ID"),
    (row(11, "j", "192.0.2.1:443"), "ALREADY_EXISTS", "device 'edge-a' (ID"),
    (row(12, "k", "192.0.2.12", secondary_ip="192.0.2.1:443"), "ALREADY_EXISTS", "device 'edge-a' (ID"),
    (row(13, "GOOD", "192.0.2.12"), "ALREADY_EXISTS", "row 1"),
    (row(14, "l", "192.0.2.10"), "ALREADY_EXISTS", "row 1"),
    (row(15, "m", "192.0.2.12", "edge-a"), "INVALID_REQUEST", "no device group 'edge-a'"),
    (row(16, "home", "192.0.2.12"), "ALREADY_EXISTS", "root"),
    (row(17, "west", "192.0.2.12"), "ALREADY_EXISTS", "device group ID"),
)
"""Rows that cannot be added beside `edge-a`, the group `West`, and a good first row."""


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_is_wrong_with_a_row_is_its_own(house: House, dry_run: bool) -> None:
    await house.enrol("edge-a")
    await house.do("alice", AddDeviceGroup(group_name="West"))
    rows = [row(1, "good", "192.0.2.10"), *(each for each, _, _ in FAULTY), row(18, "also good", "192.0.2.12", "west")]
    reply = await bring(house, rows, dry_run=dry_run)
    assert [r.number for r in reply.rows] == [r.number for r in rows]
    assert (reply.dry_run, reply.added, reply.failed) == (dry_run, 2, len(FAULTY))
    for told, (_, code, words) in zip(reply.rows[1:-1], FAULTY, strict=True):
        assert not told.ok and told.nf_id is None, told
        assert told.code == code and words in (told.message or ""), told
    for told in (reply.rows[0], reply.rows[-1]):
        assert told.ok and (told.code, told.message) == (None, None)
        assert (told.nf_id is None, told.device_ids == ()) == (dry_run, dry_run)
    assert await names(house) == (["edge-a"] if dry_run else ["edge-a", "good", "also good"])


@pytest.mark.parametrize("changed", ["group", "name", "address"])
async def test_what_the_dry_run_says_is_what_adding_says(house: House, changed: str) -> None:
    """The checks beforehand and those of the front door agree: what one lets pass, or refuses, the other does."""
    await house.enrol("edge-a", "192.0.2.1:443")
    candidates = {
        "group": row(1, "new", "192.0.2.9", "Home/Nowhere"),
        "name": row(1, "Edge-A", "192.0.2.9"),
        "address": row(1, "new", "192.0.2.1", port="443"),
    }
    wrong = candidates[changed]
    assert not (await bring(house, [wrong], dry_run=True)).rows[0].ok
    with pytest.raises(Exception, match=r"no device group|already"):
        await house.do(
            "alice",
            AddNetworkFunction(
                nf_name=wrong.nf_name, parent_full_name=wrong.parent_full_name, category_name=wrong.category_name,
                type_name=wrong.type_name, parameters=wrong.parameters,
            ),
        )  # fmt: skip


async def test_the_import_and_each_of_its_parts_are_in_the_trail(house: House) -> None:
    await bring(house, [row(1, "a", "192.0.2.1"), row(2, "b", "192.0.2.1"), row(3, "c", "192.0.2.3")], assign=True)
    added = [("AddNetworkFunction", "SUCCESS"), ("AssignDevice", "SUCCESS")]
    assert (await trail(house))[::-1] == [("ImportNetworkFunctions", "SUCCESS"), *added, *added]
    assert all(d.device.assigned for d in (await house.do("mona", ListDevices())).items)


async def test_a_dry_run_is_in_the_trail_and_its_parts_are_not(house: House) -> None:
    await bring(house, [row(1, "a", "192.0.2.1", password="s3cret-pw")], dry_run=True)
    assert await trail(house) == [("ImportNetworkFunctions", "SUCCESS")]
    entries, _ = await house.ledger.read(lambda tx: tx.audit.entries({"user": "alice"}, None, None, _EVERYTHING))
    assert "s3cret-pw" not in repr(entries)


async def test_without_assign_devices_are_not_managed(house: House) -> None:
    reply = await bring(house, [row(1, "a", "192.0.2.1", username="ops", password="s3cret-pw")])
    (device_id,) = reply.rows[0].device_ids
    assert not (await house.do("mona", ShowDevice(device_id=device_id))).device.assigned
    credentials = await house.ledger.read(lambda tx: tx.inventory.credentials(device_id))
    assert (credentials.username, credentials.password) == ("ops", "s3cret-pw")


async def test_who_may_not_is_refused_before_any_row(house: House) -> None:
    for dry_run in (True, False):
        with pytest.raises(Forbidden, match=Area.INVENTORY.value):
            await bring(house, [row(1, "a", "192.0.2.1")], "mona", dry_run=dry_run)
    too_many = [row(n, f"a{n}", "192.0.2.1") for n in range(MAX_ROWS + 1)]
    with pytest.raises(InvalidRequest, match="at most 10000"):
        await bring(house, too_many, dry_run=True)
    assert await names(house) == []
    assert (await bring(house, [])).rows == ()


async def test_an_account_disabled_in_the_middle_ends_the_import(tmp_path: Path) -> None:
    """What was added stays and is told of; nothing more is tried in the name of who may not."""

    async def add(operation: AddNetworkFunction, work: Work) -> FunctionShown:
        if operation.nf_name == "b":
            await house.do("admin", DisableUser(user_name="alice"))
        shown = await HANDLERS[AddNetworkFunction](operation, work)
        assert isinstance(shown, FunctionShown)
        return shown

    handlers = {**HANDLERS, AddNetworkFunction: add}
    async with house_with_users(f"sqlite:///{tmp_path}/opensdm.db", tmp_path, handlers=handlers) as house:
        reply = await bring(house, [row(n, name, f"192.0.2.{n}") for n, name in enumerate("abcd", start=1)])
        assert [(r.ok, r.code) for r in reply.rows] == [(True, None), *[(False, "NOT_LOGGED_IN")] * 3]
        assert "not tried any more" in (reply.rows[3].message or "")
        assert (reply.added, reply.failed) == (1, 3)
        assert await names(house) == ["a"]


async def test_what_was_exported_can_be_imported_again(house: House) -> None:
    await house.do("alice", AddDeviceGroup(group_name="West", parent_full_name="Home"))
    given = [
        row(1, "a", "192.0.2.1", username="ops", tls_ca='-----\nline, "2"'),
        row(2, "b", "[2001:db8::7]:8443", "Home/West", secondary_ip="192.0.2.8", read_only="true", port="9"),
    ]
    await bring(house, [*given, row(3, "c", "192.0.2.3", password="s3cret-pw")])
    groups = (GroupEnrolment({"name": "east"}, (DeviceEnrolment("c-1", {"primary.ip": "192.0.2.21"}),)),)
    cluster = AddNetworkFunction(
        nf_name="core", parent_full_name="Home/West", category_name=CATEGORY, type_name="Device Cluster", groups=groups
    )
    await house.do("alice", cluster)

    exported = await house.do("mona", ExportNetworkFunctions())
    assert isinstance(exported, ExportReply)
    assert exported.left_out == ("Home/West/core",)
    assert [r.nf_name for r in exported.rows] == ["a", "b", "c"]
    for was, now in zip(given, exported.rows, strict=False):
        assert was.parameters.items() <= now.parameters.items()
    text = rows_to_csv(exported.rows)
    assert "s3cret-pw" not in text and "xxxx" in text

    async with house_with_users(
        "sqlite:///" + house.url.removeprefix("sqlite:///") + "2", house.key_file.parent
    ) as new:
        await new.do("alice", AddDeviceGroup(group_name="West", parent_full_name="Home"))
        reply = await bring(new, rows_from_csv(text).rows)
        assert [r.ok for r in reply.rows] == [True, True, False]
        assert "'password' cannot be xxxx" in (reply.rows[2].message or "")
        again = await new.do("mona", ExportNetworkFunctions())
        assert again.rows == exported.rows[:2]
