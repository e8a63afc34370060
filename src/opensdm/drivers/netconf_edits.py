"""What an edit is on the wire: the `<config>` of one edit-config that creates, changes or deletes one element.

Only what differs is sent, but for an element in which a list of values loses some and gains others: it is sent whole.
What the containers around an element hold besides stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lxml import etree

from opensdm.core.element import Element, Schema
from opensdm.core.errors import UnknownAttribute
from opensdm.core.inventory import MASKED
from opensdm.core.ports import ElementEdit
from opensdm.core.validation import comparable, element_type, is_secret, items, key_of
from opensdm.drivers.netconf_nodes import Leaf, Place, Places
from opensdm.drivers.netconf_xml import BASE, OPERATION, base, element
from opensdm.drivers.yang_types import EMPTY_TYPE, IDENTITY_TYPE

YANG = "urn:ietf:params:xml:ns:yang:1"
_DELETE, _CREATE = "delete", "create"


def config_of(places: Places, edit: ElementEdit) -> etree._Element:
    """The `<config>` of an edit; without children when the two sides say the same."""
    root = element(f"{{{BASE}}}config", nc=BASE, yang=YANG)
    _Writer(places).element(root, edit.before, edit.after)
    return root


def edit_config(places: Places, edit: ElementEdit, target: str, options: Sequence[etree._Element]) -> etree._Element:
    return base("edit-config", base("target", base(target)), *options, config_of(places, edit))


def shown(places: Places, edit: ElementEdit) -> tuple[str, ...]:
    """The `<config>` of an edit line by line, without secrets."""
    kept = frozenset() if edit.after is None else secrets_of(places.schema, ElementEdit(None, edit.after))
    masked = replace(
        edit,
        before=edit.before and _masked(places.schema, edit.before, kept),
        after=edit.after and _masked(places.schema, edit.after, kept),
    )
    root = config_of(places, masked)
    return tuple(etree.tostring(root, pretty_print=True, encoding="unicode").splitlines())


def secrets_of(schema: Schema, edit: ElementEdit) -> frozenset[str]:
    """Every secret value in an edit, to be struck out of whatever the device says about it."""
    return frozenset(
        value
        for side in (edit.before, edit.after) if side is not None
        for each in side.walk()
        for name, value in each.attributes.items()
        if is_secret(element_type(schema, each.path).attribute(name))
    )  # fmt: skip


class _Writer:
    def __init__(self, places: Places) -> None:
        self._places = places
        self._schema = places.schema

    def element(self, parent: etree._Element, before: Element | None, after: Element | None) -> None:
        one = after or before
        if one is None:
            return
        place = self._places.of(one.path)
        if before is None and after is not None:
            self._create(parent, place, after)
        elif before is not None and after is None:
            self._delete(parent, place, before)
        elif before is not None and after is not None and self._differs(before, after):
            node = self._node(parent, place, after)
            if place.alone and self._reshuffled(place, before, after):
                node.set(OPERATION, "replace")
                self._fill(node, place, after, marked=False)
            else:
                self._change(node, place, before, after)

    def _create(self, parent: etree._Element, place: Place, new: Element) -> None:
        node = self._node(parent, place, new)
        if not place.kind.singleton:
            node.set(OPERATION, _CREATE)
        self._fill(node, place, new, marked=True)

    def _fill(self, node: etree._Element, place: Place, new: Element, *, marked: bool) -> None:
        """All that an element holds; sub-elements `marked` as new, or not where they come with what replaces all."""
        for name, value in new.attributes.items():
            if name not in place.kind.keys:
                self._leaf(node, self._known(place, name), "", value)
        for child in new.children:
            if marked:
                self.element(node, None, child)
            else:
                below = self._places.of(child.path)
                self._fill(self._node(node, below, child), below, child, marked=False)

    def _reshuffled(self, place: Place, before: Element, after: Element) -> bool:
        """Whether a list of values loses some and gains others, or is put into another order.

        netconfd does such a change, and from then on finds values twice that are there once; an element replaced as a
        whole spares it that.
        """
        return any(
            not _grows_or_shrinks(
                leaf.attribute.ordered, *(items(leaf.attribute, side.attributes.get(leaf.attribute.name, ""))
                                          for side in (before, after))
            )
            for leaf in place.leaves.values() if leaf.attribute.delimiter is not None
        )  # fmt: skip

    def _delete(self, parent: etree._Element, place: Place, old: Element) -> None:
        """A container without presence is not deleted, since others may use it: what it holds of ours goes."""
        node = self._node(parent, place, old)
        if not place.kind.singleton or place.presence:
            node.set(OPERATION, _DELETE)
            return
        for name, value in old.attributes.items():
            self._leaf(node, self._known(place, name), value, "")
        for child in old.children:
            self.element(node, child, None)

    def _change(self, node: etree._Element, place: Place, before: Element, after: Element) -> None:
        # What goes first: setting a leaf of one case of a choice takes away those of the others.
        for name in sorted({**before.attributes, **after.attributes}, key=lambda n: bool(after.attributes.get(n))):
            leaf = self._known(place, name)
            was, now = before.attributes.get(name, ""), after.attributes.get(name, "")
            if not leaf.attribute.key and comparable(leaf.attribute, was) != comparable(leaf.attribute, now):
                self._leaf(node, leaf, was, now)
        ours = {key_of(self._schema, child): child for child in before.children}
        theirs = {key_of(self._schema, child): child for child in after.children}
        for key in {**ours, **theirs}:
            self.element(node, ours.get(key), theirs.get(key))

    def _differs(self, before: Element, after: Element) -> bool:
        trial = etree.Element("trial")
        self._change(trial, self._places.of(after.path), before, after)
        return len(trial) > 0

    # ----------------------------------------------------------------------------------------- nodes

    def _node(self, parent: etree._Element, place: Place, of: Element) -> etree._Element:
        """The element's own node with its keys; containers on the way are shared with what is there already."""
        *way, last = place.tags
        for tag in way:
            parent = _container(parent, tag)
        if place.kind.singleton:
            return _container(parent, last)
        node = element(last, parent)
        for name in place.kind.keys:
            self._text(node, self._known(place, name), of.attributes.get(name, ""))
        return node

    def _leaf(self, node: etree._Element, leaf: Leaf, was: str, now: str) -> None:
        """One attribute from one value to another; empty is not there."""
        if leaf.attribute.delimiter is not None:
            self._leaf_list(node, leaf, items(leaf.attribute, was), items(leaf.attribute, now))
        elif now:
            self._text(node, leaf, now)
        elif was:
            element(leaf.tag, node).set(OPERATION, _DELETE)

    def _leaf_list(self, node: etree._Element, leaf: Leaf, was: Sequence[str], now: Sequence[str]) -> None:
        for value in was:
            if value not in now:
                self._text(node, leaf, value).set(OPERATION, _DELETE)
        kept = [value for value in was if value in now]
        if not leaf.attribute.ordered or list(now[: len(kept)]) == kept:
            for value in now:
                if value not in was:
                    self._text(node, leaf, value)
            return
        for value in now:  # one after the other to the end makes the order, and names none that is not there yet
            self._text(node, leaf, value).set(f"{{{YANG}}}insert", "last")

    def _text(self, node: etree._Element, leaf: Leaf, value: str) -> etree._Element:
        if leaf.attribute.value_type == IDENTITY_TYPE:
            # Without a prefix it is of the leaf's own name space, which is the default one there.
            module, colon, name = value.rpartition(":")
            namespace = self._places.namespaces.get(module)
            if colon and namespace is not None:
                child = element(leaf.tag, node, idn=namespace)
                child.text = f"idn:{name}"
                return child
        child = element(leaf.tag, node)
        if leaf.attribute.value_type != EMPTY_TYPE:
            child.text = value or None
        return child

    def _known(self, place: Place, name: str) -> Leaf:
        leaf = place.leaf(name)
        if leaf is None:
            raise UnknownAttribute(
                f"{place.kind.path} has no attribute {name!r}", elementTypePath=place.kind.path, attribute=name
            )
        return leaf


def _grows_or_shrinks(ordered: bool, was: Sequence[str], now: Sequence[str]) -> bool:
    if not ordered:
        return set(was) <= set(now) or set(now) <= set(was)
    return list(now[: len(was)]) == list(was) or list(now) == [value for value in was if value in now]


def _container(parent: etree._Element, tag: str) -> etree._Element:
    found = parent.find(tag)
    return element(tag, parent) if found is None else found


def _masked(schema: Schema, one: Element, kept: frozenset[str]) -> Element:
    """Secrets that are kept read alike on both sides, so that they show as no change; others do not."""
    kind = element_type(schema, one.path)
    attributes = {
        name: (MASKED if value in kept else f"{MASKED} (old)") if value and is_secret(kind.attribute(name)) else value
        for name, value in one.attributes.items()
    }
    return Element(one.path, attributes, tuple(_masked(schema, child, kept) for child in one.children))
