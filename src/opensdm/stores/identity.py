"""Users, their rights, their sessions, and failed attempts to be one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import TextClause, bindparam, insert, text

from opensdm.core.errors import AlreadyExists, InvalidRequest, NotFound
from opensdm.core.identity import LOCAL_USER_ID, Area, Level, User, UserGroup, check_user_name
from opensdm.core.ports import SessionRow
from opensdm.stores.repository import SECOND_US, Repository
from opensdm.stores.tables import user_account

SESSIONS_KEPT_US = 7 * 24 * 3600 * SECOND_US
CLAIMS_KEPT_US = 24 * 3600 * SECOND_US
REQUESTS_KEPT_US = 3600 * SECOND_US
FAILURES_KEPT_US = 24 * 3600 * SECOND_US
TASKS_KEPT_US = 30 * 24 * 3600 * SECOND_US
ROWS_AT_ONCE = 2000
"""How many rows of one kind go in one transaction, so that none of them takes long."""

LIVE = """s.ended_us IS NULL AND u.disabled = 0 AND s.expires_us > :now_us
       AND (s.idle_timeout_s = 0 OR s.last_used_us + s.idle_timeout_s * CAST(1000000 AS BIGINT) >= :now_us)"""
"""The condition under which a session `s` of a user `u` lives; the only place that says it in SQL."""

_SESSION = text(
    f"""
    SELECT s.session_id, s.door, s.created_us, s.last_used_us, s.idle_timeout_s,
           u.user_id, u.user_name, u.disabled, u.created_us AS user_created_us, u.last_login_us,
           g.group_name, r.area, r.level
      FROM session s
      JOIN user_account u ON u.user_id = s.user_id
      JOIN user_group g ON g.group_id = u.group_id
      LEFT JOIN group_right r ON r.group_id = g.group_id
     WHERE s.token_hash = :token_hash AND {LIVE}
    """  # noqa: S608
)
_USERS = """
    SELECT u.user_id, u.user_name, u.disabled, u.created_us AS user_created_us, u.last_login_us, g.group_name,
           u.password_hash
      FROM user_account u
      JOIN user_group g ON g.group_id = u.group_id
     WHERE u.user_id > :nobody AND u.name_key NOT LIKE 'deleted:%'
