"""What pages for people are drawn from, over REST: devices found by words, the locks of many at once."""

from __future__ import annotations

from opensdm.core.operations import AddDeviceGroup, LockDevice, MoveNetworkFunction, PollDevice
from tests.doors.conftest import Connect
from tests.gatehouse import House


async def test_devices_are_found_by_words_and_group(house: House, connect: Connect) -> None:
    west = (await house.do("alice", AddDeviceGroup(group_name="West", parent_full_name="Home"))).group
    for number, name in enumerate(("edge-b", "edge-a", "core-a"), start=1):
        address = "127.0.0.1:9" if name == "core-a" else f"192.0.2.{number}:443"
        device_id = await house.enrol(name, address)
        if name == "edge-b":
            await house.do("alice", MoveNetworkFunction(nf_id=device_id - 1, parent_full_name="Home/West"))
    rest = await connect("mona", "v1.4")

    async def names(query: str) -> list[str]:
        answer = await rest.get(f"/inventory/search{query}")
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json().get("devices", ())]

    assert await names("") == ["core-a", "edge-a", "edge-b"]
    assert await names("?words=EDGE") == ["edge-a", "edge-b"]
    assert await names("?words=edge%20192.0.2.2") == ["edge-a"]
    assert await names(f"?groupId=ID{west.group_id}") == ["edge-b"]
    assert await names("?trouble=unreachable") == []
    await house.gate.execute(house.system, PollDevice(device_id=device_id))
    assert await names("?trouble=unreachable") == await names("?trouble=Unreachable&words=core") == ["core-a"]
    assert await names("?trouble=drifted") == []
    page = (await rest.get("/inventory/search?words=edge&limitation=1&offset=2")).json()
    assert (page["pageInfo"]["total"], page["devices"][0]["name"]) == (2, "edge-b")
    for bad in ("?words=" + "%20".join("abcdefghi"), "?words=" + "x" * 201, "?groupId=West", "?trouble=tired"):
        assert (await rest.get(f"/inventory/search{bad}")).status_code in (400, 404)
    assert (await (await connect("mona", "v1.3")).get("/inventory/search")).status_code == 404


async def test_the_locks_of_many_devices_are_shown_at_once(house: House, connect: Connect) -> None:
    first, second = await house.enrol("edge-a", "192.0.2.1:443"), await house.enrol("edge-b", "192.0.2.2:443")
    await house.do("alice", LockDevice(device_id=second, reason="work"))
    rest = await connect("mona", "v1.4")
    answer = await rest.get(f"/inventory/locks/several?deviceIds=ID{second},%20ID{first},ID999")
    assert answer.status_code == 200, answer.text
    locks = answer.json()["deviceLocks"]
    assert [each["deviceId"] for each in locks] == [f"ID{first}", f"ID{second}"]
    assert [each.get("holder") for each in locks] == [None, "alice"]
    assert (await rest.get("/inventory/locks/several")).status_code == 400
    many = ",".join(f"ID{n}" for n in range(1, 1002))
    assert (await rest.get(f"/inventory/locks/several?deviceIds={many}")).status_code == 400


async def test_waiting_goes_with_no_other_filter(house: House, connect: Connect) -> None:
    rest = await connect("mona", "v1.4")
    answer = await rest.get("/inventory/locks?waiting=true")
    assert (answer.status_code, answer.json().get("deviceLocks", [])) == (200, [])
    assert (await rest.get("/inventory/locks?waiting=true&holder=alice")).status_code == 400
