"""The repository's own promises: locks that work anywhere, a page that explains each dependency, ADRs that count."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
LONGEST_FILE = 420
# Names that say "something useful" and so draw everything in.
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

# uvicorn looks for these two by itself.
LOADED_BY_UVICORN = {"httptools", "uvloop"}

PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)")
REQUIREMENT = re.compile(r"^([A-Za-z0-9-]+)(?:\[([a-z0-9,-]+)\])?([<>=!~].*)$")


def project() -> dict[str, list[str]]:
    """Requirement lines of pyproject.toml by group: `runtime` and each extra."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"runtime": table["dependencies"], **table["optional-dependencies"]}


def name_of(requirement: str) -> str:
    match = REQUIREMENT.match(requirement)
    assert match, requirement
    return match[1].lower()


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := PINNED.match(line))}


def explained() -> set[str]:
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE))


def source_files() -> list[Path]:
    return sorted(path for top in ("src", "tests", "lab", "bench", "docs") for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_address_and_no_path_of_a_machine(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.findall(r"\S*://\S*|\bfile:\S*|(?<![\w.])[~/][\w./-]+|--(?:extra-)?index\S*|--find-links\S*", text) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_an_exact_version(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = [block for block in re.split(r"\n(?=[a-z0-9])", text) if not block.startswith("#")]
    assert len(blocks) == len(pins(lock)) > 0
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_every_dependency_is_locked() -> None:
    groups = project()
    assert {name_of(line) for line in groups["runtime"]} <= pins("requirements.lock").keys()
    assert {name_of(line) for lines in groups.values() for line in lines} <= pins("requirements-dev.lock").keys()


def test_both_locks_agree() -> None:
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in runtime} == runtime


def test_every_dependency_has_an_upper_bound() -> None:
    assert [line for lines in project().values() for line in lines if ",<" not in line] == []


def test_every_dependency_is_explained_and_nothing_else_is() -> None:
    assert explained() == {name_of(line) for lines in project().values() for line in lines}


def test_every_runtime_dependency_is_used() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    modules = {name_of(line).replace("-", "_") for line in project()["runtime"]}
    assert {module for module in modules - LOADED_BY_UVICORN if not re.search(rf"\b{module}\b", source)} == set()


def test_adr_numbers_are_gapless_and_used_once() -> None:
    names = sorted(path.name for path in (ROOT / "docs/adr").glob("*.md") if path.name != "README.md")
    assert [name for name in names if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", name)] == []
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_no_module_is_named_for_being_useful() -> None:
    named = [path for path in source_files() if NAMELESS & {path.stem, *path.relative_to(ROOT).parts}]
    assert named == []


def test_no_file_is_too_long_to_be_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in source_files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_the_rules_of_the_lock_and_the_gate_hide_no_line_from_coverage() -> None:
    proved = [*(ROOT / "src/opensdm/core").glob("lock*.py"), *(ROOT / "src/opensdm/gate").rglob("*.py")]
    assert [path.name for path in proved if "pragma: no" in path.read_text()] == []


def test_no_secret_or_data_directory_is_tracked() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    kept_out = re.compile(r"^var/|\.(key|pem|sqlite3|db)$|^\.env$")
    assert [name for name in tracked if kept_out.search(name)] == []


def test_help_shows_every_promised_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^\s+make (\S+)", shown, re.MULTILINE))
    promised = {"setup", "demo", "test", "prove", "lint", "types", "arch", "docs", "bench", "serve", "lock", "clean"}
    assert promised <= targets
