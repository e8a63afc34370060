"""A platform with a command line, as one file describes it: how to talk to it, and how its elements are spelled.

`docs/howto/add-a-platform.md` explains every table of such a file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from opensdm.core.element import AttributeType, ElementType, Schema
from opensdm.core.validation import NUMERIC_TYPE
from opensdm.drivers.acme_elements import build_schema
from opensdm.drivers.acme_xml import DeviceAttribute, DeviceType
from opensdm.drivers.cli_template import TEXT, WORD, Template
from opensdm.drivers.names import Definition, load_definition

DRIVER = "ssh_cli"
DELIMITER = ","
_KEYS = {"name", "cli_name", "enter", "line", "delete", "attribute", "element", "undeletable"}


@dataclass(frozen=True, slots=True)
class Talk:
    """How a session goes. In `prompt`, `{host}` is the device's name; the group `mode` is empty outside configuration
    mode, and a group `level` is `>` where `enable` is needed first.
    """

    prompt: str
    host: str = "[A-Za-z0-9_.-]+"
    prepare: tuple[str, ...] = ()
    enable: str | None = None
    password_prompt: str = "[Pp]assword: ?"
    configure: str = "configure terminal"
    leave: str = "end"
    exit: str = "exit"
    no: str = "no "
    errors: re.Pattern[str] = re.compile(r"^%")
    more: str | None = None
    more_answer: str = " "
    refuse: str = ""
    """Characters that mean something to the device's line editor and are never sent."""
    longest_line: int = 900

    def prompt_of(self, host: str | None) -> re.Pattern[str]:
        """The prompt of one device, or of any, as a whole line."""
        name = self.host if host is None else re.escape(host)
        return re.compile(self.prompt.replace("{host}", f"(?P<host>{name})"))


@dataclass(frozen=True, slots=True)
class Show:
    """What shows the running configuration; `complete` is found in the whole of it, and in nothing less."""

    command: str
    complete: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Save:
    """What keeps the configuration over a reboot. It worked when `success` is found and `failure` is not."""

    command: str
    success: re.Pattern[str]
    failure: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class FactsCommand:
    """What the device says of itself: named groups of `pattern` are fields of `DeviceFacts`."""

    command: str
    pattern: re.Pattern[str]
    role: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, and characters of one answer."""

    command_s: float = 10.0
    show_s: float = 60.0
    write_s: float = 60.0
    save_s: float = 60.0
    answer: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an element. `sets`: attributes whose values the bare line stands for; `each`: the list attribute
    of which every item has a line of its own; `replaces`: a new line takes the place of the old one by itself.
    """

    template: Template
    no: Template | None
    sets: Mapping[str, str]
    each: str | None
    replaces: bool


@dataclass(frozen=True, slots=True)
class CliElement:
    """One element type. With `enter` it is a block of its own; without, its lines stand at the level of its parent."""

    type: ElementType
    enter: Template | None
    lines: tuple[Line, ...]
    delete: Template | None
    children: tuple[CliElement, ...]


@dataclass(frozen=True, slots=True)
class CliDefinition:
    """One definition file. `names` and `blocks`: for a configuration of indented blocks, else `elements`."""

    platform: str
    writes: bool
    talk: Talk
    show: Show
    save: Save | None
    facts: FactsCommand
    limits: Limits
    elements: tuple[CliElement, ...] = ()
    names: Definition | None = None
    blocks: tuple[DeviceType, ...] = ()

    def schema(self, version: str) -> Schema:
        """All types of the file; the device itself cannot tell."""
        if self.names is not None:
            return build_schema(self.names, version, list(self.blocks))
        return Schema(self.platform, version, {t.path: t for e in self.elements for t in _walk(e.type)})

    def element(self, path: str) -> CliElement | None:
        """A top-level element's own description."""
        return next((e for e in self.elements if e.type.path == path), None)


def cli_definitions() -> Iterator[CliDefinition]:
    """Every definition shipped that names this driver, by file name."""
    folder = resources.files("opensdm.drivers") / "definitions"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            tables = tomllib.loads(file.read_text("utf-8"))
            if tables.get("driver") == DRIVER:
                yield read_cli_definition(tables)


def read_cli_definition(tables: Mapping[str, Any]) -> CliDefinition:
    """A definition of a file's tables. A file that contradicts itself, or has words nobody reads: ValueError."""
    platform = tables["platform"]
    known = {"platform", "driver", "writes", "session", "show", "save", "facts", "limits", "element", "names", "block"}
    _refuse_unknown(platform, tables, known)
    writes, save = tables.get("writes", True), tables.get("save")
    if writes and save is None:
        raise ValueError(f"{platform}: a platform that is written to needs a table [save]")
    names = tables.get("names")
    return CliDefinition(
        platform=platform,
        writes=writes,
        talk=_talk(tables["session"]),
        show=Show(tables["show"]["command"], _pattern(tables["show"].get("complete"))),
        save=None if save is None else Save(
            save["command"], re.compile(save["success"], re.MULTILINE), _pattern(save.get("failure"))
        ),
        facts=FactsCommand(tables["facts"]["command"], re.compile(tables["facts"]["pattern"], re.MULTILINE),
                           tables["facts"]["role"]),
        limits=Limits(**tables.get("limits", {})),
        elements=tuple(_element(e, "", {}) for e in tables.get("element", ())),
        names=None if names is None else _renamed(load_definition(names), platform),
        blocks=tuple(_block(name, table) for name, table in tables.get("block", {}).items()),
    )  # fmt: skip


def _walk(kind: ElementType) -> Iterator[ElementType]:
    yield kind
    for child in kind.children:
        yield from _walk(child)


