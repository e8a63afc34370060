"""The import contracts themselves: an empty house, one forbidden import, and the wall that stops it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERDICT = re.compile(r"^(\S.*) (BROKEN|KEPT)\b", re.MULTILINE)

MODULES = (
    "__main__",
    "cli.__init__",
    "client.__init__",
    "core.__init__",
    "core.lock",
    "demo",
    "doors.__init__",
    "doors.errors",
    "doors.rest.__init__",
    "doors.rest.inventory",
    "doors.soap.__init__",
    "doors.xml",
    "drivers.__init__",
    "drivers.acme_sbc",
    "front",
    "gate.__init__",
    "gate.gate",
    "gate.policy",
    "gate.seal",
    "handlers.__init__",
    "handlers.inventory",
    "server",
    "settings",
    "simulator.__init__",
    "stores.__init__",
    "stores.ledger",
    "testing",
    "tls",
)

# How the parts are meant to hang together: none of it may be refused.
ALLOWED = {
    "gate.__init__": ["opensdm.gate.seal", "opensdm.gate.gate"],
    "gate.gate": ["opensdm.gate.seal", "opensdm.handlers", "opensdm.core.lock", "structlog"],
    "handlers.inventory": ["opensdm.core.lock"],
    "stores.ledger": ["opensdm.core.lock", "sqlalchemy", "sqlite3", "asyncpg"],
    "drivers.acme_sbc": ["opensdm.core.lock", "httpx2", "lxml"],
    "doors.rest.inventory": ["opensdm.gate", "opensdm.core", "opensdm.doors.errors", "opensdm.doors.xml", "falcon"],
    "doors.xml": ["lxml"],
    "server": [
        "opensdm.stores.ledger",
        "opensdm.drivers.acme_sbc",
        "opensdm.handlers",
        "opensdm.gate",
        "opensdm.front",
        "opensdm.settings",
        "opensdm.tls",
        "uvicorn",
    ],
    "front": ["opensdm.doors.rest", "opensdm.gate", "opensdm.settings", "falcon"],
    "testing": ["opensdm.stores", "opensdm.drivers"],
    "demo": ["opensdm.server", "opensdm.simulator"],
    "cli.__init__": ["opensdm.server", "opensdm.demo", "opensdm.doors.errors", "opensdm.client", "opensdm.simulator"],
}

FORBIDDEN = [
    ("core.lock", "opensdm.gate", "Everything points inward to core"),
    ("core.lock", "sqlalchemy", "core does no I/O and knows no framework"),
    ("core.lock", "asyncio", "core does no I/O and knows no framework"),
    ("gate.policy", "falcon", "gate and handlers know no door, no SQL, no socket"),
    ("handlers.inventory", "sqlalchemy", "gate and handlers know no door, no SQL, no socket"),
    ("gate.policy", "opensdm.doors.errors", "Everything points inward to core"),
    ("gate.policy", "opensdm.gate.seal", "Only the gate itself holds the seal"),
    ("drivers.acme_sbc", "opensdm.gate.seal", "Only the gate itself holds the seal"),
    ("server", "opensdm.gate.seal", "Only the gate itself holds the seal"),
    (
        "doors.rest.inventory",
        "opensdm.stores.ledger",
        "Only the server and the contract suites name a store or a driver",
    ),
    (
        "doors.rest.inventory",
        "opensdm.drivers.acme_sbc",
        "Only the server and the contract suites name a store or a driver",
    ),
    ("handlers.inventory", "opensdm.stores", "Only the server and the contract suites name a store or a driver"),
    ("gate.gate", "opensdm.stores", "Only the server and the contract suites name a store or a driver"),
    ("cli.__init__", "opensdm.stores", "Only the server and the contract suites name a store or a driver"),
    ("doors.rest.inventory", "opensdm.handlers.inventory", "Handlers run behind the gate only"),
    ("doors.rest.inventory", "opensdm.settings", "Everything points inward to core"),
    ("doors.soap.__init__", "opensdm.doors.rest.inventory", "Doors do not know one another"),
    ("cli.__init__", "opensdm.doors.rest", "Doors do not know one another"),
    (
        "simulator.__init__",
        "opensdm.core",
        "The client and the virtual SBC share nothing with the server they speak to",
    ),
    ("client.__init__", "opensdm.gate.gate", "Operations come in through doors"),
    ("simulator.__init__", "opensdm.doors.xml", "Doors do not know one another"),
    ("cli.__init__", "opensdm.gate", "Operations come in through doors"),
    ("drivers.acme_sbc", "opensdm.simulator", "Only the command line and the demo start a virtual SBC"),
    ("client.__init__", "opensdm.core", "The client and the virtual SBC share nothing with the server they speak to"),
    ("doors.rest.inventory", "sqlalchemy", "SQL lives in the stores"),
    ("doors.rest.inventory", "lxml", "XML is read and written in one place at the doors, which is hardened"),
]


def build(directory: Path, extra: dict[str, list[str]]) -> None:
    """Write an `opensdm` of empty modules below `directory` whose only content are its imports."""
    for name in (*MODULES, *(name for name in extra if name not in MODULES)):
        file = (directory / "opensdm" / name.replace(".", "/")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        imports = [*ALLOWED.get(name, []), *extra.get(name, [])]
        file.write_text("".join(f"import {imported}\n" for imported in imports))
    (directory / "opensdm" / "__init__.py").touch()
    shutil.copy(ROOT / ".importlinter", directory)


def broken(directory: Path) -> tuple[int, set[str]]:
    """Exit status of import-linter in `directory`, and the names of the contracts it calls broken."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = VERDICT.findall(done.stdout)
    assert len(verdicts) == (ROOT / ".importlinter").read_text().count("[importlinter:contract:"), done.stdout
    return done.returncode, {name for name, verdict in verdicts if verdict == "BROKEN"}


def test_the_intended_imports_are_allowed(tmp_path: Path) -> None:
    build(tmp_path, {})
    assert broken(tmp_path) == (0, set())


@pytest.mark.parametrize(("importer", "imported", "wall"), FORBIDDEN)
def test_a_forbidden_import_breaks_the_build(tmp_path: Path, importer: str, imported: str, wall: str) -> None:
    build(tmp_path, {importer: [imported]})
    status, walls = broken(tmp_path)
    assert status == 1
    assert wall in walls


def test_a_new_module_must_be_given_its_place(tmp_path: Path) -> None:
    build(tmp_path, {"backdoor": ["opensdm.core"]})
    assert broken(tmp_path) == (1, {"Everything points inward to core"})
