"""The program's only reader and writer of XML, hardened: no DTD, no entities, no network, bounded size.

Documents become trees of `Node`; replies are written from nested name/content pairs. What would be costly
to build is refused from the bytes, before the parser allocates anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from lxml import etree

from opensdm.core.errors import MalformedBody

PROLOG = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'

Content: TypeAlias = str | Sequence["Element"]
Element: TypeAlias = tuple[str, Content]
"""What is written: a name with text, or with elements in order."""

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
_XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"

# One piece of markup and the text before it. Possessive throughout: the scan is linear on any input, and where
# it finds no match the document is not well-formed, which the parser then says better.
_MARKUP = re.compile(
    rb"""[^<]*+(?:
        (?P<comment> <!--.*?--> )
      | (?P<cdata> <!\[CDATA\[.*?\]\]> )
      | (?P<declaration> <![A-Za-z] )
      | (?P<instruction> <\?(?P<target>[^\s?]*+).*?\?> )
      | (?P<end> </[^<>]*+> )
      | (?P<start> <[^<>"'!?]*+(?:"[^"<]*+"[^<>"']*+|'[^'<]*+'[^<>"']*+)*+> )
    )""",
    re.DOTALL | re.VERBOSE,
)
_DECLARED_ENCODING = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?\bencoding\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')""")
_XML_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml\s")
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_UNCARRIABLE = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_UNCARRIABLE_CHARACTER = re.compile(f"[{_UNCARRIABLE}]")
_ESCAPED_CHARACTER = re.compile(f"[&<>\r{_UNCARRIABLE}]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ELEMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

# The parser's own sentences quote the document, and with it perhaps a password; ours do not.
_SYNTAX = {
    etree.ErrorTypes.ERR_UNDECLARED_ENTITY: "an undeclared entity (a bare & is written &amp;)",
    etree.ErrorTypes.ERR_NAME_REQUIRED: "a name is missing (a bare & is written &amp;, a bare < is written &lt;)",
    etree.ErrorTypes.ERR_ENTITYREF_SEMICOL_MISSING: "a bare & (it is written &amp;)",
    etree.ErrorTypes.ERR_TAG_NAME_MISMATCH: "an end tag does not match its start tag",
    etree.ErrorTypes.ERR_TAG_NOT_FINISHED: "it ends before all elements are closed",
    etree.ErrorTypes.ERR_DOCUMENT_EMPTY: "it does not begin with an element",
    etree.ErrorTypes.ERR_DOCUMENT_END: "something follows the root element",
    etree.ErrorTypes.ERR_INVALID_CHAR: "a character that XML does not allow",
    etree.ErrorTypes.ERR_ATTRIBUTE_REDEFINED: "an attribute is given twice",
    etree.ErrorTypes.ERR_RESERVED_XML_NAME: "the XML declaration stands at the very beginning or nowhere",
}

_PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    load_dtd=False,
    dtd_validation=False,
    attribute_defaults=False,
    no_network=True,
    huge_tree=False,
    recover=False,
    remove_comments=True,
    collect_ids=False,
)


class WrongCharset(MalformedBody):
    """The body is, or says it is, in another character set than UTF-8; a door may answer 415."""


class BodyTooLarge(MalformedBody):
    """The body has more bytes than the door accepts; a door may answer 413."""


class Node:
    """One element as read. `tag` is `{namespace}name` where there is a namespace; `line` counts from 1.

    `text` is what stands before the first child, exactly as sent.
    """

    __slots__ = ("attributes", "children", "line", "tag", "text")

    def __init__(self, tag: str, text: str, line: int, attributes: Mapping[str, str] = _NO_ATTRIBUTES) -> None:
        self.tag = tag
        self.text = text
        self.line = line
        self.attributes = attributes
        self.children: list[Node] = []

    @property
    def name(self) -> str:
        """The local name."""
        return self.tag.rpartition("}")[2]

    @property
    def namespace(self) -> str:
        """Empty where there is none."""
        return self.tag.rpartition("}")[0].removeprefix("{")

    @property
    def nil(self) -> bool:
        """Marked `xsi:nil`: there, but without a value."""
        return bool(self.attributes) and self.attributes.get(_XSI_NIL) in ("true", "1")

    def __iter__(self) -> Iterator[Node]:
        return iter(self.children)

    def __repr__(self) -> str:
        return f"<Node {self.tag} line {self.line}, {len(self.children)} children>"


def parse(
    body: bytes, *, max_bytes: int, max_depth: int = 64, max_nodes: int = 50_000, max_attributes: int = 1_000
) -> Node:
    """Read one document. Raises MalformedBody with `line` and `column` where known, WrongCharset, BodyTooLarge.

    `max_nodes` counts elements, `max_attributes` attributes, both in the whole document. Comments are dropped,
    a DOCTYPE or a processing instruction is refused.
    """
    if len(body) > max_bytes:
        raise too_large(len(body), max_bytes)
    require_utf8(body)
    survey = _Survey(body, max_depth, max_nodes, max_attributes)
    # Upper bounds first, at memory speed; the exact survey only where they do not settle it.
    if (
        body.count(b"<") - body.count(b"</") > max_nodes
        or body.count(b"=") > max_attributes
        or body.count(b"<?") != (_XML_DECLARATION.match(body) is not None)
        or b"<!D" in body
    ):
        survey.run()
    try:
        return _node_from(etree.fromstring(body, _PARSER), max_depth)
    except etree.XMLSyntaxError as error:
        survey.run()
        raise _not_well_formed(error) from None
    except _NotForUs:
        survey.run()
        raise MalformedBody("the XML holds more than elements and text") from None


def serialize(name: str, content: Content) -> bytes:
    """A whole document, UTF-8 with its prolog. Characters XML cannot carry come out as U+FFFD."""
    parts: list[str] = []
    _write(name, content, parts)
    return PROLOG + "".join(parts).encode("utf-8")


def fragment(name: str, content: Content) -> str:
    """One element as text, without a prolog: what an error message shows as the body to send."""
    parts: list[str] = []
    _write(name, content, parts)
    return "".join(parts)


def escape(text: str) -> str:
    """Text as element content: markup escaped, carriage returns kept, what XML cannot carry as U+FFFD."""
    if _ESCAPED_CHARACTER.search(text) is None:
        return text
    return _ESCAPED_CHARACTER.sub(lambda match: _ESCAPES.get(match.group(), "\ufffd"), text)


def quoted(text: str) -> str:
    """Text as the value of an attribute, with its quotes."""
    escaped = escape(text).replace('"', "&quot;").replace("\t", "&#9;").replace("\n", "&#10;")
    return f'"{escaped}"'


def is_carriable(text: str) -> bool:
    """Whether XML can carry every character of it: no control characters, no lone surrogates."""
    return _UNCARRIABLE_CHARACTER.search(text) is None


def is_element_name(name: str) -> bool:
    """Whether a name can be written as an element: ASCII, a letter first, no colon."""
    return _ELEMENT_NAME.fullmatch(name) is not None


def require_utf8(body: bytes) -> None:
    """Raises WrongCharset where byte order mark, zero bytes or prolog name another charset, else MalformedBody."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00")) or body[1:2] == b"\x00":
        raise WrongCharset("the body is UTF-16 or UTF-32; send UTF-8", charset="UTF-16")
    start = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    declared = _DECLARED_ENCODING.match(body, start)
    if declared is not None:
        charset = (declared[1] or declared[2] or b"").decode("ascii", "replace")
        if charset.lower() not in ("utf-8", "utf8"):
            raise WrongCharset(f"the XML declares the encoding {charset[:40]!r}; send UTF-8", charset=charset[:40])
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = position(body, error.start)
        raise MalformedBody(
            f"the body is not valid UTF-8 at line {line}, column {column}", line=line, column=column
        ) from None


def too_large(size: int, max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has {size} bytes; at most {max_bytes} are read", maxBytes=max_bytes)


def position(body: bytes, offset: int) -> tuple[int, int]:
    """Line and column of a byte, both from 1; the column counts characters where they can be told."""
    line_start = body.rfind(b"\n", 0, offset) + 1
    before = body[line_start:offset].decode("utf-8", "replace")
    return body.count(b"\n", 0, offset) + 1, len(before) + 1


def _node_from(element: etree._Element, room: int) -> Node:
    """The parser's tree as ours. Raises _NotForUs below `room` levels and for anything but elements."""
    tag = element.tag
    if room == 0 or not isinstance(tag, str):
        raise _NotForUs
    items = cast("Sequence[tuple[str, str]]", element.items())
    line = cast("int | None", element.sourceline) or 0
    node = Node(tag, element.text or "", line, dict(items) if items else _NO_ATTRIBUTES)
    if len(element):
        node.children = [_node_from(child, room - 1) for child in element]
    return node


def _write(name: str, content: Content, parts: list[str]) -> None:
    if isinstance(content, str):
        parts.append(f"<{name}>{escape(content)}</{name}>")
    elif content:
        parts.append(f"<{name}>")
        for child, inner in content:
            _write(child, inner, parts)
        parts.append(f"</{name}>")
    else:
        parts.append(f"<{name}/>")


class _NotForUs(Exception):
    """The parsed tree holds what a wire body may not; the survey then says what and where."""


class _Survey:
    """The exact count of what a document holds, from its bytes alone."""

    __slots__ = ("body", "max_attributes", "max_depth", "max_nodes")

    def __init__(self, body: bytes, max_depth: int, max_nodes: int, max_attributes: int) -> None:
        self.body = body
        self.max_depth = max_depth
        self.max_nodes = max_nodes
        self.max_attributes = max_attributes

    def run(self) -> None:
        """Raises MalformedBody for the first thing too many or not accepted; ends where the markup breaks off."""
        depth = nodes = attributes = end = 0
        while (match := _MARKUP.match(self.body, end)) is not None:
            kind, end = match.lastgroup, match.end()
            if kind == "end":
                depth -= 1
            elif kind == "start":
                nodes, depth = nodes + 1, depth + 1
                attributes += sum(1 for _ in _QUOTED.finditer(match["start"]))
                self._check(match.start(kind), depth, nodes, attributes)
                depth -= match["start"].endswith(b"/>")
            elif kind == "declaration":
                raise _refused(self.body, match.start(kind), "a DOCTYPE is not accepted")
            elif kind == "instruction" and match["target"] != b"xml":
                raise _refused(self.body, match.start(kind), "a processing instruction is not accepted")

    def _check(self, offset: int, depth: int, nodes: int, attributes: int) -> None:
        if depth > self.max_depth:
            raise _refused(self.body, offset, f"the XML is nested deeper than {self.max_depth} elements")
        if nodes > self.max_nodes:
            raise _refused(self.body, offset, f"the XML has more than {self.max_nodes} elements")
        if attributes > self.max_attributes:
            raise _refused(self.body, offset, f"the XML has more than {self.max_attributes} attributes")


def _refused(body: bytes, offset: int, message: str) -> MalformedBody:
    line, column = position(body, offset)
    return MalformedBody(f"{message} (line {line}, column {column})", line=line, column=column)


def _not_well_formed(error: etree.XMLSyntaxError) -> MalformedBody:
    line, column = error.position
    line, column = max(line or 1, 1), max(column or 1, 1)
    reason = _SYNTAX.get(getattr(error, "code", 0), "")
    message = f"the XML is not well-formed at line {line}, column {column}"
    return MalformedBody(f"{message}: {reason}" if reason else message, line=line, column=column)


# ------------------------------------------------------------------------------------------- schemas

_SET = re.compile(r"of the set \{(.*)\}\.$", re.DOTALL)
_EXPECTED = re.compile(r"Expected is (?:one of )?\( ([^()]*) \)\.$")


class BodySchema:
    """An XML schema of our own, with what it imports from beside it, for trees that `parse` has read."""

    def __init__(self, file: Path) -> None:
        self._schema = etree.XMLSchema(etree.parse(str(file), _PARSER))

    def check(self, node: Node) -> None:
        """Raises MalformedBody for the first thing wrong, with its `line` and `field`; no sent value is in it."""
        if self._schema.validate(_element_from(node, None)):
            return
        first = cast("Any", self._schema.error_log)[0]
        line, name = int(first.line), str(first.path).rpartition("/")[2].partition("[")[0].rpartition(":")[2]
        raise MalformedBody(f"{_complaint(name, first.message)} (line {line})", line=line, field=name)


def _element_from(node: Node, parent: etree._Element | None) -> etree._Element:
    made = etree.Element(node.tag) if parent is None else etree.SubElement(parent, node.tag)
    made.text = node.text or None  # an empty text would count as text where only elements may be
    made.sourceline = node.line  # type: ignore[assignment]
    for child in node.children:
        _element_from(child, made)
    return made


def _complaint(name: str, message: str) -> str:
    """The validator's sentences quote values, and a value may be a password: only what was expected is taken over."""
    if (allowed := _SET.search(message)) is not None:
        return f"{name}: the value is none of {allowed[1]}"
    expected = _EXPECTED.search(message)
    wanted = f"; expected is {expected[1]}" if expected is not None else ""
    if "This element is not expected" in message:
        return f"{name} is not expected here{wanted}"
    if "Missing child element" in message:
        return f"{name} is not complete{wanted}"
    return f"{name}: the value is not of the type that the schema says"
