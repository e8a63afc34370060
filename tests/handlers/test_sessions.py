"""Logging in, being slowed down, and logging out."""

import asyncio
import re
import time

import pytest
from sqlalchemy import text

from opensdm.core.errors import LoginFailed, NotLoggedIn, TooManyAttempts
from opensdm.core.node import NodeRhythm
from opensdm.core.operations import (
    DisableUser,
    KeepHouse,
    ListAudit,
    LockDevice,
    Login,
    Logout,
    ShowServer,
    ShowSession,
)
from opensdm.core.results import LoggedIn
from opensdm.gate import Caller
from opensdm.handlers.sessions import FREE_FOR_ADDRESS, FREE_FOR_USER, FREE_FROM_ANYWHERE, Attempt
from opensdm.stores.database import Connection
from opensdm.stores.transaction import StoreTransaction
from tests.gatehouse import PASSWORD, House

SECOND_US = 1_000_000
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"


async def log_in(house: House, name: str, password: str = PASSWORD, address: str = HERE) -> LoggedIn:
    logged_in = await house.gate.execute(Caller("rest", address, "r"), Login(user_name=name, password=password))
    assert isinstance(logged_in, LoggedIn)
    return logged_in


async def fail(house: House, name: str, address: str = HERE, *, times: int, ago_s: int = 0) -> None:
    """Failures as they would stand had they come `ago_s` seconds ago."""

    async def work(connection: Connection) -> None:
        now_us = time.time_ns() // 1000 - ago_s * SECOND_US
        identity = StoreTransaction(connection, now_us, house.database.secrets).identity
        for _ in range(times):
            await identity.record_failure(Attempt.of(name, address).keys, 0)

    await house.database.transact(work)


async def test_a_login_answers_with_token_group_and_idle_time(house: House) -> None:
    logged_in = await log_in(house, "ALICE")
    assert re.fullmatch(r"[0-9A-F]{32}\.opensdm1", logged_in.token)
    assert (logged_in.user_name, logged_in.group, logged_in.idle_timeout_s) == ("alice", "provisioners", 1800)
    assert logged_in.token not in repr(logged_in)
    assert (await log_in(house, "admin")).idle_timeout_s == 0
    shown = await house.gate.execute(Caller("rest", HERE, "r", token=logged_in.token), ShowSession())
    assert (shown.session.user_name, shown.locks) == ("alice", ())


async def test_failures_look_alike(house: House) -> None:
    await house.do("admin", DisableUser(user_name="bob"))
    said = set()
    for name, password in (("alice", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD), ("system", "!"), ("", "")):
        with pytest.raises(LoginFailed) as refused:
            await log_in(house, name, password)
        said.add((refused.value.message, refused.value.code, refused.value.facts == {}))
    assert said == {("wrong user name or password", "LOGIN_FAILED", True)}
    listing = await house.do("admin", ListAudit(filters={"operation": "Login", "result": "LOGIN_FAILED"}))
    assert {e.user_name for e in listing.items} == {"alice", "nobody", "bob", "system", "-"}


async def test_a_disabled_users_right_password_counts_as_a_failure(house: House) -> None:
    await house.do("admin", DisableUser(user_name="bob"))
    for _ in range(FREE_FOR_USER):
        with pytest.raises(LoginFailed):
            await log_in(house, "bob")
    with pytest.raises(TooManyAttempts):
        await log_in(house, "bob")


async def test_a_long_password_is_refused_like_any_wrong_one(house: House) -> None:
    with pytest.raises(LoginFailed):
        await log_in(house, "alice", PASSWORD + "x" * 100_000)


async def test_logout_ends_this_session_only(house: House) -> None:
    first, second = await house.caller("alice", again=True), await house.caller("alice", again=True)
    await house.gate.execute(first, Logout())
    with pytest.raises(NotLoggedIn):
        await house.gate.execute(first, ShowSession())
    assert (await house.gate.execute(second, ShowSession())).session.user_name == "alice"


async def test_the_session_shows_its_users_locks(house: House) -> None:
    device_id = await house.enrol("edge-a")
    await house.do("alice", LockDevice(device_id=device_id))
    assert [v.row.device_name for v in (await house.do("alice", ShowSession())).locks] == ["edge-a"]
    assert (await house.do("bob", ShowSession())).locks == ()
    (node,) = (await house.do("bob", ShowServer())).nodes
    assert node.live


