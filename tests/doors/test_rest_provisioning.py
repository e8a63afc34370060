"""Element types, staged changes, previews and pushes over REST, on a virtual SBC; XML and JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from opensdm.core.operations import PollDevice
from tests.doors import wire
from tests.doors.provisioning_site import FORMS, MEDIA, Provisioning, body, provisioning
from tests.doors.wire import listed, members, read, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provisioning]:
    async with provisioning(tmp_path_factory.mktemp("provisioning")) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def clean(site: Provisioning) -> AsyncIterator[None]:
    yield
    await site.reset()


# ------------------------------------------------------------------------------------- element types


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_element_types_and_templates(site: Provisioning, version: str, medium: str) -> None:
    """What C7 to C9 and C11 say is enough to stage an element that the device takes."""
    client = await site.client("alice", version, medium)
    types = members(await client.get(f"{site.config}/elementTypes?limitation=1000"), "elementTypes")
    (found,) = [each for each in types if each["elementTypePath"] == "realmConfig"]
    assert found["name"] == "realmConfig" and ("cliName" in found) == (version == "v1.4")
    assert all("/" not in each["elementTypePath"] for each in types)
    assert len(members(await client.get(f"{site.config}/elementTypes?offset=2&limitation=3"), "elementTypes")) == 3

    asked = wire.simple(medium, "elementTypeRequest", elementTypePath="realmConfig")
    metadata = read(await client.post(f"{site.config}/elementTypes/elementMetadata", asked))
    attributes = {each["name"]: each for each in listed(metadata["attributeMetadata"])}
    assert str(attributes["id"]["key"]).lower() == str(attributes["id"]["required"]).lower() == "true"
    assert "realmConfig/networkInterfaceId" in [each["elementTypePath"] for each in listed(metadata["subElement"])]

    await site.stage(client, "add", "realmConfig", id="staged")
    asked = wire.simple(medium, "attributeTypeRequest", attributeName="realmId", elementTypePath="sipInterface")
    one = read(await client.post(f"{site.config}/elementTypes/attributeMetadata", asked))
    assert (one["name"], one["referredElementType"]) == ("realmId", "realmConfig")
    assert {"access", "core", "staged"} <= set(listed(one["referredValues"]))

    asked = wire.simple(medium, "elementTypeRequest", elementTypePath="realmConfig")
    draft = read(await client.post(f"{site.config}/configElements/create", asked))
    values = {each["name"]: each.get("value") or "" for each in listed(draft["attributes"])}
    assert draft["elementTypePath"] == "realmConfig" and values["id"] == ""
    assert len([value for value in values.values() if value]) > 3
    answer = await site.stage(client, "add", "realmConfig", **values | {"id": "drafted"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("version", "medium"), FORMS)
async def test_unknown_types_and_attributes(site: Provisioning, version: str, medium: str) -> None:
    client = await site.client("alice", version, medium)
    types = f"{site.config}/elementTypes"
    unknown = wire.simple(medium, "elementTypeRequest", elementTypePath="realmConfigs")
    for path in (f"{types}/elementMetadata", f"{site.config}/configElements/create"):
        answer = refused(await client.post(path, unknown), 400, "UNKNOWN_ELEMENT_TYPE")
        assert "realmConfigs" in answer["message"]
    asked = wire.simple(medium, "attributeTypeRequest", attributeName="colour", elementTypePath="realmConfig")
    refused(await client.post(f"{types}/attributeMetadata", asked), 400, "UNKNOWN_ATTRIBUTE")
    asked = wire.simple(medium, "attributeTypeRequest", elementTypePath="realmConfig")
    answer = refused(await client.post(f"{types}/attributeMetadata", asked), 400, "INVALID_REQUEST")
    assert answer["field"] == "attributeName" and "attributeName" in answer["send"]
    other = site.config.replace(f"ID{site.device_id}", "ID99")
    refused(await client.get(f"{other}/elementTypes"), 404, "NOT_FOUND")


# --------------------------------------------------------------------------------- staged changes


@pytest.mark.parametrize("medium", MEDIA)
async def test_change_sets_keep_apart(site: Provisioning, medium: str) -> None:
    """One account's workers each in a set of their own; a push of one carries nothing of the others."""
    client = await site.client("alice", "v1.4", medium)
    changes, one = f"{site.config}/configurationChanges", "?changeSet=worker-1"
    assert (await site.stage(client, "add", "realmConfig", one, id="first")).status_code == 200
    assert (await site.stage(client, "add", "realmConfig", id="plain")).status_code == 200
    assert (await site.stage(client, "update", "realmConfig", one, id="first", description="x")).status_code == 200
    assert (await site.stage(client, "retrieve", "realmConfig", one, id="first")).status_code == 200
    refused(await site.stage(client, "retrieve", "realmConfig", id="first"), 404, "NOT_FOUND")
    refused(await site.stage(client, "delete", "realmConfig", "?changeSet=worker-2", id="first"), 404, "NOT_FOUND")
    elements = f"{site.config}/configElements?elementTypePath=realmConfig&limitation=1000"
    shown = members(await client.get(elements + "&changeSet=worker-1"), "configElements")
    ids = {a["value"] for each in shown for a in listed(each["attributes"]) if a["name"] == "id"}
    assert "first" in ids and "plain" not in ids
    assert [each["name"] for each in members(await client.get(changes + one), "changedConfigElements")] == ["first"]
    sets = members(await client.get(f"{site.config}/changeSets"), "changeSets")
    assert {(each.get("name") or "", str(each["changes"])) for each in sets} == {("", "1"), ("worker-1", "1")}
    assert all(each["first"].endswith("Z") for each in sets)

    done = read(await site.act(client, changeSet="worker-1"))
    assert done["status"] == "SUCCESS"
    assert site.stored("running", "realm-config", identifier="first") is not None
    assert site.stored("running", "realm-config", identifier="plain") is None
    assert [each["name"] for each in members(await client.get(changes), "changedConfigElements")] == ["plain"]
    assert members(await client.get(changes + one), "changedConfigElements") == []

    await site.stage(client, "delete", "realmConfig", one, id="first")
    assert (await client.delete(changes)).status_code == 204
    assert members(await client.get(changes), "changedConfigElements") == []
    assert (await site.act(client, changeSet="worker-1")).status_code == 200
    assert site.stored("running", "realm-config", identifier="first") is None


