"""What an edit is on a command line: the commands, in order, each with what takes it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from opensdm.core.element import Element, Schema
from opensdm.core.errors import InvalidRequest, Rejected
from opensdm.core.inventory import MASKED
from opensdm.core.ports import ElementEdit
from opensdm.core.validation import describe_key, element_type, is_secret, items, key_of
from opensdm.drivers.cli_definition import CliDefinition, CliElement, Line
from opensdm.drivers.cli_template import Template, Unwritable

Context = tuple["Typed", ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """A line, and the same line for people."""

    text: str
    shown: str


@dataclass(frozen=True, slots=True)
class Command:
    """One line inside the blocks of `context`. `enters`: it opens a block itself. `undo`: what takes it back."""

    context: Context
    typed: Typed
    undo: tuple[Command, ...] = ()
    enters: bool = False


@dataclass(frozen=True, slots=True)
class _Written:
    """A line of an element as it stands in the configuration."""

    line: Line
    typed: Typed
    no: Typed


def commands_for(definition: CliDefinition, schema: Schema, edit: ElementEdit) -> tuple[Command, ...]:
    """The commands of one edit. Raises Rejected for values that this command line cannot carry."""
    element = edit.after or edit.before
    if element is None:
        return ()
    kind = definition.element(element.path)
    if kind is None:
        raise InvalidRequest(f"{definition.platform} has no element type {element.path!r}")
    try:
        commands = _Writer(definition.talk.no, schema).change(kind, edit.before, edit.after, (), {})
    except Unwritable as reason:
        what = describe_key(key_of(schema, element))
        raise Rejected(f"{what} cannot be written on this command line: {reason}") from None
    if not commands and None in (edit.before, edit.after):
        raise Rejected(f"{describe_key(key_of(schema, element))} says nothing that this command line can express")
    for command in commands:
        _refuse_unsendable(definition, command)
    return commands


def way(here: Context, there: Context, leave: Typed) -> Iterator[tuple[Typed, Context]]:
    """The lines that lead from one block into another, each with the block it leads to."""
    shared = next((n for n, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    while len(here) > shared:
        here = here[:-1]
        yield leave, here
    for enter in there[shared:]:
        here = (*here, enter)
        yield enter, here


def shown(definition: CliDefinition, commands: Sequence[Command]) -> tuple[str, ...]:
    """The lines of an edit as they are typed in configuration mode, secrets masked."""
    lines: list[str] = []
    here: Context = ()
    leave = Typed(definition.talk.exit, definition.talk.exit)
    for command in commands:
        lines += [line.shown for line, _ in way(here, command.context, leave)]
        lines.append(command.typed.shown)
        here = (*command.context, command.typed) if command.enters else command.context
    return tuple(lines)


def secrets_of(schema: Schema, edit: ElementEdit) -> frozenset[str]:
    """Every secret value in an edit, to be struck out of whatever the device says about it."""
    return frozenset(
        value
        for side in (edit.before, edit.after) if side is not None
        for each in side.walk()
        for name, value in each.attributes.items()
        if value and is_secret(element_type(schema, each.path).attribute(name))
    )  # fmt: skip


def _refuse_unsendable(definition: CliDefinition, command: Command) -> None:
    """Control characters, and what the device's line editor takes for a question, must not be typed."""
    text, talk = command.typed.text, definition.talk
    bad = next((c for c in text if not c.isprintable() or c in talk.refuse), None)
    if bad is not None:
        raise Rejected(f"{command.typed.shown!r} contains {bad!r}, which cannot be typed on this command line")
    if len(text) > talk.longest_line:
        raise Rejected(f"a line of {len(text)} characters is longer than this command line takes: {talk.longest_line}")


