"""What `verify` finds in a configuration: values that name elements which do not exist."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from opensdm.simulator.element import Element, key_text
from opensdm.simulator.schema import AttributeSpec, ElementSpec, Reference, Schema
from opensdm.simulator.stores import Configuration


@dataclass(frozen=True)
class Problem:
    """One finding: the element (type and key), the attribute, and a sentence that names both."""

    element: str
    attribute: str
    message: str


def dangling_references(configuration: Configuration, schema: Schema) -> list[Problem]:
    """Every value that names an element which the configuration does not have."""

    @cache
    def names(target: str, form: str | None) -> frozenset[str]:
        return _names(configuration, schema.elements[target], form)

    problems = []
    for element in configuration:
        top = schema.elements[element.type]
        label = f"{top.name} [{key_text(top, element.key(top))}]" if top.keys else top.name
        for where, attribute, values in _attributes(top, element):
            reference = attribute.reference
            if reference is not None:
                for value in _missing(reference, values, names(reference.target, reference.form)):
                    message = f"{label} has reference to {reference.target} [{value}] in {where}, which does not exist"
                    problems.append(Problem(label, where, message))
    return problems


def _missing(reference: Reference, values: tuple[str, ...], names: frozenset[str]) -> list[str]:
    return [value for value in values if (wanted := reference.looked_up(value)) and wanted not in names]


def _attributes(
    spec: ElementSpec, element: Element, prefix: str = ""
) -> Iterator[tuple[str, AttributeSpec, tuple[str, ...]]]:
    """All attributes of an element and of what is below it, each with where it is."""
    for name, attribute in spec.attributes.items():
        yield prefix + name, attribute, element.attributes[name]
    for child in element.children:
        yield from _attributes(spec.children[child.type], child, f"{prefix}{child.type} ")


def _names(configuration: Configuration, spec: ElementSpec, form: str | None) -> frozenset[str]:
    """How the elements of a type are named by others."""
    names = set()
    for element in configuration.of_type(spec):
        text = form or f"{{{spec.keys[0]}}}"
        for key in spec.keys:
            text = text.replace(f"{{{key}}}", ",".join(element.attributes[key]))
        names.add(text)
    return frozenset(names)
