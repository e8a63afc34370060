"""The XML of the device-side REST API: the response envelope, configuration elements, and a hardened reader."""

from collections.abc import Iterable
from functools import lru_cache
from xml.sax.saxutils import escape

from lxml import etree

from opensdm.simulator.element import Draft, Element
from opensdm.simulator.jobs import Job
from opensdm.simulator.schema import AttributeSpec, ElementSpec, Values

MEDIA_TYPE = "application/xml"
BODY_LIMIT = 1_048_576
DEPTH_LIMIT = 16


class MalformedBody(Exception):
    """The request body is not XML of the expected shape; the text says what is wrong."""


def envelope(data: Iterable[etree._Element] = (), messages: Iterable[str] = (), links: Iterable[str] = ()) -> bytes:
    """`<response>` with its three parts: data elements, error messages, links."""
    root = etree.Element("response")
    etree.SubElement(root, "data").extend(data)
    part = etree.SubElement(root, "messages")
    for message in messages:
        part.append(text_element("errorMessage", _printable(message)))
    part = etree.SubElement(root, "links")
    for link in links:
        part.append(text_element("link", link))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)


def page(elements: Iterable[Element], links: Iterable[str] = ()) -> bytes:
    """The envelope with configuration elements: put together as text, because there may be very many of them."""
    data = "".join(_element_text(element, "configElement") for element in elements)
    shown = "".join(f"<link>{escape(link)}</link>" for link in links)
    head = "<?xml version='1.0' encoding='UTF-8' standalone='yes'?>"
    return f"{head}\n<response><data>{data}</data><messages/><links>{shown}</links></response>".encode()


def _element_text(element: Element, tag: str) -> str:
    attributes = "".join(_attribute_text(name, values) for name, values in element.attributes.items())
    children = "".join(_element_text(child, "subElement") for child in element.children)
    return f"<{tag}><elementType>{element.type}</elementType>{attributes}{children}</{tag}>"


@lru_cache(maxsize=10_000)
def _attribute_text(name: str, values: Values) -> str:
    shown = "".join(f"<value>{escape(value)}</value>" if value else "<value/>" for value in values or ("",))
    return f"<attribute><name>{name}</name>{shown}</attribute>"


def text_element(tag: str, text: str) -> etree._Element:
    element = etree.Element(tag)
    element.text = text or None
    return element


def parent(tag: str, *children: etree._Element) -> etree._Element:
    element = etree.Element(tag)
    element.extend(children)
    return element


def element_xml(element: Element, tag: str = "configElement") -> etree._Element:
    """A configuration element with all its attributes, or a sub-element under its own tag."""
    node = parent(tag, text_element("elementType", element.type))
    for name, values in element.attributes.items():
        node.append(parent("attribute", text_element("name", name), *_values(values)))
    node.extend(element_xml(child, "subElement") for child in element.children)
    return node


def _values(values: Values) -> list[etree._Element]:
    return [text_element("value", value) for value in values or ("",)]


def metadata_xml(spec: ElementSpec) -> list[etree._Element]:
    """The schema of an element type: `attributeMetadata` items, then one `subElementMetadata` for each sub-element."""
    nodes = [_attribute_metadata(attribute) for attribute in spec.attributes.values()]
    for child in spec.children.values():
        nodes.append(
            parent(
                "subElementMetadata",
                text_element("name", child.name),
                text_element("description", child.description),
                text_element("single", _boolean(child.singleton)),
                text_element("required", _boolean(child.mandatory)),
                *metadata_xml(child),
            )
        )
    return nodes


def _attribute_metadata(attribute: AttributeSpec) -> etree._Element:
    node = parent(
        "attributeMetadata",
        text_element("name", attribute.name),
        text_element("key", _boolean(attribute.key)),
        text_element("required", _boolean(attribute.required)),
        text_element("type", attribute.type),
        text_element("multipleValues", _boolean(attribute.multiple)),
        parent("default", *_values(attribute.default)),
    )
    if attribute.choices:
        node.append(parent("enumeration", *_values(attribute.choices)))
    if attribute.minimum is not None:
        node.append(text_element("minValue", str(attribute.minimum)))
    if attribute.maximum is not None:
        node.append(text_element("maxValue", str(attribute.maximum)))
    if attribute.pattern is not None:
        node.append(text_element("pattern", attribute.pattern.pattern))
    if attribute.reference is not None:
        node.append(text_element("references", attribute.reference.target))
    return node


def job_xml(job: Job) -> list[etree._Element]:
    """The answer to a poll: `operationState`, and what verify found as `additionalInfo`."""
    state = parent("operationState", text_element("operation", job.operation), text_element("status", job.status))
    if job.error is not None:
        state.append(text_element("errorMessage", _printable(job.error)))
    if not job.problems:
        return [state]
    findings = [
        parent(
            "verify",
            text_element("severity", "error"),
            text_element("object", problem.element),
            text_element("field", problem.attribute),
            text_element("message", problem.message),
        )
        for problem in job.problems
    ]
    return [state, parent("additionalInfo", parent("verifySummary", *findings))]


def read_element(body: bytes) -> Draft:
    """The `configElement` of a request body; `MalformedBody` when it is none."""
    root = _parse(body)
    if root.tag != "configElement":
        raise MalformedBody(f"the root element is {root.tag}, not configElement")
    return _read(root, 1)


def read_fields(body: bytes, tag: str) -> dict[str, str]:
    """The texts below one element, by name; `MalformedBody` when it is another one, or holds more than text."""
    root = _parse(body)
    if root.tag != tag:
        raise MalformedBody(f"the root element is {root.tag}, not {tag}")
    return {str(each.tag): _text(each) for each in root}


def _parse(body: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as fault:
        raise MalformedBody(f"not well-formed XML: {fault.msg}") from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        raise MalformedBody("a document type declaration is not allowed")
    return root


def _read(node: etree._Element, depth: int) -> Draft:
    if depth > DEPTH_LIMIT:
        raise MalformedBody("nested too deep")
    kind: str | None = None
    attributes: dict[str, Values] = {}
    children: list[Draft] = []
    for each in node:
        match each.tag:
            case "elementType" if kind is None:
                kind = _text(each)
            case "attribute":
                name, values = _read_attribute(each)
                if name in attributes:
                    raise MalformedBody(f"attribute {name} is given twice")
                attributes[name] = values
            case "subElement":
                children.append(_read(each, depth + 1))
            case tag:
                raise MalformedBody(f"unexpected element {tag} in {node.tag}")
    if not kind:
        raise MalformedBody(f"{node.tag} has no elementType")
    return Draft(kind, attributes, tuple(children))


def _read_attribute(node: etree._Element) -> tuple[str, Values]:
    names = [_text(each) for each in node if each.tag == "name"]
    values = tuple(_text(each) for each in node if each.tag == "value")
    if len(names) != 1 or not names[0] or len(node) != 1 + len(values):
        raise MalformedBody("an attribute is one name and its values")
    return names[0], values


def _text(node: etree._Element) -> str:
    if len(node):
        raise MalformedBody(f"{node.tag} holds more than text")
    return (node.text or "").strip()


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _printable(text: str) -> str:
    """The text without the characters that XML cannot carry."""
    return "".join(character if character.isprintable() else " " for character in text)
