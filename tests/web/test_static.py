"""What browsers are given: as fetched, licensed, all of it used by name, nothing inline, and not too much."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from opensdm.doors.web import assets

ROOT = Path(__file__).parents[2]
DOOR = ROOT / "src/opensdm/doors/web"
VENDORED = (DOOR / "static/vendor", ROOT / "tests/web/vendor")
TEMPLATES = sorted((DOOR / "templates").glob("*.html"))
PAGE_LIMIT = 300_000
SCRIPTED = {"at", "check", "theme-light", "theme-dark"}
"""Classes that only scripts and selectors use."""
EXPRESSION = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)


@pytest.mark.parametrize("folder", VENDORED, ids=["shipped", "tests"])
def test_vendored_files_are_those_whose_digests_are_recorded(folder: Path) -> None:
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    recorded = {name: digest for digest, name in lines}
    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.name != "SHA256SUMS"}
    assert there == recorded


@pytest.mark.parametrize("folder", VENDORED, ids=["shipped", "tests"])
def test_every_vendored_package_has_its_licence_and_its_line(folder: Path) -> None:
    explained = (ROOT / "docs/dependencies.md").read_text()
    names = {"core": ("Tabler", "tabler"), "icons": ("Tabler Icons", "tabler"), "htmx.org": ("htmx", "htmx"),
             "axe-core": ("axe-core", "axe-core")}  # fmt: skip
    for line in (folder / "VERSIONS").read_text().split():
        package, _, version = line.rpartition("@")
        shown, licence = names[package.rpartition("/")[2]]
        assert f"| {shown} {version} |" in explained
        assert (folder / f"LICENSE.{licence}").stat().st_size > 300


def stylesheets() -> str:
    return "".join(path.read_text() for path in sorted((DOOR / "static").rglob("*.css")))


def test_every_class_of_a_template_has_a_rule() -> None:
    """Tabler's stylesheet is cut down to what is used: a class that is not there is fetched by scripts/vendor."""
    known = set(re.findall(r"\.(-?[A-Za-z_][\w-]*)", stylesheets())) | SCRIPTED
    scripts = " ".join(path.read_text() for path in (DOOR / "static").glob("*.js"))
    for template in TEMPLATES:
        plain = EXPRESSION.sub(" ", template.read_text())
        groups = re.findall(r'class="([^"]*)"', plain)
        used = {name for group in groups for name in group.split() if not {name[0], name[-1]} & {"-"}}
        unknown = {name for name in used - known if f".{name}" not in scripts}
        assert unknown == set(), template.name


def test_every_icon_that_is_named_is_in_the_sprite() -> None:
    there = set(re.findall(r'<symbol id="([^"]+)"', (DOOR / "static/vendor/icons.svg").read_text()))
    sources = [*TEMPLATES, *DOOR.glob("*.py")]
    named = {name for path in sources for name in re.findall(r'icon\("([a-z0-9-]+)"', path.read_text())}
    assert named and named <= there
    assert set((DOOR / "icons.txt").read_text().split()) == there


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_holds_script_or_style_or_trusts_a_value(template: Path) -> None:
    text = template.read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|\bhx-on|js:", text) == []
    assert re.findall(r"\|\s*safe\b|autoescape false|Markup", text) == []
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text) == []


def test_what_a_page_loads_stays_small() -> None:
    """All of it, uncompressed; a page of fifty devices has some 80 kB of its own, looked at in test_pages."""
    assert sum(len(asset.data) for asset in assets.assets().values()) < PAGE_LIMIT


def test_an_address_changes_with_any_file(monkeypatch: pytest.MonkeyPatch) -> None:
    before = assets.stamp()
    found = dict(assets.assets())
    old = found["page.js"]
    found["page.js"] = assets.Asset(old.media_type, old.data + b"\n", old.packed)
    monkeypatch.setattr(assets, "assets", lambda: found)
    assert assets.stamp.__wrapped__() != before
    with pytest.raises(KeyError):
        assets.url("nothing.js")
