"""The web GUI of the installed program, over HTTPS, by a client that is no browser."""

from __future__ import annotations

import html
import re

import requests

from tests.program import ADMIN_PASSWORD, Client, Installation


def sign_in(client: Client) -> requests.Response:
    page = client.get("/web/sign-in").text
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert token is not None
    form = {"csrf": token[1], "user": "admin", "password": ADMIN_PASSWORD}
    return client.http.post(f"{client.url}/web/sign-in", data=form, timeout=30, allow_redirects=False)


def test_pages_are_served_and_follow_the_lock_of_another_door(installed: Installation) -> None:
    with installed.serve(OPENSDM_WEB_BANNER="For staff only") as server:
        client, rest = installed.client(server), installed.client(server).login("admin", ADMIN_PASSWORD)
        assert client.get("/").url == f"{server.url}/web/sign-in?next=%2Fweb"
        assert "For staff only" in client.get("/web/sign-in").text
        answer = sign_in(client)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/web")
        assert {cookie.name: (cookie.secure, cookie.path) for cookie in client.http.cookies}["opensdm"] == (
            True,
            "/web",
        )
        page = client.get("/web/devices").text
        assert "There is no device yet" in page
        for address in set(re.findall(r'(?:src|href)="(/web/static/[^"#]+)', page)):
            assert client.get(html.unescape(address)).status_code == 200, address
        edge = rest.enrol("edge-a", **{"primary.ip": "127.0.0.1:9"})
        assert rest.act(edge, "Lock", reason="by REST").status_code == 200
        stream = client.get(f"/web/events?device={edge}", stream=True)
        told = next(line for line in stream.iter_lines(decode_unicode=True) if "padlock-name" in line)
        assert "You hold" in told and "by REST" in told
        assert server.stop() == 0
        assert "Traceback" not in server.log
