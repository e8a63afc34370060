"""The real gate and a virtual SBC enrolled in it."""

from __future__ import annotations

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
