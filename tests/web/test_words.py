"""What pages say, asked for without a browser: refusals, sign-in from a form that is out of date, lists and results."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from opensdm.core.errors import DeviceLocked
from opensdm.core.operations import ListAudit, LockDevice, OverrideLock, PollDevice
from opensdm.core.versions import Drift
from opensdm.doors.web import home
from tests.gatehouse import PASSWORD, House
from tests.web.plain import HTMX, pages_of, sign_in, token_in


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with pages_of(house) as http:
        yield http


def read(page: str) -> str:
    """The text of a page, as it is read."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())


@pytest.mark.parametrize("taken_since", [True, False])
async def test_who_took_a_lock_away_and_who_has_it_now(
    taken_since: bool, house: House, http: httpx2.AsyncClient
) -> None:
    """bob lost the lock to admin, who let it go; alice may have it since. Nobody is told to lock what is hers."""
    edge = await house.enrol("edge-a")
    await house.do("bob", LockDevice(device_id=edge))
    await house.do("admin", OverrideLock(device_id=edge, reason="outage"))
    if taken_since:
        await house.do("alice", LockDevice(device_id=edge, reason="night work"))
    await sign_in(http, "bob")
    form = {"csrf": token_in((await http.get("/web/devices")).text), "all": "yes"}
    told = read((await http.post(f"/web/devices/ID{edge}/provisioning/discard", data=form, headers=HTMX)).text)
    assert "Your lock on edge-a was taken away by admin" in told and "outage" in told
    assert ("alice holds it now, since" in told and "night work" in told) == taken_since
    assert ("It is free now" in told) != taken_since
    assert ("Ask alice to release" in told) == taken_since
    assert ("Lock it again" in told) != taken_since


async def test_a_second_tab_signs_in_after_the_first(http: httpx2.AsyncClient) -> None:
    """Both show the form of one visit; the first spends it. The second goes on to its own page, as the same user."""
    form = {"csrf": token_in((await http.get("/web/sign-in")).text), "password": PASSWORD}
    first = await http.post("/web/sign-in", data={**form, "user": "alice"})
    assert first.status_code == 303
    second = await http.post("/web/sign-in", data={**form, "user": "alice", "next": "/web/locks"})
    assert (second.status_code, second.headers["Location"]) == (303, "/web/locks")
    other = await http.post("/web/sign-in", data={**form, "user": "bob", "next": "/web/locks"})
    assert other.status_code == 403 and "This form was out of date" in other.text
    assert 'value="bob"' in other.text and 'value="/web/locks"' in other.text and PASSWORD not in other.text
    again = {**form, "csrf": token_in(other.text), "user": "bob", "next": "/web/locks"}
    assert (await http.post("/web/sign-in", data=again)).status_code == 303


async def test_who_may_look_only_is_offered_nothing_else(house: House, http: httpx2.AsyncClient) -> None:
    edge = await house.enrol("edge-a")
    await sign_in(http, "mona")
    page = (await http.get("/web/devices")).text
    assert "edge-a" in page and 'name="kind"' not in page and 'name="device"' not in page
    asked = {"csrf": token_in(page), "device": f"ID{edge}", "kind": "lock"}
    refused = read((await http.post("/web/selection", data=asked, headers=HTMX)).text)
    assert "Your user group, monitors, has too few rights on “lock” for this" in refused
    assert "LockDevice" not in refused
    await sign_in(http, "alice")
    offered = (await http.get("/web/devices")).text
    assert len(re.findall(r'name="kind" value="(?:lock|unlock|load|push)"', offered)) == 4


async def test_being_led_to_the_sign_in_is_not_on_record(house: House, http: httpx2.AsyncClient) -> None:
    assert (await http.get("/web/devices")).status_code == 303
    trail = await house.do("admin", ListAudit(filters={"operation": "ShowSession"}))
    assert trail.items == ()
    assert "Not found" in (await _signed_in(http)).text


async def _signed_in(http: httpx2.AsyncClient) -> httpx2.Response:
    await sign_in(http, "alice")
    return await http.get("/web/nothing")


async def test_locks_are_narrowed_by_a_part_of_their_holder_s_name(house: House, http: httpx2.AsyncClient) -> None:
    """Within the list that is shown; and what is shown is asked for again until it is another."""
    ids = [await house.enrol(name, f"192.0.2.{n}:443") for n, name in enumerate(("edge-a", "edge-b"), start=1)]
    await house.do("alice", LockDevice(device_id=ids[0]))
    await house.do("bob", LockDevice(device_id=ids[1]))
    await sign_in(http, "carol")
    some = read((await http.get("/web/locks?holder=LIC")).text)
    assert "edge-a" in some and "edge-b" not in some
    assert "edge-a" not in (await http.get("/web/locks?holder=al_ce")).text
    stale = (await http.get("/web/locks?which=stale&holder=ali")).text
    assert "edge-a" not in stale and 'name="which" value="stale"' in stale
    again = _again(some_page := (await http.get("/web/locks?holder=ali")).text)
    assert "Ask alice to release edge-a" in some_page
    assert (await http.get(again, headers=HTMX)).status_code == 204
    await house.do("alice", LockDevice(device_id=ids[0], reason="night work"))
    changed = await http.get(again, headers=HTMX)
    assert "night work" in changed.text and _again(changed.text) != again
    assert (await http.get(_again(changed.text), headers=HTMX)).status_code == 204


