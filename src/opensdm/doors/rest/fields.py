"""The kinds of field a shape is declared from. Each reads and writes itself, in XML and in JSON.

A field's value is a plain Python value under its wire name; None and absent are the same and are never written.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from opensdm.core.errors import MalformedBody
from opensdm.doors.rest.media import OWN_VERSION, Medium, Version
from opensdm.doors.rest.strict_json import Literal
from opensdm.doors.xml import Content, Element, Node, is_carriable

if TYPE_CHECKING:
    from opensdm.doors.rest.shapes import Shape

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_INT64 = 2**63
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_MAX_UNKNOWN = 20


ITSELF: Final = None
"""As the shape of a field: the shape the field is declared in."""


class Form(NamedTuple):
    """How a body is written or read: `own` for our version and later, `nested` for the older list form."""

    own: bool
    nested: bool = False

    @classmethod
    def of(cls, version: Version, lists: str = "flat") -> Form:
        return cls(version >= OWN_VERSION, lists == "nested")


class Reading:
    """One body being read: where in it we are, for messages, and which fields nobody knew."""

    __slots__ = ("form", "medium", "path", "unknown")

    def __init__(self, form: Form, medium: Medium, root: str) -> None:
        self.form = form
        self.medium = medium
        self.path = [root]
        self.unknown: list[str] = []

    def ignore(self, name: str) -> None:
        """Note a field the shape does not have; the first 20 are kept, without the root's name."""
        if len(self.unknown) < _MAX_UNKNOWN:
            self.unknown.append(".".join([*self.path[1:], name[:60]]))

    def wrong(self, name: str, expected: str, node: Node | None = None) -> MalformedBody:
        """The error for a field that is not what it should be. The value is not repeated: it may be a secret."""
        field = ".".join([*self.path[1:], name]) if name else ".".join(self.path[1:]) or self.path[0]
        facts: dict[str, Any] = {"field": field, "expected": expected}
        if node is not None:
            facts["line"] = node.line
            return MalformedBody(f"{field} (line {node.line}): expected {expected}", **facts)
        return MalformedBody(f"{field}: expected {expected}", **facts)


class Field(ABC):
    """One member of a shape. `own` fields exist from our version on; before it they are unknown."""

    many: ClassVar[bool] = False

    def __init__(self, name: str, *, own: bool = False) -> None:
        self.name = name
        self.own = own

    def names(self) -> tuple[str, ...]:
        """Every wire name the field is read under."""
        return (self.name,)

    @abstractmethod
    def from_xml(self, node: Node, reading: Reading) -> Any: ...

    @abstractmethod
    def from_json(self, value: Any, reading: Reading) -> Any: ...

    @abstractmethod
    def to_xml(self, value: Any, out: list[Element], form: Form) -> None: ...

    def to_json(self, value: Any, out: dict[str, Any], form: Form) -> None:
        out[self.name] = value


class Text(Field):
    """A string. `loose`: a JSON number or boolean is read as its text, as in values whose type only a device knows."""

    def __init__(self, name: str, *, own: bool = False, loose: bool = False) -> None:
        super().__init__(name, own=own)
        self.loose = loose

    def from_xml(self, node: Node, reading: Reading) -> str:
        if node.children:
            raise reading.wrong(self.name, "text", node)
        return node.text

    def from_json(self, value: Any, reading: Reading) -> str:
        text: str = value if type(value) is str else self._loosely(value, reading)
        if not is_carriable(text):
            raise reading.wrong(self.name, "text without control characters")
        return text

    def _loosely(self, value: Any, reading: Reading) -> str:
        if self.loose and isinstance(value, (bool, int, Literal)):
            return str(value).lower() if isinstance(value, bool) else str(value)
        raise reading.wrong(self.name, "a string")

    def to_xml(self, value: Any, out: list[Element], form: Form) -> None:
        out.append((self.name, _checked(self.name, value)))

    def to_json(self, value: Any, out: dict[str, Any], form: Form) -> None:
        out[self.name] = _checked(self.name, value)