@pytest.mark.parametrize("medium", MEDIA)
async def test_changes_are_set_aside_under_a_name(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    move, sets = f"{site.config}/configurationChanges/move", f"{site.config}/changeSets"
    await site.stage(client, "add", "realmConfig", id="first")
    assert (await client.post(move, body(medium, "movedChanges", into="later"))).status_code == 204
    assert [each.get("name") for each in members(await client.get(sets), "changeSets")] == ["later"]
    await site.stage(client, "add", "realmConfig", id="first")
    back = body(medium, "movedChanges", changeSet="later")
    assert "realmConfig first" in refused(await client.post(move, back), 409, "CONFLICT")["message"]
    assert (await client.delete(f"{site.config}/configurationChanges")).status_code == 204
    assert (await client.post(move, back)).status_code == 204
    refused(await client.post(move, back), 404, "NOT_FOUND")
    named = refused(await client.post(move, body(medium, "movedChanges", into="a b")), 400, "INVALID_REQUEST")
    assert named["field"] == "changeSet" and "later" in named["send"]
    old = await site.client("alice", "v1.3", medium)
    refused(await old.post(move, back), 404, "NOT_FOUND")


async def test_published_versions_know_one_set(site: Provisioning) -> None:
    client = await site.client("alice", "v1.3", "json")
    await site.stage(client, "add", "realmConfig", "?changeSet=worker-1", id="plain")
    answer = await client.get(f"{site.config}/configurationChanges?changeSet=other")
    assert [each["name"] for each in members(answer, "changedConfigElements")] == ["plain"]
    assert read(await site.act(client, changeSet="other", dryRun=True))["status"] == "SUCCESS"
    assert site.stored("running", "realm-config", identifier="plain") is not None
    await site.stage(client, "delete", "realmConfig", id="plain")
    await site.act(client)


@pytest.mark.parametrize("medium", MEDIA)
async def test_staged_changes_say_what_they_change(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    path = f"{site.config}/configurationChanges"
    await site.stage(client, "update", "realmConfig", id="access", description="changed")
    await site.stage(client, "add", "realmConfig", id="fresh")
    shown = read(await client.get(path))
    first = listed(shown["changedConfigElements"])[0]
    assert (first["operation"], first["elementTypePath"]) == ("modified", "realmConfig")
    (attribute,) = listed(first["attributes"])
    assert (attribute["name"], attribute["newValue"]) == ("description", "changed")
    before = attribute.get("oldValue") or ""
    gone = f"-  description: {before}".rstrip()
    assert f"{gone}\n+  description: changed\n" in shown["diff"]
    assert "--- /dev/null\n+++ realmConfig fresh\n" in shown["diff"] and "+  id: fresh\n" in shown["diff"]

    text = await client.get(path, Accept="text/plain")
    assert (text.status_code, text.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert text.text == shown["diff"]
    part = read(await client.get(path + "?offset=2&limitation=1"))
    assert "description: changed" not in part["diff"] and "realmConfig fresh" in part["diff"]
    published = await site.client("alice", "v1.3", medium)
    refused(await published.get(path, Accept="text/plain"), 406, "NOT_ACCEPTABLE")
    assert "diff" not in read(await published.get(path))


# ----------------------------------------------------------------------------------- before a push


@pytest.mark.parametrize("medium", MEDIA)
async def test_a_dry_run_tells_and_writes_nothing(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    await site.stage(client, "add", "realmConfig", id="tried")
    writes = len(site.writes())
    shown = read(await site.act(client, dryRun=True))
    assert str(shown["ready"]).lower() == "true"
    (change,) = listed(shown["changes"])
    assert (change["operation"], change["name"]) == ("created", "tried")
    assert "+  id: tried\n" in shown["diff"]
    assert any("realm-config" in line for line in listed(shown["sends"])), shown["sends"]
    assert len(site.writes()) == writes and len(await site.pending()) == 1

    site.edited_outside("realm-config", ("access",), description=f"by {medium}")
    await site.stage(client, "update", "realmConfig", id="access", description="mine")
    shown = read(await site.act(client, "saveactivateconfig", dryRun=True))
    assert (str(shown["ready"]).lower(), shown["code"]) == ("false", "STALE_CONFIGURATION")
    assert f"by {medium}" in [each.get("new") for each in listed(shown["outside"])]
    assert len(site.writes()) == writes
    answer = refused(await site.act(client, dryRun=True, asTask=True), 400, "INVALID_REQUEST")
    assert answer["field"] == "asTask"


@pytest.mark.parametrize("medium", MEDIA)
async def test_the_way_out_of_stale_changes(site: Provisioning, medium: str) -> None:
    """A push refused as stale, what differs, a rebase refused with its conflicts, a rebase by preference, a push."""
    client = await site.client("alice", "v1.4", medium)
    mine, theirs = f"mine-{medium}", f"theirs-{medium}"
    await site.stage(client, "update", "realmConfig", id="access", description=mine)
    in_step = read(await client.get(f"{site.managed}/checkSync"))
    assert (in_step["state"], str(in_step["outsideTotal"])) == ("Modified", "0")
    site.edited_outside("realm-config", ("access",), description=theirs)
    report = read(await client.get(f"{site.managed}/checkSync"))
    assert report["state"] == "Conflict"
    (outside,) = listed(report["outside"])
    assert (outside["elementTypePath"], outside["attribute"], outside["new"]) == ("realmConfig", "description", theirs)
    (clash,) = listed(report["conflicts"])
    assert (clash["mine"], clash["theirs"], listed(clash["key"])) == (mine, theirs, ["access"])

    await site.load()
    rebase = f"{site.managed}/rebase"
    answer = refused(await client.post(rebase, body(medium, "rebase", prefer="none")), 409, "REBASE_CONFLICT")
    (clash,) = listed(answer["conflicts"])
    assert (clash["attribute"], clash["mine"], clash["theirs"]) == ("description", mine, theirs)
    done = read(await client.post(rebase, body(medium, "rebase", prefer="Mine")))
    (resolved,) = listed(done["resolved"])
    assert resolved["theirs"] == theirs and str(done["dropped"]) == "0"
    assert f"-  description: {theirs}\n+  description: {mine}\n" in done["diff"]
    assert read(await site.act(client))["status"] == "SUCCESS"
    assert (site.stored("running", "realm-config", identifier="access") or {})["description"] == mine


@pytest.mark.parametrize("medium", MEDIA)
async def test_what_the_device_holds_after_a_failed_push(site: Provisioning, medium: str) -> None:
    client = await site.client("alice", "v1.4", medium)
    await site.stage(client, "add", "realmConfig", id="lost")
    site.sbc.control({"lose_edits": 1})
    done = read(await site.act(client))
    assert done["status"] == "FAILED" and done["errorMessage"].startswith("EDIT_LOST: ")
    assert [(listed(each["key"]), each["state"]) for each in listed(done["holds"])] == [(["lost"], "old")]


@pytest.mark.parametrize("medium", MEDIA)
async def test_drift_shows_on_the_managed_device(site: Provisioning, medium: str) -> None:
    client = await site.client("mona", "v1.4", medium)
    assert "drift" not in read(await client.get(site.managed))
    site.edited_outside("realm-config", ("core",), description=f"drifted {medium}")
    poll = PollDevice(device_id=site.device_id, compare=True)
    await site.house.gate.execute(site.house.system, poll)
    shown = read(await client.get(site.managed))
    assert shown["status"] == "Changed Outside"
    assert str(shown["drift"]["total"]) == "1"
    (element,) = listed(shown["drift"]["elements"])
    assert (element["elementTypePath"], listed(element["key"])) == ("realmConfig", ["core"])
    published = await site.client("mona", "v1.3", medium)
    shown = read(await published.get(site.managed))
    assert shown["status"] == "Changed Outside" and "drift" not in shown


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("medium", MEDIA)
async def test_bad_input(site: Provisioning, medium: str) -> None:
    """Each is told what is wrong, nothing is staged and nothing is written to the device."""
    client = await site.client("alice", "v1.4", medium)
    writes = len(site.writes())
    action, rebase = f"{site.managed}/action", f"{site.managed}/rebase"
    cases = {
        (action, body(medium, "deviceAction", type="Reboot")): "type",
        (action, body(medium, "deviceAction", type="SaveConfig", changeSet="no spaces")): "changeSet",
        (action, body(medium, "deviceAction", type="SaveConfig", dryRun="perhaps")): "dryRun",
        (rebase, body(medium, "rebase", prefer="ours")): "prefer",
        (rebase, body(medium, "rebase", changeSet="../x")): "changeSet",
    }
    for (path, sent), field in cases.items():
        assert refused(await client.post(path, sent), 400, "INVALID_REQUEST")["field"] == field, sent
    for wrong in ("no%20spaces", "..", "-x", "a" * 65, "%E9"):
        for method, path in (
            ("GET", f"{site.config}/configurationChanges"),
            ("DELETE", f"{site.config}/configurationChanges"),
            ("GET", f"{site.managed}/checkSync"),
        ):
            answer = refused(await client.send(method, f"{path}?changeSet={wrong}"), 400, "INVALID_REQUEST")
            assert answer["field"] == "changeSet"
        answer = await site.stage(client, "add", "realmConfig", f"?changeSet={wrong}", id="bad")
        assert refused(answer, 400, "INVALID_REQUEST")["field"] == "changeSet"
    refused(await client.get(f"{site.config}/changeSets?changeSet=x"), 400, "INVALID_REQUEST")
    assert await site.pending() == [] and len(site.writes()) == writes


async def test_another_users_lock_stands_in_the_way_of_what_reaches_the_device(site: Provisioning) -> None:
    alice, bob = await site.client("alice"), await site.client("bob")
    assert (await alice.act(site.device_id, "Lock")).status_code == 200
    try:
        for method, path, sent in (
            ("GET", f"{site.managed}/checkSync", None),
            ("POST", f"{site.managed}/action", '{"type":"SaveConfig","dryRun":true}'),
            ("POST", f"{site.managed}/action", '{"type":"SaveConfig","asTask":true}'),
            ("POST", f"{site.managed}/versions", '{"comment":"mine"}'),
            ("POST", f"{site.managed}/versions/1/action", '{"type":"Restore"}'),
            ("POST", f"/inventory/deviceMgmt/devices/ID{site.device_id}/probe", None),
        ):
            refused(await bob.send(method, path, sent), 423, "DEVICE_LOCKED")
        assert (await bob.get(f"{site.managed}/versions")).status_code == 200
        assert (await bob.get(f"{site.config}/elementTypes")).status_code == 200
    finally:
        await alice.act(site.device_id, "Unlock")
