"""Accounts of people."""

from __future__ import annotations

from opensdm.core.errors import Conflict, Forbidden, NotFound
from opensdm.core.identity import (
    ADMIN_GROUPS,
    ADMINISTRATORS,
    LI_ADMINISTRATORS,
    User,
    UserGroup,
    check_password,
    check_user_name,
)
from opensdm.core.operations import (
    AddUser,
    DeleteUser,
    DisableUser,
    EnableUser,
    ListUserGroups,
    ListUsers,
    SetPassword,
)
from opensdm.core.ports import Transaction, Work
from opensdm.core.results import Listing


async def add_user(operation: AddUser, work: Work) -> User:
    name, password = check_user_name(operation.user_name), check_password(operation.password)
    _check_reach(work, operation.group)
    password_hash = await work.passwords.hash(password)
    return await work.commit(lambda tx: tx.identity.add_user(name, operation.group, password_hash))


async def list_users(operation: ListUsers, work: Work) -> Listing[User]:
    users = await work.read(lambda tx: tx.identity.users())
    return Listing(tuple(users), len(users))


async def list_user_groups(operation: ListUserGroups, work: Work) -> Listing[UserGroup]:
    groups = await work.read(lambda tx: tx.identity.groups())
    return Listing(tuple(groups), len(groups))


async def disable_user(operation: DisableUser, work: Work) -> User:
    """The user's sessions end; locks stay, shown as orphaned. Conflict for the last administrator who can log in."""

    async def effect(tx: Transaction) -> User:
        user = await _dispensable(tx, work, operation.user_name)
        await tx.identity.set_disabled(user.user_id, True)
        await tx.identity.end_sessions_of(user.user_id)
        return await _known(tx, user.user_name)

    return await work.commit(effect)


async def enable_user(operation: EnableUser, work: Work) -> User:
    async def effect(tx: Transaction) -> User:
        user = await _reached(tx, work, operation.user_name)
        await tx.identity.set_disabled(user.user_id, False)
        return await _known(tx, user.user_name)

    return await work.commit(effect)


async def delete_user(operation: DeleteUser, work: Work) -> User:
    """As disabling, and for good: staged edits go, and the name may be given to another, who has nothing of it."""

    async def effect(tx: Transaction) -> User:
        user = await _dispensable(tx, work, operation.user_name)
        await tx.identity.end_sessions_of(user.user_id)
        await tx.identity.delete_user(user.user_id)
        return user

    return await work.commit(effect)


async def set_password(operation: SetPassword, work: Work) -> User:
    """Sessions opened with the old password end, but for the one that asks."""
    password_hash = await work.passwords.hash(check_password(operation.password))

    async def effect(tx: Transaction) -> User:
        user = await _reached(tx, work, operation.user_name)
        await tx.identity.set_password(user.user_id, password_hash)
        await tx.identity.end_sessions_of(user.user_id, but=work.session.session_id)
        return user

    return await work.commit(effect)


async def _known(tx: Transaction, user_name: str) -> User:
    found = await tx.identity.user_named(user_name)
    if found is None:
        raise NotFound(f"there is no user {user_name!r}")
    return found[0]


async def _dispensable(tx: Transaction, work: Work, user_name: str) -> User:
    """The account, if the caller may change it and somebody else is left to administer."""
    user = await _reached(tx, work, user_name)
    others = [u for u in await tx.identity.users() if u.user_id != user.user_id and not u.disabled]
    if user.group == ADMINISTRATORS and not any(u.group == ADMINISTRATORS for u in others):
        raise Conflict(f"{user.user_name!r} is the last administrator who can log in; enable or add another first")
    return user


async def _reached(tx: Transaction, work: Work, user_name: str) -> User:
    """The account, if the caller may change it."""
    user = await _known(tx, user_name)
    _check_reach(work, user.group)
    return user


def _check_reach(work: Work, group: str) -> None:
    """Lawful-intercept administrators manage everyone but administrators of either kind."""
    if work.session.group == LI_ADMINISTRATORS and group.lower() in {name.lower() for name in ADMIN_GROUPS}:
        raise Forbidden(f"user group {LI_ADMINISTRATORS!r} cannot manage users of {group!r}", userGroup=group)


HANDLERS_HERE = {
    AddUser: add_user,
    ListUsers: list_users,
    ListUserGroups: list_user_groups,
    DisableUser: disable_user,
    DeleteUser: delete_user,
    EnableUser: enable_user,
    SetPassword: set_password,
}