def _refuse_unknown(where: str, table: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(table.keys() - known):
        raise ValueError(f"{where}: nobody reads {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _pattern(text: str | None) -> re.Pattern[str] | None:
    return None if text is None else re.compile(text, re.MULTILINE)


def _talk(table: Mapping[str, Any]) -> Talk:
    given = dict(table)
    given["prepare"] = tuple(given.get("prepare", ()))
    if "errors" in given:
        given["errors"] = re.compile(given["errors"], re.MULTILINE)
    talk = Talk(**given)
    if not {"host", "mode"} <= talk.prompt_of(None).groupindex.keys():
        raise ValueError("session.prompt needs {host} and a group called mode")
    return talk


# ------------------------------------------------------------------------------------------- elements of lines


def _element(table: Mapping[str, Any], above: str, inherited: Mapping[str, str]) -> CliElement:
    """`inherited`: the patterns of the keys of the element above, which a line here may name."""
    path = f"{above}/{table['name']}" if above else table["name"]
    _refuse_unknown(path, table, _KEYS)
    attributes = tuple(_attribute(name, spec) for name, spec in table.get("attribute", {}).items())
    own = {a.name: _value_pattern(a, table["attribute"][a.name]) for a in attributes}
    patterns = {**inherited, **own}
    keys = {a.name: own[a.name] for a in attributes if a.key}
    enter = table.get("enter")
    children = tuple(_element(e, path, {} if enter else {**inherited, **keys}) for e in table.get("element", ()))
    element = CliElement(
        ElementType(path, table.get("cli_name", enter or path), attributes, tuple(c.type for c in children)),
        None if enter is None else Template(enter, patterns),
        tuple(_line(line, attributes, patterns) for line in table.get("line", ())),
        Template(table["delete"], patterns) if "delete" in table else None,
        children,
    )
    _check(element, keys.keys() | inherited.keys())
    return element


def _check(element: CliElement, keys: set[str]) -> None:
    path, known = element.type.path, {a.name for a in element.type.attributes} | keys
    templates = [line.template for line in element.lines] + ([element.enter] if element.enter else [])
    if foreign := {name for t in templates for name in t.names} - known:
        raise ValueError(f"{path}: no attribute is called {', '.join(sorted(foreign))}")
    said = {name for t in templates for name in t.names} | {name for line in element.lines for name in line.sets}
    if unsaid := {a.name for a in element.type.attributes} - said:
        raise ValueError(f"{path}: no line says {', '.join(sorted(unsaid))}")
    if element.enter is None:
        for line in element.lines:
            if lacking := set(element.type.keys) - set(line.template.required):
                raise ValueError(f"{path}: {line.template.text!r} does not say which: {', '.join(sorted(lacking))}")


def _attribute(name: str, spec: Mapping[str, Any]) -> AttributeType:
    _refuse_unknown(
        name, spec,
        {"type", "key", "required", "default", "list", "choices", "min", "max", "pattern", "refers_to", "cli_name"},
    )  # fmt: skip
    kind = spec.get("type", "string")
    return AttributeType(
        name=name,
        cli_name=spec.get("cli_name", name),
        key=spec.get("key", False),
        required=spec.get("key", False) or spec.get("required", False),
        value_type="string" if kind == "text" else kind,
        default=spec.get("default"),
        delimiter=DELIMITER if spec.get("list") else None,
        choices=tuple(spec.get("choices", ())),
        minimum=spec.get("min"),
        maximum=spec.get("max"),
        pattern=spec.get("pattern", TEXT if kind == "text" else None),
        refers_to=spec.get("refers_to"),
    )


def _value_pattern(attribute: AttributeType, spec: Mapping[str, Any]) -> str:
    """What a value looks like inside a line."""
    if attribute.choices:
        return "|".join(re.escape(c) for c in sorted(attribute.choices, key=len, reverse=True))
    if attribute.pattern is not None:
        return f"(?:{attribute.pattern})"
    if attribute.value_type == NUMERIC_TYPE:
        return "-?[0-9]+"
    return TEXT if spec.get("type") == "password" else WORD


def _line(table: Mapping[str, Any], attributes: tuple[AttributeType, ...], patterns: Mapping[str, str]) -> Line:
    _refuse_unknown(str(table.get("text")), table, {"text", "no", "sets", "replaces"})
    template = Template(table["text"], patterns)
    lists = [a.name for a in attributes if a.delimiter is not None and a.name in template.names]
    if len(lists) > 1:
        raise ValueError(f"template {template.text!r} names two lists")
    return Line(
        template,
        Template(table["no"], patterns) if "no" in table else None,
        dict(table.get("sets", {})),
        lists[0] if lists else None,
        table.get("replaces", False),
    )


# ------------------------------------------------------------------------------------------ elements of blocks


def _renamed(definition: Definition, platform: str) -> Definition:
    return Definition(platform, definition.api, definition.types)


def _block(name: str, table: Mapping[str, Any]) -> DeviceType:
    _refuse_unknown(name, table, {"keys", "attributes", "lists", "secrets", "block"})
    keys, lists, secrets = (tuple(table.get(which, ())) for which in ("keys", "lists", "secrets"))
    names = dict.fromkeys((*keys, *table.get("attributes", ()), *lists, *secrets))
    return DeviceType(
        name,
        tuple(
            DeviceAttribute(
                name=n, key=n in keys, required=n in keys, value_type="password" if n in secrets else "string",
                multiple=n in lists, default=(), choices=(), minimum=None, maximum=None, pattern=None, references=None,
            )
            for n in names
        ),
        tuple(_block(child, below) for child, below in table.get("block", {}).items()),
    )  # fmt: skip
