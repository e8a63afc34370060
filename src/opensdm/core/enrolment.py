"""Checking what people say of a device: its parameters one by one, and how it is reached."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import DEVICE_PARAMETERS, MASKED, NUMBER, ParameterType

ADDRESSES = ("primary.ip", "secondary.ip")
MAX_VALUE = 1024
MAX_CERTIFICATES = 64 * 1024

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_PORT = re.compile(r"[0-9]{1,5}")


def parameter_types(platforms: Sequence[str]) -> tuple[ParameterType, ...]:
    """The parameters of a device, with the platforms there are as choices."""
    return tuple(replace(t, choices=tuple(platforms)) if t.name == "platform" else t for t in DEVICE_PARAMETERS)


def checked_enrolment(given: Mapping[str, str], platforms: Sequence[str]) -> dict[str, str]:
    """Parameters of a new device, in canonical form; defaults are filled in and empty values dropped."""
    types = parameter_types(platforms)
    values = {name: value for name, value in _checked(given, types).items() if value}
    for parameter in types:
        if parameter.secret and values.get(parameter.name) == MASKED:
            raise _invalid(parameter.name, f"cannot be {MASKED}: that is how a stored secret is shown")
        if parameter.required and parameter.name not in values:
            raise _invalid(parameter.name, f"is required: {parameter.description}")
        if parameter.default is not None:
            values.setdefault(parameter.name, parameter.default)
    if values["platform"] not in platforms:
        raise _invalid("platform", f"is one of: {', '.join(platforms)}")
    check_pair(values["primary.ip"], values.get("secondary.ip"))
    return values


def checked_changes(given: Mapping[str, str], platforms: Sequence[str]) -> dict[str, str]:
    """Changed parameters of known devices. An empty value removes what is optional and changes nothing else.

    A masked secret stays as it is.
    """
    types = {t.name: t for t in parameter_types(platforms)}
    values = _checked(given, tuple(types.values()))
    for name in list(values):
        kept = values[name] == MASKED if types[name].secret else not values[name] and types[name].default is not None
        if kept:
            del values[name]
        elif not values[name] and types[name].required:
            raise _invalid(name, f"is required: {types[name].description}")
    return values


def check_pair(primary: str, secondary: str | None) -> None:
    """The units of a pair have two addresses."""
    if primary == secondary:
        raise _invalid("secondary.ip", "is the other unit of a pair; it cannot be the same as primary.ip")


def split_address(name: str, value: str) -> tuple[str, int | None]:
    """Host, without brackets, and port of `host`, `host:port`, `[v6]` or `[v6]:port`; a bare IPv6 address, too.

    Hosts are in canonical form: two spellings of one address come out the same.
    """
    host, port = value.strip(), ""
    if host.startswith("["):
        host, closed, rest = host[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise _bad_address(name, value)
        port = rest[1:] if rest else ""
        if rest and not port:
            raise _bad_address(name, value)
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
        if not port:
            raise _bad_address(name, value)
    if port and (not _PORT.fullmatch(port) or not 0 < int(port) < 65536):
        raise _bad_address(name, value)
    return _canonical_host(name, value, host), int(port) if port else None


def joined_address(host: str, port: int | None) -> str:
    """The one written form: IPv6 in brackets, the port only if there is one."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def endpoint(address: str, port: str | None) -> tuple[str, str]:
    """Host and port of a checked address; a port in it wins over the device's own, and none at all is empty.

    Two devices with one endpoint would be two locks for one unit.
    """
    host, own_port = split_address("address", address)
    return joined_address(host, None), str(own_port) if own_port is not None else port or ""


def is_loopback(host: str) -> bool:
    """Whether a host of an endpoint is this machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _canonical_host(name: str, value: str, host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
            raise _bad_address(name, value) from None
        return host.removesuffix(".").lower()
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_multicast:
        raise _bad_address(name, value)
    return str(address)


def _checked(given: Mapping[str, str], types: Sequence[ParameterType]) -> dict[str, str]:
    known = {t.name: t for t in types}
    if unknown := sorted(given.keys() - known.keys()):
        raise InvalidRequest(
            f"there is no parameter {unknown[0]!r}; there is: {', '.join(known)}", parameter=unknown[0]
        )
    return {name: _checked_value(known[name], value) for name, value in given.items()}


def _checked_value(parameter: ParameterType, value: str) -> str:
    """One value in canonical form; what the value was is never said of a secret."""
    name = parameter.name
    longest = MAX_CERTIFICATES if name == "tls.ca" else MAX_VALUE
    if len(value) > longest:
        raise _invalid(name, f"has at most {longest} characters")
    if name != "tls.ca" and any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise _invalid(name, "is one line without control characters")
    if parameter.secret:
        return value
    value = value.strip()
    if not value:
        return ""
    if name in ADDRESSES:
        return joined_address(*split_address(name, value))
    if parameter.choices:
        return _choice(parameter, value)
    if parameter.value_type == NUMBER:
        return _number(parameter, value)
    return value


def _choice(parameter: ParameterType, value: str) -> str:
    for choice in parameter.choices:
        if choice.lower() == value.lower():
            return choice
    raise _invalid(parameter.name, f"is one of: {', '.join(parameter.choices)}; not {value!r}")


def _number(parameter: ParameterType, value: str) -> str:
    low, high = parameter.minimum or 0, parameter.maximum
    if not re.fullmatch("[0-9]{1,18}", value) or int(value) < low or (high is not None and int(value) > high):
        raise _invalid(parameter.name, f"is a number from {low} to {high}; not {value!r}")
    return str(int(value))


def _bad_address(name: str, value: str) -> InvalidRequest:
    return _invalid(name, f"is host or host:port, IPv6 in brackets; not {value!r}")


def _invalid(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"parameter {name!r} {what}", parameter=name)
