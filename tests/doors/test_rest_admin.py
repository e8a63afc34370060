"""Login, logout, the server, the audit trail, and what every reply carries."""

from __future__ import annotations

import re

import pytest

from tests.doors import wire
from tests.doors.conftest import Connect, Rest
from tests.doors.wire import listed, members, read, refused
from tests.gatehouse import PASSWORD, House

MEDIA = ["xml", "json"]
FORMS = [(version, medium) for version in ("v1.0", "v1.3", "v1.4") for medium in MEDIA]


def login(medium: str, user: str, password: str) -> str:
    return wire.simple(medium, "session", userName=user, password=password)


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_login_and_logout(connect: Connect, version: str, medium: str) -> None:
    client = await connect(None, version, medium)
    answer = await client.post("/admin/login", login(medium, "alice", PASSWORD))
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"]
    found = re.fullmatch(
        r"JSESSIONID=([0-9A-F]{32}\.[A-Za-z0-9-]+); Path=/rest; HttpOnly; Secure; SameSite=Lax", cookie
    )
    assert found is not None, cookie
    body = read(answer)
    assert body == {
        "idleTimeout": body["idleTimeout"], "serverInfo": "OpenSDM", "sessionId": found[1],
        "userGroup": "provisioners", "userName": "alice",
    }  # fmt: skip
    assert int(body["idleTimeout"]) == 30
    client.token = found[1]
    assert (await client.get("/inventory/deviceMgmt/devices")).status_code == 200
    gone = await client.post("/admin/logout")
    assert (gone.status_code, gone.content) == (204, b"") and "Max-Age=0" in gone.headers["Set-Cookie"]
    refused(await client.get("/inventory/deviceMgmt/devices"), 401, "NOT_LOGGED_IN")
    refused(await client.post("/admin/logout"), 401, "NOT_LOGGED_IN")


@pytest.mark.parametrize("medium", MEDIA)
async def test_user_groups_with_their_rights(connect: Connect, medium: str) -> None:
    client = await connect("admin", "v1.4", medium)
    groups = {each["name"]: each for each in members(await client.get("/admin/userGroups"), "userGroups")}
    rights = {right["area"]: (right["level"], right["stored"]) for right in listed(groups["monitors"]["rights"])}
    assert (rights["configuration"], rights["configuration.push"]) == (("View", "View"), ("None", "None"))
    assert len(groups) == 4 and len(rights) == 8
    for user, version, status, code in (("alice", "v1.4", 403, "FORBIDDEN"), ("admin", "v1.3", 404, "NOT_FOUND")):
        other = await connect(user, version, medium)
        refused(await other.get("/admin/userGroups"), status, code)


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_wrong_logins_say_nothing_of_what_was_wrong(connect: Connect, version: str, medium: str) -> None:
    client = await connect(None, version, medium)
    bodies = [
        refused(await client.post("/admin/login", login(medium, user, "wrong-1")), 401, "LOGIN_FAILED")
        for user in ("alice", "nobody-here")
    ]
    assert bodies[0]["message"] == bodies[1]["message"]
    assert "wrong-1" not in str(bodies)
    assert "/admin/login" in listed(bodies[0]["next"])[0] and "-c cookies.txt" in listed(bodies[0]["next"])[0]


async def test_guessing_is_slowed_down(connect: Connect) -> None:
    client = await connect(None, "v1.3", "json")
    for _ in range(5):
        assert (await client.post("/admin/login", login("json", "alice", "wrong-1"))).status_code == 401
    answer = await client.post("/admin/login", login("json", "alice", PASSWORD))
    body = refused(answer, 429, "TOO_MANY_ATTEMPTS")
    assert answer.headers["Retry-After"] == str(body["retryAfterSeconds"]) and body["retryAfterSeconds"] >= 1


