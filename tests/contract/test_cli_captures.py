"""Every platform with a command line is read as its captured sessions say, and gives no secret away.

`tests/data/devices/<platform>/`: `NAME.session` is what was typed and what came back (see `lab/transcript.py`),
`NAME.expected.json` what the driver makes of it, `NAME.secrets` lines that must not show up anywhere.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.transcript import Exchange, read, written
from opensdm.core.difference import masked
from opensdm.core.element import Element, Schema
from opensdm.core.errors import Rejected
from opensdm.core.inventory import Credentials
from opensdm.core.ports import ElementEdit
from opensdm.core.validation import element_type, is_secret, validate
from opensdm.drivers.cli_definition import CliDefinition, cli_definitions
from opensdm.drivers.registry import Registry
from opensdm.drivers.ssh import HOST_KEY
from opensdm.drivers.ssh_cli import SshCliDriver
from opensdm.testing.driver import LoadOnlyContract
from opensdm.testing.driver_bench import DEVICE, DriverBench, StepBook, told
from tests.cli_replay import PASSWORD, USER, Replay

DEVICES = Path(__file__).parents[1] / "data" / "devices"
DEFINITIONS = {definition.platform: definition for definition in cli_definitions()}
SESSIONS = sorted(DEVICES.rglob("*.session"))
WRITTEN = [path for path in SESSIONS if DEFINITIONS[path.parent.name].writes]


def credentials(replay: Replay) -> Credentials:
    return Credentials(replay.address, None, USER, PASSWORD, {HOST_KEY: replay.host_key})


async def load(path: Path) -> tuple[dict[str, str], tuple[Element, ...]]:
    """Facts and elements of a captured session, read by its platform's driver over real SSH."""
    replay, book = Replay(path), StepBook()
    await replay.start()
    registry = Registry()
    driver = registry.driver(path.parent.name)
    device, permit = driver.connect(DEVICE, credentials(replay), book), book.read()
    try:
        facts = await device.facts(permit)
        elements = await device.read_elements(permit, await device.read_schema(permit))
    finally:
        await device.close()
        await registry.close()
        await replay.stop()
    return {"software_version": facts.software_version, "host_name": facts.host_name, "role": facts.role}, elements


def described(element: Element) -> dict[str, Any]:
    found: dict[str, Any] = {"path": element.path, "attributes": dict(element.attributes)}
    if element.children:
        found["children"] = [described(child) for child in element.children]
    return found


def element_of(description: dict[str, Any]) -> Element:
    below = tuple(element_of(child) for child in description.get("children", ()))
    return Element(description["path"], description["attributes"], below)


def expected(path: Path) -> list[Element]:
    return [element_of(e) for e in json.loads(path.with_suffix(".expected.json").read_text())["elements"]]


def secrets(path: Path) -> list[str]:
    return path.with_suffix(".secrets").read_text().split()


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def test_every_definition_has_a_captured_session() -> None:
    assert {path.parent.name for path in SESSIONS} == DEFINITIONS.keys()
    assert {"frr", "acme_cli"} <= DEFINITIONS.keys() <= set(Registry().platforms())


@pytest.mark.parametrize("path", SESSIONS, ids=named)
def test_a_session_says_where_it_comes_from_and_reads_back(path: Path) -> None:
    header = [line[2:] for line in path.read_text().splitlines() if line.startswith("# ")]
    assert header[0].startswith(("Captured from", "Written from"))
    assert written(header, read(path)) == path.read_text()


def test_a_transcript_keeps_every_character(tmp_path: Path) -> None:
    odd = [Exchange("", "\x1b[1mname#\x1b[0m "), Exchange("a \\ b", "two  \r\n\\s \x08\x00 \t\r\nname# ")]
    path = tmp_path / "odd.session"
    text = written(["odd"], odd)
    path.write_text(text)
    assert read(path) == odd and written(["odd"], read(path)) == text


@pytest.mark.parametrize("path", SESSIONS, ids=named)
async def test_a_session_is_read_as_expected(path: Path) -> None:
    facts, elements = await load(path)
    wanted = json.loads(path.with_suffix(".expected.json").read_text())
    assert facts == wanted["facts"]
    assert [described(e) for e in elements] == wanted["elements"]


