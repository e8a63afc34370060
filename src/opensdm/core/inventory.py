"""The inventory: device groups, network functions, devices, and what it takes to enrol them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from opensdm.core.errors import InvalidRequest

HOME_GROUP_ID = 1
HOME_GROUP_NAME = "Home"
MASKED = "xxxx"
"""What a secret shows as; written back, it keeps the old value."""

DEVICE_FILTERS = frozenset(
    ("id", "name", "ip", "nfId", "nfName", "parentGroupId", "parentGroupFullName", "connectivityStatus", "manageable")
)
GROUP_FILTERS = frozenset(("id", "name", "fullName", "parentGroupId", "parentGroupFullName"))
FUNCTION_FILTERS = frozenset(("id", "name", "groupType", "parentGroupId", "parentGroupFullName"))
"""The wire fields that lists can be filtered by: exact, or with `*`."""

_GROUP_NAME = re.compile(r"[^\x00-\x1f/\\<>\"*?|]{1,100}")


class Trouble(StrEnum):
    """What is wrong with a managed device: it was asked and did not answer, or holds what we did not put there."""

    UNREACHABLE = "unreachable"
    DRIFTED = "drifted"


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """A node of the inventory tree. `kind`: FOLDER, or FUNCTION for a group inside a network function."""

    group_id: int
    group_name: str
    parent_id: int | None
    full_name: str
    parent_full_name: str | None
    kind: str = "FOLDER"
    nf_id: int | None = None
    top_level: bool = False
    """Added with a bare name: shown with parent `ID0` and no parent name, as published; it lives under Home."""


@dataclass(frozen=True, slots=True)
class NetworkFunction:
    """One logical function. Its id is also the id of its own group."""

    nf_id: int
    nf_name: str
    parent_id: int
    parent_full_name: str
    category: str
    type_name: str
    group_type: str
    """`DEVICE` or `CLUSTER`."""


@dataclass(frozen=True, slots=True)
class Device:
    """One managed unit. `parameters` never carries a secret in the clear; see `Credentials`."""

    device_id: int
    device_name: str
    ip: str
    nf_id: int
    nf_name: str
    group_id: int
    platform: str
    parameters: Mapping[str, str]
    assigned: bool = False
    reachable: bool = False
    read_only: bool = False
    serial_number: str = "--"
    software_version: str = ""
    config_version: str = ""
    description: str | None = None
    last_operation: str = "None"
    status: str = "Not Loaded"
    status_changed_us: int | None = None
    loaded_version: int | None = None
    polled_us: int | None = None
    poll_error: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach and enter a device; only the gate's handlers and drivers see it, decrypted."""

    address: str
    secondary_address: str | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)
    left_session: str | None = field(default=None, repr=False)
    """What an earlier run of ours noted of its session on the device and never forgot: it may still be there."""


@dataclass(frozen=True, slots=True)
class ParameterType:
    """One parameter of a network function type: what N4 lists and what enrolment checks."""

    name: str
    label: str
    description: str
    value_type: str = "String"
    required: bool = False
    secret: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None


SINGLE_SELECTION, NUMBER = "SingleSelection", "NumberString"
_YES_NO = ("true", "false")

DEVICE_PARAMETERS = (
    ParameterType("primary.ip", "Primary address", "host or host:port; IPv6 in brackets", required=True),
    ParameterType("secondary.ip", "Standby address", "the other unit of a pair, written like primary.ip"),
    ParameterType("platform", "Platform", "what kind of device it is", SINGLE_SELECTION, default="acme_sbc"),
    ParameterType("username", "User name", "login name on the device"),
    ParameterType("password", "Password", "login secret on the device", secret=True),
    ParameterType("port", "Port", "where an address names no port", NUMBER, minimum=1, maximum=65535),
    ParameterType(
        "transport", "Transport", "how the device is spoken to", SINGLE_SELECTION, default="https",
        choices=("https", "http"),
    ),
    ParameterType(
        "tls.verify", "Check certificate",
        "whether the device's certificate must be trusted, or is kept when first seen and may not change",
        SINGLE_SELECTION, default="true", choices=("true", "false", "first-use"),
    ),
    ParameterType(
        "tls.fingerprint", "Certificate fingerprint",
        "SHA-256 of the certificate the device must show where tls.verify is first-use; of a pair both, with a space",
    ),
    ParameterType("tls.ca", "Certificate authority", "PEM certificates to trust, instead of the system's"),
    ParameterType("ssh.host.key", "SSH host key", "the key the device must show: 'ssh-ed25519 AAAA...'"),
    ParameterType(
        "ssh.trust", "SSH trust", "whether a host key nobody named is refused, or kept when first seen",
        SINGLE_SELECTION, default="known", choices=("known", "first-use"),
    ),
    ParameterType("yang.path", "YANG modules", "folder on the server with modules that the device does not give"),
    ParameterType(
        "netconf.validate", "Validate before commit", "whether a NETCONF device is asked to validate what was edited; "
        "some devices lose the edit by it", SINGLE_SELECTION, default="true", choices=_YES_NO,
    ),
    ParameterType(
        "netconf.confirm.s", "Confirm within", "seconds after which a NETCONF device undoes a commit nobody confirmed",
        NUMBER, default="60", minimum=5, maximum=3600,
    ),
    ParameterType("token.life", "Token life", "seconds the device lets a token live", NUMBER, minimum=1, maximum=86400),
    ParameterType(
        "read.only", "Read-only", "nothing is ever written to the device, by anyone", SINGLE_SELECTION,
        default="false", choices=_YES_NO,
    ),
    ParameterType("snmp.mode", "SNMP mode", "SNMP version", SINGLE_SELECTION, choices=("v1v2", "v3")),
    ParameterType("snmp.community.name", "SNMP community", "community name for SNMP v1 and v2c"),
    ParameterType("snmp.port", "SNMP port", "UDP port for SNMP", NUMBER, minimum=1, maximum=65535),
)  # fmt: skip
"""What enrolment asks for. The choices of `platform` are those of the installed drivers."""


@dataclass(frozen=True, slots=True)
class Category:
    """A family of network functions offered by the installed platforms."""

    category_id: int
    name: str
    product: str
    vendor: str
    type_names: tuple[str, ...]


CATEGORIES = (
    Category(1, "Enterprise Edge & Core", "Session Delivery", "Oracle", ("Device", "Device Cluster")),
    Category(2, "SP Edge & Core", "Session Delivery", "Oracle", ("Device", "Device Cluster")),
)
"""As published; a platform of another vendor adds its own."""


def wire_id(number: int) -> str:
    """`7` -> `ID7`, the published form of every id."""
    return f"ID{number}"


def check_group_name(name: str) -> str:
    """A group's or network function's own name: 1 to 100 characters, no slash, no control characters."""
    stripped = name.strip()
    if not stripped or not _GROUP_NAME.fullmatch(stripped):
        raise InvalidRequest(f'{name!r} cannot be a name: 1 to 100 characters, none of / \\ < > " * ? |')
    return stripped
