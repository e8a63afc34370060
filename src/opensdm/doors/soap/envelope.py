"""SOAP envelopes, 1.1 and 1.2: what is asked in one, and replies and faults in the caller's own version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from opensdm.core.errors import MalformedBody
from opensdm.doors import xml
from opensdm.doors.http import bounded_token

SESSION_NAMES = ("sid", "SID", "sessionId", "sessionID")
"""What carries the session's id: an element of the SOAP header, or an HTTP header, of one of these names."""


class Version(Enum):
    """A version of SOAP by the namespace of its envelope."""

    V11 = "http://schemas.xmlsoap.org/soap/envelope/"
    V12 = "http://www.w3.org/2003/05/soap-envelope"

    @property
    def media_type(self) -> str:
        return "text/xml" if self is Version.V11 else "application/soap+xml"


class VersionMismatch(MalformedBody):
    """The root is no SOAP envelope of a version that is read."""


class NotUnderstood(MalformedBody):
    """A header that the sender says must be understood, and is not."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One request: `request` is the operation's element, `token` the session id of the SOAP header."""

    version: Version
    request: xml.Node
    token: str | None


def read(body: bytes, max_bytes: int) -> Envelope:
    """Raises MalformedBody with the line where known, VersionMismatch, NotUnderstood, WrongCharset, BodyTooLarge."""
    root = xml.parse(body, max_bytes=max_bytes)
    version = version_of(root)
    parts = [child for child in root if child.namespace == version.value]
    bodies = [child for child in parts if child.name == "Body"]
    headers = [child for child in parts if child.name == "Header"]
    if len(bodies) != 1 or len(headers) > 1:
        raise MalformedBody(
            f"an envelope has at most one Header and exactly one Body (line {root.line})", line=root.line
        )
    if len(bodies[0].children) != 1:
        raise MalformedBody(
            f"the Body holds {len(bodies[0].children)} elements; it holds one, named as the operation "
            f"(line {bodies[0].line})",
            line=bodies[0].line,
        )
    entries = headers[0].children if headers else []
    for entry in entries:
        _check_understood(entry, version)
    return Envelope(version, bodies[0].children[0], _token(entries))


def version_of(root: xml.Node) -> Version:
    for version in Version:
        if root.tag == f"{{{version.value}}}Envelope":
            return version
    raise VersionMismatch(f"the root element {root.name[:60]!r} is no SOAP 1.1 or 1.2 Envelope", line=root.line)


def _check_understood(entry: xml.Node, version: Version) -> None:
    prefix = f"{{{version.value}}}"
    must = entry.attributes.get(prefix + "mustUnderstand", "").strip() in ("1", "true")
    role = entry.attributes.get(prefix + ("actor" if version is Version.V11 else "role"), "")
    ours = not role or role.rstrip("/").endswith(("/actor/next", "/role/next", "/role/ultimateReceiver"))
    if must and ours and entry.name not in SESSION_NAMES:
        raise NotUnderstood(
            f"the header {entry.name[:60]!r} must be understood and is not: signatures, encryption and other "
            f"extensions are not read (line {entry.line})",
            line=entry.line,
        )


def _token(entries: Sequence[xml.Node]) -> str | None:
    for entry in entries:
        if entry.name in SESSION_NAMES:
            return bounded_token(entry.text.strip())
    return None


# ------------------------------------------------------------------------------------------ writing


def reply(version: Version, namespace: str, name: str, content: Sequence[xml.Element]) -> bytes:
    """The response element in the caller's namespace, its content unqualified."""
    prefix, declared = ("ns:", f" xmlns:ns={xml.quoted(namespace)}") if namespace else ("", "")
    return _envelope(version, f"<{prefix}{name}{declared}>{_inner(content)}</{prefix}{name}>")


@dataclass(frozen=True, slots=True)
class Fault:
    """`code`: a fault code in the words of SOAP 1.1. `detail`: a fault element's name, namespace and content."""

    code: str
    message: str
    detail: tuple[str, str, Sequence[xml.Element]] | None = None


_CODES_12 = {"Client": "Sender", "Server": "Receiver"}


def fault(version: Version, fault: Fault) -> bytes:
    detail = ""
    if fault.detail is not None:
        name, namespace, content = fault.detail
        detail = f"<f:{name} xmlns:f={xml.quoted(namespace)}>{_inner(content)}</f:{name}>"
    text = xml.escape(fault.message)
    if version is Version.V11:
        wrapped = f"<detail>{detail}</detail>" if detail else ""
        inner = f"<faultcode>soap:{fault.code}</faultcode><faultstring>{text}</faultstring>{wrapped}"
    else:
        wrapped = f"<soap:Detail>{detail}</soap:Detail>" if detail else ""
        inner = (
            f"<soap:Code><soap:Value>soap:{_CODES_12.get(fault.code, fault.code)}</soap:Value></soap:Code>"
            f'<soap:Reason><soap:Text xml:lang="en">{text}</soap:Text></soap:Reason>{wrapped}'
        )
    return _envelope(version, f"<soap:Fault>{inner}</soap:Fault>")


def example(namespace: str, name: str, values: Sequence[xml.Element]) -> str:
    """A request in the fewest characters, for the calls that faults show."""
    inner = f"<o:{name} xmlns:o={xml.quoted(namespace)}>{_inner(values)}</o:{name}>"
    return f"<e:Envelope xmlns:e={xml.quoted(Version.V11.value)}><e:Body>{inner}</e:Body></e:Envelope>"


def _envelope(version: Version, body: str) -> bytes:
    text = f"<soap:Envelope xmlns:soap={xml.quoted(version.value)}><soap:Body>{body}</soap:Body></soap:Envelope>"
    return b'<?xml version="1.0" encoding="UTF-8"?>' + text.encode("utf-8")


def _inner(content: Sequence[xml.Element]) -> str:
    return "".join(xml.fragment(name, inner) for name, inner in content)
