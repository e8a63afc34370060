"""What may be said of a device, and how addresses are read."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensdm.core.enrolment import checked_changes, checked_enrolment, joined_address, parameter_types, split_address
from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import DEVICE_PARAMETERS

PLATFORMS = ("acme_sbc", "other")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7:8443 ", "192.0.2.7:8443"),
        ("[2001:DB8:0::7]", "[2001:db8::7]"),
        ("[2001:db8::7]:443", "[2001:db8::7]:443"),
        ("2001:db8:0:0::7", "[2001:db8::7]"),
        ("Edge-A.Example.NET.", "edge-a.example.net"),
        ("edge-a:1", "edge-a:1"),
        ("edge_a:65535", "edge_a:65535"),
    ],
)
def test_addresses_have_one_form(written: str, stored: str) -> None:
    assert checked_enrolment({"primary.ip": written}, PLATFORMS)["primary.ip"] == stored


@pytest.mark.parametrize(
    "written",
    [
        "192.0.2.256", "192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:http", "[2001:db8::7", "[192.0.2.7]",
        "[2001:db8::7]443", "[2001:db8::7]:", "[edge-a]", "a b", "-edge", "edge-", "a..b", "edge/a", "user@edge",
        "0.0.0.0", "[::]", "224.0.0.1", "1.2.3", "edge:1:2", "https://edge", "x" * 254, "\u0661.2.3.4", "e:\u0661",
    ],
)  # fmt: skip
def test_what_is_no_address_is_named(written: str) -> None:
    with pytest.raises(InvalidRequest, match=r"'primary\.ip' is host or host:port") as refused:
        checked_enrolment({"primary.ip": written}, PLATFORMS)
    assert refused.value.facts == {"parameter": "primary.ip"}


def usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
    return not (address.is_unspecified or address.is_multicast or mapped)


@pytest.mark.parametrize("written", ["[::ffff:192.0.2.7]:443", "[::FFFF:c000:207]:443"])
def test_an_ipv4_address_in_ipv6_clothes_is_that_address(written: str) -> None:
    assert split_address("primary.ip", written) == ("192.0.2.7", 443)


@given(st.ip_addresses().filter(usable), st.integers(1, 65535) | st.none())
def test_addresses_come_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int | None) -> None:
    written = joined_address(str(address), port)
    assert split_address("primary.ip", written) == (str(address), port)
    assert joined_address(*split_address("primary.ip", written)) == written


def test_defaults_are_filled_in_and_nothing_else() -> None:
    assert checked_enrolment({"primary.ip": "192.0.2.7", "secondary.ip": "", "username": " "}, PLATFORMS) == {
        "primary.ip": "192.0.2.7", "platform": "acme_sbc", "transport": "https", "tls.verify": "true",
        "read.only": "false", "ssh.trust": "known", "netconf.validate": "true", "netconf.confirm.s": "60",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("primary.ip", "", "is required"),
        ("secondary.ip", "192.0.2.7", "cannot be the same"),
        ("platform", "juniper", "acme_sbc, other"),
        ("read.only", "yes", "true, false"),
        ("port", "0", "from 1 to 65535"),
        ("port", "65536", "from 1 to 65535"),
        ("port", "\u0661", "from 1 to 65535"),
        ("snmp.port", "-1", "from 1 to 65535"),
        ("snmp.mode", "v2", "v1v2, v3"),
        ("username", "a\nb", "one line"),
        ("username", "x" * 1025, "at most 1024"),
        ("password", "a\x00b", "one line"),
        ("password", "xxxx", "cannot be xxxx"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(name: str, value: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        checked_enrolment({"primary.ip": "192.0.2.7", name: value}, PLATFORMS)
    assert repr(name) in refused.value.message


def test_unknown_parameters_list_the_known() -> None:
    with pytest.raises(InvalidRequest, match=r"primary\.address") as refused:
        checked_enrolment({"primary.ip": "192.0.2.7", "primary.address": "x"}, PLATFORMS)
    for parameter in DEVICE_PARAMETERS:
        assert parameter.name in refused.value.message


@given(st.text(max_size=30))
def test_a_secret_is_never_repeated(secret: str) -> None:
    given_ = {"primary.ip": "192.0.2.7", "password": f"SECRET{secret}"}
    try:
        assert checked_enrolment(given_, PLATFORMS)["password"] == given_["password"]
    except InvalidRequest as refused:
        assert "SECRET" not in refused.message


def test_choices_are_read_without_case() -> None:
    values = checked_enrolment({"primary.ip": "a", "read.only": "TRUE", "platform": "Other", "port": "0443"}, PLATFORMS)
    assert (values["read.only"], values["platform"], values["port"]) == ("true", "other", "443")


def test_changes_keep_what_is_masked_or_has_a_default() -> None:
    given_ = {"password": "xxxx", "read.only": "", "platform": "", "username": "", "snmp.port": "161"}
    assert checked_changes(given_, PLATFORMS) == {"username": "", "snmp.port": "161"}
    assert checked_changes({"password": ""}, PLATFORMS) == {"password": ""}
    with pytest.raises(InvalidRequest, match="required"):
        checked_changes({"primary.ip": ""}, PLATFORMS)


def test_a_certificate_has_many_lines() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    assert checked_changes({"tls.ca": pem}, PLATFORMS) == {"tls.ca": pem}


def test_platforms_are_the_choices() -> None:
    (platform,) = [t for t in parameter_types(PLATFORMS) if t.name == "platform"]
    assert platform.choices == PLATFORMS
