"""Accounts and user groups: adding, disabling, new passwords, and what each group may do."""

from __future__ import annotations

from opensdm.core.identity import Area, User, UserGroup
from opensdm.core.operations import AddUser, DisableUser, EnableUser, ListUserGroups, ListUsers, SetPassword
from opensdm.core.results import Listing
from opensdm.doors.web.routing import Call, Reply, Route


async def list_users(call: Call) -> Reply:
    return await _shown(call, "users.html", done="")


async def add_user(call: Call) -> Reply:
    """Passwords keep their blanks: nothing of them is trimmed."""
    adding = AddUser(user_name=call.sent("name"), group=call.sent("group"), password=_password(call))
    user: User = await call.execute(adding)
    return await _shown(call, "user_list.html", done=f"{user.user_name} was added.", added=True)


async def disable(call: Call) -> Reply:
    user: User = await call.execute(DisableUser(user_name=call.path["user"]))
    return await _shown(call, "user_list.html", done=f"{user.user_name} is disabled; locks stay until overridden.")


async def enable(call: Call) -> Reply:
    user: User = await call.execute(EnableUser(user_name=call.path["user"]))
    return await _shown(call, "user_list.html", done=f"{user.user_name} may sign in again.")


async def set_password(call: Call) -> Reply:
    user: User = await call.execute(SetPassword(user_name=call.path["user"], password=_password(call)))
    return await _shown(call, "user_list.html", done=f"{user.user_name} has a new password.")


async def _shown(call: Call, template: str, *, done: str, added: bool = False) -> Reply:
    found: Listing[User] = await call.execute(ListUsers())
    if template != "users.html" and not call.fragment:
        return Reply.to("/web/users")
    groups: Listing[UserGroup] = await call.execute(ListUserGroups())
    return Reply.page(template, users=found.items, groups=groups.items, areas=tuple(Area), done=done, added=added)


def _password(call: Call) -> str:
    return (call.form.get("password") or ("",))[0]


ROUTES = (
    Route("GET", "/users", list_users),
    Route("POST", "/users", add_user),
    Route("POST", "/users/{user}/disable", disable),
    Route("POST", "/users/{user}/enable", enable),
    Route("POST", "/users/{user}/password", set_password),
)
