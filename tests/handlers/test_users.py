"""Accounts: who may do what to whom."""

import pytest

from opensdm.core.errors import (
    AlreadyExists,
    Conflict,
    DeviceLocked,
    Forbidden,
    InvalidRequest,
    LoginFailed,
    NotFound,
    NotLockOwner,
    NotLoggedIn,
)
from opensdm.core.identity import Area, Level
from opensdm.core.operations import (
    AddUser,
    DeleteUser,
    DisableUser,
    EnableUser,
    ListAudit,
    ListLockEvents,
    ListLocks,
    ListUserGroups,
    ListUsers,
    LockDevice,
    OverrideLock,
    SetPassword,
    ShowLock,
    ShowSession,
    UnlockDevice,
    VerifyLocks,
)
from tests.gatehouse import PASSWORD, USERS, House, store_right


async def test_administrators_add_and_list_users(house: House) -> None:
    user = await house.do("admin", AddUser(user_name="Dora-1", group="Monitors", password="s3cret-pw"))
    assert (user.user_name, user.group, user.disabled) == ("Dora-1", "monitors", False)
    listing = await house.do("admin", ListUsers())
    assert {u.user_name for u in listing.items} == {*USERS, "Dora-1"}
    assert listing.total == len(USERS) + 1
    for name in ("alice", "mona"):
        with pytest.raises(Forbidden):
            await house.do(name, ListUsers())
    assert (await house.do("carol", ListUsers())).total == listing.total


async def test_groups_are_shown_to_those_who_may_see_accounts(house: House) -> None:
    """As they are stored now, and with what that comes to."""
    await store_right(house, "monitors", Area.PUSH, Level.FULL)
    found = {group.group_name: group for group in (await house.do("admin", ListUserGroups())).items}
    assert set(found) == {"administrators", "LIAdministrators", "provisioners", "monitors"}
    monitors = found["monitors"]
    assert (monitors.rights[Area.PUSH], monitors.level(Area.PUSH)) == (Level.FULL, Level.VIEW)
    assert monitors.level(Area.USERS) is Level.NONE
    with pytest.raises(Forbidden):
        await house.do("alice", ListUserGroups())


@pytest.mark.parametrize(
    ("name", "group", "password", "error"),
    [
        ("ALICE", "monitors", "s3cret-pw", AlreadyExists),
        ("dora", "pilots", "s3cret-pw", InvalidRequest),
        ("do", "monitors", "s3cret-pw", InvalidRequest),
        ("1dora", "monitors", "s3cret-pw", InvalidRequest),
        ("monitors", "monitors", "s3cret-pw", InvalidRequest),
        ("system", "monitors", "s3cret-pw", InvalidRequest),
        ("dora", "monitors", "short-1", InvalidRequest),
        ("dora", "monitors", "nodigits", InvalidRequest),
        ("dora", "monitors", "12345678", InvalidRequest),
    ],
)
async def test_wrong_accounts_are_refused(house: House, name: str, group: str, password: str, error: type) -> None:
    with pytest.raises(error) as refused:
        await house.do("admin", AddUser(user_name=name, group=group, password=password))
    assert password not in str(refused.value)
    assert (await house.do("admin", ListUsers())).total == len(USERS)


async def test_disabling_ends_sessions_and_orphans_locks(house: House) -> None:
    device_id = await house.enrol("edge-a")
    await house.do("alice", LockDevice(device_id=device_id))
    assert (await house.do("admin", DisableUser(user_name="Alice"))).disabled
    with pytest.raises(NotLoggedIn):
        await house.do("alice", ShowSession())
    with pytest.raises(LoginFailed):
        await house.caller("alice", again=True)
    view = await house.do("bob", ShowLock(device_id=device_id))
    assert (view.row.holder_name, view.orphaned, view.holder_logged_in) == ("alice", True, False)
    assert not (await house.do("admin", EnableUser(user_name="alice"))).disabled
    with pytest.raises(NotLoggedIn):
        await house.do("alice", ShowSession())
    await house.caller("alice", again=True)
    assert not (await house.do("bob", ShowLock(device_id=device_id))).orphaned
    with pytest.raises(NotFound, match="nobody"):
        await house.do("admin", EnableUser(user_name="nobody"))


