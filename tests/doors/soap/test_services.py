"""The list page, the WSDLs under our names or an operator's, and what is published but not offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from opensdm.doors.soap.app import ANSWERS
from opensdm.doors.soap.calls import NotHere
from opensdm.doors.soap.names import load_names
from opensdm.doors.soap.settings import SoapSettings
from tests.doors.soap.sender import OURS, Soap

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("AdminMgmtIF", "DeviceMgmtIF", "ConfigMgmtIF")
WSDL, SOAP = "{http://schemas.xmlsoap.org/wsdl/}", "{http://schemas.xmlsoap.org/wsdl/soap/}"
XSD = "{http://www.w3.org/2001/XMLSchema}"


async def test_the_list_page_names_every_wsdl(soap: Soap) -> None:
    for path in ("", "/", "/AdminMgmtIF"):
        page = await soap.get(path)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        for service in SERVICES:
            assert f"{service}Service.wsdl" in page.text and f"/ACMEWS/services/{service}?wsdl" in page.text
    assert (await soap.get("/Nothing")).status_code == 404
    assert (await soap.http.delete("https://sdm.test/ACMEWS/services/AdminMgmtIF")).headers[
        "Allow"
    ] == "GET, HEAD, POST"


@pytest.mark.parametrize("service", SERVICES)
async def test_the_wsdl_is_one_document_with_the_callers_address(soap: Soap, service: str) -> None:
    texts = set()
    for path in (f"/{service}?wsdl", f"/{service}?WSDL", f"/{service}Service.wsdl", f"/{service}.wsdl"):
        answer = await soap.get(path)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/xml; charset=utf-8"
        texts.add(answer.content)
    (text,) = texts
    root = etree.fromstring(text)
    address = root.find(f".//{SOAP}address")
    assert address is not None and address.get("location") == f"https://sdm.test/ACMEWS/services/{service}"
    assert len(root.findall(f"{WSDL}types/{XSD}schema")) == 3
    assert root.get("targetNamespace") == OURS.format(service.removesuffix("IF").lower())
    assert "schemaLocation" not in text.decode()
    named = await soap.get(f"/{service}?wsdl", Host="sdm.example:8443")
    assert f'location="https://sdm.example:8443/ACMEWS/services/{service}"' in named.text


async def test_what_is_published_and_not_offered_says_so(soap: Soap) -> None:
    assert {name for name, answer in ANSWERS.items() if isinstance(answer, NotHere)} == {
        "getTrapReceivers", "NorthboundalarmSync", "NorthboundActiveAlarmSync", "encryptedPassword",
        "getRequiredSubElementTypesByElementType", "getRequiredSubElementsByElementType",
    }  # fmt: skip
    alice = await soap.log_in("alice")
    for name in ("getTrapReceivers", "NorthboundalarmSync", "encryptedPassword"):
        reply = await alice.call(name, "<whatever><x/></whatever>")
        assert (reply.code, reply.fault_code) == ("NOT_OFFERED", "Client")
        assert (reply.detail.findtext("message") or "").startswith(f"{name} is not offered: ")
        assert (await soap.call(name)).code == "NOT_LOGGED_IN"


# ------------------------------------------------------------------------------- an operator's names

NAMES = """
[namespaces]
AdminMgmtIF = "http://vendor.example/a?x=1;y"
fault = "urn:vendor:fault"
[paths]
base = "/vendor/ws"
AdminMgmtIF = "admin/v2"
"""


class TestTheirNames:
    @pytest.fixture
    def soap_settings(self, tmp_path: Path) -> SoapSettings:
        (tmp_path / "names.toml").write_text(NAMES)
        return SoapSettings(names=load_names(tmp_path / "names.toml"))

    async def test_the_wsdl_and_the_faults_carry_them(self, soap: Soap) -> None:
        answer = await soap.http.get("https://sdm.test/vendor/ws/admin/v2?wsdl")
        root = etree.fromstring(answer.content)
        assert root.get("targetNamespace") == "http://vendor.example/a?x=1;y"
        address = root.find(f".//{SOAP}address")
        assert address is not None and address.get("location") == "https://sdm.test/vendor/ws/admin/v2"
        spaces = {schema.get("targetNamespace") for schema in root.iter(f"{XSD}schema")}
        assert spaces == {"http://vendor.example/a?x=1;y", "urn:vendor:fault", OURS.format("userobjects")}
        assert OURS.format("fault") not in answer.text
        told = await soap.http.post("https://sdm.test/vendor/ws/x", content=b"<", headers={"Content-Type": "text/xml"})
        assert 'xmlns:f="urn:vendor:fault"' in told.text
        assert (await soap.http.get("https://sdm.test/ACMEWS/services")).status_code == 404
