"""The token clock, renewal, and the configuration lock that is bound to a token."""

import time

from opensdm.simulator.tokens import Tokens
from tests.simulator.box import PASSWORD, USER, VIEWER, VIEWER_PASSWORD, Box, Client, element, message, texts
from tests.simulator.conftest import Connect, Launch


def test_wrong_credentials(box: Box, connect: Connect) -> None:
    client = connect(box)
    url = f"{client.base}/auth/token"
    for answer in (
        client.http.post(url, timeout=10),
        client.http.post(url, auth=(USER, "wrong"), timeout=10),
        client.http.post(url, auth=("wrong", PASSWORD), timeout=10),
        client.http.post(url, auth=(VIEWER, PASSWORD), timeout=10),
        client.http.post(url, headers={"Authorization": "Basic %%%"}, timeout=10),
        client.http.post(url, headers={"Authorization": "Basic bm9jb2xvbg=="}, timeout=10),
    ):
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")
    assert client.http.get(url, timeout=10).status_code == 405


def test_the_lock_belongs_to_one_token(box: Box, connect: Connect) -> None:
    first, second = connect(box).log_in(), connect(box).log_in()
    assert first.lock() == 204
    assert first.lock() == 204
    refused = second.call("POST", "configuration/lock")
    assert refused.status_code == 423 and f"held by {USER} from 127.0.0.1:" in message(refused)
    assert second.unlock() == 423
    assert second.add(element("realm-config", identifier="x")).status_code == 423
    assert first.unlock() == 204
    assert first.unlock() == 423
    assert second.lock() == 204


def test_renewal_keeps_the_lock_and_ends_the_old_token(box: Box, connect: Connect, editor: Client) -> None:
    old = editor.token
    for content_type in ("application/x-www-form-urlencoded", "x-www-form-urlencoded"):
        answer = editor.renew(**{"Content-Type": content_type})
        assert answer.status_code == 200
        editor.use(texts(answer, "data/accessToken")[0])
        assert editor.token != old
        assert editor.add(element("host-route", dest_network="::", netmask="::", gateway="::1")).status_code == 200
        assert editor.delete("host-route", **{"dest-network": "::"}).status_code == 204
    spent = connect(box)
    spent.use(old)
    assert spent.call("GET", "system/status").status_code == 401
    assert connect(box).log_in().lock() == 423


def test_renewal_takes_the_token_as_a_form_value_too(editor: Client) -> None:
    answer = editor.renew(f"token={editor.token}")
    assert answer.status_code == 200
    editor.use(texts(answer, "data/accessToken")[0])
    assert editor.unlock() == 204


def test_renewal_refuses_what_is_no_live_token_of_this_user(box: Box, connect: Connect, editor: Client) -> None:
    assert editor.renew("made-up").status_code == 401
    assert editor.renew(**{"Content-Type": "application/xml"}).status_code == 415
    looker = connect(box).log_in(VIEWER, VIEWER_PASSWORD)
    assert editor.renew(looker.token).status_code == 401
    assert editor.unlock() == 204


def test_a_fresh_token_without_renewal_does_not_have_the_lock(editor: Client) -> None:
    editor.log_in()
    assert editor.unlock() == 423


def test_the_lock_is_free_when_its_token_expires(launch: Launch, connect: Connect) -> None:
    box = launch(token_lifetime_s=0.6)
    lost, waiting = connect(box).log_in(), connect(box)
    assert lost.lock() == 204
    statuses = []
    deadline = time.monotonic() + 10
    while 204 not in statuses and time.monotonic() < deadline:
        statuses.append(waiting.log_in().lock())
        time.sleep(0.05)
    assert statuses[0] == 423 and statuses[-1] == 204
    expired = lost.call("POST", "configuration/unlock")
    assert expired.status_code == 401


def test_renewal_carries_the_lock_over_the_first_lifetime() -> None:
    tokens = Tokens(0.2)
    token = tokens.issue("u", True, "c")
    assert tokens.lock(token)
    for _ in range(4):
        time.sleep(0.1)
        renewed = tokens.renew(token, "u", True, "c")
        assert renewed is not None
        token = renewed
    assert tokens.holds(token)
    time.sleep(0.25)
    assert tokens.lock_holder() is None and tokens.renew(token, "u", True, "c") is None
