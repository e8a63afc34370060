"""The XML of NETCONF: a reader that trusts nothing (no DTD, entities, network), and the messages we send."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from opensdm.core.errors import Rejected
from opensdm.core.inventory import MASKED

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
MONITORING = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
OPERATION = f"{{{BASE}}}operation"
BASE_1_0 = "urn:ietf:params:netconf:base:1.0"
BASE_1_1 = "urn:ietf:params:netconf:base:1.1"
SHORTEST_SECRET = 3
_MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class RpcError:
    """One error of a reply. `session`: who holds the lock that was denied, if the device says so."""

    tag: str
    app_tag: str = ""
    path: str = ""
    message: str = ""
    session: str = ""

    @property
    def words(self) -> str:
        """What the device says, in a line: its message, where, and its tag."""
        said = self.message or self.tag or "it does not say why"
        where = f" at {self.path}" if self.path else ""
        tag = f" ({self.tag})" if self.tag and self.message else ""
        return f"{said}{where}{tag}"


class Reply:
    """One `<rpc-reply>`, read. `errors` are those of severity error; warnings are no failure."""

    def __init__(self, body: bytes) -> None:
        self.root = parse(body)
        if self.root.tag != f"{{{BASE}}}rpc-reply":
            raise Rejected(f"the device answered with <{_local(self.root)[:60]}> where a reply belongs")
        self.errors = tuple(_read_error(node) for node in self.root.iterfind(f"{{{BASE}}}rpc-error") if _severe(node))

    @property
    def data(self) -> etree._Element:
        """What was asked for; an empty element when there is none."""
        found = self.root.find(f"{{{BASE}}}data")
        return etree.Element("data") if found is None else found

    def failed(self, *tags: str) -> RpcError | None:
        """The first error with one of these tags, compared without case."""
        return next((error for error in self.errors if error.tag.lower() in tags), None)

    def words(self, hide: Collection[str] = ()) -> str:
        """Everything the device says against it, on one line, without the secrets of `hide`."""
        said = "; ".join(dict.fromkeys(error.words for error in self.errors))
        return struck_out(" ".join(said.split()), hide)[:_MAX_WORDS]


def parse(body: bytes) -> etree._Element:
    """Well-formed XML without a document type, or Rejected; libxml2 itself refuses more than 256 levels."""
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body.strip(), parser)
    except (etree.XMLSyntaxError, ValueError) as fault:
        said = "".join(c if c.isprintable() else "?" for c in str(fault))[:200]
        raise Rejected(f"the device's answer is not well-formed XML: {said}") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]  # the stubs do not know it
        raise Rejected("the device's answer has a document type, which is never read")
    return root


def element(tag: str, parent: etree._Element | None = None, **prefixes: str) -> etree._Element:
    """A node whose own name space is the default one from there on, as devices like it best."""
    spaces: dict[Any, str] = {None: etree.QName(tag).namespace or "", **prefixes}
    return etree.Element(tag, nsmap=spaces) if parent is None else etree.SubElement(parent, tag, nsmap=spaces)


def hello() -> bytes:
    root = element(f"{{{BASE}}}hello")
    capabilities = etree.SubElement(root, f"{{{BASE}}}capabilities")
    for uri in (BASE_1_0, BASE_1_1):
        etree.SubElement(capabilities, f"{{{BASE}}}capability").text = uri
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def read_hello(body: bytes) -> tuple[tuple[str, ...], str]:
    """The capabilities a device offers and the id of our session on it; Rejected for anything else."""
    root = parse(body)
    said = [text(node) for node in root.iterfind(f"{{{BASE}}}capabilities/{{{BASE}}}capability")]
    session = root.findtext(f"{{{BASE}}}session-id", "").strip()
    if root.tag != f"{{{BASE}}}hello" or not said or not session.isdecimal():
        raise Rejected("the device did not begin with a NETCONF hello that has capabilities and a session id")
    return tuple(said), session


def rpc(number: int, request: etree._Element) -> bytes:
    root = element(f"{{{BASE}}}rpc")
    root.set("message-id", str(number))
    root.append(request)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def base(name: str, *content: etree._Element, value: str | None = None) -> etree._Element:
    """An element of the protocol's own namespace: `base("commit", base("confirmed"))`."""
    node = element(f"{{{BASE}}}{name}")
    node.extend(content)
    node.text = value
    return node


def get_config(source: str, filters: Iterable[etree._Element]) -> etree._Element:
    return base("get-config", base("source", base(source)), *_subtree(filters))


def get(filters: Iterable[etree._Element]) -> etree._Element:
    return base("get", *_subtree(filters))


def _subtree(filters: Iterable[etree._Element]) -> list[etree._Element]:
    chosen = list(filters)
    if not chosen:
        return []
    node = base("filter", *chosen)
    node.set("type", "subtree")
    return [node]


def text(node: etree._Element) -> str:
    return (node.text or "").strip()


def struck_out(said: str, hide: Collection[str]) -> str:
    """The text without the secrets. What is shorter than three characters is in any text and tells nothing."""
    for secret in sorted((s for s in hide if len(s) >= SHORTEST_SECRET), key=len, reverse=True):
        said = said.replace(secret, MASKED)
    return said


def _severe(node: etree._Element) -> bool:
    return node.findtext(f"{{{BASE}}}error-severity", "error").strip() != "warning"


def _read_error(node: etree._Element) -> RpcError:
    def of(name: str) -> str:
        return " ".join(node.findtext(f"{{{BASE}}}{name}", "").split())

    session = node.findtext(f"{{{BASE}}}error-info/{{{BASE}}}session-id", "").strip()
    return RpcError(of("error-tag"), of("error-app-tag"), of("error-path"), of("error-message"), session)


def _local(node: etree._Element) -> str:
    return etree.QName(node).localname
