"""What provisioning pages say and offer, on a virtual SBC and without a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from opensdm.simulator import VirtualSbc
from tests.acceptance.provisioning import PASSWORD, USER, Bench, realm
from tests.gatehouse import house_with_users
from tests.web.plain import HTMX, pages_of, sign_in, token_in
from tests.web.test_words import read


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    sbc = VirtualSbc("edge-a", username=USER, password=PASSWORD, plain_http=True)
    host, port = await sbc.start("127.0.0.1", 0)
    async with house_with_users(f"sqlite:///{tmp_path / 'opensdm.db'}", tmp_path) as house:
        yield Bench(house, sbc, await house.enrol("edge-a", f"{host}:{port}", transport="http"), port)
    await sbc.stop()


@pytest.fixture
async def http(bench: Bench) -> AsyncIterator[httpx2.AsyncClient]:
    """alice, at a browser whose pages carry the token of her session."""
    async with pages_of(bench.house) as http:
        await sign_in(http, "alice")
        http.headers["X-CSRF-Token"] = token_in((await http.get("/web")).text)
        yield http


def url(bench: Bench, rest: str = "") -> str:
    return f"/web/devices/ID{bench.device_id}/provisioning{rest}"


async def test_what_was_done_is_said_once(bench: Bench, http: httpx2.AsyncClient) -> None:
    """On a page of that device, whose address says nothing of it."""
    other = await bench.house.enrol("edge-b", "192.0.2.2:443")
    loaded = await http.post(url(bench, "/load"))
    assert (loaded.status_code, loaded.headers["Location"]) == (303, url(bench))
    elsewhere = await http.get(f"/web/devices/ID{other}/provisioning/changes")
    assert "Our copy is what the device runs now" not in elsewhere.text
    assert "Our copy is what the device runs now" in (await http.get(url(bench))).text
    assert "Our copy is what the device runs now" not in (await http.get(url(bench))).text
    await bench.add("alice", realm("peering"))
    answer = await http.post(url(bench, "/discard"), data={"all": "yes"}, headers=HTMX)
    assert answer.headers["HX-Redirect"] == url(bench, "/changes")
    assert "Your changes are discarded" in (await http.get(url(bench, "/changes"))).text
    await bench.add("alice", realm("peering"))
    assert "Your changes are discarded" not in (await http.get(url(bench, "/changes"))).text


async def test_every_wrong_value_is_told_beside_its_field(bench: Bench, http: httpx2.AsyncClient) -> None:
    await bench.load()
    form = {"type": "realmConfig", "v:id": "", "v:denyPeriod": "-5", "v:maxLatency": "soon", "v:description": "x"}
    answer = await http.post(url(bench, "/add"), data=form, headers=HTMX)
    assert answer.status_code == 400
    field, told = answer.headers["HX-Retarget"], dict(re.findall(r"\[data-error='(\w+)'\]\">(.*?)</div>", answer.text))
    told[re.sub(r"\W|data|error", "", field)] = answer.text.partition("<div")[0]
    assert {name: read(words) for name, words in told.items()} == {
        "id": "id is needed", "denyPeriod": "'-5' is not within 0..999999999",
        "maxLatency": "'soon' is not a whole number",
    }  # fmt: skip
    assert await bench.pending() == []
    alone = await http.post(url(bench, "/add"), data={**form, "v:denyPeriod": "5", "v:maxLatency": ""}, headers=HTMX)
    assert (alone.headers["HX-Retarget"], read(alone.text)) == ('[data-error="id"]', "id is needed")


async def test_a_rebase_is_offered_where_there_is_something_to_rebase_on(
    bench: Bench, http: httpx2.AsyncClient
) -> None:
    await bench.load()
    await bench.update("alice", realm("core", description="mine"))
    compared = (await http.post(url(bench, "/comparison"), headers=HTMX)).text
    assert "0 differences on the device, 1 staged" in compared and "Compare again" in compared
    assert "Rebase my changes" not in compared
    preview = read((await http.post(url(bench, "/preview"), data={"action": "SaveConfig"}, headers=HTMX)).text)
    assert "Nothing here stands in its way" in preview and "The device has yet to check it" in preview
    bench.edited_outside("realm-config", ("core",), **{"max-latency": "9"})
    compared = (await http.post(url(bench, "/comparison"), headers=HTMX)).text
    assert "1 difference on the device" in compared and "Rebase my changes" in compared
