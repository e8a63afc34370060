"""Envelopes with something done to them: at the level of bytes, of markup and of structure. The same seed, the same."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

from lxml import etree

from tests.doors.soap.bodies import BODIES
from tests.doors.soap.sender import V11, V12, envelope, request

NASTY = (
    "", " ", "0", "-1", "99999999999999999999999", "true", "NaN", "ID1", "ID0", "ID99999999999999999", "*", "edge-*",
    "../../etc/passwd", "'; DROP TABLE device; --", "a" * 5000, "\u202e\u0000\ufffe", "\U0001f4a9" * 40, "]]>", "<x/>",
    "&lt;", "%s%n{0}", "xxxx", "realmConfig/realmConfig", "/", "\n\n\n", "\u00e9\u0301", "null", "[]", "{}",
)  # fmt: skip
NAMES = (
    "targetName",
    "wsConfigElement",
    "type",
    "children",
    "attributeList",
    "return",
    "login",
    "lockDevice",
    "a",
    "x-1",
)
SPLICES = (
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", b"<?php x?>", b"<!-- -->", b"<!--", b"<![CDATA[", b"]]>",
    b"&b;", b"&#0;", b"&#x41;", b"&", b"<", b">", b"</", b"/>", b'"', b"\x00", b"\xff\xfe", b"\xc3", b"xmlns=''",
    b"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>",
)  # fmt: skip
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"

Tree = etree._Element


def mutated(chance: random.Random) -> tuple[str, bytes]:
    """An operation's name, and its envelope after one to four changes."""
    name = chance.choice(sorted(BODIES))
    version = chance.choice((V11, V11, V12))
    tree = etree.fromstring(envelope(request(name, BODIES[name]), namespace=version, header="<h/>"))
    for _ in range(chance.randrange(4)):
        chance.choice(STRUCTURE)(chance, tree)
    body = etree.tostring(tree)
    for _ in range(chance.choice((0, 0, 1, 2))):
        body = chance.choice(BYTES)(chance, body)
    return name, body


def _any(chance: random.Random, tree: Tree) -> Tree:
    return chance.choice(list(tree.iter()))


def _drop(chance: random.Random, tree: Tree) -> None:
    found = _any(chance, tree)
    parent = found.getparent()
    if parent is not None:
        parent.remove(found)


def _double(chance: random.Random, tree: Tree) -> None:
    found = _any(chance, tree)
    parent = found.getparent()
    if parent is not None:
        parent.append(copy.deepcopy(found))


def _move(chance: random.Random, tree: Tree) -> None:
    found, to = _any(chance, tree), _any(chance, tree)
    if found not in to.iterancestors() and found is not to and found is not tree:
        to.append(found)


def _shuffle(chance: random.Random, tree: Tree) -> None:
    found = _any(chance, tree)
    children = list(found)
    chance.shuffle(children)
    found[:] = children


def _value(chance: random.Random, tree: Tree) -> None:
    text = chance.choice(NASTY)
    _any(chance, tree).text = "".join(c for c in text if c not in "\u0000\ufffe")


def _rename(chance: random.Random, tree: Tree) -> None:
    found = _any(chance, tree)
    other = chance.choice((*NAMES, *BODIES))
    found.tag = chance.choice((other, f"{{urn:y}}{other}", f"{{{V11}}}{other}"))


def _mark(chance: random.Random, tree: Tree) -> None:
    name = chance.choice((f"{XSI}nil", f"{XSI}type", f"{{{V11}}}mustUnderstand", f"{{{V12}}}role", "id", "href"))
    _any(chance, tree).set(name, chance.choice(("1", "true", "x:string", "#1", "")))


def _deepen(chance: random.Random, tree: Tree) -> None:
    at = _any(chance, tree)
    for _ in range(chance.choice((1, 3, 50, 70, 200))):
        at = etree.SubElement(at, chance.choice(("children", "configElement", "string")))


def _widen(chance: random.Random, tree: Tree) -> None:
    found = _any(chance, tree)
    parent = found.getparent()
    if parent is not None and len(list(found.iter())) < 20:
        for _ in range(chance.choice((10, 300))):
            parent.append(copy.deepcopy(found))


def _cut(chance: random.Random, body: bytes) -> bytes:
    return body[: chance.randrange(len(body) + 1)]


def _splice(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chance.choice(SPLICES) + body[at:]


def _flip(chance: random.Random, body: bytes) -> bytes:
    if not body:
        return body
    at = chance.randrange(len(body))
    return body[:at] + bytes((chance.randrange(256),)) + body[at + 1 :]


def _tear(chance: random.Random, body: bytes) -> bytes:
    first, last = sorted(chance.randrange(len(body) + 1) for _ in range(2))
    return body[:first] + body[last:]


def _recode(chance: random.Random, body: bytes) -> bytes:
    coding = chance.choice(("utf-16", "utf-8-sig", "latin-1", "utf-32"))
    return body.decode("utf-8", "replace").encode(coding, "replace")


def _declare(chance: random.Random, body: bytes) -> bytes:
    coding = chance.choice(("UTF-8", "ISO-8859-1", "UTF-7", "nonsense", ""))
    return f'<?xml version="1.{chance.randrange(3)}" encoding="{coding}"?>'.encode() + body


STRUCTURE: tuple[Callable[[random.Random, Tree], None], ...] = (
    _drop, _double, _move, _shuffle, _value, _value, _rename, _mark, _deepen, _widen,
)  # fmt: skip
BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (_cut, _splice, _splice, _flip, _tear, _recode, _declare)