class Int(Field):
    """A 64-bit integer, read from a JSON number or a string of digits."""

    def from_xml(self, node: Node, reading: Reading) -> int:
        return self._from_text("" if node.children else node.text, reading, node)

    def from_json(self, value: Any, reading: Reading) -> int:
        if type(value) is str:
            return self._from_text(value, reading, None)
        if type(value) is not int or not -_INT64 <= value < _INT64:
            raise reading.wrong(self.name, "an integer")
        return value

    def _from_text(self, text: str, reading: Reading, node: Node | None) -> int:
        digits = text.strip()
        if not _INTEGER.fullmatch(digits) or not -_INT64 <= int(digits) < _INT64:
            raise reading.wrong(self.name, "an integer", node)
        return int(digits)

    def to_xml(self, value: Any, out: list[Element], form: Form) -> None:
        out.append((self.name, str(self._own_int(value))))

    def to_json(self, value: Any, out: dict[str, Any], form: Form) -> None:
        out[self.name] = self._own_int(value)

    def _own_int(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{self.name} is written from an int, not {type(value).__name__}")
        return value


class Bool(Field):
    """A boolean, read from a boolean or its text. `quoted`: published versions write it as a JSON string."""

    def __init__(self, name: str, *, own: bool = False, quoted: bool = False) -> None:
        super().__init__(name, own=own)
        self.quoted = quoted

    def from_xml(self, node: Node, reading: Reading) -> bool:
        return self._from_text("" if node.children else node.text, reading, node)

    def from_json(self, value: Any, reading: Reading) -> bool:
        if type(value) is bool:
            return value
        return self._from_text(value if type(value) is str else "", reading, None)

    def _from_text(self, text: str, reading: Reading, node: Node | None) -> bool:
        value = _BOOLEANS.get(text.strip().lower())
        if value is None:
            raise reading.wrong(self.name, "true or false", node)
        return value

    def to_xml(self, value: Any, out: list[Element], form: Form) -> None:
        out.append((self.name, self._word(value)))

    def to_json(self, value: Any, out: dict[str, Any], form: Form) -> None:
        word = self._word(value)
        out[self.name] = word if self.quoted and not form.own else value

    def _word(self, value: Any) -> str:
        if value is True:
            return "true"
        if value is False:
            return "false"
        raise TypeError(f"{self.name} is written from a bool, not {type(value).__name__}")


class Inner:
    """What a field of objects knows of their shape. `ITSELF` is resolved by the shape the field is declared in."""

    _shape: Shape | None

    @property
    def shape(self) -> Shape:
        if self._shape is None:
            raise TypeError("a field of ITSELF was not declared in a shape")
        return self._shape

    def bind(self, owner: Shape) -> None:
        """Told by each shape that declares the field; the first one counts."""
        if self._shape is None:
            self._shape = owner


class Child(Inner, Field):
    """One object inside another; `ITSELF` makes it recursive."""

    def __init__(self, name: str, shape: Shape | None, *, own: bool = False) -> None:
        super().__init__(name, own=own)
        self._shape = shape

    def from_xml(self, node: Node, reading: Reading) -> dict[str, Any]:
        reading.path.append(self.name)
        value = self.shape.from_node(node, reading)
        reading.path.pop()
        return value

    def from_json(self, value: Any, reading: Reading) -> dict[str, Any]:
        reading.path.append(self.name)
        read = self.shape.from_value(value, reading)
        reading.path.pop()
        return read

    def to_xml(self, value: Any, out: list[Element], form: Form) -> None:
        out.append((self.name, self.shape.to_content(value, form)))

    def to_json(self, value: Any, out: dict[str, Any], form: Form) -> None:
        out[self.name] = self.shape.to_value(value, form)


class Many(Field):
    """A list, always read in both forms; a single item where a list is expected is a list of one.

    Flat: the name repeated. Nested: the name once, around repeated `nested`; where no `nested` name was
    published, flat in both.
    """

    many: ClassVar[bool] = True

    def __init__(self, name: str, *, nested: str | None, own: bool) -> None:
        super().__init__(name, own=own)
        self.nested = nested

    @abstractmethod
    def item_from_node(self, node: Node, reading: Reading) -> Any: ...

    @abstractmethod
    def item_from_value(self, value: Any, reading: Reading) -> Any: ...

    @abstractmethod
    def item_to_content(self, item: Any, form: Form) -> Content: ...

    @abstractmethod
    def item_to_value(self, item: Any, form: Form) -> Any: ...

    def from_xml(self, node: Node, reading: Reading) -> list[Any]:
        nodes = [node]
        if self.nested is not None:
            if node.children:
                if all(child.tag == self.nested for child in node.children):
                    nodes = node.children
            elif not node.text.strip():
                nodes = []
        reading.path.append(self.name)
        items = [self.item_from_node(each, reading) for each in nodes]
        reading.path.pop()
        return items

    def from_json(self, value: Any, reading: Reading) -> list[Any]:
        if type(value) is dict and self.nested in value:
            value = value[self.nested]
        values = value if type(value) is list else [] if value is None else [value]
        items = []
        for index, each in enumerate(values):
            reading.path.append(f"{self.name}[{index}]")
            items.append(self.item_from_value(each, reading))
            reading.path.pop()
        return items

    def to_xml(self, value: Any, out: list[Element], form: Form) -> None:
        contents = [self.item_to_content(item, form) for item in _listed(self.name, value)]
        if form.nested and self.nested is not None:
            nested = self.nested
            out.append((self.name, [(nested, content) for content in contents]))
        else:
            out.extend((self.name, content) for content in contents)

    def to_json(self, value: Any, out: dict[str, Any], form: Form) -> None:
        values = [self.item_to_value(item, form) for item in _listed(self.name, value)]
        out[self.name] = {self.nested: values} if form.nested and self.nested is not None else values


class Texts(Many):
    """A list of strings."""

    def __init__(self, name: str, *, nested: str | None = None, own: bool = False) -> None:
        super().__init__(name, nested=nested, own=own)
        self._text = Text("", loose=True)

    def item_from_node(self, node: Node, reading: Reading) -> str:
        return self._text.from_xml(node, reading)

    def item_from_value(self, value: Any, reading: Reading) -> str:
        return self._text.from_json(value, reading)

    def item_to_content(self, item: Any, form: Form) -> Content:
        return _checked(self.name, item)

    def item_to_value(self, item: Any, form: Form) -> str:
        return _checked(self.name, item)


class ListOf(Inner, Many):
    """A list of objects; `ITSELF` makes it recursive."""

    def __init__(self, name: str, shape: Shape | None, *, nested: str | None = None, own: bool = False) -> None:
        super().__init__(name, nested=nested, own=own)
        self._shape = shape

    def item_from_node(self, node: Node, reading: Reading) -> dict[str, Any]:
        return self.shape.from_node(node, reading)

    def item_from_value(self, value: Any, reading: Reading) -> dict[str, Any]:
        return self.shape.from_value(value, reading)

    def item_to_content(self, item: Any, form: Form) -> Content:
        return self.shape.to_content(item, form)

    def item_to_value(self, item: Any, form: Form) -> dict[str, Any]:
        return self.shape.to_value(item, form)


class Members(ListOf):
    """The items of a collection resource: they stand right under its root, under one name flat, another nested."""

    def __init__(self, name: str, shape: Shape, *, nested: str, own: bool = False) -> None:
        super().__init__(name, shape, nested=nested, own=own)
        self._nested_name = nested

    def names(self) -> tuple[str, ...]:
        return (self.name, self._nested_name)

    def to_xml(self, value: Any, out: list[Element], form: Form) -> None:
        name = self._nested_name if form.nested else self.name
        out.extend((name, self.item_to_content(item, form)) for item in _listed(self.name, value))

    def to_json(self, value: Any, out: dict[str, Any], form: Form) -> None:
        name = self._nested_name if form.nested else self.name
        out[name] = [self.item_to_value(item, form) for item in _listed(self.name, value)]


def _checked(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is written from a str, not {type(value).__name__}")
    return value


def _listed(name: str, value: Any) -> Iterable[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} is written from a list or tuple, not {type(value).__name__}")
    return value
