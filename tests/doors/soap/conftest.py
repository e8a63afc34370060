"""The SOAP door beside REST on the real gate, without a socket; one house for all tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from opensdm.doors.rest.app import build_app
from opensdm.doors.soap.app import add_soap_routes
from opensdm.doors.soap.settings import SoapSettings
from tests.doors.conftest import client_of
from tests.doors.soap.sender import Soap
from tests.gatehouse import House, house_with_users


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """With three managed devices that nobody has to reach: edge-a, edge-b, edge-c."""
    directory = tmp_path_factory.mktemp("house")
    async with house_with_users(f"sqlite:///{directory}/opensdm.db", directory) as house:
        for number, name in enumerate(("edge-a", "edge-b", "edge-c"), 1):
            await house.enrol(name, f"192.0.2.{number}:443")
        yield house


@pytest.fixture
def soap_settings() -> SoapSettings:
    return SoapSettings()


@pytest_asyncio.fixture(loop_scope="module")
async def soap(house: House, soap_settings: SoapSettings) -> AsyncIterator[Soap]:
    """A client without a session; `log_in` makes another with one."""
    app = build_app(house.gate)
    add_soap_routes(app, house.gate, soap_settings)
    async with client_of(app) as http:
        yield Soap(http)
