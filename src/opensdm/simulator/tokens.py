"""Access tokens of the virtual SBC, their clock, and the configuration lock that is bound to one of them."""

import hashlib
import secrets
import time
from dataclasses import dataclass

CONSOLE = "console"


def token_digest(token: str) -> str:
    """A short prefix of the token's SHA-256, for the journal: tells tokens apart, opens nothing."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Grant:
    """One live token: whose it is, where it was asked for, and until when it lives (monotonic seconds)."""

    user: str
    admin: bool
    client: str
    digest: str
    expires_s: float


class Tokens:
    """Issues tokens that live `lifetime_s` seconds and keeps the one configuration lock.

    The lock belongs to a token (or to the console) and is free as soon as that token is gone. All methods are
    synchronous and read the clock themselves, so expiry needs no timer.
    """

    def __init__(self, lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self._grants: dict[str, Grant] = {}
        self._lock_owner: str | None = None

    def issue(self, user: str, admin: bool, client: str) -> str:
        """A new token for the user."""
        self._forget_expired()
        token = secrets.token_urlsafe(48)
        expires_s = time.monotonic() + self.lifetime_s
        self._grants[token] = Grant(user, admin, client, token_digest(token), expires_s)
        return token

    def renew(self, current: str, user: str, admin: bool, client: str) -> str | None:
        """A new token in place of a live one of the same user, with its lock; None when `current` is none."""
        grant = self.find(current)
        if grant is None or grant.user != user:
            return None
        token = self.issue(user, admin, client)
        if self._lock_owner == current:
            self._lock_owner = token
        del self._grants[current]
        return token

    def find(self, token: str) -> Grant | None:
        """What the token grants, or None when it is unknown or its time is over."""
        self._forget_expired()
        return self._grants.get(token)

    def revoke_all(self) -> None:
        """Forget every token, as a device that was restarted does; a lock held by one of them is free."""
        self._grants.clear()
        self._forget_expired()

    def lock(self, token: str) -> bool:
        """Take the configuration lock; taking it twice is the same as once. False when somebody else has it."""
        self._forget_expired()
        if self._lock_owner is None:
            self._lock_owner = token
        return self._lock_owner == token

    def unlock(self, token: str) -> bool:
        """Give the lock back; False when this token does not have it."""
        if not self.holds(token):
            return False
        self._lock_owner = None
        return True

    def holds(self, token: str) -> bool:
        self._forget_expired()
        return self._lock_owner == token

    def lock_holder(self) -> str | None:
        """Who has the lock, for people, or None."""
        self._forget_expired()
        if self._lock_owner is None or self._lock_owner == CONSOLE:
            return self._lock_owner
        grant = self._grants[self._lock_owner]
        return f"{grant.user} from {grant.client}"

    def console_lock(self, wanted: bool) -> bool:
        """Let somebody at the console take the lock or give it back; False when a token holds it."""
        if wanted:
            return self.lock(CONSOLE)
        self.unlock(CONSOLE)
        return True

    def _forget_expired(self) -> None:
        now = time.monotonic()
        for token in [token for token, grant in self._grants.items() if grant.expires_s <= now]:
            del self._grants[token]
        if self._lock_owner != CONSOLE and self._lock_owner not in self._grants:
            self._lock_owner = None