class _Writer:
    def __init__(self, no: str, schema: Schema) -> None:
        self._no = no
        self._schema = schema

    def change(
        self,
        kind: CliElement,
        before: Element | None,
        after: Element | None,
        context: Context,
        above: Mapping[str, str],
    ) -> tuple[Command, ...]:
        """`above`: the key values of the element above, which lines of this one may name."""
        if before is None:
            return self._create(kind, after, context, above) if after is not None else ()
        if after is None:
            return self._delete(kind, before, context, above)
        inside, entering = self._enter_changed(kind, before, after, context, above)
        old, new = self._lines(kind, before, above), self._lines(kind, after, above)
        gone, come = _children(self._schema, before), _children(self._schema, after)
        beneath = self._beneath(kind, after, above)
        commands = list(entering)
        for key, child in reversed(gone.items()):
            if key not in come:
                commands += self.change(_child_kind(kind, child), child, None, inside, beneath)
        commands += self._change_lines(old, new, inside)
        for key, child in come.items():
            commands += self.change(_child_kind(kind, child), gone.get(key), child, inside, beneath)
        return tuple(commands)

    def _create(
        self, kind: CliElement, element: Element, context: Context, above: Mapping[str, str]
    ) -> tuple[Command, ...]:
        commands: list[Command] = []
        inside = context
        if kind.enter is not None:
            enter = self._typed(kind.enter, element, above)
            gone = Command(context, self._delete_line(kind, element, above))
            commands.append(Command(context, enter, (gone,), enters=True))
            inside = (*context, enter)
        for written in self._lines(kind, element, above):
            commands.append(Command(inside, written.typed, (Command(inside, written.no),)))
        beneath = self._beneath(kind, element, above)
        for child in element.children:
            commands += self._create(_child_kind(kind, child), child, inside, beneath)
        return tuple(commands)

    def _delete(
        self, kind: CliElement, element: Element, context: Context, above: Mapping[str, str]
    ) -> tuple[Command, ...]:
        """By one command where there is one for the whole, else line by line, the last one first."""
        made = self._create(kind, element, context, above)
        if kind.enter is not None or kind.delete is not None:
            return (Command(context, self._delete_line(kind, element, above), made),)
        return tuple(
            replace(undo, undo=(replace(command, undo=()),)) for command in reversed(made) for undo in command.undo
        )

    def _delete_line(self, kind: CliElement, element: Element, above: Mapping[str, str]) -> Typed:
        if kind.delete is not None:
            return self._typed(kind.delete, element, above)
        assert kind.enter is not None
        return self._negated(self._typed(kind.enter, element, above))

    def _enter_changed(
        self, kind: CliElement, before: Element, after: Element, context: Context, above: Mapping[str, str]
    ) -> tuple[Context, tuple[Command, ...]]:
        """The line that opens a block may say more than its keys; opening it again with other words changes them."""
        if kind.enter is None:
            return context, ()
        was, now = (self._typed(kind.enter, side, above) for side in (before, after))
        inside = (*context, now)
        if was.text == now.text:
            return inside, ()
        return inside, (Command(context, now, (Command(context, was, enters=True),), enters=True),)

    def _change_lines(self, old: Sequence[_Written], new: Sequence[_Written], context: Context) -> list[Command]:
        kept_old, kept_new = {w.typed.text for w in new}, {w.typed.text for w in old}
        removed = [w for w in old if w.typed.text not in kept_old]
        added = [w for w in new if w.typed.text not in kept_new]
        replaced = {id(w.line): w for w in removed if w.line.replaces and any(a.line is w.line for a in added)}
        commands = [
            Command(context, w.no, (Command(context, w.typed),))
            for w in reversed(removed) if id(w.line) not in replaced
        ]  # fmt: skip
        for w in added:
            was = replaced.get(id(w.line))
            commands.append(Command(context, w.typed, (Command(context, w.no if was is None else was.typed),)))
        return commands

    def _lines(self, kind: CliElement, element: Element, above: Mapping[str, str]) -> list[_Written]:
        return [w for line in kind.lines for w in self._written(line, kind, element, above)]

    def _written(self, line: Line, kind: CliElement, element: Element, above: Mapping[str, str]) -> list[_Written]:
        if any(element.attributes.get(name, "") != value for name, value in line.sets.items()):
            return []
        if line.each is None:
            values = {**above, **_said(kind, line.template, element)}
            if not all(values.get(name) for name in line.template.required):
                return []
            return [self._write(line, element, values)]
        attribute = kind.type.attribute(line.each)
        assert attribute is not None
        return [
            self._write(line, element, {**above, **element.attributes, line.each: item})
            for item in items(attribute, element.attributes.get(line.each, ""))
        ]

    def _write(self, line: Line, element: Element, values: Mapping[str, str]) -> _Written:
        typed = self._filled(line.template, element, values)
        no = self._negated(typed) if line.no is None else self._filled(line.no, element, values)
        return _Written(line, typed, no)

    def _typed(self, template: Template, element: Element, above: Mapping[str, str]) -> Typed:
        return self._filled(template, element, {**above, **element.attributes})

    def _filled(self, template: Template, element: Element, values: Mapping[str, str]) -> Typed:
        kind = element_type(self._schema, element.path)
        masked = {a.name: MASKED for a in kind.attributes if is_secret(a)}
        return Typed(template.render(values), template.show(values, masked))

    def _negated(self, typed: Typed) -> Typed:
        return Typed(self._no + typed.text, self._no + typed.shown)

    def _beneath(self, kind: CliElement, element: Element, above: Mapping[str, str]) -> Mapping[str, str]:
        """Lines within a block name nothing above it."""
        if kind.enter is not None:
            return {}
        return {**above, **{name: element.attributes.get(name, "") for name in kind.type.keys}}


def _said(kind: CliElement, template: Template, element: Element) -> dict[str, str]:
    """The values a line says; in brackets a default is not said, as the device does not say it either."""
    defaults = {a.name: a.default for a in kind.type.attributes if a.default and a.name not in template.required}
    return {name: value for name, value in element.attributes.items() if value != defaults.get(name)}


def _children(schema: Schema, element: Element) -> dict[tuple[str, tuple[str, ...]], Element]:
    return {key_of(schema, child): child for child in element.children}


def _child_kind(kind: CliElement, child: Element) -> CliElement:
    found = next((c for c in kind.children if c.type.path == child.path), None)
    if found is None:
        raise InvalidRequest(f"{kind.type.path} has no sub-element {child.path!r}")
    return found
