"""Logging in and out, and what a session can see of itself and of the server."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from opensdm.core.errors import LoginFailed, TooManyAttempts
from opensdm.core.identity import User
from opensdm.core.operations import KeepHouse, Login, Logout, LogoutEverywhere, ShowServer, ShowSession
from opensdm.core.ports import Page, Transaction, Work
from opensdm.core.results import LoggedIn, ServerShown, SessionShown

SECOND_US = 1_000_000
FAILURE_WINDOW_S = 15 * 60
"""A count of failures starts anew when none came for this long."""
FREE_FOR_USER, FREE_FOR_ADDRESS, FREE_FROM_ANYWHERE = 5, 20, 50
LONGEST_DELAY_S = 60
MAX_NAME, MAX_PASSWORD = 50, 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """The counters one login attempt is measured by.

    Three count failures: of this user from this address, of this address, and of this user from anywhere.
    From the 5th and the 20th failure on, the first two make the next attempt wait 1, 2, 4, ... at most 60 s
    after the last failure. Somebody who guesses from elsewhere touches neither, so the right password from
    an address that has not failed always gets in. The third is for guessing from many addresses: from 50
    failures on, an address this user never logged in from waits 60 s after each failure of its own.
    """

    own: str
    address: str
    user: str

    @classmethod
    def of(cls, user_name: str, address: str) -> Attempt:
        name, place = user_name.casefold()[:MAX_NAME], _place(address)
        return cls(f"user:{name}@{place}", f"address:{place}", f"user:{name}")

    @property
    def keys(self) -> tuple[str, str, str]:
        return self.own, self.address, self.user

    def wait_until_us(self, failures: Mapping[str, tuple[int, int]], *, known: bool) -> int:
        """When the next attempt is looked at; 0: now. `known`: the user has logged in from here before."""
        own, own_us = failures.get(self.own, (0, 0))
        place, place_us = failures.get(self.address, (0, 0))
        anywhere, _ = failures.get(self.user, (0, 0))
        until = [0]
        if own >= FREE_FOR_USER:
            until.append(own_us + _delay_us(own - FREE_FOR_USER))
        if place >= FREE_FOR_ADDRESS:
            until.append(place_us + _delay_us(place - FREE_FOR_ADDRESS))
        if anywhere >= FREE_FROM_ANYWHERE and not known:
            until.append(own_us + LONGEST_DELAY_S * SECOND_US)
        return max(until)


async def login(operation: Login, work: Work) -> LoggedIn:
    """Open a session. LoginFailed says nothing of what was wrong; TooManyAttempts comes without a look at the password.

    The delay is looked at again in the transaction that counts or opens, so that many guesses sent at the
    same moment are worth no more than as many sent in turn.
    """
    attempt = Attempt.of(operation.user_name, work.address)
    account = await work.read(lambda tx: _account(tx, operation, attempt, work.address))
    user, password_hash = account or (None, None)
    right = await work.passwords.verify(operation.password[:MAX_PASSWORD], password_hash)
    if user is None or user.disabled or not right or len(operation.password) > MAX_PASSWORD:
        await work.commit(lambda tx: _count_failure(tx, attempt, user, work.address))
        raise LoginFailed("wrong user name or password")
    token = f"{secrets.token_hex(16).upper()}.{work.session_policy.node_name}"
    return await work.commit(lambda tx: _open(tx, attempt, user, token, work))


async def logout(operation: Logout, work: Work) -> None:
    """End the caller's own session. Locks are not touched."""
    session_id = work.session.session_id

    async def effect(tx: Transaction) -> None:
        if session_id is not None:
            await tx.identity.end_session(session_id)

    await work.commit(effect)


async def logout_everywhere(operation: LogoutEverywhere, work: Work) -> None:
    """End all sessions of the caller's user, this one with them. Locks are not touched."""
    user_id = work.session.user_id

    async def effect(tx: Transaction) -> None:
        await tx.identity.end_sessions_of(user_id)

    await work.commit(effect)


async def show_session(operation: ShowSession, work: Work) -> SessionShown:
    name = work.session.user_name
    locks, _ = await work.read(lambda tx: tx.locks.locks(holder=name, stale=None, page=Page()))
    return SessionShown(work.session, tuple(locks))


async def show_server(operation: ShowServer, work: Work) -> ServerShown:
    return ServerShown(tuple(await work.read(lambda tx: tx.nodes.nodes(work.rhythm.dead_after_s))))


async def keep_house(operation: KeepHouse, work: Work) -> int:
    """Answers how many rows went."""

    async def effect(tx: Transaction) -> int:
        return await tx.identity.expire_rows() + await tx.configurations.prune_versions(operation.keep_versions)

    return await work.commit(effect)


async def _account(tx: Transaction, operation: Login, attempt: Attempt, address: str) -> tuple[User, str] | None:
    found = await tx.identity.user_named(operation.user_name)
    await _check_delay(tx, attempt, found[0] if found else None, address)
    return found


async def _count_failure(tx: Transaction, attempt: Attempt, user: User | None, address: str) -> None:
    await _check_delay(tx, attempt, user, address)
    await tx.identity.record_failure(attempt.keys, tx.now_us - FAILURE_WINDOW_S * SECOND_US)


async def _open(tx: Transaction, attempt: Attempt, checked: User, token: str, work: Work) -> LoggedIn:
    """The account is read again: between the look at its password and now it may have been disabled."""
    await _check_delay(tx, attempt, checked, work.address)
    found = await tx.identity.user_named(checked.user_name)
    if found is None or found[0].disabled or found[0].user_id != checked.user_id:
        raise LoginFailed("wrong user name or password")
    user, policy = found[0], work.session_policy
    idle_timeout_s = policy.idle_timeout_s(user.group)
    await tx.identity.open_session(
        user.user_id, sha256(token.encode()).digest(), work.session.door, work.address,
        idle_timeout_s=idle_timeout_s, max_sessions=policy.max_sessions,
        absolute_s=policy.absolute_s,
    )  # fmt: skip
    # The address keeps its count: else whoever has an account could guess at others from there for ever.
    await tx.identity.clear_failures((attempt.own,))
    return LoggedIn(token, user.user_name, user.group, idle_timeout_s)


async def _check_delay(tx: Transaction, attempt: Attempt, user: User | None, address: str) -> None:
    failures = await tx.identity.failures_since(attempt.keys, tx.now_us - FAILURE_WINDOW_S * SECOND_US)
    if not failures:
        return
    known = user is not None and await tx.identity.has_session_from(user.user_id, address)
    left_us = attempt.wait_until_us(failures, known=known) - tx.now_us
    if left_us > 0:
        left_s = -(-left_us // SECOND_US)
        raise TooManyAttempts(
            f"too many failed logins; the next attempt is looked at in {left_s} s", retryAfterSeconds=left_s
        )


def _delay_us(beyond: int) -> int:
    return min(LONGEST_DELAY_S, 1 << min(beyond, 6)) * SECOND_US


def _place(address: str) -> str:
    """Who counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that a site is given."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


HANDLERS_HERE = {
    Login: login,
    Logout: logout,
    LogoutEverywhere: logout_everywhere,
    ShowSession: show_session,
    ShowServer: show_server,
    KeepHouse: keep_house,
}
