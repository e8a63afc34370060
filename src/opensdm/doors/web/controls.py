"""Which control of a form stands for an attribute, what it shows at first, and what was sent with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from opensdm.core.element import AttributeType, Element, ElementType
from opensdm.core.errors import InvalidRequest
from opensdm.core.inventory import MASKED
from opensdm.core.validation import NUMERIC_TYPE, comparable, is_secret, items, joined

FIELD, WAS = "v:", "was"
"""What the names of value fields begin with, and the field that says what the form showed when it was drawn."""
SWITCHES = (("enabled", "disabled"), ("true", "false"), ("yes", "no"), ("on", "off"))
MAX_BOX = 12
"""A list with at most so many values to choose from is a box in which all are seen."""
LONG_PATTERN = 48


class Kind(StrEnum):
    """A control."""

    SWITCH = "switch"
    SELECT = "select"
    BOXES = "boxes"
    NUMBER = "number"
    LINES = "lines"
    SECRET = "secret"
    LONG = "long"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Control:
    """One field. `value` is what it shows: of a list, one item a line. `offered`: values to choose from, others may be
    typed. `number` tells fields apart where names cannot. `fixed`: a key of what is there already."""

    number: int
    attribute: AttributeType
    kind: Kind
    value: str
    offered: tuple[str, ...] = ()
    fixed: bool = False
    on: str = ""
    off: str = ""

    @property
    def name(self) -> str:
        return FIELD + self.attribute.name

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(self.value.split("\n")) if self.value else ()

    @property
    def choices(self) -> tuple[str, ...]:
        """Of a select, also what is there though it should not be, and nothing where nothing is chosen."""
        known = self.attribute.choices
        return known if self.value in known or self.kind is not Kind.SELECT else (self.value, *known)

    @property
    def hint(self) -> str:
        return " · ".join(_hints(self.attribute, self.kind))


def controls(kind: ElementType, element: Element, referred: Mapping[str, Sequence[str]], *, new: bool) -> list[Control]:
    """One for each attribute: keys first, what must be given next, the others as the device lists them."""
    ordered = sorted(kind.attributes, key=lambda a: (not a.key, not a.required))
    return [
        _control(number, attribute, _value(attribute, element, new=new), referred, new=new)
        for number, attribute in enumerate(ordered)
    ]


def _value(attribute: AttributeType, element: Element, *, new: bool) -> str:
    """Drafts leave keys empty; where there is a usual one, it is a beginning."""
    value = element.attributes.get(attribute.name, "")
    return attribute.default or "" if new and attribute.key and not value else value


def _control(
    number: int, attribute: AttributeType, value: str, referred: Mapping[str, Sequence[str]], *, new: bool
) -> Control:
    offered = tuple(referred.get(attribute.name, ()))
    fixed = attribute.key and not new
    if fixed:
        return Control(number, attribute, Kind.TEXT, value, fixed=True)
    if is_secret(attribute):
        return Control(number, attribute, Kind.SECRET, value)
    if attribute.delimiter is not None:
        shown = "\n".join(items(attribute, value))
        choices = attribute.choices or offered
        boxes = not attribute.ordered and 0 < len(choices) <= MAX_BOX and set(shown.split("\n")) <= {"", *choices}
        return Control(number, attribute, Kind.BOXES if boxes else Kind.LINES, shown, choices)
    if attribute.choices:
        return _choice(number, attribute, value)
    if attribute.value_type == NUMERIC_TYPE or attribute.minimum is not None or attribute.maximum is not None:
        whole = value == "" or value.lstrip("+-").isdigit()
        return Control(number, attribute, Kind.NUMBER if whole else Kind.TEXT, value)
    return Control(number, attribute, Kind.LONG if "\n" in value else Kind.TEXT, value, offered)


def _choice(number: int, attribute: AttributeType, value: str) -> Control:
    """Two values that mean on and off are a switch, unless neither is there and none would be taken."""
    shown = value or attribute.default or ""
    for on, off in SWITCHES:
        if set(attribute.choices) == {on, off} and shown in (on, off):
            return Control(number, attribute, Kind.SWITCH, shown, on=on, off=off)
    return Control(number, attribute, Kind.SELECT, value)


def _hints(attribute: AttributeType, kind: Kind) -> list[str]:
    said = []
    low, high = attribute.minimum, attribute.maximum
    if low is not None or high is not None:
        said.append(f"{'…' if low is None else low} to {'…' if high is None else high}")
    if kind is Kind.LINES:
        said.append("one a line" + (", in their order" if attribute.ordered else ""))
    if kind is Kind.SECRET:
        said.append("never shown; as it is: kept")
    if attribute.refers_to is not None:
        said.append(f"names a {attribute.refers_to}")
    if attribute.default and kind is not Kind.SECRET:
        said.append(f"default {attribute.default}")
    if attribute.pattern is not None and len(attribute.pattern) <= LONG_PATTERN and not attribute.choices:
        said.append(attribute.pattern)
    return said


# ---------------------------------------------------------------------------------------- what was sent


def drawn(shown: Sequence[Control]) -> str:
    """What the fields show, so that what comes back tells what was changed, whatever happened meanwhile."""
    return json.dumps({c.attribute.name: _whole(c.attribute, c.value) for c in shown}, ensure_ascii=False)


def sent_values(kind: ElementType, form: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Every attribute that a form has a field for, as the gate takes it."""
    return {
        attribute.name: _sent(attribute, form[FIELD + attribute.name])
        for attribute in kind.attributes
        if FIELD + attribute.name in form
    }


def changed_values(kind: ElementType, form: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Those that are not what the form showed. Keys are never among them: other keys are another element."""
    was = _was(form)
    return {
        name: value
        for name, value in sent_values(kind, form).items()
        if name not in kind.keys and _differ(kind.attribute(name), value, was.get(name, ""))
    }


def given_values(kind: ElementType, form: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Those of a new element: what was left empty, or as by default, is left to the device. An empty key counts where
    empty is one of its values."""
    values = sent_values(kind, form)
    return {a.name: values[a.name] for a in kind.attributes if a.name in values and _says_something(a, values[a.name])}


def _says_something(attribute: AttributeType, value: str) -> bool:
    if attribute.key:
        return value != "" or "" in attribute.choices
    return value not in ("", attribute.default)


def _was(form: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    try:
        was = json.loads((form.get(WAS) or ("",))[0])
    except (ValueError, RecursionError):
        was = None
    if not isinstance(was, dict) or not all(isinstance(value, str) for value in was.values()):
        raise InvalidRequest("this form is not whole: load the page again, then send it", field=WAS)
    return was


def _sent(attribute: AttributeType, values: Sequence[str]) -> str:
    """A switch sends its off value, and after it the on value if it is on."""
    if is_secret(attribute):
        return values[-1]
    if attribute.delimiter is not None:
        lines = (line.strip() for value in values for line in value.splitlines())
        return joined(attribute.delimiter, lines)
    return values[-1].replace("\r\n", "\n").strip()


def _whole(attribute: AttributeType, shown: str) -> str:
    return shown if attribute.delimiter is None else joined(attribute.delimiter, shown.split("\n"))


def _differ(attribute: AttributeType | None, value: str, was: str) -> bool:
    if is_secret(attribute):
        return value not in (was, MASKED)
    return comparable(attribute, value) != comparable(attribute, was.strip() if "\n" not in was else was)
