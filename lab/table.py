"""How to reach the devices of a lab, for a person: a table, host keys, and commands to paste."""

import json
from collections.abc import Sequence

from lab.frr import FrrRouter
from lab.netconf import YANG, NetconfDevice
from lab.virtual import SbcProcess

Device = NetconfDevice | FrrRouter | SbcProcess
NETCONF_PLATFORM = "netconf"
FRR_PLATFORM = "frr"


def name_of(device: Device) -> str:
    """What the lab calls a device, such as netconf-1."""
    kinds = {NetconfDevice: "netconf", FrrRouter: "router", SbcProcess: "sbc"}
    return f"{kinds[type(device)]}-{device.number}"


def rows(devices: Sequence[Device]) -> list[tuple[str, str, str, str, str]]:
    """Name, kind, host:port, user and password of each."""
    kinds = {NetconfDevice: "netconfd", FrrRouter: "FRR", SbcProcess: "virtual SBC (ours)"}
    return [
        (name_of(device), kinds[type(device)], f"{device.address}:{device.port}", device.user, device.password)
        for device in devices
    ]


def shown(devices: Sequence[Device]) -> str:
    """The page `up` prints: the table, what to check each device's identity by, and how to enrol the first."""
    table = [("device", "what it is", "address", "user", "password"), *rows(devices)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    keys = [f"{name_of(device)}  {identity(device)}" for device in devices]
    enrol = ["", "To enrol the first, logged in with cookies in ./jar:", "", enrolment(devices[0])] if devices else []
    return "\n".join([*lines, "", *keys, *enrol])


def identity(device: Device) -> str:
    """The host key, or the file with the certificate authority."""
    return f"tls.ca: {device.authority}" if isinstance(device, SbcProcess) else f"ssh.host.key: {device.host_key}"


def parameters(device: Device) -> dict[str, str]:
    """The parameters that enrol a device in OpenSDM."""
    login = {
        "primary.ip": f"{device.address}:{device.port}",
        "username": device.user,
        "password": device.password,
    }
    match device:
        case NetconfDevice():
            # netconfd hands out the names of its modules, and not their text; and loses what it is asked to validate.
            kind = {"platform": NETCONF_PLATFORM, "ssh.host.key": device.host_key, "yang.path": str(YANG)}
            kind["netconf.validate"] = "false"
        case FrrRouter():
            kind = {"platform": FRR_PLATFORM, "ssh.host.key": device.host_key}
        case SbcProcess():
            kind = {"platform": "acme_sbc", "tls.ca": device.authority.read_text()}
    return kind | login


def enrolment(device: Device) -> str:
    """A curl command that enrols a device below Home."""
    body = {
        "name": name_of(device),
        "parentGroupFullName": "Home",
        "nfCategory": {"name": "SP Edge & Core"},
        "nfType": {"name": "Device"},
        "parameters": [{"name": name, "value": value} for name, value in parameters(device).items()],
    }
    return (
        "curl -sS -b jar -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(body)}' \\\n"
        "  https://127.0.0.1:8443/rest/v1.4/inventory/nfMgmt/nfs"
    )
