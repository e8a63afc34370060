"""A provisioning session with curl alone, on each kind of device; what came of it is asked of the device by others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from lxml import etree
from ncclient import manager

from lab.frr import FrrRouter
from lab.netconf import NAMESPACE, NetconfDevice
from lab.virtual import SbcProcess
from tests.acceptance.curl import Curl
from tests.program import ADMIN_PASSWORD, Installation, Running


@dataclass
class Place:
    """An installation with a running server, and where its clients keep their cookies."""

    installation: Installation
    server: Running
    directory: Path

    def admin(self, version: str = "v1.4") -> Curl:
        return Curl(self.server, self.installation, self.directory, version).login("admin", ADMIN_PASSWORD)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("real")
    installation = Installation(directory / "data")
    installation.init()
    with installation.serve(OPENSDM_POLL_INTERVAL_S="3600") as server:
        yield Place(installation, server, directory)


def values(element: dict[str, object]) -> dict[str, str]:
    return {a["name"]: a["value"] for a in element["attributes"]}  # type: ignore[attr-defined]


def change_of(pending: dict[str, object], path: str, key: str) -> dict[str, object]:
    """The one pending change of an element, by its type and its key value."""
    found = [c for c in pending["changedConfigElements"] if c["elementTypePath"] == path and key in str(c)]  # type: ignore[attr-defined]
    assert len(found) == 1, pending
    return found[0]  # type: ignore[no-any-return]


def assert_pushed(reply: object) -> None:
    assert isinstance(reply, dict) and reply["status"] == "SUCCESS", reply
    assert reply.get("errorMessage") in (None, ""), reply


# ------------------------------------------------------------------------------------------ virtual SBC


@pytest.fixture(scope="module")
def sbc() -> Iterator[SbcProcess]:
    device = SbcProcess()
    device.start()
    yield device
    device.stop()


def on_the_sbc(sbc: SbcProcess, element_type: str, **keys: str) -> str:
    """The element as the SBC's own API shows it in the running configuration, to a client that is not ours."""
    base = f"https://{sbc.address}:{sbc.port}/rest/v1.2"
    http = requests.Session()
    http.trust_env, http.verify = False, str(sbc.authority)
    answer = http.post(f"{base}/auth/token", auth=(sbc.user, sbc.password), timeout=20)
    token = etree.fromstring(answer.content).findtext(".//accessToken")
    answer = http.get(
        f"{base}/configuration/configElements",
        params={"elementType": element_type, "running": "true", **keys},
        headers={"Authorization": f"Bearer {token}", "Accept": "application/xml"},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_realm_and_a_sip_interface_on_a_virtual_sbc(place: Place, sbc: SbcProcess) -> None:
    curl = place.admin()
    device = curl.enrol(
        "edge-sbc", primary_ip=f"{sbc.address}:{sbc.port}", username=sbc.user, password=sbc.password,
        tls_ca=sbc.authority.read_text(),
    )  # fmt: skip
    assert curl.load(device)["status"] == "In Sync"
    curl.lock(device).ok()
    curl.edit(device, "add", "realmConfig", id="peering", addrPrefix="192.0.2.0/24").ok()
    port = {"elementTypePath": "sipInterface/sipPort", "attributes": [
        {"name": "address", "value": "198.51.100.10"}, {"name": "port", "value": "5060"},
        {"name": "transportProtocol", "value": "UDP"},
    ]}  # fmt: skip
    interface = {"elementTypePath": "sipInterface", "attributes": [{"name": "realmId", "value": "peering"}],
                 "childrenElements": [port]}  # fmt: skip
    curl.post_element(device, "add", interface).ok()
    pending = curl.pending(device)
    change_of(pending, "realmConfig", "peering")
    assert "+" in pending["diff"] and "192.0.2.0/24" in pending["diff"], pending
    preview = curl.push(device, dryRun=True).ok()
    assert preview["ready"] is True and "192.0.2.0/24" in str(preview)
    assert_pushed(curl.push(device).ok())
    assert "192.0.2.0/24" in on_the_sbc(sbc, "realm-config", identifier="peering")
    assert "198.51.100.10" in on_the_sbc(sbc, "sip-interface", **{"realm-id": "peering"})
    assert curl.sync(device)["state"] == "In Sync"
    assert curl.pending(device)["changedConfigElements"] == []
    curl.lock(device, "Unlock").ok()


# ---------------------------------------------------------------------------------------------- netconfd


def test_a_list_on_netconfd(place: Place, netconf_device: NetconfDevice) -> None:
    curl = place.admin()
    device = _edge_netconf(curl, netconf_device, validate="false")
    assert curl.load(device)["status"] == "In Sync"
    types = curl.call("GET", f"/configuration/deviceConfigs/{device}/elementTypes").ok()
    assert "realm" in str(types)
    refused = curl.edit(device, "add", "realm", id="peering", **{"address-prefix": "10.9.0.0/16", "qos": "golden"})
    assert refused.status == 400 and "qos" in refused.body["message"] and "expedited" in refused.body["message"]
    curl.edit(device, "add", "realm", id="peering", **{"address-prefix": "10.9.0.0/16", "qos": "expedited"}).ok()
    pending = curl.pending(device)
    change_of(pending, "realm", "peering")
    assert "10.9.0.0/16" in pending["diff"]
    assert_pushed(curl.push(device).ok())
    with manager.connect(
        host=netconf_device.address, port=netconf_device.port, username=netconf_device.user,
        password=netconf_device.password, hostkey_verify=False, allow_agent=False, look_for_keys=False, timeout=20,
    ) as other:  # fmt: skip
        for store in ("running", "startup"):
            shown = etree.fromstring(other.get_config(store).data_xml.encode())
            found = {r.findtext(f"{{{NAMESPACE}}}id"): r for r in shown.iter(f"{{{NAMESPACE}}}realm")}
            assert found["peering"].findtext(f"{{{NAMESPACE}}}address-prefix") == "10.9.0.0/16", store
            assert found["peering"].findtext(f"{{{NAMESPACE}}}qos") == "expedited", store


def test_what_netconfd_loses_is_said_and_kept(place: Place, netconf_device: NetconfDevice) -> None:
    """This netconfd says ok to edit, validate and commit, and holds nothing of it afterwards."""
    curl = place.admin()
    device = _edge_netconf(curl, netconf_device, validate="true")
    curl.load(device)
    curl.edit(device, "add", "realm", id="lost", **{"address-prefix": "10.8.0.0/16"}).ok()
    reply = curl.push(device).ok()
    assert reply["status"] == "FAILED" and reply["errorMessage"].startswith("EDIT_LOST"), reply
    assert {h["state"] for h in reply["holds"]} == {"old"}
    change_of(curl.pending(device), "realm", "lost")
    assert curl.sync(device)["state"] == "Modified"
    _edge_netconf(curl, netconf_device, validate="false")
    assert_pushed(curl.push(device).ok())


def _edge_netconf(curl: Curl, device: NetconfDevice, *, validate: str) -> str:
    """The device, enrolled if no test before has done so, with this way of pushing; its wire id."""
    listed = curl.call("GET", "/inventory/deviceMgmt/devices?name=edge-netconf").ok().get("devices") or []
    if not listed:
        return curl.enrol(
            "edge-netconf", primary_ip=f"{device.address}:{device.port}", username=device.user,
            password=device.password, platform="netconf", ssh_host_key=device.host_key, netconf_validate=validate,
        )  # fmt: skip
    (shown,) = listed
    group = curl.call("GET", f"/inventory/nfMgmt/nfs/{shown['nfId']}/groups").ok()["deviceGroups"][0]["id"]
    body = {"parameters": [{"name": "netconf.validate", "value": validate}]}
    curl.call("PUT", f"/inventory/nfMgmt/nfs/{shown['nfId']}/groups/{group}", body).ok()
    return str(shown["id"])


# --------------------------------------------------------------------------------------------------- FRR


def test_a_static_route_on_frr(place: Place, frr_router: FrrRouter) -> None:
    curl = place.admin()
    device = curl.enrol(
        "edge-frr", primary_ip=f"{frr_router.address}:{frr_router.port}", username=frr_router.user,
        password=frr_router.password, platform="frr", ssh_host_key=frr_router.host_key,
    )  # fmt: skip
    assert curl.load(device)["status"] == "In Sync"
    assert not frr_router.routed("203.0.113.0/24")
    curl.edit(device, "add", "staticRoute", prefix="203.0.113.0/24", gateway="blackhole").ok()
    pending = curl.pending(device)
    change_of(pending, "staticRoute", "203.0.113.0/24")
    assert "203.0.113.0/24" in pending["diff"]
    refused = curl.push(device, "SaveConfig")
    assert refused.status == 400 and "SaveActivateConfig" in refused.body["message"]
    assert_pushed(curl.push(device).ok())
    assert frr_router.routed("203.0.113.0/24")
    assert any(route.startswith("blackhole 203.0.113.0/24") for route in frr_router.kernel_routes())
    assert "ip route 203.0.113.0/24 blackhole" in frr_router.saved.read_text()
    curl.edit(device, "delete", "staticRoute", prefix="203.0.113.0/24", gateway="blackhole").ok()
    assert_pushed(curl.push(device).ok())
    assert not frr_router.routed("203.0.113.0/24")