@pytest.mark.parametrize("path", SESSIONS, ids=named)
def test_what_was_read_is_valid_by_the_schema(path: Path) -> None:
    schema = DEFINITIONS[path.parent.name].schema("1")
    for element in expected(path):
        validate(schema, element)


@pytest.mark.parametrize("path", SESSIONS, ids=named)
def test_every_secret_is_an_attribute_that_is_one(path: Path) -> None:
    """The file of secrets is not about nothing: each is in the session, is loaded, and is masked when shown."""
    schema, text = DEFINITIONS[path.parent.name].schema("1"), path.read_text()
    for secret in secrets(path):
        assert secret in text and any(secret in str(described(e)) for e in expected(path))
    for element in expected(path):
        shown = str(described(masked(schema, element)))
        assert not [secret for secret in secrets(path) if secret in shown]


@pytest.mark.parametrize("path", WRITTEN, ids=named)
async def test_no_secret_is_in_a_preview_an_error_or_a_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The device refuses each edit and repeats the whole line, secrets included."""
    caplog.set_level(logging.DEBUG)
    replay = Replay(path)
    prompt = replay.prompt
    replay.exchanges.append(Exchange("configure terminal", "configure terminal\r\n" + prompt))
    replay.exchanges.append(Exchange("end", "end\r\n" + prompt))
    await replay.start()
    book = StepBook()
    driver = SshCliDriver(DEFINITIONS[path.parent.name])
    device, permit = driver.connect(DEVICE, credentials(replay), book), book.write()
    schema = await device.read_schema(permit)
    said = []
    for element in expected(path):
        edits = (
            ElementEdit(None, element),
            ElementEdit(element, None),
            ElementEdit(without_secrets(schema, element), element),
        )
        said += [line for edit in edits for line in device.preview(schema, edit)]
        with pytest.raises(Rejected) as caught:
            await device.write(permit, schema, ElementEdit(None, element))
        said.append(told(caught.value))
    await device.close()
    await driver.close()
    await replay.stop()
    typed = "\n".join(replay.lines)
    if secrets(path):
        assert any(secret in typed for secret in secrets(path)) and "xxxx" in "".join(said)
    assert not [s for s in secrets(path) if s in "\n".join(said) or s in caplog.text]
    assert PASSWORD not in "\n".join(said) + caplog.text


def without_secrets(schema: Schema, element: Element) -> Element:
    kind = element_type(schema, element.path)
    kept = {name: value for name, value in element.attributes.items() if not is_secret(kind.attribute(name))}
    return replace(element, attributes=kept)


# ------------------------------------------------------------------------------------- a platform that is only loaded


class AcmeCliBench(DriverBench):
    """The session written from the reference, replayed."""

    def __init__(self, replay: Replay, definition: CliDefinition) -> None:
        super().__init__(SshCliDriver(definition), credentials(replay))
        self.replay = replay

    async def close(self) -> None:
        await super().close()
        assert isinstance(self.driver, SshCliDriver)
        await self.driver.close()

    def writes(self) -> int:
        reading = {"enable", PASSWORD, "show version", "show running-config"}
        return len([line for line in self.replay.lines if line not in reading])

    def new_element(self) -> Element:
        return Element("realmConfig", {"id": "new", "description": "new"})

    async def die_in_next_read(self) -> None:
        self.replay.cut_after = 200

    def changed(self, element: Element) -> Element:
        raise AssertionError("never written to")

    def breaking_element(self) -> Element:
        raise AssertionError("never written to")

    def refused_element(self) -> Element:
        raise AssertionError("never written to")

    async def hold_lock(self, held: bool) -> None:
        raise AssertionError("never written to")

    async def lose_next_edit(self) -> None:
        raise AssertionError("never written to")

    async def cut_next_edit(self) -> None:
        raise AssertionError("never written to")

    async def fail_next_job(self, action: str) -> None:
        raise AssertionError("never written to")


@pytest.fixture
async def bench() -> AsyncIterator[AcmeCliBench]:
    replay = Replay(DEVICES / "acme_cli" / "from-the-reference.session")
    await replay.start()
    bench = AcmeCliBench(replay, DEFINITIONS["acme_cli"])
    yield bench
    await bench.close()
    await replay.stop()


class TestAcmeCli(LoadOnlyContract):
    """The contract."""
