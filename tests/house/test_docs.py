"""The documents: what they name exists, what they link to is there, and nothing in them is of one machine only."""

import ipaddress
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from docs.replay import blocks
from opensdm.cli.commands import app
from opensdm.core.errors import SdmError, all_errors
from opensdm.core.inventory import DEVICE_PARAMETERS
from opensdm.doors.errors import row
from opensdm.doors.rest.app import ENDPOINTS
from opensdm.doors.rest.media import OWN_VERSION
from opensdm.settings import PREFIX, Section, Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if not {".venv", "var"} & set(path.relative_to(ROOT).parts)
)
# Public places that a page may send its reader to.
PUBLIC = {"keepachangelog.com", "semver.org"}
# Hosts in the names of namespaces, which nobody is sent to.
NAMESPACES = (".service.ws.ems.acmepacket.com", ".schemas.xmlsoap.org")
DOCUMENTATION_NETWORKS = [
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "::1/128", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
HOST = re.compile(r"\b[a-z][a-z0-9+.-]*://(?:[^/@\s`'\"<>]*@)?(\[[0-9A-Fa-f:.]+\]|[^/:\s`'\"<>),;\\]+)")
ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")

pages = pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])


def rows(page: Path, columns: int) -> list[list[str]]:
    """The cells of every table row of that many columns."""
    lines = (line.strip() for line in page.read_text().splitlines())
    cells = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|"))
    return [found for found in cells if len(found) == columns and set(found[0]) - set("-| ")]


def source() -> str:
    """All code that the words of the documents may stand for."""
    return "\n".join(path.read_text() for folder in ("src", "lab") for path in sorted((ROOT / folder).rglob("*.py")))


# ----------------------------------------------------------------------------------------- links


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as they are linked to."""
    text = page.read_text()
    for block in reversed(blocks(text)):
        text = text[: block.start] + text[block.end :]
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pages
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.is_relative_to(ROOT) or not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+)", page.read_text())
        ahead += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert [str(path.relative_to(ROOT)) for path in PAGES if path not in reached] == []


# ----------------------------------------------------------------------------- nothing of one machine


@pages
def test_no_host_outside_loopback_and_documentation(page: Path) -> None:
    text = page.read_text()
    named = {host.strip("[]") for host in HOST.findall(text)} | set(ADDRESS.findall(text))
    assert [host for host in sorted(named) if not _is_nobodys(host)] == []


def _is_nobodys(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        reserved = (".example", ".example.com", ".example.net", ".example.org", ".test", ".invalid")
        placeholder = host.upper() == host or not host.strip(".")
        named = f".{host}".endswith((*reserved, *NAMESPACES))
        return placeholder or host in PUBLIC | {"localhost"} or named or host.startswith("$")
    return address.is_unspecified or any(address in network for network in DOCUMENTATION_NETWORKS)


@pytest.mark.parametrize(("host", "fine"), [("10.0.0.1", False), ("sdm.corp.net", False), ("192.0.2.9", True)])
def test_a_strange_host_is_seen(host: str, fine: bool) -> None:
    assert _is_nobodys(host) is fine
    assert HOST.findall(f"see `https://{host}:8443/rest`") == [host]


@pages
def test_no_path_of_a_machine(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"(?<![\w.~-])/(?:home|root|tmp|mnt|media|Users|work)/\S*", text) == []
    assert str(ROOT) not in text


# --------------------------------------------------------------------------- what is named exists


def test_every_class_of_the_glossary_exists() -> None:
    code, named = source(), set()
    for word, where, *_ in rows(ROOT / "docs/glossary.md", 4):
        if word != "word":
            assert re.fullmatch(r"`\w+`(, `\w+`)*", where), word
            named |= set(re.findall(r"`(\w+)`", where))
    assert len(named) > 30
    declared = r"(?:^|\s)(?:class|def) {0}\b|^{0}(?:: TypeAlias)? = "
    assert [name for name in sorted(named) if not re.search(declared.format(name), code, re.MULTILINE)] == []


def test_every_decision_is_listed_under_its_title() -> None:
    listed = {cells[0]: cells[1] for cells in rows(ROOT / "docs/adr/README.md", 3)}
    for path in (ROOT / "docs/adr").glob("[0-9]*.md"):
        title = path.read_text().splitlines()[0].removeprefix(f"# {path.name[:4]}. ")
        short = listed.get(f"[{path.name[:4]}]({path.name})")
        assert short is not None and title.startswith(short), path.name


def test_every_make_command_names_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {
        name
        for page in PAGES
        for block in (
            *re.findall(r"^ {4}.*$", page.read_text(), re.MULTILINE),
            *(b.text for b in blocks(page.read_text())),
        )
        for name in re.findall(r"^\W*make ([a-z]+)", block, re.MULTILINE)
    }
    assert {"demo", "test", "setup"} <= called
    assert called - targets == set()


def commands(page: Path) -> list[list[str]]:
    """The words of every `opensdm` command in a page's blocks, up to a pipe or the end of the line."""
    found = []
    for block in blocks(page.read_text()):
        text = block.text.replace("\\\n", " ")
        for line in re.findall(r"(?:^|[/ (])opensdm ((?:[a-z]+ ?)[^\n|>;]*)", text, re.MULTILINE):
            if block.language in ("sh", "console", "ini"):
                found.append(shlex.split(line.split("2>")[0]))
    return found


