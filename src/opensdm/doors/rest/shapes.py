"""A shape: one resource of the wire, declared once as ordered fields, read and written in XML and JSON.

Values are plain dictionaries under wire names. Reading takes any element order, both list forms, and JSON with
or without the root; writing follows the declared order, which is the published one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opensdm.core.errors import MalformedBody
from opensdm.doors import xml
from opensdm.doors.rest import strict_json
from opensdm.doors.rest.fields import Field, Form, Inner, Reading
from opensdm.doors.rest.media import OWN_VERSION, Medium, Version

MAX_BODY_BYTES = 1_048_576


class Body(NamedTuple):
    """A request body as read. `unknown`: fields it had that the shape has not, at most 20, as dotted paths."""

    values: dict[str, Any]
    unknown: tuple[str, ...] = ()


class Shape:
    """One resource of the wire.

    `sample` is the smallest useful request: every error about a missing or misnamed body shows it. `required`
    names what a request must have; JSON replies carry `"type": json_type` first where it is given; an `open`
    shape also writes what it does not declare, after what it does (the facts of an error). An `optional` one may be
    left empty, or out, in a request.
    """

    def __init__(
        self,
        name: str,
        *fields: Field,
        sample: Mapping[str, Any] | None = None,
        required: Sequence[str] = (),
        json_type: str | None = None,
        open: bool = False,
        optional: bool = False,
    ) -> None:
        self.name = name
        self.optional = optional
        self.fields = fields
        self.sample = sample
        self.required = tuple(required)
        self.json_type = json_type
        self.open = open
        # Two plans, the published versions' and ours, so that no version is compared on the way.
        published = tuple(field for field in fields if not field.own)
        self._order = (published, fields)
        self._by_name = (_index(name, published), _index(name, fields))
        for field in fields:
            if isinstance(field, Inner):
                field.bind(self)

    def __repr__(self) -> str:
        return f"<Shape {self.name}: {', '.join(field.name for field in self.fields)}>"

    def extended(self, *fields: Field) -> Shape:
        """A subclass, as the wire knows it: further fields after all of these."""
        return Shape(self.name, *self.fields, *fields)

    def asking(self, sample: Mapping[str, Any], *required: str) -> Shape:
        """The same shape as the body of one particular request."""
        return Shape(
            self.name, *self.fields, sample=sample, required=required, json_type=self.json_type, open=self.open
        )

    # ------------------------------------------------------------------------------------ reading

    def read(
        self, body: bytes, medium: Medium, *, version: Version = OWN_VERSION, max_bytes: int = MAX_BODY_BYTES
    ) -> Body:
        """A request body. Raises MalformedBody (facts: `field`, `expected`, `line`, `column`, `send`), also as
        `xml.WrongCharset` and `xml.BodyTooLarge`.

        Unknown fields are dropped and named. A body without any known field counts as missing.
        """
        if not body or (len(body) < 64 and not body.strip()):
            raise self.missing(medium)
        reading = Reading(Form.of(version), medium, self.name)
        if medium is Medium.XML:
            values = self._read_xml(body, reading, max_bytes)
        else:
            values = self._read_json(body, reading, max_bytes)
        if not values and not self.optional:
            raise self.missing(medium, "the body has none of the fields this request needs")
        for name in self.required:
            if values.get(name) in (None, "", []):
                raise self.missing(medium, f"{self.name} needs {name}", field=name)
        return Body(values, tuple(reading.unknown))

    def missing(self, medium: Medium, why: str = "this request needs a body", **facts: Any) -> MalformedBody:
        """The error for a body that is not there or not enough; it shows the exact body to send."""
        if self.sample is None:
            return MalformedBody(why, **facts)
        example = self.example(medium)
        return MalformedBody(f"{why}; send {example}", **facts, send=example)

    def example(self, medium: Medium) -> str:
        """The sample as it is to be sent, without the XML prolog."""
        form = Form(own=True)
        sample = self.sample or {}
        if medium is Medium.XML:
            return xml.fragment(self.name, self.to_content(sample, form))
        return strict_json.serialize(self.to_value(sample, form)).decode()

    def _read_xml(self, body: bytes, reading: Reading, max_bytes: int) -> dict[str, Any]:
        root = xml.parse(body, max_bytes=max_bytes)
        if root.tag != self.name:
            why = f"the root element is {root.tag[:100]!r}, expected {self.name!r}"
            raise self.missing(Medium.XML, why, expected=self.name, line=root.line)
        return self.from_node(root, reading)

    def _read_json(self, body: bytes, reading: Reading, max_bytes: int) -> dict[str, Any]:
        value = strict_json.parse(body, max_bytes=max_bytes)
        if type(value) is not dict:
            raise self.missing(Medium.JSON, "the body is not a JSON object", expected="an object")
        return self.from_value(self._without_root(value, reading), reading)

    def _without_root(self, value: dict[str, Any], reading: Reading) -> dict[str, Any]:
        """What is inside `{"root": {...}}`; the value itself where the root key is one of its own fields."""
        inner = value.get(self.name)
        if type(inner) is not dict:
            return value
        known = self._by_name[reading.form.own]
        if self.name in known and not any(key in known for key in inner):
            return value
        for key in value:
            if key != self.name:
                reading.ignore(key)
        return inner

    def from_node(self, node: xml.Node, reading: Reading) -> dict[str, Any]:
        """The fields of one element."""
        known = self._by_name[reading.form.own]
        values: dict[str, Any] = {}
        for child in node.children:
            field = known.get(child.tag)
            if field is None:
                reading.ignore(child.tag)
            elif child.nil:
                continue
            elif field.many:
                values.setdefault(field.name, []).extend(field.from_xml(child, reading))
            elif field.name in values:
                raise reading.wrong(field.name, "one value, it is given twice", child)
            else:
                values[field.name] = field.from_xml(child, reading)
        if not node.children and node.text.strip():
            raise reading.wrong("", f"elements ({self._field_names(reading)}), not text", node)
        return values

    def from_value(self, value: Any, reading: Reading) -> dict[str, Any]:
        """The fields of one JSON object."""
        if type(value) is not dict:
            raise reading.wrong("", f"an object with {self._field_names(reading)}")
        known = self._by_name[reading.form.own]
        values: dict[str, Any] = {}
        for key, inner in value.items():
            field = known.get(key)
            if field is None:
                if key != "type" or self.json_type is None:
                    reading.ignore(key)
            elif inner is None:
                continue
            elif field.many:
                values.setdefault(field.name, []).extend(field.from_json(inner, reading))
            else:
                values[field.name] = field.from_json(inner, reading)
        return values

    def _field_names(self, reading: Reading) -> str:
        return ", ".join(field.name for field in self._order[reading.form.own][:6])

    # ------------------------------------------------------------------------------------ writing

    def write(
        self, values: Mapping[str, Any], medium: Medium, *, version: Version = OWN_VERSION, lists: str = "flat"
    ) -> bytes:
        """A reply body. `lists`: "flat" or "nested". Raises TypeError for a value its field cannot write."""
        form = Form.of(version, lists)
        if medium is Medium.XML:
            return xml.serialize(self.name, self.to_content(values, form))
        return strict_json.serialize(self.to_value(values, form))

    def to_content(self, values: Mapping[str, Any], form: Form) -> list[xml.Element]:
        """The fields as elements, in the published order."""
        out: list[xml.Element] = []
        for field in self._order[form.own]:
            value = values.get(field.name)
            if value is not None:
                field.to_xml(value, out, form)
        if self.open:
            for name, value in self._undeclared(values).items():
                out.extend(_open_elements(name, value))
        return out

    def to_value(self, values: Mapping[str, Any], form: Form) -> dict[str, Any]:
        """The fields as a JSON object, in the published order."""
        out: dict[str, Any] = {} if self.json_type is None else {"type": self.json_type}
        for field in self._order[form.own]:
            value = values.get(field.name)
            if value is not None:
                field.to_json(value, out, form)
        if self.open:
            for name, value in self._undeclared(values).items():
                out[name] = _open_value(value)
        return out

    def _undeclared(self, values: Mapping[str, Any]) -> dict[str, Any]:
        known = self._by_name[True]
        return {
            name: value
            for name, value in values.items()
            if name not in known and value is not None and xml.is_element_name(name)
        }


def _index(shape: str, fields: Sequence[Field]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for field in fields:
        for name in field.names():
            if found.setdefault(name, field) is not field:
                raise TypeError(f"{shape} declares {name} twice")
    return found


def _open_elements(name: str, value: Any) -> list[xml.Element]:
    """An undeclared value by its Python type: mappings nest, lists repeat, the rest is text."""
    if isinstance(value, (list, tuple)):
        return [element for item in value for element in _open_elements(name, item)]
    if isinstance(value, Mapping):
        inner = [
            element
            for key, item in value.items()
            if item is not None and xml.is_element_name(str(key))
            for element in _open_elements(str(key), item)
        ]
        return [(name, inner)]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value))]


def _open_value(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_open_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _open_value(item) for key, item in value.items() if item is not None}
    return value if isinstance(value, (bool, int, str)) else str(value)
