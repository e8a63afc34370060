"""What is asked of `IdentityStore`."""

from __future__ import annotations

import pytest

from opensdm.core.element import Element
from opensdm.core.errors import AlreadyExists, InvalidRequest, NotFound
from opensdm.core.identity import DEFAULT_RIGHTS, LOCAL_USER_ID, SYSTEM_USER_ID, User
from opensdm.core.ports import SessionRow
from opensdm.core.staging import PendingChange
from opensdm.testing.store import SECOND_US, OpenStore

DAY_S = 24 * 3600


async def session(store: OpenStore, token_hash: bytes) -> SessionRow | None:
    return await store.read(lambda tx: tx.identity.session(token_hash))


async def user_named(store: OpenStore, name: str) -> tuple[User, str] | None:
    return await store.read(lambda tx: tx.identity.user_named(name))


async def set_password(store: OpenStore, user_id: int, password_hash: str) -> None:
    await store.write(lambda tx: tx.identity.set_password(user_id, password_hash))


async def set_disabled(store: OpenStore, user_id: int) -> None:
    await store.write(lambda tx: tx.identity.set_disabled(user_id, True))


class IdentityContract:
    """Users, rights, sessions, failed attempts."""

    async def test_the_default_groups_have_their_rights(self, store: OpenStore) -> None:
        for group, rights in DEFAULT_RIGHTS.items():
            user = await store.add_user(f"u-{group}", group.upper())
            assert user.group == group
            await store.log_in(user)
            row = await session(store, user.user_name.encode())
            assert row is not None and row.user.user_id == user.user_id
            assert dict(row.rights) == dict(rights)

    async def test_groups_are_listed_with_what_is_stored(self, store: OpenStore) -> None:
        groups = await store.read(lambda tx: tx.identity.groups())
        assert {group.group_name: dict(group.rights) for group in groups} == DEFAULT_RIGHTS

    async def test_users_are_found_without_case(self, store: OpenStore) -> None:
        alice = await store.add_user("Alice")
        found = await user_named(store, "aLICE")
        assert found == (alice, "a hash")
        with pytest.raises(AlreadyExists, match="Alice"):
            await store.add_user("alice")
        with pytest.raises(InvalidRequest, match="monitors"):
            await store.add_user("bob", "pilots")
        assert await store.read(lambda tx: tx.identity.users()) == [alice]

    async def test_the_servers_own_users_are_nobody(self, store: OpenStore) -> None:
        for name in ("system", "local-console"):
            assert await user_named(store, name) is None
            with pytest.raises(InvalidRequest):
                await store.add_user(name)
        for user_id in (SYSTEM_USER_ID, LOCAL_USER_ID, 999):
            with pytest.raises(NotFound):
                await set_password(store, user_id, "x")
            with pytest.raises(NotFound):
                await set_disabled(store, user_id)

    async def test_passwords_and_standing_change(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        await set_password(store, alice.user_id, "newer")
        await set_disabled(store, alice.user_id)
        found = await user_named(store, "alice")
        assert found is not None
        assert (found[1], found[0].disabled) == ("newer", True)

    async def test_a_deleted_user_is_found_no_more_and_the_id_is_nobody_elses(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        device = await store.add_device("edge-a", "192.0.2.1")
        change = PendingChange("realmConfig", ("core",), None, Element("realmConfig", {"id": "core"}), 1)
        await store.write(lambda tx: tx.configurations.put_change(alice.user_id, device.device_id, change))
        await store.log_in(alice)
        await store.write(lambda tx: tx.identity.delete_user(alice.user_id))
        assert await user_named(store, "alice") is None and await session(store, b"alice") is None
        assert await store.read(lambda tx: tx.identity.users()) == []
        assert await store.rows("SELECT * FROM pending_change") == []
        again = await store.add_user("alice")
        assert again.user_id > alice.user_id
        kept = await store.rows("SELECT user_name FROM user_account WHERE user_id = :u", u=alice.user_id)
        assert kept == [("alice",)], "for what names it"
        for nobody in (1, 2, 999):
            with pytest.raises(NotFound):
                await store.write(lambda tx, user_id=nobody: tx.identity.delete_user(user_id))  # type: ignore[misc]

    # ------------------------------------------------------------------------------------- sessions

    async def test_a_session_ends_by_logout_idleness_age_or_disabling(self, store: OpenStore) -> None:
        async def lives(name: str) -> bool:
            return await session(store, name.encode()) is not None

        users = [await store.add_user(name) for name in ("alice", "bob", "carl", "dora")]
        sessions = [
            await store.log_in(user, idle_timeout_s=idle) for user, idle in zip(users, (60, 60, 0, 0), strict=True)
        ]
        assert [await lives(u.user_name) for u in users] == [True] * 4
        await store.write(lambda tx: tx.identity.end_session(sessions[0]))
        await set_disabled(store, users[3].user_id)
        assert [await lives(u.user_name) for u in users] == [False, True, True, False]
        store.ahead_s = 50
        await store.write(lambda tx: tx.identity.touch_session(sessions[0]))
        await store.write(lambda tx: tx.identity.touch_session(sessions[1]))
        store.ahead_s = 100
        assert [await lives(u.user_name) for u in users] == [False, True, True, False]
        store.ahead_s = 120
        assert [await lives(u.user_name) for u in users] == [False, False, True, False]
        store.ahead_s = DAY_S - 60
        assert await lives("carl")
        store.ahead_s = DAY_S + 60
        assert not await lives("carl")

    async def test_a_login_is_remembered(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        assert alice.last_login_us is None
        assert not await store.read(lambda tx: tx.identity.has_session_from(alice.user_id, "192.0.2.99"))
        session_id = await store.log_in(alice)
        row = await session(store, b"alice")
        assert row is not None
        assert (row.session_id, row.door, row.idle_timeout_s) == (session_id, "rest", 1800)
        assert row.user.last_login_us == row.created_us == row.last_used_us
        assert await store.read(lambda tx: tx.identity.has_session_from(alice.user_id, "192.0.2.99"))
        assert not await store.read(lambda tx: tx.identity.has_session_from(alice.user_id, "192.0.2.98"))
        assert await session(store, b"somebody") is None

    async def test_past_the_limit_the_least_recently_used_session_ends(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        await store.log_in(bob)

        async def log_in(number: int) -> int:
            store.ahead_s = number
            return await store.write(
                lambda tx: tx.identity.open_session(
                    alice.user_id, bytes([number]), "rest", "a", idle_timeout_s=0, max_sessions=3
                )
            )

        first, *_ = [await log_in(number) for number in (1, 2, 3)]
        store.ahead_s = 10
        await store.write(lambda tx: tx.identity.touch_session(first))
        await log_in(11)
        alive = [await session(store, bytes([number])) is not None for number in (1, 2, 3, 11)]
        assert alive == [True, False, True, True]
        assert await session(store, b"bob") is not None

    async def test_all_sessions_of_a_user_end_but_one(self, store: OpenStore) -> None:
        alice, bob = await store.add_user("alice"), await store.add_user("bob")
        kept = await store.log_in(alice, token_hash=b"1")
        await store.log_in(alice, token_hash=b"2")
        await store.log_in(bob)
        assert await store.write(lambda tx: tx.identity.end_sessions_of(alice.user_id, but=kept)) == 1
        assert await session(store, b"1") is not None
        assert await store.write(lambda tx: tx.identity.end_sessions_of(alice.user_id)) == 1
        assert await store.write(lambda tx: tx.identity.end_sessions_of(alice.user_id)) == 0
        assert await session(store, b"bob") is not None

    # ------------------------------------------------------------------------------ failed attempts

    async def test_failures_are_counted_within_their_window(self, store: OpenStore) -> None:
        now_us = await store.read(lambda tx: _now(tx.now_us))

        async def fail(*keys: str) -> None:
            await store.write(lambda tx: tx.identity.record_failure(keys, tx.now_us - 60 * SECOND_US))

        async def counts(since_us: int) -> dict[str, int]:
            found = await store.read(lambda tx: tx.identity.failures_since(["a", "b", "c"], since_us))
            return {key: count for key, (count, _) in found.items()}

        await fail("a", "b")
        await fail("a")
        assert await counts(now_us) == {"a": 2, "b": 1}
        store.ahead_s = 50
        await fail("a")
        assert await counts(now_us) == {"a": 3, "b": 1}
        assert await counts(now_us + 40 * SECOND_US) == {"a": 3}
        store.ahead_s = 200
        await fail("a")
        assert await counts(now_us) == {"a": 1, "b": 1}
        await store.write(lambda tx: tx.identity.clear_failures(["a", "c"]))
        assert await counts(now_us) == {"b": 1}

    async def test_rows_that_time_made_meaningless_go(self, store: OpenStore) -> None:
        alice = await store.add_user("alice")
        for number in range(3):
            await store.log_in(alice, token_hash=bytes([number]))
        await store.write(lambda tx: tx.identity.record_failure(["a", "b"], 0))
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 0
        store.ahead_s = 2 * DAY_S
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 2
        store.ahead_s = 8 * DAY_S
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 3
        assert await store.write(lambda tx: tx.identity.expire_rows()) == 0
        assert isinstance((await store.read(lambda tx: tx.identity.users()))[0], User)


async def _now(now_us: int) -> int:
    return now_us
