"""Network functions in bulk and probes over REST: CSV, XML and JSON in and out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from opensdm.simulator import VirtualSbc
from tests.acceptance.provisioning import PASSWORD, USER
from tests.doors import wire
from tests.doors.conftest import Connect, Rest
from tests.doors.wire import listed, members, read, refused
from tests.gatehouse import House

MEDIA = ["xml", "json"]
IMPORT, EXPORT = "/inventory/nfMgmt/nfs/import", "/inventory/nfMgmt/nfs/export"
HEADING = "name,parentGroupFullName,nfCategory,nfType,primary.ip,username,password\n"
CSV = (
    HEADING
    + "edge-b,,SP Edge & Core,Device,192.0.2.21,ops,s3cret-1\n"
    + '"edge-c","Home",SP Edge & Core,Device,"192.0.2.22",ops,"a,b""c"\n'
)


async def names(client: Rest) -> list[str]:
    return [each["name"] for each in members(await client.get("/inventory/nfMgmt/nfs"), "nfList")]


async def post_csv(client: Rest, text: str | bytes, query: str = "", **headers: str | None) -> wire.Answer:
    return await client.post(IMPORT + query, text, **{"Content_Type": "text/csv", **headers})


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_csv_is_tried_imported_and_exported_again(house: House, connect: Connect, medium: str) -> None:
    client = await connect("alice", "v1.4", medium)
    tried = read(await post_csv(client, CSV, "?dryRun=true"))
    assert (str(tried["dryRun"]).lower(), str(tried["added"]), str(tried["failed"])) == ("true", "2", "0")
    assert await names(client) == []
    done = read(await post_csv(client, CSV, "?assign=true", Content_Type="text/csv; charset=utf-8"))
    assert (str(done["dryRun"]).lower(), str(done["added"])) == ("false", "2")
    rows = listed(done["rows"])
    assert [(str(row["number"]), row["name"], str(row["ok"]).lower()) for row in rows] == [
        ("2", "edge-b", "true"), ("3", "edge-c", "true")
    ]  # fmt: skip
    assert await names(client) == ["edge-b", "edge-c"]
    managed = members(await client.get("/configuration/devices"), "devices")
    assert [each["id"] for each in managed] == [listed(row["deviceIds"])[0] for row in rows]

    answer = await client.get(EXPORT, Accept="text/csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="network-functions.csv"'
    assert answer.text.splitlines()[1].startswith("edge-b,Home,SP Edge & Core,Device,")
    assert "s3cret-1" not in answer.text and "xxxx" in answer.text
    moved = answer.text.replace("192.0.2.2", "192.0.2.3").replace("edge-", "far-")
    masked = listed(read(await post_csv(client, moved))["rows"])[0]
    assert masked["code"] == "INVALID_REQUEST" and "password" in masked["message"], "a mask is no password"
    again = read(await post_csv(client, moved.replace("xxxx", "s3cret-2")))
    assert str(again["added"]) == "2", again


@pytest.mark.parametrize("medium", MEDIA)
async def test_what_is_exported_can_be_imported(house: House, connect: Connect, medium: str) -> None:
    client = await connect("alice", "v1.4", medium)
    await post_csv(client, CSV)
    answer = await client.get(EXPORT)
    exported = read(answer)
    assert [each["name"] for each in listed(exported["nfConfigs"])] == ["edge-b", "edge-c"]
    assert "s3cret" not in answer.text
    for nf in members(await client.get("/inventory/nfMgmt/nfs"), "nfList"):
        assert (await client.delete(f"/inventory/nfMgmt/nfs/{nf['id']}")).status_code == 204
    done = read(await client.post(IMPORT, answer.text.replace("xxxx", "new-secret-1")))
    assert (str(done["added"]), str(done["failed"])) == ("2", "0"), done
    assert [str(row["number"]) for row in listed(done["rows"])] == ["1", "2"]
    assert await names(client) == ["edge-b", "edge-c"]


async def test_what_has_no_row_is_named_and_counted(house: House, connect: Connect) -> None:
    client = await connect("alice", "v1.4", "json")
    cluster = """{"name":"pair","nfCategory":{"name":"SP Edge & Core"},"nfType":{"name":"Device Cluster"},
        "nfcConfigs":[{"deviceConfigs":[{"name":"west","parameters":[{"name":"primary.ip","value":"192.0.2.1"}]}]}]}"""
    assert (await client.post("/inventory/nfMgmt/nfs", cluster)).status_code == 200
    await house.enrol("edge-a", "192.0.2.2")
    exported = (await client.get(EXPORT)).json()
    assert [each["name"] for each in exported["nfConfigs"]] == ["edge-a"]
    assert exported["leftOut"] == ["Home/pair"]
    answer = await client.get(EXPORT, Accept="text/csv")
    assert (answer.headers["Left-Out"], len(answer.text.splitlines())) == ("1", 2)


async def test_a_row_that_is_wrong_leaves_the_others(house: House, connect: Connect) -> None:
    """Each row is told by the line it begins on; those that cannot be read stand beside those that can."""
    client = await connect("alice", "v1.4", "json")
    text = (
        HEADING
        + "edge-b,,SP Edge & Core,Device,192.0.2.21,ops,s3cret-1\n"
        + "edge-c,,SP Edge & Core,Device,192.0.2.22\n"
        + "\n"
        + "edge-b,,SP Edge & Core,Device,192.0.2.23,ops,s3cret-1\n"
        + 'edge-d,,SP Edge & Core,Device,192.0.2.24,"o\np",s3cret-1\n'
        + "edge-e,Nowhere,SP Edge & Core,Device,192.0.2.25,ops,s3cret-1\n"
        + "edge-f,,SP Edge & Core,Device,192.0.2.26,ops,s3cret-1\n"
    )
    for query, there in (("?dryRun=true", []), ("", ["edge-b", "edge-f"])):
        done = (await post_csv(client, text, query)).json()
        found = {row["number"]: (row["ok"], row.get("code")) for row in done["rows"]}
        assert {n: ok for n, (ok, _) in found.items() if n != 6} == {2: True, 3: False, 5: False, 8: False, 9: True}
        assert found[3][1] == "INVALID_REQUEST" and found[5][1] == "ALREADY_EXISTS"
        assert done["failed"] == len([ok for ok, _ in found.values() if not ok])
        assert "heading" in next(row["message"] for row in done["rows"] if row["number"] == 3)
        assert [name for name in await names(client) if name != "edge-d"] == there


@pytest.mark.parametrize("medium", MEDIA)
async def test_bad_imports(house: House, connect: Connect, medium: str) -> None:
    client = await connect("alice", "v1.4", medium)
    for text in (
        "name;nfType\nedge-b;Device\n", "name,colour\nx,red\n", HEADING, "\n", HEADING + '"open', "name,name\n",
        HEADING + "a\0b,,,,,,\n",
    ):  # fmt: skip
        refused(await post_csv(client, text), 400, "INVALID_REQUEST")
    refused(await post_csv(client, ""), 400, "INVALID_REQUEST")
    refused(await post_csv(client, CSV.encode("utf-16")), 415, "INVALID_REQUEST")
    refused(await post_csv(client, CSV, Content_Type="text/csv; charset=latin-1"), 415, "UNSUPPORTED_MEDIA_TYPE")
    refused(await post_csv(client, CSV, Content_Encoding="gzip"), 415, "UNSUPPORTED_MEDIA_TYPE")
    refused(await post_csv(client, HEADING + "x" * 1_048_576), 413, "INVALID_REQUEST")
    refused(await post_csv(client, CSV, "?dryRun=perhaps"), 400, "INVALID_REQUEST")
    refused(await client.post("/inventory/nfMgmt/nfs", CSV, Content_Type="text/csv"), 415, "UNSUPPORTED_MEDIA_TYPE")
    answer = refused(await client.post(IMPORT), 400, "INVALID_REQUEST")
    assert "primary.ip" in answer["send"]
    twice = '{"nfConfigs":[{"name":"x","parameters":[{"name":"a","value":"1"},{"name":"a","value":"2"}]}]}'
    refused(await client.post(IMPORT, twice, Content_Type="application/json"), 400, "INVALID_REQUEST")
    cluster = json.dumps({"nfConfigs": [json.loads(wire.nf_config("json", "x")) | {"nfcConfigs": [{"name": "y"}]}, {}]})
    done = read(await client.post(IMPORT, cluster, Content_Type="application/json"))
    assert [row["code"] for row in listed(done["rows"])] == ["INVALID_REQUEST", "INVALID_REQUEST"]
    assert await names(client) == []
    mona = await connect("mona", "v1.4", medium)
    refused(await post_csv(mona, CSV, "?dryRun=true"), 403, "FORBIDDEN")
    refused(await (await connect("alice", "v1.3", medium)).post(IMPORT, CSV, Content_Type="text/csv"), 404, "NOT_FOUND")
    refused(await client.get("/inventory/nfMgmt/nfs/import"), 405, "METHOD_NOT_ALLOWED")


# ------------------------------------------------------------------------------------------ probes


@pytest.fixture
async def sbc() -> AsyncIterator[str]:
    """The address of a virtual SBC."""
    sbc = VirtualSbc("edge-a", username=USER, password=PASSWORD, plain_http=True, job_delay_s=0.01)
    _, port = await sbc.start("127.0.0.1", 0)
    yield f"127.0.0.1:{port}"
    await sbc.stop()


def probe_body(medium: str, platform: str = "acme_sbc", **parameters: str) -> str:
    named = {name.replace("_", "."): value for name, value in parameters.items()}
    if medium == "json":
        listed = [{"name": name, "value": value} for name, value in named.items()]
        return json.dumps({"platform": platform, "parameters": listed})
    inner = "".join(f"<parameters><name>{n}</name><value>{v}</value></parameters>" for n, v in named.items())
    return f"<probe><platform>{platform}</platform>{inner}</probe>"


@pytest.mark.parametrize("medium", MEDIA)
async def test_probes(house: House, connect: Connect, sbc: str, medium: str) -> None:
    """A host by what enrolling it would take; as soon as it is enrolled, as the device it is."""
    alice = await connect("alice", "v1.4", medium)
    parameters = {"primary_ip": sbc, "username": USER, "password": PASSWORD, "transport": "http"}
    report = read(await alice.post("/inventory/probe", probe_body(medium, **parameters)))
    assert report["platform"] == "acme_sbc" and report["facts"]["softwareVersion"]
    assert {str(each["ok"]).lower() for each in listed(report["findings"])} == {"true"}
    assert int(report["elementTypes"]) > 10 and int(report["elements"]) > 5
    assert str(report["capabilities"]["writes"]).lower() == "true"
    parameters["password"] = "wr0ng-secret"
    answer = await alice.post("/inventory/probe", probe_body(medium, **parameters))
    findings = {each["step"]: each for each in listed(read(answer)["findings"])}
    assert str(findings["login"]["ok"]).lower() == "false" and "ok" not in findings["schema"]
    assert "wr0ng-secret" not in answer.text

    device_id = await house.enrol("edge-a", sbc, transport="http")
    refused_one = await alice.post("/inventory/probe", probe_body(medium, **parameters))
    assert refused_one.status_code in (400, 409) and "edge-a" in refused_one.text
    mona = await connect("mona", "v1.4", medium)
    report = read(await mona.post(f"/inventory/deviceMgmt/devices/ID{device_id}/probe"))
    assert int(report["elements"]) > 5
    refused(await mona.post("/inventory/probe", probe_body(medium, **parameters)), 403, "FORBIDDEN")


@pytest.mark.parametrize("medium", MEDIA)
async def test_bad_probes(house: House, connect: Connect, medium: str) -> None:
    client = await connect("alice", "v1.4", medium)
    answer = refused(await client.post("/inventory/probe"), 400, "INVALID_REQUEST")
    assert "primary.ip" in answer["send"]
    for body in (
        probe_body(medium, "no_such_platform", primary_ip="192.0.2.9"),
        probe_body(medium, primary_ip="not an address!"),
        probe_body(medium, primary_ip="192.0.2.9", colour="red"),
        probe_body(medium, username="ops"),
        probe_body(medium),
    ):
        refused(await client.post("/inventory/probe", body), 400, "INVALID_REQUEST")
    refused(await client.post("/inventory/deviceMgmt/devices/ID99/probe"), 404, "NOT_FOUND")