"""
_ALL_USERS = text(_USERS + " ORDER BY u.user_id")
_USER_NAMED = text(_USERS + " AND u.name_key = :name_key")
_GROUP_ID = text("SELECT group_id FROM user_group WHERE lower(group_name) = lower(:group_name)")
_GROUP_NAMES = text("SELECT group_name FROM user_group ORDER BY group_id")
_GROUPS = text(
    """
    SELECT g.group_id, g.group_name, r.area, r.level
      FROM user_group g
      LEFT JOIN group_right r ON r.group_id = g.group_id
     ORDER BY g.group_id
    """
)
_SET_DISABLED = text("UPDATE user_account SET disabled = :disabled WHERE user_id = :user_id AND user_id > :nobody")
_SET_PASSWORD = text(
    "UPDATE user_account SET password_hash = :password_hash WHERE user_id = :user_id AND user_id > :nobody"
)
_DELETE_USER = text(
    """
    UPDATE user_account SET disabled = 1, password_hash = '', name_key = 'deleted:' || CAST(user_id AS text)
     WHERE user_id = :user_id AND user_id > :nobody
    """
)
"""No name has a colon in it: whoever has this one is found no more, and the name is free for somebody else."""
_DELETE_STAGED = text("DELETE FROM pending_change WHERE user_id = :user_id")
_LOGGED_IN = text("UPDATE user_account SET last_login_us = :now_us WHERE user_id = :user_id")
_OPEN_SESSION = text(
    """
    INSERT INTO session (token_hash, user_id, door, address, created_us, last_used_us, idle_timeout_s, expires_us)
    VALUES (:token_hash, :user_id, :door, :address, :now_us, :now_us, :idle_timeout_s, :expires_us)
    RETURNING session_id
    """
)
_SESSION_TOO_MANY = text(
    """
    SELECT session_id FROM session
     WHERE user_id = :user_id AND ended_us IS NULL
     ORDER BY last_used_us DESC, session_id DESC LIMIT 1000000 OFFSET :max_sessions
    """
)
_END_SESSIONS = text(
    "UPDATE session SET ended_us = :now_us WHERE session_id IN :sessions AND ended_us IS NULL"
).bindparams(bindparam("sessions", expanding=True))
_END_ALL_OF = text(
    "UPDATE session SET ended_us = :now_us WHERE user_id = :user_id AND session_id <> :but AND ended_us IS NULL"
)
_TOUCH = text("UPDATE session SET last_used_us = :now_us WHERE session_id = :session_id AND ended_us IS NULL")
_FROM_ADDRESS = text("SELECT 1 FROM session WHERE user_id = :user_id AND address = :address LIMIT 1")

_FAILURES = text(
    "SELECT failure_key, failures, last_us FROM login_failure WHERE failure_key IN :keys AND last_us >= :since_us"
).bindparams(bindparam("keys", expanding=True))
_RECORD_FAILURE = text(
    """
    INSERT INTO login_failure (failure_key, failures, first_us, last_us) VALUES (:key, 1, :now_us, :now_us)
    ON CONFLICT (failure_key) DO UPDATE
       SET failures = CASE WHEN login_failure.last_us < :since_us THEN 1 ELSE login_failure.failures + 1 END,
           first_us = CASE WHEN login_failure.last_us < :since_us THEN :now_us ELSE login_failure.first_us END,
           last_us = :now_us
    """
)
_CLEAR_FAILURES = text("DELETE FROM login_failure WHERE failure_key IN :keys").bindparams(
    bindparam("keys", expanding=True)
)


class SqlIdentity(Repository):
    """Implements `IdentityStore`. The server's own two users are nobody here: not listed, not found by name."""

    # ---------------------------------------------------------------------------------------- users

    async def user_named(self, user_name: str) -> tuple[User, str] | None:
        key = {"name_key": user_name.casefold(), "nobody": LOCAL_USER_ID}
        row = (await self._connection.execute(_USER_NAMED, key)).first()
        return None if row is None else (_user(row), row.password_hash)

    async def users(self) -> list[User]:
        return [_user(row) for row in await self._connection.execute(_ALL_USERS, {"nobody": LOCAL_USER_ID})]

    async def groups(self) -> list[UserGroup]:
        found: dict[str, dict[Area, Level]] = {}
        for row in await self._connection.execute(_GROUPS):
            rights = found.setdefault(row.group_name, {})
            if row.area is not None:
                rights[Area(row.area)] = Level(row.level)
        return [UserGroup(name, rights) for name, rights in found.items()]

    async def add_user(self, user_name: str, group: str, password_hash: str) -> User:
        """The group is named without case. AlreadyExists for a taken name, InvalidRequest for an unknown group."""
        check_user_name(user_name)
        group_id = await self._connection.scalar(_GROUP_ID, {"group_name": group})
        if group_id is None:
            known = ", ".join((await self._connection.scalars(_GROUP_NAMES)).all())
            raise InvalidRequest(f"there is no user group {group!r}; there is: {known}")
        if (taken := await self.user_named(user_name)) is not None:
            raise AlreadyExists(f"there is already a user {taken[0].user_name!r}")
        values = {
            "user_name": user_name, "name_key": user_name.casefold(), "group_id": group_id,
            "password_hash": password_hash, "disabled": 0, "created_us": self._now_us,
        }  # fmt: skip
        await self._connection.execute(insert(user_account), values)
        return next(user for user in await self.users() if user.user_name == user_name)

    async def set_disabled(self, user_id: int, disabled: bool) -> None:
        """What else a disabled user loses is the caller's to end."""
        await self._change_user(_SET_DISABLED, {"user_id": user_id, "disabled": int(disabled)})

    async def delete_user(self, user_id: int) -> None:
        await self._connection.execute(_DELETE_STAGED, {"user_id": user_id})
        await self._change_user(_DELETE_USER, {"user_id": user_id})

    async def set_password(self, user_id: int, password_hash: str) -> None:
        await self._change_user(_SET_PASSWORD, {"user_id": user_id, "password_hash": password_hash})

    async def _change_user(self, statement: TextClause, values: Mapping[str, Any]) -> None:
        changed = await self._connection.execute(statement, {**values, "nobody": LOCAL_USER_ID})
        if changed.rowcount != 1:
            raise NotFound(f"there is no user with the number {values['user_id']}")

    # ------------------------------------------------------------------------------------- sessions

    async def session(self, token_hash: bytes) -> SessionRow | None:
        key = {"token_hash": token_hash, "now_us": self._now_us}
        rows = (await self._connection.execute(_SESSION, key)).all()
        if not rows:
            return None
        first = rows[0]
        rights = {Area(row.area): Level(row.level) for row in rows if row.area is not None}
        return SessionRow(
            first.session_id, _user(first), first.door, rights, first.created_us, first.last_used_us,
            first.idle_timeout_s,
        )  # fmt: skip

    async def open_session(
        self,
        user_id: int,
        token_hash: bytes,
        door: str,
        address: str,
        *,
        idle_timeout_s: int,
        max_sessions: int,
        absolute_s: int = 86_400,
    ) -> int:
        values = {
            "token_hash": token_hash, "user_id": user_id, "door": door, "address": address,
            "now_us": self._now_us, "idle_timeout_s": idle_timeout_s,
            "expires_us": self._now_us + absolute_s * SECOND_US,
        }  # fmt: skip
        session_id = int(await self._connection.scalar(_OPEN_SESSION, values))
        limit = {"user_id": user_id, "max_sessions": max_sessions}
        too_many = (await self._connection.scalars(_SESSION_TOO_MANY, limit)).all()
        if too_many:
            await self._connection.execute(_END_SESSIONS, {"now_us": self._now_us, "sessions": list(too_many)})
        await self._connection.execute(_LOGGED_IN, {"now_us": self._now_us, "user_id": user_id})
        return session_id

    async def has_session_from(self, user_id: int, address: str) -> bool:
        return await self._connection.scalar(_FROM_ADDRESS, {"user_id": user_id, "address": address}) is not None

    async def end_session(self, session_id: int) -> None:
        await self._connection.execute(_END_SESSIONS, {"now_us": self._now_us, "sessions": [session_id]})

    async def end_sessions_of(self, user_id: int, *, but: int | None = None) -> int:
        values = {"now_us": self._now_us, "user_id": user_id, "but": but or 0}
        return (await self._connection.execute(_END_ALL_OF, values)).rowcount

    async def touch_session(self, session_id: int) -> None:
        await self._connection.execute(_TOUCH, {"now_us": self._now_us, "session_id": session_id})

    # ------------------------------------------------------------------------------ failed attempts

    async def failures_since(self, keys: Sequence[str], since_us: int) -> Mapping[str, tuple[int, int]]:
        rows = await self._connection.execute(_FAILURES, {"keys": list(keys), "since_us": since_us})
        return {row.failure_key: (row.failures, row.last_us) for row in rows}

    async def record_failure(self, keys: Sequence[str], since_us: int) -> None:
        # Sorted, so that two nodes that record the same keys cannot wait for one another.
        rows = [{"key": key, "now_us": self._now_us, "since_us": since_us} for key in sorted(keys)]
        await self._connection.execute(_RECORD_FAILURE, rows)

    async def clear_failures(self, keys: Sequence[str]) -> None:
        await self._connection.execute(_CLEAR_FAILURES, {"keys": list(keys)})

    # ---------------------------------------------------------------------------------------- expiry

    async def expire_rows(self) -> int:
        """A bounded number in one go; ended sessions are kept for a week, so that locks can tell of their holders."""
        gone = 0
        for statement, kept_us in _EXPIRE:
            values = {"before_us": self._now_us - kept_us, "rows": ROWS_AT_ONCE}
            gone += (await self._connection.execute(statement, values)).rowcount
        return gone


