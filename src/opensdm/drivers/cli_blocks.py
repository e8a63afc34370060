"""A configuration of indented blocks (`show running-config` of an SBC), read as elements of the device.

    local-policy
            from-address                            *
            source-realm                            (access core)
            policy-attribute
                    next-hop                                192.0.2.1

A name alone with lines beneath it is a sub-element, or a list attribute with a value in each line; a name with
nothing after it and nothing beneath is an attribute without a value.
"""

from __future__ import annotations

from collections.abc import Sequence

from opensdm.core.element import Element, Schema
from opensdm.drivers.acme_elements import Translator
from opensdm.drivers.acme_xml import DeviceElement, DeviceType, Values
from opensdm.drivers.cli_lines import Node, nodes
from opensdm.drivers.names import Definition


def parse_blocks(
    definition: Definition, blocks: Sequence[DeviceType], schema: Schema, text: str
) -> tuple[Element, ...]:
    """The elements of the declared types, in northbound names; what is not declared is left out."""
    known = {block.name: block for block in blocks}
    translator = Translator(definition, schema)
    return tuple(
        translator.to_north(_device_element(node, known[node.text]))
        for node in nodes(text)
        if node.text in known and node.below
    )


def _device_element(node: Node, kind: DeviceType) -> DeviceElement:
    lists = {a.name: a.multiple for a in kind.attributes}
    below = {child.name: child for child in kind.children}
    attributes: dict[str, Values] = {}
    children: list[DeviceElement] = []
    for line in node.below:
        name, _, value = line.text.partition(" ")
        if line.text in below and line.below:
            children.append(_device_element(line, below[line.text]))
        elif name in lists:
            attributes[name] = _values(value.strip(), line, lists[name])
    return DeviceElement(kind.name, attributes, tuple(children))


def _values(value: str, line: Node, multiple: bool) -> Values:
    """`(a b)`, one value, or a value in each line beneath."""
    if not multiple:
        return (_unquoted(value),) if value else ()
    if line.below:
        return tuple(word for below in line.below for word in _words(below.text))
    return _words(value)


def _words(value: str) -> Values:
    if value.startswith("(") and value.endswith(")"):
        return tuple(value[1:-1].split())
    return (_unquoted(value),) if value else ()


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
