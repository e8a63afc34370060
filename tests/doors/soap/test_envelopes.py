"""What a client may send: versions, names, forms and session ids; and what is turned away, and how it is told."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from opensdm.core.inventory import CATEGORIES
from opensdm.core.operations import AddNetworkFunction, DeviceEnrolment, GroupEnrolment, ListDevices
from opensdm.core.results import DeviceShown
from tests.doors.soap.sender import OURS, V11, V12, Soap, envelope, request, target
from tests.gatehouse import PASSWORD, House

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGIN = f"<username>alice</username><password>{PASSWORD}</password>"
LAUGHS = '<!DOCTYPE e [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize("namespace", [None, "urn:any", OURS.format("adminmgmt"), "http://elsewhere.example/a?b&amp;c"])
@pytest.mark.parametrize("version", [V11, V12])
async def test_any_namespace_is_taken_and_comes_back(soap: Soap, namespace: str | None, version: str) -> None:
    reply = await soap.send(envelope(request("getLoginBanner", namespace=namespace), namespace=version), "AdminMgmtIF")
    assert reply.status == 200
    expected = (namespace or "").replace("&amp;", "&") or None
    assert etree.QName(reply.body) == etree.QName(expected, "getLoginBannerResponse")
    assert [child.tag for child in reply.body] == ["return"]
    assert reply.root.tag == f"{{{version}}}Envelope"
    media = "text/xml" if version == V11 else "application/soap+xml"
    assert reply.headers["Content-Type"] == f"{media}; charset=utf-8"


@pytest.mark.parametrize("path", ["AdminMgmtIF", "DeviceMgmtIF", "ConfigMgmtIFService", "x/y/z", ""])
async def test_every_operation_is_at_every_path(soap: Soap, path: str) -> None:
    assert (await soap.send(envelope(request("login", LOGIN)), path)).status == 200


# ------------------------------------------------------------------------------------------- sessions


@pytest.mark.parametrize("name", ["sid", "SID", "sessionId", "sessionID"])
async def test_the_session_travels_in_a_header_of_either_kind(soap: Soap, name: str) -> None:
    alice = (await soap.log_in("alice")).token
    in_soap = envelope(request("getNNCDetails"), header=f'<h:{name} xmlns:h="urn:h">{alice}</h:{name}>')
    assert (await soap.send(in_soap)).status == 200
    must = f'<{name} xmlns:s="{V11}" s:mustUnderstand="1"> {alice} </{name}>'
    assert (await soap.send(envelope(request("getNNCDetails"), header=must))).status == 200
    assert (await soap.call("getNNCDetails", **{name: alice})).status == 200
    assert (await soap.call("getNNCDetails", Cookie=f"a=b; JSESSIONID={alice}")).status == 200
    assert (await soap.call("getNNCDetails", Cookie=alice)).status == 200
    refused = await soap.call("getNNCDetails")
    assert (refused.status, refused.fault_code, refused.code) == (500, "Client", "NOT_LOGGED_IN")
    assert etree.QName(refused.detail).localname == "AcmeAdminWSFault"


async def test_a_login_sets_the_cookie_and_a_logout_drops_it(soap: Soap) -> None:
    reply = await soap.call("login", LOGIN)
    assert reply.headers["Set-Cookie"] == f"JSESSIONID={reply.result()}; Path=/ACMEWS; HttpOnly; Secure; SameSite=Lax"
    soap.token = reply.result()
    ended = await soap.call("logOut")
    assert ended.result()["resultFlag"] == "true"
    assert "Max-Age=0" in ended.headers["Set-Cookie"]
    assert (await soap.call("getNNCDetails")).code == "NOT_LOGGED_IN"


async def test_a_session_of_rest_is_one_here_and_the_other_way_round(soap: Soap, house: House) -> None:
    soap.token = (await house.caller("alice", "rest")).token
    assert (await soap.call("getNNCDetails")).status == 200
    there = await soap.http.get("https://sdm.test/rest/v1.4/admin/session", headers={"Cookie": soap.token or ""})
    assert there.status_code == 200


async def test_a_wrong_password_is_a_typed_fault_that_does_not_show_it(soap: Soap) -> None:
    reply = await soap.call("login", "<username>alice</username><password>not-this-1</password>")
    assert (reply.code, etree.QName(reply.detail).localname) == ("LOGIN_FAILED", "AcmeAdminWSFault")
    assert "not-this-1" not in reply.text


async def test_other_sites_pages_send_nothing(soap: Soap) -> None:
    assert (await soap.call("login", LOGIN, Sec_Fetch_Site="cross-site")).code == "FORBIDDEN"


# --------------------------------------------------------------------------------------- turned away


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "Client"),
        ("no xml", "Client"),
        ("<a/>", "VersionMismatch"),
        ('<Envelope xmlns="urn:other"><Body/></Envelope>', "VersionMismatch"),
        (envelope(""), "Client"),
        (envelope(request("login", LOGIN) * 2), "Client"),
        (f'<e:Envelope xmlns:e="{V11}"/>', "Client"),
        (f'<e:Envelope xmlns:e="{V11}"><e:Body/><e:Body/></e:Envelope>', "Client"),
        (envelope(request("login", LOGIN))[:-5], "Client"),
        (LAUGHS + envelope(request("login", LOGIN)), "Client"),
        ('<?xml-stylesheet href="a"?>' + envelope(request("login", LOGIN)), "Client"),
        (envelope(request("login", "<username>&b;</username>")), "Client"),
        (envelope(request("noSuchThing")), "Client"),
        (envelope(request("login", "<a>" * 100 + "</a>" * 100)), "Client"),
        (envelope(request("login", LOGIN + "<extra/>")), "Client"),
        (envelope(request("login", "<username>alice</username>")), "Client"),
        (envelope(request("login", "<username><b/></username><password>x</password>")), "Client"),
        (envelope(request("login"), header='<w:Security xmlns:w="urn:w" e:mustUnderstand="1"/>'), "MustUnderstand"),
    ],
)  # fmt: skip
async def test_what_is_malformed_is_the_clients_fault(soap: Soap, body: str, code: str) -> None:
    reply = await soap.send(body)
    assert (reply.status, reply.fault_code) == (500, code), reply.text
    assert "Traceback" not in reply.text and PASSWORD not in reply.text
    if code == "Client":
        assert reply.code == "INVALID_REQUEST" and etree.QName(reply.detail).localname == "AcmeAdminWSFault"


async def test_faults_of_soap_1_2_have_its_form(soap: Soap) -> None:
    reply = await soap.send(envelope(request("noSuchThing"), namespace=V12), Content_Type="application/soap+xml")
    assert (reply.status, reply.fault_code, reply.code) == (400, "Sender", "INVALID_REQUEST")
    assert reply.headers["Content-Type"] == "application/soap+xml; charset=utf-8"
    unread = await soap.send("<", Content_Type="application/soap+xml; action=x")
    assert (unread.status, unread.root.tag) == (400, f"{{{V12}}}Envelope")


async def test_a_header_nobody_must_understand_is_passed_over(soap: Soap) -> None:
    signature = (
        '<w:Security xmlns:w="urn:w"><x>y</x></w:Security><o:a xmlns:o="urn:o" e:mustUnderstand="1" e:actor="urn:b"/>'
    )
    assert (await soap.send(envelope(request("login", LOGIN), header=signature))).status == 200


@pytest.mark.parametrize(
    ("inner", "line", "says"),
    [
        ("<username>a</username>\n<passwrd>geheim</passwrd>", 3, "passwrd is not expected here; expected is password"),
        ("<username>a</username>\n<password>geheim</password>\n<more/>", 4, "more is not expected here"),
        ("<username>a</username>", 2, "login is not complete; expected is password"),
        ("<username>a</username>\n<password>\n<in>geheim</in></password>", 3, "password: the value is not of the type"),
    ],
)
async def test_a_body_that_does_not_fit_is_told_with_its_line(soap: Soap, inner: str, line: int, says: str) -> None:
    reply = await soap.send(envelope("\n" + request("login", inner)))
    message = reply.detail.findtext("message") or ""
    assert message.startswith(says) and message.endswith(f"(line {line})"), message
    assert reply.detail.findtext("facts[name='line']/value") == str(line)
    assert "geheim" not in reply.text


async def test_the_values_a_field_may_have_are_named(soap: Soap) -> None:
    alice = await soap.log_in("alice")
    edit = "<operation>DROP</operation><configElement><type>x</type></configElement>"
    batch = f"<soapBatch><operationsToApply>{edit}</operationsToApply></soapBatch>"
    reply = await alice.call("applyBatch", target("x") + batch)
    assert "operation: the value is none of 'ADD', 'UPDATE', 'DELETE'" in reply.text
    assert "DROP" not in reply.text


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "multipart/related; boundary=x",
        "application/xop+xml",
        "text/xml; charset=latin-1",
        "text/plain",
    ],
)
async def test_other_types_attachments_among_them_are_not_read(soap: Soap, media: str) -> None:
    reply = await soap.send(envelope(request("login", LOGIN)), Content_Type=media)
    assert (reply.fault_code, reply.code) == ("Client", "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("media", [None, "application/xml", 'text/xml;charset="UTF-8"', "application/soap+xml"])
async def test_these_types_are_read(soap: Soap, media: str | None) -> None:
    assert (await soap.send(envelope(request("login", LOGIN)), Content_Type=media)).status == 200


async def test_a_body_that_is_too_large_closes_the_connection(soap: Soap) -> None:
    reply = await soap.send(envelope(request("login", "x" * 1_100_000)))
    assert reply.fault_code == "Client" and reply.headers["Connection"] == "close"
    assert (await soap.send(b"\x1f\x8b", Content_Encoding="gzip")).code == "UNSUPPORTED_MEDIA_TYPE"


# -------------------------------------------------------------------------------------- taken anyway


@pytest.mark.parametrize(
    "inner",
    [
        "<password>{p}</password><username>alice</username>",
        '<x:username xmlns:x="urn:x">alice</x:username><x:password xmlns:x="urn:x">{p}</x:password>',
        '<username a="b">alice</username>\n  <!-- a comment -->\n  <password>{p}</password>',
    ],
)
async def test_order_namespaces_and_attributes_do_not_matter(soap: Soap, inner: str) -> None:
    assert (await soap.call("login", inner.format(p=PASSWORD))).status == 200


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("getSBCDetails", "<targetDevice>edge-a</targetDevice>"),
        ("getSBCDetails", "<targetName>EDGE-A</targetName>"),
        ("getAllManagedDevicesByDeviceGroup", "<deviceGroupPath>Home</deviceGroupPath>"),
        ("getAllManagedDevicesByDeviceGroup", "<devicetGroupPath>Home</devicetGroupPath>"),
    ],
)
async def test_both_spellings_are_read(soap: Soap, name: str, inner: str) -> None:
    alice = await soap.log_in("alice")
    found = (await alice.call(name, inner)).result()
    assert "edge-a" in [each["deviceName"] for each in (found if isinstance(found, list) else [found])]


async def test_lists_are_read_flat_and_nested_and_what_is_nil_is_not_there(soap: Soap) -> None:
    alice = await soap.log_in("alice")
    nil = '<snmpPort xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>'
    for number, addresses in enumerate(
        ["<deviceIPList>192.0.2.7</deviceIPList>", "<deviceIPList><string>192.0.2.8</string></deviceIPList>"]
    ):
        info = f"<deviceInfoObject>{addresses}{nil}<targetName>new-{number}</targetName></deviceInfoObject>"
        assert (await alice.call("addDevice", info)).status == 200
        details = (await alice.call("getSBCDetails", target(f"new-{number}"))).result()
        assert details["primaryIP"] == f"192.0.2.{7 + number}" and details["domainName"] == "Home"


async def test_a_device_is_called_by_its_name_or_its_id(soap: Soap, house: House) -> None:
    alice = await soap.log_in("alice")
    assert (await alice.call("getAllManagedDeviceTargetNames")).result() == ["edge-a", "edge-b", "edge-c"]
    second: DeviceShown = (await house.do("alice", ListDevices(filters={"name": "edge-b"}))).items[0]
    by_id = await alice.call("getSBCDetails", target(f"ID{second.device.device_id}"))
    assert by_id.result()["deviceName"] == "edge-b"
    for wanted, code in [("nowhere", "NOT_FOUND"), ("edge*", "NOT_FOUND"), ("ID99999", "NOT_FOUND")]:
        assert (await alice.call("getSBCDetails", target(wanted))).code == code
    assert (await alice.call("getSBCDetails", target(" "))).code == "INVALID_REQUEST"


async def test_devices_that_share_a_name_are_called_by_their_ids(soap: Soap, house: House) -> None:
    for number in (1, 2):
        addresses = {"twin": f"192.0.2.2{number}", "other": f"192.0.2.3{number}"}
        devices = tuple(DeviceEnrolment(name, {"primary.ip": ip}) for name, ip in addresses.items())
        cluster = AddNetworkFunction(
            nf_name=f"twins-{number}",
            parent_full_name="Home",
            category_name=CATEGORIES[1].name,
            type_name=CATEGORIES[1].type_names[1],
            groups=(GroupEnrolment({"name": "twins", "username": "ops", "password": "s3cret-pw"}, devices),),
        )
        await house.do("alice", cluster)
    alice = await soap.log_in("alice")
    reply = await alice.call("getSBCDetails", target("twin"))
    assert reply.code == "INVALID_REQUEST" and "2 devices are called 'twin'" in reply.text
    ids = re.findall(r"ID\d+", reply.detail.findtext("message") or "")
    for wanted in ids:
        assert (await alice.call("getSBCDetails", target(wanted))).result()["targetName"] == wanted
    assert "also holds other" in (await alice.call("deleteDevice", target(ids[0]))).text
