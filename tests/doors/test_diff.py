"""Staged changes as a text: what people read before they push."""

from __future__ import annotations

from opensdm.core.difference import Difference
from opensdm.core.element import Element
from opensdm.core.staging import PendingChange
from opensdm.doors.rest import diff
from opensdm.doors.rest.diff import unified


def realm(description: str, *ports: str, **more: str) -> Element:
    children = tuple(Element("realmConfig/port", {"id": port, "vlan": "0"}) for port in ports)
    return Element("realmConfig", {"id": "r1", "description": description, **more}, children)


def change(before: Element | None, after: Element | None) -> PendingChange:
    return PendingChange("realmConfig", ("r1",), before, after, 1)


def test_a_changed_element() -> None:
    text = unified(
        [
            change(
                realm("old", "M00", "M10", a="1", b="2", c="3", d="4"), realm("new", "M00", a="1", b="2", c="3", d="4")
            )
        ]
    )
    assert text == (
        "--- realmConfig r1\n+++ realmConfig r1\n"
        "@@ -1,6 +1,6 @@\n realmConfig\n   id: r1\n-  description: old\n+  description: new\n"
        "   a: 1\n   b: 2\n   c: 3\n"
        "@@ -8,6 +8,3 @@\n   port\n     id: M00\n     vlan: 0\n-  port\n-    id: M10\n-    vlan: 0\n"
    )


def test_new_and_deleted_elements() -> None:
    text = unified([change(None, realm("x", "M00")), change(realm("x"), None)])
    assert text == (
        "--- /dev/null\n+++ realmConfig r1\n@@ -0,0 +1,6 @@\n+realmConfig\n+  id: r1\n+  description: x\n+  port\n"
        "+    id: M00\n+    vlan: 0\n"
        "--- realmConfig r1\n+++ /dev/null\n@@ -1,3 +0,0 @@\n-realmConfig\n-  id: r1\n-  description: x\n"
    )
    assert unified([]) == ""


def test_a_secret_that_changes_shows_and_stays_a_secret() -> None:
    both = realm("same", password="xxxx")
    found = [Difference("realmConfig", ("r1",), "password", "xxxx", "xxxx")]
    text = unified([change(both, both)], found)
    assert "-  password: xxxx\n+  password: xxxx (changed)\n" in text
    assert (
        unified([change(both, both)], [Difference("realmConfig", ("r2",), "password", "xxxx", "xxxx")]).count("\n") == 2
    )
    assert "(changed)" not in unified([change(None, both)], found)


def test_what_a_value_holds_does_not_make_lines() -> None:
    nasty = "a\n+++ b\r\x1b[2J"
    text = unified([change(realm("old"), realm(nasty))])
    assert "+  description: a\\n+++ b\\r\\x1b[2J\n" in text
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "ünï" in unified([change(None, realm("ünï"))])


async def test_many_changes_are_cut_and_say_so() -> None:
    changes = [change(None, realm(str(number))) for number in range(diff.MAX_ELEMENTS + 3)]
    text = await diff.diff(changes)
    assert text.endswith("+  description: 999\n... and 3 more elements\n")
    assert text == unified(changes)
    tall = Element("realmConfig", {f"a{number}": "1" for number in range(diff.MAX_LINES + 10)})
    assert unified([change(None, tall)]).endswith("... and 12 more lines\n")