@pytest.mark.parametrize("medium", MEDIA)
async def test_the_server_and_the_session(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    client = await connect("alice", "v1.4", medium)
    (member,) = listed(read(await client.get("/admin/serverInfo"))["clusterMembers"])
    assert (member["downTime"], member["status"], member["name"]) == ("NA", "UP", "test-node")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", member["lastHeartBeatTime"])
    await client.act(device_id, "Lock")
    session = read(await client.get("/admin/session"))
    assert (session["userName"], session["userGroup"], session["door"]) == ("alice", "provisioners", "rest")
    rights = {right["area"]: right["level"] for right in session["rights"]}
    assert rights["lock"] == "Full" and "lock.override" not in rights
    assert [lock["deviceName"] for lock in listed(session["locks"])] == ["edge-a"]
    anonymous = await connect(None, "v1.3", medium)
    refused(await anonymous.get("/admin/serverInfo"), 401, "NOT_LOGGED_IN")


@pytest.mark.parametrize("medium", MEDIA)
async def test_the_audit_trail(house: House, connect: Connect, medium: str) -> None:
    device_id = await house.enrol("edge-a")
    alice, bob = await connect("alice", "v1.3", medium), await connect("bob", "v1.3", medium)
    admin = await connect("admin", "v1.4", medium)
    await alice.act(device_id, "Lock", X_Request_Id="req-1")
    await bob.act(device_id, "Lock", X_Request_Id="req-2")

    async def entries(query: str) -> list[dict[str, str]]:
        return members(await admin.get(f"/admin/audit?{query}"), "auditEntries")

    (refusal,) = await entries("requestId=req-2")
    assert (refusal["user"], refusal["result"], refusal["operation"]) == ("bob", "DEVICE_LOCKED", "LockDevice")
    assert (refusal["door"], refusal["address"], refusal["deviceId"]) == ("rest", "192.0.2.50", f"ID{device_id}")
    assert refusal["deviceName"] == "edge-a" and refusal["tag"] == "device:lock:taken"
    (lock,) = await entries(f"user=alice&device=ID{device_id}&operation=LockDevice")
    assert (lock["result"], lock["requestId"]) == ("SUCCESS", "req-1")
    assert not await entries(f"until={lock['at']}&requestId=req-2")
    assert await entries("since=2026-01-01T00:00:00Z&door=rest")
    assert len(await entries("limitation=1")) == 1
    assert not await entries("since=2999-01-01T00:00:00Z")
    newest = [int(entry["id"]) for entry in await entries("limitation=100")]
    assert newest == sorted(newest, reverse=True)
    assert PASSWORD not in (await admin.get("/admin/audit?limitation=1000")).text
    exact = await connect("bob", "v1.4", medium)
    refused(await exact.get("/admin/audit"), 403, "FORBIDDEN")


@pytest.mark.parametrize("version", ["v1.3", "v1.4"])
async def test_what_every_reply_carries(connect: Connect, version: str) -> None:
    client = await connect("alice", version, "xml")
    for answer in (
        await client.get("/inventory/deviceMgmt/devices"),
        await client.get("/inventory/deviceMgmt/devices/ID99"),
        await client.get("/nothing"),
        await client.send("PATCH", "/admin/login"),
        await client.post("/admin/login"),
        await client.http.get("https://sdm.test/favicon.ico"),
    ):
        assert answer.headers["Server"] == "OpenSDM"
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])


async def test_request_ids(connect: Connect) -> None:
    client = await connect("alice", "v1.3", "json")
    for sane in ("abc-1", "A.b_c:9", "x" * 64):
        assert (await client.get("/admin/serverInfo", X_Request_Id=sane)).headers["X-Request-Id"] == sane
    for other in ("", "a b", "x" * 65, "<script>", "a;b"):
        given = (await client.get("/admin/serverInfo", X_Request_Id=other)).headers["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{32}", given)


async def test_plain_http_gets_no_secure_cookie(http: object, connect: Connect) -> None:
    client: Rest = await connect(None, "v1.3", "json")
    answer = await client.http.post(
        "http://sdm.test/rest/v1.3/admin/login",
        content=login("json", "alice", PASSWORD),
        headers={"Content-Type": "application/json"},
    )
    assert "Secure" not in answer.headers["Set-Cookie"] and "Strict-Transport-Security" not in answer.headers


async def test_a_user_is_deleted_and_the_lock_stays(house: House, connect: Connect) -> None:
    device_id = await house.enrol("edge-a")
    alice, admin = await connect("alice", "v1.4"), await connect("admin", "v1.4")
    await alice.act(device_id, "Lock")
    refused(await (await connect("bob", "v1.4")).delete("/admin/users/alice"), 403, "FORBIDDEN")
    gone = await admin.delete("/admin/users/Alice")
    assert (gone.status_code, gone.content) == (204, b"")
    refused(await alice.get("/admin/session"), 401, "NOT_LOGGED_IN")
    lock = read(await admin.get(f"/inventory/deviceMgmt/devices/ID{device_id}/lock"))
    assert (lock["holder"], lock["orphaned"]) == ("alice", True)
    refused(await admin.delete("/admin/users/alice"), 404, "NOT_FOUND")
    refused(await admin.delete("/admin/users/admin"), 409, "CONFLICT")
    published = await connect("admin", "v1.3")
    refused(await published.delete("/admin/users/bob"), 404, "NOT_FOUND")