_OLD_CLAIMS = "SELECT claim_id FROM claim WHERE state = 'ENDED' AND ended_us < :before_us ORDER BY claim_id LIMIT :rows"
_OLD_TASKS = """
    SELECT t.task_id FROM task t
     WHERE t.started_us < :before_us
       AND (t.ended_us < :before_us
            OR t.ended_us IS NULL AND NOT EXISTS (
                   SELECT 1 FROM claim c WHERE c.claim_id = t.claim_id AND c.state = 'RUNNING'))
     ORDER BY t.started_us, t.task_id LIMIT :rows
"""
"""Ended, or left by a server that is gone."""
_OLD_REQUESTS = "SELECT pending_id FROM lock_pending WHERE deadline_us < :before_us ORDER BY pending_id LIMIT :rows"
"""Of those who could not give up, since the database was away at that moment; they bar nobody since their deadline."""
_EXPIRE = (
    (text(f"DELETE FROM lock_pending_device WHERE pending_id IN ({_OLD_REQUESTS})"), REQUESTS_KEPT_US),  # noqa: S608
    (text(f"DELETE FROM lock_pending WHERE pending_id IN ({_OLD_REQUESTS})"), REQUESTS_KEPT_US),  # noqa: S608
    (
        text(
            """
            DELETE FROM session WHERE session_id IN (
                SELECT session_id FROM session
                 WHERE coalesce(ended_us, last_used_us) < :before_us
                 ORDER BY session_id LIMIT :rows)
            """
        ),
        SESSIONS_KEPT_US,
    ),
    (text(f"DELETE FROM claim_device WHERE claim_id IN ({_OLD_CLAIMS})"), CLAIMS_KEPT_US),  # noqa: S608
    (text(f"DELETE FROM claim WHERE claim_id IN ({_OLD_CLAIMS})"), CLAIMS_KEPT_US),  # noqa: S608
    (text(f"DELETE FROM task_progress WHERE task_id IN ({_OLD_TASKS})"), TASKS_KEPT_US),  # noqa: S608
    (text(f"DELETE FROM task WHERE task_id IN ({_OLD_TASKS})"), TASKS_KEPT_US),  # noqa: S608
    (
        text(
            """
            DELETE FROM login_failure WHERE failure_key IN (
                SELECT failure_key FROM login_failure WHERE last_us < :before_us ORDER BY failure_key LIMIT :rows)
            """
        ),
        FAILURES_KEPT_US,
    ),
)


def _user(row: Any) -> User:
    return User(
        row.user_id, row.user_name, row.group_name, bool(row.disabled), row.user_created_us, row.last_login_us
    )  # fmt: skip
