"""Sessions and the server itself: A1 to A3 of the published operations, and the session page of ours."""

from __future__ import annotations

from opensdm.core.identity import UserGroup
from opensdm.core.operations import DeleteUser, ListUserGroups, Login, Logout, LogoutEverywhere, ShowServer, ShowSession
from opensdm.core.results import Listing, LoggedIn, ServerShown, SessionShown
from opensdm.doors.rest import extensions, replies, resources
from opensdm.doors.rest.listing import listed_whole
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.doors.rest.query import PAGING
from opensdm.doors.rest.routing import Call, Endpoint, Reply
from opensdm.doors.rest.session import drop_cookie, set_cookie

PRODUCT = "OpenSDM"


async def login(call: Call) -> Reply:
    """The cookie and the body carry the same session id, since published clients use either."""
    made: LoggedIn = await call.execute(Login(user_name=call.body["userName"], password=call.body["password"]))
    values = {
        "idleTimeout": made.idle_timeout_s // 60,
        "serverInfo": PRODUCT,
        "sessionId": made.token,
        "userGroup": made.group,
        "userName": made.user_name,
    }
    return Reply.of(resources.SESSION, values, ("Set-Cookie", set_cookie(made.token, secure=call.secure)))


async def logout(call: Call) -> Reply:
    await call.execute(Logout())
    return Reply.nothing(("Set-Cookie", drop_cookie(secure=call.secure)))


async def logout_everywhere(call: Call) -> Reply:
    await call.execute(LogoutEverywhere())
    return Reply.nothing(("Set-Cookie", drop_cookie(secure=call.secure)))


async def server_info(call: Call) -> Reply:
    shown: ServerShown = await call.execute(ShowServer())
    return Reply.of(resources.SERVER_INFO, {"clusterMembers": [replies.cluster_member(n) for n in shown.nodes]})


async def session(call: Call) -> Reply:
    shown: SessionShown = await call.execute(ShowSession())
    return Reply.of(extensions.SESSION_INFO, replies.session_info(shown))


async def list_user_groups(call: Call) -> Reply:
    found: Listing[UserGroup] = await call.execute(ListUserGroups())
    wire = [replies.user_group(each) for each in found.items]
    return listed_whole(call, extensions.USER_GROUPS, "userGroups", wire)


async def delete_user(call: Call) -> Reply:
    """Locks of this user stay, as orphans, until they are overridden."""
    await call.execute(DeleteUser(user_name=call.path["user_name"]))
    return Reply.nothing()


ENDPOINTS = (
    Endpoint("POST", "/admin/login", login, body=resources.LOGIN),
    Endpoint("POST", "/admin/logout", logout),
    Endpoint("POST", "/admin/logoutEverywhere", logout_everywhere, since=OWN_VERSION),
    Endpoint("GET", "/admin/serverInfo", server_info),
    Endpoint("GET", "/admin/session", session, since=OWN_VERSION),
    Endpoint("GET", "/admin/userGroups", list_user_groups, query=PAGING, since=OWN_VERSION),
    Endpoint("DELETE", "/admin/users/{user_name}", delete_user, since=OWN_VERSION),
)
