"""The XML of the SBC's REST API: a reader that trusts nothing (no DTD, entities, network), and a writer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from opensdm.core.errors import Rejected

MAX_DEPTH = 32
_MAX_MESSAGE = 500

Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceElement:
    """One configuration element in the device's own names; an attribute has any number of values."""

    type: str
    attributes: Mapping[str, Values] = field(default_factory=dict)
    children: tuple[DeviceElement, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceAttribute:
    """What the device says of one attribute."""

    name: str
    key: bool
    required: bool
    value_type: str
    multiple: bool
    default: Values
    choices: Values
    minimum: int | None
    maximum: int | None
    pattern: str | None
    references: str | None


@dataclass(frozen=True, slots=True)
class DeviceType:
    """What the device says of one element type or sub-element type."""

    name: str
    attributes: tuple[DeviceAttribute, ...]
    children: tuple[DeviceType, ...] = ()


@dataclass(frozen=True, slots=True)
class JobState:
    """The answer to a poll: the device's word for the state, and everything it says about it."""

    status: str
    message: str


class Envelope:
    """`<response>`: data, messages and links of one answer. Raises Rejected for anything that is none."""

    def __init__(self, body: bytes) -> None:
        self._root = parse(body) if body.strip() else etree.Element("response")
        if self._root.tag != "response":
            raise Rejected(
                f"the device answered with <{_printable(str(self._root.tag))[:60]}> where <response> belongs"
            )

    @property
    def message(self) -> str:
        """The device's own words, on one line; empty when it said nothing."""
        node = self._root.find("messages")
        return "" if node is None else _words(node)

    @property
    def links(self) -> list[str]:
        return [text for node in self._root.iterfind("links/link") if (text := _text(node))]

    def value(self, path: str) -> str:
        """The text at a path under `data`, or nothing."""
        node = self._root.find(f"data/{path}")
        return "" if node is None else _text(node)

    def values(self, path: str) -> list[str]:
        return [_text(node) for node in self._root.iterfind(f"data/{path}")]

    def anywhere(self, tag: str) -> list[str]:
        """The texts of all elements of a name, wherever they stand."""
        return [_text(node) for node in self._root.iter(tag)]

    def elements(self) -> list[DeviceElement]:
        return [_read_element(node) for node in self._root.iterfind("data/configElement")]

    def type_names(self) -> list[str]:
        """Element types are listed as `<elementType><name>`; some releases put the bare name in the element."""
        found = []
        for node in self._root.iter("elementType"):
            name = node.find("name")
            found.append(_text(node if name is None else name))
        return [name for name in found if name]

    def element_type(self, name: str) -> DeviceType:
        data = self._root.find("data")
        return DeviceType(name, (), ()) if data is None else _read_type(name, data)

    def job(self) -> JobState:
        state = self._root.find("data/operationState")
        status = "" if state is None else _text_of(state, "status")
        said = [text for node in self._root.iter("errorMessage", "message") if (text := _text(node))]
        return JobState(status, "; ".join(dict.fromkeys(said))[:4000])


def parse(body: bytes) -> etree._Element:
    """Well-formed XML without a document type and not nested too deep, or Rejected."""
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as fault:
        raise Rejected(f"the device's answer is not well-formed XML: {_printable(fault.msg)[:200]}") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]  # the stubs do not know it
        raise Rejected("the device's answer has a document type, which is never read")
    if _TOO_DEEP(root):
        raise Rejected("the device's answer is nested too deep")
    return root


def element_body(element: DeviceElement) -> bytes:
    """`<configElement>` as the device reads it for add and change."""
    return etree.tostring(_write_element("configElement", element), xml_declaration=True, encoding="UTF-8")


_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")


def _read_element(node: etree._Element) -> DeviceElement:
    """By walking on, not by looking for names: large configurations are read here."""
    kind, attributes, children = "", {}, []
    for each in node:
        tag = each.tag
        if tag == "attribute":
            name, values = _read_attribute(each)
            attributes[name] = values
        elif tag == "subElement":
            children.append(_read_element(each))
        elif tag == "elementType" and not kind:
            kind = _text(each)
    return DeviceElement(kind, attributes, tuple(children))


def _read_attribute(node: etree._Element) -> tuple[str, Values]:
    name, values = "", []
    for each in node:
        if each.tag == "value":
            values.append((each.text or "").strip())
        elif each.tag == "name" and not name:
            name = _text(each)
    return name, tuple(values)


def _write_element(tag: str, element: DeviceElement) -> etree._Element:
    node = etree.Element(tag)
    etree.SubElement(node, "elementType").text = element.type
    for name, values in element.attributes.items():
        attribute = etree.SubElement(node, "attribute")
        etree.SubElement(attribute, "name").text = name
        for value in values or ("",):
            etree.SubElement(attribute, "value").text = value or None
    node.extend(_write_element("subElement", child) for child in element.children)
    return node


def _read_type(name: str, node: etree._Element) -> DeviceType:
    attributes = tuple(_read_attribute_type(each) for each in node.iterfind("attributeMetadata"))
    children = tuple(_read_type(_text_of(each, "name"), each) for each in node.iterfind("subElementMetadata"))
    return DeviceType(name, attributes, children)


def _read_attribute_type(node: etree._Element) -> DeviceAttribute:
    return DeviceAttribute(
        name=_text_of(node, "name"),
        key=_is_true(node, "key"),
        required=_is_true(node, "required"),
        value_type=_text_of(node, "type") or "string",
        multiple=_is_true(node, "multipleValues"),
        default=tuple(_text(value) for value in node.iterfind("default/value")),
        choices=tuple(_text(value) for value in node.iterfind("enumeration/value")),
        minimum=_number(node, "minValue"),
        maximum=_number(node, "maxValue"),
        pattern=_text_of(node, "pattern") or None,
        references=_text_of(node, "references") or None,
    )


def _number(node: etree._Element, tag: str) -> int | None:
    try:
        return int(_text_of(node, tag))
    except ValueError:
        return None


def _is_true(node: etree._Element, tag: str) -> bool:
    return _text_of(node, tag).lower() == "true"


def _text_of(node: etree._Element, tag: str) -> str:
    found = node.find(tag)
    return "" if found is None else _text(found)


def _text(node: etree._Element) -> str:
    return (node.text or "").strip()


def _words(node: etree._Element) -> str:
    return _printable(" ".join(" ".join(_all_text(node)).split()))[:_MAX_MESSAGE]


def _all_text(node: etree._Element) -> Iterable[str]:
    return (str(text) for text in node.itertext())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
