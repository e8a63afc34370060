"""Versions and tasks over REST, on a virtual SBC: kept, compared, restored; watched, resumed, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from opensdm.doors.rest.app import build_app
from tests.acceptance.provisioning import until
from tests.doors.conftest import Rest, client_of
from tests.doors.provisioning_site import MEDIA, Provisioning, body, events, provisioning
from tests.doors.wire import listed, members, read, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")
TASKS = "/configuration/tasks"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provisioning]:
    async with provisioning(tmp_path_factory.mktemp("history")) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def clean(site: Provisioning) -> AsyncIterator[None]:
    yield
    await site.reset()


async def begun(site: Provisioning, client: Rest, realm: str, job_delay_s: float = 0.01) -> str:
    """The id of a task that pushes a new realm."""
    site.sbc.control({"job_delay_s": job_delay_s})
    await site.stage(client, "add", "realmConfig", id=realm)
    answer = await site.act(client, asTask=True)
    assert answer.status_code == 202, answer.text
    started = read(answer)
    assert (started["operation"], started["deviceId"]) == ("PushChanges", f"ID{site.device_id}")
    task_id: str = started["id"]
    assert answer.headers["Location"] == f"/rest/v1.4{TASKS}/{task_id}"
    return task_id


async def over(client: Rest, task_id: str) -> None:
    for _ in range(10):
        if read(await client.get(f"{TASKS}/{task_id}?after=9999&waitSeconds=10"))["state"] != "RUNNING":
            return
    raise AssertionError(f"{task_id} does not end")


# ---------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize("medium", MEDIA)
async def test_versions_are_kept_shown_compared_and_restored(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    versions = f"{site.managed}/versions"
    kept = read(await client.post(versions, body(medium, "backup", comment="before 4711")))
    assert (kept["source"], kept["comment"], kept["userName"]) == ("backup", "before 4711", "alice")
    assert str(kept["restorable"]).lower() == "true"
    await site.stage(client, "add", "realmConfig", id=f"new-{medium}")
    assert read(await site.act(client))["status"] == "SUCCESS"
    newest = members(await client.get(versions + "?limitation=1"), "versions")[0]
    assert newest["source"] == "push" and str(newest["current"]).lower() == "true"
    assert int(newest["number"]) > int(kept["number"])
    assert newest["digest"] != kept["digest"]

    one = f"{versions}/{kept['number']}"
    shown = read(await client.get(f"{one}?elementTypePath=realmConfig&limitation=1&offset=2"))
    assert (str(shown["pageInfo"]["numberOfElements"]), str(shown["pageInfo"]["offset"])) == ("1", "2")
    assert int(shown["pageInfo"]["total"]) >= 2 and shown["number"] == kept["number"]
    (element,) = listed(shown["configElements"])
    assert element["elementTypePath"] == "realmConfig"
    whole = read(await client.get(f"{one}?limitation=1000"))
    assert len(listed(whole["configElements"])) == int(kept["elementCount"])

    for query in ("", f"?with={newest['number']}"):
        found = read(await client.get(f"{one}/compare{query}"))
        assert (found["old"]["number"], found["new"]["number"]) == (kept["number"], newest["number"])
        (difference,) = listed(found["differences"])
        assert (listed(difference["key"]), difference["new"]) == ([f"new-{medium}"], "present")

    done = read(await client.post(f"{one}/action", body(medium, "versionAction", type="restore")))
    assert done["status"] == "SUCCESS"
    assert site.stored("running", "realm-config", identifier=f"new-{medium}") is None
    answer = await client.post(
        f"{versions}/{newest['number']}/action", body(medium, "versionAction", type="Restore", asTask=True)
    )
    task_id = read(answer)["id"]
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/rest/v1.4{TASKS}/{task_id}")
    await over(client, task_id)
    task = read(await client.get(f"{TASKS}/{task_id}"))
    assert (task["operation"], task["state"]) == ("RestoreVersion", "SUCCESS")
    assert site.stored("running", "realm-config", identifier=f"new-{medium}") is not None


@pytest.mark.parametrize("medium", MEDIA)
async def test_bad_versions(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    versions, writes = f"{site.managed}/versions", len(site.writes())
    for number in ("0", "01", "x", "-1", "9999", "ID1", "1" * 11):
        refused(await client.get(f"{versions}/{number}"), 404, "NOT_FOUND")
        refused(await client.get(f"{versions}/{number}/compare"), 404, "NOT_FOUND")
        sent = body(medium, "versionAction", type="Restore")
        refused(await client.post(f"{versions}/{number}/action", sent), 404, "NOT_FOUND")
    for wrong in ("x", "0", "1.0", "-1"):
        answer = refused(await client.get(f"{versions}/1/compare?with={wrong}"), 400, "INVALID_REQUEST")
        assert answer["field"] == "with"
    refused(await client.get(f"{versions}/1/compare?with=9999"), 404, "NOT_FOUND")
    refused(await client.get(f"{versions}/1?elementTypePath=nothing"), 400, "UNKNOWN_ELEMENT_TYPE")
    answer = await client.post(f"{versions}/1/action", body(medium, "versionAction", type="Delete"))
    assert refused(answer, 400, "INVALID_REQUEST")["field"] == "type"
    refused(await client.post(versions, body(medium, "backup", comment="x" * 501)), 400, "INVALID_REQUEST")
    refused(await client.get(f"{site.managed}9/versions".replace("ID", "ID9")), 404, "NOT_FOUND")
    assert len(site.writes()) == writes


# ------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_task_is_watched_resumed_and_found_again(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    task_id = await begun(site, client, f"watched-{medium}")
    one = f"{TASKS}/{task_id}"
    told = events(await client.get(f"{one}/events", Accept="text/event-stream"))
    steps, (done,) = [e for e in told if e.get("event") == "progress"], [e for e in told if e.get("event") == "done"]
    ids = [int(e["id"]) for e in steps]
    assert ids == list(range(1, len(steps) + 1)) and len(ids) > 4
    assert [e["data"]["id"] for e in steps] == ids
    assert told[-1] is done and done["id"] == f"{ids[-1]}-done"
    assert (done["data"]["state"], done["data"]["saveActivateResult"]["taskId"]) == ("SUCCESS", task_id)
    assert {"create", "save", "activate"} <= {e["data"]["stage"] for e in steps}

    again = events(await client.get(f"{one}/events", Accept=None, Last_Event_ID=str(ids[2])))
    assert [e["id"] for e in again] == [*map(str, ids[3:]), done["id"]]
    assert (await client.get(f"{one}/events", Last_Event_ID=done["id"])).status_code == 204
    after = events(await client.get(f"{one}/events?after={ids[-1]}"))
    assert [e["event"] for e in after] == ["done"]

    shown = read(await client.get(f"{one}?after={ids[-3]}"))
    assert [str(each["id"]) for each in listed(shown["progress"])] == [str(n) for n in ids[-2:]]
    assert shown["saveActivateResult"]["status"] == "SUCCESS" and shown["ended"].endswith("Z")
    device = f"deviceId=ID{site.device_id}"
    for query in (f"{device}&state=SUCCESS", "userName=alice&operation=PushChanges", ""):
        found = members(await client.get(f"{TASKS}?{query}"), "tasks")
        assert found[0]["id"] == task_id and "progress" not in found[0], query
    assert members(await client.get(f"{TASKS}?userName=bob"), "tasks") == []


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_long_poll_answers_when_there_is_something_new(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    task_id = await begun(site, client, f"polled-{medium}", job_delay_s=0.3)
    seen: list[int] = []
    for _ in range(60):
        after = seen[-1] if seen else 0
        shown = read(await client.get(f"{TASKS}/{task_id}?after={after}&waitSeconds=20"))
        new = [int(each["id"]) for each in listed(shown.get("progress"))]
        assert new == list(range(after + 1, after + 1 + len(new)))
        assert new or shown["state"] != "RUNNING", "answered with nothing to say before the time was over"
        seen += new
        if shown["state"] != "RUNNING":
            break
    assert shown["state"] == "SUCCESS" and len(seen) > 4
    began = asyncio.get_running_loop().time()
    assert read(await client.get(f"{TASKS}/{task_id}?after=9999&waitSeconds=30"))["state"] == "SUCCESS"
    assert asyncio.get_running_loop().time() - began < 5, "a task that is over is waited for"


async def test_nothing_new_within_the_time(site: Provisioning) -> None:
    client = await site.client("alice")
    task_id = await begun(site, client, "slow", job_delay_s=2)
    await until(lambda: "verify" in site.writes())
    shown = (await client.get(f"{TASKS}/{task_id}?after=9999&waitSeconds=1")).json()
    assert (shown["state"], shown["progress"]) == ("RUNNING", [])
    site.sbc.control({"job_delay_s": 0.01})
    told = events(await client.get(f"{TASKS}/{task_id}/events?after=9999"))
    assert told[-1]["event"] == "done" and {e.get("event") for e in told[:-1]} <= {None}
    assert {"comment": "ping"} in told[:-1], "a silent stream is kept open by comments"


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_task_is_cancelled(site: Provisioning, medium: str) -> None:
    client, name = await site.client("alice", "v1.4", medium), f"cancelled-{medium}"
    task_id = await begun(site, client, name, job_delay_s=0.5)
    cancel = body(medium, "taskAction", type="cancel")
    shown = read(await client.post(f"{TASKS}/{task_id}/action", cancel))
    assert (shown["id"], str(shown["cancelAsked"]).lower()) == (task_id, "true")
    await over(client, task_id)
    shown = read(await client.get(f"{TASKS}/{task_id}"))
    assert (shown["state"], shown["errorCode"]) == ("CANCELLED", "CANCELLED")
    assert shown["saveActivateResult"]["status"] == "FAILED"
    assert site.stored("running", "realm-config", identifier=name) is None
    refused(await client.post(f"{TASKS}/{task_id}/action", cancel), 409, "CONFLICT")


async def test_a_session_that_ends_ends_the_watching(site: Provisioning) -> None:
    """Each look is asked of the gate: nobody watches on after a logout."""
    client, other = await site.client("alice"), await site.client("mona")
    task_id = await begun(site, client, "unwatched", job_delay_s=1)
    watching = asyncio.create_task(other.get(f"{TASKS}/{task_id}/events"))
    polling = asyncio.create_task(other.get(f"{TASKS}/{task_id}?after=9999&waitSeconds=30"))
    await asyncio.sleep(0.3)
    assert (await other.post("/admin/logout")).status_code == 204
    told = events(await watching)
    assert (told[-1]["event"], told[-1]["data"]["code"]) == ("error", "NOT_LOGGED_IN")
    refused(await polling, 401, "NOT_LOGGED_IN")
    site.sbc.control({"job_delay_s": 0.01})
    await over(client, task_id)


async def test_a_server_that_stops_lets_go_of_those_who_wait(site: Provisioning) -> None:
    client = await site.client("alice")
    task_id = await begun(site, client, "left", job_delay_s=1)
    async with client_of(build_app(site.house.gate, stopping=lambda: True)) as http:
        other = Rest(http, "v1.4", "json")
        other.token = client.token
        began = asyncio.get_running_loop().time()
        told = events(await other.get(f"{TASKS}/{task_id}/events?after=9999"))
        shown = (await other.get(f"{TASKS}/{task_id}?after=9999&waitSeconds=30")).json()
    assert (told, shown["state"]) == ([], "RUNNING")
    assert asyncio.get_running_loop().time() - began < 5
    site.sbc.control({"job_delay_s": 0.01})
    await over(client, task_id)


@pytest.mark.parametrize("medium", MEDIA)
async def test_bad_tasks(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    cancel = body(medium, "taskAction", type="Cancel")
    for task_id in ("T999999", "x", "ID1", "%00", "T1'%20OR%201=1"):
        refused(await client.get(f"{TASKS}/{task_id}"), 404, "NOT_FOUND")
        refused(await client.get(f"{TASKS}/{task_id}/events"), 404, "NOT_FOUND")
        refused(await client.post(f"{TASKS}/{task_id}/action", cancel), 404, "NOT_FOUND")
    for query in ("waitSeconds=31", "waitSeconds=-1", "waitSeconds=x", "after=-1", "after=1.5", "before=1"):
        refused(await client.get(f"{TASKS}/T1?{query}"), 400, "INVALID_REQUEST")
    for last in ("x", "1-2", "-done", "1;2", "9" * 11):
        refused(await client.get(f"{TASKS}/T1/events", Last_Event_ID=last), 400, "INVALID_REQUEST")
    refused(await client.get(f"{TASKS}?colour=red"), 400, "INVALID_REQUEST")
    answer = await client.post(f"{TASKS}/T1/action", body(medium, "taskAction", type="Pause"))
    assert refused(answer, 400, "INVALID_REQUEST")["field"] == "type"
    stranger = await site.client("mona", "v1.4", medium)
    refused(await stranger.post(f"{TASKS}/T1/action", cancel), 403, "FORBIDDEN")
