"""Getting in and staying out: sign-in, tokens of forms, cookies, headers, sessions that end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from opensdm.core.errors import NotLoggedIn
from opensdm.core.operations import LockDevice, Logout, ShowLock
from opensdm.doors.web.rendering import environment
from opensdm.doors.web.settings import WebSettings
from tests.gatehouse import PASSWORD, House
from tests.web.plain import HTTPS, pages_of, sign_in, token_in


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with pages_of(house, WebSettings(banner="Only for <staff>")) as http:
        yield http


async def test_who_is_not_signed_in_is_led_there_and_back(http: httpx2.AsyncClient) -> None:
    led = await http.get("/web/devices?q=edge")
    assert (led.status_code, led.headers["Location"]) == (303, "/web/sign-in?next=%2Fweb%2Fdevices%3Fq%3Dedge")
    page = await http.get(led.headers["Location"])
    assert 'value="/web/devices?q=edge"' in page.text
    answer = await sign_in(http, "alice", next="/web/devices?q=edge")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/web/devices?q=edge")
    assert (await http.get("/")).headers["Location"] == "/web"


async def test_the_banner_is_text(http: httpx2.AsyncClient) -> None:
    assert "Only for &lt;staff&gt;" in (await http.get("/web/sign-in")).text


@pytest.mark.parametrize("away", ["https://example.com/", "//example.com", "/web/../x\\", "/rest/v1.4", "/web/sign-in"])
async def test_nobody_is_led_elsewhere(http: httpx2.AsyncClient, away: str) -> None:
    assert (await sign_in(http, "alice", next=away)).headers["Location"] in ("/web", "/web/../x")


async def test_what_was_wrong_is_not_told(http: httpx2.AsyncClient) -> None:
    def said(answer: httpx2.Response) -> str:
        found = re.search(r'role="alert">(.*?)</div>', answer.text, re.DOTALL)
        assert found is not None
        return found[1]

    no_user, no_password = await sign_in(http, "nobody"), await sign_in(http, "alice", "wrong-password-1")
    assert no_user.status_code == no_password.status_code == 401
    assert said(no_user) == said(no_password)
    assert 'value="alice"' in no_password.text and "wrong-password-1" not in no_password.text


async def test_guessing_is_slowed_down(http: httpx2.AsyncClient) -> None:
    for _ in range(5):
        assert (await sign_in(http, "alice", "wrong-password-1")).status_code == 401
    slowed = await sign_in(http, "alice")
    assert slowed.status_code == 429
    assert "too many failed logins" in slowed.text.lower()


async def test_the_cookie_is_for_pages_only_and_no_script_reads_it(http: httpx2.AsyncClient) -> None:
    answer = await sign_in(http, "alice")
    made = next(value for name, value in answer.headers.multi_items() if value.startswith("opensdm="))
    assert {"Path=/web", "HttpOnly", "Secure", "SameSite=Lax"} <= {part.strip() for part in made.split(";")}
    token = made.partition(";")[0].partition("=")[2]
    assert token not in (await http.get("/web")).text


async def test_a_form_without_the_token_of_its_session_changes_nothing(house: House, http: httpx2.AsyncClient) -> None:
    await sign_in(http, "alice")
    mine = token_in((await http.get("/web")).text)
    for bad in ("", "0" * 64, mine[:-1], mine.upper() + "x", "\xe9"):
        refused = await http.post("/web/users", data={"csrf": bad, "name": "mallory"})
        assert refused.status_code == 403, bad
    dark, elsewhere = {"csrf": mine, "theme": "dark"}, {"Sec-Fetch-Site": "cross-site"}
    foreign = await http.post("/web/theme", data=dark, headers=elsewhere)
    assert foreign.status_code == 403
    assert (await http.post("/web/theme", data=dark)).status_code == 204
    await sign_in(http, "bob")
    stolen = await http.post("/web/theme", data={"csrf": mine, "theme": "dark"})
    assert stolen.status_code == 403


async def test_no_other_site_signs_anybody_in(http: httpx2.AsyncClient) -> None:
    """Without the cookie that came with the form, its token is worth nothing."""
    token = token_in((await http.get("/web/sign-in")).text)
    http.cookies.clear()
    answer = await http.post("/web/sign-in", data={"csrf": token, "user": "alice", "password": PASSWORD})
    assert answer.status_code == 403 and "opensdm=" not in str(answer.headers)


@pytest.mark.parametrize("path", ["/web/sign-in", "/web", "/web/devices", "/web/nothing", "/web/audit"])
async def test_every_page_is_strict_and_stays_out_of_caches(http: httpx2.AsyncClient, path: str) -> None:
    await sign_in(http, "alice")
    headers = (await http.get(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    assert not {"script-src", "style-src"} & policy.keys() and "unsafe" not in str(policy)
    assert headers["Cache-Control"] == "no-store"
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert "max-age" in headers["Strict-Transport-Security"]


async def test_static_files_are_kept_for_ever_and_only_under_their_address(http: httpx2.AsyncClient) -> None:
    page = (await http.get("/web/sign-in")).text
    found = re.search(r'href="([^"]+/vendor/tabler.css)"', page)
    assert found is not None
    answer = await http.get(found[1], headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert "immutable" in answer.headers["Cache-Control"]
    plain = await http.get(found[1], headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers and plain.content == answer.content
    for wrong in ("/web/static/0/vendor/tabler.css", found[1] + "x", found[1].replace("vendor/", "../templates/")):
        assert (await http.get(wrong)).status_code in (303, 404)


async def test_signing_out_ends_the_session_and_no_lock(house: House, http: httpx2.AsyncClient) -> None:
    await sign_in(http, "alice")
    kept = dict(http.cookies)
    out = await http.post("/web/sign-out", data={"csrf": token_in((await http.get("/web")).text)})
    assert out.headers["Location"] == "/web/sign-in?why=out"
    http.cookies.update(kept)
    assert (await http.get("/web")).status_code == 303


async def test_a_session_that_ended_is_told_where_the_form_was(house: House, http: httpx2.AsyncClient) -> None:
    """What was typed stays on the page: the answer is a banner for it, not another page."""
    await sign_in(http, "alice")
    token = token_in((await http.get("/web")).text)
    caller = await house.caller("alice")
    ended = await house.gate.execute(type(caller)("web", "192.0.2.50", "t", token=http.cookies["opensdm"]), Logout())
    assert ended is None
    answer = await http.post("/web/stay", data={"csrf": token}, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Retarget"]) == (401, "#refusal")
    assert "You are not signed in" in answer.text
    here = {"HX-Request": "true", "HX-Current-URL": f"{HTTPS}/web/devices?q=edge"}
    back = "/web/sign-in?next=%2Fweb%2Fdevices%3Fq%3Dedge"
    part = await http.get("/web/devices?q=edge-0", headers=here)
    assert (part.status_code, part.headers["HX-Redirect"]) == (204, back)
    passive = await http.get("/web/devices/ID7/lock-history", headers=here)
    assert (passive.status_code, passive.headers["HX-Retarget"]) == (401, "#refusal")
    assert f'href="{back}"' in passive.text
    stream = await http.get("/web/events", headers={"Accept": "text/event-stream"})
    assert (stream.status_code, "NOT_LOGGED_IN" in stream.text) == (200, True), stream.text
    for wrong in ("http://[", "nothing", ""):
        part = await http.get("/web/devices", headers={"HX-Request": "true", "HX-Current-URL": wrong})
        assert part.headers["HX-Redirect"] == ("/web/sign-in?next=nothing" if wrong == "nothing" else "/web/sign-in")


async def test_what_cannot_be_read_is_told(http: httpx2.AsyncClient) -> None:
    await sign_in(http, "alice")
    token = {"X-CSRF-Token": token_in((await http.get("/web")).text)}
    assert (await http.post("/web/theme", json={"theme": "dark"}, headers=token)).status_code == 415
    assert (await http.post("/web/theme", content=b"theme=%ff", headers=token)).status_code == 400
    assert (await http.post("/web/theme", data={"theme": "pink"}, headers=token)).status_code == 400
    assert (await http.delete("/web/theme")).status_code == 405
    assert (await http.get("/web/devices/7")).status_code == 404
    assert (await http.get("/web/devices/ID99999")).status_code == 404


async def test_a_bug_is_told_by_its_request_id_alone(
    house: House, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault breaks a page after it was asked for; nothing of it reaches the reader."""

    def broken(text: str) -> str:
        raise RuntimeError("the secret of the house")

    await sign_in(http, "alice")
    monkeypatch.setitem(environment().filters, "wire_id", broken)
    await house.do("alice", LockDevice(device_id=await house.enrol("edge-a")))
    answer = await http.get("/web", headers={"X-Request-Id": "look-here"})
    assert answer.status_code == 500
    assert "look-here" in answer.text and "secret of the house" not in answer.text


async def test_a_session_keeps_only_so_many_pages_true(house: House) -> None:
    """One more is refused, and says so; the page itself works without."""
    async with pages_of(house, WebSettings(streams_per_session=0)) as http:
        await sign_in(http, "alice")
        answer = await http.get("/web/events")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30"), answer.text
        assert (await http.get("/web/devices")).status_code == 200


async def test_signing_out_everywhere_ends_every_session_and_no_lock(house: House, http: httpx2.AsyncClient) -> None:
    device_id = await house.enrol("edge-a")
    await house.do("alice", LockDevice(device_id=device_id))
    await sign_in(http, "alice")
    home = await http.get("/web")
    answer = await http.post("/web/sign-out", data={"csrf": token_in(home.text), "everywhere": "yes"})
    assert answer.status_code == 303
    with pytest.raises(NotLoggedIn):
        await house.do("alice", ShowLock(device_id=device_id))
    house.tokens.clear()
    assert (await house.do("alice", ShowLock(device_id=device_id))).row.holder_name == "alice"
