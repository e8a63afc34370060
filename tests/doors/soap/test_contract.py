"""The WSDL and XSD files agree with one another and with what is answered; a file of names says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree

from opensdm.core.errors import InvalidRequest
from opensdm.core.operations import REGISTRY
from opensdm.doors.soap import contract
from opensdm.doors.soap.app import ANSWERS, check_answers
from opensdm.doors.soap.names import SERVICES, load_names

WSDL = "{http://schemas.xmlsoap.org/wsdl/}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_wsdl_and_its_schema_name_the_same_operations(service: str) -> None:
    root = etree.parse(str(contract.FOLDER / f"{service}.wsdl")).getroot()
    ported = [each.get("name") for each in root.findall(f"{WSDL}portType/{WSDL}operation")]
    bound = [each.get("name") for each in root.findall(f"{WSDL}binding/{WSDL}operation")]
    declared = [m.name for found in contract.messages().values() for m in found if m.service == service]
    assert sorted(x or "" for x in ported) == sorted(x or "" for x in bound) == sorted(declared)


def test_every_operation_is_described_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs/soap.md").read_text()
    sections = re.findall(r"^### (\w+MgmtIF)\n(.*?)(?=^#)", page, re.MULTILINE | re.DOTALL)
    described = {
        (service, name)
        for service, text in sections
        for row in re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    published = {(m.service, m.name) for found in contract.messages().values() for m in found}
    assert described == published - {("ConfigMgmtIF", "deleteUserChanges")}


def test_the_operations_it_maps_to_exist() -> None:
    """In the last column of the tables of operations."""
    page = (Path(__file__).parents[3] / "docs/soap.md").read_text()
    named = {
        name
        for row in re.findall(r"^\| `\w.*\| (.*) \|$", page, re.MULTILINE)
        for name in re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", row)
    }
    assert len(named) > 25 and named - REGISTRY.keys() == set()


def test_an_operation_that_nothing_answers_does_not_import() -> None:
    with pytest.raises(TypeError, match="lockDevice"):
        check_answers({name: answer for name, answer in ANSWERS.items() if name != "lockDevice"})
    with pytest.raises(TypeError, match="more"):
        check_answers({**ANSWERS, "more": ANSWERS["login"]})


def test_a_field_that_a_type_does_not_have_is_a_bug() -> None:
    with pytest.raises(KeyError, match="lockHolder"):
        contract.written_type("SBCDetails", {"deviceName": "edge-a", "lockHolder": "bob"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[namespaces", "is not TOML"),
        ("[other]\n", "there is no section other"),
        ('[namespaces]\nAdmin = "x"', "namespaces may hold AdminMgmtIF"),
        ("[namespaces]\nfault = 7", "namespaces.fault is no such name"),
        ('[namespaces]\nfault = "a b"', "namespaces.fault is no such name"),
        ('[paths]\nbase = "services"', "paths.base is a path"),
        ('[paths]\nbase = "/rest"', "not below /rest"),
        ('[paths]\nAdminMgmtIF = "/a"', "below the base"),
    ],
)
def test_a_file_of_names_that_is_wrong_says_what(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "names.toml"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=says):
        load_names(file)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        load_names(tmp_path / "absent.toml")