def test_every_command_and_option_exists() -> None:
    checked = 0
    for page in PAGES:
        for words in commands(page):
            command: Any = typer.main.get_command(app)
            rest = list(words)
            while hasattr(command, "commands"):
                name = rest.pop(0)
                assert name in command.commands, f"{page.name}: opensdm {' '.join(words)}"
                command = command.commands[name]
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= options | {"--help"}, words
            checked += 1
    assert checked > 10


def test_every_variable_of_the_environment_exists() -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            known |= {f"{PREFIX}{name}_{inner}".upper() for inner in field.annotation.model_fields}
    everywhere = source() + "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for page in PAGES:
        for name in set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", page.read_text())) - known:
            assert f'"{name}"' in everywhere, f"{page.name}: {name}"


def test_every_device_parameter_is_described() -> None:
    named = {
        name for cells in rows(ROOT / "docs/howto/enrol-devices.md", 3) for name in re.findall(r"`([^`]+)`", cells[0])
    }
    assert named == {parameter.name for parameter in DEVICE_PARAMETERS}


# -------------------------------------------------------------------------------- the REST page


def test_every_rest_resource_is_described_and_no_other() -> None:
    described = {
        (method, path.strip("`"), ref == "v1.4")
        for ref, method, path, *_ in rows(ROOT / "docs/rest.md", 5)
        if path.startswith("`/")
    }
    assert described == {(e.method, e.path, e.since >= OWN_VERSION) for e in ENDPOINTS}


def test_every_query_parameter_is_described() -> None:
    text = (ROOT / "docs/rest.md").read_text()
    assert {name for e in ENDPOINTS for name in e.query if f"`{name}`" not in text} == set()


def errors() -> dict[str, list[type[SdmError]]]:
    import opensdm.doors.rest.app  # noqa: F401 (brings in the doors' own errors)

    found: dict[str, list[type[SdmError]]] = {}
    for error in all_errors():
        found.setdefault(error.code, []).append(error)
    return found


def test_the_statuses_of_the_rest_page_are_those_of_the_table() -> None:
    known, checked = errors(), set()
    for _, codes, published, exact in rows(ROOT / "docs/rest.md", 4):
        for code in re.findall(r"`([A-Z_]+)`", codes):
            if code not in known or "," in published:
                continue
            (first, *_) = known[code]
            assert exact.startswith(str(row(first).exact.value)), code
            assert published.startswith(("-", str(row(first).published.value))), code
            checked.add(code)
    assert len(checked) > 20


def test_every_refusal_of_the_lock_has_advice_for_scripts() -> None:
    known = errors()
    advised = set()
    for codes, exact, published, _ in rows(ROOT / "docs/howto/lock-from-a-script.md", 4):
        for code in re.findall(r"`([A-Z_]+)`", codes):
            (first, *_) = known[code]
            assert exact == str(row(first).exact.value), code
            assert published.startswith(("-", str(row(first).published.value))), code
            advised.add(code)
    refusals = {e.code for e in all_errors() if any(base.__name__ == "LockRefused" for base in e.__mro__[1:])}
    assert refusals <= advised
