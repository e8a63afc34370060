"""Starting, stopping, TLS with curl, state over a restart, the runner as a process, and the wall around the package."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import opensdm.simulator
from opensdm.simulator import VirtualSbc
from opensdm.simulator.certificate import OwnCertificate
from opensdm.simulator.schema import load_schema
from opensdm.simulator.stores import Stores, read_state
from opensdm.simulator.verification import dangling_references
from tests.simulator.box import PASSWORD, USER, Box, element, found, values
from tests.simulator.conftest import Connect, Launch


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "10", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_curl_trusts_the_certificate_it_made_for_itself(launch: Launch) -> None:
    box = launch(plain_http=False)
    url = f"https://localhost:{box.address[1]}/rest/v1.2/auth/token"
    assert curl(url, "-X", "POST", "-u", f"{USER}:{PASSWORD}").returncode == 60
    trusted = curl(url, "-X", "POST", "-u", f"{USER}:{PASSWORD}", "--cacert", str(box.simulator.certificate))
    assert trusted.returncode == 0 and "<accessToken>" in trusted.stdout


def test_a_given_certificate_is_used(launch: Launch) -> None:
    own = OwnCertificate("given", "127.0.0.1")
    try:
        box = launch(plain_http=False, tls=own.pair)
        assert box.simulator.certificate == own.pair[0]
        assert curl(f"{box.url}/rest/api/supportedversions", "--cacert", str(own.pair[0])).returncode == 0
    finally:
        own.remove()


async def test_its_own_certificate_is_private_and_goes_with_it() -> None:
    simulator = VirtualSbc("s", username="u", password="p")
    host, port = await simulator.start("127.0.0.1", 0)
    certificate = simulator.certificate
    assert host == "127.0.0.1" and port > 0 and certificate is not None
    key = certificate.with_name("key.pem")
    assert key.stat().st_mode & 0o077 == 0 and certificate.parent.stat().st_mode & 0o077 == 0
    with pytest.raises(RuntimeError):
        await simulator.start("127.0.0.1", 0)
    await simulator.stop()
    assert not certificate.parent.exists()


async def test_a_taken_port_is_an_error_and_leaves_nothing_behind() -> None:
    first = VirtualSbc("a", username="u", password="p", plain_http=True)
    second = VirtualSbc("b", username="u", password="p")
    _, port = await first.start("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await second.start("127.0.0.1", port)
    assert second.certificate is None
    await first.stop()
    assert (await second.start("127.0.0.1", port))[1] == port
    await second.stop()


def test_twenty_beside_each_other(launch: Launch, connect: Connect) -> None:
    boxes = [launch() for _ in range(20)]
    assert len({box.address for box in boxes}) == 20
    for number, box in enumerate(boxes):
        client = connect(box).log_in()
        assert client.lock() == 204
        client.change(element("realm-config", identifier="core", description=f"box {number}"))
    for number, box in enumerate(boxes):
        assert values(found(connect(box).log_in().elements("realm-config", identifier="core"))[0], "description") == [
            f"box {number}"
        ]


def test_saved_running_and_backups_survive_a_restart(launch: Launch, connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "sbc.json"
    box = launch(state_path=path)
    client = connect(box).log_in()
    client.lock()
    client.change(element("realm-config", identifier="core", description="running"))
    assert (client.do("PUT", "save"), client.do("POST", "activate")) == ("success", "success")
    client.do("POST", "backup", backupSource="running", filename="b1")
    client.change(element("realm-config", identifier="core", description="saved"))
    client.do("PUT", "save")
    client.change(element("realm-config", identifier="core", description="edited"))
    box.run(box.simulator.stop())
    again = launch(state_path=path)
    reader = connect(again).log_in()
    assert reader.lock() == 204

    def description(**query: str) -> list[str]:
        return values(found(reader.elements("realm-config", identifier="core", **query))[0], "description")

    assert (description(), description(running="true")) == (["saved"], ["running"])
    assert reader.do("PUT", "restore", restoreSource="backupFile", filename="b1.gz") == "success"
    assert description() == ["running"]
    assert [each.name for each in tmp_path.iterdir()] == ["sbc.json"]


def test_a_save_that_cannot_be_kept_fails_and_is_not_done(launch: Launch, connect: Connect, tmp_path: Path) -> None:
    box = launch(state_path=tmp_path / "missing" / "sbc.json")
    client = connect(box).log_in()
    client.lock()
    client.change(element("realm-config", identifier="core", description="edited"))
    state = client.finish(client.manage("PUT", "save"))
    assert state.findtext("status") == "fail" and "cannot be written" in (state.findtext("errorMessage") or "")
    assert box.simulator.stores.saved == box.simulator.stores.running
    assert values(found(client.elements("realm-config", identifier="core"))[0], "description") == ["edited"]


def test_a_foreign_state_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"something": "else"}))
    with pytest.raises(ValueError, match="not a state file"):
        VirtualSbc("s", username="u", password="p", state_path=path)
    assert read_state(tmp_path / "none.json") is None


RUNNER = """
import asyncio, sys
from opensdm.simulator import serve
asyncio.run(serve("127.0.0.1", 0, name="alone", username="u", password="p", plain_http=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_runner_says_one_line_and_ends_on_a_signal(number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(opensdm.simulator.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            assert line.startswith("virtual-sbc: listening on http://127.0.0.1:")
            assert "v1.2" in curl(line.split()[-1] + "/rest/api/supportedversions").stdout
            process.send_signal(number)
            rest, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, rest, errors) == (0, "", "")


def test_every_type_of_the_schema_is_consistent() -> None:
    schema = load_schema()
    for top in schema.elements.values():
        assert bool(top.keys) != top.singleton, top.name
        for spec in top.walk():
            assert set(spec.keys) <= set(spec.attributes), spec.name
            for attribute in spec.attributes.values():
                where = f"{spec.name} {attribute.name}"
                assert attribute.required or attribute.problem(attribute.default) is None, where
                assert (attribute.type == "enum") == bool(attribute.choices), where
                if reference := attribute.reference:
                    keys = schema.elements[reference.target].keys
                    assert len(keys) == 1 or all(f"{{{key}}}" in (reference.form or "") for key in keys), where


def test_the_seed_is_sound_and_bears_the_name() -> None:
    stores = Stores.seeded(load_schema(), "edge-7")
    assert dangling_references(stores.running, stores.schema) == []
    assert stores.editing == stores.saved == stores.running and stores.editing is not stores.saved
    system = stores.running.of_type(stores.schema.elements["system-config"])[0]
    assert system.attributes["hostname"] == ("edge-7",)


def test_the_simulator_imports_nothing_else_of_opensdm() -> None:
    modules = sorted(Path(opensdm.simulator.__file__).parent.glob("*.py"))
    assert len(modules) > 10
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [f"{node.module}.{each.name}" for each in node.names] if isinstance(node, ast.ImportFrom) else []
            ours = [name for name in names if name.split(".")[0] == "opensdm"]
            assert all(name.startswith("opensdm.simulator") for name in ours), (module.name, ours)


def test_stop_breaks_off_a_running_job(launch: Launch, connect: Connect) -> None:
    box: Box = launch(job_delay_s=60)
    client = connect(box).log_in()
    client.lock()
    assert client.manage("PUT", "save").status_code == 202
    box.run(box.simulator.stop())
    assert box.simulator.stores.saved == box.simulator.stores.running
