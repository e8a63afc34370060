"""The real gate and a virtual SBC enrolled in it; data directories of the installed program."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opensdm.simulator import VirtualSbc
from opensdm.tls import ensure_certificates
from tests.acceptance.provisioning import (
    PASSWORD,
    USER,
    Bench,
    Enrol,
)
from tests.gatehouse import House, house_with_users
from tests.program import Installation


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_with_users(f"sqlite:///{tmp_path}/opensdm.db", tmp_path) as house:
        yield house


@pytest.fixture
async def enrol(house: House, tmp_path: Path) -> AsyncIterator[Enrol]:
    """Starts the virtual SBC and enrols it, with more device parameters if given; not loaded yet."""
    files = ensure_certificates(tmp_path / "tls", ["127.0.0.1"])
    pair = (files.server_cert, files.server_key)
    sbc = VirtualSbc("edge-a", username=USER, password=PASSWORD, tls=pair, job_delay_s=0.01)
    host, port = await sbc.start("127.0.0.1", 0)
    trusted = {"tls.ca": files.ca_cert.read_text()}

    async def enrol(**parameters: str) -> Bench:
        device_id = await house.enrol(sbc.name, f"{host}:{port}", **trusted, **parameters)
        return Bench(house, sbc, device_id, port)

    yield enrol
    await sbc.stop()


@pytest.fixture
async def bench(enrol: Enrol) -> Bench:
    bench = await enrol()
    await bench.load()
    return bench


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A data directory as init leaves it, to be copied: with the embedded database it may be anywhere."""
    made = Installation(tmp_path_factory.mktemp("fresh") / "data")
    made.init()
    return made


@pytest.fixture
def installed(fresh: Installation, tmp_path: Path) -> Installation:
    return Installation(shutil.copytree(fresh.data, tmp_path / "data"))


ON_SQLITE_AT_LEAST = pytest.mark.parametrize(
    "either",
    ["sqlite", pytest.param("postgresql", marks=(pytest.mark.postgres, pytest.mark.prove))],
    indirect=True,
)
"""For tests that say little new of the second database, and take long: there by `make prove`."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """An installation on each of the two databases."""
    if request.param == "sqlite":
        made: Installation = request.getfixturevalue("installed")
        return made
    made = Installation(tmp_path / "data", request.getfixturevalue("postgres_url"))
    made.init()
    return made
