"""The generated pages say what the source says."""

from __future__ import annotations

import pytest

from docs import generate
from opensdm.core.errors import all_errors
from opensdm.core.operations import REGISTRY
from opensdm.settings import Settings


@pytest.mark.parametrize("name", sorted(generate.PAGES))
def test_a_generated_page_is_up_to_date(name: str) -> None:
    written = (generate.HERE / name).read_text(encoding="utf-8")
    assert written == generate.PAGES[name](), f"docs/{name} is older than the source: run make docs"


def test_every_operation_is_described() -> None:
    page = generate.operations()
    for name, operation in REGISTRY.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
        assert f"`{operation.rule.tag}`" in line
        assert page.rindex(f"## {operation.rule.kind.capitalize()}", 0, page.index(line)) > 0


def test_every_error_is_described() -> None:
    page = generate.errors()
    for error in all_errors():
        if error.__module__ == "opensdm.core.errors":
            assert f"| `{error.code}` | {error.__name__} |" in page


def test_every_setting_is_described() -> None:
    page = generate.settings()
    for name, field in Settings.model_fields.items():
        section = generate._section(field)
        for setting in [name] if section is None else [f"{name}.{inner}" for inner in section.model_fields]:
            (line,) = [line for line in page.splitlines() if line.startswith(f"| `{setting}` |")]
            assert f"`OPENSDM_{setting.replace('.', '_').upper()}`" in line
            assert not line.endswith("|  |"), f"{setting} has no description"