async def test_guessing_at_one_user_is_slowed_down(house: House) -> None:
    for _ in range(FREE_FOR_USER):
        with pytest.raises(LoginFailed):
            await log_in(house, "alice", "wrong")
    with pytest.raises(TooManyAttempts) as refused:
        await log_in(house, "alice")
    assert refused.value.facts["retryAfterSeconds"] == 1
    await log_in(house, "alice", address=ELSEWHERE)
    await log_in(house, "bob")
    with pytest.raises(TooManyAttempts):
        await log_in(house, "alice")


async def test_after_the_delay_the_right_password_gets_in_and_clears(house: House) -> None:
    await fail(house, "alice", times=FREE_FOR_USER + 3, ago_s=7)
    with pytest.raises(TooManyAttempts) as refused:
        await log_in(house, "alice")
    assert refused.value.facts["retryAfterSeconds"] == 1
    await fail(house, "bob", ELSEWHERE, times=FREE_FOR_USER + 3, ago_s=9)
    await log_in(house, "bob", address=ELSEWHERE)
    for _ in range(FREE_FOR_USER):
        with pytest.raises(LoginFailed):
            await log_in(house, "bob", "wrong", ELSEWHERE)


async def test_the_delay_ends_at_a_minute_and_failures_are_forgotten(house: House) -> None:
    await fail(house, "alice", times=40, ago_s=58)
    with pytest.raises(TooManyAttempts) as refused:
        await log_in(house, "alice")
    assert refused.value.facts["retryAfterSeconds"] <= 2
    await fail(house, "alice", times=1, ago_s=61)
    await log_in(house, "alice")


async def test_guessing_at_many_users_slows_the_address(house: House) -> None:
    for number in range(FREE_FOR_ADDRESS):
        await fail(house, f"user{number}", times=1)
    with pytest.raises(TooManyAttempts):
        await log_in(house, "alice")
    await log_in(house, "alice", address=ELSEWHERE)
    assert Attempt.of("a", "2001:db8::1").address == Attempt.of("b", "2001:db8::ffff").address
    assert Attempt.of("a", "2001:db8::1").address != Attempt.of("a", "2001:db8:0:1::1").address


async def test_guessing_from_everywhere_shuts_nobody_out(house: House) -> None:
    await log_in(house, "alice")
    for number in range(FREE_FROM_ANYWHERE):
        await fail(house, "alice", f"203.0.113.{number}", times=1)
    await log_in(house, "alice", address=ELSEWHERE)
    with pytest.raises(TooManyAttempts) as refused:
        await log_in(house, "alice", address="203.0.113.7")
    assert 50 < refused.value.facts["retryAfterSeconds"] <= 60
    with pytest.raises(LoginFailed):
        await log_in(house, "alice", "wrong")
    await log_in(house, "alice")


async def test_guesses_sent_at_once_are_worth_no_more_than_in_turn(house: House) -> None:
    guesses = [log_in(house, "alice", f"wrong-{n}") for n in range(30)]
    answers = await asyncio.gather(*guesses, log_in(house, "alice"), return_exceptions=True)
    assert sum(isinstance(a, LoginFailed) for a in answers) == FREE_FOR_USER
    assert sum(isinstance(a, TooManyAttempts) for a in answers) == 31 - FREE_FOR_USER


async def test_a_throttled_attempt_asks_nothing_of_the_password(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    verify = house.gate.passwords.verify

    async def counted(password: str, password_hash: str | None) -> bool:
        asked.append(password)
        return await verify(password, password_hash)

    monkeypatch.setattr(house.gate.passwords, "verify", counted)
    await fail(house, "alice", times=FREE_FOR_USER)
    with pytest.raises(TooManyAttempts):
        await log_in(house, "alice")
    assert asked == []
    await log_in(house, "bob")
    assert asked == [PASSWORD]


async def test_keeping_house_counts_what_went(house: House) -> None:
    await fail(house, "alice", times=1, ago_s=3 * 24 * 3600)
    assert await house.gate.execute(house.system, KeepHouse()) == 3
    assert await house.gate.execute(house.system, KeepHouse()) == 0


async def test_nodes_are_shown_live_by_the_rhythm_that_is_set(house: House) -> None:
    """A node whose last heartbeat was a minute ago, which nobody has found dead yet."""

    async def a_minute_ago(connection: Connection) -> None:
        await connection.execute(text("UPDATE node SET heartbeat_us = heartbeat_us - 60000000"))

    await house.database.transact(a_minute_ago)
    for dead_after_s, live in ((15.0, False), (90.0, True)):
        house.gate.rhythm = NodeRhythm(5.0, dead_after_s)
        (node,) = (await house.do("admin", ShowServer())).nodes
        assert node.live is live