def _again(page: str) -> str:
    match = re.search(r'hx-get="(/web/locks/list[^"]*)"', page)
    assert match is not None
    return html.unescape(match[1])


async def test_the_trail_is_found_by_what_its_rows_say_and_read_whole(house: House, http: httpx2.AsyncClient) -> None:
    edge = await house.enrol("edge-a")
    reason = "a reason that is longer than a row has room for " * 5
    await house.do("alice", LockDevice(device_id=edge, reason=reason))
    with pytest.raises(DeviceLocked):
        await house.do("bob", LockDevice(device_id=edge))
    await sign_in(http, "admin")
    for asked, rows in (("operation=lock+device", 2), ("result=device+locked", 1), ("operation=lock+the+device", 0)):
        assert (await http.get(f"/web/audit?{asked}")).text.count("<tr data-row>") == rows, asked
    page = (await http.get("/web/audit?operation=Lock+device&user=alice")).text
    assert "When, UTC" in page and re.search(r"data-own>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d<", page)
    link = re.search(r'href="(/web/audit\?requestId=([^"]+))"', page)
    assert link is not None
    whole = (await http.get(link[1])).text
    cells = re.findall(r"<td[^>]*>(.*?)</td>", whole)
    assert any(reason.strip() in html.unescape(cell) for cell in cells)
    assert {"127.0.0.1", link[2]} <= set(cells) and 'class="cut"' not in whole
    assert f'href="{link[1]}"' in (await http.get(f"/web/devices/ID{edge}")).text


async def test_home_has_what_needs_its_reader_and_how_much_more(
    house: House, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices that nobody asked yet take no place from those that do not answer; changed outside is told apart."""
    await sign_in(http, "alice")
    quiet = read((await http.get("/web")).text)
    assert "All quiet" in quiet and "Every device asked so far answered" in quiet and "No device was seen" in quiet
    ids = [await house.enrol(f"edge-{n}", f"127.0.0.1:{n}") for n in range(1, 5)]
    for device_id in ids[1:]:
        await house.gate.execute(house.system, PollDevice(device_id=device_id))
    drift = Drift(1_700_000_000_000_000, 2, (("realm", ("core",)), ("realm", ("access",))))
    await house.ledger.write(lambda transaction: transaction.configurations.set_drift(ids[0], drift))
    monkeypatch.setattr(home, "SHOWN", 2)
    page = (await http.get("/web")).text
    told = read(page)
    assert "edge-2" in told and "edge-3" in told and "edge-4" not in told and "and 1 more" in told
    assert "Otherwise quiet" in told and "edge-1 " in told and "2 elements" in told and "Every device" not in told
    away = (await http.get("/web/devices?trouble=unreachable")).text
    assert [f"edge-{n}<" in away for n in range(1, 5)] == [False, True, True, True]
    assert 'href="/web/devices?trouble=drifted"' not in page
    assert (await http.get("/web/devices?trouble=tired")).status_code == 400


async def test_a_form_that_added_a_user_starts_anew(http: httpx2.AsyncClient) -> None:
    await sign_in(http, "admin")
    form = {"csrf": token_in((await http.get("/web/users")).text), "name": "dave", "group": "monitors"}
    short = await http.post("/web/users", data={**form, "password": "short"}, headers=HTMX)
    assert short.status_code == 400 and "add-user" not in short.text
    made = (await http.post("/web/users", data={**form, "password": "long-enough-1"}, headers=HTMX)).text
    anew = made.partition('id="add-user" hx-swap-oob="innerHTML"')[2]
    assert 'name="password" type="password" value=""' in anew and 'name="name" type="text" value=""' in anew
    disabled = (await http.post("/web/users/dave/disable", data=form, headers=HTMX)).text
    assert "dave is disabled" in disabled and "add-user" not in disabled


async def test_a_device_says_what_is_not_known_of_it_and_folds_what_is_long(
    house: House, http: httpx2.AsyncClient
) -> None:
    authority = "-----BEGIN CERTIFICATE----- " + "QUJD" * 60
    edge = await house.enrol("edge-a", **{"tls.ca": authority})
    await sign_in(http, "alice")
    page = (await http.get(f"/web/devices/ID{edge}")).text
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", page))
    assert (facts["Serial"], facts["Last work"]) == ("not known", "none yet")
    assert f"<details><summary>{authority[:24]}…</summary>{authority}</details>" in facts.values()
