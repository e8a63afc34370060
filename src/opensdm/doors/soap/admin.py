"""AdminMgmtIF: sessions, users, and what is said of the server."""

from __future__ import annotations

from opensdm.core.errors import NotFound
from opensdm.core.identity import User
from opensdm.core.operations import ListUsers, Login, Logout
from opensdm.core.results import Listing, LoggedIn
from opensdm.doors.soap.calls import Answers, Call, NotHere, Wire, done
from opensdm.gate.policy import utc


async def login(call: Call) -> str:
    """The session's id, which is also set as a cookie."""
    operation = Login(user_name=call.text("username"), password=call.values.get("password") or "")
    found: LoggedIn = await call.execute(operation)
    call.cookie = found.token
    return found.token


async def log_out(call: Call) -> Wire:
    """Ends this session. Locks stay: they are the user's."""
    await call.execute(Logout())
    call.cookie = ""
    return done("logged out")


async def external_aaa(call: Call) -> bool:
    """Users are this server's own."""
    await call.session()
    return False


async def get_user_info(call: Call) -> Wire:
    wanted = call.text("arg0")
    found = [user for user in await _users(call) if user.user_name.casefold() == wanted.casefold()]
    if not found:
        raise NotFound(f"there is no user {wanted[:60]!r}")
    return user_info(found[0])


async def get_all_users(call: Call) -> list[Wire]:
    return [user_info(user) for user in await _users(call)]


async def _users(call: Call) -> tuple[User, ...]:
    found: Listing[User] = await call.execute(ListUsers())
    return found.items


def user_info(user: User) -> Wire:
    return {
        "userName": user.user_name,
        "userGroup": user.group,
        "disabled": user.disabled,
        "lastLogin": None if user.last_login_us is None else utc(user.last_login_us),
    }


async def account_management(call: Call) -> Wire:
    """Minutes, 0 for never. No password is remembered once it was changed."""
    await call.session()
    settings = call.settings
    return {
        "passwordReuseCount": 0,
        "adminUserInactivityTimeout": settings.admin_idle_s // 60,
        "nonAdminUserInactivityTimeout": settings.user_idle_s // 60,
        "externalAAA": False,
    }


async def login_banner(call: Call) -> str:
    """Shown before a login, so to everyone; there is none."""
    return ""


_NO_TRAPS = NotHere("this server sends no traps yet, so it has no receivers of them")
_NO_SYNC = NotHere("what this call takes and answers was never published; this server sends no traps yet")

ANSWERS: Answers = {
    "login": login,
    "logOut": log_out,
    "UsingExternalAAA": external_aaa,
    "usingExternalAAA": external_aaa,
    "getUserInfo": get_user_info,
    "getAllUserInfo": get_all_users,
    "getAllUsersInfo": get_all_users,
    "getAccountManagementInfo": account_management,
    "getLoginBanner": login_banner,
    "getTrapReceivers": _NO_TRAPS,
    "NorthboundalarmSync": _NO_SYNC,
    "NorthboundActiveAlarmSync": _NO_SYNC,
}