async def test_the_last_administrator_stays(house: House) -> None:
    with pytest.raises(Conflict, match="last administrator"):
        await house.gate.execute(house.local, DisableUser(user_name="admin"))
    await house.do("admin", AddUser(user_name="second", group="administrators", password="s3cret-pw"))
    await house.gate.execute(house.local, DisableUser(user_name="admin"))
    with pytest.raises(Conflict, match="last administrator"):
        await house.gate.execute(house.local, DisableUser(user_name="second"))


async def test_a_new_password_ends_the_sessions_of_the_old(house: House) -> None:
    mine, other = await house.caller("admin", again=True), await house.caller("admin", again=True)
    bobs = await house.caller("bob", again=True)
    await house.gate.execute(mine, SetPassword(user_name="admin", password="another-1"))
    await house.gate.execute(mine, SetPassword(user_name="bob", password="another-2"))
    await house.gate.execute(mine, ShowSession())
    for ended in (other, bobs):
        with pytest.raises(NotLoggedIn):
            await house.gate.execute(ended, ShowSession())
    with pytest.raises(LoginFailed):
        await house.caller("bob", again=True)
    with pytest.raises(InvalidRequest):
        await house.gate.execute(mine, SetPassword(user_name="bob", password="short"))


async def test_li_administrators_do_not_manage_administrators(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.do("carol", DisableUser(user_name="admin"))


async def test_deleting_keeps_locks_and_history_and_frees_the_name(house: House) -> None:
    device_id = await house.enrol("edge-a")
    await house.do("alice", LockDevice(device_id=device_id, reason="night work"))
    before = next(u for u in (await house.do("admin", ListUsers())).items if u.user_name == "alice")
    await house.do("admin", DeleteUser(user_name="ALICE"))
    with pytest.raises(NotLoggedIn):
        await house.do("alice", ShowSession())
    with pytest.raises(LoginFailed):
        await house.caller("alice", again=True)
    assert "alice" not in {u.user_name for u in (await house.do("admin", ListUsers())).items}
    for operation in (DeleteUser, EnableUser, DisableUser):
        with pytest.raises(NotFound, match="alice"):
            await house.do("admin", operation(user_name="alice"))

    again = await house.do("admin", AddUser(user_name="alice", group="provisioners", password=PASSWORD))
    assert again.user_id > before.user_id
    caller = await house.caller("alice", again=True)
    with pytest.raises(DeviceLocked, match="alice"):
        await house.gate.execute(caller, LockDevice(device_id=device_id))
    with pytest.raises(NotLockOwner):
        await house.gate.execute(caller, UnlockDevice(device_id=device_id))
    view = await house.do("bob", ShowLock(device_id=device_id))
    assert (view.row.holder_name, view.row.holder_id, view.orphaned) == ("alice", before.user_id, True)
    assert not view.holder_logged_in, "the new alice is somebody else"
    assert [v.row.device_id for v in (await house.do("bob", ListLocks(holder="Alice", stale=True))).items] == [
        device_id
    ]

    await house.do("admin", OverrideLock(device_id=device_id, reason="she left", expected_holder="alice"))
    await house.gate.execute(caller, LockDevice(device_id=device_id))
    events = (await house.do("bob", ListLockEvents(device_id=device_id))).items
    assert [(e.actor_name, e.actor_id) for e in events if e.actor_name == "alice"] == [
        ("alice", before.user_id), ("alice", again.user_id),
    ]  # fmt: skip
    trail = (await house.do("admin", ListAudit(filters={"user": "alice", "operation": "LockDevice"}))).items
    assert {e.user_id for e in trail} == {before.user_id, again.user_id}
    assert (await house.do("admin", VerifyLocks())).differences == ()


async def test_the_last_administrator_is_not_deleted_and_li_administrators_delete_none(house: House) -> None:
    with pytest.raises(Conflict, match="last administrator"):
        await house.gate.execute(house.local, DeleteUser(user_name="admin"))
    with pytest.raises(Forbidden):
        await house.do("carol", DeleteUser(user_name="admin"))
    await house.do("carol", DeleteUser(user_name="mona"))
    for nobody in ("system", "local-console", "nobody"):
        with pytest.raises(NotFound):
            await house.do("admin", DeleteUser(user_name=nobody))
