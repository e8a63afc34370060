"""While alice holds a device, nothing of bob's reaches it: each of his calls is refused, and the wire stays silent.

Each device stands behind a proxy that counts what goes to it; the virtual SBC also keeps a journal of who wrote when.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab.frr import FrrRouter
from lab.netconf import NetconfDevice
from lab.proxy import CuttingProxy
from tests.acceptance.subjects import Frr, Netconf, Sbc, Subject
from tests.acceptance.test_push_killed import Lives, lives, ok, prepare
from tests.program import Client

LOCKED, FORBIDDEN_ANSWERS = 423, {423, 403}


def his_calls(device: str, nf: str, group: str, subject: Subject) -> list[tuple[str, str, Any]]:
    """Every touch or change of the REST door on one device: method, path, body."""
    config, managed = f"/configuration/deviceConfigs/{device}", f"/configuration/devices/{device}"
    inventory, function = f"/inventory/deviceMgmt/devices/{device}", f"/inventory/nfMgmt/nfs/{nf}"
    attributes = [{"name": n, "value": v} for n, v in subject.element.attributes.items()]
    element = {"elementTypePath": subject.element.path, "attributes": attributes}
    return [
        ("GET", f"{managed}/loadConfig", None),
        ("POST", f"{managed}/action", {"type": "SaveConfig"}),
        ("POST", f"{managed}/action", {"type": "ActivateConfig"}),
        ("POST", f"{managed}/action", {"type": "SaveActivateConfig"}),
        ("POST", f"{managed}/action", {"type": "SaveActivateConfig", "asTask": True}),
        ("POST", f"{managed}/action", {"type": "SaveActivateConfig", "dryRun": True}),
        ("POST", f"{managed}/action", {"type": "SaveActivateConfig", "changeSet": "mine"}),
        ("GET", f"{managed}/checkSync", None),
        ("POST", f"{managed}/rebase", {"prefer": "mine"}),
        ("POST", f"{managed}/versions", {"comment": "his"}),
        ("POST", f"{managed}/versions/1/action", {"type": "Restore"}),
        *(("POST", f"{config}/configElements/{what}", element) for what in ("add", "update", "delete")),
        ("POST", f"{config}/configElements/add?changeSet=mine", element),
        ("DELETE", f"{config}/configurationChanges", None),
        ("GET", f"{inventory}/facts", None),
        ("POST", f"{inventory}/probe", {}),
        ("POST", f"{inventory}/action", {"type": "Lock"}),
        ("POST", f"{inventory}/action", {"type": "Unlock"}),
        ("POST", f"{function}/groups/{group}/action", {"type": "Lock"}),
        ("PUT", f"{function}/groups/{group}", {"parameters": [{"name": "username", "value": "his"}]}),
        ("PUT", function, {"parentGroupFullName": "Home"}),
        ("DELETE", managed, None),
        ("DELETE", function, None),
    ]  # fmt: skip


def refused(bob: Client, call: tuple[str, str, Any]) -> None:
    method, path, body = call
    answer = bob.http.request(method, f"{bob.url}/rest/v1.4{path}", json=body, timeout=30)
    assert answer.status_code in FORBIDDEN_ANSWERS, (call, answer.status_code, answer.text)
    said = answer.json()
    assert said["code"] in ("DEVICE_LOCKED", "NOT_LOCK_OWNER"), (call, said)
    assert "alice" in said["message"] and "maintenance 4711" in said["message"], (call, said)


async def nothing_of_his_reaches(tmp_path: Path, subject: Subject) -> None:
    with lives(tmp_path) as server:
        async with CuttingProxy(subject.host, subject.port) as proxy:
            await asyncio.to_thread(_while_she_holds_it, server, subject, proxy)


def _while_she_holds_it(server: Lives, subject: Subject, proxy: CuttingProxy) -> None:
    alice, bob = server.client("alice"), server.client("bob")
    device = prepare(alice, subject, proxy.listens_at)
    shown = ok(bob.get(f"/rest/v1.4/inventory/deviceMgmt/devices/{device}"))
    nf, group = shown["nfId"], shown["parentGroupId"]
    calls = his_calls(device, nf, group, subject)
    before = dict(proxy.pieces)
    for call in calls:
        refused(bob, call)
    assert dict(proxy.pieces) == before, "something of his went over the wire"
    _and_while_she_pushes(alice, bob, device, calls)
    assert _answers(bob, f"/rest/v1.4/configuration/deviceConfigs/{device}/configurationChanges") == []


def _and_while_she_pushes(alice: Client, bob: Client, device: str, calls: list[tuple[str, str, Any]]) -> None:
    over, failures = threading.Event(), list[BaseException]()

    def hammer() -> None:
        try:
            for call in calls * 50:
                if over.is_set():
                    return
                refused(bob, call)
        except BaseException as failure:
            failures.append(failure)

    hammering = threading.Thread(target=hammer)
    hammering.start()
    try:
        pushed = ok(alice.post(f"/rest/v1.4/configuration/devices/{device}/action", {"type": "SaveActivateConfig"}))
    finally:
        over.set()
        hammering.join(60)
    assert pushed["status"] == "SUCCESS", pushed
    assert failures == []


def _answers(client: Client, path: str) -> Any:
    return ok(client.get(path))["changedConfigElements"]


@pytest.fixture
async def sbc() -> AsyncIterator[Sbc]:
    subject = Sbc()
    await subject.start()
    yield subject
    await subject.stop()


async def test_a_virtual_sbc_sees_nothing_of_bob(tmp_path: Path, sbc: Sbc) -> None:
    await nothing_of_his_reaches(tmp_path, sbc)
    written = [entry for entry in sbc.journal() if entry.kind in ("lock", "unlock", "element", "management")]
    assert [e.subject or e.kind for e in written] == [
        "lock", "realm-config identifier=peering", "verify", "save", "activate", "unlock"
    ]  # fmt: skip
    assert len({entry.token for entry in written}) == 1, "one session wrote, hers"


async def test_netconfd_sees_nothing_of_bob(tmp_path: Path, netconf_device: NetconfDevice) -> None:
    await nothing_of_his_reaches(tmp_path, Netconf(netconf_device))


async def test_frr_sees_nothing_of_bob(tmp_path: Path, frr_router: FrrRouter) -> None:
    await nothing_of_his_reaches(tmp_path, Frr(frr_router))
